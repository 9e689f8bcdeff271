"""Casts the columns of a batch to what ``--type`` wants, and finds the value that refuses."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from loader.errors import BadValue
from loader.model import Column, Table
from loader.model.types import is_text, storage_type
from loader.sources import Batch, exact_doubles

__all__ = ["Caster"]


class Caster:
    """Casts the columns of one table that are sent as something else than they are read."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._casts = [
            (position, column)
            for position, column in enumerate(table.columns)
            if column.arrow_type != column.source_type
        ]

    def __call__(self, batch: Batch) -> Batch:
        """Returns the batch with every column as the model wants it.

        Raises:
            BadValue: A value does not fit the type it is to be sent as; nothing is rounded or cut.
        """
        if not self._casts:
            return batch
        columns = list(batch.data.columns)
        fields = list(batch.data.schema)
        for position, column in self._casts:
            columns[position] = self._cast(batch, column, columns[position])
            fields[position] = fields[position].with_type(column.arrow_type)
        data = pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))
        return Batch(data=data, origin=batch.origin, row=batch.row)

    def _cast(self, batch: Batch, column: Column, array: pa.Array) -> pa.Array:
        try:
            return _cast(array, column.arrow_type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            row = _first_refused(array, column.arrow_type)
            value = repr(array[row].as_py())[:80]
            raise BadValue(
                f"{batch.origin}, row {batch.row + row + 1}, column {column.name!r}: "
                f"{value} does not fit {column.data_type}",
                hint=f"correct the value, or choose another type: --type {column.name}=STRING",
                table=self._table.name,
                file=batch.origin,
                row=batch.row + row + 1,
                column=column.name,
                value=value,
            ) from error


def _cast(array: pa.Array, target: pa.DataType) -> pa.Array:
    array = _plain(array)
    if pt.is_integer(target) and is_text(array.type):
        _refuse_hexadecimals(array)
    if pt.is_boolean(target) and pt.is_integer(array.type):
        _refuse_other_than_0_and_1(array)
    if pt.is_decimal(array.type) and pt.is_integer(target):
        # Through the widest decimal without fraction: cutting a fraction is an error there.
        array = array.cast(pa.decimal256(76, 0))
    if pt.is_time(target) and is_text(array.type):
        # Arrow reads no times, but it reads the times of a day.
        texts = array.cast(pa.string())
        array = pc.binary_join_element_wise("1970-01-01T", texts, "").cast(pa.timestamp("ns"))
    if pt.is_floating(target) and (is_text(array.type) or pt.is_decimal(array.type)):
        _refuse_rounding(array.cast(pa.string()))
    if pt.is_date(target) and pt.is_timestamp(array.type):
        array = _whole_days(array)
    return array.cast(target)


def _plain(array: pa.Array) -> pa.Array:
    """Returns the values themselves, of an array that encodes them in another way."""
    if pt.is_run_end_encoded(array.type):
        return _plain(pc.run_end_decode(array))
    if isinstance(array.type, pa.BaseExtensionType):
        return _plain(array.storage)
    return array.cast(storage_type(array.type))


def _whole_days(array: pa.Array) -> pa.Array:
    """Arrow cuts the time of day off; here it is an error, and the day is that of UTC."""
    array = array.cast(pa.timestamp(array.type.unit))
    days = array.cast(pa.date32())
    if not days.cast(array.type).equals(array):
        raise pa.ArrowInvalid("a time of day")
    return days


def _refuse_rounding(texts: pa.Array) -> None:
    """Arrow takes the nearest double of any number; here it has to be that very number."""
    texts = texts.drop_null()
    numbers = texts.filter(pc.match_substring_regex(texts, "[0-9]"))
    if not exact_doubles(numbers):
        raise pa.ArrowInvalid("more digits than a double holds")


def _refuse_hexadecimals(array: pa.Array) -> None:
    """Arrow reads 0x10 as 16; in a file of decimal numbers it is a mistake, or an id."""
    if pc.any(pc.match_substring(array.cast(pa.string()), "x", ignore_case=True)).as_py():
        raise pa.ArrowInvalid("not a decimal number")


def _refuse_other_than_0_and_1(array: pa.Array) -> None:
    """Arrow calls every number but 0 true; a column of 0 and 1 is meant."""
    known = pa.array([0, 1], array.type)
    # Of no values at all, "all" is null.
    if pc.all(pc.is_in(array.drop_null(), known)).as_py() is False:
        raise pa.ArrowInvalid("neither 0 nor 1")


def _first_refused(array: pa.Array, target: pa.DataType) -> int:
    """Bisects for the first value that cannot be cast."""
    low, high = 0, len(array)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            _cast(array.slice(low, middle - low), target)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            high = middle
        else:
            low = middle
    return low
