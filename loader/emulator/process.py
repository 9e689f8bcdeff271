"""An emulator in a process of its own, which ends when the one that started it does."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Self

from loader.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EmulatorProcess"]

_GRACE = 15.0
"""Seconds for a clean end before the process is killed."""


class EmulatorProcess:
    """Runs ``mstr-loader emulator`` as a child, a context manager.

    The child reads its standard input, a pipe that only this process holds open: it ends when this
    object is closed, and just as well when this process dies by ``kill -9``.

    Args:
        *options: Options of the command; the port is a free one unless they name one.
        env: Environment variables to add, such as ``MSTR_EMULATOR_PASSWORD``.

    Attributes:
        url: Where it listens, ``http://127.0.0.1:PORT/MicroStrategyLibrary``; set on entering.
        pid: Its process id; set on entering.

    Raises:
        UsageError: On entering: it could not start; the message is the child's own.
    """

    url: str
    pid: int

    def __init__(self, *options: str, env: Mapping[str, str] | None = None) -> None:
        self._command = [
            *(sys.executable, "-m", "loader", "emulator", "--port", "0", "--ready"),
            *options,
        ]
        self._env = {**os.environ, **(env or {})}
        self._process: subprocess.Popen[str] | None = None

    def __repr__(self) -> str:
        if self._process is None:
            return "<EmulatorProcess not started>"
        code = self._process.poll()
        return f"<EmulatorProcess {self.url} pid={self.pid} {'running' if code is None else code}>"

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._env,
            text=True,
            # A Ctrl-C in the terminal is for the parent, which closes the child when it is done.
            start_new_session=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        ready = _read(line)
        if "url" not in ready:
            self.close()
            error = ready.get("error", {})
            raise UsageError(
                error.get("message") or "The emulator's process ended before it was ready.",
                hint=error.get("hint") or "Its messages on standard error say why.",
            )
        self.url = ready["url"]
        self.pid = ready["pid"]
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process: by the end of its input, and by force when that takes too long."""
        process = self._process
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _read(line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
