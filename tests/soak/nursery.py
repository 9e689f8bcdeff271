"""Starts the command line in processes of their own, fast: forks of one that has imported it all.

Each is as real as any: it has its own memory, sockets, locks and signals, and dies by ``kill -9``.
Only the second that Python takes to import Arrow is saved, which is most of what a small load
takes, hundreds of times over.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from tests.soak.dying import Death, install

__all__ = ["Child", "Nursery"]

_ROOT: Final = Path(__file__).parents[2]
_LIMIT: Final = 30.0
"""Seconds that starting may take."""
# What the commands import when they run.
_MODULES: Final = (
    *("loader.cli.main", "loader.cli.push", "loader.cli.resume", "loader.cli.run"),
    *("loader.job", "loader.job.journal.list", "loader.job.resuming", "loader.sources.parquet"),
)


class Nursery:
    """A context manager that starts one process at a time."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.soak.nursery"],
            cwd=_ROOT,
            # Threads do not survive a fork: there must be none.
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait(_LIMIT)
        self._process.stdout.close()

    def start(
        self,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        out: Path,
        err: Path,
        death: Death | None = None,
    ) -> Child:
        """Starts the command line; the one before has ended.

        Args:
            arguments: Of the command line.
            environment: All of its environment.
            out: Where its standard output goes.
            err: Where its standard error goes.
            death: When it kills itself.
        """
        order = {
            "arguments": list(arguments),
            "environment": dict(environment),
            "out": str(out),
            "err": str(err),
            "death": death and str(death).split(),
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps(order)}\n".encode())
        return Child(self._process.stdout.fileno())


class Child:
    """A process of a nursery.

    Attributes:
        pid: Its process id.
        code: Its return code as ``subprocess`` has it; None: it runs.
    """

    def __init__(self, answers: int) -> None:
        self._answers = answers
        self.code: int | None = None
        pid = self._answer(_LIMIT)
        assert pid is not None, "the nursery does not answer"
        self.pid = pid

    def wait(self, seconds: float) -> int | None:
        """Waits for its end; returns its code, or None where it still runs."""
        if self.code is None:
            self.code = self._answer(seconds)
        return self.code

    def send(self, number: int) -> None:
        """Sends it a signal, if it runs."""
        if self.wait(0) is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _answer(self, seconds: float) -> int | None:
        """Returns the next number that the nursery tells, each on a line that comes as a whole."""
        ready, _, _ = select.select([self._answers], [], [], seconds)
        if not ready:
            return None
        line = b""
        while not line.endswith(b"\n"):
            letter = os.read(self._answers, 1)
            assert letter, "the nursery has died"
            line += letter
        return int(line)


def _serve() -> Any:
    """Forks a process for each line of standard input, which leaves this function to run."""
    for name in _MODULES:
        importlib.import_module(name)
    for line in sys.stdin.buffer:
        order = json.loads(line)
        pid = os.fork()
        if not pid:
            return order
        os.write(1, b"%d\n" % pid)
        _, status = os.waitpid(pid, 0)
        os.write(1, b"%d\n" % os.waitstatus_to_exitcode(status))
    return None


def _become(order: dict[str, Any]) -> None:
    """Becomes the process that was ordered."""
    os.environ.clear()
    os.environ.update(order["environment"])
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for target, path, how in (
        (0, os.devnull, os.O_RDONLY),
        (1, order["out"], flags),
        (2, order["err"], flags),
    ):
        descriptor = os.open(path, how, 0o600)
        os.dup2(descriptor, target)
        os.close(descriptor)
    if order["death"] is not None:
        install(Death.parse(order["death"]))
    sys.argv[1:] = order["arguments"]
    from loader.cli.main import main  # noqa: PLC0415 - a fork has it already

    main(order["arguments"])


if __name__ == "__main__":
    ordered = _serve()
    if ordered is not None:
        _become(ordered)
