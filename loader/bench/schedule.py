"""In which order the runs of a sweep come, and which of them its time still affords."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from loader.bench.records import Setting, Skipped

__all__ = ["Planned", "Schedule"]


@dataclass(frozen=True, slots=True)
class Planned:
    """A run that is due.

    Attributes:
        setting: What to run.
        repeat: Its repetition, from 1.
        order: Its place in the repetition, from 1.
    """

    setting: Setting
    repeat: int
    order: int


class Schedule:
    """Decides which run comes next; knows no clock, and runs nothing.

    Every repetition goes through all settings in an order of its own, so that a server that gets
    slower in the course of an hour slows down all of them alike.

    Where time is short, whole repetitions are left out first. Where not even the first one can be
    afforded, the settings go that are expected to take longest, which leaves time for the most
    settings. A setting is expected to take as long as it took before; one that has not run yet, as
    long as the most similar one.
    """

    def __init__(
        self,
        settings: Sequence[Setting],
        *,
        repeat: int,
        seed: int,
        limit: float | None = None,
    ) -> None:
        """Takes what there is to run.

        Args:
            settings: The settings.
            repeat: How often each is run.
            seed: Of the orders.
            limit: Seconds for the whole sweep; None: it may take as long as it takes.
        """
        self._settings = list(settings)
        self._repeats = repeat
        self._limit = limit
        self._random = random.Random(seed)  # noqa: S311 - an order, not a secret
        self._seconds: dict[Setting, list[float]] = {}
        self._queue: list[Setting] = []
        self._repeat = self._order = 0
        self._skipped: list[Skipped] = []

    def __repr__(self) -> str:
        return (
            f"<Schedule repetition {self._repeat} of {self._repeats}, {len(self._queue)} runs left "
            "in it>"
        )

    @property
    def left(self) -> int:
        """How many runs there are still to come, if time allows."""
        return len(self._queue) + (self._repeats - self._repeat) * len(self._settings)

    def seconds_left(self) -> float | None:
        """Returns how long they are expected to take; None: nobody can tell yet."""
        if not self._seconds:
            return None
        whole = sum(map(self.expected, self._settings))
        return sum(map(self.expected, self._queue)) + (self._repeats - self._repeat) * whole

    def took(self, setting: Setting, seconds: float) -> None:
        """Notes how long a run took, all in all."""
        self._seconds.setdefault(setting, []).append(seconds)

    def give_up(self, setting: Setting, reason: str) -> None:
        """Leaves a setting out of all repetitions to come."""
        self._settings.remove(setting)
        if self._repeat < self._repeats:
            self._skip(setting, None, reason)

    def next(self, elapsed: float) -> Planned | None:
        """Returns the next run; None: that was all.

        Args:
            elapsed: Seconds since the sweep began.
        """
        left = math.inf if self._limit is None else self._limit - elapsed
        if not self._queue and not self._begin_repetition(left):
            return None
        setting = self._affordable(left)
        if setting is None:
            self._leave_out_rest(left)
            return None
        self._queue.remove(setting)
        self._order += 1
        return Planned(setting, self._repeat, self._order)

    def skipped(self) -> list[Skipped]:
        """Returns what was left out since the last call."""
        found, self._skipped = self._skipped, []
        return found

    def expected(self, setting: Setting) -> float:
        """Returns how many seconds a run of a setting is expected to take; 0: nothing is known."""
        if not self._seconds:
            return 0.0
        nearest = min(self._seconds, key=lambda known: _distance(known, setting))
        return statistics.median(self._seconds[nearest])

    def _begin_repetition(self, left: float) -> bool:
        if self._repeat == self._repeats or not self._settings:
            return False
        needed = sum(map(self.expected, self._settings))
        if self._repeat and needed > left:
            for repeat in range(self._repeat + 1, self._repeats + 1):
                for setting in self._settings:
                    self._skip(
                        setting,
                        repeat,
                        f"a whole repetition takes about {_time(needed)}, and {_time(left)} of the "
                        "time budget are left",
                    )
            self._repeat = self._repeats
            return False
        self._repeat += 1
        self._order = 0
        self._queue = self._random.sample(self._settings, len(self._settings))
        return True

    def _affordable(self, left: float) -> Setting | None:
        """Returns the first setting in the queue among as many as can be afforded.

        The others stay: what runs before them may show that they take less than expected.
        """
        affordable = set()
        for setting in sorted(self._queue, key=self.expected):
            left -= self.expected(setting)
            if left < 0:
                break
            affordable.add(setting)
        return next((setting for setting in self._queue if setting in affordable), None)

    def _leave_out_rest(self, left: float) -> None:
        for setting in self._queue:
            self._skip(
                setting,
                self._repeat,
                f"it takes about {_time(self.expected(setting))}, and {_time(left)} of the time "
                "budget are left",
            )
        self._queue = []
        for repeat in range(self._repeat + 1, self._repeats + 1):
            for setting in self._settings:
                self._skip(setting, repeat, "the time budget is used up")
        self._repeat = self._repeats

    def _skip(self, setting: Setting, repeat: int | None, reason: str) -> None:
        self._skipped.append(Skipped.of(setting, repeat, reason))


def _distance(one: Setting, other: Setting) -> float:
    """Returns how unlike two settings are: concurrency decides most about the time of a run."""
    return (
        2 * abs(math.log2(one.concurrency / other.concurrency))
        + abs(math.log2(one.chunk_size / other.chunk_size))
        + (0.5 if one.orientation != other.orientation else 0.0)
    )


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
