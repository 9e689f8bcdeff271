"""Records as a sweep against a server of limited speed leaves them: simulated, not measured."""

from __future__ import annotations

import random
from dataclasses import asdict, replace
from statistics import median

from loader.bench.host import Host
from loader.bench.records import (
    Environment,
    Failure,
    Recommendation,
    Records,
    Run,
    Skipped,
    SourceTable,
)
from loader.bench.report import LoadFacts
from loader.job import Result, Status, TableResult
from loader.job.timing import ChunkTimes, Latencies, Span, StageTimes
from loader.units import MB

ROWS, ROW_BYTES = 6_001_215, 152.0


def environment(**changes) -> Environment:
    return replace(
        Environment(
            sweep="b3f9c2",
            started="2026-03-14T09:12:40+00:00",
            loader="0.1.0",
            python="3.11.9",
            pyarrow="21.0.0",
            orjson="3.11.7",
            aiohttp="3.14.4",
            compiled=True,
            platform="Linux-6.8-x86_64",
            cores=8,
            memory=33_400_000_000,
            server="https://strategy.example.com/MicroStrategyLibrary",
            server_version="11.4.0900.0181",
            round_trip=0.0183,
            sources=("lineitem.parquet",),
            tables=(SourceTable(name="lineitem", rows=ROWS, columns=16),),
            settings={"repeat": 3, "seed": 7, "limit": None, "time_budget": 1800.0},
        ),
        **changes,
    )


def chunk_times(
    chunk_size: int,
    concurrency: int,
    *,
    json_bytes: float = ROWS * ROW_BYTES,
    encode_rate: float = 260e6,
    server_rate: float = 30e6,
    most: float = 110e6,
    chance: random.Random,
    table: str = "lineitem",
) -> list[ChunkTimes]:
    """Plays a load: one reader, one encoder, some senders, a server whose rate they share."""
    count = max(1, round(json_bytes / chunk_size))
    each = json_bytes / count
    free = [0.0] * concurrency
    accepted: list[float] = []
    read_end = encode_end = 0.0
    chunks = []
    for index in range(1, count + 1):
        # Twice as many chunks as senders are alive at once.
        behind = index - 1 - 2 * concurrency
        begin = max(read_end, accepted[behind] if behind >= 0 else 0.0)
        read = Span(begin, begin + each / 600e6 * chance.uniform(0.9, 1.2))
        first_block = max(encode_end, read.begin + 0.1 * read.seconds)
        encode = Span(first_block, first_block + each / encode_rate)
        read_end, encode_end = read.end, encode.end
        sender = min(range(concurrency), key=free.__getitem__)
        began = max(free[sender], encode.end)
        rate = min(server_rate, most / concurrency) * chance.uniform(0.85, 1.1)
        attempts = 1 if chance.random() > 0.04 else 1 + chance.randint(1, 2)
        end = began + 0.12 + each / rate * (1 + 0.5 * (attempts - 1))
        free[sender] = end
        accepted.append(end)
        chunks.append(
            ChunkTimes(
                table=table,
                index=index,
                rows=round(each / ROW_BYTES),
                json_bytes=round(each),
                read=read,
                encode=encode,
                put=Span(began, end),
                attempts=attempts,
            )
        )
    return chunks


def stage_times(chunks: list[ChunkTimes], concurrency: int, publishing: float) -> StageTimes:
    seconds = max(chunk.put.end for chunk in chunks)
    encoding = min(chunk.put.begin for chunk in chunks)
    return StageTimes(
        seconds=seconds,
        reading=0.04 * seconds,
        encoding=min(encoding, 0.5 * seconds),
        server=seconds * 0.96 - min(encoding, 0.5 * seconds),
        reader_busy=sum(chunk.read.seconds for chunk in chunks) * 0.8,
        encoder_busy=sum(chunk.encode.seconds for chunk in chunks),
        put_busy=sum(chunk.put.seconds for chunk in chunks),
        encoders=2,
        senders=concurrency,
        publishing=publishing,
    )


def latencies_of(chunks: list[ChunkTimes]) -> Latencies:
    latencies = Latencies()
    for chunk in chunks:
        latencies.add(chunk.put.seconds)
    return latencies


def one_run(
    orientation="column",
    chunk_size=100 * MB,
    concurrency=4,
    repeat=1,
    number=1,
    *,
    seed=0,
    **more,
) -> Run:
    chance = random.Random(f"{seed} {orientation} {chunk_size} {concurrency} {repeat}")
    wide = 1.0 if orientation == "column" else 1.42
    chunks = chunk_times(
        chunk_size,
        concurrency,
        json_bytes=ROWS * ROW_BYTES * wide,
        most=110e6 if concurrency < 8 else 104e6,
        chance=chance,
        **more,
    )
    times = stage_times(chunks, concurrency, 11.5 * chance.uniform(0.92, 1.08))
    latencies = latencies_of(chunks)
    json_bytes = sum(chunk.json_bytes for chunk in chunks)
    return Run(
        number=number,
        order=number,
        orientation=orientation,
        chunk_size=chunk_size,
        concurrency=concurrency,
        repeat=repeat,
        warm_up=repeat == 0,
        began=20.0 * number,
        rows=ROWS,
        chunks=len(chunks),
        json_bytes=json_bytes,
        wire_bytes=round(json_bytes * 1.334),
        retries=sum(chunk.attempts - 1 for chunk in chunks),
        upload_seconds=times.seconds,
        publish_seconds=times.publishing,
        rows_per_second=ROWS / times.seconds,
        json_rate=json_bytes / times.seconds,
        wire_rate=json_bytes * 1.334 / times.seconds,
        put_p50=latencies.quantile(0.5),
        put_p95=latencies.quantile(0.95),
        put_p99=latencies.quantile(0.99),
        stages=asdict(times),
        cpu_seconds=chance.uniform(4.5, 5.5) * wide,
        peak_memory=round((180 + concurrency * chunk_size / MB * 0.6) * MB),
        timeline=tuple(chunks),
    )


def failed(run: Run, kind="Unavailable", message="the server answered 503 nine times") -> Run:
    return Run(
        number=run.number,
        order=run.order,
        orientation=run.orientation,
        chunk_size=run.chunk_size,
        concurrency=run.concurrency,
        repeat=run.repeat,
        warm_up=run.warm_up,
        began=run.began,
        error=Failure(kind=kind, message=message),
    )


def recommendation(**changes) -> Recommendation:
    return replace(
        Recommendation(
            orientation="column",
            chunk_size=50 * MB,
            concurrency=4,
            rows_per_second=690_000.0,
            reason="It is the fastest setting within the noise of the runs; 8 PUTs at once gain "
            "nothing more, and only make each of them wait longer.",
            command="mstr-loader push lineitem.parquet --url "
            "https://strategy.example.com/MicroStrategyLibrary --orientation column "
            "--chunk-size 50MB --concurrency 4",
        ),
        **changes,
    )


def sweep(
    orientations=("column", "row"),
    sizes=(25, 50, 100, 200),
    concurrencies=(1, 2, 4, 8),
    repeats=3,
    **changes,
) -> Records:
    """A whole sweep: a warm-up, random order, a setting that failed and one that was skipped."""
    grid = [(o, s * MB, c) for o in orientations for s in sizes for c in concurrencies]
    missing = {("row", 200 * MB, 1), ("row", 200 * MB, 2)}
    runs = [one_run(*grid[-1], repeat=0, number=0)]
    for repeat in range(1, repeats + 1):
        order = [one for one in grid if one not in missing]
        random.Random(repeat).shuffle(order)
        for setting in order:
            run = one_run(*setting, repeat=repeat, number=len(runs), seed=repeat)
            runs.append(failed(run) if setting == ("row", 200 * MB, 8) else run)
    skipped = tuple(
        Skipped(
            orientation=o,
            chunk_size=s,
            concurrency=c,
            repeat=None,
            reason="the time budget of 30 min is spent; a run of this setting takes about 95 s",
        )
        for o, s, c in sorted(missing)
        if (o, s, c) in grid
    )
    chosen = [
        run.rows_per_second
        for run in runs
        if run.setting == recommendation().setting and not run.warm_up
    ]
    return Records(
        environment(**changes),
        runs=tuple(runs),
        skipped=skipped,
        recommendation=recommendation(rows_per_second=median(chosen or [0.0])),
    )


def load_result(chunks: list[ChunkTimes] | None = None, *, concurrency=4, **changes) -> Result:
    """A load that ended well."""
    if chunks is None:
        chunks = chunk_times(25 * MB, concurrency, chance=random.Random(3))
    tables = {}
    for chunk in chunks:
        table = tables.setdefault(chunk.table, TableResult(chunk.table))
        table.rows += chunk.rows
        table.chunks += 1
        table.json_bytes += chunk.json_bytes
    times = stage_times(chunks, concurrency, 12.3)
    result = Result(
        status=Status.PUBLISHED,
        dataset_id="2E0F2B2D4F9C4D0C8B7E6A5D4C3B2A10",
        dataset="Sales",
        job="20260314-091240-7c1e",
        tables=list(tables.values()),
        wire_bytes=round(sum(chunk.json_bytes for chunk in chunks) * 1.334),
        seconds=times.seconds + times.publishing + 1.1,
        retries=sum(chunk.attempts - 1 for chunk in chunks),
        times=times,
        latencies=latencies_of(chunks),
        timeline=chunks,
        time_spent="waiting for the server 95 %, reading 4 %; 3.8 of 4 PUTs under way",
        concurrency="4 PUTs at once: as asked",
        advice="95 % of the time waiting for the server: --concurrency 8 may be faster",
    )
    for name, value in changes.items():
        setattr(result, name, value)
    return result


def facts(**changes) -> LoadFacts:
    return replace(
        LoadFacts(
            started="2026-03-14T09:12:40+00:00",
            sources=("lineitem.parquet",),
            server="https://strategy.example.com/MicroStrategyLibrary",
            project="Tutorial",
            settings={"orientation": "column", "chunk_size": "25MB"},
            host=Host(
                loader="0.1.0",
                compiled=True,
                python="3.11.9",
                pyarrow="21.0.0",
                orjson="3.11.7",
                aiohttp="3.14.4",
                platform="Linux-6.8-x86_64",
                cores=8,
                memory=33_400_000_000,
            ),
        ),
        **changes,
    )


def skipped(reason: str) -> Skipped:
    return Skipped(
        orientation="column", chunk_size=100 * MB, concurrency=4, repeat=2, reason=reason
    )
