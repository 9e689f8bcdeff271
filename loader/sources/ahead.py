"""Work on the items of a stream in several threads, ahead of who wants the outcomes, in order."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Lock
from typing import Final, Generic, TypeVar

__all__ = ["Limits", "ahead", "threads_here"]

_Item = TypeVar("_Item")
_Outcome = TypeVar("_Outcome")

_MOST_THREADS: Final = 4
_A_THREAD: Final = 2  # one item that is worked on, and one that waits for its turn


def threads_here() -> int:
    """Returns how many threads to work with: as many as there are cores, but at most 4.

    With more, whatever is done in order (finding the items, using the outcomes) is the limit.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(_MOST_THREADS, cores or 1))


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is in work at once: taken from the stream, and its outcome not yet used.

    At most ``items`` items, and no further one from ``size`` on: together they are smaller than
    ``size`` and one more item. Of items larger than that there is one at a time.

    Attributes:
        threads: Threads that work.
        items: The most items.
        size: The size from which on no item is taken.
    """

    threads: int
    items: int
    size: int

    @classmethod
    def of(cls, threads: int, item_size: int) -> Limits:
        """Returns limits for items of mostly that size: two for each thread."""
        return cls(threads, _A_THREAD * threads, _A_THREAD * threads * item_size)


def ahead(
    items: Generator[_Item, None, None],
    work: Callable[[_Item], _Outcome],
    size: Callable[[_Item], int],
    limits: Limits,
) -> Generator[_Outcome, None, None]:
    """Yields what ``work`` makes of each item, in order; errors too come in their turn.

    ``items`` runs in one of the threads at a time. An item is in work until the one after it is
    asked for. When the generator ends or is closed, the threads have ended and ``items`` is closed.

    No thread ever waits for who wants the outcomes: even a generator that nobody closes does not
    keep a process from exiting.

    Args:
        items: What is to be worked on.
        work: What is done to each; several threads call it.
        size: The size of an item.
        limits: How much is in work at once.
    """
    pool = ThreadPoolExecutor(limits.threads, thread_name_prefix="mstr-loader-ahead")
    try:
        line = _Line(items, work, size, limits, pool)
        line.go_on()
        while (turn := line.turns.get()) is not None:
            outcome, outcome_size = turn.result()
            del turn
            yield outcome
            del outcome
            line.used(outcome_size)
    finally:
        pool.shutdown(cancel_futures=True)
        items.close()


class _Line(Generic[_Item, _Outcome]):
    """The items in work.

    Attributes:
        turns: A place for the outcome of each item, in order; None after the last.
    """

    def __init__(
        self,
        items: Generator[_Item, None, None],
        work: Callable[[_Item], _Outcome],
        size: Callable[[_Item], int],
        limits: Limits,
        pool: ThreadPoolExecutor,
    ) -> None:
        self.turns: SimpleQueue[Future[tuple[_Outcome, int]] | None] = SimpleQueue()
        self._items = items
        self._work = work
        self._size = size
        self._limits = limits
        self._pool = pool
        self._lock = Lock()
        self._taking = False
        self._in_work = 0
        self._size_in_work = 0

    def go_on(self) -> None:
        """Has a thread take the next item, unless one does, or there is enough in work."""
        with self._lock:
            limits = self._limits
            room = self._in_work < limits.items and self._size_in_work < limits.size
            if self._taking or not room:
                return
            self._taking = True
        self._pool.submit(self._step)

    def used(self, size: int) -> None:
        """Makes room for another item."""
        with self._lock:
            self._in_work -= 1
            self._size_in_work -= size
        self.go_on()

    def _step(self) -> None:
        """Takes an item and works on it, while another thread takes the next one."""
        turn: Future[tuple[_Outcome, int]] = Future()
        try:
            item = next(self._items)
        except StopIteration:
            self.turns.put(None)  # and nobody takes any more
            return
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is told in its turn
            turn.set_exception(error)
            self.turns.put(turn)
            return
        size = self._size(item)
        with self._lock:
            self._taking = False
            self._in_work += 1
            self._size_in_work += size
        self.turns.put(turn)
        try:
            self.go_on()
            turn.set_result((self._work(item), size))
        except BaseException as error:  # noqa: BLE001 - likewise
            turn.set_exception(error)
