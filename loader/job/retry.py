"""Whether a request that failed is repeated, and when: decisions, without any waiting."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from loader.errors import ApiError, LoaderError, NotFound, Recovery, Unreachable

__all__ = [
    "FIRST_WAIT",
    "LONGEST_WAIT",
    "RetryBudget",
    "Tries",
    "Trouble",
    "longest_wait",
    "trouble_of",
]

FIRST_WAIT = 0.5
"""Seconds that the first pause lasts at most; each further one lasts at most twice as long."""

LONGEST_WAIT = 30.0
"""Seconds that no pause exceeds unless the server asks for more."""

# A proxy or load balancer that cannot reach the server, or gets no answer from it.
_GATEWAY = frozenset({502, 503, 504})
# "Server unreachable" and "service not available": the REST server lost the one behind it.
_LOST_BEHIND = frozenset({"ERR013", "ERR0013", "ERR016", "ERR0016"})


class Trouble(enum.Enum):
    """Whom a failure concerns."""

    LASTING = "lasting"
    """The same request would fail in the same way."""
    CALL = "call"
    """This request may succeed when it is repeated; others are served meanwhile."""
    SERVER = "server"
    """Perhaps nobody is served now: to look once is cheaper than to let everybody find out."""


def trouble_of(error: LoaderError) -> Trouble:
    """Returns whom a failure concerns.

    ``SERVER`` is whatever the API itself has not answered: no connection, one that was lost or
    timed out, a 502, 503 or 504 with none of the API's codes, a 404 with none of them (a servlet
    container gives it while the Library is being started), and the API's own word that the
    Intelligence Server is away (ERR013, ERR016). Otherwise the error's ``recovery`` decides.
    """
    if isinstance(error, Unreachable):
        # Certificates do not mend themselves.
        return Trouble.LASTING if error.details.get("phase") == "tls" else Trouble.SERVER
    if _is_nowhere(error):
        return Trouble.SERVER
    if error.recovery is not Recovery.RETRY:
        return Trouble.LASTING
    if isinstance(error, ApiError):
        silent = error.code is None and error.iserver_code is None
        if (silent and error.status in _GATEWAY) or error.code in _LOST_BEHIND:
            return Trouble.SERVER
    return Trouble.CALL


def _is_nowhere(error: LoaderError) -> bool:
    """Whether it is a "not found" that need not come from the API."""
    return isinstance(error, NotFound) and error.code is None and error.iserver_code is None


def longest_wait(failures: int) -> float:
    """Returns the most seconds to wait after so many failures in a row."""
    # Beyond some doublings the power would only overflow.
    return min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(failures - 1, 30))


@dataclass(frozen=True, slots=True)
class RetryBudget:
    """What may be spent on one request.

    Attributes:
        retries: How often it is repeated at most.
        deadline: Seconds after its first failure in which it may be repeated, not counting pauses
            while the whole server was away.
    """

    retries: int
    deadline: float


class Tries:
    """What became of one request so far, and what is to be done next.

    Attributes:
        failures: How often it failed.
    """

    def __init__(self, budget: RetryBudget) -> None:
        """Starts with the whole budget."""
        self._budget = budget
        self._first = 0.0
        self._paused = 0.0
        self._nowhere = False
        self.failures = 0

    def failed(self, error: LoaderError, now: float, draw: float) -> float | None:
        """Notes a failure.

        Args:
            error: What came of the request.
            now: Monotonic seconds.
            draw: A random number from 0 to 1: the pause is that share of the longest one ("full
                jitter"), so that many who failed together do not come back together.

        Returns:
            Seconds to wait before the next try: at least what the server asked for with
            ``Retry-After``, and never beyond the deadline; None when there is none.
        """
        self.failures += 1
        if self.failures == 1:
            self._first = now
        left = self._budget.deadline - (now - self._first - self._paused)
        nowhere_again = self._nowhere and _is_nowhere(error)
        self._nowhere = _is_nowhere(error)
        if (
            trouble_of(error) is Trouble.LASTING
            # The server was looked at since, and answers: it is the request that leads nowhere.
            or nowhere_again
            or self.failures > self._budget.retries
            or left <= 0
        ):
            return None
        asked: float = error.details.get("retry_after") or 0.0
        return min(max(asked, draw * longest_wait(self.failures)), left)

    def paused(self, seconds: float) -> None:
        """Takes out of the account what was waited for the whole server."""
        self._paused += seconds

    def sum_up(self, error: LoaderError, now: float) -> None:
        """Says in the last error how often and for how long the request was tried."""
        if self.failures > 1:
            seconds = now - self._first
            error.details |= {"attempts": self.failures, "seconds": round(seconds, 3)}
            error.add(f"it was tried {self.failures} times in {seconds:.0f} s")
