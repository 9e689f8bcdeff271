"""Cost as work grows: ten times the rows, what every load costs apart."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.columns import MEDIAN, ROW_RATE, RUNS, SPREAD
from benchmarks.measure import Column, Comparison, Contender, Group, Measured, Sample
from benchmarks.running import program, require_all, rows_of, sink
from benchmarks.setting import Setting

__all__ = ["GROUP"]

SMALL = "lineitem, scale 1"
LARGE = "lineitem, scale 10"


@contextmanager
def _contenders(setting: Setting) -> Iterator[Sequence[Contender]]:
    files = {SMALL: setting.files.lineitem, LARGE: setting.files.large}
    with sink() as server:
        yield [
            Contender(name, functools.partial(_push, server.url, file, rows_of(file)))
            for name, file in files.items()
        ]


def _push(url: str, file: Path, rows: int) -> Sample:
    result = program("timed_push.py", url, file).result
    require_all(result, rows)
    upload = result["times"]["seconds"]
    return Sample(
        seconds=result["seconds"],
        rows=rows,
        json_bytes=result["json_bytes"],
        wire_bytes=result["wire_bytes"],
        figures={"upload": upload, "fixed": result["seconds"] - upload, **result["times"]},
    )


def _a_million(one: Measured) -> float:
    """Returns the seconds from first read to last 2xx for each million rows."""
    rows = one.samples[0].rows
    assert rows
    return one.figure("upload") / rows * 1e6


GROUP = Group(
    name="growth",
    needs=("lineitem", "large"),
    contenders=_contenders,
    columns=(
        ROW_RATE,
        MEDIAN,
        SPREAD,
        Column("first read to last 2xx s", lambda one, _: f"{one.figure('upload'):.2f}"),
        Column("s a million rows", lambda one, _: f"{_a_million(one):.4f}"),
        Column("fixed cost s", lambda one, _: f"{one.figure('fixed'):.2f}"),
        RUNS,
    ),
    comparisons=(
        Comparison(
            "first read to last 2xx a million rows, scale 10 against 1",
            lambda results: _a_million(results[LARGE]) / _a_million(results[SMALL]),
            1.15,
            1.05,
            at_most=True,
        ),
    ),
)
