"""The tables of docs/capacity.md: worked examples, and where tables go."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from benchmarks.measure import Failed
from benchmarks.prediction import WIRE, Load, Rates, predict
from benchmarks.setting import ROOT
from loader.units import MB

__all__ = ["PAGE", "example_tables", "markdown", "put"]

PAGE = ROOT / "docs" / "capacity.md"

_JSON_OF_PARQUET = 867.9 / 231.7
"""JSON for each byte of Parquet: lineitem in columns."""

_SIZES = {"100 GB": 100_000.0, "1 TB": 1_000_000.0}

_PLAIN = Rates(
    host=250.0,
    bandwidth=115.0,
    ingest=60.0,
    stream=12.0,
    latency=0.5,
    publish_time=5.0,
    publish_rate=150.0,
)
_FAST = replace(_PLAIN, bandwidth=1150.0, ingest=400.0, stream=60.0, publish_rate=600.0)

_STEPS: Sequence[tuple[str, Rates, Load]] = (
    ("as it comes: 1 GB of memory", _PLAIN, Load(json=0)),
    ("`--memory 1.5GB`", _PLAIN, Load(json=0, memory=1500.0)),
    (
        "and a server twice as fast in all",
        replace(_PLAIN, ingest=120.0),
        Load(json=0, memory=1500.0),
    ),
    ("10 Gbit/s and a fast server, 1 GB of memory", _FAST, Load(json=0)),
    ("the same, `--memory 1.5GB`", _FAST, Load(json=0, memory=1500.0)),
)


def example_tables() -> Mapping[str, str]:
    """Returns the tables of examples by the names of their places."""
    return {"sizes": _sizes_table(), "examples": _examples_table()}


def _sizes_table() -> str:
    ratios = {"Parquet": 1.0, "JSON": _JSON_OF_PARQUET, "on the wire": _JSON_OF_PARQUET * WIRE}
    return markdown(
        ["given", *ratios],
        [
            [f"{size} {kind}", *(_amount(mb * ratio / ratios[kind]) for ratio in ratios.values())]
            for size, mb in _SIZES.items()
            for kind in ratios
        ],
    )


def _examples_table() -> str:
    lines = []
    for name, rates, load in _STEPS:
        cells = []
        for mb in _SIZES.values():
            found = predict(replace(load, json=mb * _JSON_OF_PARQUET), rates)
            cells += [_duration(found.upload), _duration(found.publish)]
        rate = mb * _JSON_OF_PARQUET / found.upload
        lines.append([name, f"{found.at_once}", f"{found.limit}", f"{rate:.0f}", *cells])
    titles = [f"{size}: {what}" for size in _SIZES for what in ("upload", "publish")]
    return markdown(["setting", "at once", "limit", "MB/s of JSON", *titles], lines)


def _amount(mb: float) -> str:
    return f"{mb / 1000:.0f} GB" if mb < MB else f"{mb / MB:.2f} TB"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02}" if minutes >= 60 else f"{minutes} min"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table of Markdown whose first column is text."""
    rules = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rules, *rows))


def put(text: str, name: str, body: str) -> str:
    """Returns a page with another body between the marks of a place.

    Raises:
        Failed: It has no such place.
    """
    place = re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", re.DOTALL)
    if not place.search(text):
        raise Failed(f"the page has no <!-- {name} --> … <!-- /{name} -->")
    return place.sub(lambda _: f"\n{body}\n\n", text)
