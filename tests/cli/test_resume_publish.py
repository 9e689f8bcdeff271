"""``mstr-loader resume`` of what is unpublished, published, or unknown; of add and of overwrite."""

from __future__ import annotations

import signal

import pytest

from tests.cli.processes import *  # noqa: F403 - its fixtures are among it
from tests.cli.processes import (
    ROWS,
    ended,
    expired,
    fired,
    lose_sessions,
    published,
    until,
    whole,
    write,
)

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
