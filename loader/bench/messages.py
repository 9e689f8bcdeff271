"""What a sweep and the process of one of its runs tell each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from loader.api import Connection
from loader.errors import LoaderError
from loader.job import LoadOptions
from loader.job.timing import ChunkTimes, StageTimes

__all__ = [
    "Beat",
    "DatasetGone",
    "DatasetKnown",
    "Ended",
    "Message",
    "SessionGone",
    "SessionOpened",
    "Stop",
    "Task",
]


@dataclass(frozen=True, slots=True)
class Task:
    """What to run; it goes through a pipe, since the connection holds the password.

    Attributes:
        sources: As for ``push``.
        options: Those of the load, its dataset included.
        connection: The server.
        name: The scratch dataset's name.
        folder_id: Its folder; None: My Reports.
    """

    sources: Any
    options: LoadOptions
    connection: Connection
    name: str
    folder_id: str | None


@dataclass(frozen=True, slots=True)
class Stop:
    """End the run now, and take away what it has opened; the only message from the sweep."""


@dataclass(frozen=True, slots=True)
class DatasetKnown:
    """The scratch dataset was found or created."""

    dataset_id: str


@dataclass(frozen=True, slots=True)
class DatasetGone:
    """The load has deleted the dataset, which it had created and could not fill."""


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """An upload session was opened."""

    session_id: str


@dataclass(frozen=True, slots=True)
class SessionGone:
    """It was deleted."""


@dataclass(frozen=True, slots=True)
class Beat:
    """How far the run is.

    Attributes:
        phase: What is being done, in words.
        accepted_rows: Rows accepted.
        total_rows: Rows of the source; None: unknown.
        accepted_bytes: JSON bytes accepted.
        trouble: Why something has to be tried again; None: all goes well.
    """

    phase: str
    accepted_rows: int
    total_rows: int | None
    accepted_bytes: int
    trouble: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The run is over, and its process about to end.

    Attributes:
        error: Why it failed; None: it did not.
        rows: Rows accepted.
        chunks: Chunks accepted.
        table_bytes: JSON bytes accepted of each table.
        wire_bytes: Bytes of PUT bodies.
        retries: PUTs sent again.
        times: Where the time went.
        quantiles: The 50th, 95th and 99th percentile of the PUTs in seconds.
        timeline: The way of each chunk, thinned.
        cpu_seconds: Of the whole process.
        peak_memory: Of the whole process, in bytes.
    """

    error: LoaderError | None
    rows: int
    chunks: int
    table_bytes: tuple[int, ...]
    wire_bytes: int
    retries: int
    times: StageTimes
    quantiles: tuple[float, float, float]
    timeline: tuple[ChunkTimes, ...]
    cpu_seconds: float
    peak_memory: int


Message = DatasetKnown | DatasetGone | SessionOpened | SessionGone | Beat | Ended
"""What the process of a run tells."""
