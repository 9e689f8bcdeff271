"""A model of a slow server: how fast bytes pass, on a clock that tests replace."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

__all__ = ["Clock", "Intake", "Pacer", "SystemClock", "Wire"]

_MB = 1_000_000

_TURN = 0.02
"""Seconds for which one connection has the wire to itself: a short call beside eight large bodies
waits for eight of them. The loop wakes up fifty times a second for it, which costs nothing."""

_READY = 0.1
"""Seconds for which the server may be busy between two pieces of a body without the wire counting
as idle: what comes next was in the buffers all the while."""


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
    waits for the end of that time, as a queue in front of one machine does. So while somebody
    waits, errors of single sleeps do not add up.

    Nothing is saved up while idle. But idleness counts from when the last one left, not from when
    it should have left: a timer that is a millisecond late for each of many short passages would
    otherwise slow the whole down by all of these.

    Args:
        rate: MB (10**6 bytes) a second, or None for no limit.
        clock: Where time comes from.
    """

    def __init__(self, rate: float | None, clock: Clock) -> None:
        self._rate = rate
        self._clock = clock
        self._free_at = 0.0
        self._late = 0.0

    async def passage(self, size: float, *, least: float = 0.0, ready: float = 0.0) -> None:
        """Waits until bytes are through.

        Args:
            size: How many.
            least: Seconds that it takes in any case.
            ready: Seconds since when they could have passed, had they been asked for earlier.
        """
        if self._rate is None:
            if least:
                await self._clock.sleep(least)
            return
        now = self._clock.now()
        begin = max(self._free_at, now - max(self._late, ready))
        self._free_at = through = begin + size / (self._rate * _MB)
        self._late = 0.0
        if least > max(0.0, through - now):
            await self._clock.sleep(least)
            return
        await self._clock.sleep(through - now)
        if through == self._free_at:  # nobody queued up meanwhile: it stands idle now
            self._late = max(0.0, self._clock.now() - through)


class Wire:
    """The network in front of the server: all connections share it, a short turn each.

    Args:
        rate: MB (10**6 bytes) a second, or None for no limit.
        clock: Where time comes from.
    """

    def __init__(self, rate: float | None, clock: Clock) -> None:
        self._pacer = None if rate is None else Pacer(rate, clock)
        self._turn = 0 if rate is None else max(1, int(rate * _MB * _TURN))

    async def passage(self, size: int, *, begins: bool) -> None:
        """Waits until a piece of a body is through.

        Args:
            size: Its bytes.
            begins: Whether it is the first one of its body.
        """
        if self._pacer is None:
            return
        for at in range(0, size, self._turn):
            ready = 0.0 if begins and not at else _READY
            await self._pacer.passage(min(self._turn, size - at), ready=ready)


class Intake:
    """What takes the chunks in: one PUT no faster than one rate, all together than another.

    With n PUTs always under way it takes in ``min(n * stream_rate, rate)``: more of them at once
    help up to a point. More than ``overload`` of them hinder each other, and each costs as much
    more as there are more of them: twice as many halve what passes in all.

    Args:
        rate: MB (10**6 bytes) of JSON a second, all PUTs together; None for no limit.
        clock: Where time comes from.
        stream_rate: MB of JSON a second of each single PUT; None for no limit.
        overload: How many PUTs at once it takes without getting slower; None for any number.
    """

    def __init__(
        self,
        rate: float | None,
        clock: Clock,
        *,
        stream_rate: float | None = None,
        overload: int | None = None,
    ) -> None:
        self._pacer = Pacer(rate, clock)
        self._stream_rate = stream_rate
        self._overload = overload
        self._inside = 0

    async def passage(self, size: int) -> None:
        """Waits until a chunk of ``size`` bytes of JSON is taken in."""
        self._inside += 1
        try:
            crowd = 1.0 if self._overload is None else max(1.0, self._inside / self._overload)
            work = size * crowd
            least = 0.0 if self._stream_rate is None else work / (self._stream_rate * _MB)
            await self._pacer.passage(work, least=least)
        finally:
            self._inside -= 1
