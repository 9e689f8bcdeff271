"""Which texts are not of a type that a sample of the column showed.

The same rules as in ``csv_types``, value by value instead of for a whole column: where half a
column does not fit, every single misfit has to be known, in a pass.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from loader.sources.csv_texts import swapped
from loader.sources.csv_types import (
    EARLIEST,
    LATEST,
    NOT_FINITE,
    NS_REACH,
    Guess,
    exact_double,
)

__all__ = ["misfits"]

_BLANK: Final = pa.scalar("")
_BOOL: Final = r"^(true|True|TRUE|false|False|FALSE)$"
_WHOLE: Final = r"^-?(0|[1-9][0-9]*)$"
_SHORT_WHOLE: Final = r"^-?(0|[1-9][0-9]{0,17})$"  # every such number fits an int64
_NUMBER: Final = re.compile(
    r"-?(?P<whole>0|[1-9][0-9]*|)(?:\.(?P<fraction>[0-9]+))?"
    r"(?:[eE](?P<exponent>[+-]?[0-9]{1,4}))?"
)
# All digits together are 15 at most, so a double holds them.
_SHORT_NUMBER: Final = r"^-?((0|[1-9][0-9]{0,6})(\.[0-9]{1,8})?|\.[0-9]{1,15})$"
_DATE: Final = r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
_DAY_OF_EVERY_MONTH: Final = r"(?:[1-9]\d{3})-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])"
_TIME: Final = r"(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d%s)?"
_ZONE: Final = r"(?:Z|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)"
_FRACTION: Final = {
    "s": "",
    "ms": r"(?:\.\d{1,3})?",
    "us": r"(?:\.\d{1,6})?",
    "ns": r"(?:\.\d{1,9})?",
}
_EPOCH: Final = dt.date(1970, 1, 1).toordinal()
_INT64: Final = 2**63

_Fits: TypeAlias = Callable[[str], bool]


def misfits(
    guess: Guess, column: pa.StringArray, kind: pa.DataType
) -> npt.NDArray[np.bool_] | None:
    """Returns which texts are not of the type; None if all are. Null and empty ones always are.

    Args:
        guess: What the sample showed; it stays as it is.
        column: The texts.
        kind: The type the guess gave.
    """
    if pt.is_string(kind):
        return None
    probe = replace(guess)
    probe.see(column)
    if probe.data_type.equals(kind):
        return None
    if guess.comma and (pt.is_integer(kind) or pt.is_floating(kind) or pt.is_decimal(kind)):
        column = swapped(column)
    surely, perhaps, fits = _rules(kind)
    wrong = ~(_mask(pc.match_substring_regex(column, surely)) | _mask(pc.equal(column, _BLANK)))
    rows = np.flatnonzero(wrong)
    if perhaps is None or not len(rows):
        return wrong
    rest = column.take(pa.array(rows))
    likely = _mask(pc.match_substring_regex(rest, perhaps))
    rows, rest = rows[likely], rest.filter(pa.array(likely))
    wrong[rows[np.fromiter(map(fits, rest.to_pylist()), np.bool_, len(rest))]] = False
    return wrong


def _mask(found: pa.BooleanArray) -> npt.NDArray[np.bool_]:
    """Returns where it is true or null."""
    mask: npt.NDArray[np.bool_] = found.fill_null(True).to_numpy(zero_copy_only=False)
    return mask


def _rules(kind: pa.DataType) -> tuple[str, str | None, _Fits]:
    """Returns a pattern of texts that surely fit, one of those that may, and which of those do."""
    if pt.is_boolean(kind):
        return _BOOL, None, _never
    if pt.is_integer(kind):
        return _SHORT_WHOLE, _WHOLE, _is_int64
    if pt.is_floating(kind):
        words = "|".join(NOT_FINITE.to_pylist())
        return rf"{_SHORT_NUMBER}|^({words})$", f"^{_plain(_NUMBER.pattern)}$", _is_double
    if pt.is_decimal(kind):
        whole, scale = kind.precision - kind.scale, kind.scale
        return "^$", f"^{_plain(_NUMBER.pattern)}$", lambda text: _is_decimal(text, whole, scale)
    if pt.is_date(kind):
        return f"^{_DAY_OF_EVERY_MONTH}$", f"^{_DATE}$", _is_date
    time = _TIME % _FRACTION[kind.unit]
    if pt.is_time(kind):
        return f"^{time}$", None, _never
    zone = "" if kind.tz is None else _ZONE
    return "^$", f"^{_DATE}[ T]{time}{zone}$", lambda text: _is_moment(text, kind.unit)


def _plain(pattern: str) -> str:
    """Returns a pattern without the names of its groups, which RE2 writes otherwise."""
    return re.sub(r"\?P<\w+>", "", pattern)


def _never(_text: str) -> bool:
    return False


def _is_int64(text: str) -> bool:
    return len(text) <= len(str(-_INT64)) and -_INT64 <= int(text) < _INT64


def _digits(text: str) -> tuple[int, int] | None:
    """Returns the digits needed before and after the point; None if it is no number."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    whole, fraction = len(found["whole"]), len(found["fraction"] or "")
    exponent = int(found["exponent"] or 0)
    return None if whole + fraction == 0 else (whole + exponent, fraction - exponent)


def _is_double(text: str) -> bool:
    return _digits(text) is not None and exact_double(text)


def _is_decimal(text: str, whole: int, scale: int) -> bool:
    digits = _digits(text)
    return digits is not None and digits[0] <= whole and digits[1] <= scale


def _is_date(text: str) -> bool:
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _is_moment(text: str, unit: str) -> bool:
    """Whether a text of the right shape is a moment that the unit reaches."""
    if not _is_date(text[:10]):
        return False
    seconds = (dt.date.fromisoformat(text[:10]).toordinal() - _EPOCH) * 86_400
    seconds += int(text[11:13]) * 3600 + int(text[14:16]) * 60
    if text[16:17] == ":":
        seconds += int(text[17:19])
    if (zone := re.search(r"([+-])(\d\d):?(\d\d)?$", text[16:])) is not None:
        ahead = int(zone[2]) * 3600 + int(zone[3] or 0) * 60
        seconds -= ahead if zone[1] == "+" else -ahead
    if unit == "ns":
        return -NS_REACH < seconds < NS_REACH
    return EARLIEST <= seconds <= LATEST
