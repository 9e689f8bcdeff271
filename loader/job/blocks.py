"""Cuts a stream of batches into blocks at row positions that depend on the data alone."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass

import numpy as np

from loader.encode import row_widths
from loader.sources import Batch

__all__ = ["Block", "blocks"]

# Keeps work even where rows are a few bytes wide.
MOST_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive rows, one piece of work for an encoder.

    Attributes:
        parts: The rows, in slices of the batches they came in.
        width: Their estimated JSON bytes.
    """

    parts: tuple[Batch, ...]
    width: int


def blocks(
    batches: Iterable[Batch], prepare: Callable[[Batch], Batch], block_bytes: int
) -> Generator[Block, None, None]:
    """Yields blocks of about ``block_bytes`` of JSON, of at least one row.

    A block ends with the row that fills it, counted from the end of the block before; a row that
    would fill one by itself is a block of its own. How the reader batches does not matter, so a
    second reading cuts at the same rows.
    """
    parts: list[Batch] = []
    rows = width = 0
    for batch in batches:
        whole = prepare(batch)
        widths = row_widths(whole.data)
        ends = np.cumsum(widths)
        wide = np.append(np.flatnonzero(widths >= block_bytes), whole.data.num_rows)
        start = 0
        while start < whole.data.num_rows:
            next_wide = int(wide[np.searchsorted(wide, start)])
            if next_wide == start and parts:
                yield Block(tuple(parts), width)
                parts, rows, width = [], 0, 0
            before = int(ends[start - 1]) if start else 0
            full = int(np.searchsorted(ends, before + block_bytes - width)) + 1
            stop = min(full, start + MOST_ROWS - rows, max(next_wide, start + 1))
            parts.append(_slice(whole, start, stop))
            rows += stop - start
            width += int(ends[stop - 1]) - before
            start = stop
            if width >= block_bytes or rows >= MOST_ROWS:
                yield Block(tuple(parts), width)
                parts, rows, width = [], 0, 0
    if parts:
        yield Block(tuple(parts), width)


def _slice(batch: Batch, start: int, stop: int) -> Batch:
    return Batch(
        data=batch.data.slice(start, stop - start), origin=batch.origin, row=batch.row + start
    )
