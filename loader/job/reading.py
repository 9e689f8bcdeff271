"""Reads the blocks of a source in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor

from loader.job.blocks import Block
from loader.sources import Batch

__all__ = ["NextBlock", "reading"]

NextBlock = Callable[[], Awaitable[Block | None]]


@contextlib.asynccontextmanager
async def reading(
    batches: Generator[Batch, None, None],
    blocks: Callable[[Iterable[Batch]], Generator[Block, None, None]],
    reader: Executor,
) -> AsyncIterator[NextBlock]:
    """Gives a function that reads the next block; at the end, closes the source.

    Args:
        batches: The rows of the source.
        blocks: Makes blocks of them.
        reader: One thread: a generator cannot be closed while another thread runs it.
    """
    loop = asyncio.get_running_loop()
    stopped = threading.Event()
    pieces = blocks(_until(stopped, batches))

    def close() -> None:
        pieces.close()
        batches.close()

    try:
        yield lambda: loop.run_in_executor(reader, next, pieces, None)
    finally:
        # It may be far from a block's end, where a condition leaves few rows.
        stopped.set()
        await loop.run_in_executor(reader, close)


def _until(stopped: threading.Event, batches: Iterable[Batch]) -> Iterator[Batch]:
    """Yields batches until nobody wants them any more."""
    for batch in batches:
        if stopped.is_set():
            return
        yield batch
