"""Whole sweeps into a real server: what is measured, and that nothing is left there."""

from __future__ import annotations

import json
import os
import shlex
import signal

import pyarrow as pa
import pytest
from aiohttp import web

import loader
from loader.bench import Stopper, read_records
from loader.bench.records import Setting
from loader.errors import SourceError, UsageError
from tests.bench.conftest import ROWS
from tests.bench.sweeps import (
    KB,
    Watch,
    left_nothing,
    left_nothing_but_logins,
    runs_under_way,
    small,
    target,
)
from tests.cli.harness import PASSWORD, PROJECT, USER
from tests.cli.processes import ended, until

pytestmark = pytest.mark.slow

# -- what is measured ------------------------------------------------------------------------------


def test_a_sweep_measures_every_setting_and_leaves_nothing(command, server, file, tmp_path):
    out = tmp_path / "out.jsonl"
    found = command(
        *("bench", file, *target(server), "--chunk-size", "50kB,100kB", "--concurrency", "1,2"),
        *("--repeat", "2", "--seed", "7", "--orientation", "column", "--out", out, "--json"),
    ).succeeded()
    left_nothing(server)
    assert command("jobs", "--json").json == {"jobs": []}
    records = read_records(out)
    warm_up, *runs = records.runs
    assert warm_up.warm_up
    assert warm_up.number == 0
    assert [run.number for run in runs] == list(range(1, 9))
    assert [run.repeat for run in runs] == [1] * 4 + [2] * 4
    for run in records.runs:
        assert run.error is None
        assert run.rows == ROWS
        assert run.chunks == len(run.timeline) > 3
        assert run.rows_per_second == pytest.approx(ROWS / run.upload_seconds)
        assert run.json_rate == pytest.approx(run.json_bytes / run.upload_seconds)
        # Four letters for three bytes, and the envelope.
        assert run.wire_bytes > run.json_bytes * 4 / 3
        assert run.upload_seconds == pytest.approx(run.stages["seconds"])
        assert 0 < run.put_p50 <= run.put_p95 <= run.put_p99
        assert run.publish_seconds > 0
        assert run.cpu_seconds > 0.1
        assert 50 * 10**6 < run.peak_memory < 10**9
    assert len({run.setting for run in runs}) == 4
    assert server.most_puts == 2
    result = found.json
    assert result["error"] is None
    assert result["records"] == str(out)
    assert len(result["settings"]) == 4
    assert {one["runs"] for one in result["settings"]} == {2}
    assert result["recommendation"]["chunk_size"] in {50 * KB, 100 * KB}
    environment = records.environment
    assert environment.server == server.url
    assert environment.server_version
    assert 0 < environment.round_trip < 10
    assert environment.settings["seed"] == 7
    assert [(one.name, one.rows, one.columns) for one in environment.tables] == [("t", ROWS, 2)]
    assert PASSWORD not in out.read_text()


def test_the_recommended_command_loads(command, server, file):
    found = command(*small(file, server, "--limit", "1000", "--type", "v=DOUBLE")).succeeded()
    table, _, told = found.out.partition("recommended (*): ")
    assert "ROWS/S" in table
    line = next(line for line in told.splitlines() if line.startswith("mstr-loader push"))
    words = shlex.split(line)
    assert words[-6:-2] == ["--orientation", "column", "--chunk-size", "100kB"]
    assert "--limit" not in words
    assert words[words.index("--type") :][:2] == ["--type", "v=DOUBLE"]
    command(*words[1:], "--json").succeeded()
    assert list(server.datasets) == ["t"]


def test_records_and_report_go_where_they_are_told(command, server, file, tmp_path):
    page = tmp_path / "sweep.html"
    found = command(*small(file, server, "--report", page)).succeeded()
    assert page.read_bytes().startswith(b"<!DOCTYPE html>")
    assert f"report: {page}" in found.out
    # Without --out the records are kept all the same.
    (line,) = [line for line in found.out.splitlines() if line.startswith("records: ")]
    again = line.removeprefix("records: ")
    same = command("bench", "compare", again, again).succeeded()
    assert "overall: too few settings in common to say" in same.out


def test_progress_goes_to_stderr_and_json_is_alone_on_stdout(command, server, file):
    found = command(*small(file, server, "--json"))
    assert found.json["error"] is None
    assert "warm-up: columns in chunks of 100 kB" in found.err
    assert "run 2 of 2: " in found.err
    assert "rows/s" in found.err


def test_what_memory_does_not_hold_is_left_out_and_said(command, server, file):
    found = command(
        *("bench", file, *target(server), "--orientation", "column", "--chunk-size", "100kB,1GB"),
        *("--concurrency", "1", "--repeat", "1", "--json"),
    ).succeeded()
    (skipped,) = found.json["skipped"]
    assert skipped["chunk_size"] == 10**9
    assert "--memory 1 GB is too small" in skipped["reason"]
    assert "left out: columns in chunks of 1 GB" in found.err


def test_settings_that_send_the_same_are_one(command, server, file):
    found = command(
        *("bench", file, *target(server), "--orientation", "column", "--repeat", "1", "--json")
    ).succeeded()
    assert len(found.json["settings"]) == 1
    assert len(found.json["skipped"]) == 15


def test_a_local_server(command, file):
    found = command(
        *("bench", file, "--local", "--orientation", "row", "--repeat", "1", "--json")
    ).succeeded()
    assert found.json["settings"][0]["orientation"] == "row"


def test_the_python_api(connection, server, file):
    watch = Watch()
    found = loader.sweep(
        {"sales": str(file)},
        connection=connection,
        orientations=["row"],
        chunk_sizes=[100 * KB],
        concurrencies=[2],
        repeat=2,
        seed=1,
        watcher=watch,
        limit=5000,
    )
    left_nothing(server)
    assert [run.rows for run in found.counted] == [5000, 5000]
    assert found.environment.sources == (f"sales={file}",)
    assert found.recommendation.setting == Setting("row", 100 * KB, 2)
    assert "--url" in found.recommendation.command
    assert [left for _, _, left in watch.begun] == [None, 1, 0]
    assert [run.number for run in watch.runs] == [0, 1, 2]
    assert watch.beats


# -- what goes wrong -------------------------------------------------------------------------------


def test_a_setting_that_the_server_refuses_is_told_and_the_others_go_on(command, serve, file):
    # Slow enough that two PUTs at once do meet.
    server = serve(parallel=False, latency=0.1)
    found = command(*small(file, server, "--repeat", "2", "--json")).succeeded()
    left_nothing(server)
    assert [one["concurrency"] for one in found.json["settings"]] == [1]
    assert found.json["recommendation"]["concurrency"] == 1
    assert {one["concurrency"] for one in found.json["failed"]} == {2}
    (skipped,) = found.json["skipped"]
    assert skipped["reason"].startswith("it failed before: ")


def test_credentials_that_are_refused_end_it_at_once(command, server, file, monkeypatch):
    monkeypatch.setenv("MSTR_PASSWORD", "wr0ng")
    found = command(*small(file, server, "--json"))
    assert found.code == 4
    assert found.json["error"]["kind"] == "login"
    assert found.json["records"] is None
    assert server.called("POST", "/models") == []


def test_a_source_that_cannot_be_loaded_ends_it_at_once(command, server, tmp_path):
    found = command(*small(tmp_path / "none.parquet", server, "--json"))
    assert found.code == 3
    assert server.requests == []


def test_a_source_that_can_be_read_only_once(connection, server):
    reader = pa.table({"v": [1, 2]}).to_reader()
    with pytest.raises(UsageError, match="can be read only once"):
        loader.sweep(reader, connection=connection)
    assert server.requests == []


@pytest.mark.parametrize("name", ["-", "t=-"])
def test_standard_input_can_be_read_only_once(command, server, name):
    found = command(*small(name, server, "--format", "parquet", "--json"))
    assert found.code == 2
    assert "standard input can be read only once" in found.json["error"]["message"]
    assert server.requests == []


def test_a_source_that_goes_away_ends_it(connection, server, file):
    watch = Watch(file.unlink)
    with pytest.raises(SourceError) as failed:
        loader.sweep(str(file), connection=connection, watcher=watch)
    assert str(file) in failed.value.message
    left_nothing(server)


def test_a_table_in_memory_is_handed_to_each_run(connection, server):
    found = loader.sweep(
        pa.table({"v": list(range(1000))}), connection=connection, orientations=["row"], repeat=1
    )
    left_nothing(server)
    assert [run.rows for run in found.runs] == [1000, 1000]
    assert found.environment.sources == ("<arrow>",)


def test_records_are_not_overwritten(command, server, file, tmp_path):
    out = tmp_path / "out.jsonl"
    out.write_text("precious")
    found = command(*small(file, server, "--out", out, "--json"))
    assert found.code == 2
    assert "exists already" in found.error["message"]
    assert out.read_text() == "precious"
    left_nothing(server)


@pytest.mark.parametrize(
    "options",
    [
        ("--orientation", "diagonal"),
        ("--chunk-size", "large"),
        ("--chunk-size", ""),
        ("--concurrency", "0"),
        ("--concurrency", "auto"),
        ("--repeat", "0"),
        ("--time-budget", "0"),
        ("--ordering", "random"),
    ],
)
def test_options_that_mean_nothing(command, server, file, options):
    found = command(*small(file, server, "--json", *options))
    assert found.code == 2, found
    assert server.requests == []


def test_options_that_a_sweep_decides_itself(connection, file):
    with pytest.raises(UsageError, match="--dataset is decided by the sweep"):
        loader.sweep(str(file), connection=connection, dataset="Sales")


def test_a_dataset_that_cannot_be_deleted_is_named_loudly(command, serve, file):
    async def keep(request):
        if request.method == "DELETE" and "/objects/" in request.path:
            return web.json_response({"code": "ERR017", "message": "no"}, status=403)
        return None

    server = serve(fault=keep)
    found = command(*small(file, server))
    assert found.code == 4
    ((name, dataset_id),) = server.datasets.items()
    assert name.startswith("mstr-loader bench 20")
    assert name in found.err
    assert dataset_id in found.err
    # What was measured is shown all the same.
    assert "recommended (*)" in found.out


def test_a_run_whose_process_is_killed_is_one_failed_run(connection, server, file):
    def kill(_beat):
        if len(watch.begun) == 2:
            for pid in runs_under_way():
                os.kill(pid, signal.SIGKILL)

    watch = Watch()
    watch.beat = kill
    found = loader.sweep(
        str(file),
        connection=connection,
        orientations=["column"],
        chunk_sizes=[100 * KB],
        concurrencies=[1, 2],
        repeat=1,
        watcher=watch,
    )
    left_nothing_but_logins(server)
    died, good = found.runs[1:]
    assert died.error.kind == "died"
    assert "-9" in died.error.message
    assert good.error is None


# -- the time budget -------------------------------------------------------------------------------


def test_a_budget_leaves_out_whole_repetitions(connection, server, file):
    now = [0.0]

    def ten_seconds_pass():
        now[0] += 10

    watch = Watch(ten_seconds_pass)
    found = loader.sweep(
        str(file),
        connection=connection,
        orientations=["column"],
        chunk_sizes=[100 * KB],
        concurrencies=[1, 2],
        repeat=3,
        time_budget=45,
        watcher=watch,
        clock=lambda: now[0],
    )
    left_nothing(server)
    assert [run.repeat for run in found.counted] == [1, 1]
    assert {one.repeat for one in found.skipped} == {2, 3}
    assert "a whole repetition takes about 0:20, and 0:15" in found.skipped[0].reason
    assert any("in repetition 2: a whole repetition" in note for note in watch.notes)
    assert found.recommendation is not None


def test_a_budget_ends_a_run_that_takes_far_longer_than_expected(serve, file):
    now = [0.0]

    async def wait(request):
        if request.method == "PUT" and len(watch.begun) > 1:
            now[0] = 1000.0

    # The run is still among its PUTs when the clock is looked at again.
    server = serve(fault=wait, latency=0.3)
    watch = Watch()
    with pytest.raises(UsageError, match="before anything was measured") as failed:
        loader.sweep(
            str(file),
            connection=loader.Connection(
                server.url, username=USER, password=PASSWORD, project=PROJECT
            ),
            orientations=["column"],
            chunk_sizes=[100 * KB],
            concurrencies=[2],
            repeat=1,
            time_budget=100,
            watcher=watch,
            clock=lambda: now[0],
        )
    left_nothing(server)
    (skipped,) = failed.value.result.skipped
    assert "the time budget was used up" in skipped.reason


def test_a_budget_that_ends_in_the_warm_up(connection, server, file):
    with pytest.raises(UsageError, match="longer than the whole time budget"):
        loader.sweep(str(file), connection=connection, time_budget=0.001)
    left_nothing(server)


# -- stopping --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_the_dataset_is_gone(start, serve, file, tmp_path, number):
    server = serve(latency=0.3)
    out = tmp_path / "out.jsonl"
    process = start(*small(file, server, "--out", out, "--json"))
    # The warm-up has ended, and a run is in the middle of its upload.
    until(lambda: out.exists() and b'"run"' in out.read_bytes() and server.sessions, process)
    process.send_signal(number)
    found = ended(process)
    assert found.code == 130
    assert found.json["error"]["kind"] == "interrupted"
    assert "stopping, and deleting the scratch dataset" in found.err
    left_nothing(server)
    assert len(read_records(out).runs) == 1
    assert found.json["recommendation"] is None


def test_a_second_signal_waits_no_more_but_still_takes_the_dataset_away(start, serve, file):
    server = serve(latency=2.0)
    process = start(*small(file, server, "--json"))
    until(lambda: server.sessions and server.most_puts, process)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    found = ended(process)
    assert found.code == 130
    left_nothing_but_logins(server)
    assert found.err.count("again to wait no more") == 1
    assert "waiting no more" in found.err
    # It was in its first run.
    assert found.error["message"] == "stopped in the warm-up: nothing was measured yet"
    assert found.error["hint"] is None


def test_the_run_of_a_killed_sweep_takes_the_dataset_away(start, serve, file):
    server = serve(latency=0.3)
    process = start(*small(file, server, "--json"))
    until(lambda: server.sessions and server.most_puts, process)
    process.kill()
    ended(process)
    until(lambda: server.datasets == {} and server.sessions == 0)


@pytest.mark.parametrize(
    ("begun", "said"),
    [
        (2, "stopped in run 1: nothing was measured yet"),
        (3, "stopped in run 2; what was measured until then is kept"),
    ],
)
def test_a_stop_between_runs(connection, server, file, begun, said):
    stopper = Stopper()
    watch = Watch(lambda: len(watch.begun) == begun and stopper.wish())
    with pytest.raises(loader.LoaderError) as stopped:
        loader.sweep(
            str(file),
            connection=connection,
            orientations=["column"],
            chunk_sizes=[100 * KB],
            concurrencies=[1, 2],
            watcher=watch,
            stopper=stopper,
        )
    assert stopped.value.kind == "interrupted"
    assert stopped.value.message == said
    assert len(stopped.value.result.runs) == begun - 1
    left_nothing(server)


# -- comparing -------------------------------------------------------------------------------------


def test_compare_prints_one_object(command, server, file, tmp_path):
    paths = [tmp_path / name for name in ("a.jsonl", "b.jsonl")]
    for path in paths:
        command(*small(file, server, "--repeat", "2", "--out", path)).succeeded()
    found = command("bench", "compare", *paths, "--json").succeeded()
    assert [one["runs_a"] for one in found.json["settings"]] == [2, 2]
    # How busy this host is shows in small calls too.
    assert {one["what"] for one in found.json["differences"]} <= {"round trip"}
    text = command("bench", "compare", *paths).succeeded().out
    assert "overall: " in text


def test_compare_says_what_is_wrong(command, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"no": "records"}) + "\n")
    found = command("bench", "compare", path, path, "--json")
    assert found.code == 2
    assert "line 1 is no record" in found.error["message"]


@pytest.mark.parametrize("words", [("--help",), ("compare", "--help")])
def test_help(command, words):
    assert "compare" in command("bench", *words).succeeded().out
