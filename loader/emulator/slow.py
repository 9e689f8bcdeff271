"""A model of a slow server: latency, bandwidth, ingest rate, on a clock that tests replace."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

__all__ = ["Clock", "Pacer", "SystemClock"]

_MB = 1_000_000


class Clock(Protocol):
    """Where time comes from; every wait and every timeout of the emulator goes through one."""

    def now(self) -> float:
        """Returns seconds since some fixed moment; never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Returns after that many seconds."""


class SystemClock:
    """The machine's monotonic clock."""

    def now(self) -> float:
        """Returns seconds of the monotonic clock."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Sleeps on the running loop."""
        await asyncio.sleep(seconds)


class Pacer:
    """Lets bytes pass no faster than a rate, all callers together, first come first served.

    Each passage reserves the time its bytes take after everything that was reserved before it and
    waits for the end of that time, as a queue in front of one wire does. Nothing is saved up while
    idle.

    Args:
        rate: MB (10**6 bytes) a second, or None for no limit.
        clock: Where time comes from.
    """

    def __init__(self, rate: float | None, clock: Clock) -> None:
        self._rate = rate
        self._clock = clock
        self._free_at = 0.0

    async def passage(self, size: int) -> None:
        """Waits until ``size`` bytes are through."""
        if self._rate is None:
            return
        now = self._clock.now()
        self._free_at = max(self._free_at, now) + size / (self._rate * _MB)
        await self._clock.sleep(self._free_at - now)
