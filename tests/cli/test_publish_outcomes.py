"""How a publish can end, and what a load makes of it."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiohttp import web

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


def test_a_code_that_nobody_knows_is_a_failure_after_a_while(push, server, good):
    server.fault = statuses({"status": 99})
    outcome = push(good)
    assert outcome.code in {5, 8}
    assert "99" in outcome.error["message"]
    server.left_nothing()


def test_a_publish_takes_its_time(command, serve, good):
    server = serve(publish_time=0.25)
    Push(command, server)(good).succeeded()
    assert len(server.called("GET", "/publishStatus")) > 1


def test_a_publish_that_does_not_end_in_time(command, serve, good):
    server = serve(publish_time=60)
    push = Push(command, server)
    outcome = push(good, "--publish-timeout", "0.2s")
    assert outcome.code == 8
    assert outcome.json["status"] == "unknown"
    assert outcome.error["kind"] == "outcome_unknown"
    assert "row count" in outcome.error["hint"]
    # What may have been published is never deleted: the dataset is there, by its id.
    assert outcome.json["dataset_id"] == server.datasets["t"]
    server.left_nothing()


@pytest.mark.parametrize("status", [200, 500, 503])
def test_an_answer_to_the_publish_that_is_lost(push, server, good, status):
    """Whether it was started shows in its status."""
    seen = []

    async def fault(request):
        if request.path.endswith("/publish") and not seen:
            seen.append(request)
            request.transport.abort()
            return web.Response(status=status)
        return None

    server.fault = fault
    outcome = push(good)
    # It never reached the server, which says that the session is still open.
    assert outcome.code == 8
    assert outcome.json["status"] == "unknown"
    server.left_nothing()


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
    assert server.datasets == {}
    server.left_nothing()


def test_a_status_that_cannot_be_asked_for(push, server, good):
    async def fault(request):
        if request.path.endswith("/publishStatus"):
            return web.json_response({"code": "ERR004", "message": "gone"}, status=404)
        return None

    server.fault = fault
    outcome = push(good)
    assert outcome.code == 8
    assert "gone" in outcome.error["message"]
    assert outcome.json["dataset_id"] == server.datasets["t"]
    server.left_nothing()


def test_a_status_that_fails_for_a_moment_is_asked_again(push, server, good):
    left = [503, 502]

    async def fault(request):
        if request.path.endswith("/publishStatus") and left:
            return web.Response(status=left.pop())
        return None

    server.fault = fault
    push(good).succeeded()
    server.left_nothing()
