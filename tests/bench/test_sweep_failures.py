"""Sweeps in which something breaks: what was measured is kept, told, and nothing is left behind."""

from __future__ import annotations

import os
import signal

import pytest
from aiohttp import web

import loader
from loader.bench import Stopper, read_records, scratch, sweeping
from loader.bench.messages import Beat
from loader.bench.records import Records, Setting
from loader.cli.bench_printer import BenchPrinter, _failed
from loader.emulator.process import EmulatorProcess
from loader.errors import Unreachable
from loader.job.retry import RetryBudget
from tests.bench.made import ENVIRONMENT, failed, run
from tests.bench.sweeps import (
    KB,
    Watch,
    left_nothing,
    left_nothing_but_logins,
    runs_under_way,
    small,
)
from tests.cli.harness import PASSWORD, PROJECT, USER
from tests.cli.processes import HUNG_UP, ended, fired

pytestmark = pytest.mark.slow


def sweep(connection, file, watch, **more):
    """A sweep of two settings."""
    return loader.sweep(
        str(file),
        connection=connection,
        **{
            "orientations": ["column"],
            "chunk_sizes": [100 * KB],
            "concurrencies": [1, 2],
            "repeat": 1,
            "watcher": watch,
            **more,
        },
    )


def killer(watch, number=signal.SIGKILL):
    """Kills the second run when its first PUT arrives; what it has killed is in the list."""
    killed = []

    async def kill(request):
        if request.method == "PUT" and len(watch.begun) == 2 and not killed:
            killed.extend(runs_under_way())
            for pid in killed:
                os.kill(pid, number)

    return kill, killed


# -- runs that die or fail -------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_killed_among_its_puts_keeps_nobody_out(connection, server, file, number):
    watch = Watch()
    server.fault, killed = killer(watch, number)
    found = sweep(connection, file, watch, repeat=2)
    assert len(killed) == 1
    left_nothing_but_logins(server)
    _, died, *others = found.runs
    assert died.error.kind == "died"
    assert f"ended with {-number}" in died.error.message
    assert len(others) == 2
    assert [run.error for run in others] == [None, None]
    # Every session was deleted before the next one was asked for.
    assert set(server.called("POST", "/uploadSessions")) == {200}
    assert found.recommendation.setting == others[0].setting
    assert "failed were not compared: columns in chunks of 100 kB" in found.recommendation.reason


@pytest.mark.parametrize(
    ("rule", "number"), [("create", 0), ("open-session", 0), ("open-session", 1)]
)
def test_a_run_killed_before_it_could_tell_what_it_opened(connection, server, file, rule, number):
    """The server has done it, and the answer is on its way: nobody knows the id."""

    def kill(beat):
        if fired(server) == [1] and not killed:
            killed.extend(runs_under_way())
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    killed = []
    watch = Watch()
    watch.beat = kill
    server.emulator.inject(f"{rule}:nth={number + 1}:stall=after-store")
    found = sweep(connection, file, watch, repeat=2)
    assert len(killed) == 1
    left_nothing_but_logins(server)
    died = found.runs[number]
    assert died.error.kind == "died"
    others = [run for run in found.runs if run is not died]
    assert others
    assert [run.error for run in others] == [None] * len(others)
    assert set(server.called("POST", "/uploadSessions")) - HUNG_UP == {200}
    assert found.recommendation is not None


def test_a_session_that_cannot_be_deleted_is_told(connection, server, file):
    watch = Watch()
    kill, killed = killer(watch)

    async def fault(request):
        if request.method == "DELETE" and "/uploadSessions/" in request.path and len(killed) == 1:
            killed.append(None)
            return web.json_response({"code": "ERR017", "message": "no"}, status=403)
        return await kill(request)

    server.fault = fault
    with pytest.raises(loader.LoaderError) as failed:
        sweep(connection, file, watch)
    left_nothing_but_logins(server)
    assert any("that the run left open could not be deleted" in note for note in watch.notes)
    assert [run.error.kind for run in failed.value.result.runs[1:]] == ["died", "blocked"]


def test_a_publish_that_fails_is_told_beneath_the_table(command, server, file):
    async def fail(request):
        second = len(server.called("POST", "/publish")) == 2
        if request.path.endswith("/publishStatus") and second:
            return web.json_response({"uploadSessionId": "x", "status": 3, "message": "too large"})
        return None

    server.fault = fail
    found = command(*small(file, server)).succeeded()
    left_nothing(server)
    table, _, recommended = found.out.partition("recommended (*): ")
    (line,) = [line for line in table.splitlines() if line.startswith("failed: ")]
    assert line.startswith("failed: columns in chunks of 100 kB, ")
    assert "too large" in line
    assert "Settings that failed were not compared: columns in chunks of 100 kB" in recommended


# -- servers that go away --------------------------------------------------------------------------


def test_a_server_that_dies_ends_it_with_what_was_measured(file, monkeypatch):
    monkeypatch.setattr(sweeping, "PATIENCE", RetryBudget(retries=3, deadline=1.0))
    monkeypatch.setattr(scratch, "_PAUSES", (0.0,))

    def kill(beat):
        troubles.append(beat.trouble)
        if len(watch.begun) == 3 and beat.phase == "loading":
            server.kill()

    troubles = []
    watch = Watch()
    watch.beat = kill
    with EmulatorProcess("--latency", "0.3", env={"MSTR_EMULATOR_PASSWORD": PASSWORD}) as server:
        connection = loader.Connection(
            server.url, username=USER, password=PASSWORD, project=PROJECT
        )
        with pytest.raises(Unreachable) as failed:
            sweep(connection, file, watch, repeat=3)
        error = failed.value
    assert "the sweep ends here, since the server does not answer any more" in error.message
    assert "may still be on the server" in error.message
    assert error.details["dataset"] in error.message
    # It was a server that answered: neither its scheme nor a proxy is to blame.
    assert "https" not in error.hint
    assert "server" in error.hint
    assert f"delete the dataset {error.details['dataset']!r} by hand" in error.hint
    assert ".." not in error.message
    assert any("nothing listens" in trouble for trouble in troubles if trouble)
    warm_up, good, bad = error.result.runs
    assert (warm_up.error, good.error, bad.error.kind) == (None, None, "unreachable")
    assert error.result.recommendation.setting == good.setting
    assert "The sweep was cut short after 1 run:" in error.result.recommendation.reason


def test_connections_that_one_setting_loses_end_nothing(connection, server, file):
    async def cut(request):
        if request.method == "PUT" and len(watch.begun) == 2:
            request.transport.abort()

    watch = Watch()
    server.fault = cut
    found = sweep(connection, file, watch)
    left_nothing(server)
    assert [run.error and run.error.kind for run in found.runs] == [None, "unreachable", None]
    assert found.recommendation is not None


def test_trouble_is_told_at_once_and_where_it_lasts_again(capsys):
    now = [0.0]
    printer = BenchPrinter(lambda: now[0])
    printer.begins(Setting("column", 100 * KB, 2), number=0, left=None)
    for now[0], trouble in (
        (1, None),
        (2, "nothing listens"),
        (3, "nothing listens"),
        (18, "gone"),
    ):
        printer.beat(Beat("loading", 0, None, 0, trouble))
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("loading, 2 s, still trying: nothing listens")
    assert second.endswith("loading, 18 s, still trying: gone")


@pytest.mark.parametrize(
    ("repeats", "said"),
    [
        (
            [0, 1, 2],
            "failed: columns in chunks of 100 MB, 4 PUTs at once, 2 of 2 runs: no more PUTs",
        ),
        ([0], "failed: columns in chunks of 100 MB, 4 PUTs at once, the warm-up: no more PUTs"),
    ],
)
def test_a_warm_up_is_none_of_the_runs_that_are_counted(repeats, said):
    lines = list(_failed(Records(ENVIRONMENT, tuple(failed(repeat=one) for one in repeats))))
    assert said in lines


def test_runs_that_failed_are_counted_without_the_warm_up():
    warm_up, good, bad = run(repeat=0), run(repeat=1), failed(repeat=2)
    (line,) = _failed(Records(ENVIRONMENT, (warm_up, good, bad)))
    assert "1 of 2 runs: no more PUTs" in line


# -- ends before the end ---------------------------------------------------------------------------


def test_a_stop_recommends_by_what_there_is(connection, server, file):
    stopper = Stopper()
    watch = Watch(lambda: len(watch.begun) == 3 and stopper.wish())
    with pytest.raises(loader.LoaderError) as stopped:
        sweep(connection, file, watch, stopper=stopper)
    left_nothing(server)
    found = stopped.value.result
    assert found.recommendation.setting == found.runs[1].setting
    assert "cut short" in found.recommendation.reason


def test_a_folder_that_does_not_exist(command, server, file):
    folder = "0" * 32
    found = command(*small(file, server, "--folder-id", folder, "--json"))
    assert found.code == 2
    assert f"no folder with the id '{folder}'" in found.error["message"]
    assert "may still be on the server" not in found.error["message"]
    assert ".." not in found.error["message"]
    # By the run, and to look for a dataset that was not made.
    assert len(server.called("GET", f"/folders/{folder}")) == 2
    left_nothing(server)


def test_a_project_that_does_not_exist(command, server, file):
    found = command(*small(file, server, "--project", "Nowhere", "--json"))
    assert found.code == 2
    assert found.error["kind"] == "unknown_project"
    left_nothing(server)


# -- files -----------------------------------------------------------------------------------------

LIMITED = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
del sys.argv[1]
runpy.run_module("loader", run_name="__main__", alter_sys=True)
"""
"""The command line on a disk that is full as soon as a file has so many bytes."""


@pytest.mark.parametrize("room", [0, 5000])
def test_a_full_disk_costs_the_file_and_not_the_result(start, server, file, tmp_path, room):
    out = tmp_path / "out.jsonl"
    process = start(
        *(room, *small(file, server, "--repeat", "4", "--out", out, "--json")),
        program=("-c", LIMITED),
    )
    found = ended(process)
    left_nothing(server)
    assert found.code == 2
    assert found.err.count(f"the records cannot be written to {out}: File too large") == 1
    assert f"cannot be written to {out}" in found.error["message"]
    assert [one["runs"] for one in found.json["settings"]] == [4, 4]
    assert found.json["recommendation"] is not None
    if room:
        # Whole lines only.
        assert out.read_bytes().endswith(b"\n")
        assert 1 <= len(read_records(out).runs) < 8
        assert found.json["records"] == str(out)
    else:
        assert not out.exists()
        assert found.json["records"] is None


@pytest.mark.parametrize("link", [False, True])
def test_records_and_report_are_two_files(command, server, file, tmp_path, link):
    out = page = tmp_path / "out.html"
    if link:
        (tmp_path / "here").symlink_to(tmp_path)
        page = tmp_path / "here" / "out.html"
    found = command(*small(file, server, "--out", out, "--report", page, "--json"))
    assert found.code == 2
    assert "--out and --report both name" in found.error["message"]
    assert server.requests == []
    assert not out.exists()
