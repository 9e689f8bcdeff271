"""The last stage: sends chunks, as many at once as the tuner and the window allow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from loader.encode import Chunk
from loader.job.draining import Drain
from loader.job.limits import ByteBudget, SendWindow, Slots
from loader.job.progress import Progress

__all__ = ["Send", "Sending"]

Send = Callable[[Chunk], Awaitable[None]]


class Sending:
    """Takes chunks over in their order, sends them, and gives the memory of those accepted free."""

    def __init__(
        self,
        send: Send,
        *,
        slots: Slots,
        window: SendWindow,
        budget: ByteBudget,
        drain: Drain,
        progress: Progress,
    ) -> None:
        """Takes what it works with.

        Args:
            send: Sends a chunk; returns when the server has accepted it.
            slots: How many may be sent at once.
            window: How far chunks may run ahead of those not accepted.
            budget: Where the bytes of what was accepted are given back.
            drain: Whether nothing more is to be begun.
            progress: Where accepted chunks are counted.
        """
        self._send = send
        self._slots = slots
        self._window = window
        self._budget = budget
        self._drain = drain
        self._progress = progress
        self._chunks: asyncio.Queue[tuple[int, Chunk] | None] = asyncio.Queue(slots.most)

    async def put(self, number: int, chunk: Chunk) -> None:
        """Takes a chunk over, as soon as there is a place for it in the queue.

        Args:
            number: Which one of the load it is, counted from 0.
            chunk: The chunk.
        """
        await self._chunks.put((number, chunk))

    async def finish(self) -> None:
        """Says that there are no more chunks."""
        for _ in range(self._slots.most):
            await self._chunks.put(None)

    def abandon(self) -> None:
        """Lets go of the chunks in the queue."""
        while not self._chunks.empty():
            self._chunks.get_nowait()

    async def work(self) -> None:
        """Sends chunk after chunk, as one of ``slots.most`` workers."""
        while not self._drain.is_open:
            item = await self._next()
            if item is None:
                self._slots.exhausted()
                return
            await self._send_one(*item)
            # A chunk has 100 MB: it must not live on while this worker waits for the next.
            del item

    async def _next(self) -> tuple[int, Chunk] | None:
        if not self._chunks.empty():
            return self._chunks.get_nowait()
        with self._slots.idle():
            return await self._chunks.get()

    async def _send_one(self, number: int, chunk: Chunk) -> None:
        # In this order: who waits for the window holds no slot that the lowest chunk may need.
        await self._window.enter(number)
        async with self._slots.turn(number):
            with self._drain.under_way(), self._slots.busy(chunk.json_bytes):
                await self._send(chunk)
                await self._window.accepted(number)
                self._budget.free(chunk.json_bytes)
                self._progress.chunks_accepted += 1
                self._progress.rows_accepted += chunk.rows
                self._progress.accepted_bytes += chunk.json_bytes
