"""The page of a sweep: what was measured, what is recommended, and all the figures behind it."""

from __future__ import annotations

from collections import Counter

from loader.bench.records import Environment, Records, Run, Setting
from loader.bench.report.content import (
    Alert,
    Cell,
    Column,
    Page,
    Recommended,
    Row,
    Section,
    Table,
    Tile,
)
from loader.bench.report.facts import host_facts
from loader.bench.report.summary import Measured, Summary, summarise
from loader.bench.report.sweep_charts import heat_maps, latencies, stages, throughputs
from loader.bench.report.timeline import READING, shown, timeline
from loader.bench.report.words import (
    chunk_size,
    count,
    day,
    duration,
    host_of,
    in_words,
    megabytes,
    option,
    percent,
    rate,
    rows_rate,
    spread,
    value,
)
from loader.errors import LoaderError
from loader.units import size

__all__ = ["sweep_page"]


def sweep_page(records: Records, error: LoaderError | None = None) -> Page:
    """Returns the page of a sweep; one without a single good run says why.

    Args:
        records: The sweep, finished or not.
        error: What ended it early, or was left behind; None: nothing.
    """
    summary = summarise(records)
    environment = records.environment
    tables = ", ".join(table.name for table in environment.tables)
    return Page(
        kind="Upload benchmark",
        title=f"{tables} into {host_of(environment.server)}",
        summary=_summary(records, summary),
        tiles=tuple(_tiles(records, summary)),
        recommended=_recommended(records, summary),
        alerts=tuple(_alerts(records, error)),
        sections=tuple(_sections(records, summary)),
    )


def _summary(records: Records, summary: Summary) -> str:
    environment = records.environment
    rows = [table.rows for table in environment.tables]
    much = [count(sum(row or 0 for row in rows), "row")] if None not in rows else []
    much.append(count(sum(table.columns for table in environment.tables), "column"))
    settings = len({one.setting for one in summary.measured if one.runs})
    limit = environment.settings.get("limit")
    limited = f", of which each run loads the first {count(limit, 'row')}" if limit else ""
    return (
        f"{', '.join(environment.sources)} ({', '.join(much)}){limited}. "
        f"{count(len(records.counted), 'run')} of {count(settings, 'setting')}, in random order "
        f"after a warm-up, begun {day(environment.started)}."
    )


def _tiles(records: Records, summary: Summary) -> list[Tile]:
    ranked = summary.ranked
    tried = [run for run in records.runs if not run.warm_up]
    failed = sum(run.error is not None for run in tried)
    never, left_out = _missing(records)
    notes = [
        f"{failed} failed" if failed else "",
        f"{count(never, 'setting')} never run" if never else "",
        f"{count(left_out, 'repetition')} left out" if left_out else "",
    ]
    runs = Tile(
        "Runs that count",
        f"{len(records.counted)} of {len(tried)}",
        ", ".join(filter(None, notes)),
    )
    if not ranked:
        return [runs]
    best, slowest = ranked[0], ranked[-1]
    rates = [run.json_rate for run in best.runs]
    over = f"median of {len(rates)} runs, {spread(min(rates), max(rates))}"
    tiles = [
        Tile(
            "Fastest setting" if len(ranked) > 1 else "The only setting tried",
            rows_rate(best.rows_per_second),
            in_words(best.setting),
        ),
        Tile("JSON accepted", rate(best.json_rate), over if len(rates) > 1 else ""),
    ]
    if len(ranked) > 1 and slowest.rows_per_second:
        tiles.append(
            Tile(
                "Against the slowest setting",
                f"{best.rows_per_second / slowest.rows_per_second:.2g} \u00d7",
                f"{rows_rate(slowest.rows_per_second)}: {in_words(slowest.setting)}",
            )
        )
    tiles.append(
        Tile(
            "Publish",
            duration(best.median(lambda run: run.publish_seconds)),
            ("median; " if len(rates) > 1 else "")
            + f"PUT p95 {duration(best.median(lambda run: run.put_p95))}",
        )
    )
    return [*tiles, runs]


def _missing(records: Records) -> tuple[int, int]:
    """Returns how many settings were never run, and what repetitions of others were left out."""
    ran = Counter(run.setting for run in records.runs if not run.warm_up)
    never = {one.setting for one in records.skipped} - ran.keys()
    repeat = records.environment.settings.get("repeat")
    left_out = 0
    for one in records.skipped:
        if one.setting in never:
            continue
        if one.repeat is not None:
            left_out += 1
        elif isinstance(repeat, int):
            # Given up after a failure: all that were to come.
            left_out += max(0, repeat - ran[one.setting])
    return len(never), left_out


def _recommended(records: Records, summary: Summary) -> Recommended:
    found = records.recommendation
    if found is None:
        why = (
            "None: the sweep did not come to its end."
            if summary.ranked
            else "None: no run succeeded."
        )
        return Recommended((), why, None)
    chosen = found.setting
    return Recommended(
        (
            ("Orientation", chosen.orientation),
            ("Chunk size", chunk_size(chosen.chunk_size)),
            ("PUTs at once", str(chosen.concurrency)),
            ("Throughput", _throughput(summary.of(chosen), found.rows_per_second)),
        ),
        found.reason,
        found.command,
    )


def _throughput(one: Measured, rows_per_second: float) -> str:
    rows = rows_rate(rows_per_second)
    return f"{rate(one.json_rate)}, {rows}" if one.runs else rows


def _alerts(records: Records, error: LoaderError | None) -> list[Alert]:
    alerts = [] if error is None else [Alert("error", error.message, error.hint)]
    if records.counted:
        return alerts
    failures = dict.fromkeys(run.error.message for run in records.runs if run.error)
    # What ended the sweep begins with why its last run failed.
    ended = "" if error is None else error.message
    others = [text for text in failures if text.removesuffix(".") not in ended]
    return alerts + [Alert("error", text) for text in others[:3]]


def _sections(records: Records, summary: Summary) -> list[Section]:
    chosen = records.recommendation.setting if records.recommendation else None
    sections: list[Section] = []
    if summary.ranked:
        most = rows_rate(summary.ranked[0].rows_per_second)
        sections += [
            Section(
                "heat",
                "Throughput by concurrency and chunk size",
                _how_to_read(summary, chosen),
                charts=tuple(heat_maps(summary, chosen)),
                most=most,
            ),
            Section(
                "throughput",
                "What concurrency gains",
                "A line through the medians for each chunk size; the pale points are single runs."
                if summary.repeated
                else "A line for each chunk size.",
                charts=tuple(throughputs(summary)),
            ),
            Section(
                "latency",
                "PUT latency",
                "From p50 (filled) by p95 (dash) to p99 (ring)"
                + (", the median of the runs," if summary.repeated else "")
                + " for each chunk size. Larger chunks take longer; what matters is where more "
                "PUTs at once only make each of them wait.",
                charts=tuple(latencies(summary)),
            ),
            Section(
                "stages",
                "Where the time goes",
                "What the upload waited for, stage by stage, and how long publishing took. An "
                "upload that waits for the server gains from concurrency; one that waits for "
                "encoding or reading has reached what this host can do.",
                charts=(stages(summary, chosen),),
            ),
        ]
        sections += _timeline(summary)
    sections.append(Section("environment", "Environment", facts=tuple(_facts(records.environment))))
    if records.runs:
        sections.append(
            Section(
                "runs",
                "All runs",
                "In the order of running; a click on a heading sorts. The warm-up does not count.",
                tables=(_runs(records, summary),),
            )
        )
    if records.skipped:
        sections.append(Section("skipped", "Not run", tables=(_skipped(records),)))
    return sections


def _how_to_read(summary: Summary, chosen: Setting | None) -> str:
    """Returns how to read the heat maps: of what is in them, and no more."""
    what = "MB/s of JSON that the server accepted, from the first read to its last acceptance"
    if summary.repeated:
        what = f"Median {what}; below it the slowest and the fastest run"
    colour = "The colour stands for rows/s, since row orientation needs more JSON for the same rows"
    star = "" if chosen is None else " ★ and the frame: the recommended setting."
    return f"{what}. {colour}.{star}"


def _timeline(summary: Summary) -> list[Section]:
    best = summary.ranked[0]
    run = max(best.runs, key=lambda one: one.rows_per_second)
    if not run.timeline:
        return []
    chunks = shown(run.timeline)
    part = "" if len(chunks) >= run.chunks else f" {len(chunks)} of {run.chunks:,} chunks, thinned."
    return [
        Section(
            "timeline-of-chunks",
            "Timeline of the fastest run",
            f"Run {run.number}: {in_words(run.setting)}, "
            f"{rows_rate(run.rows_per_second)}.{part} {READING}",
            charts=(timeline(chunks),),
        )
    ]


def _facts(environment: Environment) -> list[tuple[str, str]]:
    facts = [
        ("Server", environment.server),
        ("Server version", environment.server_version or "not told"),
        (
            "Round trip",
            "not measured" if environment.round_trip is None else duration(environment.round_trip),
        ),
        *host_facts(environment),
        ("Sources", ", ".join(environment.sources)),
        ("Sweep", f"{environment.sweep}, begun {day(environment.started)}"),
    ]
    facts += [
        (
            f"Table {table.name}",
            f"{_rows(table.rows)}, {count(table.columns, 'column')}",
        )
        for table in environment.tables
    ]
    return facts + [
        (option(name), value(name, thing))
        for name, thing in environment.settings.items()
        if thing is not None
    ]


def _rows(rows: int | None) -> str:
    return "rows unknown" if rows is None else count(rows, "row")


_COLUMNS = (
    Column("Run"),
    Column("Orientation", number=False),
    Column("Chunk size"),
    Column("PUTs at once"),
    Column("Repeat"),
    Column("JSON (MB/s)"),
    Column("Rows/s"),
    Column("Wire (MB/s)"),
    Column("Upload (s)"),
    Column("Publish (s)"),
    Column("PUT p50 (s)"),
    Column("PUT p95 (s)"),
    Column("PUT p99 (s)"),
    Column("Chunks"),
    Column("Repeated PUTs"),
    Column("Server wait"),
    Column("CPU (s)"),
    Column("Peak memory"),
)


def _runs(records: Records, summary: Summary) -> Table:
    best = summary.ranked[0].setting if summary.ranked else None
    return Table(
        "Every run with its figures",
        _COLUMNS,
        tuple(_row(run, best=run.setting == best and not run.warm_up) for run in records.runs),
    )


def _row(run: Run, *, best: bool) -> Row:
    settings = (
        Cell(str(run.number), run.number),
        Cell(run.orientation, run.orientation),
        Cell(chunk_size(run.chunk_size), run.chunk_size),
        Cell(str(run.concurrency), run.concurrency),
        Cell("warm-up" if run.warm_up else str(run.repeat), run.repeat),
    )
    if run.error is not None:
        empty = len(_COLUMNS) - len(settings)
        return Row(
            (*settings, *([Cell("\u2013", -1)] * empty)), note=f"failed: {run.error.message}"
        )
    waited = run.stages.get("server", 0.0) / run.upload_seconds if run.upload_seconds else 0.0
    figures = (run.upload_seconds, run.publish_seconds, run.put_p50, run.put_p95, run.put_p99)
    return Row(
        (
            *settings,
            Cell(f"{megabytes(run.json_rate):.3g}", run.json_rate, "good" if best else ""),
            Cell(f"{run.rows_per_second:,.0f}", run.rows_per_second),
            Cell(f"{megabytes(run.wire_rate):.3g}", run.wire_rate),
            *(Cell(f"{seconds:,.3g}", seconds) for seconds in figures),
            Cell(f"{run.chunks:,}", run.chunks),
            Cell(str(run.retries), run.retries, "bad" if run.retries else ""),
            Cell(percent(waited), waited),
            Cell(f"{run.cpu_seconds:,.3g}", run.cpu_seconds),
            Cell(size(run.peak_memory), run.peak_memory),
        )
    )


def _skipped(records: Records) -> Table:
    return Table(
        "Settings that were not run, in all repetitions or in one",
        (
            Column("Orientation", number=False),
            Column("Chunk size"),
            Column("PUTs at once"),
            Column("Repetition"),
            Column("Why", number=False),
        ),
        tuple(
            Row(
                (
                    Cell(one.orientation, one.orientation),
                    Cell(chunk_size(one.chunk_size), one.chunk_size),
                    Cell(str(one.concurrency), one.concurrency),
                    Cell("all" if one.repeat is None else str(one.repeat), one.repeat or 0),
                    Cell(one.reason, one.reason),
                )
            )
            for one in records.skipped
        ),
    )
