"""How many PUTs at once: found by throughput while a load goes on, without I/O or a clock."""

from __future__ import annotations

import enum

__all__ = ["FIRST", "Fixed", "Reason", "Tuner"]

FIRST = 3
"""PUTs at once in the beginning: a load of ten chunks has no time to grow from one."""

WORTH = 0.07
"""The gain that another limit must bring: less may be the weather of a shared machine."""

PATIENCE = 50
"""Chunks after which a settled limit is questioned: servers change during long loads.

Each time it takes twice as many, up to eight times.
"""

# A limit is judged by its first chunk alone if it brings so much more or less; by n, if an n-th.
_DOUBT = 0.4
# For each failure, so many times ``limit`` chunks must go well, or the limit is to blame for it.
_CHANCE = 2


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

    - PUTs that began under a limit, and had full company, are its samples: by Little's law its
      throughput is ``limit`` times their bytes over their seconds. The more it differs from the
      best so far, the fewer samples decide; with twice as many samples as PUTs a gain of less than
      ``WORTH`` is none.
    - While a step brings at least half of what it could, the limit doubles; then it grows by one.
    - Where more brought no more, it settles; where more was slower, it tries what lies between.
    - Failures that are no rare chance halve it, and it stays below the limit they happened at.
    - Settled, it tries one PUT more now and then.

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
        self._first = self.limit
        self._most = most
        # What limits bring, in bytes a second: those tried since the last back-off.
        self._rates: dict[int, float] = {}
        # Where failures were too many, and the lowest limit not to be tried because of them.
        self._failed: set[int] = set()
        self._ceiling = most + 1
        # What successes have earned, and failures use up.
        self._credit = 0
        # Samples since the last back-off or the last try of one more, and how many it takes.
        self._calm = 0
        self._patience = PATIENCE
        self._settled: tuple[Reason, str] | None = None
        self._calls = self._starved = 0
        self._exhausted = False
        self._enter(self.limit, float("-inf"))

    def __repr__(self) -> str:
        return (
            f"<Tuner {self.why}; {self._bytes:.0f} bytes in {self._seconds:.3f} s, {self._rates}>"
        )

    # -- what happens ------------------------------------------------------------------------------

    def accepted(self, now: float, size: int, *, began: float, starved: bool) -> None:
        """Notes that a PUT ended with 2xx.

        Args:
            now: When, in seconds of any monotonic clock.
            size: Its bytes of JSON.
            began: When its first attempt began.
            starved: Whether, at any time since the call before, one more PUT was allowed and there
                was no chunk for it.
        """
        if self._exhausted:
            return
        # Before the first chunk there is none for anybody: that says nothing.
        if starved and self._calls:
            self._starved += 1
            self._valid_from = now
        self._calls += 1
        if began < self._valid_from:
            return
        self._credit = min(self._credit + 1, 2 * _CHANCE * self.limit)
        self._calm += 1
        self._bytes += size
        self._seconds += now - began
        self._samples += 1
        self._judge(now)

    def failed(self, now: float, *, began: float) -> None:
        """Notes that an attempt failed as it does when a server is overloaded or away.

        Args:
            now: When, by the same clock.
            began: When the first attempt of this PUT began. What was under way together fails
                together, and again while it goes on in the places it has: that is answered once.
        """
        if self._exhausted or began < self._entered:
            return
        limit = self.limit
        self._credit -= _CHANCE * limit
        if self._credit >= 0:
            return
        # A single failure at the beginning never leads to sending one by one, which is slow.
        if limit > 1 and (limit > self._first or limit in self._failed):
            self._ceiling = limit
        self._failed.add(limit)
        self._calm = self._credit = 0
        self._rates.clear()
        self._settled = None
        self._enter(max(1, limit // 2), now)

    def exhausted(self) -> None:
        """Notes that nothing is left to begin: what ends from now on had ever less company."""
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
        short = "the load was too short to find out" if self._exhausted else "still trying"
        return Reason.TRYING, _words(self.limit, short)

    # -- how it decides ----------------------------------------------------------------------------

    def _enter(self, limit: int, now: float) -> None:
        """Begins to measure a limit: what began before is no sample of it."""
        self.limit = limit
        self._entered = self._valid_from = now
        self._samples = 0
        self._bytes = self._seconds = 0.0

    def _judge(self, now: float) -> None:
        """Decides where to go, when there are enough samples."""
        rate = self.limit * self._bytes / max(self._seconds, 1e-9)
        if self.limit in self._rates:
            if self._calm >= self._patience and self.limit < self._most:
                self._calm = 0
                self._patience = min(2 * self._patience, 8 * PATIENCE)
                self._rates = {self.limit: rate}
                self._ceiling = self._most + 1
                self._enter(self.limit + 1, now)
            elif self._samples >= 8 * self.limit:  # the older, the less they say of today
                self._bytes /= 2
                self._seconds /= 2
                self._samples //= 2
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
        """Whether it is known how this limit compares with the best so far."""
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
                return self._step_up(best) if best < self._most else None
            return (best + self._ceiling) // 2 if best + 1 < self._ceiling else None
        if self._rates[above] * (1 + WORTH) >= self._rates[best]:
            return None
        if best + 1 < above:
            return (best + above) // 2
        # Even one more was slower: this one may be too many, too.
        return best - 1 if best > 1 and best - 1 not in self._rates else None

    def _step_up(self, best: int) -> int:
        """Returns twice as many, or one more where the last step brought less than its half."""
        below = max((limit for limit in self._rates if limit < best), default=None)
        if below is not None:
            could = self._rates[below] * (best / below - 1)
            if self._rates[best] - self._rates[below] < could / 2:
                return best + 1
        return min(2 * best, self._most)

    def _settle(self, best: int, now: float) -> None:
        above = min((limit for limit in self._rates if limit > best), default=None)
        if above is not None:
            self._settled = Reason.FLAT, _words(best, f"{above} brought no more")
        elif self._ceiling <= self._most:
            self._settled = Reason.FAILED, _words(best, f"the server failed at {self._ceiling}")
        else:
            self._settled = Reason.MOST, _words(best, "the most there may be")
        self._enter(best, now)


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
