"""How many PUTs at once: found by throughput while a load goes on, without I/O or a clock."""

from __future__ import annotations

import enum
from collections import Counter

__all__ = ["FIRST", "Fixed", "Reason", "Tuner"]

FIRST = 2
"""PUTs at once in the beginning: gentle to a server of which nothing is known yet."""

WORTH = 0.07
"""The gain that another limit must bring: less may be the weather of a shared machine."""

PATIENCE = 50
"""Chunks after which a settled limit is questioned: servers change during long loads."""

_DOUBT = 0.4
"""How much more a limit must bring, or less, to be judged by its first chunk alone."""

_CHANCE = 2
"""A limit that held for so many times as many chunks is not to blame for a failure."""



class Reason(enum.Enum):
    """Why so many PUTs go at once."""

    ASKED = "asked"
    """The user, or the way of loading, wants this number."""
    MOST = "most"
    """More are not allowed."""
    FLAT = "flat"
    """More brought no more."""
    FAILED = "failed"
    """With more the server failed."""
    STARVED = "starved"
    """Most of the time there was not enough to send for so many."""
    TRYING = "trying"
    """The load ended before it was found."""


class Tuner:
    """Finds the least number of PUTs at once that brings about as much as any other.

    PUTs that began under a limit and were not short of company are its samples: by Little's law
    ``limit`` times their bytes over their seconds is its throughput. As many samples as PUTs at
    once make a rate, twice as many one that says no to a limit. It starts low and doubles while
    that brings more. A limit that brought no more is left again; where it was slower, what lies
    between is tried. A failure halves the limit, and the limit it happened at is not tried again
    soon. Once settled it tries one more PUT now and then.

    Attributes:
        limit: PUTs allowed at once: from 1 to the most.
    """

    def __init__(self, most: int, first: int = FIRST) -> None:
        """Begins to look.

        Args:
            most: The highest limit ever, from 1.
            first: The limit to begin with, where it is not above ``most``.
        """
        self.limit = max(1, min(first, most))
        self._most = most
        # What limits bring, in bytes a second, since the last failure.
        self._rates: dict[int, float] = {}
        # The lowest limit that is not tried, because of failures.
        self._ceiling = most + 1
        self._held: Counter[int] = Counter()
        self._failures: Counter[int] = Counter()
        self._patience = PATIENCE
        self._settled: tuple[Reason, str] | None = None
        self._calls = self._starved = 0
        self._exhausted = False
        self._enter(self.limit, float("-inf"))

    def __repr__(self) -> str:
        return f"<Tuner {self.why}; {self._bytes} bytes in {self._seconds:.3f} s, {self._rates}>"

    # -- what happens ------------------------------------------------------------------------------

    def accepted(self, now: float, size: int, *, began: float | None = None, starved: bool) -> None:
        """Notes that a PUT ended with 2xx.

        Args:
            now: When, in seconds of any monotonic clock.
            size: Its bytes of JSON.
            began: When the attempt began that succeeded.
            starved: Whether, at any time since the call before, fewer than ``limit`` PUTs were
                under way because no chunk was ready.
        """
        # Before the first chunk nobody has anything to send: that says nothing.
        if starved and self._calls:
            self._starved += 1
            self._valid_from = now
        self._calls += 1
        if self._exhausted or began is None or began < self._valid_from:
            return
        self._held[self.limit] += 1
        self._bytes += size
        self._seconds += now - began
        self._samples += 1
        self._judge(now)

    def failed(self, now: float, *, began: float | None = None) -> None:
        """Notes that an attempt failed as it does when a server is overloaded or away.

        Args:
            now: When, by the same clock.
            began: When the attempt began. One failure is answered once: attempts that were under
                way together fail together.
        """
        if (began is not None and began < self._entered) or self._exhausted:
            return
        limit = self.limit
        self._failures[limit] += 1
        if self._is_to_blame(limit):
            self._ceiling = limit
            self._patience *= 2
        self._rates.clear()
        self._settled = None
        self._enter(max(1, limit // 2), now)

    def exhausted(self) -> None:
        """Notes that nothing more is left to send: what ends now had ever less company."""
        self._exhausted = True

    # -- what was found ----------------------------------------------------------------------------

    @property
    def reason(self) -> Reason:
        """Why it is this limit."""
        return self._found()[0]

    @property
    def why(self) -> str:
        """The limit, and why it is this one, in words."""
        return self._found()[1]

    def _found(self) -> tuple[Reason, str]:
        if self._starved * 2 > self._calls:
            return Reason.STARVED, _words(
                self.limit, "reading and encoding could not keep more busy"
            )
        if self._settled:
            return self._settled
        if self.limit == self._most:
            # Whether fewer would do as well is not known yet: that is no reason to use fewer.
            return Reason.MOST, _words(self.limit, "the most there may be")
        return Reason.TRYING, _words(self.limit, "still trying, the load was too short")

    # -- how it decides ----------------------------------------------------------------------------

    def _enter(self, limit: int, now: float) -> None:
        """Begins to measure a limit: what began before is no sample of it."""
        self.limit = limit
        self._entered = self._valid_from = now
        self._bytes = self._samples = 0
        self._seconds = 0.0

    def _judge(self, now: float) -> None:
        """Decides where to go, when there are enough samples."""
        rate = self.limit * self._bytes / max(self._seconds, 1e-9)
        if self.limit in self._rates:
            if self._samples >= self._patience and self.limit < self._most:
                self._rates = {self.limit: rate}
                self._ceiling = self._most + 1
                self._enter(self.limit + 1, now)
            return
        if not self._is_clear(rate):
            return
        self._rates[self.limit] = rate
        best = self._best()
        following = self._next(best)
        if following is None:
            self._settle(best, now)
        else:
            self._enter(following, now)

    def _is_clear(self, rate: float) -> bool:
        """Whether it is known how this limit compares; the fewer samples, the more it must differ."""
        if not self._rates or self._samples >= 2 * self.limit:
            return True
        best = max(self._rates.values())
        doubt = WORTH + _DOUBT / self._samples
        return not best * (1 - doubt) < rate < best * (1 + doubt)

    def _best(self) -> int:
        """Returns the lowest limit than which none brings notably more."""
        enough = max(self._rates.values())
        return min(limit for limit, rate in self._rates.items() if rate * (1 + WORTH) >= enough)

    def _next(self, best: int) -> int | None:
        """Returns the limit that is worth a try; None: there is none."""
        above = min((limit for limit in self._rates if limit > best), default=None)
        if above is None:
            if self._ceiling > self._most:
                return min(2 * best, self._most) if best < self._most else None
            return (best + self._ceiling) // 2 if best + 1 < self._ceiling else None
        if self._rates[above] * (1 + WORTH) >= self._rates[best]:
            return None
        if best + 1 < above:
            return (best + above) // 2
        # Even one more was slower: this may be too many, too.
        below = max((limit for limit in self._rates if limit < best), default=0)
        return (below + best) // 2 if below + 1 < best else None

    def _settle(self, best: int, now: float) -> None:
        above = min((limit for limit in self._rates if limit > best), default=None)
        if above is not None:
            self._settled = Reason.FLAT, _words(best, f"{above} brought no more")
        elif self._ceiling <= self._most:
            self._settled = Reason.FAILED, _words(best, f"the server failed at {self._ceiling}")
        else:
            self._settled = Reason.MOST, _words(best, "the most there may be")
        self._enter(best, now)

    def _is_to_blame(self, limit: int) -> bool:
        """Whether a failure is put down to the limit it happened at.

        Not where the limit has held for long: connections break now and then. And a single failure
        never leads to sending one by one, which is slow.
        """
        failures = self._failures[limit]
        if limit == 1 or failures * _CHANCE * limit <= self._held[limit]:
            return False
        return limit > FIRST or failures > 1


class Fixed:
    """A number of the user's own, with the ways of a ``Tuner``: it never changes.

    Attributes:
        limit: PUTs allowed at once.
        reason: ``Reason.ASKED``.
        why: The limit, and who wanted it, in words.
    """

    def __init__(self, limit: int, because: str = "as asked") -> None:
        """Takes the number.

        Args:
            limit: PUTs at once, from 1.
            because: Who wants it: the option.
        """
        self.limit = limit
        self.reason = Reason.ASKED
        self.why = _words(limit, because)

    def __repr__(self) -> str:
        return f"<Fixed {self.why}>"

    def accepted(self, now: float, size: int, *, began: float, starved: bool) -> None:
        """Learns nothing."""

    def failed(self, now: float, *, began: float) -> None:
        """Learns nothing."""

    def exhausted(self) -> None:
        """Learns nothing."""


def _words(limit: int, because: str) -> str:
    return f"{limit} PUT{'' if limit == 1 else 's'} at once: {because}"
