"""The pages in a real Chromium: drawn, silent, alone, in both themes, and safe with any name."""

from __future__ import annotations

import random
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from loader.bench.records import Records, SourceTable
from loader.bench.report import write_load_report, write_report
from loader.errors import Unavailable
from loader.job import Status
from loader.units import MB
from tests.bench.report import samples

# A browser takes its time to start.
pytestmark = pytest.mark.slow

NASTY = "<script>window.hacked = 1</script>\"'><img src=x onerror='window.hacked = 1'>{{ 7 * 7 }}"
LINK = "</script><a href='https://elsewhere.example.com'>%{x}</a>"

# Titles of axes and grids, as the browser has them.
COLOURS = """() => [...document.querySelectorAll('.chart .ytitle, .chart .ygrid')]
    .map(one => getComputedStyle(one).fill + getComputedStyle(one).stroke)"""


def assert_alone_and_silent(opened):
    assert opened.complaints == []
    assert {urlsplit(url).scheme for url in opened.requests} <= {"file", "data"}
    assert sum(url.startswith("file:") for url in opened.requests) == 1


def test_a_sweep_is_drawn(open_page):
    opened = open_page(write_report, samples.sweep())
    assert_alone_and_silent(opened)
    # Heat maps, lines and latencies for both orientations, stages, and the timeline.
    assert opened.page.locator(".chart.js-plotly-plot").count() == 8
    assert opened.page.locator(".heatmaplayer image, .heatmaplayer .hm").count() >= 2
    cells = opened.all("#chart-heat-column .annotation-text, #chart-heat-row .annotation-text")
    assert len(cells) == 32
    assert all(cells)
    assert cells.count("skipped") == 2
    assert cells.count("failed") == 1
    assert sum(cell.startswith("★") for cell in cells) == 1
    # Four medians and 24 runs of each of four sizes would be 64 points in columns alone.
    assert opened.page.locator("#chart-throughput-column .scatterlayer .point").count() == 64
    assert opened.page.locator("#chart-timeline .barlayer .point").count() == 36 * 4
    assert opened.page.locator("#runs tbody tr:not(.note)").count() == 91
    assert opened.page.locator("#runs tbody tr.note").count() == 3
    # Nothing is wider than the window.
    assert opened.value("document.documentElement.scrollWidth") == 1280


def test_the_page_follows_the_system_until_somebody_chooses(open_page):
    opened = open_page(write_report, small(), scheme="light")
    theme = "document.documentElement.dataset.theme"
    opened.page.wait_for_selector("html[data-drawn=light]")
    light = opened.value(COLOURS)
    opened.page.emulate_media(color_scheme="dark")
    opened.page.wait_for_selector("html[data-drawn=dark]")
    dark = opened.value(COLOURS)
    assert len(dark) == len(light) > 5
    assert all(one != other for one, other in zip(light, dark, strict=True))
    # On paper it is light, whatever the screen shows.
    opened.value("window.dispatchEvent(new Event('beforeprint'))")
    assert opened.value(theme) == "light"
    opened.value("window.dispatchEvent(new Event('afterprint'))")
    assert opened.value(theme) == "dark"
    opened.page.focus("#theme")
    opened.page.keyboard.press("Enter")
    opened.page.wait_for_selector("html[data-theme=light][data-drawn=light]")
    assert opened.page.get_by_role("button", name="Dark", pressed=False).count() == 1
    assert opened.value(COLOURS) == light
    opened.page.emulate_media(color_scheme="light")
    opened.page.emulate_media(color_scheme="dark")
    assert opened.value(theme) == "light"
    assert_alone_and_silent(opened)


def test_the_command_is_copied_and_tables_are_sorted_by_keyboard(open_page):
    records = small()
    command = records.recommendation.command
    opened = open_page(write_report, records)
    opened.value("() => { navigator.clipboard.writeText = () => Promise.reject(new Error()); }")
    opened.value("() => { document.execCommand = () => false; }")
    opened.page.focus("#copy")
    opened.page.keyboard.press("Enter")
    opened.page.wait_for_selector("#copied:not(:empty)", state="attached")
    # Without the clipboard it is selected, and one more key copies it.
    assert opened.value("getSelection().toString()") == command
    assert opened.all("#copy") == ["Press Ctrl+C"]
    opened.value(
        "() => { navigator.clipboard.writeText = async text => { window.copied = text; }; }"
    )
    opened.page.click("#copy")
    opened.page.get_by_role("button", name="Copied").wait_for()
    assert opened.value("window.copied") == command

    opened.page.get_by_role("button", name="JSON (MB/s)").focus()
    for order in ("ascending", "descending"):
        opened.page.keyboard.press("Enter")
        rates = [float(text) for text in opened.all("#runs tbody td:nth-child(6)")]
        assert rates == sorted(rates, reverse=order == "descending")
        assert opened.page.locator(f"#runs th[aria-sort={order}]").count() == 1
    assert opened.complaints == []


@pytest.mark.parametrize("width", [1200, 390])
def test_the_reason_of_a_failure_is_read_at_a_glance(open_page, width):
    """Below its run, and inside the window, however far the table reaches beyond it."""
    why = "the server answered 503 nine times within 30 seconds: " + "upstream error; " * 12
    whole = samples.sweep(orientations=("row",), sizes=(50, 200), concurrencies=(1, 8), repeats=2)
    runs = tuple(samples.failed(run, message=why) if run.error else run for run in whole.runs)
    opened = open_page(write_report, replace(whole, runs=runs), width=width)
    # A window of that width holds all columns; a narrower one scrolls the table alone.
    box = opened.page.locator("#runs .scroll")
    beyond = box.evaluate("one => one.scrollWidth > one.clientWidth")
    assert beyond == (width < 1200)
    box.evaluate("one => one.scrollTo(one.scrollWidth, 0)")
    notes = opened.page.locator("#runs tr.note")
    assert notes.count() == 2
    text = notes.first.locator("div").bounding_box()
    assert text["x"] >= 0
    assert text["x"] + text["width"] <= width
    assert text["height"] < (100 if width == 1200 else 250)
    assert opened.value("document.documentElement.scrollWidth") == width
    # Sorting leaves it below its run.
    for _ in ("ascending", "descending"):
        opened.page.locator("#runs th button").first.click()
    assert opened.value(
        "[...document.querySelectorAll('#runs tr.note')]"
        ".map(one => one.previousElementSibling.cells[0].textContent)"
    ) == [str(run.number) for run in reversed(runs) if run.error]
    assert opened.complaints == []


def test_an_axis_needs_no_letters_for_small_figures(open_page):
    run = replace(samples.one_run(number=1), json_rate=812.0, rows_per_second=9.0)
    opened = open_page(write_report, Records(samples.environment(), runs=(run,)))
    ticks = opened.all("#chart-throughput-column .ytick")
    assert len(ticks) > 2
    assert [tick for tick in ticks if not tick.replace(".", "").isdigit()] == []


def test_five_hundred_chunks_stay_usable(open_page):
    chunks = samples.chunk_times(2 * MB, 8, json_bytes=1e9, chance=random.Random(1))
    assert len(chunks) == 500
    opened = open_page(
        write_load_report, samples.load_result(chunks, concurrency=8), samples.facts()
    )
    assert_alone_and_silent(opened)
    assert opened.page.locator("#chart-timeline .barlayer .point").count() >= 500 * 4
    box = opened.page.locator("#chart-timeline").bounding_box()
    assert box["height"] <= 800
    shown = "document.getElementById('chart-timeline').layout.yaxis.range"
    assert opened.value(shown) == [499.5, -0.5]
    opened.page.get_by_role("button", name="Chunks after").click()
    assert opened.value(shown) == [49.5, -0.5]
    opened.page.get_by_label("Show").select_option(label="451 to 500")
    assert opened.value(shown) == [499.5, 449.5]
    assert opened.complaints == []


def test_no_name_is_ever_markup(open_page):
    records = small(
        tables=(
            SourceTable(name=NASTY, rows=None, columns=3),
            SourceTable(name=LINK, rows=5, columns=1),
        ),
        sources=(NASTY, 'it\'s "quoted" & </title></style>.parquet'),
        server=f"https://h.example.com/{LINK}",
        settings={NASTY: LINK, "where": NASTY},
    )
    run = records.runs[-1]
    chunks = tuple(
        replace(chunk, table=NASTY if chunk.index % 2 else LINK) for chunk in run.timeline
    )
    records = replace(
        records,
        runs=(*records.runs[:-1], replace(run, timeline=chunks)),
        skipped=(
            *records.skipped,
            samples.skipped(NASTY),
        ),
        recommendation=samples.recommendation(reason=NASTY, command=f"mstr-loader push '{LINK}'"),
    )
    opened = open_page(write_report, records)
    assert_alone_and_silent(opened)
    assert_harmless(opened)
    assert opened.all("#command") == [f"mstr-loader push '{LINK}'"]
    assert opened.all(".recommended > p:not(.heard)") == [NASTY]
    assert NASTY in opened.all("h1")[0]


def test_no_name_of_a_load_is_ever_markup(open_page):
    half = samples.chunk_times(50 * MB, 2, json_bytes=1e9, chance=random.Random(1), table=NASTY)
    rest = samples.chunk_times(50 * MB, 2, json_bytes=1e9, chance=random.Random(1), table=LINK)
    result = samples.load_result(
        half + rest,
        concurrency=2,
        dataset=NASTY,
        status=Status.FAILED,
        error=Unavailable(NASTY, hint=LINK),
        warnings=[NASTY, "@read"],
        advice=LINK,
    )
    opened = open_page(write_load_report, result, samples.facts(project=NASTY, sources=(LINK,)))
    assert_alone_and_silent(opened)
    assert_harmless(opened)
    assert opened.all(".alert.error .hint") == [LINK]
    # Charts show names as they are, too.
    ticks = "".join(opened.all("#chart-timeline .ytick"))
    assert "<script>" in ticks
    assert "</script>" in ticks


def assert_harmless(opened):
    assert opened.value("window.hacked") is None
    assert opened.page.locator("img, main a, svg a, iframe").count() == 0
    assert opened.page.locator("script:not([data-figure])").count() == 2
    # A script that found its way into the page would not run.
    opened.value(
        "document.body.append(Object.assign(document.createElement('script'),"
        " { textContent: 'window.hacked = 1' }))"
    )
    assert opened.value("window.hacked") is None


def test_one_run_is_enough_also_on_a_phone(open_page):
    run = samples.one_run(number=1)
    opened = open_page(
        write_report, Records(samples.environment(), runs=(run,)), width=360, scheme="dark"
    )
    assert_alone_and_silent(opened)
    assert opened.page.locator(".chart.js-plotly-plot").count() == 5
    assert opened.value("document.documentElement.scrollWidth") == 360


def test_a_sweep_of_failures_says_why(open_page):
    runs = tuple(samples.failed(samples.one_run(number=number)) for number in (1, 2))
    opened = open_page(write_report, Records(samples.environment(), runs=runs))
    assert_alone_and_silent(opened)
    assert opened.page.locator(".chart").count() == 0
    assert "503" in opened.all(".alert.error")[0]


def small(**changes) -> Records:
    return samples.sweep(
        orientations=("column",), sizes=(50, 100), concurrencies=(1, 4), repeats=2, **changes
    )


@pytest.mark.parametrize("width", [390, 700, 1280])
def test_no_option_is_broken_over_two_lines(open_page, width):
    reason = " ".join(f"{'x' * length} --concurrency 8,16" for length in range(1, 40))
    records = replace(samples.sweep(), recommendation=samples.recommendation(reason=reason))
    opened = open_page(write_report, records, width=width)
    lines = opened.value(
        "[...document.querySelectorAll('.option')].map(one => one.getClientRects().length)"
    )
    assert len(lines) > 40
    assert set(lines) == {1}
    assert opened.value("document.documentElement.scrollWidth") == width
