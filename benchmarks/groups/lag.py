"""How late the event loop runs while a load is under way."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.columns import MEDIAN, RUNS, milliseconds
from benchmarks.measure import Column, Contender, Group, Sample
from benchmarks.running import program, require_all, rows_of, sink
from benchmarks.setting import Setting

__all__ = ["GROUP"]


@contextmanager
def _contenders(setting: Setting) -> Iterator[Sequence[Contender]]:
    file = setting.files.lineitem
    rows = rows_of(file)
    with sink() as server:
        yield [
            Contender(f"push, {way}s", functools.partial(_push, server.url, file, way, rows))
            for way in ("column", "row")
        ]


def _push(url: str, file: Path, orientation: str, rows: int) -> Sample:
    result = program("loop_lag.py", url, file, orientation).result
    require_all(result, rows)
    return Sample(result["seconds"], rows, result["json_bytes"], figures=result["lag"])


GROUP = Group(
    name="lag",
    needs=("lineitem",),
    contenders=_contenders,
    columns=(
        milliseconds("median ms", "p50"),
        milliseconds("99th percentile ms", "p99"),
        Column("longest ms", lambda one, _: f"{one.most('longest') * 1e3:.1f}"),
        MEDIAN,
        RUNS,
    ),
)
