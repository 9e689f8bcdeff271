"""Parquet files as one source: footers first, then row groups in pieces, whatever their size.

Memory while reading, beside the batches handed out: for each column one read buffer
(``buffer_bytes``), one compressed and one uncompressed page (about 1 MiB with usual writers) and
one dictionary page. pyarrow's stream buffers add to that, for columns whose pages are below 16 KiB,
the compressed column chunk: its peek for the next page header grows the buffer instead of refilling
it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from loader.sources.base import Batch, memory_of, pieces
from loader.sources.files import Stamp, changed, file_errors
from loader.sources.unify import Unifier, conform

__all__ = ["ParquetSource", "buffer_bytes"]

_HINT: Final = "Check that the file is Parquet and was written to its end; write or copy it again."

# Reading is as fast with 8,000 rows a batch as with 65,000, and the fewer rows, the smaller is the
# first batch where rows suddenly become wide.
_MAX_ROWS: Final = 8_192

# A batch this many times too large makes the rest of its row group be read in smaller ones. The
# rows before it are decoded once more for that, hence the limit.
_TOO_LARGE: Final = 2
_MAX_RESTARTS: Final = 3


def buffer_bytes(columns: int) -> int:
    """Returns the read buffer of one column: 16 MiB for all together, from 64 KiB to 1 MiB each.

    Every column of a row group is read at its own place in the file, so each has a buffer.
    """
    return max(1 << 16, min(1 << 20, (16 << 20) // max(columns, 1)))


@dataclass(frozen=True, slots=True)
class _File:
    """What is kept of a footer: with thousands of files, keep it small."""

    stamp: Stamp
    rows: int


@dataclass(frozen=True, slots=True)
class _Run:
    """Consecutive row groups that are read as one stream: one large or many small ones."""

    groups: list[int]
    rows: int
    row_bytes: int  # estimated memory of a row


class ParquetSource:
    """Parquet files with the same columns, read one after another.

    Timestamps stored as INT96 (old Spark, Hive, Impala) are read as microseconds: in nanoseconds
    years after 2262 would silently become others.

    Raises:
        SourceUnreadable: A file is not Parquet or has no footer.
        NameRefused: A file has two columns of one name.
        SourceError: The files' columns are not the same, or have types that do not unify.
    """

    rereadable = True

    def __init__(self, paths: Sequence[str]) -> None:
        unifier = Unifier()
        self._files = []
        for path in paths:
            stamp = Stamp.of(path)
            with _opened(path, 0) as file:
                unifier.add(path, file.schema_arrow)
                self._files.append(_File(stamp, file.metadata.num_rows))
        self.schema = unifier.schema
        self.rows: int | None = sum(file.rows for file in self._files)

    @property
    def origins(self) -> Sequence[str]:
        """The files in reading order."""
        return [file.stamp.path for file in self._files]

    def batches(self, batch_bytes: int) -> Generator[Batch, None, None]:
        """Reads file after file, each opened only when its turn comes.

        Raises:
            SourceUnreadable: A page is damaged, or a file changed since its footer was read.
            BadValue: A value does not fit the type that another file of the table has.
        """
        for file in self._files:
            yield from self._read(file, batch_bytes)

    def _read(self, file: _File, batch_bytes: int) -> Generator[Batch, None, None]:
        path = file.stamp.path
        file.stamp.check()
        row = 0
        with _opened(path, buffer_bytes(len(self.schema))) as opened:
            for run in _runs(opened.metadata, batch_bytes):
                for batch in _stream(opened, path, run, batch_bytes):
                    whole = conform(batch, self.schema, path, row)
                    for offset, part in pieces(whole, batch_bytes):
                        yield Batch(part, path, row + offset)
                    row += batch.num_rows
        file.stamp.check()
        if row != file.rows:
            raise changed(path)


@contextmanager
def _opened(path: str, buffer_size: int) -> Iterator[pq.ParquetFile]:
    with file_errors(path, hint=_HINT):
        # A handle of our own: a name is then never taken for a URI, and the handle is closed also
        # when the footer cannot be read.
        handle = pa.OSFile(path)
    with handle:
        with file_errors(path, hint=_HINT):
            file = pq.ParquetFile(
                handle,
                buffer_size=buffer_size,
                # Pre-buffering keeps whole row groups in memory.
                pre_buffer=False,
                page_checksum_verification=True,
                coerce_int96_timestamp_unit="us",
            )
        yield file


def _runs(metadata: pq.FileMetaData, batch_bytes: int) -> Iterator[_Run]:
    """Joins small row groups until they fill a batch; a large one stays alone."""
    groups: list[int] = []
    rows = size = 0
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        groups.append(index)
        rows += group.num_rows
        # Encoded sizes, so too low where values repeat; a batch that shows it corrects the rest.
        size += group.total_byte_size
        if size >= batch_bytes:
            yield _Run(groups, rows, -(-size // max(rows, 1)))
            groups, rows, size = [], 0, 0
    if groups:
        yield _Run(groups, rows, -(-size // max(rows, 1)))


def _stream(
    file: pq.ParquetFile, path: str, run: _Run, batch_bytes: int
) -> Iterator[pa.RecordBatch]:
    """Reads a run, from its beginning again in smaller batches where rows prove too wide."""
    step = _step(batch_bytes, run.row_bytes)
    done = 0
    for restart in range(_MAX_RESTARTS + 1):
        skip = done
        reader = file.iter_batches(batch_size=step, row_groups=run.groups, use_threads=False)
        while True:
            with file_errors(path, hint=_HINT):
                batch = next(reader, None)
            if batch is None:
                return
            if skip >= batch.num_rows:
                skip -= batch.num_rows
                continue
            batch, skip = batch.slice(skip), 0
            done += batch.num_rows
            yield batch
            size = memory_of(batch)
            too_large = step > 1 and size > _TOO_LARGE * batch_bytes
            if too_large and restart < _MAX_RESTARTS and run.rows - done > step:
                step = min(step - 1, _step(batch_bytes, size // batch.num_rows))
                break
    raise AssertionError("the last pass over a run reads it to its end")


def _step(batch_bytes: int, row_bytes: int) -> int:
    """Returns the rows of a batch."""
    return max(1, min(_MAX_ROWS, batch_bytes // max(row_bytes, 1)))
