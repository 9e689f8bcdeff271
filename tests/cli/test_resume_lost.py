"""``mstr-loader resume`` when the upload session, the dataset or the whole server is gone."""

from __future__ import annotations

import shutil

import duckdb
import pytest

from loader.emulator.process import EmulatorProcess
from tests.cli.harness import PASSWORD, PROJECT, USER
from tests.cli.processes import *  # noqa: F403 - its fixtures are among it
from tests.cli.processes import (
    LIMIT,
    ROWS,
    SMALL,
    delete_dataset,
    ended,
    expired,
    fired,
    lose_sessions,
    published,
    whole,
)


def test_a_lost_session(driver, server):
    driver.stopped()
    lose_sessions(server)
    outcome = driver.resume().succeeded()
    assert driver.puts > outcome.json["chunks"]  # one of them found out
    assert len(driver.sent) == outcome.json["chunks"]
    assert any("lost the upload session" in one for one in outcome.json["warnings"])
    assert outcome.json["rows"] == ROWS
    assert whole(server)
    driver.clean()


def test_a_lost_dataset(driver, server):
    driver.stopped()
    old = server.datasets["t"]
    lose_sessions(server)
    delete_dataset(server, old)
    outcome = driver.resume().succeeded()
    assert outcome.json["dataset_id"] == server.datasets["t"] != old
    assert driver.posts == ["models", "uploadSessions", "publish"]
    assert any("gone" in one for one in outcome.json["warnings"])
    assert whole(server)
    driver.clean()


def test_a_lost_dataset_that_was_there_before(driver, server):
    driver.push().succeeded()
    driver.stopped()
    lose_sessions(server)
    delete_dataset(server, server.datasets["t"])
    outcome = driver.resume()
    assert outcome.code == 2
    assert outcome.error["kind"] == "unknown_dataset"
    assert outcome.error["hint"]
    assert server.datasets == {}


@pytest.mark.slow
def test_published_and_the_dataset_deleted_since(driver, server):
    """What was published is done: nothing is sent again."""
    driver.killed("delete:stall=before")
    expired(server)
    lose_sessions(server)
    delete_dataset(server, server.datasets["t"])
    outcome = driver.resume().succeeded()
    assert outcome.json["status"] == "published"
    assert driver.posts == []
    assert driver.puts == 0
    assert server.datasets == {}
    assert driver.job()["finished"]


@pytest.mark.slow
def test_the_whole_server_in_memory_is_another_one(tmp_path, file, start, monkeypatch):
    """Its datasets, sessions and logins are gone, its address is the same."""
    monkeypatch.setenv("MSTR_EMULATOR_PASSWORD", PASSWORD)
    data = tmp_path / "data"
    with EmulatorProcess(
        "--data", str(data), "--fault", "put:nth=4:crash=after-store", "--fault-control"
    ) as server:
        where = ("--url", server.url, "--username", USER, "--project", PROJECT)
        push = start("push", file, *where, *SMALL, "--retries", "0", "--json")
        assert server.wait(LIMIT) == -9
        outcome = ended(push)
        assert outcome.code == 6, outcome
        shutil.rmtree(data)
        server.start()
        server.clear_faults()
        again = ended(start("resume", "--json")).succeeded()
        assert again.json["rows"] == ROWS
        assert again.json["dataset_id"] != outcome.json["dataset_id"]
    assert stored(data)


def stored(data, rows=ROWS) -> bool:
    with duckdb.connect(str(data / "emulator.duckdb"), read_only=True) as database:
        found = database.execute("SELECT count(*), count(DISTINCT k), sum(v) FROM t.t").fetchall()
    assert found == [(rows, rows, sum(range(rows)))]
    return True


@pytest.mark.slow
@pytest.mark.parametrize("keep", [True, False])
def test_the_server_is_restarted(tmp_path, file, start, monkeypatch, keep):
    monkeypatch.setenv("MSTR_EMULATOR_PASSWORD", PASSWORD)
    data = tmp_path / "data"
    options = ("--keep-sessions",) if keep else ()
    crash = ("--fault", "put:nth=4:crash=after-store", "--fault-control")
    with EmulatorProcess("--data", str(data), *options, *crash) as server:
        where = ("--url", server.url, "--username", USER, "--project", PROJECT)
        push = start("push", file, *where, *SMALL, "--retries", "0", "--json")
        assert server.wait(LIMIT) == -9
        assert ended(push).code == 6
        server.start()
        server.clear_faults()
        server.inject("put:rate=0:status=503")  # never, but it counts
        again = ended(start("resume", "--json")).succeeded()
        puts = server.faults()[0]["matched"]
        assert again.json["rows"] == ROWS
        if keep:
            assert puts == again.json["chunks"] - 3
        else:
            assert puts == again.json["chunks"] + 1
            assert any("lost the upload session" in one for one in again.json["warnings"])
    assert stored(data)


def test_a_session_that_is_lost_while_it_is_filled_again(driver, server):
    driver.stopped()
    server.emulator.inject("put:nth=2:end-session")
    outcome = driver.resume().succeeded()
    assert fired(server) == [1]
    assert outcome.json["chunks"] == len(driver.sent) - 1
    assert any("lost the upload session" in one for one in outcome.json["warnings"])
    assert whole(server)
    driver.clean()


@pytest.mark.parametrize("options", [(), ("--overwrite",)], ids=["new", "overwrite"])
def test_what_fails_for_good_is_cleaned_up(driver, server, options):
    if options:
        driver.push().succeeded()
    driver.stopped(*options)
    server.emulator.inject("put:status=400")
    outcome = driver.resume()
    assert outcome.code == 5, outcome
    assert fired(server)[0] > 0
    assert outcome.json["status"] == "failed"
    assert "resume" not in outcome.error
    assert driver.job()["state"] == "failed"
    if options:
        assert any("the dataset is empty" in one for one in outcome.json["warnings"])
        assert server.sql("SELECT count(*) FROM t.t") == [(0,)]
    else:
        assert server.datasets == {}
    expired(server)
    server.left_nothing()


@pytest.mark.slow
def test_a_server_of_the_run_itself(driver, start):
    """``--local`` keeps what is published, and its upload sessions end with it."""
    file = driver.file
    uploaded = ended(start("push", file, "--local", *SMALL, "--no-publish", "--json")).succeeded()
    assert uploaded.json["status"] == "uploaded"
    outcome = ended(start("resume", "--json")).succeeded()
    assert outcome.json["status"] == "published"
    assert outcome.json["rows"] == ROWS
    assert any("everything was sent again" in one for one in outcome.json["warnings"])


@pytest.mark.slow
def test_killed_while_the_session_was_opened_and_nobody_knows_it(driver, server):
    """The login of the killed process has to time out, which takes the session's place."""
    driver.killed("open-session:stall=after-store")
    outcome = driver.resume()
    assert outcome.code == 6, outcome
    assert outcome.error["kind"] == "blocked"
    assert "login times out" in outcome.error["hint"]
    assert not driver.job()["finished"]
    expired(server)
    driver.resume().succeeded()
    assert whole(server)
    driver.clean()


@pytest.mark.slow
@pytest.mark.parametrize("status", [400, 404])
def test_a_dataset_that_only_seems_to_be_gone(driver, server, status):
    """What may be published is not sent again because of one strange answer."""
    driver.killed("publish:stall=after-store", "--policy", "add")
    published(server)
    server.emulator.inject(f"dataset:nth=1:status={status}")
    outcome = driver.resume()
    assert fired(server) == [1]
    assert driver.puts == 0
    assert whole(server)
    if outcome.code:
        assert outcome.error["hint"]
        assert not driver.job()["finished"]
        server.emulator.faults.clear()
        driver.resume().succeeded()
    assert driver.puts == 0
    assert whole(server)
    driver.clean()
