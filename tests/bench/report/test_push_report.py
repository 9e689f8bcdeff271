"""``push --report``: the page of a real load into a real server, whatever its end is."""

from __future__ import annotations

import json
import os
import signal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiohttp import web

from tests.bench.report.pages import figures, shown
from tests.cli.fixtures import *  # noqa: F403 - what it exports are fixtures
from tests.cli.harness import PASSWORD, Push, connection

ROWS = 20_000


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "sales.parquet"
    table = pa.table({"k": [f"key{n:06}" for n in range(ROWS)], "v": list(range(ROWS))})
    pq.write_table(table, path, row_group_size=2000)
    return path


@pytest.fixture
def page(tmp_path):
    return tmp_path / "report.html"


def test_a_load_leaves_its_page(push, file, page):
    result = push(file, "--chunk-size", "100kB", "--report", page).succeeded().json
    assert result["chunks"] >= 3
    charts = figures(page)
    assert list(charts) == ["stages", "timeline", "put-times"]
    put = next(one for one in charts["timeline"]["data"] if one["name"] == "PUT until accepted")
    assert put["y"] == [str(index) for index in range(1, result["chunks"] + 1)]
    assert all(seconds > 0 for seconds in put["x"])
    text = shown(page)
    assert f"{ROWS:,}" in text
    assert "--chunk-size" in text
    assert "100kB" in text
    # Only what was typed is an option, and no secret is.
    assert "--retries" not in text
    assert PASSWORD not in page.read_text("utf-8")


def test_it_is_named_where_people_look(command, server, file, page):
    said = command("push", file, *connection(server), "--report", page).succeeded()
    assert f"report: {page}" in said.out


def test_secrets_of_a_source_are_left_out(push, page):
    push("t=s3://AKIAexampleexample:s3cr3t@bucket/none.parquet?region=x", "--report", page)
    text = page.read_text("utf-8")
    assert "AKIAexampleexample" not in text
    assert "s3cr3t" not in text
    assert "bucket/none.parquet" in text


def test_a_load_that_fails_leaves_its_page_too(command, serve, file, page):
    async def refuse(request):
        if request.method == "PUT" and "/uploadSessions/" in request.path:
            return web.json_response({"code": "ERR001", "message": "<b>no room</b>"}, status=400)
        return None

    push = Push(command, serve(fault=refuse))
    outcome = push(file, "--report", page)
    assert outcome.code == 5
    text = shown(page)
    assert "&lt;b&gt;no room" in text
    assert "<b>no" not in text


def test_a_source_that_is_none_leaves_a_page(push, tmp_path, page):
    assert push(tmp_path / "none.parquet", "--report", page).code == 3
    assert "none.parquet" in shown(page)


def test_a_page_that_cannot_be_written_stops_the_load_before_it_begins(push, server, file):
    outcome = push(file, "--report", file.parent / "none" / "report.html")
    assert outcome.code == 2
    assert outcome.error["kind"] == "usage"
    assert server.requests == []
    # Nor is what is no report overwritten.
    assert push(file, "--report", file).code == 2
    assert pq.read_metadata(file).num_rows == ROWS
    assert server.requests == []


def test_a_page_that_cannot_be_written_after_all_is_a_warning(push, serve, command, file, page):
    async def take_the_directory_away(request):
        if request.method == "PUT" and "/uploadSessions/" in request.path:
            page.parent.rename(page.parent.with_name("gone"))

    inside = page.parent / "inside"
    inside.mkdir()
    page = inside / "report.html"
    push = Push(command, serve(fault=take_the_directory_away))
    result = push(file, "--report", page).succeeded().json
    assert result["status"] == "published"
    assert any("--report" in warning for warning in result["warnings"])


@pytest.mark.slow
def test_a_load_that_is_interrupted_leaves_its_page(start, serve, file, page):
    interrupted = []

    async def interrupt(request):
        # Once: a second signal stops at once, without a page.
        if request.method == "PUT" and "/uploadSessions/" in request.path and not interrupted:
            interrupted.append(os.kill(process.pid, signal.SIGINT))

    server = serve(fault=interrupt)
    process = start(
        *("push", file, *connection(server), "--chunk-size", "100kB", "--concurrency", "1"),
        *("--report", page, "--json"),
    )
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert json.loads(out)["status"] == "interrupted"
    text = shown(page)
    assert "stopped" in text
    assert "mstr-loader resume" in text
