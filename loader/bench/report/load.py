"""The page of one load: how fast it was, what it waited for, and the way of each chunk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loader.bench.host import Host
from loader.bench.report.content import Alert, Cell, Column, Page, Row, Section, Table, Tile
from loader.bench.report.facts import host_facts
from loader.bench.report.figures import Chart, axis, bars, hover, layout
from loader.bench.report.stages import WAITS
from loader.bench.report.timeline import READING, put_times, shown, timeline
from loader.bench.report.words import (
    count,
    day,
    duration,
    host_of,
    option,
    percent,
    rate,
    rows_rate,
    value,
)
from loader.job import Result, Status
from loader.job.timing import ChunkTimes, StageTimes
from loader.units import size

__all__ = ["LoadFacts", "load_page"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFacts:
    """What a result does not know of its load.

    Attributes:
        started: When it began: ISO 8601, UTC.
        sources: As they were named, without secrets.
        server: The server's address without secrets.
        project: The project as it was named; None: it was not.
        settings: The options that were given.
        host: What it ran on and with.
    """

    started: str
    sources: tuple[str, ...]
    server: str
    project: str | None
    settings: Mapping[str, Any]
    host: Host


_ENDS = {
    Status.PUBLISHED: "published",
    Status.UPLOADED: "uploaded, not published",
    Status.FAILED: "failed",
    Status.INTERRUPTED: "stopped",
    Status.UNKNOWN: "ended, but nobody knows how",
}


def load_page(result: Result, facts: LoadFacts) -> Page:
    """Returns the page of a load, however it ended."""
    begun = "begun" if result.earlier is None else "resumed"
    return Page(
        kind="Load",
        title=f"{result.dataset or 'Load'} into {host_of(facts.server)}",
        summary=f"{', '.join(facts.sources)}: {_ENDS[result.status]}, {begun} "
        f"{day(facts.started)}.{_earlier(result)}",
        tiles=tuple(_tiles(result)),
        recommended=None,
        alerts=tuple(_alerts(result)),
        sections=tuple(_sections(result, facts)),
    )


def _earlier(result: Result) -> str:
    """Returns what a report of a part has to say: the rest was another process's."""
    earlier = result.earlier
    if earlier is None:
        return ""
    if not earlier.chunks:
        return " Nothing that earlier processes of the job had uploaded is counted here."
    return (
        f" Earlier processes of the job had uploaded {earlier.rows:,} of the rows, in "
        f"{count(earlier.chunks, 'chunk')}: times, rates and charts are of the part that this one "
        "did."
    )


def _tiles(result: Result) -> list[Tile]:
    seconds, own = result.times.seconds, result.own
    resumed = result.earlier is not None
    by_it = f", {own.chunks:,} of them by this process" if resumed else ""
    tiles = [
        Tile("Rows", f"{result.rows:,}", f"in {count(result.chunks, 'chunk')}{by_it}"),
        Tile(
            "This process" if resumed else "Whole load",
            duration(result.seconds),
            _ENDS[result.status],
        ),
    ]
    if not seconds and result.times.publishing:
        tiles.append(Tile("Publish", duration(result.times.publishing), "nothing was uploaded"))
    if own.json_bytes and seconds:
        tiles += [
            Tile(
                "Throughput of the upload",
                rate(own.json_bytes / seconds),
                f"of JSON, {rows_rate(own.rows / seconds)}",
            ),
            Tile(
                "Over the network",
                rate(result.wire_bytes / seconds),
                f"{size(result.wire_bytes)}, {count(result.retries, 'PUT')} sent again",
            ),
        ]
    if result.latencies.count:
        p50, p95 = (duration(result.latencies.quantile(share)) for share in (0.5, 0.95))
        tiles.append(Tile("PUT latency", p50, f"median; p95 {p95}"))
    return tiles


def _alerts(result: Result) -> list[Alert]:
    alerts = []
    if result.error is not None:
        alerts.append(Alert("error", result.error.message, result.error.hint))
    if result.resume:
        alerts.append(Alert("advice", f"To go on with this load: {result.resume}"))
    if result.advice:
        alerts.append(Alert("advice", result.advice))
    return alerts + [Alert("warning", text) for text in result.warnings]


def _sections(result: Result, facts: LoadFacts) -> list[Section]:
    chunks = shown(result.timeline or ())
    sections = []
    if result.times.seconds:
        sections.append(
            Section(
                "stages",
                "Where the time went",
                _sentences(result.time_spent, result.concurrency)
                or "What the upload waited for, stage by stage, and how long publishing took.",
                charts=(_stages(result.times),),
                facts=tuple(_work(result)),
            )
        )
    if chunks:
        sections += _of_chunks(result, chunks)
    sections.append(Section("environment", "Environment", facts=tuple(_facts(result, facts))))
    if result.tables:
        sections.append(Section("tables", "Tables", tables=(_tables(result),)))
    return sections


def _sentences(*texts: str | None) -> str:
    """Returns the texts that there are, which begin small and end without a full stop."""
    return " ".join(f"{text[0].upper()}{text[1:]}." for text in texts if text)


def _stages(times: StageTimes) -> Chart:
    upload, publish = "upload", "publish"
    waits = [(stage, float(getattr(times, stage.key))) for stage in WAITS]
    data = [
        bars(
            stage.name,
            stage.colour,
            x=[seconds],
            y=[upload],
            **hover([f"{stage.name}: {duration(seconds)}"]),
        )
        for stage, seconds in waits
        if stage.always or seconds
    ]
    data.append(
        bars(
            publish,
            "@publish",
            x=[times.publishing],
            y=[publish],
            **hover([f"{publish}: {duration(times.publishing)}"]),
        )
    )
    return Chart(
        "stages",
        {
            "data": data,
            "layout": layout(
                210,
                axis("time (s)", rangemode="tozero"),
                axis("step", type="category", autorange="reversed", showgrid=False),
                barmode="stack",
                bargap=0.3,
            ),
        },
        "Upload, by what it waited for, and publish",
        "Bars: "
        + ", ".join(f"{stage.name} {duration(seconds)}" for stage, seconds in waits)
        + f"; publish {duration(times.publishing)}.",
    )


def _work(result: Result) -> list[tuple[str, str]]:
    """Returns how busy each stage was: much goes on at once."""
    times = result.times
    each = times.seconds * max(1, times.encoders)
    return [
        ("Upload", duration(times.seconds)),
        *(
            (
                f"{stage.name.capitalize()}",
                f"{duration(seconds)} ({percent(seconds / times.seconds)})",
            )
            for stage in WAITS
            if (seconds := float(getattr(times, stage.key))) or stage.always
        ),
        ("Publish", duration(times.publishing)),
        ("Reading thread busy", percent(times.reader_busy / times.seconds)),
        (
            "Encoding threads busy",
            f"{percent(times.encoder_busy / each)} of {times.encoders}",
        ),
        (
            "PUTs under way",
            f"{times.put_busy / times.seconds:.1f} on average, at most {times.senders}",
        ),
    ]


def _of_chunks(result: Result, chunks: list[ChunkTimes]) -> list[Section]:
    sent = result.own.chunks
    part = f" {len(chunks)} of {sent:,} chunks." if len(chunks) < sent else ""
    p50, p95, p99 = (duration(result.latencies.quantile(share)) for share in (0.5, 0.95, 0.99))
    return [
        Section(
            "timeline-of-chunks",
            "Timeline of chunks",
            f"Reading and encoding overlap, and so do PUTs.{part} {READING}",
            charts=(timeline(chunks),),
        ),
        Section(
            "put-latency",
            "PUT latency",
            f"A PUT that succeeded took {p50} (p50), {p95} (p95), {p99} (p99). A chunk that was "
            "sent again counts here from its first attempt on.",
            charts=(put_times(chunks, result.latencies),),
        ),
    ]


def _facts(result: Result, facts: LoadFacts) -> list[tuple[str, str]]:
    return [
        ("Server", facts.server),
        ("Project", facts.project or "not named"),
        ("Dataset", result.dataset or "not known"),
        ("Dataset id", result.dataset_id or "not known"),
        ("Job", result.job or "none"),
        *host_facts(facts.host),
        ("Sources", ", ".join(facts.sources)),
        *((option(name), value(name, thing)) for name, thing in facts.settings.items()),
    ]


def _tables(result: Result) -> Table:
    return Table(
        "What the server accepted",
        (
            Column("Table", number=False),
            Column("Rows"),
            Column("Chunks"),
            Column("JSON"),
            Column("Rejected rows"),
        ),
        tuple(
            Row(
                (
                    Cell(table.name, table.name),
                    Cell(f"{table.rows:,}", table.rows),
                    Cell(f"{table.chunks:,}", table.chunks),
                    Cell(size(table.json_bytes), table.json_bytes),
                    Cell(f"{table.rejected:,}", table.rejected, "bad" if table.rejected else ""),
                )
            )
            for table in result.tables
        ),
    )
