"""The files of the jobs: where they are, what they are called, and who may use them."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import random
import socket
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from loader.encode.version import ENCODER_VERSION
from loader.errors import JobInUse, JournalUnusable, UnknownJob
from loader.job.journal.description import JobDescription
from loader.job.journal.lock import Driver, JobLock, driver_of
from loader.job.journal.tables import FORMAT, OtherFormat, Tables
from loader.job.state import state_directory
from loader.version import __version__

__all__ = [
    "Opened",
    "create_job",
    "in_use",
    "jobs_directory",
    "lock_of",
    "new_id",
    "open_job",
    "other_format",
    "usable",
]

Opened = tuple[Path, Tables, JobLock]
"""A journal that this process drives: its file, its tables and its lock."""

# Seconds to wait for whoever reads the file in just that moment.
_BUSY: Final = 10.0

# Letters and digits that are not mistaken for one another, when read or when said.
_LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"
_DRAWN: Final = 4
# Jobs begun in the same minute that draw the same letters, one after the other.
_ATTEMPTS: Final = 20

_ELSEWHERE: Final = (
    "a load does not start without one, since it could not go on after a crash; MSTR_LOADER_STATE "
    "names another directory, which need not outlive a container whose loads are not resumed"
)
_IN_THE_WAY: Final = "free space on its disk, or see to the rights of its directory"


def jobs_directory() -> Path:
    """Returns where the journals are."""
    return state_directory() / "jobs"


def lock_of(path: Path) -> Path:
    """Returns the lock file beside a journal."""
    return path.with_suffix(".lock")


def new_id(now: dt.datetime, choose: Callable[[str], str] = random.choice) -> str:
    """Returns an id such as ``20261121-2251-k3f9``: the minute (UTC) and a few letters.

    Ids sort by time, and can be read to somebody over a telephone.
    """
    return f"{now:%Y%m%d-%H%M}-{''.join(choose(_LETTERS) for _ in range(_DRAWN))}"


def create_job(directory: Path, description: JobDescription) -> Opened:
    """Makes the journal of a new job.

    Raises:
        JournalUnusable: It cannot be made.
    """
    with usable(directory, _ELSEWHERE):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # It may be older, and wider open.
        directory.chmod(0o700)
        path, lock = _fresh(directory)
    try:
        with usable(path, _ELSEWHERE):
            tables = Tables.connect(path, timeout=_BUSY)
            tables.begin()
            tables.create(
                path.stem,
                description,
                version=__version__,
                encoder=ENCODER_VERSION,
                host=socket.gethostname(),
            )
            tables.commit()
            _sync(directory)
    except BaseException:
        path.unlink(missing_ok=True)
        lock.release()
        raise
    return path, tables, lock


def _fresh(directory: Path) -> tuple[Path, JobLock]:
    """Makes an empty file that only its user can read, and locks it."""
    for _ in range(_ATTEMPTS):
        path = directory / f"{new_id(dt.datetime.now(dt.UTC))}.sqlite"
        with contextlib.suppress(BlockingIOError):
            lock = JobLock(lock_of(path))
            try:
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            except FileExistsError:
                lock.release()
                continue
            except BaseException:
                lock.release()
                raise
            return path, lock
    raise FileExistsError(f"{_ATTEMPTS} ids in a row are taken")


def _sync(directory: Path) -> None:
    """Makes sure that the name of a new file survives a crash of the host."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_job(path: Path) -> Opened:
    """Takes a job over.

    Raises:
        UnknownJob: There is none.
        JobInUse: Another process drives it.
        JournalUnusable: Its file is damaged, or of another version.
    """
    if not path.exists():
        raise UnknownJob(f"there is no job {path.stem}", hint="mstr-loader jobs lists all jobs")
    with usable(path):
        try:
            lock = JobLock(lock_of(path))
        except BlockingIOError:
            raise in_use(path.stem, driver_of(lock_of(path))) from None
    try:
        with usable(path):
            tables = Tables.connect(path, timeout=_BUSY)
            try:
                tables.check_format()
            except BaseException:
                tables.close()
                raise
    except BaseException:
        lock.release()
        raise
    return path, tables, lock


def in_use(job: str, driver: Driver | None) -> JobInUse:
    """Returns the error for a job that another process drives."""
    return JobInUse(
        f"job {job} is being driven by {driver or 'another process'}",
        hint="wait for its end, or stop that process",
        job=job,
        pid=driver and driver.pid,
        host=driver and driver.host,
    )


def other_format(found: int) -> str:
    """Returns what is wrong with a file of another format, in words."""
    if not found:
        return "it is empty: its process ended before anything was sent"
    age = "a newer" if found > FORMAT else "an older"
    return f"{age} version of mstr-loader has written it (format {found}, and not {FORMAT})"


@contextlib.contextmanager
def usable(path: Path, hint: str = _IN_THE_WAY) -> Iterator[None]:
    """Maps what SQLite and the system raise for a journal."""
    try:
        yield
    except OtherFormat as error:
        raise JournalUnusable(
            f"the journal {path} cannot be used: {other_format(error.found)}",
            hint="use that version for this job",
            journal=str(path),
        ) from None
    except (sqlite3.Error, ValueError) as error:
        raise _unusable(path, str(error), hint) from error
    except OSError as error:
        raise _unusable(path, error.strerror or str(error), hint) from error


def _unusable(path: Path, reason: str, hint: str) -> JournalUnusable:
    return JournalUnusable(
        f"the journal {path} cannot be written or read: {reason}", hint=hint, journal=str(path)
    )
