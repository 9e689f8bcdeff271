"""Progress on stderr, the result on stdout, and secrets nowhere."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiohttp import web

import loader.job.publish
from loader.cli.printers import Forecast, LinePrinter, expected_bytes, print_result
from loader.job import Phase, Progress, Result, Status, TableResult
from loader.job.result import Amount
from tests.cli.harness import PASSWORD, USER, connection

PLANTED = "pl4nted-s3cret"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"k": ["a", "b"], "v": [1, 2]}), path)
    return path


def test_the_result_in_words(command, server, file):
    outcome = command("push", file, *connection(server)).succeeded()
    first, second = outcome.out.splitlines()
    assert first.startswith("published: 2 rows in 1 chunk, ")
    assert second == f"dataset: t ({server.datasets['t']})"
    assert "reading the source" in outcome.err


def test_the_rate_of_a_resumed_load_is_of_what_it_sent_itself(capsys):
    result = Result(
        status=Status.PUBLISHED,
        tables=[TableResult("t", rows=1000, chunks=10, json_bytes=1_000_000_000)],
        earlier=Amount(rows=900, chunks=9, json_bytes=900_000_000),
        seconds=10.0,
    )
    print_result(result, as_json=False)
    assert "1,000 rows in 10 chunks, 1 GB of JSON in 10.0 s (10 MB/s)" in capsys.readouterr().out


def test_an_error_in_words(command, server, file):
    outcome = command("push", file, *connection(server), "--policy", "upsert", "--attribute", "v")
    outcome.succeeded()
    outcome = command("push", file, *connection(server), "--type", "v=STRING", "--dataset-id", "x")
    assert outcome.code == 2
    assert outcome.out == ""
    lines = outcome.err.splitlines()
    assert any(line.startswith("error: ") for line in lines)
    assert any(line.startswith("hint: ") for line in lines)


def test_warnings_go_to_stderr(command, server, tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"k": ["a"], "v": [float("nan")]}), path)
    outcome = command("push", path, *connection(server)).succeeded()
    assert "warning: table 't', column 'v': 1 NaN" in outcome.err
    assert "warning" not in outcome.out
    assert outcome.out.startswith("published: ")


def test_what_was_only_uploaded_says_how_to_publish_it(command, server, file):
    outcome = command("push", file, *connection(server), "--no-publish").succeeded()
    (job,) = command("jobs", "--json").json["jobs"]
    first, second = outcome.out.splitlines()
    assert first.startswith("uploaded: 2 rows in 1 chunk, ")
    assert second == f"dataset: t ({server.datasets['t']})"
    assert f"warning: not published, as asked: mstr-loader resume {job['job']} publ" in outcome.err
    outcome = command("resume", job["job"]).succeeded()
    assert outcome.out.splitlines()[0].startswith("published: 2 rows in 1 chunk, ")
    assert "not published" not in outcome.err


def test_what_can_go_on_says_how_in_words(command, server, file):
    server.emulator.inject("put:status=503")
    outcome = command("push", file, *connection(server), "--retries", "0")
    assert outcome.code == 6
    (job,) = command("jobs", "--json").json["jobs"]
    (hint,) = [line for line in outcome.err.splitlines() if line.startswith("hint: ")]
    assert hint.startswith(f"hint: mstr-loader resume {job['job']} goes on where it stopped")
    assert outcome.out == ""


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [[], ["--json"]], ids=["text", "json"])
def test_nobody_reads_stdout(server, file, arguments):
    """As in ``mstr-loader push … | head -0``: the load counts, not who listens."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "loader", "push", str(file), *connection(server), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(writing)
    assert done.returncode == 0
    assert "rror" not in done.stderr
    assert server.sql("SELECT count(*) FROM t.t") == [(2,)]


# -- progress --------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def test_lines_come_at_every_phase_and_every_few_seconds(capsys):
    clock = Clock()
    progress = Progress(rows_total=100)
    with LinePrinter(clock) as printer:
        printer(progress)
        clock.time += 1
        printer(progress)  # nothing new
        progress.phase = Phase.LOADING
        progress.rows_encoded, progress.encoded_bytes = 50, 2_000_000
        printer(progress)
        clock.time += 4.9
        progress.sent_bytes = progress.accepted_bytes = 1_000_000
        printer(progress)  # too early
        clock.time += 0.1
        printer(progress)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "reading the source",
        "loading, 0 %, encoded 2 MB, sent 0 B, accepted 0 B",
        "loading, 25 %, encoded 2 MB, sent 1 MB, accepted 1 MB, 200 kB/s, ETA 0:15",
    ]


def test_a_small_load_does_not_end_beyond_100_percent():
    """A chunk's brackets are no rows."""
    progress = Progress(
        rows_total=2, rows_encoded=2, encoded_bytes=12, accepted_bytes=17, rows_accepted=2
    )
    assert expected_bytes(progress) == 17
    clock = Clock()
    forecast = Forecast(clock)
    forecast.read(progress)
    clock.time += 1
    assert forecast.read(progress) == (17.0, 0.0)


def test_the_rate_is_of_the_upload_and_stands_still_after_it(capsys):
    clock = Clock()
    progress = Progress(rows_total=2)
    with LinePrinter(clock) as printer:
        progress.phase = Phase.LOADING
        progress.rows_encoded, progress.encoded_bytes = 2, 4_000_000
        printer(progress)
        clock.time += 2
        progress.sent_bytes = progress.accepted_bytes = 4_000_000
        for phase in (Phase.PUBLISHING, Phase.VERIFYING, Phase.CLOSING):
            progress.phase = phase
            printer(progress)
            clock.time += 60
    everything = "100 %, encoded 4 MB, sent 4 MB, accepted 4 MB, 2 MB/s"
    assert capsys.readouterr().err.splitlines() == [
        "loading, 0 %, encoded 4 MB, sent 0 B, accepted 0 B",
        f"publishing, {everything}",
        f"verifying, {everything}",
        f"closing, {everything}",
    ]


def test_the_rate_of_what_is_sent_once_more_begins_with_it():
    clock = Clock()
    forecast = Forecast(clock)
    progress = Progress(phase=Phase.LOADING, rows_total=2, rows_encoded=2, encoded_bytes=100)
    forecast.read(progress)
    clock.time += 1
    progress.accepted_bytes, progress.phase = 100, Phase.PUBLISHING
    assert forecast.read(progress) == (100.0, None)
    clock.time += 1000
    # The upload session is lost.
    progress.phase = Phase.LOADING
    progress.start_over()
    assert forecast.read(progress) == (0.0, None)
    progress.rows_encoded, progress.encoded_bytes = 2, 100
    forecast.read(progress)
    clock.time += 1
    progress.accepted_bytes = 50
    assert forecast.read(progress) == (50.0, 1.0)


@pytest.mark.slow
def test_bars_on_a_terminal_and_nothing_of_them_on_stdout(server, file):
    primary, secondary = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "loader", "push", str(file), *connection(server), "--json"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=secondary,
        env={**os.environ, "TERM": "xterm-256color"},
    )
    os.close(secondary)
    shown = bytearray()
    with contextlib.suppress(OSError):  # how a closed terminal ends on Linux
        while piece := os.read(primary, 65536):
            shown += piece
    os.close(primary)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert json.loads(out)["status"] == "published"
    text = shown.decode()
    for word in ("encoded", "sent", "accepted", "\x1b["):
        assert word in text
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l")  # the cursor is back


# -- secrets ---------------------------------------------------------------------------------------


def run(*arguments, **environment) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "loader", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
def test_debug_shows_requests_and_no_secret(server, file):
    tokens = []

    async def remember(request):
        token = request.headers.get("X-MSTR-AuthToken")
        if token:
            tokens.append(token)
            tokens.append(request.cookies["JSESSIONID"])

    server.fault = remember
    code, out, err = run("push", file, *connection(server), "--json", "--debug")
    assert code == 0
    assert json.loads(out)["status"] == "published"
    for path in ("/api/auth/login", "/api/projects", "/uploadSessions", "/publish"):
        assert path in err
    assert tokens
    for secret in (PASSWORD, *set(tokens)):
        assert secret not in out + err


@pytest.mark.slow
def test_debug_shows_a_traceback_without_secrets(server, file):
    secret = {"MSTR_PASSWORD": PLANTED}
    code, out, err = run("push", file, *connection(server), "--json", "--debug", **secret)
    assert code == 4
    assert json.loads(out)["error"]["kind"] == "login"
    assert "Traceback" in err
    assert PLANTED not in out + err


def test_a_server_that_repeats_the_password(command, server, file, monkeypatch):
    monkeypatch.setenv("MSTR_PASSWORD", PLANTED)

    async def fault(request):
        if request.path.endswith("/login"):
            body = {"code": "ERR003", "message": f"no user with the password {PLANTED}"}
            return web.json_response(body, status=401)
        return None

    server.fault = fault
    for mode in ([], ["--json"]):
        outcome = command("push", file, *connection(server), *mode)
        assert outcome.code == 4
        assert PLANTED not in outcome.out + outcome.err


@pytest.mark.parametrize(
    ("ending", "code"), [("/login", 5), ("/projects", 5), ("/uploadSessions", 6), ("/publish", 8)]
)
def test_no_failure_shows_a_secret(command, server, file, monkeypatch, ending, code):  # noqa: PLR0917 - fixtures and cases
    monkeypatch.setattr(loader.job.publish, "PAUSES", (0.0, 0.0, 0.0))
    seen = set()

    async def fault(request):
        seen.update(filter(None, [request.headers.get("X-MSTR-AuthToken")]))
        if request.path.endswith(ending):
            await asyncio.sleep(0)
            request.transport.abort()
            return web.Response()
        return None

    server.fault = fault
    outcome = command("push", file, *connection(server), "--json", "--retries", "1")
    assert outcome.code == code
    for secret in (PASSWORD, *seen):
        assert secret not in outcome.out + outcome.err


def test_a_password_in_the_url_is_refused_and_not_repeated(command, file):
    url = f"https://{USER}:{PLANTED}@mstr.example.com/MicroStrategyLibrary"
    for mode in ([], ["--json"], ["--debug"]):
        outcome = command("push", file, "--url", url, "--username", USER, *mode)
        assert outcome.code == 2
        assert PLANTED not in outcome.out + outcome.err


def test_a_password_is_never_a_flag(command, file):
    outcome = command("push", file, "--password", PLANTED, "--json")
    assert outcome.code == 2
    assert PLANTED not in outcome.out + outcome.err
