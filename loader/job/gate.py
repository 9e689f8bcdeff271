"""One pause for all workers while the server is away, and one of them that looks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from loader.errors import LoaderError
from loader.job.retry import Trouble, longest_wait, trouble_of

__all__ = ["Gate"]

PROBE_TIMEOUT = 30.0
"""Seconds that one look may take: an answer that takes longer is none that chunks could live by."""


class Gate:
    """Stands open while the server answers.

    Whoever finds the server away closes it and looks, with a cheap call, until the server answers;
    everybody else waits here, and spends nothing of a budget meanwhile. The first look is made at
    once: often it was but one connection that was lost.
    """

    def __init__(
        self,
        probe: Callable[[], Awaitable[object]],
        *,
        limit: float,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        """Opens the gate.

        Args:
            probe: The cheap call.
            limit: Seconds after which an outage is given up.
            clock: Monotonic seconds.
            sleep: Waits.
        """
        self._probe = probe
        self._limit = limit
        self._clock = clock
        self._sleep = sleep
        self._open = asyncio.Event()
        self._open.set()
        self._given_up = False

    def __repr__(self) -> str:
        state = "open" if self._open.is_set() else "closed"
        return f"<Gate {'given up' if self._given_up else state}>"

    async def passage(self) -> None:
        """Returns when the server is not known to be away."""
        await self._open.wait()

    async def wait_out(
        self, asked: float = 0.0, *, stopping: Callable[[], bool] = lambda: False
    ) -> bool:
        """Returns when the server answers again, or is given up.

        Args:
            asked: Seconds that the server asked not to be disturbed.
            stopping: Whether it is to be given up now; asked around each pause.

        Returns:
            Whether it answers.
        """
        if self._open.is_set():
            self._open.clear()
            try:
                self._given_up = not await self._watch(asked, stopping)
            finally:
                self._open.set()
        else:
            await self._open.wait()
        return not self._given_up

    async def _watch(self, asked: float, stopping: Callable[[], bool]) -> bool:
        deadline = self._clock() + self._limit
        if not stopping():
            await self._sleep(min(asked, self._limit))
        looks = 0
        while not stopping():
            if await self._answers():
                return True
            looks += 1
            left = deadline - self._clock()
            if left <= 0 or stopping():
                return False
            # One process looks once: nothing is gained by spreading that at random.
            await self._sleep(min(longest_wait(looks), left))
        return False

    async def _answers(self) -> bool:
        """Whether the API answers, whatever it says."""
        try:
            async with asyncio.timeout(PROBE_TIMEOUT):
                await self._probe()
        except TimeoutError:
            return False
        except LoaderError as error:
            return trouble_of(error) is not Trouble.SERVER
        return True
