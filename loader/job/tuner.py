"""How many PUTs at once: found by throughput while a load goes on, without I/O or a clock."""

from __future__ import annotations

import enum
import math

__all__ = ["FIRST", "Fixed", "Reason", "Tuner"]

FIRST = 3
"""PUTs at once in the beginning: a load of ten chunks has no time to grow from one."""

WORTH = 0.07
"""The gain that another limit must bring: less may be the weather of a shared machine."""

PATIENCE = 50
"""Chunks after which a settled limit is questioned: servers change during long loads.

Each time it takes twice as many, up to eight times.
"""

AFFORDS = 40
"""Chunks after which fewer PUTs are tried: where they bring less, it costs about two chunks."""

# A limit is judged by two rounds of PUTs if it brings so much more or less; else by three.
_CLEAR = 0.12
# After the first round under more PUTs, this much of what fewer brought is less beyond doubt.
_SLOW = 0.6
# A raise that brings so much of what it could is followed by the next at once.
_MUCH = 0.6
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


class _Answers:
    """When answers came, and what they accepted.

    Attributes:
        answers: How many.
    """

    def __init__(self, since: float) -> None:
        self.answers = 0
        self.begin(since)
        self._bytes = 0
        # Sums over answers of seconds, bytes so far, and their products.
        self._t = self._tt = self._y = self._ty = 0.0

    def begin(self, since: float) -> None:
        """Sets from when time is counted."""
        self._since = since

    def add(self, now: float, size: int) -> None:
        """Notes an answer."""
        t = now - self._since
        self.answers += 1
        self._bytes += size
        self._t += t
        self._tt += t * t
        self._y += self._bytes
        self._ty += t * self._bytes

    def mean(self, now: float) -> float:
        """Returns bytes a second since the beginning."""
        return max(self._bytes, 1.0) / max(now - self._since, 1e-9)

    def slope(self) -> float:
        """Returns bytes a second among the answers: the line closest to them.

        PUTs that began together end together: between any two answers there may be a crowd more or
        less of them, which would be most of what a few rounds bring.
        """
        spread = self._tt - self._t * self._t / self.answers
        return max(self._ty - self._t * self._y / self.answers, 1.0) / max(spread, 1e-9)


class Tuner:
    """Finds a number of PUTs at once that brings about as much as any other, and few of those.

    - The throughput of a limit is how fast accepted bytes grow from answer to answer, from the
      first to a PUT that began under the limit: until then the server's queue is still as the limit
      before has left it. Two rounds of ``limit`` answers decide, or three. (The seconds that a PUT
      takes say nothing: after a raise the first ones meet a queue that is not full yet.)
    - One round is enough for the first limit, as a hint, and where a change was far better (then
      nothing is noted of it but that more is worth a try) or far worse.
    - While a step brings at least half of what it could, the limit doubles; then it grows by one.
    - Where more brought no more, it settles; where more was slower, it tries fewer, and what lies
      between.
    - Settled, it tries one PUT more now and then, and, once the load is long enough to pay for it,
      fewer, as long as they bring as much.
    - Failures that are no rare chance halve it, and it stays below the limit they happened at.

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
        # Chunks that were accepted.
        self._calls = self._starved = 0
        # Samples since the last back-off or the last question, and how many it takes.
        self._calm = 0
        self._patience = PATIENCE
        self._settled: tuple[Reason, str] | None = None
        self._exhausted = False
        # Whether nothing was measured yet, and whether the limit before was as good as the best.
        self._is_first = self._came_from_good = True
        # The limit of which only a first round is known.
        self._rough: int | None = None
        self._enter(self.limit, float("-inf"))

    def __repr__(self) -> str:
        return f"<Tuner {self.why}; {self._steady.answers} answers, {self._rates}>"

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
            self._measure(now)
        if not self._calls:
            self._round.begin(began)
        self._calls += 1
        is_sample = began >= self._valid_from
        if is_sample:
            self._credit = min(self._credit + 1, 2 * _CHANCE * self.limit)
            self._calm += 1
        self._round.add(now, size)
        if is_sample or self._steady.answers:
            self._steady.add(now, size)
        self._judge(now)

    def failed(self, now: float, *, began: float) -> None:
        """Notes that an attempt failed as it does when a server is overloaded or away.

        Args:
            now: When, by the same clock.
            began: When the first attempt of this PUT began. What was under way together fails
                together, and again while it goes on in the places it has: that is answered once.
        """
        if began < self._entered:
            return
        limit = self.limit
        self._credit -= _CHANCE * limit
        if self._credit >= 0:
            return
        # A single failure at the beginning never leads to sending one by one, which is slow.
        if limit > 1 and (limit > self._first or limit in self._failed):
            self._ceiling = limit
        self._failed.add(limit)
        self._is_first = False
        self._calm = self._credit = 0
        self._rates.clear()
        self._settled = None
        self._enter(max(1, limit // 2), now)
        if self._exhausted:
            self._settled = Reason.FAILED, _words(self.limit, f"the server failed at {limit}")

    def exhausted(self) -> None:
        """Notes that no chunk comes any more: what ends from now on had ever less company.

        Failures still count: some of the last chunks may not have begun yet.
        """
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
        """Begins to measure a limit."""
        self.limit = limit
        self._entered = now
        self._measure(now)

    def _measure(self, now: float) -> None:
        """Forgets what was measured: PUTs that begin from now on have the company of the limit."""
        self._valid_from = now
        self._round = _Answers(now)
        self._steady = _Answers(now)

    def _judge(self, now: float) -> None:
        """Decides where to go, when what the limit brings is known."""
        if self._is_first:
            # Before the first PUTs there was no queue: one round of them tells enough.
            if self._round.answers == self.limit:
                self._rates[self.limit] = self._round.mean(now)
                self._rough = self.limit
                self._is_first = False
                self._go_on(now)
            return
        is_known = self.limit in self._rates
        if self._rates and not is_known and self._hurries(now):
            return
        if self._steady.answers < 2 * self.limit or self._steady.answers % self.limit:
            return
        rate = self._steady.slope()
        if is_known:
            self._watch(rate, now)
        elif self._is_clear(rate):
            self._rates[self.limit] = rate
            self._go_on(now)

    def _watch(self, rate: float, now: float) -> None:
        """Questions a limit that is settled when its time has come."""
        if self._rough == self.limit:
            self._rates[self.limit] = rate
            self._rough = None
        if self._calm >= self._patience:
            self._question(rate, now)
        elif self._steady.answers >= 8 * self.limit:  # the older, the less they say of today
            self._measure(now)

    def _hurries(self, now: float) -> bool:
        """Goes on after the first round under a limit, if it was far better or far worse."""
        if self._round.answers != self.limit:
            return False
        best = self._best()
        change = self._round.mean(now) / self._rates[best]
        if self.limit < best:
            # What was under way at the change is counted in full: in truth it is even worse. After
            # a limit that was itself too slow that says nothing.
            is_worse = self._came_from_good and change < 1 - 2 * _CLEAR
        else:
            # What is under way now is not counted at all: in truth it is better.
            is_worse = change < _SLOW
            is_better = change > 1 + _MUCH * (self.limit / best - 1)
            if is_better and self.limit < self._most < self._ceiling:
                self._enter(min(2 * self.limit, self._most), now)
                return True
        if is_worse:
            self._rates[self.limit] = self._round.mean(now)
            self._go_on(now)
        return is_worse

    def _question(self, rate: float, now: float) -> None:
        """Tries whether another limit than the settled one has become better."""
        self._calm = 0
        self._patience = min(2 * self._patience, 8 * PATIENCE)
        self._ceiling = self._most + 1
        # How limits compare is taken to be as it was, but the server may be faster or slower now.
        change = rate / self._rates[self.limit]
        self._rates = {n: r * change for n, r in self._rates.items() if n <= self.limit}
        if self.limit < self._most:
            self._enter(self.limit + 1, now)
        else:
            self._go_on(now)

    def _go_on(self, now: float) -> None:
        """Tries another limit, or settles."""
        best = self._best()
        following = self._next(best)
        if following is None:
            self._settle(best, now)
        else:
            self._came_from_good = self._is_good(self.limit)
            self._enter(following, now)

    def _is_good(self, limit: int) -> bool:
        """Whether a limit brings about as much as the best."""
        return self._rates[limit] * (1 + WORTH) >= max(self._rates.values())

    def _is_clear(self, rate: float) -> bool:
        """Whether it is known how this limit compares with the best so far."""
        if self._steady.answers >= 3 * self.limit:
            return True
        best = max(self._rates.values(), default=0.0)
        return not best * (1 - _CLEAR) < rate < best * (1 + _CLEAR)

    def _best(self) -> int:
        """Returns the lowest limit than which none brings notably more."""
        return min(filter(self._is_good, self._rates))

    def _next(self, best: int) -> int | None:
        """Returns the limit that is worth a try; None: there is none."""
        above = min((limit for limit in self._rates if limit > best), default=None)
        if above is None:
            if self._ceiling <= self._most:
                return (best + self._ceiling) // 2 if best + 1 < self._ceiling else None
            return self._step_up(best) if best < self._most else self._step_down(best)
        if self._rates[above] * (1 + WORTH) >= self._rates[best]:
            return self._step_down(best)
        # This one may be too many, too; fewer are tried first, as that takes fewer chunks.
        if best > 1 and best - 1 not in self._rates:
            return best - 1
        return (best + above) // 2 if best + 1 < above else None

    def _step_up(self, best: int) -> int:
        """Returns twice as many, or one more where the last step brought less than its half."""
        below = max((limit for limit in self._rates if limit < best), default=None)
        if below is not None:
            could = self._rates[below] * (best / below - 1)
            if self._rates[best] - self._rates[below] < could / 2:
                return best + 1
        return min(2 * best, self._most)

    def _step_down(self, best: int) -> int | None:
        """Returns a lower limit that may bring as much."""
        if self._calls < AFFORDS:
            return None
        below = max((limit for limit in self._rates if limit < best), default=None)
        if below is None:
            return best - 1 if best > 1 else None
        if below == self._rough and below + 1 == best:  # it may be better than its first round
            del self._rates[below]
            self._rough = None
            return below
        # No PUT brings more in greater company: so many it takes at least.
        enough = math.ceil(below * self._rates[best] / (self._rates[below] * (1 + WORTH)))
        lower = max(enough, below + 1)
        return lower if lower < best else None

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
