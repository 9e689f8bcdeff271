"""The stages of a load: read, encode, cut, send, each waiting only for the next."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType

from loader.encode import (
    BlockEncoder,
    Chunk,
    Encoded,
    Orientation,
    chunk_overhead,
    row_overhead,
)
from loader.errors import EmptySource, SourceError
from loader.job.blocks import Block, blocks
from loader.job.collector import Collector
from loader.job.cuts import Cut, TableCuts
from loader.job.draining import Drain
from loader.job.limits import ByteBudget, SendWindow, Slots
from loader.job.progress import Progress
from loader.job.reading import reading
from loader.job.rejects import Rejects
from loader.job.sending import Send, Sending
from loader.job.shape import Shaper
from loader.job.timing import Limit, Span, Timed, Timing
from loader.job.tuner import Fixed, Tuner
from loader.model import Table
from loader.planning import ChunkRules, block_bytes
from loader.sources import Source
from loader.units import size

__all__ = ["Pipeline", "Stages", "no_rows"]

# How many blocks are read before an encoder is free for them.
_AHEAD = 4


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
        covered: The positions of its rows, rejected ones among them.
        reserved: Bytes of the budget set aside for it.
        read: When it was read.
        encoding: Its JSON, when it is ready.
    """

    table: Table
    covered: range
    reserved: int
    read: Span
    encoding: asyncio.Future[Timed[Encoded]]


@dataclass(frozen=True, slots=True)
class _TableEnd:
    """Comes after the last block of each table.

    Attributes:
        table: The table.
        end_row: How many rows its source has, rejected ones among them.
    """

    table: Table
    end_row: int


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """Comes after the last block that could be read: what is wrong with those before, comes first.

    Attributes:
        error: Why reading failed.
    """

    error: Exception


class Pipeline:
    """Drives the tables of one load through the stages.

    One thread reads, ``encoders`` threads encode, and the event loop cuts and sends: it does
    nothing else that takes time. The queues between the stages are bounded in bytes by
    ``json_budget``.

    It goes on where an earlier process stopped: chunks that were cut are made of the same rows
    under the same index, and those that the server has are not sent again.
    """

    def __init__(
        self,
        stages: Stages,
        progress: Progress,
        send: Send,
        rejects: Rejects,
        cuts: Mapping[str, Sequence[Cut]] = MappingProxyType({}),
        *,
        reread: bool = False,
        timing: Timing | None = None,
        tuner: Tuner | Fixed | None = None,
    ) -> None:
        """Takes what it works with.

        Args:
            stages: The sizes.
            progress: Counts the work of this process: not the rows of chunks that were accepted
                before, however often they are read.
            send: Sends a chunk; returns when the server has accepted it.
            rejects: Judges the bad rows.
            cuts: By table, the chunks that an earlier process has cut: from index 1 on, in order.
            reread: Whether rows that were accepted are read and judged once more, because there
                may be bad ones among them. Otherwise nothing is read of those at the beginning.
            timing: Measures; None: nobody wants to know.
            tuner: Says how many PUTs there are at once; None: as many as there are senders.

        Raises:
            Defect: Cuts are missing, or overlap.
        """
        self._stages = stages
        self._progress = progress
        self._rejects = rejects
        self._cuts = {table: TableCuts(table, found) for table, found in cuts.items()}
        self._reread = reread
        self._timing = timing or Timing()
        self._budget = ByteBudget(stages.json_budget)
        self._window = SendWindow(stages.window)
        self._drain = Drain()
        self._slots = Slots(
            stages.senders, tuner or Fixed(stages.senders), clock=self._timing.clock
        )
        self._sending = Sending(
            send,
            slots=self._slots,
            window=self._window,
            budget=self._budget,
            drain=self._drain,
            progress=progress,
        )
        # Encoders never starve while the cutter is busy, and few blocks wait.
        self._encoded: asyncio.Queue[_Started | _TableEnd | _Unreadable | None] = asyncio.Queue(
            2 * stages.encoders
        )
        # Chunks of the tables before: chunks are counted through for the window.
        self._chunks_before = 0
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

        All stages have ended when it returns or raises.

        Raises:
            Interrupted: ``drain`` was called, and nothing had failed before.
            LoaderError: Reading, encoding or sending failed.
        """
        self._drain.check()
        self._timing.begin()
        async with _pool("read", 1) as reader, _pool("encode", self._stages.encoders) as encoders:
            try:
                async with asyncio.TaskGroup() as group:
                    stages = [self._read(tables, reader, encoders), self._cut()]
                    senders = [self._sending.work() for _ in range(self._stages.senders)]
                    self._drain.watch([group.create_task(one) for one in (*stages, *senders)])
            except BaseExceptionGroup as failures:
                # The first failure has cancelled the other stages; they have no news of their own.
                raise failures.exceptions[0] from None
            finally:
                self._timing.end()
                times = self._timing.times
                times.senders = max(times.senders, self._slots.highest)
                self._drain.watch(())
                self._abandon_blocks()
        self._drain.check()

    def drain(self) -> bool:
        """Stops everything but the sending of chunks that has begun, which comes to its end.

        To be called in the event loop. ``run`` then raises ``Interrupted``, at once if no chunk is
        being sent. Whether the last ones arrive does not matter: what becomes of them is known to
        ``send``. A second call changes nothing.

        Returns:
            Whether chunks are being sent, and ``run`` waits for them.
        """
        return self._drain.open()

    def _cuts_of(self, table: Table) -> TableCuts:
        return self._cuts.get(table.name, TableCuts(table.name))

    async def _read(
        self, tables: Sequence[tuple[Table, Source]], reader: Executor, encoders: Executor
    ) -> None:
        """Reads table after table."""
        try:
            for table, source in tables:
                await self._read_table(table, source, reader, encoders)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told in its turn
            if _is_cancelled():  # closing the source failed, and nobody listens any more
                return
            self._timing.reader_waits(None)
            await self._encoded.put(_Unreadable(error))
        else:
            await self._encoded.put(None)

    async def _read_table(
        self, table: Table, source: Source, reader: Executor, encoders: Executor
    ) -> None:
        """Reads block after block and gives each to an encoder."""
        loop = asyncio.get_running_loop()
        encoder = BlockEncoder(table, self._stages.orientation)
        cuts = self._cuts_of(table)
        end_row = skip = 0 if self._reread else cuts.skippable
        shaper = Shaper(table)
        batches = source.batches(self._stages.batch_bytes, shaper.columns, skip)
        cut_up = functools.partial(
            blocks,
            prepare=shaper,
            block_bytes=block_bytes(self._stages.rules),
            row_bytes=row_overhead(self._stages.orientation, table.column_names),
            first_row=skip,
            ends=cuts.block_ends,
        )
        timing = self._timing
        ahead = _AHEAD * block_bytes(self._stages.rules)
        async with reading(batches, cut_up, reader, ahead=ahead, timing=timing) as next_block:
            while True:
                timing.reader_waits(Limit.READING)
                block, read = await next_block()
                timing.was_read(read)
                if block is None:
                    break
                end_row = block.covered.stop
                if not self._reread and cuts.is_accepted(block.covered.start):
                    continue
                self._check_width(block)
                timing.reader_waits(Limit.SERVER)
                await self._budget.reserve(block.width)
                encode = functools.partial(encoder.encode, block.parts)
                encoding = loop.run_in_executor(encoders, timing.timed, encode)
                started = _Started(table, block.covered, block.width, read, encoding)
                # The rows belong to the encoder now, which lets go of them when it is done.
                del block, encode
                timing.reader_waits(None)
                await self._put_or_cancel(started)
                del started, encoding
        timing.reader_waits(None)
        await self._encoded.put(_TableEnd(table, end_row))

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
        self._sending.abandon()

    async def _cut(self) -> None:
        """Collects encoded blocks, table by table, and cuts them into chunks."""
        collector: Collector | None = None
        while True:
            self._timing.cutter_waits(Limit.ENCODING)
            item = await self._encoded.get()
            if item is None:
                break
            if isinstance(item, _Unreadable):
                raise item.error
            if collector is None:
                collector = await self._collector(item.table)
            await self._queue_chunks_of(item, collector)
            if isinstance(item, _TableEnd):
                self._chunks_before += collector.last_index
                self._timing.table_ends()
                collector = None
            # It holds a block, whose bytes are to die with their chunk and not with the next block.
            del item
        self._timing.cutter_waits(None)
        await self._sending.finish()

    async def _collector(self, table: Table) -> Collector:
        cuts = self._cuts_of(table)
        for index in cuts.accepted:
            await self._window.accepted(self._number(index))
        return Collector(table, self._stages.orientation, self._stages.rules, cuts)

    def _number(self, index: int) -> int:
        """Returns the number of a chunk of the table at hand among those of all tables, from 0."""
        return self._chunks_before + index - 1

    async def _queue_chunks_of(self, item: _Started | _TableEnd, collector: Collector) -> None:
        """Hands over the chunks that a block, or the end of its table, completes."""
        if isinstance(item, _Started):
            block, encode = await item.encoding
            rows = block.rows + len(block.rejected)
            await self._rejects.take(item.table.name, rows, block.rejected)
            accepted = self._cuts_of(item.table).is_accepted(item.covered.start)
            self._budget.correct(item.reserved, 0 if accepted else block.size)
            if not accepted:
                self._timing.block(item.covered.stop, item.read, encode)
            self._count(item.table, block, accepted=accepted)
            chunks = collector.add(item.covered, block)
        elif collector.is_empty:
            self._check_empty(item.table.name)
            return
        else:
            chunks = collector.finish(item.end_row)
        for chunk in chunks:
            await self._queue(chunk, item.table)

    def _check_empty(self, table: str) -> None:
        """Refuses a table without rows, unless that is what the user expects of its source."""
        error = self._rejects.all_rejected(table)
        if error is None and not self._stages.allow_empty:
            error = no_rows(table)
        if error is not None:
            raise error

    def _count(self, table: Table, block: Encoded, *, accepted: bool) -> None:
        if not accepted:
            self._progress.rows_encoded += block.rows
            self._progress.encoded_bytes += block.size
        self._progress.rows_rejected += len(block.rejected)
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
        self._timing.cut(chunk)
        self._timing.cutter_waits(Limit.SERVER)
        await self._sending.put(self._number(chunk.index), chunk)


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


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
