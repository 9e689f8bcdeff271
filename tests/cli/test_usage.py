"""Command lines that cannot work: exit 2, a message and a hint, as JSON where asked for."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loader import __version__
from loader.encode import native_available
from tests.cli.harness import connection

COMMANDS = ("push", "plan", "emulator")


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"k": ["a"], "v": [1]}), path)
    return path


BAD = [
    ["--chunk-size", "many"],
    ["--chunk-size", "0"],
    ["--chunk-size", ""],
    ["--chunk-size", "-5MB"],
    ["--memory", "50"],
    ["--memory", "lots"],
    ["--memory", ""],
    ["--concurrency", "0"],
    ["--concurrency", "some"],
    ["--concurrency", "-1"],
    ["--window", "0"],
    ["--window", "x"],
    ["--window", "4", "--ordering", "strict"],
    ["--ordering", "random"],
    ["--orientation", "diagonal"],
    ["--policy", "merge"],
    ["--policy", "t=merge"],
    ["--policy", "absent=add"],
    ["--policy", "add", "--policy", "update"],
    ["--policy", "t=add", "--policy", "t=update"],
    ["--type", "v"],
    ["--type", "v=NUMBER"],
    ["--type", "absent=STRING"],
    ["--type", "v=DOUBLE", "--type", "v=STRING"],
    ["--attribute", "absent"],
    ["--metric", "k", "--attribute", "k"],
    ["--format", "orc"],
    ["--csv-types", "guess"],
    ["--no-such-option"],
    ["--dataset", ""],
]

PUSH_ONLY = [
    ["--max-rate", "fast"],
    ["--max-rate", "0"],
    ["--publish-timeout", "soon"],
    ["--publish-timeout", "0"],
    ["--login-mode", "magic"],
    ["--dataset", "a", "--dataset-id", "b"],
    ["--dataset-id", "b", "--overwrite"],
    ["--dataset-id", ""],
    ["--folder-id", ""],
    ["--local", "--url", "http://x"],
    ["--profile", "none-such"],
]


def joined(arguments) -> str:
    return " ".join(arguments)


@pytest.mark.parametrize("arguments", [*BAD, *PUSH_ONLY], ids=joined)
def test_push_refuses(push, server, good, arguments):
    outcome = push(good, *arguments)
    assert outcome.code == 2
    assert outcome.error["kind"] == "usage"
    assert outcome.error["hint"], outcome
    assert outcome.json["status"] == "failed"
    assert server.requests == []


@pytest.mark.parametrize("arguments", BAD, ids=joined)
def test_plan_refuses_the_same(command, good, arguments):
    outcome = command("plan", good, *arguments, "--json")
    assert outcome.code == 2
    assert outcome.error["kind"] == "usage"
    assert outcome.error["hint"], outcome


@pytest.mark.parametrize("arguments", [["push"], ["plan"], ["no-such-command"]], ids=joined)
def test_incomplete_command_lines(command, arguments):
    outcome = command(*arguments, "--json")
    assert outcome.code == 2
    assert outcome.error["kind"] == "usage"
    assert "--help" in outcome.error["hint"]


def test_without_json_an_error_is_a_message_and_a_hint_on_stderr(command, good):
    outcome = command("push", good, "--chunk-size", "many")
    assert outcome.code == 2
    assert outcome.out == ""
    message, hint = outcome.err.splitlines()
    assert message == "error: --chunk-size: 'many' is not a size"
    assert hint == "hint: write it as 100MB, 1GB or 64MiB"


def test_no_server_and_no_user(command, good):
    outcome = command("push", good, "--json")
    assert (outcome.code, "--local" in outcome.error["hint"]) == (2, True)
    outcome = command("push", good, "--url", "http://x", "--json")
    assert (outcome.code, "--username" in outcome.error["hint"]) == (2, True)


def test_memory_too_small_says_what_would_do(command, good):
    outcome = command("plan", good, "--memory", "300MB", "--json")
    assert outcome.code == 2
    hint = outcome.error["hint"]
    assert "--memory" in hint
    (wanted,) = [word for word in hint.replace(",", "").split() if word.endswith("MB")][:1]
    assert command("plan", good, "--memory", wanted).code == 0


def test_the_smaller_chunk_size_that_is_suggested_works(command, good):
    outcome = command("plan", good, "--memory", "480MB", "--json")
    assert outcome.code == 2
    assert "--chunk-size to " in outcome.error["hint"]
    size = outcome.error["hint"].rpartition("--chunk-size to ")[2]
    command("plan", good, "--memory", "480MB", "--chunk-size", size, "--json").succeeded()


def test_version(command):
    outcome = command("--version").succeeded()
    compiled = "compiled encoder" if native_available() else "no compiled encoder"
    assert outcome.out == f"mstr-loader {__version__} ({compiled})\n"


def test_a_missing_compiled_encoder_is_said_once(command, server, good, monkeypatch):
    monkeypatch.setattr("loader.job.load.native_missing", lambda: "no compiler")
    outcome = command("push", good, *connection(server)).succeeded()
    assert outcome.err.count("no compiler") == 1
    monkeypatch.setattr("loader.cli.plan_printer.native_missing", lambda: "no compiler")
    assert "encoder: no compiler\n" in command("plan", good).succeeded().out


def test_help_lists_the_commands(command):
    for flag in ("--help", "-h"):
        text = command(flag).succeeded().out
        assert all(name in text for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_each_command(command, name):
    text = command(name, "--help").succeeded().out
    options = {
        "push": ["--url", "--policy", "--chunk-size", "--local", "--json", "MSTR_PASSWORD"],
        "plan": ["--chunk-size", "--memory", "--json"],
        "emulator": ["--data", "--ingest", "--latency", "--order"],
    }[name]
    assert all(option in text for option in options)
    # Help that was cut off is no help.
    assert "…" not in text


def test_no_arguments_show_the_help(command):
    outcome = command()
    assert "Usage" in outcome.out + outcome.err
    assert outcome.code in {0, 2}
