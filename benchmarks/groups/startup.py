"""Start-up: whole processes that have next to nothing to do."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.columns import CPU, RUNS, SPREAD
from benchmarks.measure import Column, Comparison, Contender, Group, Sample
from benchmarks.running import COMMAND, push, run, sink
from benchmarks.setting import Setting

__all__ = ["GROUP"]

VERSION = "mstr-loader --version"
HELP = "mstr-loader --help"
PUSH = "mstr-loader push, 1,000 rows"
ROWS = 1000


@contextmanager
def _contenders(setting: Setting) -> Iterator[Sequence[Contender]]:
    few = setting.scratch / "few.parquet"
    with pq.ParquetFile(setting.files.lineitem) as file:
        pq.write_table(pa.Table.from_batches([next(file.iter_batches(batch_size=ROWS))]), few)
    with sink() as server:
        yield [
            Contender(VERSION, functools.partial(_alone, "--version")),
            Contender(HELP, functools.partial(_alone, "--help")),
            Contender(PUSH, functools.partial(_push, server.url, few)),
        ]


def _alone(option: str) -> Sample:
    done = run([COMMAND, option])
    return Sample(done.seconds, figures={"cpu": done.cpu})


def _push(url: str, file: Path) -> Sample:
    sample = push(url, file, rows=ROWS)
    return replace(sample, seconds=sample.figures["process"])


def _within(name: str, bar: float) -> Comparison:
    return Comparison(
        f"{name}, whole process",
        lambda results: results[name].seconds,
        bar,
        bar,
        at_most=True,
        form="{:.2f} s",
    )


GROUP = Group(
    name="startup",
    needs=("lineitem",),
    contenders=_contenders,
    columns=(
        Column("median s", lambda one, _: f"{one.seconds:.3f}"),
        SPREAD,
        CPU,
        RUNS,
    ),
    comparisons=(_within(VERSION, 0.25), _within(HELP, 0.35), _within(PUSH, 1.0)),
)
