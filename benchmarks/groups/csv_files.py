"""The push from CSV with its types given, against pyarrow's streaming CSV reader alone."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa

from benchmarks.columns import (
    CPU,
    JSON_RATE,
    MEDIAN,
    ROW_RATE,
    RUNS,
    SPREAD,
    row_ratio,
    versus,
)
from benchmarks.limits import read_csv
from benchmarks.measure import Comparison, Contender, Group
from benchmarks.running import push, rows_of, sink
from benchmarks.setting import Setting

__all__ = ["GROUP"]

READING = "pyarrow's streaming CSV reader alone"

_MONEY = ("BIGDECIMAL", pa.decimal128(15, 2))
_TEXT = ("STRING", pa.string())
_DAY = ("DATE", pa.date32())
_WHOLE = ("BIGINTEGER", pa.int64())

_TYPES = {
    "l_orderkey": _WHOLE,
    "l_partkey": _WHOLE,
    "l_suppkey": _WHOLE,
    "l_linenumber": ("INTEGER", pa.int32()),
    "l_quantity": _MONEY,
    "l_extendedprice": _MONEY,
    "l_discount": _MONEY,
    "l_tax": _MONEY,
    "l_returnflag": _TEXT,
    "l_linestatus": _TEXT,
    "l_shipdate": _DAY,
    "l_commitdate": _DAY,
    "l_receiptdate": _DAY,
    "l_shipinstruct": _TEXT,
    "l_shipmode": _TEXT,
    "l_comment": _TEXT,
}


@contextmanager
def _contenders(setting: Setting) -> Iterator[Sequence[Contender]]:
    file = setting.files.csv
    rows = rows_of(setting.files.lineitem)
    given = [part for name, (kind, _) in _TYPES.items() for part in ("--type", f"{name}={kind}")]
    types = {name: kind for name, (_, kind) in _TYPES.items()}
    with sink() as server:
        yield [
            *(
                Contender(
                    _name(way),
                    functools.partial(
                        push, server.url, file, "--orientation", way, *given, rows=rows
                    ),
                )
                for way in ("column", "row")
            ),
            Contender(READING, functools.partial(read_csv, file, types, rows)),
        ]


def _name(orientation: str) -> str:
    return f"push from CSV, {orientation}s"


GROUP = Group(
    name="csv",
    needs=("lineitem", "csv"),
    contenders=_contenders,
    columns=(
        ROW_RATE,
        JSON_RATE,
        MEDIAN,
        SPREAD,
        CPU,
        versus("x reading the CSV", READING),
        RUNS,
    ),
    comparisons=(
        Comparison(
            "whole push from CSV, columns, against pyarrow's streaming read alone",
            lambda results: row_ratio(results[_name("column")], results[READING]),
            0.6,
            0.8,
        ),
    ),
)
