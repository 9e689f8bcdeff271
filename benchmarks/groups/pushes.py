"""Whole pushes against the vendor's client, reading alone and sending alone."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.columns import (
    CPU,
    JSON_RATE,
    MEDIAN,
    ROW_RATE,
    RUNS,
    SPREAD,
    WIRE_RATE,
    row_ratio,
    versus,
)
from benchmarks.limits import put, read_parquet, send
from benchmarks.measure import Comparison, Contender, Failed, Group, Sample
from benchmarks.running import VENDOR, push, rows_of, run, sink
from benchmarks.setting import HERE, Setting

__all__ = ["GROUP"]

MSTRIO = "mstrio-py"
READING = "reading the Parquet alone, one thread"


@contextmanager
def _contenders(setting: Setting) -> Iterator[Sequence[Contender]]:
    file, amounts = setting.files.lineitem, setting.amounts
    rows = rows_of(file)
    with sink() as server:
        url = server.url
        yield [
            Contender(
                MSTRIO,
                functools.partial(_vendor, url, file, min(rows, amounts.vendor_rows)),
            ),
            *(
                Contender(
                    _name(orientation, concurrency),
                    functools.partial(
                        push, url, file, *_options(orientation, concurrency), rows=rows
                    ),
                )
                for orientation in ("column", "row")
                for concurrency in amounts.concurrencies
            ),
            Contender(READING, functools.partial(read_parquet, file)),
            Contender(
                "one PUT into the sink, base64 ready",
                functools.partial(put, url, amounts.sent_bytes),
            ),
            Contender("raw loopback send", functools.partial(send, amounts.sent_bytes)),
        ]


def _vendor(url: str, file: Path, rows: int) -> Sample:
    """The vendor's client: read to pandas, convert, create()."""
    done = run([VENDOR, HERE / "vendor_client.py", url, file, str(rows)])
    result = done.result
    if result["rows"] != rows:
        raise Failed(f"the vendor's client sent {result['rows']} rows, not {rows}")
    seconds = result["read"] + result["create"]
    return Sample(seconds, rows, figures={"cpu": done.cpu, "peak": done.peak})


def _name(orientation: str, concurrency: int | None) -> str:
    return f"push, {orientation}s" + (f", concurrency {concurrency}" if concurrency else "")


def _options(orientation: str, concurrency: int | None) -> list[str]:
    chosen = ["--concurrency", str(concurrency)] if concurrency else []
    return ["--orientation", orientation, *chosen]


def _against(other: str, orientation: str, bar: float, aim: float) -> Comparison:
    name = _name(orientation, None)
    return Comparison(
        f"whole push, {orientation}s, against {other}",
        lambda results: row_ratio(results[name], results[other]),
        bar,
        aim,
    )


GROUP = Group(
    name="pushes",
    needs=("lineitem",),
    contenders=_contenders,
    columns=(
        ROW_RATE,
        JSON_RATE,
        WIRE_RATE,
        MEDIAN,
        SPREAD,
        CPU,
        versus("x mstrio-py", MSTRIO, "{:.1f}"),
        versus("x reading", READING),
        RUNS,
    ),
    comparisons=(
        _against(MSTRIO, "column", 25, 25),
        _against(READING, "column", 0.4, 0.5),
        _against(MSTRIO, "row", 20, 20),
        _against(READING, "row", 0.35, 0.45),
    ),
)
