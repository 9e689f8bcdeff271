"""What earlier processes of a job have done, as the load sees it that goes on with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from loader.encode.version import ENCODER_VERSION
from loader.job.cuts import Cut
from loader.job.journal.records import ChunkRecord, DatasetRecord, JobRecord
from loader.job.journal.states import JobState
from loader.planning import ChunkRules

__all__ = ["Earlier", "Kept"]


@dataclass(frozen=True, slots=True)
class Kept:
    """An upload session, and what was cut for it.

    Attributes:
        session: Its id; None: it is known to be gone, and with it the word on its publish. What was
            sent to it counts all the same.
        rules: Where its chunks were cut.
        cuts: The chunks of each table, as far as every one up to there is known.
        given_up: Why it cannot be gone on with, in words, so that it is only to be deleted; None:
            it can.
    """

    session: str | None
    rules: ChunkRules
    cuts: Mapping[str, Sequence[Cut]]
    given_up: str | None = None

    @property
    def largest_missing(self) -> int:
        """The JSON bytes of the largest chunk that has to be made once more; 0: there is none."""
        missing = (cut for cuts in self.cuts.values() for cut in cuts if not cut.accepted)
        return max((cut.json_bytes for cut in missing), default=0)


@dataclass(frozen=True, slots=True)
class Earlier:
    """What is written down of a job, less what does not matter any more.

    Attributes:
        stage: How far it had come.
        dataset: The dataset; None: it was not known yet, or was deleted again.
        kept: The upload session; None: there is none of use.
        before: The rows of the tables before the publish, once that was about to be asked for.
        rejected: Rows that were left out, by table; known of what is uploaded whole.
        unreadable: Why the source cannot be read as it was, in words; None: it can. Only what is
            uploaded whole can go on without it.
    """

    stage: JobState
    dataset: DatasetRecord | None
    kept: Kept | None
    before: Mapping[str, int | None] | None
    rejected: Mapping[str, int]
    unreadable: str | None = None

    @classmethod
    def of(
        cls, record: JobRecord, *, recut: bool = False, unreadable: str | None = None
    ) -> Earlier:
        """Returns what a journal says.

        Args:
            record: All that it holds.
            recut: Whether the user wants other chunks now; what is uploaded whole stays as it is.
            unreadable: Why the source cannot be read as it was.
        """
        dataset = record.dataset
        return cls(
            stage=record.stage,
            dataset=None if dataset is None or dataset.deleted else dataset,
            kept=_kept(record, recut=recut),
            before=record.before,
            rejected=record.rejected,
            unreadable=unreadable,
        )

    @property
    def is_uploaded(self) -> bool:
        """Whether the upload session had every chunk."""
        return self.stage.is_uploaded


def _kept(record: JobRecord, *, recut: bool) -> Kept | None:
    if not record.sessions:
        return None
    session = record.sessions[-1]
    if not session.open and record.stage not in {JobState.PUBLISHING, JobState.PUBLISHED}:
        return None
    given_up = None
    if not record.is_uploaded:
        if recut:
            given_up = "another --chunk-size is wanted"
        elif record.encoder != ENCODER_VERSION:
            given_up = f"version {record.version} of mstr-loader, which began it, wrote other bytes"
    return Kept(
        session.id if session.open else None,
        ChunkRules.of(session.chunk_bytes),
        _cuts(record.chunks),
        given_up,
    )


def _cuts(chunks: Sequence[ChunkRecord]) -> dict[str, list[Cut]]:
    """Returns the chunks of each table up to the first one that is missing.

    Workers plan their chunks side by side, so one may be written down before its predecessor.
    """
    by_table = groupby(sorted(chunks, key=attrgetter("table", "index")), attrgetter("table"))
    return {
        table: [
            Cut(
                index=chunk.index,
                first_row=chunk.first_row,
                end_row=chunk.end_row,
                rows=chunk.rows,
                json_bytes=chunk.json_bytes,
                accepted=chunk.accepted,
            )
            for number, chunk in enumerate(found, start=1)
            if chunk.index == number
        ]
        for table, found in by_table
    }
