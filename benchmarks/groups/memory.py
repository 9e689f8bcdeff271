"""Peak memory of whole pushes with defaults, while everything is in flight that may be."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from benchmarks.columns import MEDIAN, PEAK, ROW_RATE, RUNS
from benchmarks.measure import Comparison, Contender, Group
from benchmarks.running import push, rows_of, sink
from benchmarks.setting import Setting

__all__ = ["GROUP"]


@contextmanager
def _contenders(setting: Setting) -> Iterator[Sequence[Contender]]:
    files = {
        "lineitem, scale 1": setting.files.lineitem,
        "lineitem, scale 10": setting.files.large,
        "one row group of 2 GB": setting.files.wide,
    }
    with sink("--latency", str(setting.amounts.memory_latency)) as server:
        yield [
            Contender(
                f"{name}, {way}s",
                functools.partial(push, server.url, file, "--orientation", way, rows=rows_of(file)),
            )
            for name, file in files.items()
            for way in ("column", "row")
        ]


GROUP = Group(
    name="memory",
    needs=("lineitem", "large", "wide"),
    contenders=_contenders,
    columns=(PEAK, ROW_RATE, MEDIAN, RUNS),
    comparisons=(
        Comparison(
            "peak memory with defaults: scale 1, scale 10, one row group of 2 GB",
            lambda results: max(one.most("peak") for one in results.values()) / 1e6,
            1000,
            800,
            at_most=True,
            form="{:,.0f} MB",
        ),
    ),
)
