"""The options for retries, as a user sees them."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.ends import Left


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"k": [f"key{n:06}" for n in range(5_000)]}), path)
    return path


def test_what_passes_is_repeated_and_counted(push, server, file):
    server.emulator.inject("put:nth=1:status=503")
    outcome = push(file).succeeded()
    assert outcome.json["retries"] == 1
    assert server.sql("SELECT count(*), count(DISTINCT k) FROM t.t") == [(5_000, 5_000)]


def test_retries_used_up(push, command, server, file):
    server.emulator.inject("put:status=503,body=html")
    outcome = push(file, "--retries", "1", "--retry-deadline", "10s")
    left = Left.by(outcome, server)
    assert outcome.error["kind"] == "unavailable"
    assert outcome.error["attempts"] == server.emulator.faults.report()[0]["fired"] == 2
    assert (outcome.error["table"], outcome.error["chunk"]) == ("t", 1)
    assert "tried 2 times" in outcome.error["message"]
    assert outcome.json["retries"] == 1

    # The budget of the job is that of every process; it may be another one.
    again = command("resume", outcome.json["job"], "--retries", "2", "--json")
    assert again.error["attempts"] == 3
    assert again.error["resume"] == left.line
    assert again.code == 6

    server.emulator.faults.clear()
    left.resumed(command)
    assert server.sql("SELECT count(*), count(DISTINCT k) FROM t.t") == [(5_000, 5_000)]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--retries", "-1"), "--retries must not be below 0"),
        (("--retry-deadline", "0"), "--retry-deadline must be above 0"),
        (("--retry-deadline", "soon"), "is not a duration"),
        (("--workflow", "one-request", "--retries", "2"), "--retries belongs to an upload session"),
    ],
)
def test_what_cannot_be_meant(push, server, file, options, says):
    outcome = push(file, *options)
    assert outcome.code == 2
    assert says in outcome.error["message"]
    assert server.requests == []
