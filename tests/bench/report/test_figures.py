"""The figures: what goes in is what is drawn, every axis says what it shows, colours exist."""

from __future__ import annotations

import random
import re
from importlib import resources
from itertools import pairwise
from statistics import median

import plotly.graph_objects as go
import pytest

from loader.bench.records import Records, Setting
from loader.bench.report.figures import SERIES
from loader.bench.report.load import load_page
from loader.bench.report.summary import summarise
from loader.bench.report.sweep import sweep_page
from loader.bench.report.sweep_charts import heat_maps, latencies, stages, throughputs
from loader.bench.report.timeline import MOST_ROWS, put_times, shown, timeline
from loader.job.timing import ChunkTimes, Latencies, Span
from loader.units import MB
from tests.bench.report import samples

STYLE = resources.files("loader.bench.report").joinpath("page.css").read_text("utf-8")


@pytest.fixture(scope="module")
def sweep() -> Records:
    return samples.sweep()


@pytest.fixture(scope="module")
def charts(sweep):
    """Every chart of every kind of page, by name."""
    again = samples.chunk_times(20 * MB, 4, json_bytes=4e9, chance=random.Random(1))
    pages = [sweep_page(sweep), load_page(samples.load_result(again), samples.facts())]
    return [chart for page in pages for section in page.sections for chart in section.charts]


def coloured(value):
    """A figure with its names of colours replaced by one."""
    if isinstance(value, list):
        return [coloured(item) for item in value]
    if isinstance(value, dict):
        return {key: coloured(item) for key, item in value.items()}
    return "#123456" if isinstance(value, str) and value.startswith("@") else value


def names(value) -> set[str]:
    if isinstance(value, list | dict):
        parts = value.values() if isinstance(value, dict) else value
        return set().union(*map(names, parts))
    return {value[1:]} if isinstance(value, str) and value.startswith("@") else set()


def test_plotly_knows_every_property(charts):
    assert len(charts) == 11
    for chart in charts:
        go.Figure(coloured(chart.figure))  # raises


def test_every_axis_has_a_title_and_units(charts):
    for chart in charts:
        axes = {name: axis for name, axis in chart.figure["layout"].items() if name[1:5] == "axis"}
        assert len(axes) >= 2
        for axis in axes.values():
            assert axis["title"]["text"]
            # What is not counted or named has a unit.
            assert re.search(r"\((s|MB/s|JSON|concurrency)\)|chunk|step", axis["title"]["text"])


def test_every_colour_exists_in_both_themes(charts):
    light, dark = (set(re.findall(r"--([a-z0-9-]+):", block)) for block in themes())
    used = set().union(*(names(chart.figure) for chart in charts), {s[0][1:] for s in SERIES})
    assert used <= light
    assert light == dark


def test_series_differ_without_colours():
    assert len({symbol for _, symbol, _ in SERIES}) == len(SERIES)
    assert len({dash for *_, dash in SERIES}) == len(SERIES)


def test_texts_on_the_heat_map_can_be_read():
    for block in themes():
        colour = dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", block))
        scale = [colour[f"heat-{step}"] for step in range(5)]
        for percent in range(101):
            text = colour["on-full" if percent > 62 else "on-pale"]
            assert contrast(text, mixed(scale, percent / 100)) > 3.5


def test_a_heat_map_shows_medians_by_rows_and_says_megabytes(sweep):
    summary = summarise(sweep)
    charts = heat_maps(summary, sweep.recommendation.setting)
    assert [chart.caption for chart in charts] == ["column orientation", "row orientation"]
    trace = charts[0].figure["data"][0]
    assert trace["x"] == ["1", "2", "4", "8"]
    assert trace["y"] == ["25 MB", "50 MB", "100 MB", "200 MB"]
    runs = [run for run in sweep.counted if run.setting == Setting("column", 50 * MB, 4)]
    assert len(runs) == 3
    assert trace["z"][1][2] == median(run.rows_per_second for run in runs)
    rates = sorted(run.json_rate / 1e6 for run in runs)
    note = next(
        one for one in charts[0].figure["layout"]["annotations"] if (one["x"], one["y"]) == (2, 1)
    )
    assert f"★ {rates[1]:.3g}" in note["text"]
    assert f"{rates[0]:.3g}\u2013{rates[2]:.3g}" in note["text"]
    assert "rows/s" in trace["hovertext"][1][2]
    # One scale for both, so that colours can be compared.
    assert len({chart.figure["data"][0]["zmax"] for chart in charts}) == 1
    frame = charts[0].figure["layout"]["shapes"][0]
    assert (frame["x0"] + frame["x1"], frame["y0"] + frame["y1"]) == (4, 2)
    assert charts[1].figure["layout"]["shapes"] == []


def test_cells_without_runs_say_why(sweep):
    chart = heat_maps(summarise(sweep), None)[1]
    trace, notes = chart.figure["data"][0], chart.figure["layout"]["annotations"]
    assert trace["z"][3] == [None, None, trace["z"][3][2], None]
    texts = {(note["x"], note["y"]): note["text"] for note in notes}
    assert [texts[x, 3] for x in (0, 1, 3)] == ["skipped", "skipped", "failed"]
    assert "time budget" in trace["hovertext"][3][0]
    assert "503" in trace["hovertext"][3][3]


def test_lines_go_through_medians_and_every_run_is_a_point(sweep):
    chart = throughputs(summarise(sweep))[0]
    points, line = chart.figure["data"][2:4]
    assert line["name"] == "50 MB"
    runs = [
        run for run in sweep.counted if (run.orientation, run.chunk_size) == ("column", 50 * MB)
    ]
    assert sorted(zip(points["x"], points["y"], strict=True)) == sorted(
        (run.concurrency, run.json_rate / 1e6) for run in runs
    )
    assert line["x"] == [1, 2, 4, 8]
    assert line["y"] == [
        median(run.json_rate / 1e6 for run in runs if run.concurrency == at_once)
        for at_once in line["x"]
    ]
    assert chart.figure["layout"]["xaxis"]["tickvals"] == [1, 2, 4, 8]


def test_latencies_are_quantiles_side_by_side(sweep):
    chart = latencies(summarise(sweep))[0]
    smallest, *_, largest = chart.figure["data"]
    runs = [run for run in sweep.counted if run.setting == Setting("column", 25 * MB, 1)]
    assert smallest["y"][:4] == [
        median(run.put_p50 for run in runs),
        median(run.put_p95 for run in runs),
        median(run.put_p99 for run in runs),
        None,
    ]
    assert smallest["x"][0] < 0 < largest["x"][0]
    assert len(smallest["x"]) == len(smallest["hovertext"]) == 16


def test_stages_add_up_to_the_upload_of_the_median_run(sweep):
    chart = stages(summarise(sweep), sweep.recommendation.setting)
    *waits, publish = chart.figure["data"]
    assert [trace["name"] for trace in waits] == ["reading", "encoding", "waiting for the server"]
    label = "★ column · 50 MB · 4"
    place = publish["y"].index(label)
    runs = [run for run in sweep.counted if run.setting == sweep.recommendation.setting]
    run = sorted(runs, key=lambda one: one.rows_per_second)[1]
    assert sum(trace["x"][place] for trace in waits) == pytest.approx(run.upload_seconds)
    assert publish["x"][place] == run.publish_seconds
    assert publish["xaxis"] == "x2"
    # The fastest is on top.
    assert chart.figure["layout"]["yaxis"]["autorange"] == "reversed"
    assert len(publish["y"]) == len(set(publish["y"])) == 29


def test_the_rate_limit_is_a_stage_where_there_is_one():
    run = samples.one_run()
    limited = samples.replace(run, stages={**run.stages, "rate": 4.0})
    records = Records(samples.environment(), runs=(limited,))
    names = [trace["name"] for trace in stages(summarise(records), None).figure["data"]]
    assert "rate limit" in names


def chunk(index, *, table="t", attempts=1, put=(2.0, 3.5)) -> ChunkTimes:
    return ChunkTimes(
        table=table,
        index=index,
        rows=10,
        json_bytes=1000,
        read=Span(0.0, 1.0),
        encode=Span(0.5, 1.5),
        put=Span(*put),
        attempts=attempts,
    )


def test_a_timeline_shows_spans_and_attempts():
    chart = timeline([chunk(1), chunk(2, attempts=3, put=(1.25, 4.0))])
    read, encode, wait, put, again, marks = chart.figure["data"]
    assert (read["y"], read["base"], read["x"]) == (["1", "2"], [0.0, 0.0], [1.0, 1.0])
    assert (encode["base"], encode["x"]) == ([0.5, 0.5], [1.0, 1.0])
    # A PUT that began before the last block was encoded has not waited.
    assert (wait["base"], wait["x"]) == ([1.5, 1.5], [0.5, 0.0])
    assert (put["y"], put["base"], put["x"]) == (["1"], [2.0], [1.5])
    assert (again["y"], again["base"], again["x"]) == (["2"], [1.25], [2.75])
    assert (marks["x"], marks["text"]) == ([4.0], ["\u00d73"])
    assert "3 attempts" in again["hovertext"][0]
    assert chart.views == ()


def test_rows_of_several_tables_are_named_and_unique():
    long = "a name of a table that is far too long"
    chunks = shown([chunk(1, table=f"{long} {n}") for n in (1, 2)] + [chunk(2, table="<b>")])
    labels = timeline(chunks).figure["data"][0]["y"]
    assert len(set(labels)) == 3
    assert labels[2] == "&lt;b&gt; 2"


def test_a_long_timeline_can_be_looked_at_in_parts():
    chunks = [chunk(index, put=(index, index + 1.0)) for index in range(1, 121)]
    views = timeline(chunks).views
    assert [view.label for view in views] == [
        "all 120 chunks",
        "1 to 50",
        "51 to 100",
        "101 to 120",
    ]
    assert views[3].layout["yaxis.range"] == [119.5, 99.5]
    assert views[3].layout["xaxis.range"][1] > 121.0


def test_too_many_chunks_are_thinned_but_those_sent_again_stay():
    many = [chunk(index, attempts=2 if index % 500 == 7 else 1) for index in range(4096)]
    kept = shown(many)
    assert len(kept) == MOST_ROWS
    assert sum(one.attempts == 2 for one in kept) == 9
    assert [one.index for one in kept] == sorted({one.index for one in kept})
    gaps = [later.index - one.index for one, later in pairwise(kept)]
    assert max(gaps) <= 10
    assert len(shown([chunk(index, attempts=2) for index in range(4096)])) == MOST_ROWS
    assert shown([]) == []


def test_put_times_show_each_chunk_and_the_quantiles():
    latencies = Latencies()
    latencies.add(1.0)
    figure = put_times([chunk(1), chunk(2, attempts=2)], latencies).figure
    once, again = figure["data"]
    assert (once["x"], once["y"]) == ([3.5], [1.5])
    assert again["name"] == "sent again"
    assert [line["y0"] for line in figure["layout"]["shapes"]] == [latencies.quantile(0.5)] * 3


def themes() -> list[str]:
    return re.findall(r":root[^{]*\{([^}]*)\}", STYLE)


def mixed(scale, share) -> str:
    place = min(3, int(share * 4))
    part = share * 4 - place
    pairs = zip(channels(scale[place]), channels(scale[place + 1]), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * part):02x}" for a, b in pairs)


def channels(colour) -> list[int]:
    return [int(colour[start : start + 2], 16) for start in (1, 3, 5)]


def contrast(one, other) -> float:
    """The ratio of WCAG 2."""
    light, dark = sorted(map(luminance, (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour) -> float:
    linear = [
        value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4
        for value in (channel / 255 for channel in channels(colour))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
