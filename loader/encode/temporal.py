"""Dates, times and timestamps as ISO 8601 texts, a fraction only where a value has one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from loader.encode.joins import concat
from loader.encode.refusal import ValueRefused

__all__ = ["dates", "times", "timestamps"]

_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}

# ISO 8601 without agreement between the parties ends at four digits of year.
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
_DAY = 86_400
_ZERO = pa.scalar(0, pa.int64())
_COUNTED_IN = {
    "date": "days since the epoch",
    "timestamp": "seconds since the epoch",
    "time of day": "seconds since midnight",
}

# Between the day and the time, where Arrow writes a space.
_SPACE_TO_T = pc.ReplaceSliceOptions(len("YYYY-MM-DD"), len("YYYY-MM-DD") + 1, "T")


def dates(array: pa.Array) -> pa.Array:
    """Returns ``YYYY-MM-DD``, null as null.

    Raises:
        ValueRefused: A date before year 1 or after year 9999, or one with a time of day (Arrow asks
            whole days of a date64, but does not check them).
    """
    days = _whole_days(array) if pt.is_date64(array.type) else array.view(pa.int32())
    _check_range(days, _FIRST_DAY, _LAST_DAY, "date")
    return days.cast(pa.int32()).view(pa.date32()).cast(pa.string())


def _whole_days(array: pa.Array) -> pa.Array:
    """Returns the days since the epoch that a date64 counts in milliseconds."""
    stored = array.view(pa.int64())
    days, rest = np.divmod(pc.fill_null(stored, _ZERO).to_numpy(), _DAY * _PER_SECOND["ms"])
    if rest.any():
        reason = "a date with a time of day (milliseconds since the epoch), which DATETIME can tell"
        raise _refused(stored, rest != 0, reason)
    return pa.array(days, mask=array.is_null().to_numpy(zero_copy_only=False))


def times(array: pa.Array) -> pa.Array:
    """Returns ``HH:MM:SS`` with 3, 6 or 9 digits of fraction where needed, null as null.

    Raises:
        ValueRefused: A value outside of one day.
    """
    storage = pa.int32() if pt.is_time32(array.type) else pa.int64()
    whole, fraction = _split(array.view(storage), array.type.unit)
    _check_range(whole, 0, _DAY - 1, "time of day")
    texts = whole.cast(pa.int32()).view(pa.time32("s")).cast(pa.string())
    return _append_fraction(texts, fraction, array.type.unit)


def timestamps(array: pa.Array) -> pa.Array:
    """Returns ``YYYY-MM-DDTHH:MM:SS`` with a fraction where needed, null as null.

    A timestamp with a time zone is an instant: it is written in UTC, with a ``Z``.

    Raises:
        ValueRefused: A timestamp before year 1 or after year 9999.
    """
    whole, fraction = _split(array.view(pa.int64()), array.type.unit)
    _check_range(whole, _FIRST_DAY * _DAY, (_LAST_DAY + 1) * _DAY - 1, "timestamp")
    spaced = whole.view(pa.timestamp("s")).cast(pa.string())
    texts = pc.binary_replace_slice(spaced, options=_SPACE_TO_T)
    texts = _append_fraction(texts, fraction, array.type.unit)
    return concat(texts, "Z") if array.type.tz else texts


def _split(values: pa.Array, unit: str) -> tuple[pa.Array, npt.NDArray[np.int64] | None]:
    """Returns whole seconds (rounded down, so fractions stay positive before 1970) and the rest."""
    if unit == "s":
        return values.cast(pa.int64()), None
    numbers = pc.fill_null(values.cast(pa.int64()), _ZERO).to_numpy(zero_copy_only=False)
    whole, fraction = np.divmod(numbers, _PER_SECOND[unit])
    missing = values.is_null().to_numpy(zero_copy_only=False) if values.null_count else None
    return pa.array(whole, pa.int64(), mask=missing), fraction if fraction.any() else None


def _append_fraction(
    texts: pa.Array, fraction: npt.NDArray[np.int64] | None, unit: str
) -> pa.Array:
    if fraction is None:
        return texts
    digits = pc.utf8_lpad(pa.array(fraction).cast(pa.string()), _DIGITS[unit], "0")
    # The fewest of 3, 6 and 9 digits that lose nothing: a reader sees the precision that is there.
    nanoseconds = fraction * (_PER_SECOND["ns"] // _PER_SECOND[unit])
    needed = np.select(
        [nanoseconds == 0, nanoseconds % 1_000_000 == 0, nanoseconds % 1_000 == 0], [0, 1, 2], 3
    )
    choices = [
        texts,
        *(concat(texts, ".", pc.utf8_slice_codeunits(digits, 0, length)) for length in (3, 6, 9)),
    ]
    return pc.choose(pa.array(needed, pa.int64()), *choices)


def _check_range(values: pa.Array, low: int, high: int, what: str) -> None:
    bounds = pc.min_max(values)
    smallest, largest = bounds["min"].as_py(), bounds["max"].as_py()
    if smallest is None or (low <= smallest and largest <= high):
        return
    outside = pc.fill_null(pc.or_(pc.less(values, low), pc.greater(values, high)), False)
    unit = _COUNTED_IN[what]
    allowed = "00:00:00 to 23:59:59" if what == "time of day" else "the years 1 to 9999"
    reason = f"a {what} outside {allowed} ({unit})"
    raise _refused(values, outside.to_numpy(zero_copy_only=False), reason)


def _refused(values: pa.Array, mask: npt.NDArray[np.bool_], reason: str) -> ValueRefused:
    """Returns the refusal of all values for which ``mask`` is true."""
    rows = np.flatnonzero(mask)
    (first, value), *others = zip(
        rows.tolist(), values.take(pa.array(rows)).to_pylist(), strict=True
    )
    return ValueRefused(first, reason, value, others=dict(others))
