"""Turns values into what a data type wants, and tells those that cannot be: nothing is rounded."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from loader.layouts import decoded
from loader.model.types import is_text

__all__ = ["ConversionRefused", "convert", "surely_refused"]

Mask = npt.NDArray[np.bool_]

ConversionRefused = (pa.ArrowInvalid, pa.ArrowNotImplementedError)
"""What ``convert`` raises."""


def convert(array: pa.Array, target: pa.DataType) -> pa.Array:
    """Returns the values as another type, each exactly what it was.

    Raises:
        pa.ArrowInvalid: A value does not fit. Whether one does never depends on the others.
        pa.ArrowNotImplementedError: No value of this type would fit.
    """
    array = decoded(array)
    if pt.is_integer(target) and is_text(array.type):
        _refuse_hexadecimals(array)
    if pt.is_boolean(target) and pt.is_integer(array.type):
        _refuse_other_than_0_and_1(array)
    if pt.is_decimal(array.type) and pt.is_integer(target):
        # Through the widest decimal without fraction: cutting a fraction is an error there.
        array = array.cast(pa.decimal256(76, 0))
    if pt.is_time(target) and is_text(array.type):
        # Arrow reads no times, but it reads the times of a day.
        array = pc.binary_join_element_wise(_DAY, array, _NOTHING).cast(pa.timestamp("ns"))
    if pt.is_floating(target) and (is_text(array.type) or pt.is_decimal(array.type)):
        _refuse_rounding(array.cast(pa.string()))
    if pt.is_date(target) and pt.is_timestamp(array.type):
        array = _whole_days(array)
    return array.cast(target)


_DAY = pa.scalar("1970-01-01T")
_NOTHING = pa.scalar("")


def _whole_days(array: pa.Array) -> pa.Array:
    """Arrow cuts the time of day off; here it is an error, and the day is that of UTC."""
    array = array.cast(pa.timestamp(array.type.unit))
    days = array.cast(pa.date32())
    if not days.cast(array.type).equals(array):
        raise pa.ArrowInvalid("a time of day")
    return days


def _refuse_rounding(texts: pa.Array) -> None:
    """Arrow takes the nearest double of any number; here it has to be that very number."""
    # Few loads cast, and not all read CSV.
    from loader.sources.csv_types import exact_doubles  # noqa: PLC0415 - slow to import

    if not exact_doubles(texts):
        raise pa.ArrowInvalid("more digits than a double holds")


def _refuse_hexadecimals(array: pa.Array) -> None:
    """Arrow reads 0x10 as 16; in a file of decimal numbers it is a mistake, or an id."""
    from loader.sources.csv_texts import Texts  # noqa: PLC0415 - see above

    # One look at all bytes spares the search in nearly every column.
    if pt.is_string(array.type) and not Texts(array).has_letters:
        return
    if pc.any(pc.match_substring(array, "x", ignore_case=True)).as_py():
        raise pa.ArrowInvalid("not a decimal number")


def _refuse_other_than_0_and_1(array: pa.Array) -> None:
    """Arrow calls every number but 0 true; a column of 0 and 1 is meant."""
    known = pa.array([0, 1], array.type)
    # Of no values at all, "all" is null.
    if pc.all(pc.is_in(array.drop_null(), known)).as_py() is False:
        raise pa.ArrowInvalid("neither 0 nor 1")


def surely_refused(array: pa.Array, target: pa.DataType) -> Mask:
    """Returns values that ``convert`` refuses, found at once for the whole array; maybe not all.

    Arrow tells of one value only, in words. Where most of a column is of another kind, finding
    them one by one would take minutes.
    """
    array = decoded(array)
    if is_text(array.type):
        return _refused_texts(array, target)
    if pt.is_decimal(array.type):
        texts = array.cast(pa.string())
        if pt.is_floating(target):
            return _rounded(texts)
        return _mask(pc.match_substring_regex(texts, _FRACTION)) & _mask(array.is_valid())
    if pt.is_timestamp(array.type) and pt.is_date(target):
        units_a_day = pa.scalar(dt.timedelta(days=1), pa.duration(array.type.unit)).value
        has_time: Mask = _numbers(array.view(pa.int64())) % units_a_day != 0
        return has_time
    if not (pt.is_integer(array.type) or pt.is_floating(array.type)):
        return np.zeros(len(array), np.bool_)
    values = _numbers(array)
    found = _outside(values, target)
    if pt.is_floating(array.type):
        found |= np.isnan(values) | (np.trunc(values) != values)
    return found


def _refused_texts(texts: pa.Array, target: pa.DataType) -> Mask:
    pattern = next((text for matches, text in _NEEDED if matches(target)), "")
    found = ~_mask(pc.match_substring_regex(texts, pattern))
    if pt.is_floating(target):
        found |= _rounded(texts)
    if pt.is_integer(target):
        # The others have to be read to be compared; so short they are numbers of 64 bits.
        short = np.flatnonzero(~found & _mask(pc.less(pc.binary_length(texts), _SURELY_INT64)))
        found[short] = _outside(_numbers(texts.take(pa.array(short)).cast(pa.int64())), target)
    return found


def _rounded(texts: pa.Array) -> Mask:
    """Returns which numbers a double does not hold, by the rules of ``exact_doubles``."""
    found = np.zeros(len(texts), np.bool_)
    is_number = pc.fill_null(pc.match_substring_regex(texts, _NUMBER), _FALSE)
    rows = np.flatnonzero(is_number.to_numpy(zero_copy_only=False))
    for row, text in zip(rows.tolist(), texts.filter(is_number).to_pylist(), strict=True):
        number, whole = Decimal(text), not set(text) & set(".eE")
        found[row] = abs(number) > _EXACT if whole else number != Decimal(repr(float(text)))
    return found


def _mask(fits: pa.Array) -> Mask:
    """Returns what a kernel says of values, true for null."""
    mask: Mask = pc.fill_null(fits, _TRUE).to_numpy(zero_copy_only=False)
    return mask


def _numbers(array: pa.Array) -> npt.NDArray[Any]:
    """Returns numbers, 0 for null; half floats as wider ones, which can be compared with any."""
    if pt.is_floating(array.type):
        array = array.cast(pa.float64())
    numbers: npt.NDArray[Any] = pc.fill_null(array, pa.scalar(0, array.type)).to_numpy(
        zero_copy_only=False
    )
    return numbers


def _outside(values: npt.NDArray[Any], target: pa.DataType) -> Mask:
    if pt.is_boolean(target):
        low, beyond = 0, 2
    elif pt.is_floating(target):
        low, beyond = -_EXACT, _EXACT + 1
    else:
        low, beyond = -(2 ** (target.bit_width - 1)), 2 ** (target.bit_width - 1)
    outside: Mask = (values < low) | (values >= beyond)
    return outside


_TRUE, _FALSE = pa.scalar(True), pa.scalar(False)

# Characters of which not all numbers have 64 bits.
_SURELY_INT64 = pa.scalar(19, pa.int32())

# Beyond it not every integer is a double, and Arrow takes none.
_EXACT = 2**53

_NUMBER = r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,4})?$"
_FRACTION = r"^-?[0-9]+\.[0-9]*[1-9][0-9]*$"
_DATE = "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"

# What a text has at least to look like.
_NEEDED = (
    (pt.is_integer, "^-?[0-9]+$"),
    (pt.is_floating, _NUMBER.replace("{1,4}", "+") + "|^[-+]?(?i:inf|nan)"),
    (pt.is_boolean, "^(0|1|(?i:true|false))$"),
    (pt.is_date, _DATE + "$"),
    (pt.is_timestamp, _DATE),
    (pt.is_time, "^([01][0-9]|2[0-3])(:[0-5][0-9]|$)"),
)
