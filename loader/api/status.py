"""What a publish status means: the server's number becomes one of four states."""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["PublishState", "PublishStatus", "publish_state"]


class PublishState(enum.Enum):
    """What the caller should do next: wait, go on, give up, or give up after a limit."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class PublishStatus:
    """The answer to "has the dataset been published?".

    Attributes:
        state: What the code means.
        code: The server's number.
        message: The server's words ("result ready"), perhaps empty.
    """

    state: PublishState
    code: int
    message: str


# Only 1 (finished) and 6 (still in processing) are documented; the others follow from the server's
# enumeration of job states, as public clients list it.
_DONE = 1
_FAILED = frozenset({3, 18})
_LAST_KNOWN = 24


def publish_state(code: int) -> PublishState:
    """Returns the state a status code stands for.

    Source: multiple-requests document, "Check to see if the dataset has been published".
    """
    if code == _DONE:
        return PublishState.DONE
    if code in _FAILED:
        return PublishState.FAILED
    if 0 <= code <= _LAST_KNOWN:
        return PublishState.RUNNING
    return PublishState.UNKNOWN
