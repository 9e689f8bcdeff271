"""The stages of a load: read, encode, cut, send, each waiting only for the next."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace

from loader.encode import (
    BlockEncoder,
    Chunk,
    Encoded,
    Orientation,
    assemble,
    chunk_overhead,
    row_overhead,
)
from loader.errors import EmptySource, SourceError
from loader.job.blocks import Block, blocks
from loader.job.limits import ByteBudget, SendWindow
from loader.job.progress import Progress
from loader.job.rejects import Rejects
from loader.job.shape import Shaper
from loader.model import Table
from loader.planning import ChunkRules, Cutter, block_bytes
from loader.sources import Batch, Source
from loader.units import size

__all__ = ["Pipeline", "Stages", "no_rows"]

Send = Callable[[Chunk], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """The sizes a pipeline works with.

    Attributes:
        orientation: How chunks arrange values.
        rules: Where chunks are cut.
        json_budget: Bytes of JSON alive at once.
        batch_bytes: Bytes of Arrow memory a reader may deliver at once.
        encoders: Encoding threads.
        senders: PUTs at once.
        window: How many chunks may run ahead of the lowest not accepted; None: any number.
        allow_empty: Whether a table may have no rows.
    """

    orientation: Orientation
    rules: ChunkRules
    json_budget: int
    batch_bytes: int
    encoders: int
    senders: int
    window: int | None
    allow_empty: bool


@dataclass(frozen=True, slots=True)
class _Started:
    """A block that an encoder is working on.

    Attributes:
        table: The table it belongs to.
        reserved: Bytes of the budget set aside for it.
        encoding: Its JSON, when it is ready.
    """

    table: Table
    reserved: int
    encoding: asyncio.Future[Encoded]


@dataclass(frozen=True, slots=True)
class _TableEnd:
    """Comes after the last block of each table."""

    table: Table


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """Comes after the last block that could be read: what is wrong with those before, comes first.

    Attributes:
        error: Why reading failed.
    """

    error: Exception


class _Collector:
    """Holds the encoded blocks of one table back until the cutter says that they are a chunk."""

    def __init__(self, table: Table, stages: Stages) -> None:
        self._table = table
        self._orientation = stages.orientation
        self._cutter = Cutter(stages.rules, chunk_overhead(stages.orientation, len(table.columns)))
        self._held: list[tuple[int, Encoded]] = []
        self._delivered = 0
        self._index = 0

    @property
    def is_empty(self) -> bool:
        """Whether the table had no rows so far but rejected ones."""
        return not self._index and not self._held

    def add(self, block: Encoded) -> Iterator[Chunk]:
        """Takes the next block; yields the chunks it completes."""
        first_row = self._delivered
        self._delivered += block.rows + len(block.rejected)
        if not block.rows:
            return
        # Held back for long, without what is no part of its chunk.
        self._held.append((first_row, replace(block, rejected=()) if block.rejected else block))
        for count in self._cutter.feed(block.size):
            yield self._chunk(count)

    def finish(self) -> Iterator[Chunk]:
        """Yields what is left as the last chunk."""
        for count in self._cutter.finish():
            yield self._chunk(count)

    def _chunk(self, count: int) -> Chunk:
        taken = self._held[:count]
        del self._held[:count]
        self._index += 1
        return assemble(
            self._table.name,
            self._index,
            taken[0][0],
            [block for _, block in taken],
            self._orientation,
        )


class Pipeline:
    """Drives the tables of one load through the stages.

    One thread reads, ``encoders`` threads encode, and the event loop cuts and sends: it does
    nothing else that takes time. The queues between the stages are bounded in bytes by
    ``json_budget``.
    """

    def __init__(self, stages: Stages, progress: Progress, send: Send, rejects: Rejects) -> None:
        self._stages = stages
        self._progress = progress
        self._send = send
        self._rejects = rejects
        self._budget = ByteBudget(stages.json_budget)
        self._window = SendWindow(stages.window)
        # Encoders never starve while the cutter is busy, and few blocks wait.
        self._encoded: asyncio.Queue[_Started | _TableEnd | _Unreadable | None] = asyncio.Queue(
            2 * stages.encoders
        )
        self._chunks: asyncio.Queue[tuple[int, Chunk] | None] = asyncio.Queue(stages.senders)
        self._number = 0
        self._non_finite: dict[tuple[str, str], int] = {}
        self._wide: dict[str, tuple[int, int]] = {}

    def warnings(self) -> list[str]:
        """Returns what the user should know about the data that went through."""
        return [
            *(
                f"table {table!r}: {count} chunks hold a single row, of up to {size(largest)}: "
                f"too wide for chunks of at most {size(self._stages.rules.high)}"
                for table, (count, largest) in self._wide.items()
            ),
            *(
                f"table {table!r}, column {column!r}: {lost} NaN or infinite values became null"
                for (table, column), lost in self._non_finite.items()
            ),
        ]

    async def run(self, tables: Sequence[tuple[Table, Source]]) -> None:
        """Loads every table, in order; returns when the last chunk was accepted.

        Raises:
            LoaderError: Reading, encoding or sending failed; all stages have ended by then.
        """
        async with _pool("read", 1) as reader, _pool("encode", self._stages.encoders) as encoders:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._read(tables, reader, encoders))
                    group.create_task(self._cut())
                    for _ in range(self._stages.senders):
                        group.create_task(self._send_chunks())
            except BaseExceptionGroup as failures:
                # The first failure has cancelled the other stages; they have no news of their own.
                raise failures.exceptions[0] from None
            finally:
                self._abandon_blocks()

    async def _read(
        self, tables: Sequence[tuple[Table, Source]], reader: Executor, encoders: Executor
    ) -> None:
        """Reads table after table."""
        try:
            for table, source in tables:
                await self._read_table(table, source, reader, encoders)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told in its turn
            await self._encoded.put(_Unreadable(error))
        else:
            await self._encoded.put(None)

    async def _read_table(
        self, table: Table, source: Source, reader: Executor, encoders: Executor
    ) -> None:
        """Reads block after block and gives each to an encoder."""
        loop = asyncio.get_running_loop()
        encoder = BlockEncoder(table, self._stages.orientation)
        async with self._blocks(table, source, reader) as next_block:
            while (block := await next_block()) is not None:
                self._check_width(block)
                await self._budget.reserve(block.width)
                encoding = loop.run_in_executor(encoders, encoder.encode, block.parts)
                await self._put_or_cancel(_Started(table, block.width, encoding))
        await self._encoded.put(_TableEnd(table))

    def _check_width(self, block: Block) -> None:
        """Refuses a row that would take more memory than there is: blocks so wide hold just one."""
        part = block.parts[0]
        alone = len(block.parts) == part.data.num_rows == 1 and not part.rejected
        if not alone or block.width <= self._stages.json_budget:
            return
        row = part.position(0) + 1
        raise SourceError(
            f"{part.origin}, row {row}: the row has about {size(block.width)} of JSON, and "
            f"--memory leaves {size(self._stages.json_budget)} for all that is on its way",
            hint="raise --memory, or leave a wide column out with --columns",
            file=part.origin,
            row=row,
        )

    @contextlib.asynccontextmanager
    async def _blocks(
        self, table: Table, source: Source, reader: Executor
    ) -> AsyncIterator[Callable[[], Awaitable[Block | None]]]:
        """Gives a function that reads the next block in the reader's thread."""
        loop = asyncio.get_running_loop()
        shaper = Shaper(table)
        batches = source.batches(self._stages.batch_bytes, shaper.columns)
        names = row_overhead(self._stages.orientation, table.column_names)
        stopped = threading.Event()
        pieces = blocks(_until(stopped, batches), shaper, block_bytes(self._stages.rules), names)

        def close() -> None:
            pieces.close()
            batches.close()

        try:
            yield lambda: loop.run_in_executor(reader, next, pieces, None)
        finally:
            # It may be far from a block's end, where a condition leaves few rows.
            stopped.set()
            # In the reader's thread: a generator cannot be closed while another thread runs it.
            await loop.run_in_executor(reader, close)

    async def _put_or_cancel(self, started: _Started) -> None:
        try:
            await self._encoded.put(started)
        except asyncio.CancelledError:
            started.encoding.cancel()
            raise

    def _abandon_blocks(self) -> None:
        """After a failure, leaves no block whose outcome nobody asks for."""
        while not self._encoded.empty():
            item = self._encoded.get_nowait()
            if isinstance(item, _Started):
                item.encoding.cancel()
        # A failure's traceback, in cycles, may hold on to this pipeline for long.
        while not self._chunks.empty():
            self._chunks.get_nowait()

    async def _cut(self) -> None:
        """Collects encoded blocks, table by table, and cuts them into chunks."""
        collector: _Collector | None = None
        while True:
            item = await self._encoded.get()
            if item is None:
                break
            if isinstance(item, _Unreadable):
                raise item.error
            if collector is None:
                collector = _Collector(item.table, self._stages)
            await self._queue_chunks_of(item, collector)
            if isinstance(item, _TableEnd):
                collector = None
            # It holds a block, whose bytes are to die with their chunk and not with the next block.
            del item
        for _ in range(self._stages.senders):
            await self._chunks.put(None)

    async def _queue_chunks_of(self, item: _Started | _TableEnd, collector: _Collector) -> None:
        """Hands over the chunks that a block, or the end of its table, completes."""
        if isinstance(item, _Started):
            block = await item.encoding
            rows = block.rows + len(block.rejected)
            await self._rejects.take(item.table.name, rows, block.rejected)
            self._budget.correct(item.reserved, block.size)
            self._count(item.table, block)
            chunks = collector.add(block)
        elif collector.is_empty:
            self._check_empty(item.table.name)
            return
        else:
            chunks = collector.finish()
        for chunk in chunks:
            await self._queue(chunk, item.table)

    def _check_empty(self, table: str) -> None:
        """Refuses a table without rows, unless that is what the user expects of its source."""
        error = self._rejects.all_rejected(table)
        if error is None and not self._stages.allow_empty:
            error = no_rows(table)
        if error is not None:
            raise error

    def _count(self, table: Table, block: Encoded) -> None:
        self._progress.rows_encoded += block.rows
        self._progress.rows_rejected += len(block.rejected)
        self._progress.encoded_bytes += block.size
        for column, lost in block.non_finite.items():
            place = (table.name, column)
            self._non_finite[place] = self._non_finite.get(place, 0) + lost

    async def _queue(self, chunk: Chunk, table: Table) -> None:
        if chunk.rows == 1 and chunk.json_bytes > self._stages.rules.high:
            count, largest = self._wide.get(table.name, (0, 0))
            self._wide[table.name] = (count + 1, max(largest, chunk.json_bytes))
        # The sizes of the blocks lack the chunk's own brackets.
        overhead = chunk_overhead(self._stages.orientation, len(table.columns))
        self._budget.correct(0, overhead)
        self._budget.hand_over(chunk.json_bytes)
        self._progress.chunks_cut += 1
        await self._chunks.put((self._number, chunk))
        self._number += 1

    async def _send_chunks(self) -> None:
        """Sends chunk after chunk, as one of several workers."""
        while True:
            item = await self._chunks.get()
            if item is None:
                return
            await self._send_one(*item)
            # A chunk has 100 MB: it must not live on while this worker waits for the next.
            del item

    async def _send_one(self, number: int, chunk: Chunk) -> None:
        await self._window.enter(number)
        await self._send(chunk)
        await self._window.accepted(number)
        self._budget.free(chunk.json_bytes)
        self._progress.chunks_accepted += 1
        self._progress.rows_accepted += chunk.rows
        self._progress.accepted_bytes += chunk.json_bytes


def _until(stopped: threading.Event, batches: Iterable[Batch]) -> Iterator[Batch]:
    """Yields batches until nobody wants them any more."""
    for batch in batches:
        if stopped.is_set():
            return
        yield batch


def no_rows(table: str) -> EmptySource:
    """Returns the error for a table without rows."""
    return EmptySource(
        f"table {table!r} has no rows",
        hint="--allow-empty loads it all the same; under the policy replace that empties the table",
        table=table,
    )


@contextlib.asynccontextmanager
async def _pool(name: str, threads: int) -> AsyncIterator[Executor]:
    """Gives a thread pool and, at the end, waits for its threads without blocking the loop."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix=f"mstr-loader-{name}")
    try:
        yield pool
    finally:
        await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)
