"""What became of a load: the object that ``--json`` prints, documented and stable."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any

from loader.errors import (
    Blocked,
    Interrupted,
    LoaderError,
    OutcomeUnknown,
    Recovery,
    VerificationFailed,
)
from loader.job.timing import ChunkTimes, Latencies, StageTimes

__all__ = ["Amount", "Result", "Status", "TableResult", "status_of"]


OUT_OF_RETRIES = 6
"""The exit code of a load that gave up, but can go on."""

REJECTED_ROWS = 7
"""The exit code of a load that ended well, but left rows out."""


class Status(enum.StrEnum):
    """How a load ended; what is ``interrupted`` or ``uploaded`` can go on."""

    PUBLISHED = "published"
    UPLOADED = "uploaded"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    UNKNOWN = "unknown"


def status_of(error: LoaderError) -> Status:
    """Returns the status that an error means."""
    if isinstance(error, Interrupted):
        return Status.INTERRUPTED
    if isinstance(error, VerificationFailed):
        return Status.PUBLISHED
    return Status.UNKNOWN if isinstance(error, OutcomeUnknown) else Status.FAILED


@dataclass(frozen=True, slots=True)
class Amount:
    """How much data: rows, the chunks they are in, and the decoded JSON of these."""

    rows: int = 0
    chunks: int = 0
    json_bytes: int = 0


@dataclass(slots=True)
class TableResult:
    """One table's share.

    Attributes:
        name: The table's name.
        rows: Rows accepted by the server.
        chunks: Chunks accepted by the server.
        json_bytes: Their decoded JSON.
        rejected: Rows left out, because they cannot be loaded.
        table_id: Its id, which an update with one request needs; None: not known, as after a load
            through an upload session.
    """

    name: str
    rows: int = 0
    chunks: int = 0
    json_bytes: int = 0
    rejected: int = 0
    table_id: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Returns the JSON form; ``table_id`` only where it is known."""
        return {
            "name": self.name,
            "rows": self.rows,
            "chunks": self.chunks,
            "json_bytes": self.json_bytes,
            "rejected": self.rejected,
            **({"table_id": self.table_id} if self.table_id else {}),
        }


@dataclass(slots=True)
class Result:
    """A load as it stands, and at its end the result.

    Attributes:
        status: How it ended; ``failed`` until something better is known.
        dataset_id: The dataset's id, once known.
        dataset: The dataset's name.
        job: The journal's id of the load; None: it was not journalled.
        tables: Each table's share, in the order of loading.
        earlier: What of that earlier processes of the job have uploaded; None: this is the first.
        wire_bytes: Bytes of PUT bodies handed to the network.
        seconds: Wall time of the whole load, from the first look at its source.
        retries: PUTs sent again.
        warnings: What the user should know though the load went on.
        error: Why it failed.
        resume: The command that goes on with a load that stopped; None: there is none.
        times: What this process spent its time on.
        latencies: How long its PUTs took that succeeded.
        timeline: When each chunk passed each stage, thinned out beyond some thousand chunks; None:
            nobody asked for it.
        concurrency: How many PUTs went at once, and why, in words; None: none did.
        time_spent: Where the time went, in words; None: too short to tell.
        advice: What would make it faster, in words; None: nothing that is known.
    """

    status: Status = Status.FAILED
    dataset_id: str | None = None
    dataset: str | None = None
    job: str | None = None
    tables: list[TableResult] = field(default_factory=list)
    earlier: Amount | None = None
    wire_bytes: int = 0
    seconds: float = 0.0
    retries: int = 0
    warnings: list[str] = field(default_factory=list)
    error: LoaderError | None = None
    resume: str | None = None
    times: StageTimes = field(default_factory=StageTimes)
    latencies: Latencies = field(default_factory=Latencies)
    timeline: list[ChunkTimes] | None = None
    concurrency: str | None = None
    time_spent: str | None = None
    advice: str | None = None

    @property
    def rows(self) -> int:
        """Rows accepted, all tables."""
        return sum(table.rows for table in self.tables)

    @property
    def chunks(self) -> int:
        """Chunks accepted, all tables."""
        return sum(table.chunks for table in self.tables)

    @property
    def json_bytes(self) -> int:
        """Decoded JSON accepted, all tables."""
        return sum(table.json_bytes for table in self.tables)

    @property
    def own(self) -> Amount:
        """What of all that was accepted this process has uploaded itself."""
        earlier = self.earlier or Amount()
        return Amount(
            self.rows - earlier.rows,
            self.chunks - earlier.chunks,
            self.json_bytes - earlier.json_bytes,
        )

    @property
    def vain_bytes(self) -> int:
        """Decoded JSON that this process handed to the network, and that brought nothing."""
        return max(0, self.wire_bytes * 3 // 4 - self.own.json_bytes)

    @property
    def exit_code(self) -> int:
        """The exit code of the command line."""
        if self.error:
            later = self.error.recovery is not Recovery.NONE or isinstance(self.error, Blocked)
            return OUT_OF_RETRIES if self.resume and later else self.error.exit_code
        return REJECTED_ROWS if any(table.rejected for table in self.tables) else 0

    def as_dict(self) -> dict[str, Any]:
        """Returns the object that ``--json`` prints."""
        return {
            "status": self.status.value,
            "dataset_id": self.dataset_id,
            "dataset": self.dataset,
            "job": self.job,
            "tables": [table.as_dict() for table in self.tables],
            "rows": self.rows,
            "chunks": self.chunks,
            "json_bytes": self.json_bytes,
            "wire_bytes": self.wire_bytes,
            "seconds": round(self.seconds, 3),
            "retries": self.retries,
            "warnings": self.warnings,
            "error": self.error.as_dict() if self.error else None,
        }
