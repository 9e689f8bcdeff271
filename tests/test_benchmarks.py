"""The benchmarks run, fail where what they measure fails, and keep each group's figures apart."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import GROUPS
from benchmarks.columns import RUNS
from benchmarks.measure import (
    Column,
    Comparison,
    Contender,
    Failed,
    Group,
    Measured,
    Sample,
    take_turns,
)
from benchmarks.report import Report
from benchmarks.running import VENDOR, require_all, run
from benchmarks.setting import TRIAL, Files, Setting

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tpch")
    tpchgen = Path(sys.executable).with_name("tpchgen-cli")
    for kind in ("parquet", "csv"):
        options = ["--scale-factor", "0.001", "--tables", "lineitem", "--quiet"]
        subprocess.run([tpchgen, kind, *options, "--output-dir", directory], check=True)
    parquet = directory / "lineitem.parquet"
    return Files(parquet, directory / "lineitem.csv", parquet, parquet)


def trial(group, files):
    options = ["--lineitem", files.lineitem, "--csv", files.csv]
    options += ["--large", files.large, "--wide", files.wide]
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", "--trial", "--only", group, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
# The other groups are more pushes, with options that the command's own tests know.
@pytest.mark.parametrize("group", ["pushes", "encoder", "cap", "growth", "tls", "startup", "lag"])
def test_a_group_runs(group, files):
    if group == "pushes" and not VENDOR.exists():
        pytest.skip("the vendor's client is not there: make vendor")
    done = trial(group, files)
    assert done.returncode == 0, done.stderr
    header, *_ = done.stdout.strip().splitlines()
    assert header.startswith("| what |")


@pytest.mark.slow
def test_a_command_that_fails_ends_the_benchmark_with_what_it_said():
    code = "import sys; print('{}'); sys.stderr.write('no such thing'); sys.exit(3)"
    with pytest.raises(Failed, match=r"(?s)ended with 3.*no such thing"):
        run([sys.executable, "-c", code])


@pytest.mark.slow
def test_the_peak_of_a_process_is_its_own():
    held = bytearray(300_000_000)
    held[::4096] = b"x" * len(held[::4096])  # now it is really there
    done = run([sys.executable, "-c", "print(1)"])
    assert done.result == 1
    assert 1_000_000 < done.peak < 100_000_000


RESULT = {"status": "published", "rows": 10, "retries": 0}


@pytest.mark.parametrize(
    "change", [{"status": "failed"}, {"status": "uploaded"}, {"rows": 9}, {"retries": 1}]
)
def test_only_whole_loads_have_figures(change):
    require_all(RESULT, 10)
    with pytest.raises(Failed):
        require_all(RESULT | change, 10)


def group_of(name, log):
    @contextlib.contextmanager
    def contenders(_setting):
        yield [
            Contender(which, lambda which=which: log.append(which) or Sample(1.0, rows=10))
            for which in ("a", "b")
        ]

    return Group(
        name=name,
        needs=(),
        contenders=contenders,
        columns=(RUNS, Column("sum", lambda one, _: str(sum(s.seconds for s in one.samples)))),
        comparisons=(
            Comparison(f"{name}: a", lambda results: results["a"].seconds, 2, 1, at_most=True),
        ),
    )


def setting(tmp_path, files=None, *, trial=False):
    nothing = Files(tmp_path, tmp_path, tmp_path, tmp_path)
    return Setting(files or nothing, TRIAL, tmp_path, trial=trial)


def test_contenders_take_turns_and_the_warm_up_does_not_count(tmp_path):
    log = []
    measured = take_turns(group_of("g", log), setting(tmp_path), 2, lambda _: None)
    assert log == ["a", "b"] * 3
    assert [(one.name, len(one.samples)) for one in measured] == [("a", 2), ("b", 2)]


def test_a_trial_has_no_warm_up(tmp_path):
    log = []
    take_turns(group_of("g", log), setting(tmp_path, trial=True), 1, lambda _: None)
    assert log == ["a", "b"]


NOW = {"machine": "a machine", "loader": "1.0", "date": "2026-11-22 10:00", "load": 0.1}


def measured(seconds):
    return [Measured(name, [Sample(seconds, rows=10)]) for name in ("a", "b")]


def page(tmp_path, *names):
    places = "".join(f"<!-- {name} -->\n<!-- /{name} -->\n" for name in names)
    (tmp_path / "README.md").write_text(f"before\n{places}after\n")
    return tmp_path / "README.md"


def test_a_group_measured_again_leaves_the_others(tmp_path):
    readme = page(tmp_path, "machine", "marks", "g", "h")
    groups = [group_of("g", []), group_of("h", [])]
    Report(groups, tmp_path).keep(groups[0], measured(1.0), NOW)
    Report(groups, tmp_path).keep(groups[1], measured(3.0), NOW)
    Report(groups, tmp_path).keep(groups[0], measured(1.5), NOW)
    text = readme.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert text.count("| a | 1 | 1.5 |") == text.count("| a | 1 | 3.0 |") == 1
    assert "| a | 1 | 1.0 |" not in text
    assert "| g: a | 1.50 x | at most 2.00 x | 1.00 x |" in text
    assert "| h: a | **3.00 x** | at most 2.00 x | 1.00 x |" in text
    assert "\na machine.\n" in text
    kept = json.loads((tmp_path / "results.json").read_text())
    assert kept["g"]["contenders"][0]["samples"] == [{"seconds": 1.5, "rows": 10}]


def test_figures_of_other_machines_are_told_apart(tmp_path):
    readme = page(tmp_path, "machine", "marks", "g", "h")
    groups = [group_of("g", []), group_of("h", [])]
    report = Report(groups, tmp_path)
    report.keep(groups[0], measured(1.0), NOW)
    report.keep(groups[1], measured(1.0), NOW | {"machine": "another"})
    assert "- g: a machine\n- h: another\n" in readme.read_text()


def test_figures_of_contenders_that_are_gone_are_not_shown(tmp_path):
    readme = page(tmp_path, "machine", "marks", "g", "h")
    groups = [group_of("g", []), group_of("h", [])]
    Report(groups, tmp_path).keep(groups[0], measured(1.0)[1:], NOW)
    assert "| b |" not in readme.read_text()


def test_a_page_without_a_place_for_a_table_is_found_before_anything_is_measured(tmp_path):
    page(tmp_path, "machine", "marks")
    with pytest.raises(ValueError, match="<!-- g -->"):
        Report([group_of("g", [])], tmp_path)


def test_the_page_has_a_place_for_every_table():
    Report(list(GROUPS.values()))
