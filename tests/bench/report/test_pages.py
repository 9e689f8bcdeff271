"""The pages as files: well-formed, closed to the network, honest about failures, written whole."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
import stat
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from loader.bench.records import Records, Setting, Skipped, SourceTable
from loader.bench.report import check_report, write_load_report, write_report
from loader.bench.report.load import load_page
from loader.bench.report.page import render
from loader.bench.report.sweep import sweep_page
from loader.bench.report.words import duration, figure_text, host_of, rows_rate, value
from loader.cli.values import parse_size
from loader.errors import Unreachable, UsageError
from loader.job import Result, Status
from loader.units import MB, exact_size
from tests.bench.report import samples
from tests.bench.report.pages import shown

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Outline(HTMLParser):
    """Elements that close as they were opened, their ids, and the scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.labels: list[str] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.addresses: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        assert len(given) == len(attrs)
        self.ids += [given["id"]] if "id" in given else []
        self.labels += [given[name] for name in ("for", "aria-labelledby") if name in given]
        self.addresses += [given[name] for name in ("href", "src") if name in given]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append((given, ""))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            given, before = self.scripts[-1]
            self.scripts[-1] = (given, before + data)


@pytest.fixture(scope="module", params=["sweep", "load", "failed"])
def text(request) -> str:
    pages = {
        "sweep": lambda: sweep_page(samples.sweep()),
        "load": lambda: load_page(samples.load_result(), samples.facts()),
        "failed": lambda: load_page(Result(error=UsageError("no", hint="yes")), samples.facts()),
    }
    return render(pages[request.param]())


def test_a_page_is_well_formed(text):
    assert text.startswith("<!DOCTYPE html>\n<html lang=")
    outline = Outline(text)
    assert len(outline.ids) == len(set(outline.ids))
    assert set(outline.labels) <= set(outline.ids)
    assert all(one.startswith(("data:", "#")) for one in outline.addresses)
    assert text.count("plotly.js v") == 1


def test_only_the_scripts_of_the_page_may_run_and_nothing_is_fetched(text):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1].replace("&#39;", "'")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == rules["connect-src"] == "'none'"
    assert rules["form-action"] == rules["base-uri"] == "'none'"
    scripts = [body for given, body in Outline(text).scripts if "type" not in given]
    digests = [
        base64.b64encode(hashlib.sha256(body.encode()).digest()).decode() for body in scripts
    ]
    assert rules["script-src"].split() == [f"'sha256-{digest}'" for digest in digests]
    for given, body in Outline(text).scripts:
        if "type" in given:
            assert set(json.loads(body)) == {"data", "layout"}


def words(page) -> str:
    return repr(page)


def test_a_sweep_says_what_was_measured_and_what_to_do():
    page = sweep_page(samples.sweep())
    assert page.title == "lineitem into strategy.example.com"
    assert "87 runs of 29 settings" in page.summary
    assert page.recommended.command.startswith("mstr-loader push")
    assert page.recommended.settings[:3] == (
        ("Orientation", "column"),
        ("Chunk size", "50 MB"),
        ("PUTs at once", "4"),
    )
    assert [tile.figure for tile in page.tiles][-1] == "87 of 90"
    assert page.tiles[-1].note == "3 failed, 2 settings never run"
    skipped = page.sections[-1].tables[0]
    assert "time budget" in skipped.rows[0].cells[-1].text
    runs = page.sections[-2].tables[0].rows
    assert runs[0].cells[4].text == "warm-up"
    assert {row.note for row in runs} == {"", "failed: the server answered 503 nine times"}
    assert sum("503" in row.note for row in runs) == 3


def test_a_repetition_that_is_left_out_is_no_setting_that_was_never_run():
    whole = samples.sweep(orientations=("column",), sizes=(50,), repeats=1)
    ran = [run.setting for run in whole.runs if not run.warm_up]
    never = Setting("column", 200 * MB, 8)
    records = replace(
        whole,
        skipped=(
            Skipped.of(never, None, "it has no more chunks"),
            *(Skipped.of(one, repeat, "no time") for repeat in (2, 3) for one in ran[1:]),
            # It failed in the first of three repetitions.
            Skipped.of(ran[0], None, "it failed before"),
        ),
    )
    assert sweep_page(records).tiles[-1].note == "1 setting never run, 8 repetitions left out"


def test_what_ended_a_sweep_and_what_it_left_behind_is_told(tmp_path):
    message = "nothing listens; the scratch dataset 'bench 1' (id AB12) may still be on the server"
    error = Unreachable(message, hint="delete the scratch dataset by hand")
    page = sweep_page(samples.sweep(), error)
    assert [(one.kind, one.text, one.hint) for one in page.alerts] == [
        ("error", message, "delete the scratch dataset by hand")
    ]
    path = tmp_path / "r.html"
    write_report(samples.sweep(sizes=(50,)), path, error)
    text = html.unescape(shown(path))
    assert "the scratch dataset 'bench 1' (id AB12) may still be on the server" in text
    assert "delete the scratch dataset by hand" in text


def test_a_failure_that_ended_a_sweep_is_told_once():
    run = samples.failed(samples.one_run(repeat=0, number=0), message="nothing listens")
    records = Records(samples.environment(), runs=(run,))
    error = Unreachable("nothing listens; the sweep ends here.")
    assert [one.text for one in sweep_page(records, error).alerts] == [error.message]
    assert [one.text for one in sweep_page(records).alerts] == ["nothing listens"]


def test_what_only_several_runs_have_is_promised_where_there_are_several():
    def leads(*runs):
        page = sweep_page(Records(samples.environment(), runs=runs))
        return "".join(
            section.lead + "".join(chart.caption for chart in section.charts)
            for section in page.sections
        )

    one, again = samples.one_run(), samples.one_run(repeat=2, number=2)
    for word in ("edian", "slowest", "pale points", "★"):
        assert word not in leads(one)
    for word in ("edian", "slowest", "pale points"):
        assert word in leads(one, again)
    assert "★" in sweep_page(samples.sweep()).sections[0].lead


def test_one_row_is_no_rows():
    environment = samples.environment(tables=(SourceTable(name="t", rows=1, columns=1),))
    run = samples.one_run()
    chunk = replace(run.timeline[0], rows=1)
    records = Records(environment, runs=(replace(run, rows=1, chunks=1, timeline=(chunk,)),))
    said = words(sweep_page(records))
    assert "(1 row, 1 column)" in said
    assert "1 rows" not in said.replace("1 rows/s", "")


def test_the_fastest_setting_is_that_of_most_rows():
    # Row orientation has more MB/s of JSON for the same rows.
    column, row = samples.one_run("column"), samples.one_run("row", number=2)
    row = replace(row, json_rate=column.json_rate * 1.2, rows_per_second=column.rows_per_second / 2)
    page = sweep_page(Records(samples.environment(), runs=(column, row)))
    assert page.tiles[0].note.startswith("column orientation")


def test_a_sweep_that_was_stopped_recommends_nothing():
    page = sweep_page(replace(samples.sweep(), recommendation=None))
    assert "did not come to its end" in page.recommended.why
    assert page.recommended.command is None
    page = sweep_page(Records(samples.environment()))
    assert page.recommended.why == "None: no run succeeded."


def test_a_load_says_how_it_ended():
    page = load_page(samples.load_result(), samples.facts())
    assert [tile.title for tile in page.tiles][:2] == ["Rows", "Whole load"]
    assert [alert.kind for alert in page.alerts] == ["advice"]
    assert "--concurrency 8 may be faster" in page.alerts[0].text
    assert page.sections[0].lead == (
        "Waiting for the server 95 %, reading 4 %; 3.8 of 4 PUTs under way. "
        "4 PUTs at once: as asked."
    )
    names = [section.name for section in page.sections]
    assert names == ["stages", "timeline-of-chunks", "put-latency", "environment", "tables"]
    facts = dict(page.sections[0].facts)
    assert facts["PUTs under way"].endswith("at most 4")


def test_a_load_that_failed_before_it_began_has_a_page():
    result = Result(
        error=UsageError("no such thing", hint="try another"),
        warnings=["careful"],
        resume="mstr-loader resume 1",
        status=Status.INTERRUPTED,
    )
    page = load_page(result, samples.facts())
    assert [alert.kind for alert in page.alerts] == ["error", "advice", "warning"]
    assert "mstr-loader resume 1" in page.alerts[1].text
    assert [section.name for section in page.sections] == ["environment"]


def test_names_that_are_no_unicode_can_be_written(tmp_path):
    name = os.fsdecode(b"\xff\x00\x1b name")
    result = samples.load_result(dataset=name)
    path = tmp_path / "r.html"
    write_load_report(result, samples.facts(sources=(name,)), path)
    text = path.read_text("utf-8")
    assert "\ufffd\ufffd\ufffd name" in text
    assert "\x1b" not in text


def test_a_report_is_replaced_whole_and_nothing_stays_behind(tmp_path):
    path = tmp_path / "r.html"
    check_report(path)
    assert list(tmp_path.iterdir()) == []
    write_report(samples.sweep(sizes=(50,)), path)
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
    link = tmp_path / "link.html"
    link.symlink_to(path)
    check_report(link)
    before = path.stat().st_ino
    write_report(samples.sweep(sizes=(100,)), link)
    assert link.is_symlink()
    assert path.stat().st_ino != before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["link.html", "r.html"]


def test_a_path_that_cannot_be_written_is_known_beforehand(tmp_path):
    data = tmp_path / "data.parquet"
    data.write_bytes(b"PAR1 and more")
    os.mkfifo(tmp_path / "pipe")
    for path, why in [
        (tmp_path, "it is a directory"),
        (tmp_path / "none" / "r.html", "No such file or directory"),
        (data / "r.html", "Not a directory"),
        (tmp_path / "pipe", "no regular file"),
        (tmp_path / ("x" * 300), "File name too long"),
        # A slip such as `--report lineitem.parquet` must not cost the data.
        (data, "no report"),
    ]:
        with pytest.raises(UsageError, match=why) as raised:
            check_report(path)
        assert "--report" in raised.value.message
    assert data.read_bytes() == b"PAR1 and more"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("missing", ["plotly", "jinja2"])
def test_without_the_extra_it_is_named(tmp_path, monkeypatch, missing):
    found = sys.modules["importlib.util"].find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == missing else found(name)
    )
    with pytest.raises(UsageError, match=missing) as raised:
        check_report(tmp_path / "r.html")
    assert raised.value.hint == "pip install 'mstr-loader[report]'"


def test_options_are_not_broken_over_lines_and_text_stays_text():
    why = "try more, such as --concurrency 8,16 <b> --memory"
    page = sweep_page(replace(samples.sweep(), recommendation=samples.recommendation(reason=why)))
    text = render(page)
    assert (
        'such as <span class="option">--concurrency</span> 8,16 &lt;b&gt; '
        '<span class="option">--memory</span>'
    ) in text
    assert "<b>" not in text.split("</main>")[0].split("<main")[1].split("<script")[0]


def test_settings_are_printed_as_they_are_typed():
    settings = {"memory": 10**9, "max_rate": 2_500_000, "time_budget": 1800.0, "limit": 10**6}
    facts = dict(sweep_page(samples.sweep(settings=settings)).sections[-3].facts)
    assert facts["--memory"] == "1GB"
    assert facts["--max-rate"] == "2500kB"
    assert facts["--time-budget"] == "30m"
    assert facts["--limit"] == "1000000"
    assert [value("time_budget", seconds) for seconds in (90.0, 7200.0)] == ["90s", "2h"]
    assert [exact_size(count) for count in (1, 10**5, 67_108_864, 10**12)] == [
        *("1", "100kB", "67108864", "1TB")
    ]
    # Every one of them means the same when it is typed again.
    for count in (1, 10**5, 67_108_864, 10**12):
        assert parse_size("--memory", exact_size(count)) == count


def test_spans_of_the_timeline_are_called_that():
    for page in (sweep_page(samples.sweep()), load_page(samples.load_result(), samples.facts())):
        (section,) = [one for one in page.sections if one.name == "timeline-of-chunks"]
        assert "from a chunk's first row to its last, waits included" in section.lead
        names = [trace.get("name") for trace in section.charts[0].figure["data"]]
        assert names[:2] == ["read (span)", "encode (span)"]


def test_a_single_setting_is_not_the_fastest():
    one = Records(samples.environment(), runs=(samples.one_run(),))
    assert sweep_page(one).tiles[0].title == "The only setting tried"


def test_figures_in_words():
    assert [duration(s) for s in (0, 0.0213, 0.99, 1, 119.4, 120, 3725, 7200)] == [
        *("0 s", "21.3 ms", "990 ms", "1 s", "119 s", "2 min", "1 h 2 min", "2 h 0 min")
    ]
    assert [rows_rate(r) for r in (0, 12, 999.4, 999.6, 84_210, 999_600, 1_310_000)] == [
        *("0 rows/s", "12 rows/s", "999 rows/s", "1 k rows/s", "84.2 k rows/s"),
        *("1 M rows/s", "1.31 M rows/s"),
    ]
    assert figure_text("<b>\n&") == "&lt;b&gt; &amp;"
    assert host_of("https://h:1/p") == "h:1"
    assert host_of("http://[bad") == "http://[bad"
