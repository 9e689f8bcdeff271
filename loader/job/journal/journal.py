"""The journal of a load: each step is on the disk before the load goes on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from loader.api import Connection
from loader.encode import Chunk
from loader.encode.version import ENCODER_VERSION
from loader.job.dataset import Target
from loader.job.journal.description import JobDescription, ModelRecord
from loader.job.journal.files import Opened, create_job, jobs_directory, open_job, usable
from loader.job.journal.fingerprint import digest
from loader.job.journal.lock import JobLock
from loader.job.journal.records import DatasetRecord, EndRecord, JobRecord
from loader.job.journal.states import JobState, end_state
from loader.job.journal.steps import NONE_REJECTED, Steps, Unjournalled
from loader.job.journal.tables import Tables
from loader.job.prepare import Prepared, Sources
from loader.job.result import Result
from loader.job.settings import Workflow
from loader.version import __version__

__all__ = ["Journal", "journalled"]

T = TypeVar("T")


@contextlib.asynccontextmanager
async def journalled(
    sources: Sources,
    options: Mapping[str, object],
    connection: Connection,
    prepared: Prepared,
    *,
    local: bool = False,
) -> AsyncIterator[Steps]:
    """Gives the journal of a load that is about to start; afterwards it is closed.

    Args:
        sources: As the user named them.
        options: As the user gave them (``LoadOptions``).
        connection: The server.
        prepared: The load.
        local: Whether the server is one of this run's own.

    Raises:
        JournalUnusable: No journal can be kept: better known now than when it is needed.
        SourceError: A file has gone since it was opened.
    """
    if prepared.settings.workflow is Workflow.ONE_REQUEST:
        yield Unjournalled()
        return
    description = await asyncio.to_thread(
        JobDescription.of, sources, options, connection, prepared, local=local
    )
    journal = await Journal.create(description)
    try:
        yield journal
    finally:
        await journal.close()


class Journal:
    """The journal of one job, which no other process can drive meanwhile.

    It is an SQLite file of its own, written by a thread of its own. A call returns when what it
    says is on the disk (an ``fsync``: milliseconds); a call that is cancelled may still be carried
    out. ``create`` or ``open`` make one, ``close`` is due at the end.

    Attributes:
        path: Its file.
        once: Why no other process can read the job's sources again, in words; None: one can.
    """

    once: str | None = None

    def __init__(
        self, path: Path, tables: Tables, lock: JobLock, thread: ThreadPoolExecutor
    ) -> None:
        self.path = path
        self._tables = tables
        self._lock = lock
        self._thread = thread

    def __repr__(self) -> str:
        return f"<Journal {self.path}>"

    @property
    def job(self) -> str:
        """The job's id."""
        return self.path.stem

    @classmethod
    async def create(cls, description: JobDescription, *, directory: Path | None = None) -> Journal:
        """Begins the journal of a new job, in the state ``created``.

        Raises:
            JournalUnusable: Its file cannot be made.
        """
        where = directory or jobs_directory()
        journal = await cls._made(lambda: create_job(where, description), _undo)
        journal.once = description.once
        return journal

    @classmethod
    async def open(cls, job: str, *, directory: Path | None = None) -> Journal:
        """Takes a job over that no other process drives.

        Raises:
            UnknownJob: There is none with that id.
            JobInUse: Another process drives it.
            JournalUnusable: Its file is damaged, or of another version.
        """
        path = (directory or jobs_directory()) / f"{job}.sqlite"
        journal = await cls._made(lambda: open_job(path), _let_go)
        try:
            journal.once = (await journal.read()).description.once
        except BaseException:
            await journal.close()
            raise
        return journal

    @classmethod
    async def _made(
        cls, make: Callable[[], Opened], give_up: Callable[[Future[Opened]], object]
    ) -> Journal:
        thread = ThreadPoolExecutor(1, "mstr-loader-journal")
        making = thread.submit(make)
        try:
            made = await asyncio.wrap_future(making)
        except BaseException:
            # A thread cannot be cancelled: what it has made is given up when it is ready.
            making.add_done_callback(give_up)
            thread.shutdown(wait=False)
            raise
        return cls(*made, thread)

    async def close(self) -> None:
        """Closes the file, and lets others drive the job."""

        def close() -> None:
            with contextlib.suppress(sqlite3.Error):
                self._tables.close()
            self._lock.release()

        closing = self._thread.submit(close)
        self._thread.shutdown(wait=False)
        await asyncio.wrap_future(closing)

    async def read(self) -> JobRecord:
        """Returns everything that is written down."""
        return await self._step(lambda tables: tables.read())

    async def resumed(self) -> JobRecord:
        """Goes on where the job stopped; returns everything that is written down."""

        def work(tables: Tables) -> JobRecord:
            tables.resume(f"resumed by version {__version__}, process {os.getpid()}")
            return tables.read()

        return await self._step(work)

    async def dataset_known(self, target: Target, folder_id: str | None) -> None:
        """The dataset was found or created."""
        dataset = DatasetRecord(
            id=target.id,
            name=target.name,
            created=target.created,
            emptied=target.emptied,
            model=ModelRecord.of(target.model, folder_id),
        )
        await self._step(lambda tables: tables.add_dataset(dataset))

    async def session_opened(self, session_id: str, chunk_bytes: int) -> None:
        """An upload session was opened, for chunks of that size; one before it is gone."""

        def work(tables: Tables) -> None:
            tables.add_session(session_id, chunk_bytes, encoder=ENCODER_VERSION)
            tables.move(JobState.UPLOADING, f"upload session {session_id}")

        await self._step(work)

    async def planned(self, chunk: Chunk) -> bool:
        """A chunk is about to be sent; returns whether the server has it already.

        Raises:
            OtherChunk: An earlier process had another one under its index.
        """

        def work() -> bool:
            rows = (chunk.first_row, chunk.end_row, chunk.rows)
            content = (*rows, chunk.json_bytes, digest(chunk))
            return self._commit(lambda tables: tables.plan(chunk.table, chunk.index, content))

        return await asyncio.wrap_future(self._thread.submit(work))

    async def accepted(self, chunk: Chunk) -> None:
        """The server has the chunk."""
        table, index = chunk.table, chunk.index
        await self._step(lambda tables: tables.accept(table, index))

    async def uploaded(self, rejected: Mapping[str, int] = NONE_REJECTED) -> None:
        """The server has every chunk; of the tables so many rows were left out."""

        def work(tables: Tables) -> None:
            tables.count_rejected(rejected)
            tables.move(JobState.UPLOADED)

        await self._step(work)

    async def publishing(self, before: Mapping[str, int | None]) -> None:
        """The publish is about to be asked for; the tables had these rows before."""

        def work(tables: Tables) -> None:
            tables.count_before(before)
            tables.move(JobState.PUBLISHING)

        await self._step(work)

    async def published(self) -> None:
        """The server says that the data is published."""
        await self._step(lambda tables: tables.move(JobState.PUBLISHED))

    async def session_ended(self) -> None:
        """The upload session is gone."""
        await self._step(lambda tables: tables.end_session())

    async def dataset_deleted(self) -> None:
        """The dataset that this job created was deleted."""
        await self._step(lambda tables: tables.delete_dataset())

    async def ended(self, result: Result) -> None:
        """The load has ended, and has cleaned up."""
        error = result.error
        ending = EndRecord(
            result.status.value,
            result.exit_code,
            *((error.kind, error.message, error.hint) if error else ()),
        )

        def work(tables: Tables) -> None:
            old = tables.state()
            new = end_state(old, result.status, resumable=result.resume is not None)
            tables.end(ending)
            if new is not None and new is not old:
                tables.move(new, ending.message)

        await self._step(work)

    async def gave_up(self, state: JobState, note: str | None = None) -> None:
        """Ends the job by another hand than that of a load: cancelled, closed or unknown."""
        await self._step(lambda tables: tables.move(state, note))

    async def _step(self, work: Callable[[Tables], T]) -> T:
        return await asyncio.wrap_future(self._thread.submit(self._commit, work))

    def _commit(self, work: Callable[[Tables], T]) -> T:
        with usable(self.path):
            try:
                self._tables.begin()
                done = work(self._tables)
                self._tables.commit()
            except BaseException:
                self._tables.roll_back()
                raise
        return done


def _let_go(making: Future[Opened]) -> Path | None:
    """Closes a journal that nobody waits for any more."""
    if making.cancelled() or making.exception() is not None:
        return None
    path, tables, lock = making.result()
    tables.close()
    lock.release()
    return path


def _undo(making: Future[Opened]) -> None:
    """Takes the journal away of a job that will never begin."""
    path = _let_go(making)
    if path is not None:
        path.unlink(missing_ok=True)
