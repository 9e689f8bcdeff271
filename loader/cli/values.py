"""Parses what a user types: sizes, rates, durations and COL=VALUE pairs."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

from loader.errors import UsageError

__all__ = [
    "parse_count",
    "parse_duration",
    "parse_names",
    "parse_pairs",
    "parse_policies",
    "parse_size",
]

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(k|M|G|T)?(i)?B?", re.IGNORECASE)
_POWERS = {None: 0, "k": 1, "m": 2, "g": 3, "t": 4}

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)?")
_SECONDS = {None: 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def parse_size(option: str, text: str) -> int:
    """Returns the bytes of ``100MB``, ``1GB``, ``64MiB`` or ``500000``.

    Raises:
        UsageError: It is no size, or none above 0.
    """
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise UsageError(
            f"{option}: {text!r} is not a size", hint="write it as 100MB, 1GB or 64MiB"
        )
    number, unit, binary = found.groups()
    size = int(float(number) * (1024 if binary else 1000) ** _POWERS[unit and unit.lower()])
    if size <= 0:
        raise UsageError(f"{option}: {text!r} is not above 0", hint="write it as 100MB or 1GB")
    return size


def parse_count(option: str, text: str) -> int:
    """Returns a whole number above 0.

    Raises:
        UsageError: It is none.
    """
    if not text.isascii() or not text.isdigit() or not int(text):
        raise UsageError(
            f"{option}: {text!r} is neither auto nor a number above 0", hint="write it as auto or 4"
        )
    return int(text)


def parse_duration(option: str, text: str) -> float:
    """Returns the seconds of ``90``, ``90s``, ``30m``, ``2h`` or ``7d``.

    Raises:
        UsageError: It is no duration.
    """
    found = _DURATION.fullmatch(text.strip())
    if not found:
        raise UsageError(f"{option}: {text!r} is not a duration", hint="write it as 90s, 30m or 2h")
    number, unit = found.groups()
    return float(number) * _SECONDS[unit]


def parse_names(option: str, text: str) -> list[str]:
    """Returns the names of ``A,B``; a name that holds a comma is written in double quotes.

    Raises:
        UsageError: There is none, one is empty, or one occurs twice.
    """
    names = [name.strip() for name in next(csv.reader([text], skipinitialspace=True), [])]
    twice = {name for name in names if names.count(name) > 1}
    if not names or not all(names) or twice:
        # What is empty may be so twice, which is not what is wrong.
        reason = f"it names {min(twice)!r} twice" if all(names) and twice else "a name is empty"
        raise UsageError(f"{option} {text!r}: {reason}", hint=f"write it as {option} A,B")
    return names


def parse_pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    """Returns ``{name: value}`` of ``NAME=VALUE`` texts.

    Raises:
        UsageError: One has no ``=``, or a name occurs twice.
    """
    pairs: dict[str, str] = {}
    for text in texts:
        # The last one: a column's name may hold a "=", a type does not.
        name, separator, value = text.rpartition("=")
        if not separator or not name or not value:
            raise UsageError(
                f"{option} {text}: it is not NAME=VALUE", hint=f"write it as {option} NAME=VALUE"
            )
        if name in pairs:
            raise UsageError(f"{option} names {name!r} twice", hint="leave one of them out")
        pairs[name] = value
    return pairs


def parse_policies(texts: Sequence[str]) -> tuple[str | None, dict[str, str]]:
    """Returns the policy of all tables, and the ``TABLE=POLICY`` of single ones.

    Raises:
        UsageError: Several policies for all tables, or for one.
    """
    general = [text for text in texts if "=" not in text]
    if len(set(general)) > 1:
        raise UsageError(
            f"--policy is given as {' and '.join(general)}",
            hint="one policy for all tables, others as --policy TABLE=POLICY",
        )
    named = parse_pairs("--policy", [text for text in texts if "=" in text])
    return (general[0] if general else None), named
