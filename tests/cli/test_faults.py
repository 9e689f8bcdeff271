"""Servers that fail in mid-load: a clear error, the right exit code, promptly.

What can go on later is left as it is, and does; everything else is cleaned up.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiohttp import web

import loader.job.running
from tests.cli.ends import Left
from tests.cli.harness import Push, connection

NEW_PASSWORD = "staple-battery-horse"
CHUNKS = ("--chunk-size", "30kB", "--concurrency", "2", "--retries", "0")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "t.parquet"
    table = pa.table({"k": [f"key{n:06}" for n in range(30_000)], "v": list(range(30_000))})
    pq.write_table(table, path, row_group_size=3000)
    return path


def is_chunk(request) -> bool:
    return request.method == "PUT" and "/uploadSessions/" in request.path


class FromThird:
    """Lets two chunks pass, then answers every further one in its own way."""

    def __init__(self, answer, *, first: int = 3) -> None:
        self.answer = answer
        self.seen = 0
        self.first = first

    async def __call__(self, request):
        if not is_chunk(request):
            return None
        self.seen += 1
        return None if self.seen < self.first else await self.answer(request)


def error_body(status: int, **body):
    async def answer(request):
        await request.read()
        return web.json_response({"ticketId": "ticket-7", **body}, status=status)

    return answer


async def plain_page(request):
    await request.read()
    html = "<html><title>502 Bad Gateway</title></html>"
    return web.Response(status=502, text=html, content_type="text/html")


async def early_answer(_):
    return web.json_response({"code": "ERR001", "message": "disk full"}, status=500)


no_such_value = error_body(400, code="ERR006", message="no such value")


async def reset(request):
    await request.content.readany()
    request.transport.abort()
    return web.Response()


def all_arrived(server, rows: int = 30_000) -> None:
    """Checks that every row of the file is published, once."""
    assert server.sql("SELECT count(*), count(DISTINCT k), sum(v) FROM t.t") == [
        (rows, rows, sum(range(rows)))
    ]


@pytest.fixture
def existing(push, tmp_path, request):
    """Loads one row into the dataset first, where a test wants that."""
    if request.param:
        old = tmp_path / "old.parquet"
        pq.write_table(pa.table({"k": ["old"], "v": [1]}), old)
        push(f"t={old}").succeeded()
    return request.param


NEW_AND_EXISTING = pytest.mark.parametrize(
    "existing", [False, True], ids=["new", "existing"], indirect=True
)


@pytest.mark.parametrize(
    ("answer", "code", "kind", "says"),
    [
        (error_body(500, code="ERR002", message="disk full"), 6, "unavailable", "disk full"),
        (early_answer, 6, "unavailable", "disk full"),
        (plain_page, 6, "unavailable", "502 Bad Gateway"),
        (error_body(429), 6, "unavailable", "429"),
        (error_body(401, code="ERR009", message="timed out"), 6, "session_expired", "timed out"),
        (reset, 6, "unreachable", "lost"),
    ],
    ids=["500", "early", "page", "429", "401", "reset"],
)
@NEW_AND_EXISTING
def test_a_put_that_fails_and_may_not_tomorrow(  # noqa: PLR0917 - fixtures and cases
    push, command, server, file, answer, code, kind, says, existing
):
    """All is left as it is, and another process goes on with it."""
    server.fault = fault = FromThird(answer)
    outcome = push(file, *CHUNKS)
    assert fault.seen >= 3
    left = Left.by(outcome, server, code=code)
    error = outcome.error
    assert error["kind"] == kind
    assert says in error["message"]
    result = outcome.json
    # A chunk may have been stored whose answer nobody waited for any more.
    assert 0 < result["chunks"] <= len(server.chunks) - existing
    assert result["rows"] < 30_000
    assert result["wire_bytes"] > 0
    assert len(server.called("POST", "/publish")) == existing
    assert server.sql("SELECT * FROM t.t") == ([("old", 1)] if existing else [])
    if kind == "session_expired":
        assert len(server.called("POST", "/login")) > existing + 1

    server.fault = None
    outcome = left.resumed(command)
    assert outcome.json["rows"] == 30_000
    assert outcome.json["chunks"] > result["chunks"]
    assert outcome.json["dataset_id"] == result["dataset_id"]
    assert len(server.called("POST", "/publish")) == existing + 1
    all_arrived(server)


@pytest.mark.parametrize(
    ("answer", "code", "kind", "says"),
    [
        (error_body(500, code="ERR001", message="no", iServerCode=-2147205488), 5, "refused", "no"),
        (error_body(413), 5, "refused", "413"),
        (error_body(403, code="ERR017", message="no privilege"), 4, "rights", "no privilege"),
    ],
    ids=["row-limit", "413", "403"],
)
@NEW_AND_EXISTING
def test_a_put_that_is_refused(  # noqa: PLR0917 - fixtures and cases
    push, command, server, file, answer, code, kind, says, existing
):
    """It would be again: nothing is left behind."""
    server.fault = fault = FromThird(answer)
    outcome = push(file, *CHUNKS)
    assert fault.seen >= 3
    assert outcome.code == code
    error = outcome.error
    assert error["kind"] == kind
    assert says in error["message"]
    assert error["hint"], outcome
    assert "resume" not in error
    result = outcome.json
    assert result["status"] == "failed"
    assert 0 < result["chunks"] <= len(server.chunks) - existing
    assert result["rows"] < 30_000
    assert result["wire_bytes"] > 0
    assert len(server.called("POST", "/publish")) == existing
    if existing:
        assert server.sql("SELECT * FROM t.t") == [("old", 1)]
        assert result["dataset_id"] == server.datasets["t"]
    else:
        assert server.datasets == {}
        assert result["dataset_id"] is None
    server.left_nothing()

    again = command("resume", result["job"], "--json")
    assert again.code == 2
    assert "failed for good" in again.error["message"]
    assert "resume" not in again.error["hint"]
    server.left_nothing()


def test_a_source_that_is_read_once_leaves_nothing_to_go_on_with(push, command, server, file):
    """Nobody else can read what a pipe had."""
    reading, writing = os.pipe()
    pipe = f"t=/dev/fd/{reading}"
    feeding = threading.Thread(target=feed, args=(writing, file))
    feeding.start()
    server.fault = fault = FromThird(error_body(500, code="ERR002", message="disk full"))
    outcome = push(pipe, "--format", "arrow", *CHUNKS)
    os.close(reading)
    feeding.join(20)
    assert fault.seen >= 3
    assert outcome.code == 5, outcome
    assert outcome.json["status"] == "failed"
    assert outcome.error["kind"] == "unavailable"
    assert "resume" not in outcome.error
    assert "resume" not in outcome.error["hint"]
    assert server.datasets == {}
    server.left_nothing()
    assert command("jobs", "--json").json["jobs"][0]["state"] == "failed"
    assert command("resume", "--json").error["kind"] == "unknown_job"


def feed(writing: int, file) -> None:
    table = pq.read_table(file)
    with (
        contextlib.suppress(BrokenPipeError),
        os.fdopen(writing, "wb") as sink,
        pa.ipc.new_stream(sink, table.schema) as writer,
    ):
        writer.write_table(table, max_chunksize=500)


def test_the_ticket_reaches_the_user(push, server, file):
    server.fault = FromThird(error_body(500, code="ERR002", message="disk full"))
    outcome = push(file, *CHUNKS)
    assert outcome.error["ticket_id"] == "ticket-7"
    assert outcome.error["code"] == "ERR002"
    assert outcome.error["status"] == 500
    assert "ticket-7" in outcome.error["message"]


def test_a_login_that_ends_in_mid_load(push, server, file):
    """It is renewed, once for all workers, and the upload session goes on."""
    ends = iter([True, False, False, True])

    async def end_all_logins(request):
        if next(ends, False):
            for login in list(server.emulator.logins._by_token.values()):
                server.emulator.logins.close(login)

    server.fault = FromThird(end_all_logins)
    push(file, *CHUNKS).succeeded()
    assert len(server.called("POST", "/login")) == 3
    assert server.sql("SELECT count(*), count(DISTINCT k) FROM t.t") == [(30_000, 30_000)]
    server.left_nothing()


def test_logins_that_end_again_and_again(push, command, server, file):
    """Then it gives up."""

    async def end_all_logins(request):
        for login in list(server.emulator.logins._by_token.values()):
            server.emulator.logins.close(login)

    server.fault = fault = FromThird(end_all_logins)
    outcome = push(file, *CHUNKS)
    assert fault.seen >= 3
    left = Left.by(outcome, server)
    assert outcome.error["kind"] == "session_expired"
    server.fault = None
    left.resumed(command)
    all_arrived(server)


def test_a_login_that_cannot_be_renewed(command, serve, file, monkeypatch):
    """Somebody has changed the password: whoever knows the new one goes on."""
    server = serve()
    push = Push(command, server)

    async def end_all_logins(request):
        object.__setattr__(server.emulator.options, "password", NEW_PASSWORD)
        for login in list(server.emulator.logins._by_token.values()):
            server.emulator.logins.close(login)

    server.fault = FromThird(end_all_logins)
    outcome = push(file, *CHUNKS)
    left = Left.by(outcome, server, code=4)
    assert outcome.error["kind"] == "login"
    assert "accepted before" in outcome.error["hint"]
    # Once for all workers: more would lock the account.
    assert server.called("POST", "/login") == [204, 401]

    server.fault = None
    job = outcome.json["job"]
    again = command("resume", job, "--json")
    assert again.code == 4
    assert again.error["kind"] == "login"
    assert again.error["resume"] == left.line
    assert again.json["status"] == "interrupted"
    assert server.sessions == 1

    monkeypatch.setenv("MSTR_PASSWORD", NEW_PASSWORD)
    left.resumed(command)
    all_arrived(server)
    server.left_nothing()


@pytest.mark.parametrize("success", [False, True], ids=["after a failure", "after success"])
def test_cleaning_up_that_fails_is_a_warning(push, server, file, success):
    async def fault(request):
        if request.method == "DELETE" or request.path.endswith("/logout"):
            return web.json_response({"code": "ERR001", "message": "not now"}, status=500)
        if is_chunk(request) and not success:
            return await no_such_value(request)
        return None

    server.fault = fault
    outcome = push(file, *CHUNKS)
    warnings = [warning for warning in outcome.json["warnings"] if "not now" in warning]
    if success:
        assert outcome.code == 0
        assert outcome.json["status"] == "published"
        assert len(warnings) == 2
    else:
        assert outcome.code == 5
        assert "no such value" in outcome.error["message"]
        assert outcome.json["status"] == "failed"
        assert len(warnings) == 3
        # It is known by its id, since it is still there.
        assert outcome.json["dataset_id"] == server.datasets["t"]


def test_cleaning_up_that_hangs_is_given_up(push, server, file, monkeypatch):
    monkeypatch.setattr(loader.job.running, "CLOSING_TIMEOUT", 0.1)

    async def fault(request):
        if request.method == "DELETE":
            await asyncio.sleep(30)
        return await no_such_value(request) if is_chunk(request) else None

    server.fault = fault
    outcome = push(file, *CHUNKS)
    assert outcome.code == 5
    assert "no such value" in outcome.error["message"]
    assert sum("no answer" in warning for warning in outcome.json["warnings"]) == 2
    assert server.called("POST", "/logout") == [204]


def test_a_server_that_dies_in_mid_load(push, command, server, file):
    """Nobody waits for an answer when cleaning up: there is nothing to clean up."""
    port = server._runner.addresses[0][1]

    async def fault(request):
        if not is_chunk(request):
            return
        fault.seen += 1
        if fault.seen > 1:
            for site in list(server._runner.sites):
                await site.stop()
            request.transport.abort()
            for connection in list(server._runner.server.connections):
                connection.transport.abort()

    fault.seen = 0
    server.fault = fault
    outcome = push(file, "--chunk-size", "30kB", "--concurrency", "1", "--retries", "0")
    assert fault.seen >= 2
    left = Left.by(outcome, server)
    assert outcome.error["kind"] == "unreachable"
    assert not [one for one in outcome.json["warnings"] if one.startswith("could not")]
    assert left.accepted == 1

    # The server is still away, and the job stays what it is.
    again = command("resume", outcome.json["job"], "--json")
    assert again.code == 6
    assert again.json["status"] == "interrupted"
    assert again.error["resume"] == left.line

    server.fault = None
    server.call(web.TCPSite(server._runner, "127.0.0.1", port).start())
    left.resumed(command)
    all_arrived(server)


def test_a_job_that_cannot_go_on_yet_counts_what_it_has(push, command, server, file):
    server.fault = FromThird(error_body(500, code="ERR002", message="disk full"))
    outcome = push(file, *CHUNKS)
    left = Left.by(outcome, server)

    async def away(request):
        return await plain_page(request) if request.path.endswith("/login") else None

    server.fault = away
    again = command("resume", outcome.json["job"], "--json")
    assert again.code == 6
    assert again.error["resume"] == left.line
    assert again.json["dataset_id"] == outcome.json["dataset_id"]
    assert again.json["chunks"] == left.accepted
    assert again.json["rows"] >= outcome.json["rows"] > 0


@NEW_AND_EXISTING
def test_an_upload_session_that_cannot_be_opened(push, command, server, file, existing):
    """The dataset is known by then: it is kept for whoever goes on."""
    server.emulator.inject("open-session:status=500,code=ERR001,message=step failed")
    outcome = push(file, "--retries", "0")
    left = Left.by(outcome, server, stage="created")
    assert "step failed" in outcome.error["message"]
    assert server.emulator.faults.report()[0]["fired"] == 1
    assert server.sessions == 0
    server.emulator.faults.clear()
    assert left.resumed(command).json["dataset_id"] == outcome.json["dataset_id"]
    assert server.called("POST", "/datasets/models") == [200]
    all_arrived(server)


@pytest.mark.parametrize(
    ("ending", "status", "code"),
    [
        ("/auth/login", 500, 5),
        ("/auth/login", 503, 5),
        ("/projects", 500, 5),
        ("/preDefined/20", 500, 5),
        ("/searches/results", 500, 5),
        ("/datasets/models", 500, 5),
        ("/datasets/models", 403, 4),
        ("/uploadSessions", 403, 4),
    ],
)
def test_each_step_before_the_data_may_fail(  # noqa: PLR0917 - fixtures and cases
    push, command, server, file, ending, status, code
):
    async def fault(request):
        if request.path.endswith(ending):
            return web.json_response({"code": "ERR001", "message": "step failed"}, status=status)
        return None

    server.fault = fault
    outcome = push(file, "--retries", "0")
    assert outcome.code == code
    assert "step failed" in outcome.error["message"]
    assert outcome.error["hint"], outcome
    assert outcome.json["status"] == "failed"
    assert "resume" not in outcome.error
    assert server.datasets == {}
    server.left_nothing()
    (job,) = command("jobs", "--json").json["jobs"]
    assert (job["state"], job["stage"]) == ("failed", "created")


def test_a_server_that_was_never_there(command, server, file):
    """Nothing is known yet that would be worth going on with."""
    server.call(server._runner.cleanup())
    outcome = command("push", file, *connection(server), "--json", "--retries", "0")
    assert outcome.code == 5
    assert outcome.error["kind"] == "unreachable"
    assert outcome.json["status"] == "failed"
    assert "resume" not in outcome.error
    assert "is the server running" in outcome.error["hint"]
    assert command("jobs", "--json").json["jobs"][0]["state"] == "failed"
    assert command("resume", "--json").error["kind"] == "unknown_job"


def test_answers_that_the_documents_do_not_allow(push, server, file):
    async def fault(request):
        if request.path.endswith("/uploadSessions"):
            return web.json_response({"id": 5})
        return None

    server.fault = fault
    outcome = push(file)
    assert outcome.code == 5
    assert outcome.error["kind"] == "protocol"
    assert outcome.error["hint"]
    assert server.datasets == {}
    server.left_nothing()
