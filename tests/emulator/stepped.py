"""A clock of which many sleep at once: they wake up in order, and only while a test runs it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math

_STEPS = 1_000_000
_TURNS = 12
"""Turns of the loop after which whoever woke up has gone back to sleep."""


class SteppedClock:
    """Time that passes from one awakening to the next.

    Args:
        lag: Seconds by which everybody wakes up late, as on a busy machine.
    """

    def __init__(self, lag: float = 0.0) -> None:
        self.time = 1000.0
        self._lag = lag
        self._beds: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = itertools.count()

    @property
    def asleep(self) -> int:
        return sum(not future.done() for _, _, future in self._beds)

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        heapq.heappush(self._beds, (self.time + seconds, next(self._count), future))
        await future

    async def run(self, seconds: float = math.inf) -> None:
        """Lets so much time pass; without a number, as much as anybody sleeps."""
        end = self.time + seconds
        for _ in range(_STEPS):
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            while self._beds and self._beds[0][2].done():  # cancelled
                heapq.heappop(self._beds)
            if not self._beds or self._beds[0][0] > end:
                break
            when, _, future = heapq.heappop(self._beds)
            self.time = max(self.time, when + self._lag)
            future.set_result(None)
        if math.isfinite(end):
            self.time = max(self.time, end)
