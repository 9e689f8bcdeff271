"""Ctrl-C, SIGTERM and worse, sent to a real process at moments that the server chooses."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import signal
import sys
import threading
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiohttp import web

from tests.cli.ends import Left
from tests.cli.harness import Outcome, Push, connection

pytestmark = pytest.mark.slow

LIMIT = 100


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "t.parquet"
    table = pa.table({"k": [f"key{n:06}" for n in range(30_000)], "v": list(range(30_000))})
    pq.write_table(table, path, row_group_size=3000)
    return path


def ended(process) -> Outcome:
    out, err = process.communicate(timeout=LIMIT)
    return Outcome(process.returncode, out, err)


class Hold:
    """Says that a request has come, and does not answer it until it is let go."""

    def __init__(self, method: str, part: str, *, after: int = 0, wait: bool = True) -> None:
        self.reached = threading.Event()
        self._method, self._part = method, part
        self._left = after
        self._wait = wait
        self._loop: asyncio.AbstractEventLoop | None = None
        self._free = asyncio.Event()

    async def __call__(self, request):
        if request.method == self._method and self._part in request.path:
            self._left -= 1
            if self._left < 0:
                self._loop = asyncio.get_running_loop()
                self.reached.set()
                if self._wait:
                    async with asyncio.timeout(LIMIT):
                        await self._free.wait()

    def let_go(self) -> None:
        """Lets the server answer what is held, and all that comes."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._free.set)


def said(process, words: str) -> None:
    """Waits until the process says something on standard error."""
    for line in process.stderr:
        if words in line:
            return
    raise AssertionError(f"it ended, and never said {words!r}")


def puts(server) -> int:
    """How many chunks were answered, or given up by the client."""
    paths = [path for verb, path, _ in server.requests if verb == "PUT"]
    return sum("/uploadSessions/" in path for path in paths)


def all_arrived(server) -> None:
    assert server.sql("SELECT count(*), count(DISTINCT k), sum(v) FROM t.t") == [
        (30_000, 30_000, sum(range(30_000)))
    ]


def gone_on_with(job, server, command) -> None:
    """Resumes a job; checks that only what is missing is sent, and that all is there, once."""
    (listed,) = command("jobs", "--json").succeeded().json["jobs"]
    assert (listed["job"], listed["driver"], listed["finished"]) == (job, None, False)
    before = set(server.puts)
    result = command("resume", "--json").succeeded().json
    assert (result["job"], result["status"]) == (job, "published")
    assert server.puts_of_others(before) == result["chunks"] - listed["chunks"]
    assert server.sessions == 0
    all_arrived(server)


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
def test_a_signal_in_mid_load_lets_what_is_under_way_end(server, file, start, number, command):
    server.fault = hold = Hold("PUT", "/uploadSessions/", after=3)
    process = start(*arguments(file, server))
    assert hold.reached.wait(LIMIT)
    process.send_signal(number)
    said(process, "stopping after the PUTs under way; again to stop at once")
    hold.let_go()
    outcome = ended(process)
    left = Left.by(outcome, server, code=130)
    assert outcome.error["kind"] == "interrupted"
    # Nothing was cut off, and nothing is unaccounted for.
    assert outcome.json["chunks"] == left.accepted == len(server.chunks) == puts(server) >= 4
    assert {status for verb, _, status in server.requests if verb == "PUT"} == {200}
    assert server.called("POST", "/publish") == []
    left.resumed(command)
    all_arrived(server)


def test_a_signal_when_no_put_is_under_way_stops_at_once(server, file, start, command):
    server.fault = hold = Hold("POST", "/uploadSessions")
    process = start(*arguments(file, server))
    assert hold.reached.wait(LIMIT)
    process.send_signal(signal.SIGINT)
    outcome = ended(process)
    assert "stopping; again to stop at once" in outcome.err
    assert outcome.code == 130
    assert outcome.json["status"] == "interrupted"
    assert outcome.error["resume"] == f"mstr-loader resume {outcome.json['job']}"
    assert outcome.json["dataset_id"] == server.datasets["t"]
    server.fault = None
    gone_on_with(outcome.json["job"], server, command)


def test_a_signal_before_the_dataset_is_known_leaves_nothing(server, file, start, command):
    server.fault = hold = Hold("GET", "/searches/results")
    process = start(*arguments(file, server))
    assert hold.reached.wait(LIMIT)
    process.send_signal(signal.SIGINT)
    outcome = ended(process)
    assert outcome.code == 130
    assert outcome.json["status"] == "interrupted"
    assert "resume" not in outcome.error
    assert outcome.error["hint"] == "run the same command again to start over"
    assert command("jobs", "--json").json["jobs"][0]["state"] == "failed"
    assert server.datasets == {}
    server.left_nothing()


def test_a_signal_while_a_chunk_waits_to_be_repeated(server, file, start, command):
    """A server that asks for patience is no PUT under way."""
    server.emulator.inject("put:nth=4-:status=503,retry-after=250")
    process = start(*arguments(file, server))
    said(process, "still trying")
    process.send_signal(signal.SIGINT)
    outcome = ended(process)
    assert server.emulator.faults.report()[0]["fired"] > 0
    server.emulator.faults.clear()
    left = Left.by(outcome, server, code=130)
    assert outcome.json["seconds"] < LIMIT
    left.resumed(command)
    all_arrived(server)


def test_a_signal_while_the_server_is_away(server, file, start, command):
    async def away(request):
        away.puts += request.method == "PUT"
        if away.puts < 4:
            return None
        request.transport.abort()
        return web.Response()

    away.puts = 0
    server.fault = away
    process = start(*arguments(file, server))
    said(process, "still trying")
    process.send_signal(signal.SIGINT)
    outcome = ended(process)
    assert away.puts >= 4
    left = Left.by(outcome, server, code=130)
    assert outcome.error["kind"] == "interrupted"
    server.fault = None
    left.resumed(command)
    all_arrived(server)


def test_a_signal_while_the_server_publishes(server, file, start, command):
    hold = Hold("GET", "/publishStatus", after=1, wait=False)

    async def publishing(request):
        await hold(request)
        running = {"uploadSessionId": "x", "status": 6, "message": "Building"}
        return web.json_response(running) if request.path.endswith("/publishStatus") else None

    server.fault = publishing
    process = start(*arguments(file, server))
    assert hold.reached.wait(LIMIT)
    process.send_signal(signal.SIGINT)
    outcome = ended(process)
    assert "stopping; again to stop at once" in outcome.err
    left = Left.by(outcome, server, code=130, stage="publishing")
    assert "being published" in outcome.error["message"]
    server.fault = None
    left.resumed(command)
    assert server.called("POST", "/publish") == [200]
    all_arrived(server)


def test_a_second_signal_stops_at_once(server, file, start, command):
    server.fault = hold = Hold("PUT", "/uploadSessions/", after=3)
    process = start(*arguments(file, server))
    assert hold.reached.wait(LIMIT)
    process.send_signal(signal.SIGINT)
    said(process, "stopping after the PUTs under way")
    process.send_signal(signal.SIGINT)
    outcome = ended(process)
    assert outcome.code == 130
    assert outcome.json["status"] == "interrupted"
    assert "at once" in outcome.error["message"]
    job = outcome.json["job"]
    assert outcome.error["resume"] == f"mstr-loader resume {job}"
    assert outcome.error["hint"].startswith(f"mstr-loader resume {job}")
    assert outcome.json["dataset_id"] == server.datasets["t"]
    assert 0 < outcome.json["chunks"] <= len(server.chunks)
    assert server.sessions == 1
    hold.let_go()
    server.fault = None
    gone_on_with(job, server, command)


@pytest.fixture
def pipe(tmp_path, file):
    """A named pipe that nobody can read a second time, with the rows of the file."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    table = pq.read_table(file)

    def feed():
        with (
            contextlib.suppress(BrokenPipeError),
            path.open("wb") as sink,
            pa.ipc.new_stream(sink, table.schema) as writer,
        ):
            writer.write_table(table, max_chunksize=500)

    feeding = threading.Thread(target=feed, daemon=True)
    feeding.start()
    return path


def test_a_signal_in_mid_load_of_a_pipe_cleans_up(server, pipe, start, command):
    server.fault = hold = Hold("PUT", "/uploadSessions/", after=3)
    process = start(*arguments(f"t={pipe}", server), "--format", "arrow")
    assert hold.reached.wait(LIMIT)
    process.send_signal(signal.SIGINT)
    said(process, "stopping after the PUTs under way")
    hold.let_go()
    outcome = ended(process)
    assert outcome.code == 130
    assert outcome.json["status"] == "interrupted"
    assert outcome.error["hint"] == "run the same command again to start over"
    assert "resume" not in outcome.error
    assert outcome.json["dataset_id"] is None
    assert server.called("POST", "/publish") == []
    assert server.datasets == {}
    server.left_nothing()
    assert command("jobs", "--json").json["jobs"][0]["state"] == "failed"
    assert command("resume", "--json").error["kind"] == "unknown_job"


def test_a_second_signal_while_cleaning_up(server, pipe, start):
    in_load = Hold("PUT", "/uploadSessions/", after=3)
    in_cleanup = Hold("DELETE", "/uploadSessions/")

    async def fault(request):
        await in_load(request)
        await in_cleanup(request)

    server.fault = fault
    process = start(*arguments(f"t={pipe}", server), "--format", "arrow")
    assert in_load.reached.wait(LIMIT)
    process.send_signal(signal.SIGINT)
    said(process, "stopping after the PUTs under way")
    in_load.let_go()
    assert in_cleanup.reached.wait(LIMIT)
    process.send_signal(signal.SIGINT)
    outcome = ended(process)
    assert outcome.code == 130
    assert outcome.json["status"] == "interrupted"
    assert "at once: the upload session is left to the server" in outcome.error["message"]
    assert "login times out" in outcome.error["hint"]
    assert "resume" not in outcome.error


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


@pytest.fixture
def killed(server, file, start, command):
    """The id of a job whose load was killed with ``kill -9`` in the middle of a PUT."""
    server.fault = hold = Hold("PUT", "/uploadSessions/", after=3)
    process = start(*arguments(file, server))
    assert hold.reached.wait(LIMIT)
    process.kill()
    process.wait(LIMIT)
    server.fault = None
    (job,) = command("jobs", "--json").succeeded().json["jobs"]
    assert (job["state"], job["driver"]) == ("uploading", None)
    return job["job"]


def test_after_kill_9_the_load_goes_on(server, killed, command):
    gone_on_with(killed, server, command)


def test_kill_9_leaves_a_server_that_can_be_loaded_into(server, file, killed, command):
    push = Push(command, server)

    push(f"other={file}").succeeded()
    # The dead one's upload session is still open, as the server cannot know that it died.
    outcome = push(file)
    assert outcome.code == 5
    assert outcome.json["status"] == "failed"
    assert "resume" not in outcome.error
    for verb in ("resume", "cancel"):
        assert f"mstr-loader {verb} {killed}" in outcome.error["hint"]
    assert server.sql("SELECT count(*) FROM t.t") == [(0,)]

    for login in list(server.emulator.logins._by_token.values()):
        server.emulator.logins.close(login)
    push(file).succeeded()
    all_arrived(server)
    server.left_nothing()


def test_kill_9_and_a_host_that_knows_nothing_of_it(server, file, killed, command, monkeypatch):
    monkeypatch.setenv("MSTR_LOADER_STATE", str(file.parent / "other host"))
    outcome = Push(command, server)(file)
    assert outcome.code == 5
    assert "login times out" in outcome.error["hint"]
    assert killed not in outcome.error["hint"]


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


LATE = (
    "-c",
    """
import os, signal, sys
import loader.cli.push
import loader.cli.printers
from loader.cli.main import main

printed = loader.cli.printers.print_result

def late(*arguments, **options):
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    printed(*arguments, **options)

loader.cli.printers.print_result = late
main(sys.argv[1:])
""",
)


def test_a_signal_when_all_is_over_changes_nothing(server, file, start):
    outcome = ended(start(*arguments(file, server), program=LATE))
    assert outcome.code == 0
    assert outcome.json["status"] == "published"
    server.left_nothing()
