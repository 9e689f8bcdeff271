"""The type table at work: an Arrow array becomes one JSON text per value."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt
import pybase64

from loader.encode import numbers, temporal
from loader.encode.nested import is_nested, nested
from loader.encode.strings import fill_null, quote
from loader.model.types import DataType, data_type_of, is_text

__all__ = ["texts"]

# Below this many values the look at a sample costs more than it saves.
_WORTH_A_SAMPLE = 2048
_SAMPLE = 512
_FEW = _SAMPLE // 4


def texts(array: pa.Array, data_type: DataType | None = None) -> pa.Array:
    """Returns the JSON text of each value, as a ``string`` array without nulls.

    Args:
        array: Values of any Arrow type that the type table names.
        data_type: What the column is sent as, where that is more than the Arrow type says: a text
            that is sent as BIGDECIMAL is a number.

    Raises:
        ValueRefused: A value that has no text under the rules of the type table.
    """
    array = _unwrapped(array)
    arrow = array.type
    if pt.is_dictionary(arrow):
        if not len(array.dictionary):
            return pa.array(["null"] * len(array), pa.string())
        return fill_null(texts(array.dictionary, data_type).take(array.indices))
    if pt.is_null(arrow):
        return pa.array(["null"] * len(array), pa.string())
    if is_nested(arrow):
        # To the API a nested value is a text that holds JSON.
        return fill_null(quote(nested(array, _member_texts)))
    if is_text(arrow) and data_type is DataType.BIGDECIMAL:
        return fill_null(numbers.numeric_texts(array))
    if data_type is DataType.STRING and data_type_of(arrow) is not DataType.STRING:
        return _as_strings(_scalar_texts(array))
    return _scalar_texts(array)


def _as_strings(values: pa.Array) -> pa.Array:
    """Turns the JSON of numbers, booleans and times into JSON strings of the same text."""
    as_is = pc.or_(pc.starts_with(values, '"'), pc.equal(values, "null"))
    return pc.if_else(as_is, values, _quoted_plain(values))


def _member_texts(array: pa.Array) -> pa.Array:
    """Returns the JSON texts of values inside a nested one, where JSON needs no wrapping."""
    array = _unwrapped(array)
    if pt.is_dictionary(array.type):
        array = array.dictionary_decode()
        return _member_texts(array)
    if is_nested(array.type):
        return fill_null(nested(array, _member_texts))
    return texts(array)


def _unwrapped(array: pa.Array) -> pa.Array:
    """Returns the array that a run-end-encoded or extension array stands for."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    while True:
        if pt.is_run_end_encoded(array.type):
            array = pc.run_end_decode(array)
        elif isinstance(array.type, pa.BaseExtensionType) and not isinstance(
            array.type, pa.UuidType
        ):
            is_bool = isinstance(array.type, pa.Bool8Type)
            array = array.storage.cast(pa.bool_()) if is_bool else array.storage
        else:
            return array


def _scalar_texts(array: pa.Array) -> pa.Array:
    arrow = array.type
    if pt.is_integer(arrow):
        return fill_null(numbers.integers(array))
    if pt.is_floating(arrow):
        return numbers.floats(array)
    if pt.is_boolean(arrow):
        return fill_null(array.cast(pa.string()))
    if pt.is_duration(arrow):
        return fill_null(numbers.integers(array.cast(pa.int64())))
    # From here on a text costs tens of nanoseconds: worth writing each distinct value only once.
    if _few_distinct(array):
        encoded = array.dictionary_encode()
        return fill_null(_costly_texts(encoded.dictionary).take(encoded.indices))
    return fill_null(_costly_texts(array))


def _costly_texts(array: pa.Array) -> pa.Array:
    arrow = array.type
    if pt.is_decimal(arrow):
        return numbers.decimals(array)
    if is_text(arrow):
        return quote(array)
    if pt.is_date(arrow):
        return _quoted_plain(temporal.dates(array))
    if pt.is_time(arrow):
        return _quoted_plain(temporal.times(array))
    if pt.is_timestamp(arrow):
        return _quoted_plain(temporal.timestamps(array))
    if isinstance(arrow, pa.UuidType):
        return _quoted_plain(_uuids(array))
    return _quoted_plain(_base64(array))


def _few_distinct(array: pa.Array) -> bool:
    """Whether a sample says that values repeat; a wrong guess costs time, never a byte."""
    arrow = array.type
    if len(array) < _WORTH_A_SAMPLE or not (
        pt.is_decimal128(arrow)
        or pt.is_date(arrow)
        or pt.is_timestamp(arrow)
        or pt.is_string(arrow)
        or pt.is_large_string(arrow)
    ):
        return False
    return len(pc.unique(array.slice(0, _SAMPLE))) <= _FEW


def _quoted_plain(array: pa.Array) -> pa.Array:
    """Wraps texts that are known to hold nothing to escape."""
    return pc.binary_join_element_wise('"', array, '"', "")


def _base64(array: pa.Array) -> pa.Array:
    encoded = [None if value is None else pybase64.b64encode(value) for value in array.to_pylist()]
    return pa.array(encoded, pa.binary()).cast(pa.string())


def _uuids(array: pa.Array) -> pa.Array:
    written = [None if value is None else str(value) for value in array.to_pylist()]
    return pa.array(written, pa.string())
