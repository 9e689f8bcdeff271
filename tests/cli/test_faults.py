"""Servers that fail in mid-load: a clear error, the right exit code, cleaned up, and promptly."""

from __future__ import annotations

import asyncio

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiohttp import web

import loader.job.running
from tests.cli.harness import Push

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


async def reset(request):
    await request.content.readany()
    request.transport.abort()
    return web.Response()


@pytest.mark.parametrize(
    ("answer", "code", "kind", "says"),
    [
        (error_body(500, code="ERR002", message="disk full"), 5, None, "disk full"),
        (error_body(500, code="ERR001", message="no", iServerCode=-2147205488), 5, None, "no"),
        (early_answer, 5, None, "disk full"),
        (plain_page, 5, "unavailable", "502 Bad Gateway"),
        (error_body(413), 5, None, "413"),
        (error_body(429), 5, "unavailable", "429"),
        (error_body(401, code="ERR009", message="timed out"), 5, "session_expired", "timed out"),
        (error_body(403, code="ERR017", message="no privilege"), 4, "rights", "no privilege"),
        (reset, 5, "unreachable", "lost"),
    ],
    ids=["500", "row-limit", "early", "page", "413", "429", "401", "403", "reset"],
)
@pytest.mark.parametrize("existing", [False, True], ids=["new", "existing"])
def test_a_put_that_fails(  # noqa: PLR0917 - fixtures and cases
    push, server, file, tmp_path, answer, code, kind, says, existing
):
    if existing:
        old = tmp_path / "old.parquet"
        pq.write_table(pa.table({"k": ["old"], "v": [1]}), old)
        push(f"t={old}").succeeded()
    server.fault = FromThird(answer)

    outcome = push(file, *CHUNKS)

    assert outcome.code == code
    error = outcome.error
    assert says in error["message"]
    assert error["hint"], outcome
    if kind:
        assert error["kind"] == kind
    result = outcome.json
    assert result["status"] == "failed"
    # A chunk may have been stored whose answer nobody waited for any more.
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
    if kind == "session_expired":
        # The logins that it said had ended are its own to forget.
        assert server.sessions == 0
        assert len(server.called("POST", "/login")) > existing + 1
    else:
        server.left_nothing()
    assert result["seconds"] < 10


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


def test_logins_that_end_again_and_again(push, server, file):
    """Then it gives up, with a login to clean up with."""

    async def end_all_logins(request):
        for login in list(server.emulator.logins._by_token.values()):
            server.emulator.logins.close(login)

    server.fault = FromThird(end_all_logins)
    outcome = push(file, *CHUNKS)
    assert outcome.code == 5
    assert outcome.error["kind"] == "session_expired"
    assert outcome.error["hint"]
    assert server.datasets == {}
    assert server.sessions == 0


def test_a_login_that_cannot_be_renewed(command, serve, file):
    """Nothing can be cleaned up then: warnings say so, and the error is the first one's."""
    server = serve()
    push = Push(command, server)

    async def end_all_logins(request):
        object.__setattr__(server.emulator.options, "password", "changed")
        for login in list(server.emulator.logins._by_token.values()):
            server.emulator.logins.close(login)

    server.fault = FromThird(end_all_logins)
    outcome = push(file, *CHUNKS)
    assert outcome.code == 4
    assert outcome.error["kind"] == "login"
    assert "accepted before" in outcome.error["hint"]
    # Once for all workers and for all cleaning up: more would lock the account.
    assert server.called("POST", "/login") == [204, 401]
    warnings = outcome.json["warnings"]
    for aim in ("delete the upload session", "delete the new dataset"):
        assert any(aim in warning for warning in warnings), warnings
    # It is known by its id, since it is still there.
    assert outcome.json["dataset_id"] == server.datasets["t"]


@pytest.mark.parametrize("success", [False, True], ids=["after a failure", "after success"])
def test_cleaning_up_that_fails_is_a_warning(push, server, file, success):
    async def fault(request):
        if request.method == "DELETE" or request.path.endswith("/logout"):
            return web.json_response({"code": "ERR001", "message": "not now"}, status=500)
        if is_chunk(request) and not success:
            return await early_answer(request)
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
        assert "disk full" in outcome.error["message"]
        assert len(warnings) == 3


def test_cleaning_up_that_hangs_is_given_up(push, server, file, monkeypatch):
    monkeypatch.setattr(loader.job.running, "CLOSING_TIMEOUT", 0.1)

    async def fault(request):
        if request.method == "DELETE":
            await asyncio.sleep(30)
        return await early_answer(request) if is_chunk(request) else None

    server.fault = fault
    outcome = push(file, *CHUNKS)
    assert outcome.code == 5
    assert "disk full" in outcome.error["message"]
    assert sum("no answer" in warning for warning in outcome.json["warnings"]) == 2
    assert server.called("POST", "/logout") == [204]


def test_a_server_that_dies_in_mid_load(push, server, file):
    async def fault(request):
        if not is_chunk(request):
            return
        if fault.seen:
            for site in list(server._runner.sites):
                await site.stop()
            request.transport.abort()
            for connection in list(server._runner.server.connections):
                connection.transport.abort()
        fault.seen = True
        return

    fault.seen = False
    server.fault = fault
    outcome = push(file, *CHUNKS)
    assert outcome.code == 5
    assert outcome.error["kind"] == "unreachable"
    assert outcome.error["hint"]
    assert outcome.json["seconds"] < 10
    assert len(outcome.json["warnings"]) >= 3


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
        ("/uploadSessions", 500, 5),
        ("/uploadSessions", 403, 4),
    ],
)
def test_each_step_before_the_data_may_fail(  # noqa: PLR0917 - fixtures and cases
    push, server, file, ending, status, code
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
    assert server.datasets == {}
    server.left_nothing()


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
