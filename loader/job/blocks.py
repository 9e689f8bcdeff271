"""Cuts a stream of batches into blocks at row positions that depend on the data alone."""

from __future__ import annotations

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

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive rows, one piece of work for an encoder.

    Attributes:
        parts: The rows, in slices of the batches they came in; rejected ones among them. Where the
            source has nothing but rejected rows for a while, there may be no others.
        width: The estimated JSON bytes of the rows, and the memory of the rejected ones.
    """

    parts: tuple[Batch, ...]
    width: int


def blocks(
    batches: Iterable[Batch],
    prepare: Callable[[Batch], Iterable[Batch]],
    block_bytes: int,
    row_bytes: int = 0,
) -> Generator[Block, None, None]:
    """Yields blocks of about ``block_bytes``, of at least one row.

    Every row has ``row_bytes`` more than its values.

    A block ends with the row that fills it, counted from the end of the block before; a row that
    would fill one by itself is a block of its own. Rejected rows count like others, so that a
    source full of them takes no more memory, and go with the block that is being filled. How the
    reader batches does not matter: a second reading cuts at the same rows. Where reading fails, the
    rows before come first.
    """
    parts: list[Batch] = []
    rows = width = 0
    try:
        for batch in _prepared(batches, prepare):
            line = _Line.of(batch, row_bytes)
            wide = np.append(np.flatnonzero(line.widths >= block_bytes), len(line))
            start = 0
            while start < len(line):
                next_wide = int(wide[np.searchsorted(wide, start)])
                if next_wide == start and parts:
                    yield Block(tuple(parts), width)
                    parts, rows, width = [], 0, 0
                before = int(line.ends[start - 1]) if start else 0
                full = int(np.searchsorted(line.ends, before + block_bytes - width)) + 1
                stop = min(full, start + MOST_ROWS - rows, max(next_wide, start + 1))
                parts.append(line.part(start, stop))
                rows += stop - start
                width += int(line.ends[stop - 1]) - before
                start = stop
                if width >= block_bytes or rows >= MOST_ROWS:
                    yield Block(tuple(parts), width)
                    parts, rows, width = [], 0, 0
    except Exception:
        # A bad row among those that could be read is the earlier problem.
        if parts:
            yield Block(tuple(parts), width)
        raise
    if parts:
        yield Block(tuple(parts), width)


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
