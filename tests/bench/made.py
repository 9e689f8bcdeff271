"""Records as a sweep makes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from loader.bench.records import Environment, Failure, Records, Run, Setting, SourceTable
from loader.job.timing import ChunkTimes, Span
from loader.units import MB

COLUMNS = Setting("column", 100 * MB, 4)

ENVIRONMENT = Environment(
    sweep="5weep",
    started="2026-07-03T12:00:00+00:00",
    loader="0.1.0",
    python="3.11.7",
    pyarrow="24.0.0",
    orjson="3.11.7",
    aiohttp="3.14.4",
    compiled=True,
    platform="Linux 6.1 x86_64",
    cores=8,
    memory=32_000_000_000,
    server="https://host.example.com/MicroStrategyLibrary",
    server_version="11.5.0700.0000",
    round_trip=0.004,
    sources=("sales.parquet",),
    tables=(SourceTable(name="sales", rows=1_000_000, columns=7),),
    settings={"repeat": 3, "seed": 1, "time_budget": 1800.0, "memory": 1_000_000_000},
)

CHUNK = ChunkTimes(
    table="sales",
    index=1,
    rows=10,
    json_bytes=1000,
    read=Span(0.0, 0.25),
    encode=Span(0.125, 0.5),
    put=Span(0.5, 1.5),
    attempts=2,
)


def run(setting: Setting = COLUMNS, rate: float = 1000.0, *, repeat: int = 1, **more) -> Run:
    """Returns a run with a throughput."""
    return Run(
        number=repeat,
        order=1,
        orientation=setting.orientation,
        chunk_size=setting.chunk_size,
        concurrency=setting.concurrency,
        repeat=repeat,
        warm_up=repeat == 0,
        began=0.0,
        **{
            "rows": round(rate),
            "chunks": 100,
            "json_bytes": 100 * MB,
            "upload_seconds": 1.0,
            "rows_per_second": rate,
            "stages": {"seconds": 1.0, "server": 0.75, "reading": 0.25, "encoders": 2},
            **more,
        },
    )


def failed(setting: Setting = COLUMNS, *, repeat: int = 1) -> Run:
    """Returns a run that failed."""
    return replace(
        run(setting, 0.0, repeat=repeat), error=Failure(kind="refused", message="no more PUTs")
    )


def records(rates: dict[Setting, Sequence[float]], **environment) -> Records:
    """Returns a sweep of which each setting had these throughputs."""
    return Records(
        replace(ENVIRONMENT, **environment),
        tuple(
            run(setting, rate, repeat=repeat)
            for setting, found in rates.items()
            for repeat, rate in enumerate(found, 1)
        ),
    )
