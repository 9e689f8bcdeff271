"""How a sweep is stopped: the first wish ends it in order, the second one at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from loader.errors import Interrupted
from loader.eventloop import run_anywhere

__all__ = ["Stopper", "stoppable"]

T = TypeVar("T")

_LOOKS = 0.1
"""Seconds between two looks whether somebody wants a stop."""


class Stopper:
    """Counts the wishes to stop; a signal handler may call ``wish`` at any time.

    Attributes:
        wishes: How often a stop was wished for.
    """

    def __init__(self) -> None:
        self.wishes = 0

    def wish(self) -> None:
        """Wishes for a stop."""
        self.wishes += 1


def stoppable(work: Callable[[], Coroutine[Any, Any, T]], stopper: Stopper, wishes: int) -> T:
    """Runs a coroutine to its end, unless there are so many wishes to stop.

    Raises:
        Interrupted: There are.
    """

    async def watched() -> T:
        task = asyncio.ensure_future(work())
        try:
            while not task.done():
                if stopper.wishes >= wishes:
                    raise Interrupted("stopped")
                await asyncio.wait([task], timeout=_LOOKS)
            return task.result()
        finally:
            task.cancel()
            with contextlib.suppress(BaseException):
                await task

    return run_anywhere(watched)
