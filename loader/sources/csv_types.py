"""What type the texts of a CSV column have, decided from all of them, and the way from text to it.

A column starts without evidence and is shown its texts batch by batch. Its first value picks a
family; every later value has to be of that family, or the column is text. Within a family the type
only ever widens, so the order of the rows does not matter for what a column of one family becomes:

====================  ==========================================================================
text                  type
====================  ==========================================================================
true, false           bool (also True, False, TRUE, FALSE)
whole numbers         int64; beyond it decimal128 or decimal256; beyond 76 digits text
other numbers         float64 if the shortest text of every double is the same number as the text
                      of the file (always so up to 15 digits), else a decimal that holds them all
NaN, inf              float64, next to numbers that are exact in it; else text
YYYY-MM-DD            date32
date T or space time  timestamp, of seconds or of as many fraction digits as needed (up to 9)
… with Z or +hh:mm    the same in UTC
HH:MM[:SS[.fraction]] time
nothing but null      null; text if there are quoted empty fields
====================  ==========================================================================

With a decimal comma the numbers have that in place of the point, and one with a point is no number.

Not numbers: ``007`` and other texts with a leading zero, ``+1``, ``1.``, ``0x1F``, and anything
with a space. An empty field is null everywhere; a quoted empty field (``""``) is an empty text in a
text column and null in every other.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loader.sources.csv_texts import Texts, present, swapped

__all__ = [
    "EARLIEST",
    "LATEST",
    "NOT_FINITE",
    "NS_REACH",
    "Guess",
    "convert",
    "exact_double",
    "exact_doubles",
]

_TRUE: Final = pa.array(["true", "True", "TRUE"])
_FALSE: Final = pa.array(["false", "False", "FALSE"])
_BOOLS: Final = pa.concat_arrays([_TRUE, _FALSE])
# As scalars: pyarrow looks for pandas each time it makes one of a Python object.
_BLANK: Final = pa.scalar("")
_NULL: Final = pa.scalar(None, pa.string())
_FIRST_DAY: Final = pa.scalar("1970-01-01T")
NOT_FINITE: Final = pa.array(
    [sign + word for sign in ("", "-") for word in ("inf", "Inf", "Infinity")] + ["NaN", "nan"]
)
_UNITS: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_DAY: Final = 86_400
# Years 1 to 9999, in seconds since 1970: what a four-digit year can tell.
EARLIEST: Final = -62_135_596_800
LATEST: Final = 253_402_300_799
NS_REACH: Final = (2**63 - 1) // 10**9 - 1
_INT64_DIGITS: Final = 18  # every number of so many digits fits
_DOUBLE_DIGITS: Final = 15  # every number of so many digits survives text -> double -> text
_DOUBLE_EXPONENT: Final = 290  # and every such number of at most this exponent is a normal double
_DOUBLE_WHOLE: Final = len("-9007199254740992")  # no longer whole number is counted as exact
_DECIMAL128_DIGITS: Final = 38
_DECIMAL256_DIGITS: Final = 76

_DATE: Final = r"\d{4}-\d\d-\d\d"
_TIME: Final = r"\d\d:\d\d(:\d\d(\.\d{1,9})?)?"
# RE2 and Python's own agree on this subset.
_EXPONENTIAL: Final = (
    r"^-?(?P<whole>0|[1-9][0-9]*|)(?P<fraction>\.[0-9]+)?[eE](?P<exponent>[+-]?[0-9]{1,4})$"
)


class Family(enum.Enum):
    """What kind of thing the values of a column are."""

    EMPTY = "empty"
    BOOL = "bool"
    NUMBER = "number"
    DATE = "date"
    TIMESTAMP = "timestamp"
    INSTANT = "instant"
    TIME = "time"
    TEXT = "text"


_SHAPES: Final = tuple(
    (family, re.compile(shape, re.ASCII))
    for family, shape in (
        (Family.NUMBER, r"-?(\d+(\.\d+)?|\.\d+)([eE][+-]?\d+)?"),
        (Family.DATE, _DATE),
        (Family.TIMESTAMP, rf"{_DATE}[ T]{_TIME}"),
        (Family.INSTANT, rf"{_DATE}[ T]{_TIME}(Z|[+-]\d\d(:?\d\d)?)"),
        (Family.TIME, _TIME),
    )
)


def _family(text: str) -> Family:
    if text in _BOOLS.to_pylist():
        return Family.BOOL
    if text in NOT_FINITE.to_pylist():
        return Family.NUMBER
    return next((family for family, shape in _SHAPES if shape.fullmatch(text)), Family.TEXT)


@dataclass(slots=True)
class Guess:
    """What is known so far about a column's type.

    Attributes:
        comma: Whether numbers have a decimal comma, not a point.
        family: Of every value seen.
        blank: There is an empty text, quoted: not a null, but no other value either.
        whole: Numbers: none has a fraction or an exponent.
        small: Numbers: every whole one fits an int64.
        exact: Numbers: each one is told exactly by the shortest text of a double.
        finite: Numbers: there is one beside NaN and the infinities.
        special: Numbers: there is a NaN or an infinity.
        digits: Numbers: digits needed before the point.
        scale: Numbers: digits needed after the point.
        unit: Times and timestamps: the coarsest unit that tells every fraction.
        earliest: Timestamps: the first one, in whole seconds since 1970.
        latest: Timestamps: the last one, likewise.
    """

    comma: bool = False
    family: Family = Family.EMPTY
    blank: bool = False
    whole: bool = True
    small: bool = True
    exact: bool = True
    finite: bool = False
    special: bool = False
    digits: int = 1
    scale: int = 0
    unit: str = "s"
    earliest: int = 0
    latest: int = 0

    def see(self, column: pa.StringArray) -> None:
        """Takes the texts of another batch into account; null and empty ones say nothing."""
        if self.family is Family.TEXT:
            return
        texts = present(column)
        if not len(texts):
            self.blank = self.blank or column.null_count < len(column)
            return
        if self.family is Family.EMPTY:
            self.family = _family(texts.array[0].as_py())
            if self.comma and self.family is Family.TEXT:
                number = _family(swapped(texts.array.slice(0, 1))[0].as_py()) is Family.NUMBER
                self.family = Family.NUMBER if number else Family.TEXT
        if not self._holds(texts):
            self.family = Family.TEXT

    def join(self, other: Guess) -> None:
        """Takes what another guess has seen into account; the order makes no difference."""
        families = {self.family, other.family} - {Family.EMPTY}
        if families:
            self.family = families.pop() if len(families) == 1 else Family.TEXT
        self.blank |= other.blank
        self.whole &= other.whole
        self.small &= other.small
        self.exact &= other.exact
        self.finite |= other.finite
        self.special |= other.special
        self.digits = max(self.digits, other.digits)
        self.scale = max(self.scale, other.scale)
        self.unit = max(self.unit, other.unit, key=_UNITS.__getitem__)
        self.earliest = min(self.earliest, other.earliest)
        self.latest = max(self.latest, other.latest)
        if not self._in_reach():
            self.family = Family.TEXT

    @property
    def is_text(self) -> bool:
        """Whether nothing that may still be seen changes that the column is text."""
        return self.family is Family.TEXT

    @property
    def data_type(self) -> pa.DataType:
        """The type that holds every value seen; null when there was none."""
        match self.family:
            case Family.EMPTY if not self.blank:
                return pa.null()
            case Family.BOOL:
                return pa.bool_()
            case Family.NUMBER:
                return self._number_type()
            case Family.DATE:
                return pa.date32()
            case Family.TIMESTAMP:
                return pa.timestamp(self.unit)
            case Family.INSTANT:
                return pa.timestamp(self.unit, "UTC")
            case Family.TIME:
                return pa.time32(self.unit) if self.unit in {"s", "ms"} else pa.time64(self.unit)
            case _:
                return pa.string()

    def _number_type(self) -> pa.DataType:
        if not self.finite:
            return pa.string()  # only words
        if self.whole and self.small and not self.special:
            return pa.int64()
        if self.exact and (self.special or not self.whole):
            return pa.float64()
        precision = self.digits + self.scale
        if self.special or precision > _DECIMAL256_DIGITS:
            return pa.string()
        if precision <= _DECIMAL128_DIGITS:
            return pa.decimal128(precision, self.scale)
        return pa.decimal256(precision, self.scale)

    def _holds(self, texts: Texts) -> bool:
        match self.family:
            case Family.BOOL:
                return bool(pc.all(pc.is_in(texts.array, _BOOLS)).as_py())
            case Family.NUMBER:
                return self._numbers(Texts(swapped(texts.array)) if self.comma else texts)
            case Family.DATE:
                return _dates(texts)
            case Family.TIMESTAMP:
                return self._timestamps(texts, None)
            case Family.INSTANT:
                return self._timestamps(texts, "UTC")
            case Family.TIME:
                return self._times(texts)
            case _:
                return False

    def _numbers(self, texts: Texts) -> bool:
        data = texts.data
        if data.min() >= ord("-") and data.max() <= ord("9") and not (data == ord("/")).any():
            return self._plain_numbers(texts)
        strange = (data < ord("0")) | (data > ord("9"))
        strange &= (data != ord("-")) & (data != ord("."))
        mask = np.zeros(len(texts), np.bool_)
        mask[texts.owners(np.flatnonzero(strange))] = True
        if not self._strange_numbers(texts.array.filter(pa.array(mask))):
            return False
        texts = Texts(texts.array.filter(pa.array(~mask)))
        return not len(texts) or self._plain_numbers(texts)

    def _plain_numbers(self, texts: Texts) -> bool:
        """Takes numbers of nothing but digits, a minus and a point."""
        data, starts = texts.data, texts.starts
        self.finite = True
        digits = texts.lengths  # before the point
        fraction = np.zeros(len(texts), np.int32)
        first = starts
        if data.min() < ord("0"):
            minus = data[starts] == ord("-")
            if np.count_nonzero(data == ord("-")) != np.count_nonzero(minus):
                return False
            first = starts + minus
            digits = digits - minus
            points = np.flatnonzero(data == ord("."))
            if len(points):
                self.whole = False
                owners = texts.owners(points)
                if (np.diff(owners) == 0).any():
                    return False
                fraction[owners] = texts.ends[owners] - points - 1
                if (fraction[owners] == 0).any():  # "1."
                    return False
                digits[owners] -= fraction[owners] + 1
            if (digits + fraction == 0).any():  # "-"
                return False
        if ((digits > 1) & (data[first] == ord("0"))).any():
            return False
        most = int(digits.max())
        self.digits = max(self.digits, most)
        self.scale = max(self.scale, int(fraction.max()))
        if self.small and most > _INT64_DIGITS:
            self.small = _casts(texts.array.filter(pa.array(digits > _INT64_DIGITS)), pa.int64())
        if self.exact:
            long = digits + fraction > _DOUBLE_DIGITS
            self.exact = not long.any() or exact_doubles(texts.array.filter(pa.array(long)))
        return True

    def _strange_numbers(self, array: pa.StringArray) -> bool:
        """Takes numbers with an exponent, NaN and the infinities."""
        words = pc.is_in(array, NOT_FINITE)
        if pc.any(words).as_py():
            self.special = True
            array = array.filter(pc.invert(words))
        if not len(array):
            return True
        parts = pc.extract_regex(array, _EXPONENTIAL)
        if parts.null_count:
            return False
        whole = pc.binary_length(parts.field("whole")).to_numpy()
        fraction = np.maximum(pc.binary_length(parts.field("fraction")).to_numpy() - 1, 0)
        if (whole + fraction == 0).any():
            return False
        # Arrow casts no text with a plus.
        exponent = pc.utf8_ltrim(parts.field("exponent"), "+").cast(pa.int32()).to_numpy()
        self.finite = True
        self.whole = False
        self.digits = max(self.digits, int((whole + exponent).max()))
        self.scale = max(self.scale, int((fraction - exponent).max()))
        doubtful = (whole + fraction > _DOUBLE_DIGITS) | (np.abs(exponent) > _DOUBLE_EXPONENT)
        if self.exact and doubtful.any():
            self.exact = exact_doubles(array.filter(pa.array(doubtful)))
        return True

    def _timestamps(self, texts: Texts, zone: str | None) -> bool:
        # At least minutes; Arrow itself would also take a date alone, or a date and an hour.
        if int(texts.lengths.min()) < len("2024-01-01T00:00") or (texts.at(13) != ord(":")).any():
            return False
        seconds = self._in_unit(texts.array, zone)
        if seconds is None:
            return False
        self.earliest = min(self.earliest, seconds[0])
        self.latest = max(self.latest, seconds[1])
        return self._in_reach()

    def _in_reach(self) -> bool:
        """Whether the unit can tell every timestamp."""
        if self.unit == "ns":
            return self.earliest > -NS_REACH and self.latest < NS_REACH
        return self.earliest >= EARLIEST and self.latest <= LATEST

    def _times(self, texts: Texts) -> bool:
        if int(texts.lengths.min()) < len("00:00") or (texts.at(2) != ord(":")).any():
            return False
        return self._in_unit(_on_first_day(texts.array), None) is not None

    def _in_unit(self, array: pa.StringArray, zone: str | None) -> tuple[int, int] | None:
        """Widens the unit until every fraction fits; returns the first and last second."""
        units = list(_UNITS)
        for unit in units[units.index(self.unit) :]:
            try:
                parsed = array.cast(pa.timestamp(unit, zone))
            except pa.ArrowInvalid:
                continue
            self.unit = unit
            bounds = pc.min_max(parsed.cast(pa.int64())).as_py()
            return bounds["min"] // _UNITS[unit], bounds["max"] // _UNITS[unit]
        return None


def _casts(array: pa.StringArray, kind: pa.DataType) -> bool:
    try:
        array.cast(kind)
    except pa.ArrowInvalid:
        return False
    return True


def exact_doubles(array: pa.StringArray) -> bool:
    """Whether the shortest text of the nearest double is, for each number, the very same number.

    Conservative for whole numbers: up to 2**53. A text without digits is no number.
    """
    texts = Texts(array.drop_null())
    if not texts.has_letters:
        # Without an exponent too few digits to be rounded: so are nearly all columns.
        long = texts.lengths > _DOUBLE_DIGITS
        if not long.any():
            return True
        texts = Texts(texts.array.filter(pa.array(long)))
    array = texts.array.filter(pc.match_substring_regex(texts.array, "[0-9]"))
    whole = pc.invert(pc.match_substring_regex(array, "[.eE]"))
    if pc.any(whole).as_py():
        try:
            bounds = pc.min_max(array.filter(whole).cast(pa.int64())).as_py()
        except pa.ArrowInvalid:
            return False
        if bounds["min"] < -(2**53) or bounds["max"] > 2**53:
            return False
        array = array.filter(pc.invert(whole))
    array = array.filter(pc.not_equal(array, array.cast(pa.float64()).cast(pa.string())))
    # "0.100000000000000000": zeros at either end are no digits that a double must hold.
    digits = pc.utf8_ltrim(pc.utf8_rtrim(array, "0"), "-0.")
    long = pc.greater(pc.binary_length(digits), _DOUBLE_DIGITS)
    far = pc.greater(pc.binary_length(array), _DOUBLE_EXPONENT)
    exponential = pc.match_substring(array, "e", ignore_case=True)
    doubtful = array.filter(pc.or_(pc.or_(long, far), exponential))
    return all(map(exact_double, doubtful.to_pylist()))


def exact_double(text: str) -> bool:
    """Whether the shortest text of the nearest double is the same number as this one.

    Conservative for whole numbers, as ``exact_doubles`` is.
    """
    if text.removeprefix("-").isdigit():
        return len(text) <= _DOUBLE_WHOLE and abs(int(text)) <= 2**53
    return Decimal(text) == Decimal(repr(float(text)))


def _dates(texts: Texts) -> bool:
    if (texts.lengths != len("2024-01-01")).any():
        return False
    rows = texts.data.reshape(-1, 10)
    if (rows[:, 4] != ord("-")).any() or (rows[:, 7] != ord("-")).any():
        return False
    early = rows[rows[:, 0] == ord("0"), :4]
    if (early == ord("0")).all(axis=1).any():  # there is no year 0
        return False
    return _casts(texts.array, pa.date32())


def _on_first_day(array: pa.StringArray) -> pa.StringArray:
    """Makes timestamps of times: Arrow parses only those from a column of texts."""
    return pc.binary_join_element_wise(_FIRST_DAY, array, _BLANK)


def convert(column: pa.StringArray, kind: pa.DataType, *, comma: bool = False) -> pa.Array:
    """Returns the values of the texts, which must have been seen by the guess of that type.

    Args:
        column: The texts.
        kind: The type that the guess gave.
        comma: Whether numbers have a decimal comma.
    """
    if pa.types.is_string(kind):
        return column
    if pa.types.is_null(kind):
        return pa.nulls(len(column))
    if comma and (pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        column = swapped(column)
    blank = pc.equal(column, _BLANK)
    if pc.any(blank).as_py():
        column = pc.if_else(blank, _NULL, column)
    if pa.types.is_boolean(kind):
        return pc.if_else(pc.is_valid(column), pc.is_in(column, _TRUE), None)
    if pa.types.is_time(kind):
        return _on_first_day(column).cast(pa.timestamp(kind.unit)).cast(kind)
    return column.cast(kind)
