"""What makes a stage wait: bytes alive, PUTs at once, indices out of order, a rate."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from loader.job.tuner import Fixed, Tuner

__all__ = ["ByteBudget", "SendWindow", "Slots", "Throttle"]


class ByteBudget:
    """Bytes of JSON that may be alive at once; who wants more waits, first come first served.

    Bytes are reserved before a block is encoded, handed over when they belong to a chunk that is
    being sent, and freed when the server has accepted it. Nothing waits while nothing is being
    sent: what is held back is freed only by going on, and is bounded by the cutter.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._sending = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def __repr__(self) -> str:
        return (
            f"<ByteBudget {self._used} of {self._limit} bytes, {self._sending} being sent, "
            f"{len(self._waiting)} waiting>"
        )

    @property
    def used(self) -> int:
        """Bytes alive."""
        return self._used

    async def reserve(self, amount: int) -> None:
        """Waits until ``amount`` more bytes fit."""
        if not self._waiting and self._fits(amount):
            self._used += amount
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((amount, turn))
        await turn

    def correct(self, reserved: int, actual: int) -> None:
        """Replaces an estimate by what it turned out to be, even beyond the limit."""
        self._used += actual - reserved
        self._wake()

    def hand_over(self, amount: int) -> None:
        """Notes that bytes are now part of a chunk that is being sent."""
        self._sending += amount

    def free(self, amount: int) -> None:
        """Notes that a chunk was accepted and its bytes are gone."""
        self._sending -= amount
        self._used -= amount
        self._wake()

    def _wake(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            amount, turn = self._waiting.popleft()
            if not turn.done():  # else its waiter was cancelled
                self._used += amount
                turn.set_result(None)

    def _fits(self, amount: int) -> bool:
        return self._used + amount <= self._limit or not self._sending


class Slots:
    """Lets as many PUTs go at once as a tuner says.

    Attributes:
        most: The most there ever are, and how many workers share them.
        highest: The most that the tuner has allowed so far.
    """

    def __init__(self, most: int, tuner: Tuner | Fixed, *, clock: Callable[[], float]) -> None:
        self.most = most
        self.highest = tuner.limit
        self._tuner = tuner
        self._clock = clock
        self._taken = 0
        self._waiting: set[int] = set()
        self._idle = 0
        self._starved = False
        self._freed = asyncio.Condition()

    def __repr__(self) -> str:
        return f"<Slots {self._taken} of {self._tuner.limit} taken, {self._idle} workers idle>"

    @contextlib.asynccontextmanager
    async def turn(self, number: int) -> AsyncIterator[None]:
        """Takes a slot once there is a free one and no lower chunk waits for it; frees it after.

        Args:
            number: Which chunk of the load it is for. Whoever has just left a slot would otherwise
                have it again before those that wait are awake, and they would hold their bytes for
                long.
        """
        async with self._freed:
            self._waiting.add(number)
            try:
                await self._freed.wait_for(lambda: self._is_next(number))
                self._taken += 1
            finally:
                self._waiting.remove(number)
                self._freed.notify_all()  # the tuner may have added more than one
        try:
            yield
        finally:
            self._taken -= 1
            async with self._freed:
                self._freed.notify_all()

    def _is_next(self, number: int) -> bool:
        return self._taken < self._tuner.limit and number == min(self._waiting)

    @contextlib.contextmanager
    def idle(self) -> Iterator[None]:
        """Notes that one of ``most`` workers has no chunk."""
        self._idle += 1
        self._starved |= self._is_short
        try:
            yield
        finally:
            self._idle -= 1

    @property
    def _is_short(self) -> bool:
        """Whether there are fewer chunks at hand than may be sent at once."""
        return self.most - self._idle < self._tuner.limit

    @contextlib.contextmanager
    def busy(self, size: int) -> Iterator[None]:
        """Tells the tuner how a slot was used, if what is done in it succeeds.

        Args:
            size: Bytes of JSON of the chunk that is sent.
        """
        began = self._clock()
        yield
        self._tuner.accepted(self._clock(), size, began=began, starved=self._starved)
        self._starved = self._is_short
        self.highest = max(self.highest, self._tuner.limit)

    def exhausted(self) -> None:
        """Tells the tuner that no further chunk comes."""
        self._tuner.exhausted()


class SendWindow:
    """Lets a chunk go only while it is less than ``width`` ahead of the lowest not accepted."""

    def __init__(self, width: int | None) -> None:
        self._width = width
        self._lowest = 0
        self._accepted: set[int] = set()
        self._moved = asyncio.Condition()

    def __repr__(self) -> str:
        return f"<SendWindow lowest not accepted {self._lowest}, width {self._width}>"

    async def enter(self, number: int) -> None:
        """Waits for the turn of the ``number``-th chunk of the load, counted from 0."""
        if self._width is None:
            return
        width = self._width
        async with self._moved:
            await self._moved.wait_for(lambda: number < self._lowest + width)

    async def accepted(self, number: int) -> None:
        """Notes that the server has the chunk."""
        async with self._moved:
            self._accepted.add(number)
            while self._lowest in self._accepted:
                self._accepted.remove(self._lowest)
                self._lowest += 1
            self._moved.notify_all()


class Throttle:
    """Spreads bytes over time so that all senders together stay below a rate."""

    def __init__(
        self,
        rate: float,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._free_at = clock()

    async def spend(self, amount: int) -> None:
        """Waits until ``amount`` bytes more keep to the rate."""
        now = self._clock()
        start = max(now, self._free_at)
        self._free_at = start + amount / self._rate
        if start > now:
            await self._sleep(start - now)
