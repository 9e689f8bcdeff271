"""Runs the command line in real processes, and stops them when their journal says so."""

from __future__ import annotations

import contextlib
import enum
import json
import os
import signal
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from loader.job.journal.list import JobSummary, list_jobs
from tests.soak.dying import Death
from tests.soak.nursery import Child, Nursery

__all__ = ["PASSWORD", "PROJECT", "USER", "Ended", "Host", "Stop", "StopKind"]

PROJECT: Final = "MicroStrategy Tutorial"
USER: Final = "administrator"
PASSWORD: Final = "soak-correct-horse"

_LIMIT: Final = 60.0
"""Seconds after which a process is taken to hang: none of its budgets is so long."""
_LOOK: Final = 0.005
"""Seconds between two looks at a journal."""
_TAIL: Final = 2000


class StopKind(enum.Enum):
    """How a process is stopped: by these signals."""

    KILL = (signal.SIGKILL,)
    TERM = (signal.SIGTERM,)
    TERM_TWICE = (signal.SIGTERM, signal.SIGTERM)
    INTERRUPT = (signal.SIGINT,)


@dataclass(frozen=True, slots=True)
class Stop:
    """When a process is stopped from outside.

    Attributes:
        kind: How.
        chunks: Once so many more chunks than before are written down as accepted.
        stage: Or, in place of that, once the journal has come to this stage.
        later: Seconds after that.
    """

    kind: StopKind
    chunks: int = 0
    stage: str | None = None
    later: float = 0.0


@dataclass(frozen=True, slots=True)
class Ended:
    """What a process left behind.

    Attributes:
        arguments: What it was started with.
        code: Its return code; -9 when it was killed.
        out: Its standard output.
        err: Its standard error.
        stopped: Whether a stop came before its end.
        seconds: How long it lived.
    """

    arguments: tuple[str, ...]
    code: int
    out: str
    err: str
    stopped: bool
    seconds: float

    def __str__(self) -> str:
        tail = "\n".join(line for line in self.err[-_TAIL:].splitlines() if "encoded" not in line)
        return f"exit {self.code} after {self.seconds:.1f} s\n{self.out}{tail}"

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on standard output; empty when it died before."""
        lines = self.out.splitlines()
        if self.died and not lines:
            return {}
        assert len(lines) == 1, f"not one JSON object on standard output: {self}"
        found = json.loads(lines[0])
        assert isinstance(found, dict), self
        return found

    @property
    def killed(self) -> bool:
        """Whether it was killed."""
        return self.code == -signal.SIGKILL

    @property
    def died(self) -> bool:
        """Whether a signal ended it: a kill, or one that met it before or after its handlers."""
        return self.stopped and -self.code in {signal.SIGKILL, signal.SIGTERM, signal.SIGINT}


@dataclass(frozen=True)
class Host:
    """A machine on which loads run: a state directory, and an environment without a user's.

    Attributes:
        state: The state directory.
        nursery: Starts the processes.
        environment: What they get.
    """

    state: Path
    nursery: Nursery
    environment: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.upper().startswith(("MSTR_", "HTTP_", "HTTPS_", "NO_PROXY", "ALL_PROXY"))
        }
        own = {
            "MSTR_LOADER_STATE": str(self.state),
            "MSTR_LOADER_CONFIG": str(self.state / "config.toml"),
            "MSTR_PASSWORD": PASSWORD,
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
            "COLUMNS": "200",
        }
        object.__setattr__(self, "environment", kept | own)

    def run(self, *arguments: str, stop: Stop | None = None, death: Death | None = None) -> Ended:
        """Runs the command line to its end, whatever brings it about."""
        began = time.monotonic()
        accepted = self.accepted() if stop else 0
        # Files and not pipes: nobody reads while the journal is looked at.
        with tempfile.TemporaryDirectory(prefix="output-") as directory:
            out, err = Path(directory) / "out", Path(directory) / "err"
            # A child may be killed before it has opened them.
            out.touch()
            err.touch()
            child = self.nursery.start(
                arguments, environment=self.environment, out=out, err=err, death=death
            )
            stopped = death is not None
            if stop is not None:
                stopped = self._stop(child, stop, accepted)
            code = child.wait(_LIMIT)
            if code is None:
                child.send(signal.SIGKILL)
                child.wait(_LIMIT)
                raise AssertionError(f"it hangs: {arguments}\n{err.read_text()}")
            seconds = time.monotonic() - began
            return Ended(arguments, code, out.read_text(), err.read_text(), stopped, seconds)

    def _stop(self, child: Child, stop: Stop, accepted: int) -> bool:
        """Waits for the moment; returns whether the process was still there."""
        deadline = time.monotonic() + _LIMIT
        while not self._has_come(stop, accepted) and time.monotonic() < deadline:
            if child.wait(_LOOK) is not None:
                return False
        if child.wait(stop.later) is not None:
            return False
        for number in stop.kind.value:
            child.send(number)
            # The second of two has to meet a process that knows of the first.
            if child.wait(4 * _LOOK) is not None:
                break
        return True

    def _has_come(self, stop: Stop, accepted: int) -> bool:
        if stop.stage is not None:
            return any(state == stop.stage for state in self._read("SELECT state FROM job"))
        return self.accepted() >= accepted + stop.chunks

    def accepted(self) -> int:
        """Returns how many chunks all journals call accepted, those of lost sessions too."""
        return sum(self._read("SELECT count(*) FROM chunk WHERE accepted = 1"))

    def _read(self, query: str) -> list[Any]:
        """Returns one value of each journal that can be read, as its processes write it."""
        found = []
        for path in sorted((self.state / "jobs").glob("*.sqlite")):
            with (
                contextlib.suppress(sqlite3.Error, FileNotFoundError),
                contextlib.closing(
                    sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)
                ) as journal,
            ):
                found += [value for (value,) in journal.execute(query)]
        return found

    def journals(self) -> set[str]:
        """Returns the ids of all jobs that have a journal, be it empty."""
        return {path.stem for path in (self.state / "jobs").glob("*.sqlite")}

    def state_of(self, job: str) -> tuple[str | None, str | None]:
        """Returns state and stage of a job; None where nothing is written down."""
        path = self.state / "jobs" / f"{job}.sqlite"
        with contextlib.suppress(sqlite3.Error), _open(path) as journal:
            state, stage = journal.execute("SELECT state, stage FROM job").fetchone()
            return str(state), str(stage)
        return None, None

    def summary_of(self, job: str) -> JobSummary:
        """Returns what ``mstr-loader jobs`` goes by."""
        return next(one for one in list_jobs(self.state / "jobs") if one.id == job)


@contextlib.contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)) as journal:
        yield journal
