"""``mstr-loader resume`` in vain: the job stays as it was and can go on; and which job goes on."""

from __future__ import annotations

import pytest

from tests.cli.harness import PASSWORD
from tests.cli.processes import *  # noqa: F403 - its fixtures are among it
from tests.cli.processes import (
    LIMIT,
    fired,
    until,
    whole,
)


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


def test_too_little_memory(driver, server):
    driver.stopped()
    unchanged(driver, "--memory", "1MB", code=2, kind="usage")
    driver.resume().succeeded()
    assert whole(server)
