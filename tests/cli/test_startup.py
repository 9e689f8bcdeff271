"""What a command imports, and what it does not: start-up is most of a small load's time."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from loader.cli.garbage import collect_as_usual
from loader.cli.main import COMMANDS, read_command
from tests.cli.harness import connection
from tests.cli.processes import ended, write

HEAVY = {
    "pyarrow",
    "numpy",
    "aiohttp",
    "duckdb",
    "orjson",
    "msgspec",
    "ruamel",
    "uvloop",
    "sqlite3",
}
ROOMS = {"loader.api", "loader.encode", "loader.job", "loader.model", "loader.sources"}

# What a Parquet file without a condition, a mapping and partitions has no use for.
OTHER_WORK = {
    *("duckdb", "fsspec", "ruamel", "rich", "keyring", "loader.emulator", "loader.bench"),
    *("pyarrow.csv", "pyarrow.dataset"),
    *("loader.cli.emulator", "loader.cli.jobs", "loader.cli.plan", "loader.cli.resume"),
    *("loader.job.preview", "loader.job.resuming", "loader.model.mapping_file"),
    *("loader.sources.csv_files", "loader.sources.csv_types", "loader.sources.hive"),
    *("loader.sources.ipc", "loader.sources.where"),
}


def imported(*arguments: object) -> set[str]:
    """Runs the command line in a process of its own; returns all that this imported."""
    command = [sys.executable, "-X", "importtime", "-m", "loader", *map(str, arguments)]
    run = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    lines = [line for line in run.stderr.splitlines() if line.startswith("import time:")]
    found = {line.rpartition("|")[2].strip() for line in lines}
    assert "loader.cli.main" in found
    return found


def test_version_imports_no_room_and_nothing_heavy():
    assert not imported("--version") & (HEAVY | ROOMS | {"rich", "pydantic", "asyncio"})


@pytest.mark.parametrize("arguments", [["--help"], ["push", "--help"], ["jobs", "--help"]])
def test_help_imports_no_room_and_nothing_heavy(arguments):
    assert not imported(*arguments) & (HEAVY | ROOMS)


def test_the_list_of_commands_imports_none_of_them():
    assert not imported("--help") & {f"loader.cli.{name}" for name in COMMANDS}


@pytest.mark.slow
def test_a_push_of_parquet_imports_only_what_that_needs(server, tmp_path):
    file = write(tmp_path / "t.parquet", 100)
    found = imported("push", file, *connection(server))
    assert not found & OTHER_WORK
    assert "loader.sources.parquet" in found


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_each_command_says_of_itself(name):
    said = read_command(name).help.partition("\n\n")[0]
    assert " ".join(said.split()) == COMMANDS[name]


def test_a_wrong_name_of_a_command_is_put_right(command):
    assert "'push'" in command("pusch", "--json").error["message"]


# -- garbage ---------------------------------------------------------------------------------------

WATCHED = """
import atexit, gc, sys
atexit.register(lambda: print("registered before", gc.get_threshold()[0] < 10_000, flush=True))
from loader.cli.main import main
atexit.register(lambda: print("registered after", gc.get_freeze_count() > 10_000, flush=True))
main()
"""


@pytest.mark.slow
def test_a_plan_collects_garbage_and_leaves_out_what_imports_made(start, tmp_path):
    file = write(tmp_path / "t.parquet", 100)
    outcome = ended(start("plan", file, program=("-c", WATCHED)))
    assert outcome.code == 0, outcome
    # What others have registered for the end is called, whenever they did it.
    assert outcome.out.splitlines()[-2:] == ["registered after True", "registered before True"]


COUNTED = """
import atexit, gc
looks = []
gc.callbacks.append(lambda phase, _: looks.append(gc.get_threshold()[0]))
from loader.cli.main import main
atexit.register(lambda: print("seldom", sum(one > 10_000 for one in looks), flush=True))
main()
"""


@pytest.mark.slow
def test_no_garbage_is_looked_for_before_the_work_begins(start, server, tmp_path):
    file = write(tmp_path / "t.parquet", 100)
    outcome = ended(start("push", file, *connection(server), program=("-c", COUNTED)))
    assert outcome.code == 0, outcome
    assert outcome.out.splitlines()[-1] == "seldom 0"


def test_in_a_process_of_others_nothing_is_changed(command):
    frozen, threshold = gc.get_freeze_count(), gc.get_threshold()
    command("--version").succeeded()
    collect_as_usual()
    assert (gc.get_freeze_count(), gc.get_threshold()) == (frozen, threshold)
