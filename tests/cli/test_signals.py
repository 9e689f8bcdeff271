"""Ctrl-C, SIGTERM and worse, sent to a real process at moments that the server chooses."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.harness import Outcome, Push, connection

pytestmark = pytest.mark.slow

LIMIT = 30


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "t.parquet"
    table = pa.table({"k": [f"key{n:06}" for n in range(30_000)], "v": list(range(30_000))})
    pq.write_table(table, path, row_group_size=3000)
    return path


@pytest.fixture
def start():
    """Starts the command line in a process of its own, which does not outlive the test."""
    started = []

    def run(*arguments, program=("-m", "loader"), **settings):
        process = subprocess.Popen(
            [sys.executable, *program, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **settings,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ended(process) -> Outcome:
    out, err = process.communicate(timeout=LIMIT)
    return Outcome(process.returncode, out, err)


class Hold:
    """Says that a request has come, and does not answer it."""

    def __init__(self, method: str, part: str, *, after: int = 0, wait: bool = True) -> None:
        self.reached = threading.Event()
        self._method, self._part = method, part
        self._left = after
        self._wait = wait

    async def __call__(self, request):
        if request.method == self._method and self._part in request.path:
            self._left -= 1
            if self._left < 0:
                self.reached.set()
                if self._wait:
                    await asyncio.sleep(LIMIT)


SLOW_SOURCE = (
    "-c",
    """
import os, sys, threading
import loader.job.entry
from loader.cli.main import main

def prepare(*_):
    os.write(2, b"READING\\n")  # in one piece: another thread writes to standard error too
    threading.Event().wait()  # a disk that does not answer

loader.job.entry.prepare = prepare
main(sys.argv[1:])
""",
)


def until_reading(process) -> None:
    for line in process.stderr:
        if "READING" in line:  # perhaps after what another thread wrote without a line's end
            return
    raise AssertionError("it ended before it read")


def arguments(file, server):
    chunks = ("--chunk-size", "30kB", "--concurrency", "2")
    return ["push", file, *connection(server), *chunks, "--json"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_in_mid_load_stops_and_cleans_up(server, file, start, number):
    server.fault = hold = Hold("PUT", "/uploadSessions/", after=3)
    process = start(*arguments(file, server))
    assert hold.reached.wait(LIMIT)
    process.send_signal(number)
    outcome = ended(process)
    assert outcome.code == 130
    assert outcome.json["status"] == "interrupted"
    assert outcome.error["kind"] == "interrupted"
    assert outcome.error["hint"]
    assert outcome.json["chunks"] > 0
    assert outcome.json["dataset_id"] is None
    assert "stopping" in outcome.err
    assert server.called("POST", "/publish") == []
    assert server.datasets == {}
    server.left_nothing()


def test_a_signal_while_the_server_publishes(serve, file, start):
    server = serve(publish_time=LIMIT)
    server.fault = hold = Hold("GET", "/publishStatus", after=1, wait=False)
    process = start(*arguments(file, server))
    assert hold.reached.wait(LIMIT)
    process.send_signal(signal.SIGINT)
    outcome = ended(process)
    assert outcome.code == 130
    assert outcome.json["status"] == "interrupted"
    assert "being published" in outcome.error["message"]
    assert outcome.json["dataset_id"] == server.datasets["t"]
    server.left_nothing()


def test_a_second_signal_stops_at_once(server, file, start):
    in_load = Hold("PUT", "/uploadSessions/", after=3)
    in_cleanup = Hold("DELETE", "/uploadSessions/")

    async def fault(request):
        await in_load(request)
        await in_cleanup(request)

    server.fault = fault
    process = start(*arguments(file, server))
    assert in_load.reached.wait(LIMIT)
    process.send_signal(signal.SIGINT)
    assert in_cleanup.reached.wait(LIMIT)
    process.send_signal(signal.SIGINT)
    outcome = ended(process)
    assert outcome.code == 130
    assert outcome.json["status"] == "interrupted"
    assert "at once" in outcome.error["message"]
    assert outcome.error["hint"]


def test_what_was_published_stays_published_after_two_signals(server, file, start):
    deleting, leaving = Hold("DELETE", "/uploadSessions/"), Hold("POST", "/auth/logout")

    async def fault(request):
        await deleting(request)
        await leaving(request)

    server.fault = fault
    process = start(*arguments(file, server))
    for hold in (deleting, leaving):
        assert hold.reached.wait(LIMIT)
        process.send_signal(signal.SIGINT)
    outcome = ended(process)
    assert outcome.code == 0
    assert outcome.json["status"] == "published"
    assert outcome.json["error"] is None
    assert any("stopped" in warning for warning in outcome.json["warnings"])


def test_a_signal_while_the_source_is_read_needs_no_patience(server, file, start):
    process = start(*arguments(file, server), program=SLOW_SOURCE)
    until_reading(process)
    process.send_signal(signal.SIGINT)
    outcome = ended(process)
    assert outcome.code == 130
    assert outcome.json["status"] == "interrupted"
    assert "before anything was sent" in outcome.error["message"]
    assert server.requests == []


def test_kill_9_leaves_a_server_that_can_be_loaded_into(server, file, start, command):
    server.fault = hold = Hold("PUT", "/uploadSessions/", after=3)
    process = start(*arguments(file, server))
    assert hold.reached.wait(LIMIT)
    process.kill()
    process.wait(LIMIT)
    server.fault = None
    push = Push(command, server)

    push(f"other={file}").succeeded()
    # The dead one's upload session is still open, as nobody can know that it died.
    outcome = push(file)
    assert outcome.code == 5
    assert "login times out" in outcome.error["hint"]
    assert server.sql("SELECT count(*) FROM t.t") == [(0,)]

    for login in list(server.emulator.logins._by_token.values()):
        server.emulator.logins.close(login)
    push(file).succeeded()
    assert server.sql("SELECT count(*), count(DISTINCT k) FROM t.t") == [(30_000, 30_000)]
    server.left_nothing()


# -- --local ---------------------------------------------------------------------------------------


@pytest.fixture
def emulators(monkeypatch, tmp_path):
    """Gives the process ids of the emulators that children of this process have started."""

    def find():
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue
                if b"emulator" in words and str(tmp_path).encode() in b" ".join(words):
                    found.append(int(entry.name))
        return found

    return find


def until_ended(pids) -> None:
    """Waits for processes that are nobody's children here."""
    for pid in pids:
        handle = os.pidfd_open(pid)
        try:
            assert select.select([handle], [], [], LIMIT)[0], f"{pid} still runs"
        finally:
            os.close(handle)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_with_local_the_server_ends_with_the_loader_even_after_kill_9(file, start, emulators):
    process = start("push", file, "--local", "--json", program=SLOW_SOURCE)
    until_reading(process)
    (pid,) = emulators()
    process.kill()
    process.wait(LIMIT)
    until_ended([pid])


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_with_local_a_signal_ends_both(file, start, emulators):
    process = start("push", file, "--local", "--json", program=SLOW_SOURCE)
    until_reading(process)
    (pid,) = emulators()
    process.send_signal(signal.SIGTERM)
    assert ended(process).code == 130
    until_ended([pid])


def test_local_twice_is_the_same_dataset(file, start, tmp_path):
    results = []
    for _ in range(2):
        outcome = ended(start("push", file, "--local", "--json")).succeeded()
        results.append(outcome.json)
    assert results[0]["dataset_id"] == results[1]["dataset_id"]
    text = ended(start("push", file, "--local")).succeeded()
    stored = tmp_path / "state" / "local" / "emulator.duckdb"
    assert f"stored in {stored}" in text.out
    with duckdb.connect(str(stored), read_only=True) as database:
        assert database.execute("SELECT count(*) FROM t.t").fetchall() == [(30_000,)]


def test_local_with_an_environment_that_names_a_server(file, start, monkeypatch):
    """What is set for every day must not stop a quick try."""
    monkeypatch.setenv("MSTR_URL", "https://mstr.example.com/MicroStrategyLibrary")
    monkeypatch.setenv("MSTR_USERNAME", "somebody")
    result = json.loads(ended(start("push", file, "--local", "--json")).succeeded().out)
    assert result["status"] == "published"
