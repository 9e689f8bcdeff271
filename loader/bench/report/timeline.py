"""The way of each chunk through a load: read, encoded, waiting, sent, accepted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from loader.bench.report.figures import Chart, Figure, View, axis, bars, hover, layout, note
from loader.bench.report.words import count, duration, figure_text
from loader.job.timing import ChunkTimes, Latencies, Span
from loader.units import size

__all__ = ["MOST_ROWS", "READING", "put_times", "shown", "timeline"]

MOST_ROWS: Final = 500
"""More bars than that are slow to draw, and thinner than a pixel."""

READING: Final = (
    "Reading and encoding are drawn from a chunk's first row to its last, waits included: while "
    "the server is behind, they are long though nobody works. Drag to look closer, double-click to "
    "go back."
)
"""How to read the chart."""

_VIEW_ROWS: Final = 50
_LONGEST_NAME: Final = 18
_BEGAN: Final = "time since the upload began (s)"


def shown(chunks: Sequence[ChunkTimes]) -> list[ChunkTimes]:
    """Returns the chunks that a chart can show, by table and index.

    Where there are too many, those that were sent more than once come first, and the others are
    evenly thinned out.
    """
    places = {table: place for place, table in enumerate(_tables(chunks))}
    ordered = sorted(chunks, key=lambda chunk: (places[chunk.table], chunk.index))
    repeated = _thinned([chunk for chunk in ordered if chunk.attempts > 1], MOST_ROWS)
    once = [chunk for chunk in ordered if chunk.attempts <= 1]
    kept = [*repeated, *_thinned(once, MOST_ROWS - len(repeated))]
    return sorted(kept, key=lambda chunk: (places[chunk.table], chunk.index))


def _thinned(chunks: list[ChunkTimes], most: int) -> list[ChunkTimes]:
    if len(chunks) <= most:
        return chunks
    return [chunks[place * len(chunks) // most] for place in range(most)]


def _tables(chunks: Iterable[ChunkTimes]) -> list[str]:
    return list(dict.fromkeys(chunk.table for chunk in chunks))


def timeline(chunks: Sequence[ChunkTimes]) -> Chart:
    """Returns a row for each chunk, with bars for what happened to it.

    Args:
        chunks: As ``shown`` returns them, at least one.
    """
    labels = _labels(chunks)
    rows = list(zip(labels, chunks, strict=True))
    repeated = [(label, chunk) for label, chunk in rows if chunk.attempts > 1]
    once = [(label, chunk) for label, chunk in rows if chunk.attempts <= 1]
    # Reading and encoding overlap: each has half the height of a row, and a PUT all of it.
    data = [
        _bars("read (span)", "@read", rows, [one.read for one in chunks], (-0.4, 0.4)),
        _bars(
            "encode (span)",
            "@encode",
            rows,
            [one.encode for one in chunks],
            (0.0, 0.4),
        ),
        _bars(
            "waiting for its turn",
            "@wait",
            rows,
            [Span(one.encode.end, max(one.encode.end, one.put.begin)) for one in chunks],
            (-0.1, 0.2),
        ),
        _bars("PUT until accepted", "@put", once, [one.put for _, one in once], (-0.4, 0.8)),
    ]
    if repeated:
        data += _repeated(repeated)
    end = max(chunk.put.end for chunk in chunks)
    return Chart(
        "timeline",
        {
            "data": data,
            "layout": layout(
                min(max(120 + 16 * len(chunks), 220), 760),
                axis(_BEGAN, range=[0, end * 1.03 or 1]),
                axis(
                    "chunk" if len(_tables(chunks)) == 1 else "table and chunk",
                    type="category",
                    showgrid=False,
                    range=[len(chunks) - 0.5, -0.5],
                ),
                barmode="overlay",
                dragmode="zoom",
            ),
        },
        "One row for each chunk, from reading its first row to the server's acceptance; spans of "
        "reading and encoding include waits",
        "Timeline of chunks: for each of them when it was read, encoded, sent and accepted.",
        _views(chunks, labels, end),
    )


def _labels(chunks: Sequence[ChunkTimes]) -> list[str]:
    """Returns the name of each row: the index, and where there are several tables the table."""
    tables = _tables(chunks)
    if len(tables) == 1:
        return [str(chunk.index) for chunk in chunks]
    names: dict[str, str] = {}
    for place, table in enumerate(tables, 1):
        name = figure_text(
            table if len(table) <= _LONGEST_NAME else table[: _LONGEST_NAME - 1] + "…"
        )
        names[table] = f"{name} ({place})" if name in names.values() else name
    return [f"{names[chunk.table]} {chunk.index}" for chunk in chunks]


def _bars(
    name: str,
    colour: str,
    rows: Sequence[tuple[str, ChunkTimes]],
    spans: Sequence[Span],
    lane: tuple[float, float],
) -> Figure:
    """Returns one bar in each row.

    Args:
        name: What it is.
        colour: The name of its colour.
        rows: Labels and chunks.
        spans: From when to when, for each row.
        lane: Where it begins in the height of a row, whose middle is 0, and how high it is.
    """
    return bars(
        name,
        colour,
        y=[label for label, _ in rows],
        base=[span.begin for span in spans],
        x=[span.seconds for span in spans],
        offset=lane[0],
        width=lane[1],
        **hover([_of_chunk(chunk) for _, chunk in rows]),
    )


def _repeated(rows: Sequence[tuple[str, ChunkTimes]]) -> list[Figure]:
    """Returns hatched bars for PUTs that were sent again, and how often at their ends."""
    again = _bars("PUT, sent again", "@again", rows, [one.put for _, one in rows], (-0.4, 0.8))
    again["marker"]["pattern"] = {
        "shape": "/",
        "size": 6,
        "solidity": 0.25,
        "fgcolor": "@card",
        "fillmode": "overlay",
    }
    marks = {
        "type": "scatter",
        "mode": "markers+text",
        "x": [chunk.put.end for _, chunk in rows],
        "y": [label for label, _ in rows],
        "text": [f"\u00d7{chunk.attempts}" for _, chunk in rows],
        "textposition": "middle right",
        "textfont": {"size": 11, "color": "@text"},
        "marker": {"symbol": "diamond", "size": 6, "color": "@again"},
        "cliponaxis": False,
        "showlegend": False,
        **hover([_of_chunk(chunk) for _, chunk in rows]),
    }
    return [again, marks]


def _of_chunk(chunk: ChunkTimes) -> str:
    attempts = "" if chunk.attempts <= 1 else f", {chunk.attempts} attempts"
    return "<br>".join(
        [
            f"<b>{figure_text(chunk.table)}, chunk {chunk.index}</b>",
            f"{count(chunk.rows, 'row')}, {size(chunk.json_bytes)} of JSON",
            f"read, waits included: {_when(chunk.read)}",
            f"encoded, waits included: {_when(chunk.encode)}",
            f"PUT {_when(chunk.put)}{attempts}",
        ]
    )


def _when(span: Span) -> str:
    return f"{duration(span.seconds)} (at {span.begin:.2f}\u2013{span.end:.2f} s)"


def _views(chunks: Sequence[ChunkTimes], labels: Sequence[str], end: float) -> tuple[View, ...]:
    """Returns closer looks at some rows each, where all at once are too narrow to read."""
    if len(chunks) <= _VIEW_ROWS:
        return ()
    views = [_view(f"all {len(chunks)} chunks", (0, len(chunks)), (0.0, end * 1.03))]
    for first in range(0, len(chunks), _VIEW_ROWS):
        some = chunks[first : first + _VIEW_ROWS]
        last = first + len(some)
        begins = min(chunk.read.begin for chunk in some)
        ends = max(chunk.put.end for chunk in some)
        margin = (ends - begins) * 0.03
        views.append(
            _view(
                f"{labels[first]} to {labels[last - 1]}",
                (first, last),
                (max(0.0, begins - margin), ends + margin),
            )
        )
    return tuple(views)


def _view(label: str, rows: tuple[int, int], seconds: tuple[float, float]) -> View:
    return View(
        label, {"yaxis.range": [rows[1] - 0.5, rows[0] - 0.5], "xaxis.range": list(seconds)}
    )


def put_times(chunks: Sequence[ChunkTimes], latencies: Latencies) -> Chart:
    """Returns how long the PUT of each chunk took, and the quantiles of all.

    Args:
        chunks: As ``shown`` returns them, at least one.
        latencies: Of all PUTs of the load.
    """
    kinds = (
        ("accepted at once", "@put", "circle", [one for one in chunks if one.attempts <= 1]),
        ("sent again", "@again", "diamond", [one for one in chunks if one.attempts > 1]),
    )
    quantiles = [(f"p{share:.0%}"[:-1], latencies.quantile(share)) for share in (0.5, 0.95, 0.99)]
    most = max(*(chunk.put.seconds for chunk in chunks), *(seconds for _, seconds in quantiles))
    return Chart(
        "put-times",
        {
            "data": [
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": name,
                    "x": [chunk.put.end for chunk in some],
                    "y": [chunk.put.seconds for chunk in some],
                    "marker": {"color": colour, "symbol": symbol, "size": 7, "opacity": 0.75},
                    **hover([_of_chunk(chunk) for chunk in some]),
                }
                for name, colour, symbol, some in kinds
                if some
            ],
            "layout": layout(
                320,
                axis(f"accepted: {_BEGAN}", rangemode="tozero"),
                axis("PUT until accepted (s)", range=[0, most * 1.1 or 1]),
                showlegend=True,
                shapes=[
                    {
                        "type": "line",
                        "xref": "paper",
                        "x0": 0,
                        "x1": 1,
                        "y0": seconds,
                        "y1": seconds,
                        "line": {"color": "@dim", "width": 1, "dash": dash},
                    }
                    for (_, seconds), dash in zip(quantiles, ("solid", "dash", "dot"), strict=True)
                ],
                annotations=[_quantile_note(quantiles)],
            ),
        },
        "Each chunk by when it was accepted",
        "Points: seconds of the PUT of each chunk by when it was accepted; lines: p50, p95, p99.",
    )


def _quantile_note(quantiles: Sequence[tuple[str, float]]) -> Figure:
    return note(
        "lines: "
        + ", ".join(
            f"{name} {duration(seconds)} {kind}"
            for (name, seconds), kind in zip(
                quantiles, ("(solid)", "(dashed)", "(dotted)"), strict=True
            )
        ),
        1,
        1,
        xref="paper",
        yref="paper",
        xanchor="right",
        yanchor="bottom",
    )
