"""How the PUTs of a load went: which were sent again and why, and what their time depends on."""

from __future__ import annotations

import math
from typing import Final

from loader.errors import ApiError, LoaderError, Unreachable

__all__ = ["Puts"]

_BUSY = frozenset({429, 503})
_LATE = frozenset({408, 504})


class Puts:
    """Sums over the PUTs of a load.

    Attributes:
        count: Those that succeeded.
        json_bytes: Their decoded JSON.
        busy: How often a PUT was sent again because the server had no room for it.
        late: How often one was sent again because its answer was cut off, or came too late.
    """

    FEWEST: Final = 8
    """PUTs below which they say nothing about how their time depends on their bytes."""

    SPREAD: Final = 0.05
    """The same of the standard deviation of their sizes, relative to the mean."""

    def __init__(self) -> None:
        self.count = self.json_bytes = self.busy = self.late = 0
        self._seconds = self._waiting = 0.0
        # Sums of products, for a straight line of seconds over bytes.
        self._bytes_bytes = self._bytes_seconds = self._seconds_seconds = 0.0

    def __repr__(self) -> str:
        return (
            f"<Puts {self.count} succeeded, {self.busy} met a busy server, {self.late} were late>"
        )

    def sent_again(self, failure: LoaderError) -> None:
        """Notes that a PUT is sent again, and why."""
        if isinstance(failure, ApiError):
            self.busy += failure.status in _BUSY
            self.late += failure.status in _LATE
        elif isinstance(failure, Unreachable):
            # Whether somebody hung up or nobody answered: the body was there, and no answer came.
            self.late += failure.details.get("phase") == "answer"

    def answered(self, json_bytes: int, seconds: float, waiting: float) -> None:
        """Notes that a PUT succeeded.

        Args:
            json_bytes: Its decoded JSON.
            seconds: How long it took.
            waiting: What of that came after its last byte was handed to the network.
        """
        self.count += 1
        self.json_bytes += json_bytes
        self._seconds += seconds
        self._waiting += waiting
        self._bytes_bytes += json_bytes * json_bytes
        self._bytes_seconds += json_bytes * seconds
        self._seconds_seconds += seconds * seconds

    @property
    def waiting(self) -> float:
        """What share of their time came after their last byte was handed to the network."""
        return self._waiting / self._seconds if self._seconds else 0.0

    @property
    def grows(self) -> bool | None:
        """Whether most of a PUT's time grows with its bytes; None: their sizes are too much alike.

        It is a line of least squares that tells, with two standard errors to either side.
        """
        count = self.count
        if count < self.FEWEST or not self._seconds:
            return None
        size, seconds = self.json_bytes / count, self._seconds / count
        of_sizes = self._bytes_bytes - count * size * size
        if of_sizes < count * (self.SPREAD * size) ** 2:
            return None
        slope = (self._bytes_seconds - count * size * seconds) / of_sizes
        of_seconds = self._seconds_seconds - count * seconds * seconds
        error = math.sqrt(max(0.0, of_seconds - slope * slope * of_sizes) / (count - 2) / of_sizes)
        growing, doubt = slope * size / seconds, 2 * error * size / seconds
        if growing - doubt >= 0.5:  # noqa: PLR2004 - half of it
            return True
        return False if growing + doubt < 0.5 else None  # noqa: PLR2004 - the same
