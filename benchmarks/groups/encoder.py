"""The encoder alone, on blocks as a load cuts them, against orjson on rows that are ready."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from benchmarks.columns import (
    JSON_RATE,
    MEDIAN,
    ROW_RATE,
    RUNS,
    SPREAD,
    byte_ratio,
    row_ratio,
    versus,
)
from benchmarks.measure import Column, Comparison, Contender, Failed, Group, Sample
from benchmarks.setting import Setting
from loader.encode import BlockEncoder, Orientation, native_available, row_overhead
from loader.job.blocks import Block, blocks
from loader.job.entry import interpret
from loader.job.prepare import prepare
from loader.job.shape import Shaper
from loader.model import Table
from loader.planning import block_bytes

__all__ = ["GROUP"]

ORJSON = "orjson.dumps, rows of ready Python objects"
ONE_THREAD = "encoder, columns, a pool of one thread"
TWO_THREADS = "encoder, columns, a pool of two threads"


def _encoder(orientation: Orientation) -> str:
    return f"encoder, {orientation.value.lower()}s"


@contextmanager
def _contenders(setting: Setting) -> Iterator[Sequence[Contender]]:
    amounts = setting.amounts
    table, work = _work(setting.files.lineitem, amounts.encoder_rows)
    pieces = [_ready(block) for block in work]
    encoders = {way: BlockEncoder(table, way) for way in (Orientation.COLUMN, Orientation.ROW)}
    kernels = {
        way: BlockEncoder(table, way, native=False) for way in encoders if native_available()
    }
    _require_same(encoders[Orientation.ROW], work[0], pieces[0])
    # The collector would walk through millions of values that nobody lets go.
    gc.collect()
    gc.freeze()

    def passes(over: Callable[[], int]) -> Sample:
        began = time.perf_counter()
        size = sum(over() for _ in range(amounts.encoder_passes))
        seconds = time.perf_counter() - began
        rows = sum(len(piece) for piece in pieces) * amounts.encoder_passes
        return Sample(seconds, rows, size)

    def alone(encoder: BlockEncoder) -> Callable[[], Sample]:
        return lambda: passes(lambda: sum(_encode(encoder, block) for block in work))

    def pooled(threads: int) -> Sample:
        encoder = encoders[Orientation.COLUMN]
        jobs = work * amounts.encoder_passes
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(int, range(threads)))  # they run when the time begins to
            began = time.perf_counter()
            size = sum(pool.map(lambda block: _encode(encoder, block), jobs))
            seconds = time.perf_counter() - began
        return Sample(seconds, sum(len(block.covered) for block in jobs), size)

    try:
        yield [
            Contender(
                ORJSON, lambda: passes(lambda: sum(len(orjson.dumps(piece)) for piece in pieces))
            ),
            *(Contender(_encoder(way), alone(encoder)) for way, encoder in encoders.items()),
            *(
                Contender(f"{_encoder(way)}, not compiled", alone(encoder))
                for way, encoder in kernels.items()
            ),
            Contender(ONE_THREAD, lambda: pooled(1)),
            Contender(TWO_THREADS, lambda: pooled(2)),
        ]
    finally:
        gc.unfreeze()


def _work(file: Path, rows: int) -> tuple[Table, list[Block]]:
    """Returns a table's model and its first rows in the blocks that a load gives its encoders."""
    prepared = prepare({"lineitem": str(file)}, *interpret({"limit": rows}))
    ((table, source),) = prepared.tables
    shaper = Shaper(table)
    batches = source.batches(prepared.stages.batch_bytes, shaper.columns)
    # The same blocks for both ways, so that all contenders have the same rows at a time.
    width = row_overhead(Orientation.ROW, table.column_names)
    cut = blocks(batches, shaper, block_bytes(prepared.stages.rules), width)
    with closing(cut):
        return table, list(cut)


def _encode(encoder: BlockEncoder, block: Block) -> int:
    """Encodes a block, lets the JSON go and returns its size."""
    return encoder.encode(block.parts).size


def _ready(block: Block) -> list[list[Any]]:
    """Returns the rows as Python objects that orjson takes; decimals as texts, the fastest way."""
    rows: list[list[Any]] = []
    for part in block.parts:
        columns = [
            list(map(str, column.to_pylist()))
            if pa.types.is_decimal(column.type)
            else column.to_pylist()
            for column in part.data.columns
        ]
        rows += [list(row) for row in zip(*columns, strict=True)]
    return rows


def _require_same(encoder: BlockEncoder, block: Block, piece: list[list[Any]]) -> None:
    """Shows that both write the same rows."""
    (lane,) = encoder.encode(block.parts).lanes
    ours = orjson.loads(b"[" + b",".join(lane) + b"]")
    theirs = orjson.loads(orjson.dumps(piece))
    alike = [
        [type(mine)(value) for mine, value in zip(*pair, strict=True)]
        for pair in zip(ours, theirs, strict=True)
    ]
    if ours != alike:
        raise Failed("the encoder and orjson do not write the same rows")


def _against_orjson(orientation: Orientation) -> Comparison:
    name = _encoder(orientation)
    return Comparison(
        f"{name}, one thread, against orjson, bytes a second",
        lambda results: byte_ratio(results[name], results[ORJSON]),
        1.5,
        1.8,
    )


GROUP = Group(
    name="encoder",
    needs=("lineitem",),
    contenders=_contenders,
    columns=(
        ROW_RATE,
        JSON_RATE,
        MEDIAN,
        SPREAD,
        versus("x orjson, rows", ORJSON),
        Column("x orjson, bytes", lambda one, results: f"{byte_ratio(one, results[ORJSON]):.2f}"),
        versus("x one thread", ONE_THREAD),
        RUNS,
    ),
    comparisons=(
        # By bytes and not by rows: orjson's rows are longer, by the quotes around decimals.
        _against_orjson(Orientation.COLUMN),
        _against_orjson(Orientation.ROW),
        Comparison(
            "encoder, two threads against one",
            lambda results: row_ratio(results[TWO_THREADS], results[ONE_THREAD]),
            1.8,
            1.95,
        ),
    ),
)
