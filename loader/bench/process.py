"""Starts the process of a run, follows it, and ends it when it is to be stopped."""

from __future__ import annotations

import contextlib
import multiprocessing.connection
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Final

from loader.bench.messages import (
    Beat,
    DatasetGone,
    DatasetKnown,
    Ended,
    Message,
    SessionGone,
    SessionOpened,
    Stop,
    Task,
)
from loader.bench.scratch import Scratch
from loader.bench.stopping import Stopper
from loader.errors import LoaderError, UsageError

__all__ = ["Died", "follow"]

_LOOKS: Final = 0.1
"""Seconds between two looks whether somebody wants a stop."""

_GRACE: Final = 60.0
"""Seconds that a stopped run has to take away what it has opened; its own limits are shorter."""

_AT_ONCE: Final = 2
"""The wish to stop that waits for nothing."""


class Died(LoaderError):
    """The process of a run ended without a word: killed, out of memory, or by a defect."""

    kind = "died"


def follow(
    task: Task,
    scratch: Scratch,
    stopper: Stopper,
    *,
    on_beat: Callable[[Beat], None],
    seconds: float | None,
    clock: Callable[[], float] = time.monotonic,
) -> Ended | Died:
    """Runs a task in a process of its own.

    Args:
        task: What to run.
        scratch: Is told what the run has opened on the server.
        stopper: Asked all the time whether to stop.
        on_beat: Called about twice a second.
        seconds: After which it is stopped; None: never.
        clock: Monotonic seconds.

    Returns:
        What came of it; its error is ``Interrupted`` if it was stopped.

    Raises:
        UsageError: The sources cannot be handed to another process.
    """
    ours, theirs = multiprocessing.Pipe()
    with ours:
        with theirs:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-m", "loader.bench.run", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                # A Ctrl-C in the terminal is for this process, which says what is to be done.
                start_new_session=True,
            )
        run = _Run(ours, process, scratch=scratch, stopper=stopper, on_beat=on_beat, clock=clock)
        try:
            run.send(task)
            ended = run.follow(seconds)
        finally:
            run.close()
    return ended or Died(_last_words(process.returncode))


def _last_words(code: int) -> str:
    told = f"the process of the run ended with {code} and said nothing"
    # The kernel takes a process by SIGKILL where memory ends.
    return f"{told}: was it killed because memory ran out?" if code == -9 else told  # noqa: PLR2004


class _Run:
    """The process of a run, from the sweep's side."""

    def __init__(
        self,
        pipe: multiprocessing.connection.Connection,
        process: subprocess.Popen[bytes],
        *,
        scratch: Scratch,
        stopper: Stopper,
        on_beat: Callable[[Beat], None],
        clock: Callable[[], float],
    ) -> None:
        self._pipe = pipe
        self._process = process
        self._scratch = scratch
        self._stopper = stopper
        self._on_beat = on_beat
        self._clock = clock
        self._ended: Ended | None = None

    def send(self, task: Task) -> None:
        try:
            self._pipe.send(task)
        except OSError:
            return  # it has died: that is found out at once
        except Exception as error:
            raise UsageError(
                f"the sources cannot be handed to another process: {error}",
                hint="write them to files, and name those",
            ) from error

    def follow(self, seconds: float | None) -> Ended | None:
        """Follows the run to its end, and stops it where that is wished for or due."""
        due = None if seconds is None else self._clock() + seconds
        while self._listen():
            if self._stopper.wishes or (due is not None and self._clock() >= due):
                self._stop()
                break
        return self._ended

    def _stop(self) -> None:
        with contextlib.suppress(OSError):
            self._pipe.send(Stop())
        limit = self._clock() + _GRACE
        while self._clock() < limit and self._stopper.wishes < _AT_ONCE and self._listen():
            pass

    def _listen(self) -> bool:
        """Takes the next message, if there is one soon; returns whether there may be more."""
        try:
            if self._pipe.poll(_LOOKS):
                self._take(self._pipe.recv())
        except (EOFError, OSError):
            return False
        return self._ended is None

    def _take(self, message: Message) -> None:
        scratch = self._scratch
        match message:
            case DatasetKnown():
                scratch.dataset_id = message.dataset_id
            case DatasetGone():
                scratch.dataset_id = None
            case SessionOpened():
                scratch.session_id = message.session_id
            case SessionGone():
                scratch.session_id = None
            case Beat():
                self._on_beat(message)
            case Ended():
                self._ended = message

    def close(self) -> None:
        """Ends the process, however it is."""
        if self._ended is not None:
            # It has nothing left to do but to go.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
