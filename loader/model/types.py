"""The type table: which data type of the API each Arrow type becomes."""

from __future__ import annotations

import enum

import pyarrow as pa
import pyarrow.types as pt

__all__ = ["DataType", "arrow_type_for", "data_type_of", "is_text", "storage_type"]


class DataType(enum.StrEnum):
    """The data types of a column (one-request document, "Create a dataset", ColumnHeader)."""

    STRING = "STRING"
    INTEGER = "INTEGER"
    BIGINTEGER = "BIGINTEGER"
    BOOL = "BOOL"
    DOUBLE = "DOUBLE"
    BIGDECIMAL = "BIGDECIMAL"
    DATE = "DATE"
    TIME = "TIME"
    DATETIME = "DATETIME"

    @property
    def is_number(self) -> bool:
        """Whether a column of this type is a metric unless the user says otherwise."""
        return self in _NUMBERS


_NUMBERS = frozenset({DataType.INTEGER, DataType.BIGINTEGER, DataType.DOUBLE, DataType.BIGDECIMAL})

# An INTEGER of the API has 32 bits (public clients), so unsigned 32-bit numbers need the next one.
_INTEGER_WIDTH = 32


def storage_type(arrow: pa.DataType) -> pa.DataType:
    """Returns what a dictionary, run-end-encoded or extension type stands for.

    A uuid keeps its type: its text is not the text of its storage.
    """
    while True:
        if pt.is_dictionary(arrow) or pt.is_run_end_encoded(arrow):
            arrow = arrow.value_type
        elif isinstance(arrow, pa.BaseExtensionType) and not isinstance(arrow, pa.UuidType):
            arrow = pa.bool_() if isinstance(arrow, pa.Bool8Type) else arrow.storage_type
        else:
            return arrow


def is_text(arrow: pa.DataType) -> bool:
    """Whether values are UTF-8 texts, in whatever layout."""
    return bool(pt.is_string(arrow) or pt.is_large_string(arrow) or pt.is_string_view(arrow))


def data_type_of(arrow: pa.DataType) -> DataType | None:
    """Returns the data type an Arrow type becomes, or None where the table has no row for it.

    Numbers that a double or an INTEGER cannot hold exactly become BIGDECIMAL or BIGINTEGER: nothing
    is rounded by the choice of a type.
    """
    arrow = storage_type(arrow)
    if pt.is_boolean(arrow):
        return DataType.BOOL
    if pt.is_integer(arrow):
        return _integer(arrow)
    if pt.is_floating(arrow):
        return DataType.DOUBLE
    if pt.is_decimal(arrow):
        return DataType.BIGDECIMAL
    if pt.is_date(arrow):
        return DataType.DATE
    if pt.is_time(arrow):
        return DataType.TIME
    if pt.is_timestamp(arrow):
        return DataType.DATETIME
    if pt.is_duration(arrow):
        return DataType.BIGINTEGER
    # Texts, binary (as base64), nested values (as JSON text), uuids and null: all are texts.
    # Intervals are not in the table, nor is what a later version of Arrow may add.
    if pt.is_nested(arrow):
        mapped = (data_type_of(arrow.field(place).type) for place in range(arrow.num_fields))
        return None if None in mapped else DataType.STRING
    known = is_text(arrow) or _is_binary(arrow) or pt.is_null(arrow)
    return DataType.STRING if known or isinstance(arrow, pa.UuidType) else None


def _is_binary(arrow: pa.DataType) -> bool:
    return bool(
        pt.is_binary(arrow)
        or pt.is_large_binary(arrow)
        or pt.is_binary_view(arrow)
        or pt.is_fixed_size_binary(arrow)
    )


def _integer(arrow: pa.DataType) -> DataType:
    if arrow == pa.uint64():
        return DataType.BIGDECIMAL
    signed_width = arrow.bit_width + (1 if pt.is_unsigned_integer(arrow) else 0)
    return DataType.INTEGER if signed_width <= _INTEGER_WIDTH else DataType.BIGINTEGER


def arrow_type_for(wanted: DataType, arrow: pa.DataType) -> pa.DataType | None:
    """Returns the Arrow type to cast a column to so that it can be sent as ``wanted``.

    Texts, and numbers sent as BIGDECIMAL, need no cast: the encoder writes the text or the exact
    digits of any value. None where no cast can give the wanted type.
    """
    stored = storage_type(arrow)
    if data_type_of(arrow) is wanted or wanted is DataType.STRING:
        return arrow
    if pt.is_null(stored):
        return _CAST_TARGETS.get(wanted, arrow)
    if wanted is DataType.BIGDECIMAL:
        return arrow if is_text(stored) or pt.is_integer(stored) or pt.is_floating(stored) else None
    target = _CAST_TARGETS[wanted]
    sources = _CAST_SOURCES[wanted]
    return target if is_text(stored) or any(matches(stored) for matches in sources) else None


_CAST_TARGETS = {
    DataType.INTEGER: pa.int32(),
    DataType.BIGINTEGER: pa.int64(),
    DataType.BOOL: pa.bool_(),
    DataType.DOUBLE: pa.float64(),
    DataType.DATE: pa.date32(),
    DataType.TIME: pa.time64("ns"),
    # Microseconds: nanoseconds would end in the year 2262.
    DataType.DATETIME: pa.timestamp("us"),
}

# What can be cast besides texts. A cast never rounds: a value that does not fit is an error.
_CAST_SOURCES = {
    DataType.INTEGER: (pt.is_integer, pt.is_floating, pt.is_decimal),
    DataType.BIGINTEGER: (pt.is_integer, pt.is_floating, pt.is_decimal),
    DataType.BOOL: (pt.is_integer,),
    DataType.DOUBLE: (pt.is_integer, pt.is_floating, pt.is_decimal),
    DataType.DATE: (pt.is_timestamp, pt.is_date),
    DataType.TIME: (pt.is_time,),
    DataType.DATETIME: (pt.is_date, pt.is_timestamp),
}
