"""How a publish can end, and what a load makes of it."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiohttp import web

import loader.job.publish
from tests.cli.ends import Left
from tests.cli.harness import Push, RecordingStore


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"k": ["a"], "v": [1]}), path)
    return path


class Failing(RecordingStore):
    """Refuses to publish, once it is told to."""

    refusing = True

    def publish(self, dataset_id, session_id, policies):
        if self.refusing:
            raise ValueError("the cube exceeds its memory limit")
        return super().publish(dataset_id, session_id, policies)


def statuses(*bodies):
    """Answers the publish's status with these bodies in turn, the last one again and again."""
    left = list(bodies)

    async def fault(request):
        if not request.path.endswith("/publishStatus"):
            return None
        body = left.pop(0) if len(left) > 1 else left[0]
        return web.json_response({"uploadSessionId": "x", "message": "said so", **body})

    return fault


@pytest.mark.parametrize("form", ["number", "string"])
def test_status_as_a_number_and_as_a_string(command, serve, good, form):
    server = serve(status_type=form)
    assert Push(command, server)(good).succeeded().json["status"] == "published"
    server.left_nothing()


@pytest.mark.parametrize("form", ["number", "string"])
@pytest.mark.parametrize("existing", [False, True], ids=["new", "existing"])
def test_a_publish_that_fails(command, serve, good, form, existing):
    archive = Failing()
    archive.refusing = not existing
    server = serve(archive=archive, status_type=form)
    push = Push(command, server)
    if existing:
        push(good).succeeded()
        archive.refusing = True
        pq.write_table(pa.table({"k": ["new"], "v": [2]}), good)
    outcome = push(good)
    assert outcome.code == 5
    assert outcome.error["kind"] == "publish_failed"
    assert "the cube exceeds its memory limit" in outcome.error["message"]
    assert outcome.error["publish_status"] == 3
    assert "keeps its old data" in outcome.error["hint"]
    assert "resume" not in outcome.error
    assert outcome.json["status"] == "failed"
    if existing:
        assert server.sql("SELECT * FROM t.t") == [("a", 1)]
    else:
        assert server.datasets == {}
        assert outcome.json["dataset_id"] is None
    server.left_nothing()


@pytest.mark.parametrize("code", [0, "6", 2, 16, "24"])
def test_running_codes_are_waited_for(push, server, good, code):
    server.fault = statuses({"status": code}, {"status": code}, {"status": "1"})
    assert push(good).succeeded().json["status"] == "published"
    assert len(server.called("GET", "/publishStatus")) == 3
    server.left_nothing()


def test_a_code_that_nobody_knows_is_a_failure_after_a_while(push, server, good, monkeypatch):
    monkeypatch.setattr(loader.job.publish, "UNCLEAR_LIMIT", 0.2)
    server.fault = statuses({"status": 99})
    outcome = push(good)
    assert outcome.code == 5
    assert outcome.json["status"] == "failed"
    assert outcome.error["kind"] == "publish_failed"
    assert "99" in outcome.error["message"]
    assert "resume" not in outcome.error
    # It may have been published all the same.
    assert outcome.json["dataset_id"] == server.datasets["t"]
    server.left_nothing()


def test_a_publish_takes_its_time(command, serve, good):
    server = serve(publish_time=0.25)
    Push(command, server)(good).succeeded()
    assert len(server.called("GET", "/publishStatus")) > 1


def test_a_publish_that_does_not_end_in_time(command, push, server, good):
    server.fault = statuses({"status": 6})
    outcome = push(good, "--publish-timeout", "0.2s")
    left = Left.by(outcome, server, code=8, stage="publishing")
    assert outcome.error["kind"] == "outcome_unknown"
    assert "row count" in outcome.error["hint"]

    # Still not, when asked again.
    again = command("resume", outcome.json["job"], "--json")
    Left.by(again, server, code=8, stage="publishing")

    server.fault = None
    left.resumed(command)
    assert server.called("POST", "/publish") == [200]
    assert server.sql("SELECT * FROM t.t") == [("a", 1)]


def lost(times: int):
    """Cuts the connection of the first requests to publish, which the server never sees."""

    async def fault(request):
        if request.path.endswith("/publish") and fault.seen < times:
            fault.seen += 1
            request.transport.abort()
            return web.Response()
        return None

    fault.seen = 0
    return fault


@pytest.fixture
def no_pauses(monkeypatch):
    """Asks for a publish again at once."""
    monkeypatch.setattr(loader.job.publish, "PAUSES", (0.0, 0.0, 0.0))


@pytest.mark.parametrize("policy", ["replace", "add"])
@pytest.mark.usefixtures("no_pauses")
def test_a_publish_that_was_lost_on_its_way_is_asked_for_again(push, server, good, policy):
    """The server has said twice that it has not begun."""
    push(good, "--attribute", "k").succeeded()
    pq.write_table(pa.table({"k": ["b"], "v": [2]}), good)
    before = len(server.requests)
    server.fault = fault = lost(1)
    outcome = push(good, "--policy", policy).succeeded()
    assert fault.seen == 1
    assert outcome.json["status"] == "published"
    (warning,) = [one for one in outcome.json["warnings"] if "asked for again" in one]
    assert "no answer came to the publish" in warning
    assert "not begun" in warning
    calls = [
        (path.rpartition("/")[2], status)
        for _, path, status in server.requests[before:]
        if "/publish" in path
    ]
    assert calls[:4] == [
        *(("publish", 200), ("publishStatus", 409), ("publishStatus", 409), ("publish", 200))
    ]
    expected = [("b", 2)] if policy == "replace" else [("a", 1), ("b", 2)]
    assert server.sql("SELECT * FROM t.t ORDER BY k") == expected
    server.left_nothing()


@pytest.mark.usefixtures("no_pauses")
def test_a_publish_that_is_always_lost_on_its_way(push, command, server, good):
    server.fault = fault = lost(100)
    outcome = push(good)
    left = Left.by(outcome, server, code=8, stage="publishing")
    assert fault.seen == 3
    assert "it was asked for 3 times" in outcome.error["message"]
    assert "has not begun" in outcome.error["message"]
    server.fault = None
    left.resumed(command)
    assert server.sql("SELECT * FROM t.t") == [("a", 1)]


@pytest.mark.parametrize(
    "rule",
    [
        "publish:nth=1:reset=after-store",
        "publish:nth=1:status=500,code=ERR001,at=after-store",
        "publish:nth=1:status=503,body=html,at=after-store",
        "publish:nth=1:answer=garbage",
    ],
)
def test_an_answer_to_the_publish_that_is_lost(push, server, good, rule):
    """It was begun, as its status shows: nobody asks for it twice."""
    server.emulator.inject(rule)
    outcome = push(good, "--policy", "add").succeeded()
    assert server.emulator.faults.report()[0]["fired"] == 1
    assert outcome.json["status"] == "published"
    assert len(server.called("POST", "/publish")) == 1
    assert not any("asked for again" in one for one in outcome.json["warnings"])
    assert server.sql("SELECT * FROM t.t") == [("a", 1)]
    server.left_nothing()


def test_a_publish_that_nobody_can_be_asked_about(push, command, server, good):
    """Neither whether it was begun, nor later whether it has ended."""

    async def fault(request):
        if request.path.endswith("/publish"):
            fault.seen = True
            request.transport.abort()
            return web.Response()
        return web.Response(status=502) if fault.seen else None

    fault.seen = False
    server.fault = fault
    outcome = push(good, "--retries", "0")
    assert fault.seen
    left = Left.by(outcome, server, code=8, stage="publishing")
    assert "could not be asked" in outcome.error["message"]
    server.fault = None
    left.resumed(command)
    assert server.sql("SELECT * FROM t.t") == [("a", 1)]


def test_a_publish_that_the_server_refuses(push, server, good):
    async def fault(request):
        if request.path.endswith("/publish"):
            body = {"code": "ERR001", "message": "no rights"}
            return web.json_response(body, status=403)
        return None

    server.fault = fault
    outcome = push(good)
    assert outcome.code == 4
    assert outcome.error["kind"] == "rights"
    assert outcome.error["hint"]
    assert outcome.json["status"] == "failed"
    assert "resume" not in outcome.error
    assert server.datasets == {}
    server.left_nothing()


async def no_status(request):
    if request.path.endswith("/publishStatus"):
        return web.json_response({"code": "ERR004", "message": "gone"}, status=404)
    return None


@pytest.mark.parametrize("existing", [False, True], ids=["new", "existing"])
def test_a_status_that_cannot_be_asked_for_and_rows_that_tell(push, server, good, existing):
    if existing:
        push(good).succeeded()
        pq.write_table(pa.table({"k": ["b", "c"], "v": [2, 3]}), good)
    server.fault = no_status
    outcome = push(good, "--policy", "add" if existing else "replace").succeeded()
    assert 404 in server.called("GET", "/publishStatus")
    assert outcome.json["status"] == "published"
    (warning,) = [one for one in outcome.json["warnings"] if "the rows on the server" in one]
    assert "gone" in warning
    assert len(server.called("POST", "/publish")) == 1 + existing
    assert server.sql("SELECT count(*), count(DISTINCT k) FROM t.t") == [(1 + 2 * existing,) * 2]


def test_a_status_that_cannot_be_asked_for_and_nothing_that_tells(push, server, good):
    async def fault(request):
        if "/v2/cubes" in request.path:
            return web.json_response({"code": "ERR001", "message": "no cubes"}, status=403)
        return await no_status(request)

    push(good).succeeded()
    server.fault = fault
    outcome = push(good, "--policy", "add", "--retries", "0")
    assert outcome.code == 8
    assert outcome.json["status"] == "unknown"
    assert "gone" in outcome.error["message"]
    assert outcome.json["dataset_id"] == server.datasets["t"]
    # What may have been published is never published again.
    assert len(server.called("POST", "/publish")) == 2


def test_a_status_that_fails_for_a_moment_is_asked_again(push, server, good):
    left = [503, 502]

    async def fault(request):
        if request.path.endswith("/publishStatus") and left:
            return web.Response(status=left.pop())
        return None

    server.fault = fault
    push(good).succeeded()
    server.left_nothing()
