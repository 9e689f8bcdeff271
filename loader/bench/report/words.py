"""Figures in words and digits, the same everywhere in a report."""

from __future__ import annotations

import html
import re
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from loader.bench.records import SIZES, Setting
from loader.units import MB, exact_size, size

__all__ = [
    "chunk_size",
    "clean",
    "count",
    "day",
    "duration",
    "figure_text",
    "host_of",
    "in_words",
    "label",
    "megabytes",
    "option",
    "percent",
    "rate",
    "rows_rate",
    "spread",
    "value",
]

# Control characters, of which HTML allows a few, and halves of surrogate pairs: names of files
# may be no valid Unicode.
_UNFIT: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_MINUTE, _HOUR = 60.0, 3600.0


def clean(text: str) -> str:
    """Returns a text without the characters that no page may have."""
    return _UNFIT.sub("\ufffd", text)


def figure_text(text: str) -> str:
    """Returns a text for a chart: plotly reads some HTML in all texts, links among it."""
    return html.escape(clean(" ".join(text.split())), quote=False)


def count(number: int, noun: str) -> str:
    """Returns 1 row, 2,000 rows."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def megabytes(rate: float) -> float:
    """Returns bytes in MB, for axes."""
    return rate / MB


def rate(bytes_per_second: float) -> str:
    """Returns ``84.2 MB/s``."""
    return f"{size(bytes_per_second)}/s"


def rows_rate(rows_per_second: float) -> str:
    """Returns ``1.31 M rows/s``."""
    for limit, unit in ((999_500, "M"), (999.5, "k")):
        if rows_per_second >= limit:
            return f"{rows_per_second / (1e6 if unit == 'M' else 1e3):.3g} {unit} rows/s"
    return f"{rows_per_second:.3g} rows/s"


def duration(seconds: float) -> str:
    """Returns ``850 ms``, ``3.42 s``, ``2 min 5 s`` or ``1 h 3 min``."""
    if seconds < 0.0005:  # noqa: PLR2004 - rounds to no millisecond
        return "0 s"
    if seconds < 0.9995:  # noqa: PLR2004 - rounds to a second
        return f"{seconds * 1000:.3g} ms"
    if seconds < 2 * _MINUTE:
        return f"{seconds:.3g} s"
    if seconds < _HOUR:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(seconds / _MINUTE), 60)
    return f"{hours} h {minutes} min"


def percent(share: float) -> str:
    """Returns a share of 1 as ``84 %``."""
    return f"{100 * share:.0f} %"


def spread(least: float, most: float) -> str:
    """Returns a range of MB/s as ``82.1-86.0``; one figure where both look the same."""
    low, high = f"{megabytes(least):.3g}", f"{megabytes(most):.3g}"
    return low if low == high else f"{low}\u2013{high}"


def day(moment: str) -> str:
    """Returns an ISO 8601 time as people read it; what is none as it is."""
    try:
        then = datetime.fromisoformat(moment)
    except ValueError:
        return moment
    return f"{then.day} {then:%B %Y, %H:%M} {then.tzname() or ''}".strip()


def chunk_size(wanted: int) -> str:
    """Returns the size of a chunk as the command line takes it, with a space."""
    return size(wanted)


def label(setting: Setting) -> str:
    """Returns a setting for an axis."""
    return f"{setting.orientation} · {chunk_size(setting.chunk_size)} · {setting.concurrency}"


def in_words(setting: Setting) -> str:
    """Returns a setting in words."""
    at_once = (
        "one PUT at a time" if setting.concurrency == 1 else f"{setting.concurrency} PUTs at once"
    )
    return (
        f"{setting.orientation} orientation, chunks of {chunk_size(setting.chunk_size)}, {at_once}"
    )


def value(name: str, thing: Any) -> str:
    """Returns the value of a setting for a list of facts, as the command line takes it."""
    if name in SIZES and isinstance(thing, int):
        return exact_size(thing)
    if name == "time_budget" and isinstance(thing, int | float):
        return _typed_duration(thing)
    if thing is None or thing == "":
        return "not given"
    if isinstance(thing, bool):
        return "yes" if thing else "no"
    if isinstance(thing, list | tuple):
        return ", ".join(value(name, item) for item in thing)
    return str(thing)


def _typed_duration(seconds: float) -> str:
    """Returns ``30m``; what is no whole number of minutes or hours in seconds."""
    for unit, length in (("h", _HOUR), ("m", _MINUTE)):
        if seconds and seconds % length == 0:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds:g}s"


def host_of(url: str) -> str:
    """Returns the host of a URL with its port; of what is none, all of it."""
    try:
        return urlsplit(url).netloc or url
    except ValueError:
        return url


def option(name: str) -> str:
    """Returns an option of the command line by the name that Python knows it under."""
    return f"--{name.replace('_', '-')}"
