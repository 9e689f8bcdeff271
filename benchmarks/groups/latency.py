"""A server that needs long for each PUT: how many at once make up for it."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from benchmarks.columns import MEDIAN, ROW_RATE, RUNS, SPREAD, row_ratio, versus
from benchmarks.measure import Column, Comparison, Contender, Failed, Group, Sample
from benchmarks.running import push, rows_of, sink
from benchmarks.setting import Setting

__all__ = ["GROUP"]

ONE = "concurrency 1"
EIGHT = "concurrency 8"
AUTO = "concurrency auto"


@contextmanager
def _contenders(setting: Setting) -> Iterator[Sequence[Contender]]:
    amounts = setting.amounts
    rows = min(rows_of(setting.files.lineitem), amounts.latency_rows)
    with sink("--latency", str(amounts.latency)) as server:

        def run(concurrency: str) -> Sample:
            sample = push(
                server.url,
                setting.files.lineitem,
                *("--limit", str(rows), "--chunk-size", amounts.latency_chunk),
                *("--concurrency", concurrency),
                rows=rows,
            )
            if sample.figures["chunks"] < amounts.latency_chunks:
                raise Failed(
                    f"{sample.figures['chunks']} chunks; this is about {amounts.latency_chunks}"
                )
            return sample

        yield [
            Contender(name, functools.partial(run, name.removeprefix("concurrency ")))
            for name in (ONE, EIGHT, AUTO)
        ]


GROUP = Group(
    name="latency",
    needs=("lineitem",),
    contenders=_contenders,
    columns=(
        ROW_RATE,
        Column("chunks", lambda one, _: f"{one.figure('chunks'):.0f}"),
        MEDIAN,
        SPREAD,
        versus("x concurrency 1", ONE),
        RUNS,
    ),
    comparisons=(
        Comparison(
            "2 s of latency added to each of 64 PUTs, concurrency 8 against 1",
            lambda results: row_ratio(results[EIGHT], results[ONE]),
            6,
            7.5,
        ),
    ),
)
