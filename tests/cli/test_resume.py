"""``mstr-loader resume`` after every kind of stop: each row once, and nothing sent in vain."""

from __future__ import annotations

import signal

import pytest

from tests.cli.processes import *  # noqa: F403 - its fixtures are among it
from tests.cli.processes import (
    LIMIT,
    ROWS,
    ended,
    fired,
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
