"""The jobs of this host as far as their journals tell, and the end of those nobody needs."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loader.errors import JournalUnusable, UnknownJob
from loader.job.journal.files import in_use, jobs_directory, lock_of, other_format
from loader.job.journal.lock import Driver, JobLock, driver_of
from loader.job.journal.records import JobRecord
from loader.job.journal.states import JobState
from loader.job.journal.tables import OtherFormat, Tables

__all__ = [
    "JobSummary",
    "find_job",
    "latest_waiting",
    "list_jobs",
    "read_job",
    "remove_job",
    "summary_of",
]

# Seconds to wait for whoever is writing; SQLite's readers hardly ever have to.
_BUSY: Final = 2.0
# What SQLite keeps beside a file.
_COMPANIONS: Final = ("-wal", "-shm", "-journal")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSummary:
    """A job in a list.

    Attributes:
        id: Its id.
        created: When it was begun.
        driver: The process that drives it; None: nobody.
        problem: Why its journal cannot be read, in words; all that follows is then unknown.
        empty: Whether nothing was written to its journal, so that nothing was sent.
        record: What its journal holds, without the chunks.
        chunks_planned: Chunks of the current upload session.
        chunks: Those that the server has.
        rows: The rows of those.
    """

    id: str
    created: dt.datetime
    driver: Driver | None = None
    problem: str | None = None
    empty: bool = False
    record: JobRecord | None = None
    chunks_planned: int = 0
    chunks: int = 0
    rows: int = 0

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to be done, now or later."""
        if self.driver is not None:
            return False
        return self.empty if self.record is None else self.record.state.is_finished

    @property
    def hint(self) -> str:
        """What there is to know or to do, in words; empty: nothing."""
        if self.driver is not None:
            return f"being driven by {self.driver}"
        if self.record is None:
            return self.problem or ""
        return _hint(self.record)


def _hint(record: JobRecord) -> str:
    state, stage = record.state, record.stage
    cancel = f"mstr-loader cancel {record.id} ends it"
    resume = f"mstr-loader resume {record.id}"
    if not (record.can_resume or state.is_finished):
        return f"it stopped, and its source cannot be read again; {cancel}"
    if state is JobState.FAILED:
        return f"its upload session may still be open: {cancel}" if record.session else ""
    if state.is_finished:
        return ""
    if stage is JobState.PUBLISHED:
        return f"published; {resume} closes its upload session"
    if stage is JobState.PUBLISHING:
        return f"it may be published: {resume} looks; {cancel}"
    if stage is JobState.UPLOADED:
        return f"uploaded; {resume} publishes it, {cancel}"
    return f"it stopped; {resume} goes on, {cancel}"


def list_jobs(directory: Path | None = None) -> list[JobSummary]:
    """Returns all jobs, the latest first; those that cannot be read are among them.

    Raises:
        JournalUnusable: The directory cannot be read.
    """
    where = directory or jobs_directory()
    found = [summary_of(path) for path in _journals(where)]
    return sorted(found, key=lambda job: (job.created, job.id), reverse=True)


def _journals(directory: Path) -> Sequence[Path]:
    try:
        return [path for path in directory.iterdir() if path.suffix == ".sqlite"]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise JournalUnusable(
            f"the directory of jobs {directory} cannot be read: {error.strerror}",
            hint="MSTR_LOADER_STATE names another directory",
        ) from error


def summary_of(path: Path) -> JobSummary:
    """Returns what can be told of the journal at a path."""
    driver = driver_of(lock_of(path))
    try:
        tables = Tables.look(path, timeout=_BUSY)
        try:
            tables.begin(writing=False)
            tables.check_format()
            record = tables.read(chunks=False)
            planned, chunks, rows = tables.counts()
        finally:
            tables.close()
        created = dt.datetime.fromisoformat(record.created)
    except OtherFormat as error:
        empty = not error.found
        return _unread(path, driver, other_format(error.found), empty=empty)
    except (sqlite3.Error, OSError, ValueError) as error:
        return _unread(path, driver, f"its journal is damaged: {error}")
    return JobSummary(
        id=path.stem,
        created=created,
        driver=driver,
        record=record,
        chunks_planned=planned,
        chunks=chunks,
        rows=rows,
    )


def _unread(path: Path, driver: Driver | None, problem: str, *, empty: bool = False) -> JobSummary:
    try:
        changed = path.stat().st_mtime
    except OSError:
        changed = 0.0
    return JobSummary(
        id=path.stem,
        created=dt.datetime.fromtimestamp(changed, dt.UTC),
        driver=driver,
        problem=problem,
        empty=empty,
    )


def find_job(named: str, directory: Path | None = None) -> Path:
    """Returns the journal of the job with that id, or of the one whose id begins so.

    Raises:
        UnknownJob: There is none, or several.
    """
    where = directory or jobs_directory()
    ids = sorted(path.stem for path in _journals(where))
    found = [named] if named in ids else [job for job in ids if named and job.startswith(named)]
    if len(found) == 1:
        return where / f"{found[0]}.sqlite"
    if found:
        raise UnknownJob(
            f"{len(found)} jobs begin with {named!r}",
            hint=f"name one of them: {', '.join(found)}",
            jobs=found,
        )
    raise UnknownJob(f"there is no job {named!r}", hint="mstr-loader jobs lists all jobs")


def latest_waiting(jobs: Sequence[JobSummary]) -> JobSummary:
    """Returns the latest job of which something is left to be done.

    Args:
        jobs: All jobs, the latest first.

    Raises:
        UnknownJob: There is none.
        JobInUse: There is only one that a process drives.
    """
    waiting = [job for job in jobs if job.record is not None and not job.record.state.is_finished]
    for job in waiting:
        if job.driver is None:
            return job
    if waiting:
        raise in_use(waiting[0].id, waiting[0].driver)
    raise UnknownJob("there is no unfinished job", hint="mstr-loader jobs lists all jobs")


def read_job(path: Path) -> JobRecord:
    """Returns everything that a journal holds, also while a process writes it.

    Raises:
        JournalUnusable: It cannot be read.
    """
    try:
        tables = Tables.look(path, timeout=_BUSY)
        try:
            tables.begin(writing=False)
            tables.check_format()
            return tables.read()
        finally:
            tables.close()
    except OtherFormat as error:
        reason = other_format(error.found)
    except (sqlite3.Error, OSError, ValueError) as error:
        reason = f"it is damaged: {error}"
    raise JournalUnusable(
        f"the journal of job {path.stem} cannot be read: {reason}",
        hint="mstr-loader jobs clean --all removes it",
        journal=str(path),
    )


def remove_job(path: Path) -> None:
    """Removes a journal and what belongs to it.

    Raises:
        JobInUse: A process drives the job.
        JournalUnusable: Its files cannot be removed.
    """
    try:
        lock = JobLock(lock_of(path))
    except BlockingIOError:
        raise in_use(path.stem, driver_of(lock_of(path))) from None
    except OSError as error:
        raise _not_removed(path, error) from error
    try:
        # The file itself first: without it the others mean nothing.
        for name in (path.name, *(f"{path.name}{companion}" for companion in _COMPANIONS)):
            path.with_name(name).unlink(missing_ok=True)
    except OSError as error:
        raise _not_removed(path, error) from error
    finally:
        lock.release()


def _not_removed(path: Path, error: OSError) -> JournalUnusable:
    return JournalUnusable(
        f"the journal {path} cannot be removed: {error.strerror}",
        hint="check the rights to its directory",
        journal=str(path),
    )
