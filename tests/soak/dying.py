"""Lets a process kill itself (``kill -9``) at a chosen commit of its journal."""

from __future__ import annotations

import enum
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from loader.job.journal.journal import Journal
from loader.job.journal.tables import Tables

__all__ = ["Death", "Moment", "install"]

_CREATED = "created"


class Moment(enum.Enum):
    """When around a transaction."""

    BEGIN = "before-begin"
    """Nothing of it is written."""
    COMMIT = "before-commit"
    """All of it is written, and nothing of it counts."""
    COMMITTED = "committed"
    """It is on the disk, and nobody has been told."""


@dataclass(frozen=True, slots=True)
class Death:
    """When a process kills itself.

    Attributes:
        kind: The transaction: ``created``, or the name of the method of ``Journal`` that asks for
            it.
        moment: When around it.
        nth: Of the transactions of that kind: this one, from 1.
    """

    kind: str
    moment: Moment
    nth: int = 1

    def __str__(self) -> str:
        return f"{self.kind} {self.moment.value} {self.nth}"

    @classmethod
    def parse(cls, arguments: Sequence[str]) -> Self:
        """Returns what ``str`` wrote."""
        kind, moment, nth = arguments
        return cls(kind, Moment(moment), int(nth))

    @property
    def last_words(self) -> str:
        """What the process says on standard error before it does."""
        return f"dies at: {self}"


def install(death: Death) -> None:
    """Puts itself around every transaction of a journal that writes."""
    _Watch(death).install()


class _Watch:
    """Counts the transactions of the journal, all of which one thread makes."""

    def __init__(self, death: Death) -> None:
        self._death = death
        self._kind = _CREATED
        self._left = death.nth

    def install(self) -> None:
        make, begin, commit = Journal._commit, Tables.begin, Tables.commit

        def make_one(journal: Journal, work: Callable[[Tables], Any]) -> Any:
            # "Journal.accepted.<locals>.<lambda>"
            self._kind = work.__qualname__.split(".")[1]
            return make(journal, work)

        def begin_one(tables: Tables, *, writing: bool = True) -> None:
            if writing:
                self._at(Moment.BEGIN)
            begin(tables, writing=writing)

        def commit_one(tables: Tables) -> None:
            self._at(Moment.COMMIT)
            commit(tables)
            self._at(Moment.COMMITTED)

        Journal._commit = make_one  # type: ignore[method-assign, assignment] # that is the point
        Tables.begin = begin_one  # type: ignore[method-assign, assignment] # the same
        Tables.commit = commit_one  # type: ignore[method-assign, assignment] # the same

    def _at(self, moment: Moment) -> None:
        if (self._kind, moment) != (self._death.kind, self._death.moment):
            return
        self._left -= 1
        if self._left == 0:
            os.write(2, f"{self._death.last_words}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)
