"""The type table at work: an Arrow array becomes one JSON text per value."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt
import pybase64

from loader.encode import numbers, temporal
from loader.encode.joins import concat, constant
from loader.encode.nested import is_nested, nested
from loader.encode.refusal import ValueRefused
from loader.encode.strings import fill_null, quote
from loader.layouts import take, unwrapped
from loader.model.types import DataType, data_type_of, is_text

__all__ = ["compact", "texts"]

# Below this many values the look at a sample costs more than it saves.
_WORTH_A_SAMPLE = 2048
_SAMPLE = 512
_FEW = _SAMPLE // 4


def texts(array: pa.Array, data_type: DataType | None = None, *, as_text: bool = False) -> pa.Array:
    """Returns the JSON text of each value, as a ``string`` array without nulls.

    Args:
        array: Values of any Arrow type that the type table names.
        data_type: What the column is sent as, where that is more than the Arrow type says: a text
            that is sent as BIGDECIMAL is a number.
        as_text: Whether numbers are wrapped in quotes, with the very digits they have without.

    Raises:
        ValueRefused: A value that has no text under the rules of the type table.
    """
    return _written(compact(array), data_type, as_text=as_text)


def _written(array: pa.Array, data_type: DataType | None, *, as_text: bool) -> pa.Array:
    if pt.is_dictionary(array.type):
        return _by_entry(
            array, lambda values: _written(unwrapped(values), data_type, as_text=as_text)
        )
    written = _plain_texts(array, data_type)
    return _as_strings(written) if as_text else written


def _by_entry(array: pa.Array, write: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """Writes each entry of a dictionary once."""
    if not len(array.dictionary):
        return pa.array(["null"] * len(array), pa.string())
    if len(array.dictionary) > len(array):
        # A dictionary for the whole file, a million entries perhaps, and one block of its rows.
        return _by_shown_entry(array, write)
    try:
        return fill_null(write(array.dictionary).take(array.indices))
    except ValueRefused:
        return _by_shown_entry(array, write)


def _by_shown_entry(array: pa.Array, write: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """Writes the entries that a row shows, and says which row shows the first one refused."""
    shown = pc.unique(array.indices.drop_null())  # in the order of their first rows
    try:
        values = write(take(array.dictionary, shown))
    except ValueRefused as refused:
        row = pc.index(array.indices, shown[refused.row]).as_py()
        raise ValueRefused(row, refused.reason, refused.value) from refused
    return fill_null(values.take(pc.index_in(array.indices, value_set=shown)))


def _plain_texts(array: pa.Array, data_type: DataType | None) -> pa.Array:
    arrow = array.type
    if pt.is_null(arrow):
        return pa.array(["null"] * len(array), pa.string())
    if is_nested(arrow):
        # To the API a nested value is a text that holds JSON; any null is null, a union's too.
        written = _nested_texts(array)
        missing = pc.equal(written, constant("null"))
        return fill_null(quote(pc.if_else(missing, pa.scalar(None, pa.string()), written)))
    if is_text(arrow) and data_type is DataType.BIGDECIMAL:
        return fill_null(numbers.numeric_texts(array))
    if data_type is DataType.STRING and data_type_of(arrow) is not DataType.STRING:
        return _as_strings(_scalar_texts(array))
    return _scalar_texts(array)


def _as_strings(values: pa.Array) -> pa.Array:
    """Turns the JSON of numbers, booleans and times into JSON strings of the same text."""
    as_is = pc.or_(pc.starts_with(values, '"'), pc.equal(values, constant("null")))
    return pc.if_else(as_is, values, _quoted(values))


def _nested_texts(array: pa.Array) -> pa.Array:
    """Returns nested values as JSON.

    A value refused inside one is told by the row it is in, which halving the rows finds.
    """
    try:
        return nested(array, _member_texts)
    except ValueRefused as refused:
        if len(array) == 1:
            raise ValueRefused(0, refused.reason, refused.value) from refused
    half = len(array) // 2
    first = _nested_texts(array.slice(0, half))
    try:
        return pa.concat_arrays([first, _nested_texts(array.slice(half))])
    except ValueRefused as refused:
        raise ValueRefused(half + refused.row, refused.reason, refused.value) from refused


def _member_texts(array: pa.Array) -> pa.Array:
    """Returns the JSON texts of values inside a nested one, where JSON needs no wrapping."""
    array = unwrapped(array)
    if pt.is_dictionary(array.type):
        return _by_entry(array, _member_texts)
    if is_nested(array.type):
        return fill_null(_nested_texts(array))
    return texts(array)


def compact(array: pa.Array) -> pa.Array:
    """Returns the array unwrapped, as a dictionary where writing each value once is worth it.

    The text of a decimal, a time or a string costs tens of nanoseconds. Dates of fewer days than
    rows repeat for sure; for other types a sample tells, and a wrong guess costs time, no byte.
    """
    array = unwrapped(array)
    arrow = array.type
    if len(array) < _WORTH_A_SAMPLE:
        return array
    if pt.is_date32(arrow):
        days = array.view(pa.int32())
        bounds = pc.min_max(days)
        first, last = bounds["min"].as_py(), bounds["max"].as_py()
        if first is None or last - first >= len(array):
            return array
        every_day = pa.array(np.arange(first, last + 1, dtype=np.int32)).view(arrow)
        return pa.DictionaryArray.from_arrays(pc.subtract(days, first), every_day)
    sampled = pt.is_decimal128(arrow) or pt.is_timestamp(arrow) or pt.is_string(arrow)
    if sampled and len(pc.unique(array.slice(0, _SAMPLE))) <= _FEW:
        return array.dictionary_encode()
    return array


def _scalar_texts(array: pa.Array) -> pa.Array:
    for matches, write in _WRITERS:
        if matches(array.type):
            return fill_null(write(array))
    return fill_null(_quoted(_base64(array)))


def _quoted(array: pa.Array) -> pa.Array:
    """Wraps texts that are known to hold nothing to escape."""
    return concat('"', array, '"')


def _base64(array: pa.Array) -> pa.Array:
    encoded = [None if value is None else pybase64.b64encode(value) for value in array.to_pylist()]
    return pa.array(encoded, pa.binary()).cast(pa.string())


def _uuids(array: pa.Array) -> pa.Array:
    written = [None if value is None else str(value) for value in array.to_pylist()]
    return pa.array(written, pa.string())


def _durations(array: pa.Array) -> pa.Array:
    return numbers.integers(array.cast(pa.int64()))


def _booleans(array: pa.Array) -> pa.Array:
    return array.cast(pa.string())


def _is_uuid(arrow: pa.DataType) -> bool:
    return isinstance(arrow, pa.UuidType)


# Who writes which type; binary of every kind is what is left.
_WRITERS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], pa.Array]], ...] = (
    (pt.is_integer, numbers.integers),
    (pt.is_floating, numbers.floats),
    (pt.is_boolean, _booleans),
    (pt.is_duration, _durations),
    (pt.is_decimal, numbers.decimals),
    (is_text, quote),
    (pt.is_date, lambda array: _quoted(temporal.dates(array))),
    (pt.is_time, lambda array: _quoted(temporal.times(array))),
    (pt.is_timestamp, lambda array: _quoted(temporal.timestamps(array))),
    (_is_uuid, lambda array: _quoted(_uuids(array))),
)
