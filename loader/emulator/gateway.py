"""What stands between clients and the Intelligence Server: a pool of connections, and impatience.

The REST server has a fixed number of connections to the Intelligence Server. A call that finds none
free waits 10 s for one, and no call is waited for longer than 120 s (vendor's documentation on the
time-outs of the REST server). With what a client is answered then no document says: the statuses
and codes are guesses.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from loader.emulator.refusals import Code, Refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from loader.emulator.slow import Clock

__all__ = ["POOL_WAIT", "AnswerLimit", "Pool"]

_LOG = logging.getLogger("loader.emulator")

POOL_WAIT = 10.0
"""Seconds that a call waits for a connection (vendor's documentation)."""

_REQUEST_TIMEOUT = -2147206497
"""The Intelligence Server's code for a request that took too long (public clients)."""


class Pool:
    """The server's connections, given out first come, first served.

    Args:
        size: How many there are; None for as many as are wanted.
        clock: Where time comes from.
    """

    def __init__(self, size: int | None, clock: Clock) -> None:
        self._size = size
        self._clock = clock
        self._busy = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def busy(self) -> int:
        """How many connections are in use; 0 where there is no limit."""
        return self._busy

    @property
    def waiting(self) -> int:
        """How many calls wait for one."""
        return len(self._waiting)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Holds a connection.

        Raises:
            Refusal: None became free in time (503).
        """
        if self._size is None:
            yield
            return
        if self._busy < self._size:  # then nobody waits: who leaves hands over
            self._busy += 1
        else:
            await self._wait()
        try:
            yield
        finally:
            self._leave()

    async def _wait(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        patience = asyncio.ensure_future(self._clock.sleep(POOL_WAIT))
        try:
            await asyncio.wait({turn, patience}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            if turn.done():
                self._leave()
            raise
        finally:
            patience.cancel()
            with contextlib.suppress(ValueError):
                self._waiting.remove(turn)
        if not turn.done():
            raise Refusal(
                503,
                Code.UNAVAILABLE,
                f"None of the {self._size} connections to the Intelligence Server became free in "
                f"{POOL_WAIT:g} s (--pool).",
            )

    def _leave(self) -> None:
        if self._waiting:
            self._waiting.popleft().set_result(None)
        else:
            self._busy -= 1


class AnswerLimit:
    """Ends the wait for an answer, not the work on it: what was asked for may be done later.

    Args:
        seconds: How long an answer is waited for; None for ever.
        clock: Where time comes from.
    """

    def __init__(self, seconds: float | None, clock: Clock) -> None:
        self._seconds = seconds
        self._clock = clock
        self._left_alone: set[asyncio.Task[None]] = set()

    async def within(self, work: Coroutine[Any, Any, None], begun: asyncio.Event) -> None:
        """Does some work, or gives up waiting for it.

        Args:
            work: What leads to the answer.
            begun: Set by it when the whole request is there: time counts from then on.

        Raises:
            Refusal: It takes too long (504); the work goes on.
        """
        if self._seconds is None:
            await work
            return
        task = asyncio.create_task(work)
        patience = asyncio.create_task(self._run_out(begun, self._seconds))
        try:
            await asyncio.wait({task, patience}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            task.cancel()
            raise
        finally:
            patience.cancel()
        if task.done():
            task.result()
            return
        self._left_alone.add(task)
        task.add_done_callback(self._forget)
        raise Refusal(
            504,
            Code.GENERAL,
            f"The Intelligence Server has not answered in {self._seconds:g} s (--answer-limit); "
            "it may still do what it was asked for.",
            iserver_code=_REQUEST_TIMEOUT,
        )

    async def close(self) -> None:
        """Ends the work that nobody waits for any more."""
        left = list(self._left_alone)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _run_out(self, begun: asyncio.Event, seconds: float) -> None:
        await begun.wait()
        await self._clock.sleep(seconds)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._left_alone.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.warning("what nobody waited for any more failed: %s", error)
