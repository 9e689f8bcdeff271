"""``resume --report``: the page of the part of a job that was left to do, and that says so."""

from __future__ import annotations

import re

import pytest

from tests.bench.report.pages import figures, shown
from tests.cli.fixtures import *  # noqa: F403 - what it exports are fixtures
from tests.cli.harness import PASSWORD
from tests.cli.processes import *  # noqa: F403 - the same
from tests.cli.processes import ROWS, lose_sessions, whole


@pytest.fixture
def page(tmp_path):
    return tmp_path / "report.html"


def sent(page) -> list[str]:
    """The chunks of the timeline, by their indices."""
    put = next(
        one for one in figures(page)["timeline"]["data"] if one["name"] == "PUT until accepted"
    )
    assert all(seconds > 0 for seconds in put["x"])
    return put["y"]


def indices(first, last) -> list[str]:
    return [str(index) for index in range(first, last + 1)]


def test_the_rest_of_a_load_leaves_its_page(driver, server, page):
    job = driver.stopped()
    have = driver.job()["rows"]
    result = driver.resume("--concurrency", "2", "--report", page).succeeded().json
    assert whole(server)
    assert list(figures(page)) == ["stages", "timeline", "put-times"]
    assert sent(page) == indices(4, result["chunks"])
    text = shown(page)
    assert job in text
    assert str(driver.file) in text
    assert server.url in text
    assert f"{ROWS:,}" in text
    assert f"in {result['chunks']} chunks, {result['chunks'] - 3} of them by this process" in text
    assert f"Earlier processes of the job had uploaded {have:,} of the rows, in 3 chunks" in text
    assert "published, resumed" in text
    # Of the options, those that were typed for the rest.
    assert "--concurrency" in text
    assert "--chunk-size" not in text
    assert PASSWORD not in page.read_text("utf-8")


def test_rates_are_of_what_was_sent_now(driver, page):
    """One chunk of many is left: the page must not say that it took all of them so long."""
    driver.stopped(rule="put:nth=7-:status=503")
    done = driver.job()["rows"]
    outcome = driver.command("resume", "--report", page).succeeded()
    assert f"report: {page}" in outcome.out
    (stages,) = (one for name, one in figures(page).items() if name == "stages")
    seconds = sum(bar["x"][0] for bar in stages["data"] if bar["y"] == ["upload"])
    told = rows_a_second(shown(page))
    assert told == pytest.approx((ROWS - done) / seconds, rel=0.02)


def rows_a_second(text: str) -> float:
    number, unit = re.search("of JSON, ([0-9.]+) ([kM]?) ?rows/s", text).groups()
    return float(number) * {"": 1, "k": 1e3, "M": 1e6}[unit]


def test_a_lost_session_is_sent_again_by_this_process(driver, server, page):
    driver.stopped()
    lose_sessions(server)
    result = driver.resume("--report", page).succeeded().json
    assert sent(page) == indices(1, result["chunks"])
    text = shown(page)
    assert "Nothing that earlier processes of the job had uploaded is counted here" in text
    assert "lost the upload session" in text


def test_a_publish_alone_has_a_page(driver, server, page):
    uploaded = driver.push("--no-publish").succeeded().json
    driver.mark()
    driver.resume("--report", page).succeeded()
    assert whole(server)
    assert driver.puts == 0
    text = shown(page)
    assert f"{uploaded['rows']:,} of the rows, in {uploaded['chunks']} chunks" in text
    assert "nothing was uploaded" in text
    assert figures(page) == {}


def test_a_resume_that_stops_again_leaves_its_page(driver, server, page):
    job = driver.stopped()
    server.emulator.inject("put:nth=3-:status=503")
    assert driver.resume("--retries", "0", "--report", page).code == 6
    assert sent(page) == indices(4, 5)
    text = shown(page)
    assert f"mstr-loader resume {job}" in text
    assert "in 5 chunks, 2 of them by this process" in text
    server.emulator.faults.clear()
    driver.resume("--report", page).succeeded()
    assert "had uploaded" in shown(page)
    assert sent(page)[0] == "6"
    assert whole(server)
    driver.clean()


@pytest.mark.slow
def test_a_job_that_was_killed(driver, server, page):
    driver.killed("put:nth=4:stall=before")
    result = driver.resume("--report", page).succeeded().json
    assert sent(page) == indices(4, result["chunks"])
    assert whole(server)


def test_a_page_that_cannot_be_written_leaves_the_job_as_it_is(driver, server, page):
    driver.stopped()
    outcome = driver.resume("--report", page.parent / "none" / "report.html")
    assert outcome.code == 2
    assert outcome.error["kind"] == "usage"
    assert server.requests == []
    assert driver.job()["state"] == "interrupted"
    # Nor is what is no report overwritten.
    assert driver.resume("--report", driver.file).code == 2
    driver.resume("--report", page).succeeded()
    assert whole(server)
