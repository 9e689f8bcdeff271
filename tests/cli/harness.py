"""A real server in a thread of its own, the command line in this one, and what came of a run."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Self

import pytest
from aiohttp import web

from loader.cli.main import main
from loader.cli.run_signals import STOP_SIGNALS
from loader.emulator import EmulatorOptions
from loader.emulator.archive import Archive
from loader.emulator.core import Emulator
from loader.emulator.server import BASE, _tls, make_app
from loader.emulator.store import Store

PROJECT = "MicroStrategy Tutorial"
USER = "administrator"
PASSWORD = "correct-horse-battery"

Fault = Callable[[web.Request], Awaitable[web.StreamResponse | None]]
"""Sees a request before the server does; what it returns is the answer, None lets it pass."""


class RecordingStore(Store):
    """Stores, and remembers which chunks came in which order."""

    def __init__(self, path=None) -> None:
        super().__init__(path)
        self.chunks: list[tuple[str, int, int]] = []

    def stage(self, session_id, table, index, data, *, append=False):
        super().stage(session_id, table, index, data, append=append)
        self.chunks.append((table.name, index, data.num_rows))


async def _cancel_others() -> None:
    """Ends what a fault still holds, such as a handler in mid-sleep."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@dataclass(eq=False)
class Server:
    """An emulator on loopback, driven by its own event loop in its own thread."""

    options: EmulatorOptions
    archive: Archive | None = None
    fault: Fault | None = None
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    puts: Counter[str] = field(default_factory=Counter)
    most_puts: int = 0
    url: str = ""

    def __enter__(self) -> Self:
        self._archive: Archive = self.archive or RecordingStore()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        try:
            self.call(self._start())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.call(self._runner.cleanup())
        self._end()

    def _end(self) -> None:
        self.call(_cancel_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> None:
        self.emulator = Emulator(self.options, archive=lambda: self._archive)
        app = make_app(self.emulator)
        app.middlewares.insert(0, self._watch())
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        tls = _tls(self.options)
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=tls).start()
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._runner.addresses[0][1]}{BASE}"

    def _watch(self) -> Any:
        under_way = 0

        @web.middleware
        async def watch(request: web.Request, handler: Any) -> web.StreamResponse:
            nonlocal under_way
            put = request.method == "PUT"
            under_way += put
            self.puts[request.headers.get("X-MSTR-AuthToken", "")] += put
            self.most_puts = max(self.most_puts, under_way)
            status = 499
            try:
                answer = await self.fault(request) if self.fault else None
                if answer is None:
                    answer = await handler(request)
                status = answer.status
            finally:
                under_way -= put
                path = request.path.removeprefix(BASE)
                self.requests.append((request.method, path, status))
            return answer

        return watch

    def puts_of_others(self, logins: Collection[str]) -> int:
        """How many PUTs have come with other logins than these.

        One of a process that is gone may be answered long after another one has begun.
        """
        return sum(count for login, count in self.puts.items() if login not in logins)

    def call(self, work: Any) -> Any:
        """Runs a coroutine in the server's loop."""
        future: Future[Any] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(30)

    @property
    def chunks(self) -> list[tuple[str, int, int]]:
        """(table, index, rows) of every chunk that was stored, in the order they were."""
        assert isinstance(self._archive, RecordingStore)
        return self._archive.chunks

    @property
    def datasets(self) -> dict[str, str]:
        """The ids of the datasets by name."""
        return {dataset.model.name: dataset.id for dataset in self.emulator.catalogue}

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        """Asks the server's DuckDB."""
        with contextlib.closing(self._archive._connection.cursor()) as cursor:
            return cursor.execute(query).fetchall()

    def called(self, method: str, ending: str) -> list[int]:
        """The statuses of the calls with that method and ending of their path."""
        return [
            status
            for verb, path, status in self.requests
            if verb == method and path.endswith(ending)
        ]

    @property
    def sessions(self) -> int:
        """Upload sessions that were not deleted."""
        return len(list(self.emulator.uploads))

    def left_nothing(self) -> None:
        """Checks that every upload session was deleted and every login ended."""
        assert self.sessions == 0
        assert len(self.emulator.logins) == 0


@dataclass(frozen=True)
class Outcome:
    """What a run of the command line left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        lines = self.out.splitlines()
        assert len(lines) == 1, self
        return json.loads(lines[0])

    @property
    def error(self) -> dict[str, Any]:
        """The error of the JSON object, which has a message and a hint."""
        error = self.json["error"]
        assert error["message"], self
        assert "Traceback" not in self.err, self
        assert "defect" not in error["kind"], self
        return error

    def succeeded(self) -> Outcome:
        """Checks that it did."""
        assert self.code == 0, self
        return self


@dataclass
class Command:
    """Runs the command line in this process."""

    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: object) -> Outcome:
        self.capsys.readouterr()
        handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}
        try:
            with pytest.raises(SystemExit) as end:
                main([str(argument) for argument in arguments])
        finally:
            # The command line takes them for the rest of its process, which this one is not.
            for number, handler in handlers.items():
                signal.signal(number, handler)
        captured = self.capsys.readouterr()
        code = end.value.code
        assert isinstance(code, int)
        return Outcome(code, captured.out, captured.err)


@dataclass
class Push:
    """Runs ``mstr-loader push --json`` against a server."""

    command: Command
    server: Server

    def __call__(self, *arguments: object) -> Outcome:
        return self.command("push", *arguments, *connection(self.server), "--json")


def connection(server: Server) -> Sequence[str]:
    """The options that name a server."""
    return ["--url", server.url, "--username", USER, "--project", PROJECT]
