"""An emulator in a process of its own that is started again whenever a fault kills it."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from loader.emulator import EmulatorProcess
from tests.soak.processes import PASSWORD

__all__ = ["Server"]

_LIMIT = 30.0
"""Seconds after which a process is taken to hang."""
_LOOK = 0.05
"""Seconds between two looks at what its rules have done."""
_ATTEMPTS = 20
_DATABASE = "emulator.duckdb"
# What asking a server brings that is being killed, or is not up again.
_AWAY = (OSError, http.client.HTTPException, KeyError)


class Server:
    """A context manager around a server that keeps its data in a directory.

    Args:
        directory: For its data.
        options: Of ``mstr-loader emulator``.
        pause: A server that was killed is away for so many seconds at most.
        seed: What those are drawn with.

    Attributes:
        crashes: How often a fault killed it.
    """

    def __init__(self, directory: Path, *options: str, pause: float = 0.3, seed: int = 0) -> None:
        self._directory = directory
        self._process = EmulatorProcess(
            *("--data", str(directory), "--fault-control"),
            *options,
            env={"MSTR_EMULATOR_PASSWORD": PASSWORD},
        )
        self._pause = pause
        self._draw = random.Random(seed)
        self._changing = threading.RLock()
        self._leaving = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._problem: BaseException | None = None
        # A restart and a change of rules begin a new life, in which they are counted from 0.
        self._life = 0
        self._fired: dict[tuple[int, int], tuple[str, int]] = {}
        self.crashes = 0

    def __enter__(self) -> Self:
        self._process.start()
        self._keeper.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        self._keeper.join(_LIMIT)
        self._process.close()
        if self._problem is not None:
            raise self._problem

    @property
    def url(self) -> str:
        """Where it listens; the same after a restart."""
        return self._process.url

    @property
    def port(self) -> int:
        """The port of ``url``."""
        return int(self.url.split("/")[2].rpartition(":")[2])

    def _keep(self) -> None:
        try:
            while not self._leaving.is_set():
                with self._changing:
                    self._look()
                self._leaving.wait(_LOOK)
        except BaseException as error:  # noqa: BLE001 - told when the block is left
            self._problem = error

    def _look(self) -> None:
        """Starts it again where a fault killed it, and otherwise asks what its rules have done."""
        try:
            code = self._process.wait(0)
        except subprocess.TimeoutExpired:
            self._count()
            return
        assert code == -signal.SIGKILL, f"the emulator ended by itself: {code}"
        self.crashes += 1
        self._leaving.wait(self._draw.uniform(0, self._pause))
        self._start()

    def _start(self) -> None:
        self._life += 1
        self._process.start()

    def restart(self) -> None:
        """Kills it as ``kill -9`` does, and starts it again with the same data."""
        with self._changing:
            self._count()
            self._process.kill()
            self._start()

    def _count(self) -> None:
        with contextlib.suppress(*_AWAY):
            for number, rule in enumerate(self._process.faults()):
                self._fired[self._life, number] = (rule["rule"], rule["fired"])

    @property
    def fired(self) -> Counter[str]:
        """How often each rule fired; of a server that was killed: as far as is known."""
        with self._changing:
            self._count()
        found: Counter[str] = Counter()
        for rule, times in self._fired.values():
            found[rule] += times
        return found

    def change(self, rules: Sequence[str]) -> None:
        """Puts rules in force in place of those before."""
        for _ in range(_ATTEMPTS):
            # What is left of a killed load may kill it just now.
            with self._changing, contextlib.suppress(*_AWAY):
                self._count()
                self._process.clear_faults()
                self._life += 1
                if rules:
                    self._process.inject(*rules)
                return
            time.sleep(_LOOK)
        raise AssertionError("the emulator takes no rules")

    def snapshot(self, to: Path) -> Path:
        """Returns a copy of its database as ``kill -9`` would leave it now.

        It is stopped meanwhile, in the middle of whatever it does, and then goes on.
        """
        to.mkdir()
        with self._changing:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(self._process.pid, signal.SIGSTOP)
                self._await_stop()
            try:
                for path in self._directory.glob(f"{_DATABASE}*"):
                    if path.is_file():
                        shutil.copy(path, to)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._process.pid, signal.SIGCONT)
        return to / _DATABASE

    def _await_stop(self) -> None:
        """Waits until it stands still: a signal is delivered when the system gets to it."""
        deadline = time.monotonic() + _LIMIT
        # Not for its end: that is the keeper's to know.
        while os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOHANG) is None:
            assert time.monotonic() < deadline, "the emulator does not stop"
            time.sleep(0.001)
