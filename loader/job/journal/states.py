"""The states of a job, and which one may follow which."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

from loader.errors import Defect
from loader.job.result import Status

__all__ = ["JobState", "end_state", "moved"]


class JobState(enum.StrEnum):
    """Where a job stands, by what is on the disk.

    A process that dies leaves its job in one of the first five: that is how far it surely came.
    The others are ends that a process has written down.

    Attributes:
        CREATED: Nothing is on the server yet but perhaps the dataset.
        UPLOADING: An upload session is open.
        UPLOADED: Every chunk was accepted.
        PUBLISHING: The publish is about to be asked for, or was.
        PUBLISHED: The server said that the data is published; the session is still open.
        CLOSED: It ended as it should; nothing is left to be done.
        FAILED: It ended for good, and nothing was published.
        INTERRUPTED: It stopped, and can go on.
        UNKNOWN: Whether the data was published could not be found out.
        CANCELLED: The user gave it up.
    """

    CREATED = "created"
    UPLOADING = "uploading"
    UPLOADED = "uploaded"
    PUBLISHING = "publishing"
    PUBLISHED = "published"
    CLOSED = "closed"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"

    @property
    def is_stage(self) -> bool:
        """Whether it says how far the work has come, and not how it ended."""
        return self in _STAGES

    @property
    def is_uploaded(self) -> bool:
        """Whether a job that came so far had sent every chunk."""
        return self in {JobState.UPLOADED, JobState.PUBLISHING, JobState.PUBLISHED}

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to be done."""
        return self in {JobState.CLOSED, JobState.FAILED, JobState.CANCELLED}


_STAGES: Final = frozenset(
    {
        *(JobState.CREATED, JobState.UPLOADING, JobState.UPLOADED),
        *(JobState.PUBLISHING, JobState.PUBLISHED),
    }
)
_GIVEN_UP: Final = frozenset({JobState.FAILED, JobState.INTERRUPTED, JobState.CANCELLED})

_NEXT: Final[Mapping[JobState, frozenset[JobState]]] = {
    JobState.CREATED: _GIVEN_UP | {JobState.UPLOADING},
    # To itself by a new upload session, in place of one that was lost or had too large chunks.
    JobState.UPLOADING: _GIVEN_UP | {JobState.UPLOADING, JobState.UPLOADED},
    JobState.UPLOADED: _GIVEN_UP | {JobState.UPLOADING, JobState.PUBLISHING},
    # Uploading: the session turned out to be gone, and nothing published. To itself: a resume asks
    # once more. Closed: that it is published could not be written down when it was known.
    JobState.PUBLISHING: _GIVEN_UP
    | {
        *(JobState.UPLOADING, JobState.PUBLISHING, JobState.PUBLISHED),
        *(JobState.UNKNOWN, JobState.CLOSED),
    },
    # What is published stays published, whatever happens while the session is being closed.
    JobState.PUBLISHED: frozenset({JobState.CLOSED}),
    # Where it goes on.
    JobState.INTERRUPTED: _STAGES | {JobState.FAILED, JobState.CANCELLED, JobState.UNKNOWN},
    JobState.UNKNOWN: frozenset(
        {
            *(JobState.UPLOADING, JobState.UPLOADED, JobState.PUBLISHING, JobState.PUBLISHED),
            *(JobState.FAILED, JobState.CANCELLED),
        }
    ),
    # Its upload session may have been out of reach when it failed.
    JobState.FAILED: frozenset({JobState.CANCELLED}),
    JobState.CLOSED: frozenset(),
    JobState.CANCELLED: frozenset(),
}


def moved(old: JobState, new: JobState) -> JobState:
    """Returns the state that a job goes on to.

    Raises:
        Defect: There is no way from one to the other.
    """
    if new not in _NEXT[old]:
        raise Defect(f"a defect in mstr-loader: a job that is {old} cannot become {new}")
    return new


def end_state(state: JobState, status: Status, *, resumable: bool) -> JobState | None:
    """Returns the state in which the end of a process leaves a job; None: the one it is in.

    Args:
        state: Where it stands.
        status: What the load says of itself.
        resumable: Whether the load was left such that it can go on.
    """
    if status is Status.PUBLISHED:
        return JobState.CLOSED
    if state is JobState.PUBLISHED or status is Status.UPLOADED:
        # What was published stays so, also where a process that was to close its session could not.
        return None
    if status is Status.UNKNOWN:
        return JobState.UNKNOWN
    return JobState.INTERRUPTED if resumable else JobState.FAILED
