"""The columns that tables share."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from benchmarks.measure import Column, Measured, Results, Sample

__all__ = [
    "CPU",
    "JSON_RATE",
    "MEDIAN",
    "PEAK",
    "ROW_RATE",
    "RUNS",
    "SPREAD",
    "WIRE_RATE",
    "byte_ratio",
    "milliseconds",
    "row_ratio",
    "versus",
]


def _rate(value: float | None, text: str) -> str:
    return text.format(value / 1e6) if value else ""


def row_ratio(mine: Measured, other: Measured) -> float:
    """Returns how many times the rows a second of another contender are handled.

    Raises:
        ValueError: One of them has no rows.
    """
    return _ratio(mine, other, lambda sample: sample.rows)


def byte_ratio(mine: Measured, other: Measured) -> float:
    """Returns how many times the JSON bytes a second of another contender are made.

    Raises:
        ValueError: One of them makes none.
    """
    return _ratio(mine, other, lambda sample: sample.json_bytes)


def _ratio(mine: Measured, other: Measured, amount: Callable[[Sample], int | None]) -> float:
    """Returns the median of the ratios of the rounds.

    What is done in one round is done within seconds, on a machine whose speed changes by the
    minute: the ratio of two medians may be of two rounds with little in common.
    """

    def rate(sample: Sample) -> float:
        found = amount(sample)
        if found is None:
            raise ValueError(f"{mine.name} or {other.name} lacks what is to be compared")
        return found / sample.seconds

    pairs = zip(mine.samples, other.samples, strict=True)
    return statistics.median(rate(one) / rate(another) for one, another in pairs)


def versus(title: str, other: str, text: str = "{:.2f}") -> Column:
    """Returns a column with the ratio of the rows a second to another contender's."""

    def ratio(one: Measured, results: Results) -> str:
        return text.format(row_ratio(one, results[other])) if one.row_rate else ""

    return Column(title, ratio)


def milliseconds(title: str, name: str) -> Column:
    """Returns a column with a figure that is a time."""
    return Column(title, lambda one, _: f"{one.figure(name) * 1e3:.1f}")


def _cpu(one: Measured, _: Results) -> str:
    return f"{one.figure('cpu'):.2f}" if one.has("cpu") else ""


def _spread(one: Measured, _: Results) -> str:
    seconds = [sample.seconds for sample in one.samples]
    return f"{min(seconds):.2f}-{max(seconds):.2f}"


ROW_RATE = Column("Mrows/s", lambda one, _: _rate(one.row_rate, "{:.3f}"))
JSON_RATE = Column("MB/s of JSON", lambda one, _: _rate(one.json_rate, "{:,.0f}"))
WIRE_RATE = Column("MB/s on the wire", lambda one, _: _rate(one.wire_rate, "{:,.0f}"))
MEDIAN = Column("median s", lambda one, _: f"{one.seconds:.2f}")
SPREAD = Column("min-max s", _spread)
CPU = Column("CPU s", _cpu)
PEAK = Column("peak MB", lambda one, _: f"{one.most('peak') / 1e6:,.0f}")
RUNS = Column("runs", lambda one, _: str(len(one.samples)))
