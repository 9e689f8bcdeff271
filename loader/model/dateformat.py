"""Reads texts that write dates and times in a format of their own, whole columns at a time."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from loader.layouts import decoded
from loader.model.types import DataType

__all__ = ["DateFormat", "is_default", "parse_dates", "parse_format"]

Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Part:
    """A piece of a format: digits of a field, or the literal text between two fields."""

    field: str
    least: int = 0
    most: int = 0
    text: str = ""

    @property
    def width(self) -> int | None:
        """Bytes that it takes, where that is always the same number."""
        if not self.field:
            return len(self.text.encode())
        return self.least if 0 < self.least == self.most else None

    @property
    def pattern(self) -> str:
        """Its regular expression, a named group where it is a field."""
        if not self.field:
            return re.escape(self.text)
        if self.field == "month_name":
            return f"(?P<month_name>(?i:{'|'.join(_MONTHS)}))"
        if self.field == "half":
            return "(?P<half>(?i:AM|PM))"
        return f"(?P<{self.field}>[0-9]{{{self.least},{self.most}}})"


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

# The letters of the one-request document ("YYYY-MM-DD[(T)hh:mm:[ss]]") and those of Java, from
# which the API's own samples come (yyyy, dd, HH, SSS). A doubled letter means two digits, a single
# one means as many as the number has.
_FIELDS = {
    **dict.fromkeys(("yyyy", "YYYY"), _Part("year", 4, 4)),
    "MMM": _Part("month_name"),
    "MM": _Part("month", 2, 2),
    "M": _Part("month", 1, 2),
    **dict.fromkeys(("dd", "DD"), _Part("day", 2, 2)),
    **dict.fromkeys(("d", "D"), _Part("day", 1, 2)),
    **dict.fromkeys(("HH", "hh"), _Part("hour", 2, 2)),
    **dict.fromkeys(("H", "h"), _Part("hour", 1, 2)),
    "mm": _Part("minute", 2, 2),
    "m": _Part("minute", 1, 2),
    "ss": _Part("second", 2, 2),
    "s": _Part("second", 1, 2),
    "a": _Part("half"),
}
_FRACTION_DIGITS = 9
_DATE = frozenset({"year", "month", "day"})
_CLOCK = frozenset({"hour", "minute", "second", "fraction", "half"})

_DEFAULT = "YYYY-MM-DD[(T)hh:mm:[ss]]"

# A run of one letter, a text in quotes (two quotes are one), or anything else.
_TOKEN = re.compile(r"([A-Za-z])\1*|'((?:[^']|'')*)'|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class DateFormat:
    """One format, understood.

    Attributes:
        parts: Its fields and the texts between them, in order.
        fields: The names of the fields.
    """

    parts: tuple[_Part, ...]
    fields: frozenset[str]

    @property
    def data_type(self) -> DataType:
        """What such texts are unless the user says otherwise."""
        if not self.fields & _DATE:
            return DataType.TIME
        return DataType.DATETIME if self.fields & _CLOCK else DataType.DATE

    def arrow_type_for(self, wanted: DataType) -> pa.DataType | None:
        """Returns the Arrow type for a data type, or None where the format does not give it.

        A date can be sent as a DATETIME (midnight); nothing that a text says is ever dropped.
        """
        if wanted is DataType.DATETIME and self.fields & _DATE:
            digits = sum(part.most for part in self.parts if part.field == "fraction")
            # Nanoseconds reach from 1678 to 2262 only: they are taken where microseconds are
            # too coarse.
            return pa.timestamp("ns" if digits > _MICROSECOND_DIGITS else "us")
        if wanted is not self.data_type:
            return None
        return pa.time64("ns") if wanted is DataType.TIME else pa.date32()


_MICROSECOND_DIGITS = 6


def parse_format(text: str) -> DateFormat:
    """Reads a ``dateFormat``.

    ``yyyy`` (or ``YYYY``), ``MM``, ``dd`` (``DD``), ``HH`` (``hh``), ``mm``, ``ss`` and one to nine
    ``S`` are digits; ``M``, ``d``, ``H``, ``m``, ``s`` may have one digit; ``MMM`` is an English
    month in three letters, ``a`` is AM or PM and makes the hours 1 to 12. ``T`` and what is no
    letter stand for themselves, any text in single quotes too.

    Raises:
        ValueError: It is none; the message says why, as the end of a sentence.
    """
    parts: list[_Part] = []
    for token in _TOKEN.finditer(text):
        run, quoted = token.group(), token.group(2)
        part = _field(run) if token.group(1) and run != "T" else None
        if part is None:
            literal = run if quoted is None else quoted.replace("''", "'") or "'"
            part = _Part("", text=literal)
        parts.append(part)
    fields = [part.field.replace("month_name", "month") for part in parts if part.field]
    twice = next((field for field in fields if fields.count(field) > 1), None)
    if twice is not None:
        raise ValueError(f"names the {twice} twice")
    found = frozenset(fields)
    _check_complete(found)
    for part, following in itertools.pairwise(parts):
        if part.field and following.field and part.width is None and part.most:
            raise ValueError(
                f"leaves open where the {part.field} ends: write two letters, or a separator"
            )
    return DateFormat(tuple(parts), found)


def is_default(text: str) -> bool:
    """Whether a format is the default as the one-request document writes it: ISO 8601."""
    return text == _DEFAULT


def _field(run: str) -> _Part:
    if set(run) == {"S"} and len(run) <= _FRACTION_DIGITS:
        return _Part("fraction", len(run), len(run))
    if run in _FIELDS:
        return _FIELDS[run]
    if run in {"yy", "YY", "y", "Y"}:
        raise ValueError(f"has {run}: a year without its century cannot be told; write yyyy")
    if run[0] in "zZxXVO":
        raise ValueError(
            f"has {run}: time zones are read from ISO 8601 texts only, which need no dateFormat"
        )
    raise ValueError(
        f"has {run!r}, which is none of yyyy MM MMM dd HH mm ss SSS a; other letters are written "
        "in single quotes"
    )


def _check_complete(fields: frozenset[str]) -> None:
    day, clock = fields & _DATE, fields & _CLOCK
    if not fields:
        raise ValueError("names no part of a date or a time")
    if day and day != _DATE:
        raise ValueError(f"lacks the {' and the '.join(sorted(_DATE - day))}")
    needed = {"fraction": "second", "second": "minute", "minute": "hour", "half": "hour"}
    for field, needs in needed.items():
        if field in clock and needs not in clock:
            raise ValueError(f"has the {field} without the {needs}")
    if clock and not day and "minute" not in clock:
        raise ValueError("lacks the minute")


def parse_dates(texts: pa.Array, date_format: DateFormat, target: pa.DataType) -> pa.Array:
    """Returns what texts say, null for those that do not follow the format or name no such day.

    Args:
        texts: Strings of any layout; null stays null.
        date_format: What they follow, to the letter: nothing before, after or between.
        target: date32, time64 of nanoseconds or a timestamp without zone, as ``arrow_type_for``
            says.
    """
    texts = decoded(texts).cast(pa.string())  # a column may be of nothing but nulls
    present, fields = _digits(texts, date_format)
    valid, values = _evaluate(fields, target)
    result = np.zeros(len(texts), np.int64)
    present[present] = valid
    result[present] = values[valid]
    width = np.int32 if pt.is_date32(target) else np.int64
    bits = np.packbits(present, bitorder="little")
    return pa.Array.from_buffers(
        target, len(texts), [pa.py_buffer(bits), pa.py_buffer(result.astype(width))]
    )


def _digits(texts: pa.Array, date_format: DateFormat) -> tuple[Mask, dict[str, Integers]]:
    """Returns which texts have the right form, and the numbers in those, by field."""
    widths = [part.width for part in date_format.parts]
    if None in widths:
        return _found_by_pattern(texts, date_format)
    return _found_by_position(texts, date_format, [width or 0 for width in widths])


def _found_by_position(
    texts: pa.Array, date_format: DateFormat, widths: list[int]
) -> tuple[Mask, dict[str, Integers]]:
    """Reads texts that are all equally long as a matrix of bytes: ten times as fast."""
    width = sum(widths)
    lengths = pc.fill_null(pc.binary_length(texts), _NO_LENGTH).to_numpy(zero_copy_only=False)
    present: Mask = lengths == width
    fitting = texts if present.all() else texts.filter(pa.array(present))
    count = len(fitting)
    if not count:
        return present, {field: np.zeros(0, np.int64) for field in date_format.fields}
    offsets = np.frombuffer(fitting.buffers()[1], np.int32)[fitting.offset :]
    data = np.frombuffer(fitting.buffers()[2], np.uint8)
    matrix = data[offsets[0] : offsets[0] + count * width].reshape(count, width)
    fields: dict[str, Integers] = {}
    good = np.ones(count, np.bool_)
    start = 0
    for part, size in zip(date_format.parts, widths, strict=True):
        if not part.field:
            for place, byte in enumerate(part.text.encode(), start):
                good &= matrix[:, place] == byte
        else:
            number = np.zeros(count, np.int32)
            for place in range(start, start + size):
                # Unsigned: what is below "0" wraps round to above 9.
                digit = matrix[:, place] - np.uint8(ord("0"))
                good &= digit <= _LAST_DIGIT
                number *= 10
                number += digit
            scale = 10 ** (_FRACTION_DIGITS - size) if part.field == "fraction" else 1
            fields[part.field] = number.astype(np.int64) * scale
        start += size
    if not good.all():
        present[present] = good
        fields = {field: number[good] for field, number in fields.items()}
    return present, fields


_LAST_DIGIT = 9
_NO_LENGTH = pa.scalar(-1, pa.int32())


def _found_by_pattern(texts: pa.Array, date_format: DateFormat) -> tuple[Mask, dict[str, Integers]]:
    pattern = "".join(part.pattern for part in date_format.parts)
    found = pc.extract_regex(texts, rf"\A{pattern}\z")
    present: Mask = found.is_valid().to_numpy(zero_copy_only=False)
    fields: dict[str, Integers] = {}
    for part in date_format.parts:
        if not part.field:
            continue
        group = found.field(part.field).filter(pa.array(present))
        if part.field == "month_name":
            number = pc.add(pc.index_in(pc.ascii_lower(group), _MONTH_NAMES), _ONE)
            fields["month"] = number.to_numpy(zero_copy_only=False).astype(np.int64)
        elif part.field == "half":
            afternoon = pc.equal(pc.ascii_lower(group), _PM)
            fields["half"] = afternoon.to_numpy(zero_copy_only=False).astype(np.int64)
        else:
            number = group.cast(pa.int64()).to_numpy(zero_copy_only=False)
            scale = 10 ** (_FRACTION_DIGITS - part.most) if part.field == "fraction" else 1
            fields[part.field] = number * scale
    return present, fields


_MONTH_NAMES = pa.array(_MONTHS, pa.string())
_ONE = pa.scalar(1, pa.int32())
_PM = pa.scalar("pm")

_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_NANOSECONDS = 1_000_000_000
_DAY_SECONDS = 86_400
# The whole days that nanoseconds since 1970 can tell.
_NANOSECOND_DAYS = 106_751


def _evaluate(fields: dict[str, Integers], target: pa.DataType) -> tuple[Mask, Integers]:
    """Returns which numbers are a day and a time of day, and their value in the target's unit."""
    count = len(next(iter(fields.values())))
    valid = np.ones(count, np.bool_)
    days: Any = np.zeros(count, np.int64)
    if "year" in fields:
        days, valid = _days(fields["year"], fields["month"], fields["day"])
        if pt.is_date(target):
            return valid, days
    zeros = np.zeros(count, np.int64)
    hour = fields.get("hour", zeros)
    if "half" in fields:
        valid &= (hour >= 1) & (hour <= _HALF_DAY)
        hour = hour % _HALF_DAY + _HALF_DAY * fields["half"]
    minute, second = fields.get("minute", zeros), fields.get("second", zeros)
    # No leap seconds: neither Arrow nor ISO 8601 in the API's documents has them.
    valid &= (hour <= _LAST_HOUR) & (minute <= _LAST_MINUTE) & (second <= _LAST_MINUTE)
    seconds = hour * 3600 + minute * 60 + second
    fraction = fields.get("fraction", zeros)
    per_second = _PER_SECOND[target.unit]
    if target.unit == "ns":
        valid &= np.abs(days) < _NANOSECOND_DAYS
        days = np.where(valid, days, 0)
    values = (days * _DAY_SECONDS + seconds) * per_second
    return valid, values + fraction // (_NANOSECONDS // per_second)


_HALF_DAY = 12
_LAST_HOUR, _LAST_MINUTE = 23, 59


def _days(year: Integers, month: Integers, day: Integers) -> tuple[Integers, Mask]:
    """Returns the days since 1970, and which of them exist: not the 31st of February.

    Days are counted in years that begin with March, so that the leap day is the last one; numpy's
    own months and days take four times as long.
    """
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    valid: Mask = (year >= 1) & (month >= 1) & (month <= len(_MONTHS)) & (day >= 1)
    valid &= day <= _DAYS[np.where(valid, month, 0)] + (leap & (month == _FEBRUARY))
    years = year - (month <= _FEBRUARY)
    since_march = (month + 9) % 12
    of_months = (since_march * 153 + 2) // 5
    days = years * 365 + years // 4 - years // 100 + years // 400 + of_months + day - 1
    return days - _MARCH_OF_0_TO_1970, valid


_FEBRUARY = 2
_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_MARCH_OF_0_TO_1970 = 719_468
