"""What ``make recommendation`` has found is kept, also where it is too little."""

from __future__ import annotations

import json
import shutil

import pytest

from benchmarks import recommendation
from benchmarks.recommendation import Found, main, parse, write
from benchmarks.setting import HERE
from loader.bench.records import Recommendation, Setting
from loader.units import MB

BEST = Setting("column", 12 * MB, 6)
ON = {"machine": "2 cores", "loader": "0.1.0, commit abc", "date": "2026-11-22 12:00", "load": 0.1}


def found(share):
    recommended = Recommendation(
        orientation="column",
        chunk_size=8 * MB,
        concurrency=4,
        rows_per_second=95.0,
        reason="It was the fastest.",
        command="",
    )
    return Found(recommended, share * 1000.0, BEST, 1000.0, 20)


@pytest.fixture
def page(tmp_path, monkeypatch):
    monkeypatch.setattr(recommendation, "HERE", tmp_path)
    return shutil.copy(HERE / "README.md", tmp_path / "README.md")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "lineitem.parquet"
    path.touch()
    return path


@pytest.mark.parametrize(("share", "shown"), [(0.97, "| 97.0% |"), (0.8, "| **80.0%** |")])
def test_the_page_and_the_file_have_the_figures(page, file, share, shown):
    write(found(share), "--latency 0.2", parse([str(file)]), ON)
    text = page.read_text("utf-8")
    place = text.partition("<!-- recommendation -->")[2].partition("<!-- /recommendation -->")[0]
    assert shown in place
    assert "best of 20 settings" in place
    assert "500,000 rows; server: `--latency 0.2`. 2 cores. 2026-11-22 12:00" in place
    kept = json.loads((page.parent / "recommendation.json").read_text("utf-8"))
    assert kept["share"] == pytest.approx(share)
    assert kept["rows"] == 500_000


@pytest.mark.parametrize("share", [0.9, 0.899])
def test_it_fails_below_its_mark(page, file, monkeypatch, capsys, share):
    monkeypatch.setenv("MSTR_LOADER_STATE", "put back after this test")
    monkeypatch.setattr(recommendation, "measure", lambda *_: found(share))
    before = page.read_text("utf-8")
    assert main([str(file), "--", "--ingest", "sink"]) == (share < 0.9)
    assert capsys.readouterr().out.endswith(f"of 1,000 rows/s: {share:.1%}\n")
    assert page.read_text("utf-8") == before


def test_the_finer_grid_is_another_one():
    given = parse([str(HERE / "README.md")])
    assert not set(given.fine_sizes.split(",")) & set(given.coarse_sizes.split(","))
    assert not set(given.fine_puts.split(",")) & set(given.coarse_puts.split(","))
