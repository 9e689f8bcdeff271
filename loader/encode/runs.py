"""Puts the slices that make up a block together, and knows where each row came from."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import pyarrow as pa

from loader.badrow import BadRow
from loader.layouts import take

__all__ = ["Rows", "Run", "by_file", "runs"]


class Rows(Protocol):
    """Rows of one file, as a reader delivers them."""

    @property
    def data(self) -> pa.RecordBatch:
        """The rows, columns as in the table's model."""

    @property
    def origin(self) -> str:
        """The file they came from, for messages."""

    @property
    def rejected(self) -> Sequence[BadRow]:
        """Rows among them that were left out before, in the order of the file."""

    def position(self, index: int, /) -> int:
        """Returns the position of a row of ``data`` among the rows of its file, from 0."""


@dataclass(frozen=True, slots=True)
class Run:
    """Rows of one file that are encoded together.

    Attributes:
        data: The rows.
        parts: The slices that they were put together from.
        starts: Where each of these begins in ``data``.
    """

    data: pa.RecordBatch
    parts: Sequence[Rows]
    starts: Sequence[int]

    @property
    def origin(self) -> str:
        """The file."""
        return self.parts[0].origin

    def position(self, index: int) -> int:
        """Returns the position of a row of ``data`` among the rows of its file, from 0."""
        part = bisect.bisect_right(self.starts, index) - 1
        return self.parts[part].position(index - self.starts[part])

    def data_without(self, rows: Sequence[int]) -> pa.RecordBatch:
        """Returns the rows but some."""
        kept = pa.array(np.delete(np.arange(self.data.num_rows), rows))
        columns = [take(column, kept) for column in self.data.columns]
        return pa.RecordBatch.from_arrays(columns, schema=self.data.schema)

    @classmethod
    def of(cls, part: Rows) -> Self:
        """Returns a run of one slice."""
        return cls(part.data, (part,), (0,))


def by_file(block: Sequence[Rows]) -> Iterator[list[Rows]]:
    """Groups the slices by file, without those that have no rows."""
    filled = (rows for rows in block if rows.data.num_rows)
    for _, slices in itertools.groupby(filled, key=lambda rows: rows.origin):
        yield list(slices)


def runs(parts: Sequence[Rows]) -> Iterator[Run]:
    """Merges the slices of a file: kernels are slow on few rows, copying is not."""
    if not parts[1:]:
        yield Run.of(parts[0])
        return
    try:
        whole = pa.concat_batches([part.data for part in parts])
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        # Not all dictionaries can be made one (with a null among the entries, say, or more
        # entries than the indices can count). Part by part the bytes are the same.
        yield from map(Run.of, parts)
    else:
        sizes = [part.data.num_rows for part in parts]
        yield Run(whole, parts, list(itertools.accumulate(sizes[:-1], initial=0)))
