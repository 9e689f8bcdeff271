"""Trouble before the first chunk, as a user sees it: the load goes on, and makes one dataset."""

from __future__ import annotations

import contextlib
import threading

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loader.emulator import EmulatorProcess
from tests.cli.harness import PASSWORD, PROJECT, USER

ROWS = 5_000


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"k": [f"key{n:06}" for n in range(ROWS)]}), path)
    return path


def fired(server) -> list[int]:
    return [rule["fired"] for rule in server.emulator.faults.report()]


def test_one_failure_of_every_call_before_the_upload(push, server, file):
    rules = ["login:nth=1:status=503", "look:nth=1:status=503,retry-after=0"]
    rules += ["create:nth=1:reset=after-store", "open-session:nth=1:status=429,retry-after=0"]
    server.emulator.inject(*rules)
    result = push(file).succeeded().json
    assert fired(server) == [1, 1, 1, 1]
    assert server.sql("SELECT count(*), count(DISTINCT k) FROM t.t") == [(ROWS, ROWS)]
    assert list(server.datasets.values()) == [result["dataset_id"]]
    # Those are repeated PUTs.
    assert result["retries"] == 0
    assert result["warnings"] == []
    server.left_nothing()


def test_a_load_that_fails_takes_the_dataset_away_whose_id_was_lost(push, server, file):
    server.emulator.inject("create:nth=1:reset=after-store", "open-session:status=403,code=ERR017")
    outcome = push(file)
    assert outcome.code == 4
    assert fired(server) == [1, 1]
    assert server.datasets == {}
    server.left_nothing()


@pytest.mark.parametrize("where", ["login", "look", "create"])
def test_retries_used_up_before_the_upload(push, server, file, where):
    server.emulator.inject(f"{where}:status=503,message=not today")
    outcome = push(file, "--retries", "1")
    assert outcome.code == 5
    assert outcome.json["status"] == "failed"
    assert outcome.error["attempts"] == 2
    assert "not today" in outcome.error["message"]
    assert "tried 2 times" in outcome.error["message"]
    assert outcome.error["hint"]
    assert fired(server) == [2]
    assert server.datasets == {}
    server.left_nothing()


def test_a_password_is_refused_once(push, server, file, monkeypatch):
    monkeypatch.setenv("MSTR_PASSWORD", "wrong")
    outcome = push(file)
    assert outcome.code == 4
    assert server.called("POST", "/login") == [401]


@pytest.mark.slow
@pytest.mark.parametrize(
    "rule",
    ["look:nth=2:crash=before", "create:nth=1:crash=before", "create:nth=1:crash=after-store"],
)
def test_a_server_that_is_killed_and_comes_back(command, file, tmp_path, rule, monkeypatch):
    """The load waits for it, and finds the dataset that it had made when it died."""
    monkeypatch.setattr("loader.job.dataset.LOOKS", (0.01,))
    data = tmp_path / "data"
    ends = []
    with EmulatorProcess(
        "--data", str(data), "--fault-control", env={"MSTR_EMULATOR_PASSWORD": PASSWORD}
    ) as emulator:
        emulator.inject(rule)

        def revive():
            ends.append(emulator.wait(30))
            emulator.start()

        reviving = threading.Thread(target=revive)
        reviving.start()
        options = ["--url", emulator.url, "--username", USER, "--project", PROJECT, "--json"]
        outcome = command("push", file, *options)
        reviving.join(30)
    assert ends == [-9]
    result = outcome.succeeded().json
    with contextlib.closing(duckdb.connect(str(data / "emulator.duckdb"))) as connection:
        found = connection.execute("SELECT count(*), count(DISTINCT k) FROM t.t").fetchall()
        schemas = connection.execute(
            "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 't%'"
        ).fetchall()
    assert found == [(ROWS, ROWS)]
    assert [name for (name,) in schemas if name != "temp"] == ["t"]
    assert result["dataset_id"]
