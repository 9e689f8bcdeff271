"""Row counts of the server after a publish, against what was sent."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiohttp import web

from loader.emulator.archive import Counts
from tests.cli.harness import Push, RecordingStore


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr("loader.job.verify.WAITS", (0.0, 0.0))


@pytest.fixture
def file(tmp_path):
    """Writes (key, value) rows; returns the path."""

    def write(name="t", **rows):
        path = tmp_path / f"{name}.parquet"
        values = pa.array(list(rows.values()), pa.int64())
        pq.write_table(pa.table({"k": pa.array(list(rows), pa.string()), "v": values}), path)
        return path

    return write


def counts(*numbers):
    """Answers row counts with these numbers in turn, then as the server does."""
    left = list(numbers)

    async def fault(request):
        if request.path.endswith("/instances") and left:
            return web.json_response({"data": {"metricValues": {"raw": [[left.pop(0)]]}}})
        return None

    return fault


def looks(server) -> int:
    """How often a table's rows were counted."""
    return len(server.called("POST", "/instances"))


@pytest.mark.parametrize("policy", ["replace", "add", "update", "upsert"])
def test_every_policy_can_be_verified(push, server, file, policy):
    push(file(a=1, b=2)).succeeded()
    before = looks(server)
    result = push(file(b=3, c=4), "--policy", policy).succeeded().json
    assert result["warnings"] == []
    # Under replace it does not matter how many rows there were.
    assert looks(server) - before == (1 if policy == "replace" else 2)


@pytest.mark.parametrize("policy", ["add", "upsert"])
def test_a_new_dataset_has_no_rows_to_count_before(push, server, file, policy):
    result = push(file(a=1, b=2), "--policy", policy).succeeded().json
    assert result["warnings"] == []
    assert looks(server) == 1


class Dropping(RecordingStore):
    """Cuts the connection of the first chunk when it is stored: the client sends it once more."""

    def __init__(self):
        super().__init__()
        self.cut = None

    def stage(self, session_id, table, index, data, *, append=False):
        super().stage(session_id, table, index, data, append=append)
        cut, self.cut = self.cut, None
        if cut is not None:
            cut()


def test_a_chunk_that_the_server_has_twice_is_noticed(command, serve, file):
    archive = Dropping()
    server = serve(archive=archive, repeat_index="append")

    async def remember(request):
        if request.method == "PUT" and not archive.chunks:
            archive.cut = lambda: server._loop.call_soon_threadsafe(request.transport.abort)

    server.fault = remember
    outcome = Push(command, server)(file(a=1, b=2, c=3))
    assert len(archive.chunks) == 2
    assert outcome.code == 8
    assert outcome.json["status"] == "published"
    assert outcome.error["kind"] == "verification_failed"
    assert outcome.error["table"] == "t"
    assert (outcome.error["sent"], outcome.error["counted"]) == (3, 6)
    assert "6 rows and 3 were sent" in outcome.error["message"]
    # It is published: nothing is taken away.
    assert outcome.json["dataset_id"] == server.datasets["t"]
    assert server.sql("SELECT count(*) FROM t.t") == [(6,)]
    server.left_nothing()


def test_rows_that_the_server_lost_are_noticed(push, server, file):
    server.fault = counts(1, 1, 1)
    outcome = push(file(a=1, b=2, c=3))
    assert outcome.code == 8
    assert (outcome.error["sent"], outcome.error["counted"]) == (3, 1)
    assert "missing" in outcome.error["hint"]


def test_every_table_is_counted_and_the_first_wrong_one_named(push, server, file):
    server.fault = counts(2, 7, 7, 7, 9, 9, 9)
    outcome = push(*(file(name, a=1, b=2) for name in ("t", "u", "w")))
    assert outcome.code == 8
    assert (outcome.error["table"], outcome.error["counted"]) == ("u", 7)
    (warning,) = outcome.json["warnings"]
    assert "table 'w'" in warning
    assert "9 rows" in warning


def test_a_count_that_lags_behind_the_publish_is_read_again(push, server, file):
    server.fault = counts(0, 0)
    assert push(file(a=1, b=2)).succeeded().json["warnings"] == []
    assert looks(server) == 3


def test_an_odd_count_under_another_policy_is_a_warning(push, server, file):
    push(file(a=1)).succeeded()
    server.fault = counts(5, 50, 50, 50)
    (warning,) = push(file(b=2), "--policy", "upsert").succeeded().json["warnings"]
    assert "has 50 rows after the policy upsert was applied to 5 rows with 1 rows sent" in warning
    assert "5 to 6" in warning


@pytest.mark.parametrize("call", ["/api/v2/cubes/", "/instances"])
@pytest.mark.parametrize("status", [403, 500])
def test_counts_that_cannot_be_read_are_no_failure(push, server, file, call, status):
    async def refuse(request):
        if call in request.path:
            return web.json_response({"code": "ERR014", "message": "no rights"}, status=status)
        return None

    server.fault = refuse
    (warning,) = push(file(a=1)).succeeded().json["warnings"]
    assert warning.startswith("unverified: table 't': ")
    assert "no rights" in warning


def test_a_server_without_row_counts_is_no_failure(push, server, file):
    async def plain(request):
        if "/api/v2/cubes/" in request.path:
            available = {"attributes": [], "metrics": [{"id": "M", "name": "v"}]}
            return web.json_response({"definition": {"availableObjects": available}})
        return None

    server.fault = plain
    (warning,) = push(file(a=1)).succeeded().json["warnings"]
    assert "does not tell" in warning


@pytest.mark.parametrize("ingest", ["check", "sink"])
def test_servers_that_keep_nothing(command, serve, file, ingest):
    """One that decodes its chunks knows how many rows they had; a sink does not."""
    server = serve(archive=Counts(), ingest=ingest)
    result = Push(command, server)(file(a=1, b=2)).succeeded().json
    unverified = [warning for warning in result["warnings"] if "unverified" in warning]
    assert len(unverified) == (ingest == "sink")


def test_no_verify_asks_nothing(push, server, file):
    server.fault = counts(99)
    push(file(a=1)).succeeded()
    before = len(server.requests)
    push(file(a=1), "--policy", "upsert", "--no-verify").succeeded()
    assert not any(path.endswith("/instances") for _, path, _ in server.requests[before:])


def test_what_is_not_published_is_not_verified(push, server, file):
    push(file(a=1), "--no-publish").succeeded()
    assert looks(server) == 0
