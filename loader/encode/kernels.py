"""Encodes with Arrow's kernels and orjson: every type, and the only path without compiled code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from loader.encode.base64 import Segment
from loader.encode.finite import non_finite
from loader.encode.joins import constant, join
from loader.encode.numbers import numpy_json
from loader.encode.orientation import Orientation
from loader.encode.records import record_writer
from loader.encode.strings import escape_rows, plain
from loader.encode.texts import compact, texts
from loader.layouts import unwrapped
from loader.model import DataType, Table

__all__ = ["KernelWriter", "Written", "column_json"]


@dataclass(frozen=True, slots=True)
class Written:
    """What some rows became.

    Attributes:
        lanes: For each column its segments, or those of all rows; joined by commas.
        lost: How many NaN and infinities became null, by position of the column.
    """

    lanes: Sequence[Sequence[Segment]]
    lost: Sequence[int]


class KernelWriter:
    """Writes the columns or the rows of one table."""

    def __init__(self, table: Table, orientation: Orientation) -> None:
        self._columns = table.columns
        self._by_column = orientation is Orientation.COLUMN
        self._rows_json = (
            record_writer(table.column_names) if orientation is Orientation.RECORDS else _rows_json
        )

    def write(self, data: pa.RecordBatch) -> Written:
        """Returns what the rows become.

        Raises:
            ValueRefused: A value has no text under the rules of the type table.
        """
        if self._by_column:
            lanes = [[self.column(place, array)] for place, array in enumerate(data.columns)]
        else:
            rows = [self.texts(place, array) for place, array in enumerate(data.columns)]
            lanes = [[self._rows_json(rows)]]
        return Written(lanes, [non_finite(array) for array in data.columns])

    def column(self, place: int, array: pa.Array) -> Segment:
        """Returns the values of a column, joined by commas.

        Raises:
            ValueRefused: A value has no text under the rules of the type table.
        """
        column = self._columns[place]
        return column_json(array, column.data_type, as_text=column.as_text)

    def texts(self, place: int, array: pa.Array) -> pa.Array:
        """Returns the JSON text of each value of a column.

        Raises:
            ValueRefused: A value has no text under the rules of the type table.
        """
        column = self._columns[place]
        return texts(array, column.data_type, as_text=column.as_text)


def column_json(array: pa.Array, data_type: DataType, *, as_text: bool = False) -> Segment:
    """Returns the values of a column, joined by commas.

    The shortcuts give the same bytes as joining ``texts``; they only skip making each text.
    """
    array = unwrapped(array)
    arrow = array.type
    simple = arrow in _NUMPY_TYPES and data_type.is_number and not as_text
    if simple and not (array.null_count and pt.is_integer(arrow)):
        if array.null_count:
            array = pc.fill_null(array, float("nan"))
        return numpy_json(array)
    array = compact(array)
    if pt.is_string(array.type) and data_type is DataType.STRING and not array.null_count:
        array = plain(array)
        if not len(escape_rows(array)):
            return join(array, '","', around=('"', '"'))
    return join(texts(array, data_type, as_text=as_text), ",")


def _rows_json(columns: Sequence[pa.Array]) -> Segment:
    rows = columns[0] if len(columns) == 1 else pc.binary_join_element_wise(*columns, constant(","))
    return join(rows, "],[", around=("[", "]"))


_NUMPY_TYPES = frozenset(
    (
        *(pa.int8(), pa.int16(), pa.int32(), pa.int64()),
        *(pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
        *(pa.float32(), pa.float64()),
    )
)
