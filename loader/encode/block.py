"""Encodes one block of rows into JSON segments: a list of them per column, or one for all rows."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from loader.badrow import BadRow
from loader.encode.base64 import Segment
from loader.encode.finite import non_finite
from loader.encode.joins import constant, join
from loader.encode.misfits import Refusals, misfits
from loader.encode.numbers import numpy_json
from loader.encode.orientation import Orientation
from loader.encode.records import record_writer
from loader.encode.refusal import ValueRefused
from loader.encode.runs import Rows, Run, runs
from loader.encode.strings import escape_rows, plain
from loader.encode.texts import compact, texts
from loader.layouts import unwrapped
from loader.model import DataType, Table

__all__ = ["BlockEncoder", "Encoded", "column_json"]


@dataclass(frozen=True, slots=True)
class Encoded:
    """The JSON of one block, without the brackets that belong to the whole chunk.

    Attributes:
        rows: Rows in the block, without those left out.
        lanes: Column orientation: for each column its segments; rows and records: one list of
            segments. Segments of a lane are joined by commas.
        size: Bytes that the block adds to a chunk, its commas included.
        non_finite: How many NaN and infinite values became null, by column.
        rejected: Rows that were left out, here or before, in the order of the source.
    """

    rows: int
    lanes: tuple[tuple[Segment, ...], ...]
    size: int
    non_finite: Mapping[str, int] = field(default_factory=dict)
    rejected: tuple[BadRow, ...] = ()


class BlockEncoder:
    """The seam between Arrow and JSON for one table: record batches in, JSON segments out.

    Blocks may be encoded by several threads at once: an encoder keeps no state. Nearly all of the
    work is done by Arrow's kernels, which release the interpreter lock.
    """

    def __init__(self, table: Table, orientation: Orientation) -> None:
        self._table = table
        self._orientation = orientation
        self._rows_json = (
            record_writer(table.column_names) if orientation is Orientation.RECORDS else _rows_json
        )

    def encode(self, block: Sequence[Rows]) -> Encoded:
        """Encodes rows that may come from several batches.

        The bytes depend on the values alone: not on where a batch begins, nor on its offsets, nor
        on rows that are left out because a value of theirs does not fit its data type.
        """
        lanes: list[list[Segment]] = [[] for _ in range(self._lanes)]
        rows = 0
        lost: dict[str, int] = {}
        rejected = [bad for part in block for bad in part.rejected]
        refused: list[BadRow] = []
        for run in runs(block):
            data = run.data
            try:
                segments = self._segments(data)
            except ValueRefused:
                bad = self._misfits(run)
                refused += bad.values()
                data = run.data_without(list(bad))
                if not data.num_rows:
                    continue
                segments = self._segments(data)
            for lane, segment in zip(lanes, segments, strict=True):
                lane.append(segment)
            rows += data.num_rows
            self._count_non_finite(data, lost)
        return Encoded(
            rows=rows,
            lanes=tuple(tuple(lane) for lane in lanes),
            size=sum(len(segment) + 1 for lane in lanes for segment in lane),
            non_finite=lost,
            rejected=_in_order(block, rejected, refused),
        )

    @property
    def _lanes(self) -> int:
        return len(self._table.columns) if self._orientation is Orientation.COLUMN else 1

    def _segments(self, data: pa.RecordBatch) -> list[Segment]:
        """Returns what the rows add to each lane."""
        by_column = self._orientation is Orientation.COLUMN
        encode: Callable[..., Any] = column_json if by_column else texts
        encoded = [
            encode(array, column.data_type, as_text=column.as_text)
            for column, array in zip(self._table.columns, data.columns, strict=True)
        ]
        return encoded if by_column else [self._rows_json(encoded)]

    def _misfits(self, run: Run) -> dict[int, BadRow]:
        """Returns the rows with a value that its data type cannot hold; of each tells the first."""
        bad: dict[int, BadRow] = {}
        for column, array in zip(self._table.columns, run.data.columns, strict=True):
            hint = "correct the value"
            if column.data_type is DataType.BIGDECIMAL:  # else a text would be refused as well
                hint += f", or choose another type: --type {column.source}=STRING"
            reasons: dict[str, str] = {}  # one text for all rows that share it
            for misfit in misfits(array, functools.partial(_refusals, column.data_type)):
                if misfit.row not in bad:
                    reason = f"does not fit {column.data_type}: {misfit.reason}"
                    bad[misfit.row] = BadRow(
                        origin=run.origin,
                        row=run.position(misfit.row) + 1,
                        column=column.source,
                        value=_raw(misfit.value),
                        reason=reasons.setdefault(misfit.reason, reason),
                        hint=hint,
                    )
        return dict(sorted(bad.items()))

    def _count_non_finite(self, data: pa.RecordBatch, counts: dict[str, int]) -> None:
        """Counts the NaN and infinite values that JSON cannot say and that become null."""
        for column, array in zip(self._table.columns, data.columns, strict=True):
            lost = non_finite(array)
            if lost:
                counts[column.name] = counts.get(column.name, 0) + lost


def _refusals(data_type: DataType, array: pa.Array) -> Refusals | None:
    try:
        texts(array, data_type)
    except ValueRefused as refused:
        rows = [refused.row, *refused.others]
        return Refusals(rows, refused.reason, [refused.value, *refused.others.values()])
    return None


def _raw(value: Any) -> str:
    """Returns a value as its source has it."""
    if isinstance(value, bytes):  # of a text that is not valid UTF-8
        return value.decode("utf-8", "backslashreplace")
    return str(value)


def _in_order(
    block: Sequence[Rows], rejected: Sequence[BadRow], refused: Sequence[BadRow]
) -> tuple[BadRow, ...]:
    """Merges what was left out before and what was refused now, in the order of the source."""
    if not (rejected and refused):
        return (*rejected, *refused)
    files = list(dict.fromkeys(part.origin for part in block))
    return tuple(sorted((*rejected, *refused), key=lambda bad: (files.index(bad.origin), bad.row)))


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
