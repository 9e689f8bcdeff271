"""Casts the columns of a batch to what ``--type`` wants, and finds the value that refuses."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from loader.errors import BadValue
from loader.model import Column, Table
from loader.model.types import storage_type
from loader.sources import Batch

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
    array = array.cast(storage_type(array.type))
    if pt.is_boolean(target) and pt.is_integer(array.type):
        _refuse_other_than_0_and_1(array)
    if pt.is_decimal(array.type) and pt.is_integer(target):
        # Through the widest decimal without fraction: cutting a fraction is an error there.
        array = array.cast(pa.decimal256(76, 0))
    return array.cast(target)


def _refuse_other_than_0_and_1(array: pa.Array) -> None:
    """Arrow calls every number but 0 true; a column of 0 and 1 is meant."""
    known = pa.array([0, 1], array.type)
    if not pc.all(pc.is_in(array.drop_null(), known)).as_py():
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
