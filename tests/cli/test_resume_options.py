"""``mstr-loader resume`` with other settings than those the load began with."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from tests.cli.processes import *  # noqa: F403 - its fixtures are among it
from tests.cli.processes import (
    whole,
)


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
