"""Repeats calls until they succeed or their budget is used up."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from loader.errors import LoaderError
from loader.job.gate import Gate
from loader.job.progress import Progress
from loader.job.retry import RetryBudget, Tries, Trouble, trouble_of

__all__ = ["Retrier"]

T = TypeVar("T")

logger = logging.getLogger("loader.job")


class Retrier:
    """Makes the calls of one load that may be repeated; all of them share one gate."""

    def __init__(
        self,
        budget: RetryBudget,
        gate: Gate,
        progress: Progress,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        draw: Callable[[], float],
    ) -> None:
        """Takes what it works with.

        Args:
            budget: What may be spent on each call.
            gate: Where calls wait while the server is away.
            progress: Shows the latest trouble that is not over yet.
            clock: Monotonic seconds.
            sleep: Waits.
            draw: Random numbers from 0 to 1.
        """
        self._budget = budget
        self._gate = gate
        self._progress = progress
        self._clock = clock
        self._sleep = sleep
        self._draw = draw
        self._troubles: dict[object, str] = {}

    async def call(
        self,
        request: Callable[[], Awaitable[T]],
        *,
        on_retry: Callable[[LoaderError], None] = lambda _: None,
    ) -> T:
        """Makes a call, as often as it takes.

        Args:
            request: Makes it; each time in the same way.
            on_retry: Told before each repetition why there is one.

        Raises:
            LoaderError: The last one, which says how often and how long it was tried.
        """
        tries = Tries(self._budget)
        try:
            while True:
                await self._gate.passage()
                try:
                    return await request()
                except LoaderError as error:
                    failed_at = self._clock()
                    wait = tries.failed(error, failed_at, self._draw())
                    if wait is None:
                        tries.sum_up(error, failed_at)
                        raise
                    # Without its traceback, which holds on to the chunk.
                    failure = error.with_traceback(None)
                logger.info("%s Again after %.1f s.", failure, wait)
                self._show(tries, failure.message)
                if trouble_of(failure) is Trouble.SERVER:
                    await self._wait_for_server(tries, failure, failed_at)
                await self._sleep(max(0.0, failed_at + wait - self._clock()))
                on_retry(failure)
        finally:
            self._show(tries, None)

    async def _wait_for_server(self, tries: Tries, failure: LoaderError, failed_at: float) -> None:
        answers = await self._gate.wait_out(failure.details.get("retry_after") or 0.0)
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
