"""What a process may find around it: standard files closed or full, a terminal that goes away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.slow

LOADER = [sys.executable, "-m", "loader"]
FULL = "/dev/full"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"k": ["a", "b"], "v": [1, 2]}), path)
    return str(path)


@pytest.fixture
def environment(tmp_path):
    return {**os.environ, "MSTR_LOADER_STATE": str(tmp_path / "state")}


def shell(command: str, environment) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["bash", "-c", command],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_files_do_not_change_the_outcome(file, environment, closed):
    done = shell(f"{' '.join(LOADER)} push {file} --local --json {closed}", environment)
    assert done.returncode == 0, done.stderr
    if ">&-" not in closed.replace("2>&-", ""):
        assert json.loads(done.stdout)["status"] == "published"


@pytest.mark.skipif(not Path(FULL).exists(), reason="only Linux has a device that is full")
@pytest.mark.parametrize("full", [">/dev/full", "2>/dev/full", "2> >(true)"])
def test_nobody_who_listens_does_not_change_the_outcome(file, environment, full):
    done = shell(f"{' '.join(LOADER)} push {file} --local --json {full}", environment)
    assert done.returncode == 0, done.stderr


def test_an_error_with_a_full_stdout_has_its_exit_code(environment):
    done = shell(f"{' '.join(LOADER)} plan /no/such/file --json >/dev/full", environment)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_before_anything_was_sent_has_a_result(tmp_path, environment, number):
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    process = subprocess.Popen(
        [*LOADER, "plan", f"t={fifo}", "--format", "csv", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    # It is in the middle of reading when somebody writes to the pipe, and has not read its end.
    with fifo.open("w") as writer:
        writer.write("a,b\n")
        writer.flush()
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert json.loads(out)["status"] == "interrupted"


EARLY = """
import os, pkgutil, signal, sys

class Meddler:
    def find_spec(self, name, *_):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Meddler())
pkgutil.resolve_name(sys.argv.pop(1))()
"""
"""The command line, and a Ctrl-C while it is still being imported."""


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_a_signal_among_the_first_imports_has_a_result(environment, options):
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    entry = project["project"]["scripts"]["mstr-loader"]
    done = subprocess.run(
        [sys.executable, "-c", EARLY, entry, "plan", "none.parquet", *options],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == 130
    if options:
        assert json.loads(done.stdout)["status"] == "interrupted"
    else:
        assert done.stderr.startswith("error: stopped\n")


@pytest.mark.parametrize("part", ["?", "#"])
def test_debug_shows_no_secret_of_a_uri(environment, part):
    done = shell(
        f"{' '.join(LOADER)} plan 'http://user:s3cr3t@127.0.0.1:1/x.csv{part}sig=t0ken' --debug",
        environment,
    )
    assert done.returncode != 0
    for secret in ("s3cr3t", "t0ken"):
        assert secret not in done.stdout + done.stderr


def test_a_state_directory_that_cannot_be_made(file, environment):
    environment["MSTR_LOADER_STATE"] = f"{file}/state"
    done = shell(f"{' '.join(LOADER)} push {file} --local --json", environment)
    assert done.returncode == 2
    assert "MSTR_LOADER_STATE" in json.loads(done.stdout)["error"]["hint"]


def test_a_condition_of_too_many_tests(file, environment):
    condition = " or ".join(["v = 3"] * 13_000)
    done = subprocess.run(
        [*LOADER, "plan", file, "--where", condition],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
    )
    assert done.returncode == 2
    assert "IN (" in done.stderr


def test_a_link_to_itself_is_an_unreadable_source(tmp_path, environment):
    directory = tmp_path / "links"
    directory.mkdir()
    (directory / "self.csv").symlink_to(directory / "self.csv")
    done = shell(f"{' '.join(LOADER)} plan {directory} --json", environment)
    assert done.returncode == 3, done.stdout
