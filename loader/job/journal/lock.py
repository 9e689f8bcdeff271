"""Lets one process at a time drive a job: a lock on a file, which dies with its process."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Driver", "JobLock", "driver_of"]

# Whoever only looks whether a job is driven holds its lock for microseconds.
_ATTEMPTS: Final = 5
_PAUSE: Final = 0.02


@dataclass(frozen=True, slots=True)
class Driver:
    """The process that drives a job.

    Attributes:
        pid: Its id; None where it has not said so yet.
        host: Its host.
    """

    pid: int | None
    host: str | None

    def __str__(self) -> str:
        if self.pid is None:
            return "another process"
        here = self.host == socket.gethostname()
        return f"process {self.pid}" + ("" if here else f" on {self.host}")


class JobLock:
    """The lock of a job, held from its making until ``release`` or the end of the process.

    Raises:
        BlockingIOError: Another process holds it.
        OSError: The file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = _locked(path)
        owner = {"pid": os.getpid(), "host": socket.gethostname()}
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps(owner).encode(), 0)

    def release(self) -> None:
        """Lets others drive the job; once is enough."""
        if self._descriptor < 0:
            return
        # While it is held: whoever opened it meanwhile finds out that it is no longer the one.
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = -1


def _locked(path: Path) -> int:
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE)
        # flock, not POSIX locks: those are lost as soon as their process closes any handle of the
        # file. Python opens files so that no child inherits them.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(path, descriptor):
                return descriptor
        except BlockingIOError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise BlockingIOError(f"{path} is locked")


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether the file was not removed, or replaced, between its opening and its locking."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    mine = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)


def driver_of(path: Path) -> Driver | None:
    """Returns who drives the job whose lock is at the path; None: nobody."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(descriptor)
    finally:
        os.close(descriptor)
    return None


def _read(descriptor: int) -> Driver:
    try:
        owner = json.loads(os.pread(descriptor, 1000, 0))
        return Driver(int(owner["pid"]), str(owner["host"]))
    except (OSError, ValueError, TypeError, KeyError):
        # Locked, but not written yet.
        return Driver(None, None)
