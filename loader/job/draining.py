"""Stops the tasks of a load, but for work that has begun and is to come to its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import Any

from loader.errors import Interrupted

__all__ = ["Drain"]

logger = logging.getLogger("loader.job")


class Drain:
    """Knows which tasks there are, and which of them are doing what must not be cut off."""

    def __init__(self) -> None:
        self._tasks: Sequence[asyncio.Task[Any]] = ()
        self._under_way: set[asyncio.Task[Any]] = set()
        self._open = False

    def __repr__(self) -> str:
        state = "open" if self._open else "closed"
        return f"<Drain {state}, {len(self._tasks)} tasks, {len(self._under_way)} under way>"

    @property
    def is_open(self) -> bool:
        """Whether everything is on its way out."""
        return self._open

    def check(self) -> None:
        """Raises ``Interrupted`` if everything is on its way out."""
        if self._open:
            raise Interrupted("stopped before anything was published")

    def watch(self, tasks: Sequence[asyncio.Task[Any]]) -> None:
        """Takes the tasks there are; none at the end: they hold on to what they had at hand."""
        self._tasks = tasks

    @contextlib.contextmanager
    def under_way(self) -> Iterator[None]:
        """Lets the current task come to the end of this; what fails while draining is no news."""
        task = asyncio.current_task()
        assert task is not None
        self._under_way.add(task)
        try:
            yield
        except Exception as error:
            if not self._open:
                raise
            # In a group of tasks it would cancel the others that are under way.
            logger.info("A chunk that was under way could not be sent any more: %s", error)
        finally:
            self._under_way.discard(task)

    def open(self) -> bool:
        """Cancels every task that is not in the middle of something; a second time does nothing.

        Returns:
            Whether there is something under way.
        """
        if not self._open:
            self._open = True
            for task in self._tasks:
                if task not in self._under_way:
                    task.cancel()
        return bool(self._under_way)
