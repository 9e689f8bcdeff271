"""Encodes one block of rows into JSON segments: a list of them per column, or one for all rows."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from loader.encode.base64 import Segment
from loader.encode.finite import non_finite
from loader.encode.joins import constant, join
from loader.encode.numbers import numpy_json
from loader.encode.orientation import Orientation
from loader.encode.refusal import ValueRefused
from loader.encode.strings import escape_rows, plain
from loader.encode.texts import compact, texts
from loader.errors import BadValue
from loader.model import DataType, Table

__all__ = ["BlockEncoder", "Encoded", "Rows", "column_json"]

Result = TypeVar("Result")

# Characters of a refused value that an error shows.
_SHOWN = 80


class Rows(Protocol):
    """Rows that lie together in one file, as a reader delivers them."""

    @property
    def data(self) -> pa.RecordBatch:
        """The rows, columns as in the table's model."""

    @property
    def origin(self) -> str:
        """The file they came from, for messages."""

    @property
    def row(self) -> int:
        """Position of the first one among the rows of its file, from 0."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """The JSON of one block, without the brackets that belong to the whole chunk.

    Attributes:
        rows: Rows in the block.
        lanes: Column orientation: for each column its segments; row orientation: one list of
            segments. Segments of a lane are joined by commas.
        size: Bytes that the block adds to a chunk, its commas included.
        non_finite: How many NaN and infinite values became null, by column.
    """

    rows: int
    lanes: tuple[tuple[Segment, ...], ...]
    size: int
    non_finite: Mapping[str, int] = field(default_factory=dict)


class BlockEncoder:
    """The seam between Arrow and JSON for one table: record batches in, JSON segments out.

    Blocks may be encoded by several threads at once: an encoder keeps no state. Nearly all of the
    work is done by Arrow's kernels, which release the interpreter lock.
    """

    def __init__(self, table: Table, orientation: Orientation) -> None:
        self._table = table
        self._orientation = orientation

    def encode(self, block: Sequence[Rows]) -> Encoded:
        """Encodes rows that may come from several batches.

        The bytes depend on the values alone: not on where a batch begins, nor on its offsets.

        Raises:
            BadValue: A value that its data type cannot hold, with file, row, column and value.
        """
        by_column = self._orientation is Orientation.COLUMN
        lanes: list[list[Segment]] = [[] for _ in self._table.columns] if by_column else [[]]
        non_finite: dict[str, int] = {}
        for rows in _merged(block):
            self._count_non_finite(rows, non_finite)
            if by_column:
                for lane, segment in zip(lanes, self._per_column(rows, column_json), strict=True):
                    lane.append(segment)
            else:
                lanes[0].append(_rows_json(list(self._per_column(rows, texts))))
        return Encoded(
            rows=sum(rows.data.num_rows for rows in block),
            lanes=tuple(tuple(lane) for lane in lanes),
            size=sum(len(segment) + 1 for lane in lanes for segment in lane),
            non_finite=non_finite,
        )

    def _per_column(
        self, rows: Rows, encode: Callable[[pa.Array, DataType], Result]
    ) -> Iterator[Result]:
        """Encodes column by column and gives a refused value its place in the file."""
        for column, array in zip(self._table.columns, rows.data.columns, strict=True):
            try:
                yield encode(array, column.data_type)
            except ValueRefused as refused:
                row = rows.row + refused.row + 1
                shown = repr(refused.value)
                shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
                raise BadValue(
                    f"{rows.origin}, row {row}, column {column.name!r}: {shown} does not fit "
                    f"{column.data_type}: {refused.reason}",
                    hint=f"correct the value, or choose another type: --type {column.name}=STRING",
                    table=self._table.name,
                    file=rows.origin,
                    row=row,
                    column=column.name,
                    value=shown,
                ) from refused

    def _count_non_finite(self, rows: Rows, counts: dict[str, int]) -> None:
        """Counts the NaN and infinite values that JSON cannot say and that become null."""
        for column, array in zip(self._table.columns, rows.data.columns, strict=True):
            lost = non_finite(array)
            if lost:
                counts[column.name] = counts.get(column.name, 0) + lost


@dataclass(frozen=True, slots=True)
class _Run:
    """Consecutive rows of one file."""

    data: pa.RecordBatch
    origin: str
    row: int


def _merged(block: Sequence[Rows]) -> Iterator[Rows]:
    """Puts the slices of each file together: kernels are slow on few rows, copying is not."""
    for origin, rows in itertools.groupby(block, key=lambda rows: rows.origin):
        parts = list(rows)
        if parts[1:]:
            try:
                whole = pa.concat_batches([part.data for part in parts])
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                # Not all dictionaries can be made one (with a null among the entries, say, or more
                # entries than the indices can count). Part by part the bytes are the same.
                pass
            else:
                parts = [_Run(whole, origin, parts[0].row)]
        yield from (part for part in parts if part.data.num_rows)


def column_json(array: pa.Array, data_type: DataType) -> Segment:
    """Returns the values of a column, joined by commas.

    The shortcuts give the same bytes as joining ``texts``; they only skip making each text.
    """
    arrow = array.type
    simple = arrow in _NUMPY_TYPES and data_type.is_number
    if simple and not (array.null_count and pt.is_integer(arrow)):
        if array.null_count:
            array = pc.fill_null(array, float("nan"))
        return numpy_json(array)
    array = compact(array)
    if pt.is_string(array.type) and data_type is DataType.STRING and not array.null_count:
        array = plain(array)
        if not len(escape_rows(array)):
            return join(array, '","', around=('"', '"'))
    return join(texts(array, data_type), ",")


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
