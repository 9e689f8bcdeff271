"""Encodes one block of rows into JSON segments: a list of them per column, or one for all rows."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from loader.badrow import BadRow
from loader.encode.base64 import Segment
from loader.encode.kernels import KernelWriter, Written
from loader.encode.misfits import Refusals, misfits
from loader.encode.native import NativeWriter, native_available
from loader.encode.orientation import Orientation
from loader.encode.refusal import ValueRefused
from loader.encode.runs import Rows, Run, by_file, runs
from loader.encode.texts import texts
from loader.model import DataType, Table

__all__ = ["BlockEncoder", "Encoded"]


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
    work is done by compiled code or Arrow's kernels, which release the interpreter lock.

    Args:
        table: The columns of every block.
        orientation: How values are arranged.
        native: Whether compiled code is used, where the package has it. The bytes are the same.
    """

    def __init__(self, table: Table, orientation: Orientation, *, native: bool = True) -> None:
        self._table = table
        self._orientation = orientation
        self._kernels = KernelWriter(table, orientation)
        self._native = (
            NativeWriter(table, orientation, self._kernels)
            if native and native_available()
            else None
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
        for count, written in self._written(block, refused):
            rows += count
            for lane, segments in zip(lanes, written.lanes, strict=True):
                lane.extend(segments)
            for column, number in zip(self._table.columns, written.lost, strict=True):
                if number:
                    lost[column.name] = lost.get(column.name, 0) + number
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

    def _written(
        self, block: Sequence[Rows], refused: list[BadRow]
    ) -> Iterator[tuple[int, Written]]:
        """Yields what the rows become, and how many they are; notes those that are refused."""
        for parts in by_file(block):
            if self._native is not None:
                # Compiled code is as fast on few rows as on many: nothing is put together first.
                alone = self._native.write_alone([part.data for part in parts])
                if alone is not None:
                    yield sum(part.data.num_rows for part in parts), alone
                    continue
            for run in runs(parts):
                data = run.data
                try:
                    written = self._write(data)
                except ValueRefused:
                    bad = self._misfits(run)
                    refused += bad.values()
                    data = run.data_without(list(bad))
                    if not data.num_rows:
                        continue
                    written = self._write(data)
                yield data.num_rows, written

    def _write(self, data: pa.RecordBatch) -> Written:
        return (self._native or self._kernels).write(data)

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
