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
    """Runs ``mstr-loader emulator`` as a child, a context manager; it can be killed and restarted.

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
        self._port: str | None = None

    def __repr__(self) -> str:
        if self._process is None:
            return "<EmulatorProcess not started>"
        code = self._process.poll()
        return f"<EmulatorProcess {self.url} pid={self.pid} {'running' if code is None else code}>"

    def __enter__(self) -> Self:
        self.start()
        return self

    def start(self) -> None:
        """Starts it; after ``kill``, ``wait`` or ``close`` once more, on the same port.

        Rules of fault injection that are options count from 0 again, those added since are gone.

        Raises:
            UsageError: It could not start, or is running already.
        """
        if self._process is not None and self._process.poll() is None:
            raise UsageError("The emulator's process is running.", hint="End it first: kill().")
        self.close()
        # The last of several options counts.
        port = () if self._port is None else ("--port", self._port)
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [*self._command, *port],
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
        self._port = self.url.split("/")[2].rpartition(":")[2]

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

    def kill(self) -> None:
        """Ends it as ``kill -9`` does: nothing is closed in order, nothing more is written."""
        assert self._process is not None, "it was not started"
        self._process.kill()
        self._process.wait()

    def wait(self, seconds: float) -> int:
        """Waits for its end, which a rule such as ``put:nth=3:crash=before`` brings about.

        Returns:
            Its return code: -9 when it was killed.

        Raises:
            subprocess.TimeoutExpired: It is still running.
        """
        assert self._process is not None, "it was not started"
        return self._process.wait(seconds)

    def inject(self, *rules: str) -> None:
        """Puts rules of fault injection in force; needs ``--fault-control``, and http.

        Raises:
            UsageError: One is no rule, or the control endpoint is not there.
        """
        self._control("POST", json.dumps(rules).encode())

    def faults(self) -> list[dict[str, Any]]:
        """Returns the rules in force: ``rule``, ``matched`` and ``fired`` of each.

        Raises:
            UsageError: The control endpoint is not there.
        """
        return _read(self._control("GET"))["rules"]  # type: ignore[no-any-return] # from JSON

    def clear_faults(self) -> None:
        """Takes all rules out of force.

        Raises:
            UsageError: The control endpoint is not there.
        """
        self._control("DELETE")

    def _control(self, method: str, body: bytes | None = None) -> str:
        # Here and not above: they take longer to import than all the rest.
        import urllib.error  # noqa: PLC0415
        import urllib.request  # noqa: PLC0415

        host = self.url.split("/")[2]
        request = urllib.request.Request(
            f"http://{host}/emulator/faults",
            body,
            {"Content-Type": "application/json"},
            method=method,
        )
        # Proxies of the environment are not meant for a child of this process.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=_GRACE) as answer:
                return str(answer.read(), "utf-8")
        except urllib.error.HTTPError as error:
            with error:
                message = _read(str(error.read(), "utf-8")).get("message")
            raise UsageError(
                message or f"The control endpoint answered {error.code}.",
                hint="Start the emulator with --fault-control.",
            ) from error


def _read(line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
