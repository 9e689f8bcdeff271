"""The rows of CSV files, one file after another: parsed in several threads, handed on in order.

Where rows end is found piece by piece, by one thread at a time: whether a quote opens a field or
closes one depends on all quotes before it. That is a small part of the work; what follows it, down
to the values of the columns, is done for several pieces at once, of one file or of several.

Memory: with ``n`` threads at most ``2 n`` pieces are in work, of a mebibyte each (or, where a row
has more, one of its size), as text and as columns. A piece with many bad rows is parsed a part at
a time, the further parts by whoever reads.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from loader.sources.ahead import Limits, ahead, threads_here
from loader.sources.base import Batch
from loader.sources.csv_text import CsvFile, Piece, piece_size

__all__ = ["Count", "read"]


@dataclass(frozen=True, slots=True)
class Count:
    """What is in a file.

    Attributes:
        rows: The rows.
        rejected: The malformed ones beside them.
    """

    rows: int
    rejected: int


def read(
    files: Sequence[CsvFile],
    columns: Callable[[], Sequence[str]],
    work: Callable[[Batch], Iterator[Batch]],
    ended: Callable[[CsvFile, Count], None],
) -> Generator[Batch, None, None]:
    """Reads the rows of all files, each opened only when its turn comes.

    Rows with too many or too few fields, or with text that is not of the file's encoding (in
    whichever column), are rejected.

    Args:
        files: The files.
        columns: The columns to read, in the order wanted; asked in several threads.
        work: What is done to the rows, in several threads; positions begin with each piece.
        ended: Told, in order, what was in each file when all of it has been handed on.

    Raises:
        SourceUnreadable: Quotes do not match up, so that nobody knows where rows end; compressed
            data is damaged; or a file changed. The rows before come first.
    """

    def begun(piece: Piece) -> _Begun:
        batches = _worked(piece, columns(), work)
        first = list(itertools.islice(batches, 1))
        return _Begun(piece.file, itertools.chain(first, batches), piece.wrong, piece.last)

    limits = Limits.of(threads_here(), piece_size())
    pieces = (piece for file in files for piece in file.pieces())
    rows = rejected = 0
    with closing(ahead(pieces, begun, lambda piece: len(piece.rows), limits)) as results:
        for result in results:
            before = rows + rejected
            for batch in result.batches:
                placed = _placed(batch, before)
                rows += batch.data.num_rows
                rejected += len(batch.rejected)
                yield placed
            if result.wrong is not None:
                raise result.file.unreadable(rows + rejected + 1, result.wrong)
            if result.last:
                result.file.stamp.check()
                ended(result.file, Count(rows, rejected))
                rows = rejected = 0


@dataclass(frozen=True, slots=True)
class _Begun:
    """A piece, parsed as far as a thread does it ahead: mostly all of it."""

    file: CsvFile
    batches: Iterator[Batch]
    wrong: str | None
    last: bool


def _worked(
    piece: Piece, columns: Sequence[str], work: Callable[[Batch], Iterator[Batch]]
) -> Iterator[Batch]:
    for batch in piece.file.parser.batches(piece.rows, columns):
        yield from work(batch)


def _placed(batch: Batch, before: int) -> Batch:
    """Returns rows that were counted from the beginning of their piece with their place."""
    if not before:
        return batch
    return replace(
        batch,
        row=batch.row + before,
        positions=None if batch.positions is None else batch.positions + before,
        rejected=tuple(replace(bad, row=bad.row + before) for bad in batch.rejected),
    )
