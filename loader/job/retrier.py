"""Repeats calls until they succeed or their budget is used up."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from loader.errors import LoaderError
from loader.job.gate import Gate
from loader.job.progress import Progress
from loader.job.retry import RetryBudget, Tries, Trouble, trouble_of

__all__ = ["Repeat", "Retrier", "once"]

T = TypeVar("T")

logger = logging.getLogger("loader.job")


class Repeat(Protocol):
    """Makes a call, as often as it sees fit: ``Retrier.call``, or ``once``."""

    async def __call__(self, request: Callable[[], Awaitable[T]], /) -> T:
        """Makes the call."""


async def once(request: Callable[[], Awaitable[T]], /) -> T:
    """Makes a call that its caller repeats, or nobody."""
    return await request()


class Retrier:
    """Makes the calls of one load that may be repeated; all of them share one gate."""

    def __init__(
        self,
        budget: RetryBudget,
        gate: Gate | None,
        progress: Progress,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        draw: Callable[[], float],
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """Takes what it works with.

        Args:
            budget: What may be spent on each call.
            gate: Where calls wait while the server is away; None: no call could tell that it is
                back, so each waits and tries by itself.
            progress: Shows the latest trouble that is not over yet.
            clock: Monotonic seconds.
            sleep: Waits.
            draw: Random numbers from 0 to 1.
            stopping: Whether what fails is not to be repeated any more; asked after each failure
                and around each pause. A pause under way is for ``sleep`` to cut short.
        """
        self._budget = budget
        self._gate = gate
        self._progress = progress
        self._clock = clock
        self._sleep = sleep
        self._draw = draw
        self._stopping = stopping
        self._troubles: dict[object, str] = {}

    async def call(
        self,
        request: Callable[[], Awaitable[T]],
        /,
        *,
        on_retry: Callable[[LoaderError], None] = lambda _: None,
        final: Callable[[LoaderError], bool] = lambda _: False,
    ) -> T:
        """Makes a call, as often as it takes.

        Args:
            request: Makes it; each time in the same way.
            on_retry: Told before each repetition why there is one.
            final: Whether a failure ends it that might pass.

        Raises:
            LoaderError: The last one, which says how often and how long it was tried.
        """
        tries = Tries(self._budget)
        failure: LoaderError | None = None
        try:
            while True:
                if self._gate is not None:
                    await self._gate.passage()
                if failure is not None:
                    self._go_on(tries, failure)
                    on_retry(failure)
                try:
                    return await request()
                except LoaderError as error:
                    failed_at = self._clock()
                    wait = tries.failed(error, failed_at, self._draw())
                    if wait is None or final(error):
                        tries.sum_up(error, failed_at)
                        raise
                    # Without its traceback, which holds on to the chunk.
                    failure = error.with_traceback(None)
                self._go_on(tries, failure)
                logger.info("%s Again after %.1f s.", failure, wait)
                self._show(tries, failure.message)
                if trouble_of(failure) is Trouble.SERVER and self._gate is not None:
                    await self._wait_for_server(self._gate, tries, failure, failed_at)
                self._go_on(tries, failure)
                await self._sleep(max(0.0, failed_at + wait - self._clock()))
        finally:
            self._show(tries, None)

    def _go_on(self, tries: Tries, failure: LoaderError) -> None:
        """Raises the failure if nothing is to be repeated any more."""
        if self._stopping():
            tries.sum_up(failure, self._clock())
            raise failure

    async def _wait_for_server(
        self, gate: Gate, tries: Tries, failure: LoaderError, failed_at: float
    ) -> None:
        answers = await gate.wait_out(
            failure.details.get("retry_after") or 0.0, stopping=self._stopping
        )
        now = self._clock()
        tries.paused(now - failed_at)
        if not answers:
            failure.add(f"the server was away for {now - failed_at:.0f} s")
            failure.details |= {
                "attempts": tries.failures,
                "seconds": round(now - failed_at, 3),
            }
            raise failure

    def _show(self, key: object, trouble: str | None) -> None:
        self._troubles.pop(key, None)
        if trouble is not None:
            self._troubles[key] = trouble
        self._progress.trouble = next(reversed(self._troubles.values()), None)
