"""The tables of a journal, and the SQL that writes and reads them; knows of no event loop."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from loader.errors import Defect
from loader.job.journal.description import JobDescription, ModelRecord, from_json, to_json
from loader.job.journal.records import (
    ChunkRecord,
    DatasetRecord,
    EndRecord,
    JobRecord,
    SessionRecord,
    TransitionRecord,
)
from loader.job.journal.states import JobState, moved

__all__ = [
    "FORMAT",
    "OtherChunk",
    "OtherFormat",
    "Tables",
]

FORMAT: Final = 2
"""The ``user_version`` of the files; another number is another arrangement of the tables."""

_SCHEMA: Final = (
    """
    CREATE TABLE job (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        id TEXT NOT NULL,
        created TEXT NOT NULL,
        version TEXT NOT NULL,
        encoder INTEGER NOT NULL,
        host TEXT NOT NULL,
        state TEXT NOT NULL,
        stage TEXT NOT NULL,
        description TEXT NOT NULL,
        before TEXT,
        rejected TEXT,
        ending TEXT
    )
    """,
    """
    CREATE TABLE dataset (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        id TEXT NOT NULL,
        name TEXT NOT NULL,
        created INTEGER NOT NULL,
        emptied INTEGER NOT NULL,
        model TEXT NOT NULL,
        deleted TEXT
    )
    """,
    """
    CREATE TABLE session (
        generation INTEGER PRIMARY KEY,
        id TEXT NOT NULL,
        chunk_bytes INTEGER NOT NULL,
        opened TEXT NOT NULL,
        ended TEXT
    )
    """,
    """
    CREATE TABLE chunk (
        generation INTEGER NOT NULL REFERENCES session,
        table_name TEXT NOT NULL,
        number INTEGER NOT NULL,
        first_row INTEGER NOT NULL,
        end_row INTEGER NOT NULL,
        row_count INTEGER NOT NULL,
        json_bytes INTEGER NOT NULL,
        digest BLOB NOT NULL,
        accepted INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (generation, table_name, number)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE transition (
        number INTEGER PRIMARY KEY,
        at TEXT NOT NULL,
        from_state TEXT,
        to_state TEXT NOT NULL,
        note TEXT
    )
    """,
    f"PRAGMA user_version = {FORMAT}",
)


class OtherFormat(Exception):
    """The file was written by a version of this program that arranges it otherwise.

    Attributes:
        found: The number of its format; 0: nothing was written to it.
    """

    def __init__(self, found: int) -> None:
        super().__init__(f"format {found}")
        self.found = found


class OtherChunk(Exception):
    """A chunk has an index of the current upload session that another one was planned for."""


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")


class Tables:
    """The tables of an open journal; whatever changes something has to be in a transaction."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    @classmethod
    def connect(cls, path: Path, *, timeout: float) -> Tables:
        """Opens a journal, which need not hold anything yet, for writing.

        Every commit is on the disk when it returns, also where the system would keep it in the
        disk's cache (macOS).
        """
        database = sqlite3.connect(path, timeout=timeout, isolation_level=None)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            for pragma in ("synchronous = FULL", "fullfsync = ON", "checkpoint_fullfsync = ON"):
                database.execute(f"PRAGMA {pragma}")
        except BaseException:
            database.close()
            raise
        return cls(database)

    @classmethod
    def look(cls, path: Path, *, timeout: float) -> Tables:
        """Opens a journal for reading, also while a process writes it.

        Not in SQLite's read-only mode, which leaves files behind that it may not remove.
        """
        database = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw", timeout=timeout, isolation_level=None, uri=True
        )
        return cls(database)

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    def begin(self, *, writing: bool = True) -> None:
        """Begins a transaction."""
        self._database.execute("BEGIN IMMEDIATE" if writing else "BEGIN")

    def commit(self) -> None:
        """Ends it; what was written in it is on the disk."""
        self._database.execute("COMMIT")

    def roll_back(self) -> None:
        """Ends it as if it had not been."""
        if self._database.in_transaction:
            self._database.execute("ROLLBACK")

    def check_format(self) -> None:
        """Checks that the file is arranged as this version knows it.

        Raises:
            OtherFormat: It is not.
        """
        found = int(self._value("PRAGMA user_version"))
        if found != FORMAT:
            raise OtherFormat(found)

    # -- writing -----------------------------------------------------------------------------------

    def create(
        self, job: str, description: JobDescription, *, version: str, encoder: int, host: str
    ) -> None:
        """Makes the tables and the job."""
        for statement in _SCHEMA:
            self._database.execute(statement)
        state = JobState.CREATED
        self._database.execute(
            "INSERT INTO job VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL)",
            (job, _now(), version, encoder, host, state, state, to_json(description)),
        )
        self._note(None, state, None)

    def move(self, state: JobState, note: str | None = None) -> None:
        """Takes the job to another state.

        Raises:
            Defect: There is no way to it.
        """
        old = self.state()
        moved(old, state)
        self._database.execute(
            "UPDATE job SET state = ?, stage = CASE WHEN ? THEN ? ELSE stage END",
            (state, state.is_stage, state),
        )
        self._note(old, state, note)

    def resume(self, note: str) -> None:
        """Takes the job back to the stage that it had come to."""
        state, stage = self.state(), JobState(self._value("SELECT stage FROM job"))
        if state is stage:
            self._note(state, state, note)
        else:
            self.move(stage, note)

    def _note(self, old: JobState | None, new: JobState, note: str | None) -> None:
        self._database.execute(
            "INSERT INTO transition (at, from_state, to_state, note) VALUES (?, ?, ?, ?)",
            (_now(), old, new, note),
        )

    def add_dataset(self, dataset: DatasetRecord) -> None:
        """Writes down which dataset it is."""
        self._database.execute(
            "INSERT OR REPLACE INTO dataset VALUES (1, ?, ?, ?, ?, ?, NULL)",
            (
                *(dataset.id, dataset.name, dataset.created, dataset.emptied),
                to_json(dataset.model),
            ),
        )

    def delete_dataset(self) -> None:
        """Writes down that the dataset was deleted."""
        self._database.execute("UPDATE dataset SET deleted = ?", (_now(),))

    def add_session(self, session_id: str, chunk_bytes: int, *, encoder: int) -> None:
        """Writes down an upload session, which takes the place of the one before.

        Args:
            session_id: Its id.
            chunk_bytes: The size of chunk that is wanted for it.
            encoder: The version of its bytes, in place of that of the one before.
        """
        self.end_session()
        self._database.execute("UPDATE job SET encoder = ?", (encoder,))
        self._database.execute(
            "INSERT INTO session (id, chunk_bytes, opened) VALUES (?, ?, ?)",
            (session_id, chunk_bytes, _now()),
        )

    def end_session(self) -> None:
        """Writes down that the upload session is gone."""
        self._database.execute("UPDATE session SET ended = ? WHERE ended IS NULL", (_now(),))

    def plan(self, table: str, index: int, content: tuple[int, int, int, int, bytes]) -> bool:
        """Writes down a chunk of the current session.

        Args:
            table: The table's name.
            index: The chunk's number.
            content: Its first row, the end of its rows, rows, bytes and digest.

        Returns:
            Whether the server has it: an earlier process may have sent the same one.

        Raises:
            OtherChunk: Another one has that index.
        """
        key = (self._generation(), table, index)
        found = self._database.execute(
            "SELECT first_row, end_row, row_count, json_bytes, digest, accepted FROM chunk"
            " WHERE generation = ? AND table_name = ? AND number = ?",
            key,
        ).fetchone()
        if found is None:
            self._database.execute(
                "INSERT INTO chunk VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)", (*key, *content)
            )
            return False
        *known, accepted = found
        if tuple(known) != content:
            raise OtherChunk
        return bool(accepted)

    def accept(self, table: str, index: int) -> None:
        """Writes down that the server has a chunk.

        Raises:
            Defect: It was not planned.
        """
        done = self._database.execute(
            "UPDATE chunk SET accepted = 1 WHERE generation = ? AND table_name = ? AND number = ?",
            (self._generation(), table, index),
        )
        if done.rowcount != 1:
            raise Defect(
                f"a defect in mstr-loader: chunk {index} of table {table!r} was sent unplanned",
                table=table,
                chunk=index,
            )

    def _generation(self) -> int:
        return int(self._value("SELECT coalesce(max(generation), 0) FROM session"))

    def count_before(self, rows: Mapping[str, int | None]) -> None:
        """Writes down what the tables had before the publish."""
        self._database.execute("UPDATE job SET before = ?", (json.dumps(dict(rows)),))

    def count_rejected(self, rows: Mapping[str, int]) -> None:
        """Writes down the rows that were left out."""
        self._database.execute("UPDATE job SET rejected = ?", (json.dumps(dict(rows)),))

    def end(self, ending: EndRecord) -> None:
        """Writes down how the process ended."""
        self._database.execute("UPDATE job SET ending = ?", (to_json(ending),))

    # -- reading -----------------------------------------------------------------------------------

    def state(self) -> JobState:
        """Returns where the job stands."""
        return JobState(self._value("SELECT state FROM job"))

    def read(self, *, chunks: bool = True) -> JobRecord:
        """Returns everything, without the chunks if they are not wanted.

        Raises:
            ValueError: It is damaged.
        """
        row = self._database.execute(
            "SELECT id, created, version, encoder, host, state, stage, description, before,"
            " rejected, ending FROM job"
        ).fetchone()
        if row is None:
            raise ValueError("it has no job")
        job, created, version, encoder, host, state, stage, description, *counts, ending = row
        before, rejected = (None if count is None else json.loads(count) for count in counts)
        return JobRecord(
            id=job,
            created=created,
            version=version,
            encoder=encoder,
            host=host,
            state=JobState(state),
            stage=JobState(stage),
            description=from_json(description, JobDescription),
            dataset=self._dataset(),
            sessions=tuple(
                SessionRecord(generation, session, chunk_bytes, ended is None)
                for generation, session, chunk_bytes, ended in self._rows(
                    "SELECT generation, id, chunk_bytes, ended FROM session ORDER BY generation"
                )
            ),
            chunks=self._chunks() if chunks else (),
            before=before,
            rejected=rejected or {},
            end=None if ending is None else from_json(ending, EndRecord),
            transitions=tuple(
                TransitionRecord(at, JobState(old) if old else None, JobState(new), note)
                for at, old, new, note in self._rows(
                    "SELECT at, from_state, to_state, note FROM transition ORDER BY number"
                )
            ),
        )

    def _dataset(self) -> DatasetRecord | None:
        for row in self._rows("SELECT id, name, created, emptied, model, deleted FROM dataset"):
            dataset_id, name, created, emptied, model, deleted = row
            return DatasetRecord(
                id=dataset_id,
                name=name,
                created=bool(created),
                emptied=bool(emptied),
                model=from_json(model, ModelRecord),
                deleted=deleted is not None,
            )
        return None

    def _chunks(self) -> tuple[ChunkRecord, ...]:
        found = self._database.execute(
            "SELECT generation, table_name, number, first_row, end_row, row_count, json_bytes,"
            " digest, accepted FROM chunk WHERE generation = ? ORDER BY table_name, number",
            (self._generation(),),
        )
        return tuple(
            ChunkRecord(*columns, accepted=bool(accepted))  # type: ignore[misc]  # as selected
            for *columns, accepted in found
        )

    def counts(self) -> tuple[int, int, int]:
        """Returns what the last session has: chunks planned, chunks accepted, rows accepted."""
        row = self._database.execute(
            "SELECT count(*), coalesce(sum(accepted), 0), coalesce(sum(row_count * accepted), 0)"
            " FROM chunk WHERE generation = ?",
            (self._generation(),),
        ).fetchone()
        planned, accepted, rows = row
        return int(planned), int(accepted), int(rows)

    def _value(self, query: str) -> Any:
        row = self._database.execute(query).fetchone()
        if row is None:
            raise ValueError("it has no job")
        return row[0]

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return self._database.execute(query).fetchall()
