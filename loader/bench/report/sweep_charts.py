"""The charts of a sweep: throughput, latency and stages by setting."""

from __future__ import annotations

from loader.bench.records import Run, Setting
from loader.bench.report.figures import (
    SERIES,
    Chart,
    Figure,
    axis,
    bars,
    hover,
    layout,
    note,
    scale,
)
from loader.bench.report.stages import WAITS
from loader.bench.report.summary import Measured, Summary
from loader.bench.report.words import (
    chunk_size,
    duration,
    figure_text,
    in_words,
    label,
    megabytes,
    rate,
    rows_rate,
    spread,
)

__all__ = ["heat_maps", "latencies", "stages", "throughputs"]

_CONCURRENCY = "PUTs at once (concurrency)"
_STAR = "★ "

_FULL = 0.62
"""The share of the most from which a colour is full: text on it is in the other lightness."""


def heat_maps(summary: Summary, chosen: Setting | None) -> list[Chart]:
    """Returns a heat map of throughput for each orientation, all on one scale from 0.

    The cells say MB/s of JSON, and are coloured by rows/s: row orientation needs more JSON for the
    same rows.

    Args:
        summary: The sweep.
        chosen: The setting to point out.
    """
    most = summary.ranked[0].rows_per_second if summary.ranked else 0.0
    return [
        Chart(
            f"heat-{orientation}",
            _heat_map(summary, orientation, most, chosen),
            f"{orientation} orientation",
            f"Heat map of the median throughput in MB/s of JSON by chunk size and concurrency, "
            f"{orientation} orientation. The table of all runs has the same figures.",
        )
        for orientation in summary.orientations
    ]


def _heat_map(summary: Summary, orientation: str, most: float, chosen: Setting | None) -> Figure:
    sizes, counts = summary.chunk_sizes, summary.concurrencies
    grid = [
        [summary.of(Setting(orientation, size, at_once)) for at_once in counts] for size in sizes
    ]
    marked = chosen is not None and chosen.orientation == orientation
    return {
        "data": [
            {
                "type": "heatmap",
                "x": [str(at_once) for at_once in counts],
                "y": [chunk_size(size) for size in sizes],
                "z": [[one.rows_per_second if one.runs else None for one in row] for row in grid],
                "hovertext": [[_of_setting(one) for one in row] for row in grid],
                "hoverinfo": "text",
                "zmin": 0,
                "zmax": most or 1,
                "colorscale": scale(),
                "showscale": False,
                "xgap": 3,
                "ygap": 3,
            }
        ],
        "layout": layout(
            96 + 62 * len(sizes),
            axis(_CONCURRENCY, type="category", showgrid=False, fixedrange=True),
            axis("chunk size (JSON)", type="category", showgrid=False, fixedrange=True),
            shapes=[_frame(grid, chosen)] if marked and chosen and _has(grid, chosen) else [],
            annotations=[
                _cell(one, chosen, x, y, most)
                for y, row in enumerate(grid)
                for x, one in enumerate(row)
            ],
        ),
    }


def _cell(one: Measured, chosen: Setting | None, x: int, y: int, most: float) -> Figure:
    """Returns the text of a cell: the median, and where there are several runs their range."""
    if not one.runs:
        return note("failed" if one.failures else "skipped" if one.skipped else "not run", x, y)
    rates = [run.json_rate for run in one.runs]
    star = _STAR if one.setting == chosen else ""
    lines = [f"<b>{star}{megabytes(one.json_rate):.3g}</b>"]
    if len(rates) > 1:
        lines.append(_small(spread(min(rates), max(rates))))
    if one.failures:
        lines.append(_small(f"{len(one.failures)} failed"))
    ground = "full" if one.rows_per_second > _FULL * most else "pale"
    return note("<br>".join(lines), x, y, font={"size": 14, "color": f"@on-{ground}"})


def _small(text: str) -> str:
    return f"<span style='font-size:10px'>{text}</span>"


def _of_setting(one: Measured) -> str:
    lines = [f"<b>{figure_text(in_words(one.setting))}</b>"]
    if one.runs:
        rates = [run.json_rate for run in one.runs]
        several = len(rates) > 1
        lines += [
            f"{rate(one.json_rate)} of JSON"
            + (f", median of {len(rates)} runs" if several else ""),
            rows_rate(one.median(lambda run: run.rows_per_second)),
            *([f"from {rate(min(rates))} to {rate(max(rates))}"] if several else []),
            f"PUT p95 {duration(one.median(lambda run: run.put_p95))}",
            f"publish {duration(one.median(lambda run: run.publish_seconds))}",
        ]
    lines += [f"failed: {figure_text(_short(why))}" for why in dict.fromkeys(one.failures)]
    lines += [f"skipped: {figure_text(_short(why))}" for why in dict.fromkeys(one.skipped)]
    return "<br>".join(lines)


def _short(text: str) -> str:
    """Returns what of a text fits into a line of a chart; tables have it whole."""
    longest = 90
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _has(grid: list[list[Measured]], chosen: Setting) -> bool:
    return any(one.setting == chosen for row in grid for one in row)


def _frame(grid: list[list[Measured]], chosen: Setting) -> Figure:
    """Returns a frame around a cell; categories count from 0."""
    x, y = next(
        (x, y) for y, row in enumerate(grid) for x, one in enumerate(row) if one.setting == chosen
    )
    return {
        "type": "rect",
        "x0": x - 0.48,
        "x1": x + 0.48,
        "y0": y - 0.46,
        "y1": y + 0.46,
        "line": {"color": "@mark", "width": 4},
    }


def throughputs(summary: Summary) -> list[Chart]:
    """Returns the throughput of every run by concurrency, with lines through the medians."""
    most = max((run.json_rate for one in summary.measured for run in one.runs), default=0.0)
    return [
        Chart(
            f"throughput-{orientation}",
            {
                "data": [
                    trace
                    for place, size in enumerate(summary.chunk_sizes)
                    for trace in _line(summary, orientation, size, place)
                ],
                "layout": layout(
                    340,
                    axis(
                        _CONCURRENCY,
                        # Doublings are equally far apart.
                        type="log",
                        tickmode="array",
                        tickvals=summary.concurrencies,
                        ticktext=[str(one) for one in summary.concurrencies],
                        showgrid=False,
                    ),
                    axis("JSON accepted (MB/s)", range=[0, megabytes(most) * 1.06 or 1]),
                ),
            },
            f"{orientation} orientation",
            f"Lines of the median throughput by concurrency, one for each chunk size, "
            f"{orientation} orientation, with a point for each run.",
        )
        for orientation in summary.orientations
    ]


def _line(summary: Summary, orientation: str, size: int, place: int) -> list[Figure]:
    colour, symbol, dash = SERIES[place % len(SERIES)]
    of_size = [
        one
        for one in summary.measured
        if one.runs and one.setting.orientation == orientation and one.setting.chunk_size == size
    ]
    runs = [run for one in of_size for run in one.runs]
    name = chunk_size(size)
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "x": [run.concurrency for run in runs],
            "y": [megabytes(run.json_rate) for run in runs],
            "marker": {"color": colour, "symbol": symbol, "size": 6, "opacity": 0.4},
            "legendgroup": name,
            "showlegend": False,
            "cliponaxis": False,
            **hover([_of_run(run) for run in runs]),
        },
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": name,
            "x": [one.setting.concurrency for one in of_size],
            "y": [megabytes(one.json_rate) for one in of_size],
            "line": {"color": colour, "dash": dash, "width": 2},
            "marker": {"color": colour, "symbol": symbol, "size": 8},
            "legendgroup": name,
            "cliponaxis": False,
            **hover([_of_setting(one) for one in of_size]),
        },
    ]


def _of_run(run: Run) -> str:
    return (
        f"<b>run {run.number}, repetition {run.repeat}</b><br>"
        f"{figure_text(in_words(run.setting))}<br>"
        f"{rate(run.json_rate)} of JSON, {rows_rate(run.rows_per_second)}"
    )


def latencies(summary: Summary) -> list[Chart]:
    """Returns the latency of PUTs by concurrency: p50, p95 and p99 of every chunk size."""
    most = max((one.median(lambda run: run.put_p99) for one in summary.ranked), default=0.0)
    counts = summary.concurrencies
    return [
        Chart(
            f"latency-{orientation}",
            {
                "data": [
                    _quantiles(summary, orientation, size, place)
                    for place, size in enumerate(summary.chunk_sizes)
                ],
                "layout": layout(
                    340,
                    axis(
                        _CONCURRENCY,
                        tickmode="array",
                        tickvals=list(range(len(counts))),
                        ticktext=[str(one) for one in counts],
                        range=[-0.5, len(counts) - 0.5],
                        showgrid=False,
                    ),
                    axis("PUT latency (s)", range=[0, most * 1.06 or 1]),
                ),
            },
            f"{orientation} orientation",
            f"Range of the PUT latency from p50 to p99 by concurrency, for each chunk size, "
            f"{orientation} orientation. The table of all runs has the same figures.",
        )
        for orientation in summary.orientations
    ]


def _quantiles(summary: Summary, orientation: str, size: int, place: int) -> Figure:
    """Returns a line from p50 to p99 for each concurrency, beside those of the other sizes."""
    colour = SERIES[place % len(SERIES)][0]
    sizes = len(summary.chunk_sizes)
    aside = (place - (sizes - 1) / 2) * 0.7 / sizes
    x: list[float | None] = []
    y: list[float | None] = []
    texts: list[str] = []
    for column, at_once in enumerate(summary.concurrencies):
        one = summary.of(Setting(orientation, size, at_once))
        if not one.runs:
            continue
        quantiles = [
            one.median(lambda run: run.put_p50),
            one.median(lambda run: run.put_p95),
            one.median(lambda run: run.put_p99),
        ]
        # None ends a line.
        x += [column + aside] * 3 + [None]
        y += [*quantiles, None]
        named = zip(("p50", "p95", "p99"), map(duration, quantiles), strict=True)
        texts += [
            "<br>".join([f"<b>{figure_text(in_words(one.setting))}</b>", *map(" ".join, named)])
        ] * 4
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": chunk_size(size),
        "x": x,
        "y": y,
        "line": {"color": colour, "width": 2},
        "marker": {
            "color": colour,
            "symbol": ["circle", "line-ew-open", "circle-open", "circle"] * (len(x) // 4),
            "size": [9, 12, 8, 9] * (len(x) // 4),
            "line": {"color": colour, "width": 2},
        },
        **hover(texts),
    }


def stages(summary: Summary, chosen: Setting | None) -> Chart:
    """Returns what the uploads waited for, and beside it how long publishing took."""
    ranked = summary.ranked
    runs = [one.typical for one in ranked]
    labels = [
        (_STAR if one.setting == chosen else "") + figure_text(label(one.setting)) for one in ranked
    ]
    data = [
        bars(
            stage.name,
            stage.colour,
            x=[run.stages.get(stage.key, 0.0) for run in runs],
            y=labels,
            **hover([_of_stage(run, stage.name, run.stages.get(stage.key, 0.0)) for run in runs]),
        )
        for stage in WAITS
        if stage.always or any(run.stages.get(stage.key) for run in runs)
    ]
    data.append(
        bars(
            "publish",
            "@publish",
            x=[run.publish_seconds for run in runs],
            y=labels,
            xaxis="x2",
            **hover([_of_stage(run, "publish", run.publish_seconds) for run in runs]),
        )
    )
    return Chart(
        "stages",
        {
            "data": data,
            "layout": layout(
                120 + 22 * len(ranked),
                axis("upload (s)", domain=[0, 0.7], rangemode="tozero"),
                axis(
                    "orientation · chunk size · PUTs at once",
                    type="category",
                    # One label for each bar, the fastest on top.
                    autorange="reversed",
                    dtick=1,
                    showgrid=False,
                ),
                xaxis2=axis("publish (s)", domain=[0.76, 1], anchor="y", rangemode="tozero"),
                barmode="stack",
                bargap=0.25,
            ),
        },
        f"{'Median run' if summary.repeated else 'Run'} of each setting, the fastest on top",
        "Stacked bars of what the upload of each setting waited for, in seconds: reading, "
        "encoding, the server and the rate limit; beside them the seconds of publishing.",
    )


def _of_stage(run: Run, stage: str, seconds: float) -> str:
    return f"<b>{figure_text(in_words(run.setting))}</b><br>{stage}: {duration(seconds)}"
