"""``mstr-loader resume`` after every kind of stop: each row once, and nothing sent in vain."""

from __future__ import annotations

import contextlib
import shutil
import signal
import sqlite3

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
    until,
    whole,
    write,
)


def test_only_what_is_missing_is_sent(driver, server):
    job = driver.stopped()
    have = 3
    assert driver.job()["chunks"] == have
    outcome = driver.resume().succeeded()
    result = outcome.json
    assert result["job"] == job
    assert result["status"] == "published"
    assert result["rows"] == ROWS
    assert result["chunks"] == have + len(driver.sent)
    assert [index for _, index in driver.sent] == list(range(have + 1, result["chunks"] + 1))
    assert driver.puts == len(driver.sent)
    assert driver.posts == ["publish"]
    assert 0 < result["wire_bytes"] < result["json_bytes"]
    assert whole(server)
    driver.clean()


@pytest.mark.slow
def test_a_hole_is_filled(driver, server):
    """Chunks that overtook the missing one are there: it alone is made again, and what follows."""
    server.emulator.inject("put:index=2:stall=before", "put:index=5:stall=before")
    options = ("--concurrency", "2", "--ordering", "free")
    process = driver.start(*driver.arguments(*options), "--json")
    # Both workers are held then, and the journal knows of what came between.
    until(lambda: fired(server) == [1, 1], process)
    process.kill()
    process.wait(LIMIT)
    server.emulator.faults.clear()
    driver.mark()
    have = {1, 3, 4}
    assert driver.job()["chunks"] == len(have)
    outcome = driver.resume().succeeded()
    assert {index for _, index in driver.sent} == {*range(1, outcome.json["chunks"] + 1)} - have
    assert driver.puts == len(driver.sent)
    assert whole(server)
    driver.clean()


def test_in_words(driver, server):
    driver.stopped()
    outcome = driver.command("resume").succeeded()
    assert f"{ROWS:,}" in outcome.out
    assert whole(server)


KILLS = [
    # rule, state at the kill, whether everything has to be sent
    ("login:stall=before", "created", "all"),
    ("login:stall=after-store", "created", "all"),
    ("create:stall=before", "created", "all"),
    ("create:stall=after-store", "created", "all"),
    ("open-session:stall=before", "created", "all"),
    ("put:nth=1:stall=before", "uploading", "all"),
    ("put:nth=1:stall=after-store", "uploading", "all"),
    ("put:nth=4:stall=mid-body,share=0.5", "uploading", "rest"),
    ("put:nth=4:stall=after-store", "uploading", "rest"),
    ("put:nth=7:stall=before", "uploading", "rest"),
    ("put:nth=7:stall=after-store", "uploading", "rest"),
    ("publish:stall=before", "publishing", "none"),
    ("publish:stall=after-store", "publishing", "none"),
    ("status:nth=1:stall=after-store", "publishing", "none"),
    ("delete:stall=before", "published", "none"),
    ("delete:stall=after-store", "published", "none"),
    ("logout:stall=before", "published", "none"),
    ("logout:stall=after-store", "published", "none"),
]
ADDED = {"put:nth=4:stall=after-store", *(rule for rule, _, what in KILLS if what == "none")}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "state", "what", "policy"),
    [(*kill, "replace") for kill in KILLS] + [(*kill, "add") for kill in KILLS if kill[0] in ADDED],
)
def test_killed(driver, server, rule, state, what, policy):  # noqa: PLR0917 - fixtures
    first = 0
    if policy == "add":
        first = ROWS
        driver.push().succeeded()
        write(driver.file, first=ROWS)
    job = driver.killed(rule, "--policy", policy)
    assert job["state"] == state
    assert not job["finished"]
    outcome = driver.resume().succeeded()
    assert outcome.json["job"] == job["job"]
    assert outcome.json["rows"] == ROWS
    if what == "none":
        assert driver.puts == 0
    elif what == "rest":
        assert 0 < driver.puts < outcome.json["chunks"]
    else:
        assert driver.puts == outcome.json["chunks"]
    assert whole(server, ROWS + first)
    driver.clean()


# -- the upload session, or the dataset, is gone ---------------------------------------------------


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


# -- unpublished, unknown, published ---------------------------------------------------------------


def test_no_publish_publishes(driver, server):
    job = driver.push("--no-publish").succeeded().json
    assert job["status"] == "uploaded"
    assert server.sessions == 1
    driver.mark()
    outcome = driver.resume().succeeded()
    assert outcome.json["status"] == "published"
    assert driver.posts == ["publish"]
    assert driver.puts == 0
    assert outcome.json["wire_bytes"] == 0
    assert (outcome.json["rows"], outcome.json["chunks"]) == (ROWS, job["chunks"])
    assert whole(server)
    driver.clean()


def test_no_publish_that_was_interrupted_is_uploaded_first(driver, server):
    driver.stopped("--no-publish")
    assert driver.resume().succeeded().json["status"] == "uploaded"
    assert "publish" not in driver.posts
    assert driver.job()["state"] == "uploaded"
    assert driver.resume().succeeded().json["status"] == "published"
    assert whole(server)
    driver.clean()


ADD = ("--policy", "add")


@pytest.fixture
def grown(driver, server):
    """A dataset without a key, of which there is one load already; the next one adds to it."""
    driver.push().succeeded()
    write(driver.file, first=ROWS)
    return driver


@pytest.mark.parametrize("stop", ["put:nth=4-:status=503", "put:nth=8-:status=503"])
def test_add_goes_on(grown, server, stop):
    grown.stopped(*ADD, rule=stop)
    grown.resume().succeeded()
    assert whole(server, 2 * ROWS)
    grown.clean()


def test_add_with_a_lost_session(grown, server):
    grown.stopped(*ADD)
    lose_sessions(server)
    grown.resume().succeeded()
    assert whole(server, 2 * ROWS)
    grown.clean()


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after-store"])
def test_add_killed_in_the_publish_and_the_session_lost(grown, server, moment):
    """Nobody can tell, so nothing is published twice; counts alone may show that it was."""
    grown.killed(f"publish:stall={moment}", *ADD)
    if moment == "after-store":
        published(server)
    lose_sessions(server)
    outcome = grown.resume()
    if moment == "after-store":
        assert outcome.code == 0, outcome
        assert any("rows on the server show" in one for one in outcome.json["warnings"])
        assert whole(server, 2 * ROWS)
        grown.clean()
        return
    assert outcome.code == 8, outcome
    assert outcome.json["status"] == "unknown"
    assert outcome.error["hint"]
    assert whole(server, ROWS)
    assert grown.job()["state"] == "unknown"
    again = grown.resume()
    assert again.code == 8
    assert grown.puts == 0
    assert whole(server, ROWS)


def test_unknown_by_the_server_and_known_later(grown, server):
    """A publish that hangs is unknown; once the server tells, resume closes the job."""
    server.emulator.inject("publish:outcome=6,seconds=3")
    outcome = grown.push(*ADD, "--publish-timeout", "0.2s")
    assert outcome.code == 8, outcome
    assert outcome.error["resume"]
    assert grown.job()["state"] == "unknown"
    assert fired(server) == [1]
    server.emulator.faults.clear()
    grown.resume("--publish-timeout", "30s").succeeded()
    assert whole(server, 2 * ROWS)
    grown.clean()


# -- overwrite -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["open-session:stall=before", "put:nth=3:stall=before"])
def test_overwrite_is_not_done_twice(driver, server, rule):
    driver.push().succeeded()
    first = server.datasets["t"]
    driver.killed(rule, "--overwrite")
    second = server.datasets["t"]
    assert second != first
    outcome = driver.resume().succeeded()
    assert outcome.json["dataset_id"] == server.datasets["t"] == second
    assert "models" not in driver.posts
    assert whole(server)
    driver.clean()


# -- what does not go on, and what stays as it was -------------------------------------------------


def unchanged(driver, *arguments, code, kind):
    """Tries to go on, in vain; the job can go on all the same."""
    before = driver.job()
    outcome = driver.resume(*arguments)
    assert outcome.code == code, outcome
    assert outcome.error["kind"] == kind, outcome
    assert outcome.error["hint"]
    after = driver.job()
    assert not after["finished"]
    assert after["session"] == before["session"]
    assert after["chunks"] == before["chunks"]
    assert after["stage"] == before["stage"]
    return outcome


STOPS = {
    "uploading": lambda driver: driver.stopped(),
    "uploaded": lambda driver: driver.push("--no-publish").succeeded(),
    "publishing": lambda driver: driver.killed("publish:stall=after-store"),
    "published": lambda driver: driver.killed("delete:stall=before"),
}


@pytest.mark.slow
@pytest.mark.parametrize("stage", STOPS)
def test_a_wrong_password(driver, server, monkeypatch, stage):
    STOPS[stage](driver)
    assert driver.job()["stage"] == stage
    monkeypatch.setenv("MSTR_PASSWORD", "planted-and-wrong")
    outcome = unchanged(driver, code=4, kind="login")
    assert outcome.error["resume"]
    assert server.sessions == 1
    monkeypatch.setenv("MSTR_PASSWORD", PASSWORD)
    driver.resume().succeeded()
    assert whole(server)
    driver.clean()


@pytest.mark.slow
@pytest.mark.parametrize("stage", STOPS)
def test_a_server_that_cannot_be_reached(driver, server, stage):
    STOPS[stage](driver)
    where = ("--url", "http://127.0.0.1:9/MicroStrategyLibrary", "--retries", "0")
    unchanged(driver, *where, code=6, kind="unreachable")
    driver.resume().succeeded()
    assert whole(server)
    driver.clean()


@pytest.mark.parametrize("rule", ["login:status=503", "dataset:status=503", "put:status=503"])
def test_again_out_of_retries(driver, server, rule):
    driver.stopped()
    server.emulator.inject(rule)
    outcome = driver.resume("--retries", "0")
    assert outcome.code == 6, outcome
    assert outcome.json["status"] == "interrupted"
    assert fired(server) == [1]
    server.emulator.faults.clear()
    driver.resume().succeeded()
    assert whole(server)
    driver.clean()


@pytest.mark.slow
def test_two_processes(driver, server):
    job = driver.stopped()
    server.emulator.inject("put:stall=before")
    process = driver.start("resume", "--json")
    until(lambda: fired(server)[-1] > 0, process)
    server.emulator.faults.clear()
    for arguments in ([], [job]):
        outcome = driver.resume(*arguments)
        assert outcome.code == 2
        assert outcome.error["kind"] == "job_in_use"
        assert outcome.error["pid"] == process.pid
    process.kill()
    process.wait(LIMIT)
    driver.resume().succeeded()
    assert whole(server)
    driver.clean()


def test_which_job(driver, server):
    assert driver.resume().error["kind"] == "unknown_job"
    first, second = driver.stopped(), driver.stopped("--dataset", "u")
    unknown = driver.resume("2001")
    assert (unknown.code, unknown.error["kind"]) == (2, "unknown_job")
    several = driver.resume("20")
    assert several.code == 2
    assert first in several.error["hint"]
    assert second in several.error["hint"]
    assert driver.resume(first[:-1] if first[:-1] != second[:-1] else first).json["job"] == first
    assert driver.resume().json["job"] == second
    assert driver.resume().error["kind"] == "unknown_job"
    assert whole(server)
    assert whole(server, name="u.t")
    driver.clean()


def test_jobs_that_have_ended(driver, server):
    done = driver.push().succeeded().json["job"]
    server.emulator.inject("put:status=400")
    failed = driver.push().json["job"]
    server.emulator.faults.clear()
    cancelled = driver.stopped()
    driver.command("cancel", cancelled, "--json").succeeded()
    driver.mark()
    for job, words in ((done, "ended as it should"), (failed, "failed"), (cancelled, "cancelled")):
        outcome = driver.resume(job)
        assert outcome.code == 2
        assert outcome.error["kind"] == "usage"
        assert words in outcome.error["message"]
    assert server.requests == []


# -- what may be set anew --------------------------------------------------------------------------


def test_another_chunk_size(driver, server):
    driver.stopped()
    outcome = driver.resume("--chunk-size", "30kB").succeeded()
    assert driver.posts == ["uploadSessions", "publish"]
    assert len(server.called("DELETE", "")) == 2
    assert driver.puts == outcome.json["chunks"] < 6
    assert any("--chunk-size" in one for one in outcome.json["warnings"])
    assert whole(server)
    driver.clean()


def test_another_chunk_size_when_all_is_there(driver, server):
    driver.push("--no-publish").succeeded()
    driver.mark()
    driver.resume("--chunk-size", "30kB").succeeded()
    assert driver.posts == ["publish"]
    assert whole(server)
    driver.clean()


def test_another_chunk_size_and_stopped_again(driver, server):
    driver.stopped()
    server.emulator.inject("put:nth=2-:status=503")
    assert driver.resume("--chunk-size", "30kB", "--retries", "0").code == 6
    server.emulator.faults.clear()
    driver.mark()
    outcome = driver.resume().succeeded()
    assert 0 < driver.puts < outcome.json["chunks"]
    assert driver.posts == ["publish"]
    assert whole(server)
    driver.clean()


def test_too_little_memory(driver, server):
    driver.stopped()
    unchanged(driver, "--memory", "1MB", code=2, kind="usage")
    driver.resume().succeeded()
    assert whole(server)


def test_another_encoder(driver, server, tmp_path):
    job = driver.stopped()
    alter(tmp_path, job, "UPDATE job SET encoder = encoder + 1")
    outcome = driver.resume().succeeded()
    assert driver.posts == ["uploadSessions", "publish"]
    assert driver.puts == outcome.json["chunks"]
    assert any("wrote other bytes" in one for one in outcome.json["warnings"])
    assert whole(server)
    driver.clean()


def test_another_encoder_stopped_again(driver, server, tmp_path):
    job = driver.stopped()
    alter(tmp_path, job, "UPDATE job SET encoder = encoder + 1")
    server.emulator.inject("put:nth=3-:status=503")
    assert driver.resume("--retries", "0").code == 6
    server.emulator.faults.clear()
    driver.mark()
    outcome = driver.resume().succeeded()
    assert whole(server)
    assert 0 < driver.puts < outcome.json["chunks"]
    driver.clean()


def alter(tmp_path, job, statement) -> None:
    with contextlib.closing(
        sqlite3.connect(tmp_path / "state" / "jobs" / f"{job}.sqlite")
    ) as journal:
        journal.execute(statement)
        journal.commit()


@pytest.mark.parametrize(
    "options",
    [
        ("--concurrency", "3", "--ordering", "free"),
        ("--ordering", "strict"),
        ("--window", "2", "--concurrency", "2"),
        ("--max-rate", "10MB/s", "--no-verify"),
        ("--retries", "2", "--retry-deadline", "5s", "--publish-timeout", "1m"),
        ("--concurrency", "auto", "--memory", "800MB"),
    ],
)
def test_options_of_the_rest(driver, server, options):
    driver.stopped()
    outcome = driver.resume(*options).succeeded()
    assert 0 < driver.puts < outcome.json["chunks"]
    assert whole(server)
    driver.clean()


@pytest.mark.parametrize("option", ["--policy", "--dataset", "--overwrite"])
def test_what_decides_about_the_data_cannot_be_set(driver, option):
    driver.stopped()
    assert driver.resume(option, "x").code == 2


# -- signals ---------------------------------------------------------------------------------------


def held(driver, server, *arguments):
    """Starts a process that the server keeps waiting in the middle of a PUT."""
    server.emulator.inject("put:nth=4:stall=after-store,seconds=3")
    process = driver.start(*arguments, "--json")
    until(lambda: fired(server)[-1] > 0, process)
    server.emulator.faults.clear()
    return process


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_drains(driver, server, number):
    process = held(driver, server, *driver.arguments())
    process.send_signal(number)
    outcome = ended(process)
    assert outcome.code == 130, outcome
    assert outcome.json["status"] == "interrupted"
    assert outcome.json["chunks"] == 4, "the PUT under way came to its end"
    assert outcome.error["resume"] in outcome.error["hint"]
    assert driver.job()["state"] == "interrupted"
    driver.mark()
    again = driver.resume().succeeded()
    assert driver.puts == again.json["chunks"] - 4
    assert whole(server)
    driver.clean()


@pytest.mark.slow
def test_a_second_signal_stops_at_once(driver, server):
    server.emulator.inject("put:nth=4:stall=after-store")
    process = driver.start(*driver.arguments(), "--json")
    until(lambda: fired(server)[-1] > 0, process)
    process.send_signal(signal.SIGINT)
    for line in process.stderr:
        if "again to stop at once" in line:
            break
    process.send_signal(signal.SIGINT)
    outcome = ended(process)
    assert outcome.code == 130, outcome
    assert outcome.json["status"] == "interrupted"
    assert "mstr-loader resume" in outcome.error["hint"]
    server.emulator.faults.clear()
    driver.mark()
    again = driver.resume().succeeded()
    assert driver.puts == again.json["chunks"] - 3
    assert whole(server)
    driver.clean()


@pytest.mark.slow
def test_killed_at_every_put(driver, server):
    """It ends: each process leaves one chunk less."""
    driver.killed("put:nth=2:stall=before")
    for _ in range(20):
        server.emulator.inject("put:nth=2:stall=before")
        process = driver.start("resume", "--json")
        until(lambda alive=process: fired(server)[-1] > 0 or alive.poll() is not None)
        process.kill()
        outcome = ended(process)
        server.emulator.faults.clear()
        if outcome.code == 0:
            break
    assert outcome.json["rows"] == ROWS
    assert whole(server)
    chunks = driver.sent
    assert len(chunks) == len(set(chunks)) == outcome.json["chunks"] - 1
    driver.clean()


@pytest.mark.slow
def test_a_resume_that_is_stopped_before_it_reaches_the_server(driver, server):
    driver.stopped()
    for rule in ("login:stall=before", "dataset:stall=before"):
        server.emulator.inject(rule)
        process = driver.start("resume", "--json")
        until(lambda: fired(server)[-1] > 0, process)
        process.send_signal(signal.SIGINT)
        outcome = ended(process)
        assert outcome.code == 130, outcome
        assert "mstr-loader resume" in outcome.error["hint"]
        server.emulator.faults.clear()
    driver.resume().succeeded()
    assert whole(server)
    driver.clean()


@pytest.mark.slow
def test_a_signal_in_the_publish(grown, server):
    server.emulator.inject("publish:outcome=6,seconds=2")
    process = grown.start(*grown.arguments(*ADD), "--json")
    until(lambda: fired(server)[-1] > 0, process)
    process.send_signal(signal.SIGTERM)
    outcome = ended(process)
    assert outcome.code == 130, outcome
    grown.resume().succeeded()
    assert whole(server, 2 * ROWS)
    grown.clean()


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


@pytest.mark.slow
def test_published_and_loaded_again_since(driver, server):
    """Another load has replaced the data: that is no reason to find fault with this one."""
    driver.killed("delete:stall=before")
    expired(server)
    write(driver.file, 100)
    driver.push().succeeded()
    outcome = driver.resume()
    assert outcome.json["status"] == "published"
    assert driver.posts.count("publish") == 1
    assert whole(server, 100)


def test_a_publish_that_fails_at_last(driver, server):
    driver.push("--no-publish").succeeded()
    server.emulator.inject("publish:outcome=3")
    outcome = driver.resume()
    assert outcome.code == 5
    assert fired(server) == [1]
    assert driver.job()["state"] == "failed"
    assert server.datasets == {}
    expired(server)
    server.left_nothing()
