"""Tables whose rows are good or bad as a word tells, and pipelines over them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from unittest import mock

import pyarrow as pa

from loader.badrow import BadRow
from loader.encode import Chunk
from loader.job import interpret, prepare
from loader.job import pipeline as stages_of_a_load
from loader.job.cuts import Cut
from loader.job.pipeline import Pipeline
from loader.job.progress import Progress
from loader.job.rejects import Rejects
from loader.planning import ChunkRules
from loader.sources import Batch, Source

FAR = 9_000_000  # a day in the year 26,611, which has no ISO 8601 text


def lines(kinds: str, batch: int = 7) -> pa.Table:
    """One row for each letter, in batches of some rows.

    ``g`` is a good one; ``s`` has a text that is no number, which is found before blocks are made;
    ``e`` a day that the encoder refuses.
    """
    schema = pa.schema([("n", pa.string()), ("day", pa.date32())])
    parts = []
    for start in range(0, len(kinds), batch):
        rows = range(start, min(start + batch, len(kinds)))
        numbers = [f"x{row}" if kinds[row] == "s" else str(row) for row in rows]
        days = pa.array([FAR if kinds[row] == "e" else row for row in rows], pa.int32())
        columns = [pa.array(numbers, pa.string()), days.view(pa.date32())]
        parts.append(pa.RecordBatch.from_arrays(columns, schema=schema))
    return pa.Table.from_batches(parts, schema)


class Watched:
    """A source that knows what was asked of it, how far it was read and whether it was closed."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.skips: list[int] = []
        self.read = 0
        self._left = threading.Event()

    @property
    def closed(self) -> bool:
        return self._left.is_set()

    async def left(self) -> None:
        """Waits until it was closed."""
        assert await asyncio.to_thread(self._left.wait, 60)

    def batches(
        self, batch_bytes: int, columns: Sequence[str] | None = None, skip: int = 0
    ) -> Iterator[Batch]:
        self.skips.append(skip)
        batches = self._source.batches(batch_bytes, columns, skip)
        try:
            for batch in batches:
                self.read += batch.data.num_rows + len(batch.rejected)
                yield batch
        finally:
            batches.close()
            self._left.set()


class Run:
    """One pass of a pipeline over tables, and what it sent."""

    def __init__(
        self,
        sources: Mapping[str, Any],
        rules: ChunkRules,
        cuts: Mapping[str, Sequence[Cut]] | None = None,
        reread: bool = False,
        options: Mapping[str, Any] | None = None,
        **sizes: Any,
    ) -> None:
        given = {"on_bad_row": "skip", "types": {"n": "BIGINTEGER"}, **(options or {})}
        prepared = prepare(sources, *interpret({"dataset": "d", **given}))
        self.sources = {table.name: Watched(source) for table, source in prepared.tables}
        self.sent: list[Chunk] = []
        self.bad: list[BadRow] = []
        self.progress = Progress()
        rejects = Rejects(prepared.settings, "d")
        take = rejects.take

        async def noting(table: str, rows: int, bad: Sequence[BadRow]) -> None:
            self.bad += bad
            await take(table, rows, bad)

        rejects.take = noting
        self.rejects = rejects
        small = {"rules": rules, "json_budget": 100_000, "batch_bytes": 1000, "encoders": 2}
        sizes = {**small, "senders": 2, "window": 4, **sizes}
        self.pipeline = Pipeline(
            replace(prepared.stages, **sizes),
            self.progress,
            self.send,
            rejects,
            cuts or {},
            reread=reread,
        )
        self._tables = [(table, self.sources[table.name]) for table, _ in prepared.tables]

    async def send(self, chunk: Chunk) -> None:
        await asyncio.sleep(0)
        self.sent.append(chunk)

    async def __call__(self, block_bytes: int | None = None) -> Run:
        """Runs the pipeline, with blocks of some other size than that of the rules."""
        blocks: Callable[[ChunkRules], int] = (
            stages_of_a_load.block_bytes if block_bytes is None else lambda _: block_bytes
        )
        with mock.patch.object(stages_of_a_load, "block_bytes", blocks):
            await self.pipeline.run(self._tables)
        return self

    def chunks(self, table: str = "t") -> list[Chunk]:
        return sorted((one for one in self.sent if one.table == table), key=lambda one: one.index)


def cuts_of(chunks: Iterable[Chunk], accepted: Collection[int] = ()) -> list[Cut]:
    """What a journal tells of chunks."""
    return [
        Cut(
            index=chunk.index,
            first_row=chunk.first_row,
            end_row=chunk.end_row,
            rows=chunk.rows,
            json_bytes=chunk.json_bytes,
            accepted=chunk.index in accepted,
        )
        for chunk in chunks
    ]


def content(chunk: Chunk) -> tuple[object, ...]:
    """All of a chunk, but how its bytes lie in segments."""
    rows = (chunk.first_row, chunk.rows, chunk.end_row)
    return chunk.table, chunk.index, *rows, chunk.json_bytes, text(chunk)


def text(chunk: Chunk) -> bytes:
    return b"".join(map(bytes, chunk.segments))


def numbers(chunks: Iterable[Chunk]) -> list[int]:
    """The first column of chunks of columns."""
    return [number for chunk in chunks for number in json.loads(text(chunk))[0]]
