"""Reads the blocks of a source in a thread of its own, a little ahead of who wants them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor

from loader.job.blocks import Block
from loader.job.timing import Timed, Timing
from loader.sources import Batch

__all__ = ["NextBlock", "reading"]

NextBlock = Callable[[], Awaitable[Timed[Block | None]]]


@contextlib.asynccontextmanager
async def reading(
    batches: Generator[Batch, None, None],
    blocks: Callable[[Iterable[Batch]], Generator[Block, None, None]],
    reader: Executor,
    *,
    ahead: int,
    timing: Timing,
) -> AsyncIterator[NextBlock]:
    """Gives a function that returns the next block; at the end, closes the source.

    Args:
        batches: The rows of the source.
        blocks: Makes blocks of them.
        reader: One thread: a generator cannot be closed while another thread runs it.
        ahead: How many bytes, by the width of blocks, are read before anybody wants them; one block
            more is under way.
        timing: Measures each block.
    """
    stopped = threading.Event()
    pieces = blocks(_until(stopped, batches))
    ready = _Ready(ahead, stopped)

    def read() -> None:
        """Reads to the end of the source, or of what is wanted, and closes it.

        By itself: whoever waits for that may be stopped a second time.
        """
        try:
            while not stopped.is_set():
                block = timing.timed(lambda: next(pieces, None))
                ready.put(block)
                if block.value is None:
                    return
        except Exception as error:  # noqa: BLE001 - told to who asks for the next block
            ready.deliver(error)
        finally:
            pieces.close()
            batches.close()

    at_work = asyncio.get_running_loop().run_in_executor(reader, read)
    try:
        yield ready.get
    finally:
        # It may be far from a block's end, where a condition leaves few rows.
        ready.stop()
        await at_work


class _Ready:
    """Blocks that were read before anybody asked for them; with enough of them the reader waits."""

    def __init__(self, most: int, stopped: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Timed[Block | None] | Exception] = asyncio.Queue()
        self._most = most
        self._bytes = 0
        self._stopped = stopped
        self._changed = threading.Condition()

    def put(self, block: Timed[Block | None]) -> None:
        """Hands a block over, and waits until another one is wanted."""
        width = block.value.width if block.value is not None else 0
        self.deliver(block)
        with self._changed:
            self._bytes += width
            self._changed.wait_for(lambda: self._bytes <= self._most or self._stopped.is_set())

    def deliver(self, item: Timed[Block | None] | Exception) -> None:
        """Hands over a block, or why there are no more."""
        self._loop.call_soon_threadsafe(self._queue.put_nowait, item)

    async def get(self) -> Timed[Block | None]:
        """Returns the next block; a value of None means that there are no more.

        Raises:
            Exception: What went wrong while it was read.
        """
        item = await self._queue.get()
        if isinstance(item, Exception):
            raise item
        if item.value is not None:
            with self._changed:
                self._bytes -= item.value.width
                self._changed.notify()
        return item

    def stop(self) -> None:
        """Lets the reader go, whose next block nobody wants."""
        self._stopped.set()
        with self._changed:
            self._changed.notify()


def _until(stopped: threading.Event, batches: Iterable[Batch]) -> Iterator[Batch]:
    """Yields batches until nobody wants them any more."""
    for batch in batches:
        if stopped.is_set():
            return
        yield batch
