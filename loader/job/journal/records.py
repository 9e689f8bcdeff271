"""What a journal holds, as those read it who continue, cancel or list jobs."""

from __future__ import annotations

from dataclasses import dataclass

from loader.job.journal.description import JobDescription, ModelRecord
from loader.job.journal.states import JobState

__all__ = [
    "ChunkRecord",
    "DatasetRecord",
    "EndRecord",
    "JobRecord",
    "SessionRecord",
    "TransitionRecord",
]


@dataclass(frozen=True, slots=True)
class DatasetRecord:
    """The dataset that a job fills.

    Attributes:
        id: Its id.
        name: Its name.
        created: Whether this job created it.
        emptied: Whether this job has already taken its old data away (``--overwrite``).
        model: The model as it is sent to this dataset.
        deleted: Whether this job has deleted it again.
    """

    id: str
    name: str
    created: bool
    emptied: bool
    model: ModelRecord
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """An upload session of a job.

    Attributes:
        generation: 1 for the first one, and so on.
        id: Its id.
        chunk_bytes: The size of chunk that was wanted for it.
        open: Whether nothing is known of its end.
    """

    generation: int
    id: str
    chunk_bytes: int
    open: bool


@dataclass(frozen=True, slots=True)
class ChunkRecord:
    """A chunk that was, or was about to be, sent to an upload session.

    Attributes:
        generation: Which of the job's upload sessions.
        table: The table's name.
        index: 1..N within the table.
        first_row: Where it begins among the rows that the source delivers, from 0.
        end_row: Where the rows that it covers end among those; rejected ones may lie between.
        rows: How many rows it has, without rejected ones.
        json_bytes: The size of its JSON.
        digest: The xxh3-128 digest of its JSON, 16 bytes.
        accepted: Whether the server said yes.
    """

    generation: int
    table: str
    index: int
    first_row: int
    end_row: int
    rows: int
    json_bytes: int
    digest: bytes
    accepted: bool = False


@dataclass(frozen=True, slots=True)
class TransitionRecord:
    """A step from one state to another.

    Attributes:
        at: When, in UTC (ISO 8601).
        old: The state before; None: there was none.
        new: The state after.
        note: What there is to say about it.
    """

    at: str
    old: JobState | None
    new: JobState
    note: str | None


@dataclass(frozen=True, slots=True)
class EndRecord:
    """How the last process that drove a job ended.

    Attributes:
        status: The status of its result.
        exit_code: Its exit code.
        kind: Of its error; None without one.
        message: Of its error.
        hint: Of its error.
    """

    status: str
    exit_code: int
    kind: str | None = None
    message: str | None = None
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class JobRecord:
    """All that a journal holds.

    Attributes:
        id: The job's id.
        created: When it was begun, in UTC (ISO 8601).
        version: The version of this program that began it.
        encoder: The version of its bytes (``ENCODER_VERSION``).
        host: Where it was begun.
        state: Where it stands.
        stage: How far its work had come; the same, unless ``state`` is an end.
        description: What was asked for.
        dataset: The dataset, once known.
        sessions: Its upload sessions; the last one is the one that counts.
        chunks: Those of the last session, by table and index.
        before: The rows of the tables before the publish, where they were counted; None: it was
            never about to publish.
        rejected: Rows that were left out, by table, once everything was uploaded.
        end: How the last process ended, if it could say so.
        transitions: Every step.
    """

    id: str
    created: str
    version: str
    encoder: int
    host: str
    state: JobState
    stage: JobState
    description: JobDescription
    dataset: DatasetRecord | None
    sessions: tuple[SessionRecord, ...]
    chunks: tuple[ChunkRecord, ...]
    before: dict[str, int | None] | None
    rejected: dict[str, int]
    end: EndRecord | None
    transitions: tuple[TransitionRecord, ...]

    @property
    def session(self) -> SessionRecord | None:
        """The upload session that may still be open."""
        last = self.sessions[-1] if self.sessions else None
        return last if last and last.open else None

    @property
    def is_uploaded(self) -> bool:
        """Whether every chunk had been sent."""
        return self.stage.is_uploaded

    @property
    def is_whole(self) -> bool:
        """Whether it may end well without its source: an upload session has every chunk."""
        lost = self.stage is JobState.UPLOADED and self.session is None
        return self.is_uploaded and not lost

    @property
    def can_resume(self) -> bool:
        """Whether ``resume`` has a way to go on with it."""
        return not self.state.is_finished and (self.is_whole or self.description.once is None)

    @property
    def accepted(self) -> tuple[ChunkRecord, ...]:
        """The chunks that the last session has."""
        return tuple(chunk for chunk in self.chunks if chunk.accepted)

    @property
    def rows(self) -> int:
        """Rows that the last session has."""
        return sum(chunk.rows for chunk in self.accepted)
