"""Cuts a stream of batches into blocks at row positions that depend on the data alone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from loader.badrow import BadRow
from loader.encode import row_widths
from loader.sources import Batch

__all__ = ["Block", "blocks"]

# Keeps work even where rows are a few bytes wide.
MOST_ROWS = 65_536

# Bytes that a rejected row takes in memory, besides the text of its value.
REJECTED_ROW = 256

# Where no block has to end any more.
_NEVER = sys.maxsize

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive rows, one piece of work for an encoder.

    Attributes:
        parts: The rows, in slices of the batches they came in; rejected ones among them. Where the
            source has nothing but rejected rows for a while, there may be no others.
        covered: The positions of the rows among all that the source delivers, rejected ones too.
        width: The estimated JSON bytes of the rows, and the memory of the rejected ones.
    """

    parts: tuple[Batch, ...]
    covered: range
    width: int


def blocks(
    batches: Iterable[Batch],
    prepare: Callable[[Batch], Iterable[Batch]],
    block_bytes: int,
    row_bytes: int = 0,
    *,
    first_row: int = 0,
    ends: Iterable[int] = (),
) -> Generator[Block, None, None]:
    """Yields blocks of about ``block_bytes``, of at least one row.

    A block ends with the row that fills it, counted from the end of the block before; a row that
    would fill one by itself is a block of its own. Rejected rows count like others, so that a
    source full of them takes no more memory, and go with the block that is being filled. How the
    reader batches does not matter: a second reading cuts at the same rows. So does one that begins
    where a block has ended, or with ``ends`` where blocks end anyhow. Where reading fails, the rows
    before come first.

    Args:
        batches: The rows.
        prepare: What is done to each batch first; it may come in several pieces.
        block_bytes: The estimated JSON bytes that fill a block.
        row_bytes: What every row has more than its values.
        first_row: The position of the first row.
        ends: Positions, ascending, at which a block ends whether it is full or not.
    """
    filling = _Filling(first_row)
    stops = (end for end in ends if end > first_row)
    next_end = next(stops, _NEVER)
    try:
        for batch in _prepared(batches, prepare):
            line = _Line.of(batch, row_bytes)
            wide = np.append(np.flatnonzero(line.widths >= block_bytes), len(line))
            start = 0
            while start < len(line):
                next_wide = int(wide[np.searchsorted(wide, start)])
                if next_wide == start and filling.rows:
                    yield filling.taken()
                before = int(line.ends[start - 1]) if start else 0
                full = int(np.searchsorted(line.ends, before + block_bytes - filling.width)) + 1
                most = min(MOST_ROWS - filling.rows, next_end - filling.end_row)
                stop = min(full, start + most, max(next_wide, start + 1))
                width = int(line.ends[stop - 1]) - before
                filling.add(line.part(start, stop), stop - start, width)
                start = stop
                ends_here = filling.end_row == next_end
                if ends_here:
                    next_end = next(stops, _NEVER)
                if ends_here or filling.width >= block_bytes or filling.rows >= MOST_ROWS:
                    yield filling.taken()
    except Exception:
        # A bad row among those that could be read is the earlier problem.
        if filling.rows:
            yield filling.taken()
        raise
    if filling.rows:
        yield filling.taken()


class _Filling:
    """The block that is being filled.

    Attributes:
        first_row: The position of its first row.
        rows: How many it has, rejected ones among them.
        width: Their bytes.
    """

    def __init__(self, first_row: int) -> None:
        self._parts: list[Batch] = []
        self.first_row = first_row
        self.rows = 0
        self.width = 0

    @property
    def end_row(self) -> int:
        """The position of the row that comes next."""
        return self.first_row + self.rows

    def add(self, part: Batch, rows: int, width: int) -> None:
        """Adds rows."""
        self._parts.append(part)
        self.rows += rows
        self.width += width

    def taken(self) -> Block:
        """Returns the block as it is; the next row begins another one."""
        block = Block(tuple(self._parts), range(self.first_row, self.end_row), self.width)
        self.first_row = self.end_row
        self._parts, self.rows, self.width = [], 0, 0
        return block


def _prepared(
    batches: Iterable[Batch], prepare: Callable[[Batch], Iterable[Batch]]
) -> Iterator[Batch]:
    for batch in batches:
        yield from prepare(batch)


class _Line:
    """The rows of a batch, rejected ones among them, in the order of their file.

    Attributes:
        widths: The bytes of each.
        ends: Their running sum.
    """

    def __init__(self, batch: Batch, widths: Integers, accepted: Integers | None) -> None:
        self._batch = replace(batch, rejected=())
        self._rejected = batch.rejected
        # How many of the rows up to each are not rejected; None: all of them.
        self._accepted = accepted
        self.widths = widths
        self.ends = np.cumsum(widths)

    def __len__(self) -> int:
        return len(self.widths)

    @classmethod
    def of(cls, batch: Batch, row_bytes: int) -> _Line:
        """Lines the rows of a batch up."""
        widths = row_widths(batch.data) + row_bytes
        if not batch.rejected:
            return cls(batch, widths, None)
        places = _places(batch, batch.rejected)
        bad_widths = [REJECTED_ROW + len(bad.value) for bad in batch.rejected]
        accepted = np.ones(len(widths) + len(places), np.bool_)
        accepted[places] = False
        all_widths = np.empty(len(accepted), np.int64)
        all_widths[accepted] = widths
        all_widths[places] = bad_widths
        return cls(batch, all_widths, np.cumsum(accepted))

    def part(self, start: int, stop: int) -> Batch:
        """Returns some of the rows, without copying."""
        if self._accepted is None:
            return self._batch.slice(start, stop - start)
        first = int(self._accepted[start - 1]) if start else 0
        last = int(self._accepted[stop - 1])
        rejected = self._rejected[start - first : stop - last]
        return replace(self._batch.slice(first, last - first), rejected=rejected)


def _places(batch: Batch, rejected: tuple[BadRow, ...]) -> Integers:
    """Returns where rejected rows stand in the line of all rows of a batch."""
    bad = np.fromiter((row.row - 1 for row in rejected), np.int64, len(rejected))
    if batch.positions is None:
        before = np.clip(bad - batch.row, 0, batch.data.num_rows)
    else:
        before = np.searchsorted(batch.positions, bad)
    places: Integers = before + np.arange(len(bad))
    return places
