"""Sources without their first rows: which parts need not be read, and how the others are dropped.

A load that goes on skips what was accepted before, maybe for minutes. Hence the batches without
rows in between: whoever reads may want to stop.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from typing import Final

from loader.sources.base import Batch

__all__ = ["HEARTBEAT", "whole_parts", "without_first"]

HEARTBEAT: Final = 64
"""Of so many batches in which there is nothing for the reader, one is handed on all the same."""


def whole_parts(rows: Iterable[int | None], skip: int) -> tuple[int, int]:
    """Returns how many parts of a source lie in its first rows as a whole.

    Args:
        rows: The rows of each part, in order; None where they are not known.
        skip: How many rows are skipped.

    Returns:
        The number of parts, and how many rows there are to skip after them.
    """
    parts = 0
    if skip:
        for count in rows:
            if count is None or count > skip:
                break
            skip -= count
            parts += 1
    return parts, skip


def without_first(
    batches: Generator[Batch, None, object], skip: int
) -> Generator[Batch, None, int]:
    """Reads the first rows, rejected ones among them, and hands on only those that follow.

    Returns:
        How many rows are still to skip, if there were not so many.
    """
    dropped = 0
    with closing(batches):
        for batch in batches:
            gone = min(skip, batch.count)
            skip -= gone
            if not gone:
                yield batch
            elif gone < batch.count:
                yield batch.after(gone)
            else:
                dropped += 1
                if dropped % HEARTBEAT == 0:
                    yield batch.emptied()
    return skip
