"""Loads that are stopped half-way, by real signals or by a server that refuses, and go on again."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.harness import Command, Outcome, Server, connection

__all__ = [
    "LIMIT",
    "ROWS",
    "SMALL",
    "Driver",
    "delete_dataset",
    "driver",
    "ended",
    "expired",
    "file",
    "fired",
    "lose_sessions",
    "published",
    "table",
    "until",
    "whole",
    "write",
]

LIMIT = 100
"""Seconds after which a process hangs."""

ROWS = 6_000
SMALL = ("--chunk-size", "12kB", "--concurrency", "1")
"""Some eight chunks of ``table()``, one after the other."""

HUNG_UP = {444, 499}
"""What requests have as their status whose client went away; the server may notice it late."""

Start = Callable[..., subprocess.Popen[str]]


def table(rows: int = ROWS, first: int = 0) -> pa.Table:
    numbers = range(first, first + rows)
    return pa.table({"k": [f"key{n:06}" for n in numbers], "v": list(numbers)})


def write(path: Path, rows: int = ROWS, first: int = 0) -> Path:
    """Writes a Parquet file whose row groups are smaller than a chunk."""
    pq.write_table(table(rows, first), path, row_group_size=500, compression="none")
    return path


def whole(server: Server, rows: int = ROWS, name: str = "t.t", first: int = 0) -> bool:
    """Whether a table has every row of ``table()`` exactly once, by what DuckDB says."""
    found = server.sql(
        f"SELECT count(*), count(DISTINCT k), coalesce(sum(v), 0),"
        f" count(*) FILTER (k = 'key' || lpad(CAST(CAST(v AS BIGINT) AS VARCHAR), 6, '0'))"
        f" FROM {name}"
    )
    numbers = range(first, first + rows)
    assert found == [(rows, rows, sum(numbers), rows)], found
    return True


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "t.parquet")


def ended(process: subprocess.Popen[str]) -> Outcome:
    """Waits for the end of a process."""
    out, err = process.communicate(timeout=LIMIT)
    return Outcome(process.returncode, out, err)


def until(what: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    """Waits until something holds, which a process brings about that has to live till then."""
    pause = threading.Event()
    for _ in range(LIMIT * 100):
        if what():
            return
        if process is not None and process.poll() is not None:
            raise AssertionError(f"it ended before: {process.communicate()}")
        pause.wait(0.01)
    raise AssertionError("it never came")


def fired(server: Server) -> list[int]:
    """How often each rule of fault injection has fired."""
    return [rule["fired"] for rule in server.emulator.faults.report()]


def expired(server: Server) -> None:
    """Lets every login time out: those of killed processes do, in the end."""

    async def expire() -> None:
        for login in list(server.emulator.logins._by_token.values()):
            server.emulator.logins.close(login)

    server.call(expire())


def lose_sessions(server: Server) -> None:
    """Ends all upload sessions, as a server does that is restarted."""

    async def lose() -> None:
        for session in list(server.emulator.uploads):
            await server.emulator.cancel(session)
            server.emulator.uploads.remove(session)

    server.call(lose())


def delete_dataset(server: Server, dataset_id: str) -> None:
    """Deletes a dataset, as another user would."""

    async def delete() -> None:
        (found,) = [one for one in server.emulator.catalogue if one.id == dataset_id]
        await server.emulator.delete(found)

    server.call(delete())


def published(server: Server) -> None:
    """Waits for the end of every publish."""

    async def wait() -> None:
        for session in list(server.emulator.uploads):
            await session.publishing

    server.call(wait())


@dataclass
class Driver:
    """Begins loads, stops them, and goes on with them."""

    command: Command
    server: Server
    start: Start
    file: Path
    chunks_before: int = field(default=0, init=False)

    def arguments(self, *options: object, sources: Sequence[object] = ()) -> list[object]:
        return ["push", *(sources or [self.file]), *connection(self.server), *SMALL, *options]

    def push(self, *options: object, sources: Sequence[object] = ()) -> Outcome:
        return self.command(*self.arguments(*options, sources=sources), "--json")

    def stopped(
        self, *options: object, sources: Sequence[object] = (), rule: str = "put:nth=4-:status=503"
    ) -> str:
        """Begins a load that runs out of retries; returns its job."""
        self.server.emulator.inject(rule)
        outcome = self.push("--retries", "0", *options, sources=sources)
        assert outcome.code == 6, outcome
        assert fired(self.server)[-1] > 0
        self.server.emulator.faults.clear()
        self.mark()
        job = outcome.json["job"]
        assert outcome.json["status"] == "interrupted"
        assert outcome.error["resume"] == f"mstr-loader resume {job}"
        assert self.job()["state"] == "interrupted"
        return str(job)

    def killed(
        self,
        rule: str,
        *options: object,
        sources: Sequence[object] = (),
        arguments: Sequence[object] = (),
    ) -> dict[str, Any]:
        """Kills a real process when a rule that makes the server stall has fired.

        Returns:
            Its job, as ``jobs --json`` lists it.
        """
        self.server.emulator.inject(rule)
        command = arguments or self.arguments(*options, sources=sources)
        process = self.start(*command, "--json")
        until(lambda: fired(self.server)[-1] > 0, process)
        process.kill()
        process.wait(LIMIT)
        self.server.emulator.faults.clear()
        self.mark()
        found = self.job()
        assert found["driver"] is None
        return found

    def mark(self) -> None:
        """Forgets the requests so far; ``sent`` counts from here."""
        self.server.requests.clear()
        self.chunks_before = len(self.server.chunks)

    @property
    def sent(self) -> list[tuple[str, int]]:
        """Table and index of the chunks that were stored since ``mark``."""
        return [(name, index) for name, index, _ in self.server.chunks[self.chunks_before :]]

    @property
    def puts(self) -> int:
        """The PUTs into upload sessions that were answered since ``mark``."""
        return sum(
            verb == "PUT" and "/uploadSessions/" in path and status not in HUNG_UP
            for verb, path, status in self.server.requests
        )

    @property
    def posts(self) -> list[str]:
        """What was created or published since ``mark``: the last words of the paths."""
        words = [
            path.rpartition("/")[2] for verb, path, _ in self.server.requests if verb == "POST"
        ]
        return [word for word in words if word in {"models", "uploadSessions", "publish"}]

    def resume(self, *arguments: object) -> Outcome:
        return self.command("resume", *arguments, "--json")

    def jobs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.command("jobs", "--json").succeeded().json["jobs"]
        return found

    def job(self) -> dict[str, Any]:
        """The latest job."""
        return self.jobs()[0]

    def clean(self) -> None:
        """Checks that the job is closed, and that nothing is left but logins of the dead."""
        assert self.job()["state"] == "closed"
        assert self.job()["finished"]
        expired(self.server)
        self.server.left_nothing()


@pytest.fixture
def driver(command: Command, server: Server, start: Start, file: Path) -> Driver:
    return Driver(command, server, start, file)
