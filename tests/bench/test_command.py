"""The command line of bench: one object for each command, and messages of its own."""

from __future__ import annotations

import os
import shlex

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loader.bench import comparison
from loader.bench.records import to_line
from loader.bench.sources import as_argument, read_once
from tests.bench.made import ENVIRONMENT, run
from tests.cli.harness import PROJECT, USER

SWEEP = {
    *("environment", "settings", "failed", "skipped", "recommendation"),
    *("records", "report", "warnings", "error"),
}
COMPARISON = {
    *("same_sweep", "differences", "overall", "settings", "only_a", "only_b", "error"),
}


@pytest.fixture
def bench(command, server):
    """Runs ``bench --json`` against the server."""
    target = ("--url", server.url, "--username", USER, "--project", PROJECT)
    return lambda *words: command("bench", *target, "--json", *words)


@pytest.fixture
def records(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(to_line(ENVIRONMENT) + to_line(run()) + to_line(run(repeat=2)))
    return path


# -- one object a command --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        ["--no-such-option"],
        ["--chunk-size", "many"],
        ["--orientation", "diagonal"],
        ["--repeat", "x"],
        ["--profile", "nope"],
        ["--report", "/dev/null/r.html"],
        ["--out", "/dev/null/r.jsonl"],
        ["--local"],
    ],
    ids=" ".join,
)
def test_what_stops_a_sweep_early_prints_its_object(bench, server, file, options):
    found = bench(file, *options)
    assert found.code == 2
    assert set(found.json) == SWEEP
    assert found.error["kind"] == "usage"
    assert found.json["records"] is None
    assert server.requests == [] or "--out" in options


def test_no_source_prints_the_object_of_a_sweep(bench, tmp_path):
    assert set(bench().json) == SWEEP
    found = bench(tmp_path / "none.parquet")
    assert found.code == 3
    assert set(found.json) == SWEEP


def test_a_defect_prints_the_object_of_its_command(bench, command, file, records, monkeypatch):
    def break_down(*_, **__):
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("loader.bench.sweep", break_down)
    monkeypatch.setattr("loader.bench.compare", break_down)
    found = bench(file)
    assert (found.code, set(found.json)) == (1, SWEEP)
    assert "oops" in found.json["error"]["message"]
    found = command("bench", "compare", records, records, "--json")
    assert (found.code, set(found.json)) == (1, COMPARISON)


def test_a_comparison_has_one_object_whatever_it_came_to(command, records, tmp_path):
    other = tmp_path / "other.jsonl"
    other.write_text(to_line(ENVIRONMENT))
    for words, code in [
        ((), 2),
        ((records,), 2),
        ((records, records, "--nonsense"), 2),
        ((records, tmp_path / "none"), 2),
        ((records, other), 2),
        ((records, records), 0),
    ]:
        found = command("bench", "compare", *words, "--json")
        assert found.code == code, words
        assert set(found.json) == COMPARISON
        assert (found.json["error"] is None) == (code == 0)


def test_the_objects_are_those_of_the_commands():
    assert set(comparison.compare(*[made()] * 2).as_dict()) == COMPARISON


def made():
    return comparison.Records(ENVIRONMENT, (run(), run(repeat=2)))


# -- comparing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", ["Infinity", "1e308", "1e-320", "NaN"])
def test_records_that_nobody_measured_are_refused(command, records, tmp_path, rate):
    odd = tmp_path / "odd.jsonl"
    odd.write_text(
        records.read_text().replace('"rows_per_second": 1000.0', f'"rows_per_second": {rate}')
    )
    for words in ((records, odd), (odd, records)):
        found = command("bench", "compare", *words, "--json")
        assert found.code == 2
        assert "line 2 is no record of a sweep" in found.error["message"]


def test_deeply_nested_text_is_no_record(command, tmp_path):
    path = tmp_path / "deep.jsonl"
    path.write_text("[" * 100_000 + "\n")
    found = command("bench", "compare", path, path, "--json")
    assert found.code == 2
    assert "line 1 is no record of a sweep" in found.error["message"]


def test_a_sweep_compared_with_itself_is_pointed_out(command, records, tmp_path):
    found = command("bench", "compare", records, records).succeeded()
    assert found.out.startswith("A and B are the same sweep")
    other = tmp_path / "b.jsonl"
    other.write_text(records.read_text().replace(ENVIRONMENT.sweep, "another"))
    assert "same sweep" not in command("bench", "compare", records, other).succeeded().out


# -- messages --------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["auto", "0", "some"])
def test_puts_at_once_are_numbers(bench, file, text):
    error = bench(file, "--concurrency", f"1,{text}").error
    assert error["message"].startswith(f"--concurrency: {text!r} is not a number above 0")
    assert "auto" not in error["hint"]


@pytest.mark.parametrize("option", ["--chunk-size", "--concurrency", "--orientation"])
@pytest.mark.parametrize("text", [",", "1,,2", ",1,1", ""])
def test_what_is_empty_is_called_empty(bench, file, option, text):
    error = bench(file, option, text).error
    assert error["message"] == f"{option} {text!r}: a name is empty"


def test_what_the_intervals_cannot_know_is_said(command, records):
    found = " ".join(command("bench", "compare", records, records).succeeded().out.split())
    assert "as far as the noise of the runs goes" in found
    assert "What changed on the server or the network between the two sweeps is in no" in found
    assert "in turns (A, B, A, B)" in found
    text = " ".join(command("bench", "compare", "--help").succeeded().out.split())
    assert "in 95 of 100 comparisons, however many settings there are" in text
    assert "cannot know what changed on the server or the network" in text


def test_a_sweep_that_was_killed_before_its_first_run_is_named(command, records, tmp_path):
    torn = tmp_path / "torn.jsonl"
    torn.write_text(to_line(ENVIRONMENT) + to_line(run())[:100])
    found = command("bench", "compare", records, torn, "--json")
    assert found.code == 2
    assert found.error["message"].startswith("B has no run that counts")


def test_a_source_without_rows_is_not_told_of_options_that_there_are_not(bench, tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"v": pa.array([], pa.int64())}), path)
    found = bench(path)
    assert found.code == 3
    assert found.error["kind"] == "empty_source"
    assert found.error["hint"] == "name sources with rows"


def test_debug_says_what_it_does(command):
    text = " ".join(command("bench", "--help").succeeded().out.split())
    assert "Log every request" not in text
    assert "Show tracebacks, and log the requests before and after the runs" in text


@pytest.mark.parametrize("prefix", ["", "t="])
def test_a_pipe_is_known_as_one_and_left_alone(bench, server, tmp_path, prefix):
    path = tmp_path / "f.csv"
    os.mkfifo(path)
    found = bench(f"{prefix}{path}")
    assert found.code == 2
    assert f"the pipe {path} can be read only once" in found.error["message"]
    assert "write it to a file" in found.error["hint"]
    assert server.requests == []


@pytest.mark.parametrize("name", ["/dev/stdin", "/dev/fd/0", "t=/dev/stdin"])
def test_other_names_of_standard_input(bench, name):
    error = bench(name, "--format", "csv").error
    assert "standard input can be read only once" in error["message"]


def test_an_open_file_of_the_shell_is_a_pipe(bench):
    reader, writer = os.pipe()
    try:
        error = bench(f"/dev/fd/{reader}", "--format", "csv").error
    finally:
        os.close(reader)
        os.close(writer)
    assert "can be read only once" in error["message"]


def test_what_names_no_pipe(tmp_path, file):
    assert read_once([str(file), "t=x.csv", "s3://bucket/key", "x\0"]) is None
    assert read_once({"t": [file], "u": pa.table({})}) is None
    assert read_once({"t": "-"}) == "standard input"
    assert read_once(pa.table({})) is None


@pytest.mark.parametrize(
    ("source", "typed"),
    [("-x.parquet", "./-x.parquet"), ("-", "-"), ("x", "x"), ("t=-x", "t=-x"), ("-t=x", "-t=x")],
)
def test_a_name_that_looks_like_an_option(source, typed):
    assert as_argument(source) == typed


# -- whole sweeps ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_memory_is_enough_for_the_chunks_that_are_asked_for(bench, command, file, monkeypatch):
    """With a name that looks like an option, and fewer rows than say anything."""
    monkeypatch.chdir(file.parent)
    file.rename("-x.parquet")
    found = bench(
        *("--chunk-size", "25MB", "--concurrency", "1", "--orientation", "column"),
        *("--repeat", "1", "--memory", "550MB", "--limit", "2000", "--", "-x.parquet"),
    ).succeeded()
    best = found.json["recommendation"]
    assert "the only setting tried" in best["reason"]
    assert "single chunk, which says nothing about chunk size" in best["reason"]
    words = shlex.split(best["command"])
    assert words[:3] == ["mstr-loader", "push", "./-x.parquet"]
    command(*words[1:], "--json").succeeded()


def test_memory_that_holds_no_setting_is_told_as_a_load_tells_it(bench, command, server, file):
    options = ("--chunk-size", "100MB", "--memory", "500MB")
    found = bench(file, *options)
    assert found.code == 2
    pushed = command("push", file, "--local", *options, "--json")
    assert found.error == pushed.error
    assert server.requests == []
