"""Parquet files as one source: footers first, then row groups in pieces, whatever their size.

Memory while reading, beside the batches handed out: for each column one read buffer
(``buffer_bytes``), one compressed and one uncompressed page (about 1 MiB with usual writers) and
one dictionary page. pyarrow's stream buffers add to that, for columns whose pages are below 16 KiB,
the compressed column chunk: its peek for the next page header grows the buffer instead of refilling
it.
"""

from __future__ import annotations

import copy
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pyarrow.types as pt

from loader.errors import SourceUnreadable
from loader.sources.base import Batch, memory_of, pieces
from loader.sources.files import (
    Stamp,
    StoredFile,
    changed,
    check_all,
    each_file,
    file_errors,
    open_input,
)
from loader.sources.skipping import whole_parts, without_first
from loader.sources.unify import Unifier, conform, projected
from loader.sources.where import Condition

__all__ = ["ParquetSource", "buffer_bytes"]

_HINT: Final = "Check that the file is Parquet and was written to its end; write or copy it again."

# At the end of a file: the length of the footer, which ends with a signature (nonce and tag) where
# columns are encrypted but the footer is not (Parquet's "Modular Encryption", "Plaintext footer").
_TAIL: Final = 8
_SIGNATURE: Final = 12 + 16

# Reading is as fast with 8,000 rows a batch as with 65,000, and the fewer rows, the smaller is the
# first batch where rows suddenly become wide.
_MAX_ROWS: Final = 8_192

# A batch this many times too large makes the rest of its row group be read in smaller ones. The
# rows before it are decoded once more for that, hence the limit.
_TOO_LARGE: Final = 2
_MAX_RESTARTS: Final = 3


def buffer_bytes(columns: int, *, remote: bool = False) -> int:
    """Returns the read buffer of one column, in bytes.

    Every column of a row group is read at its own place in the file, so each has a buffer: 16 MiB
    for all together, from 64 KiB to 1 MiB each. Four times as much over a network, where every
    refill of a buffer is a request.

    Args:
        columns: The columns to read; one that is nested counts as those it consists of.
        remote: Whether the file is not local.
    """
    size = max(1 << 16, min(1 << 20, (16 << 20) // max(columns, 1)))
    return 4 * size if remote else size


@dataclass(frozen=True, slots=True)
class _File:
    """What is kept of a footer: with thousands of files, keep it small."""

    stamp: Stamp
    rows: int


@dataclass(frozen=True, slots=True)
class _Run:
    """Consecutive row groups that are read as one stream: one large or many small ones."""

    groups: list[int]
    first: int  # the position of its first row in the file
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
    notes: Sequence[str] = ()

    def __init__(self, paths: Sequence[str]) -> None:
        unifier = Unifier()
        self._files: list[_File] = []
        for file, schema in each_file(_footer, paths):
            unifier.add(file.stamp.path, schema)
            self._files.append(file)
        self.schema = unifier.schema
        self.rows: int | None = sum(file.rows for file in self._files)
        self._condition: Condition | None = None

    @property
    def origins(self) -> Sequence[str]:
        """The files in reading order."""
        return [file.stamp.path for file in self._files]

    def pruned(self, condition: Condition) -> ParquetSource:
        """Returns the source without the row groups none of whose rows can meet a condition.

        Their statistics tell. The other row groups are read whole: rows that do not meet the
        condition are still among them.
        """
        source = copy.copy(self)
        source._condition = condition  # noqa: SLF001 - it is one of us
        source.rows = None
        return source

    def batches(
        self, batch_bytes: int, columns: Sequence[str] | None = None, skip: int = 0
    ) -> Generator[Batch, None, None]:
        """Reads file after file, each opened only when its turn comes.

        Raises:
            SourceUnreadable: A page is damaged, or a file changed since its footer was read.
            BadValue: A value does not fit the type that another file of the table has.
        """
        schema = projected(self.schema, columns)
        # Only the files themselves know how many of their rows a condition leaves.
        known = [file.rows if self._condition is None else None for file in self._files]
        unread, skip = whole_parts(known, skip)
        check_all([file.stamp for file in self._files[:unread]])
        for file in self._files[unread:]:
            skip = yield from self._read(file, schema, batch_bytes, skip)

    def _read(
        self, file: _File, schema: pa.Schema, batch_bytes: int, skip: int
    ) -> Generator[Batch, None, int]:
        """Reads a file after its first rows; returns how many are still to skip."""
        path = file.stamp.path
        file.stamp.check()
        leaves = sum(_leaves(field.type) for field in schema)
        buffer = buffer_bytes(leaves, remote=isinstance(path, StoredFile))
        with _opened(path, buffer) as opened:
            if opened.metadata.num_rows != file.rows:
                raise changed(path)
            groups = self._groups(opened, path)
            sizes = (opened.metadata.row_group(group).num_rows for group in groups)
            unread, skip = whole_parts(sizes, skip)
            runs = _runs(opened, groups[unread:], schema, batch_bytes)
            skip = yield from without_first(_rows(opened, path, runs, schema, batch_bytes), skip)
        file.stamp.check()
        return skip

    def _groups(self, file: pq.ParquetFile, path: str) -> Sequence[int]:
        """Returns the row groups that the condition allows, in order."""
        count = file.metadata.num_row_groups
        if self._condition is None or not count:
            return range(count)
        expression, schema = self._condition.expression(file.schema_arrow)
        if expression is None:
            return range(count)
        # A handle of its own: the fragment may close it.
        with file_errors(path, hint=_HINT):
            fragment = ds.ParquetFileFormat().make_fragment(open_input(path))
            return [group.id for group in fragment.subset(expression, schema=schema).row_groups]


def _footer(path: str) -> tuple[_File, pa.Schema]:
    stamp = Stamp.of(path)
    with _opened(path, 0) as file:
        return _File(stamp, file.metadata.num_rows), file.schema_arrow


def _leaves(kind: pa.DataType) -> int:
    """Returns how many columns of a Parquet file a column is kept in."""
    if isinstance(kind, pa.BaseExtensionType):
        return _leaves(kind.storage_type)
    if pt.is_nested(kind) and not pt.is_dictionary(kind):
        return max(1, sum(_leaves(kind.field(at).type) for at in range(kind.num_fields)))
    return 1


@contextmanager
def _opened(path: str, buffer_size: int) -> Iterator[pq.ParquetFile]:
    with file_errors(path, hint=_HINT):
        # A handle of our own is closed also when the footer cannot be read.
        handle = open_input(path)
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
            length = int.from_bytes(handle.read_at(_TAIL, handle.size() - _TAIL)[:4], "little")
        if length - file.metadata.serialized_size == _SIGNATURE:
            # Asked for the size of an encrypted column, pyarrow would end the process.
            raise SourceUnreadable(
                f"{path} has encrypted columns, and there is no way to give their keys",
                hint="Load a copy without encryption.",
                file=path,
            )
        yield file


def _runs(
    file: pq.ParquetFile, wanted: Iterable[int], schema: pa.Schema, batch_bytes: int
) -> Iterator[_Run]:
    """Joins small row groups until they fill a batch; a large one stays alone."""
    metadata = file.metadata
    chosen = frozenset(wanted)
    leaves = _positions(file, schema)
    groups: list[int] = []
    at = first = rows = size = 0
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        if index in chosen:
            if not groups:
                first = at
            groups.append(index)
            rows += group.num_rows
            # Encoded sizes, so too low where values repeat; a batch that shows it corrects the
            # rest.
            size += sum(group.column(leaf).total_uncompressed_size for leaf in leaves)
        if groups and (size >= batch_bytes or index not in chosen):
            yield _Run(groups, first, rows, -(-size // max(rows, 1)))
            groups, rows, size = [], 0, 0
        at += group.num_rows
    if groups:
        yield _Run(groups, first, rows, -(-size // max(rows, 1)))


def _positions(file: pq.ParquetFile, schema: pa.Schema) -> list[int]:
    """Returns the columns of the file, in its own numbering, that the columns are kept in."""
    positions: list[int] = []
    next_one = 0
    for field in file.schema_arrow:
        count = _leaves(field.type)
        if field.name in schema.names:
            positions += range(next_one, next_one + count)
        next_one += count
    return [position for position in positions if position < len(file.schema)]


def _rows(
    file: pq.ParquetFile, path: str, runs: Iterable[_Run], schema: pa.Schema, batch_bytes: int
) -> Generator[Batch, None, None]:
    for run in runs:
        row = run.first
        for batch in _stream(file, path, run, schema.names, batch_bytes):
            whole = conform(batch, schema, path, row)
            for offset, part in pieces(whole, batch_bytes):
                yield Batch(part, path, row + offset)
            row += batch.num_rows
        if row != run.first + run.rows:
            raise changed(path)


def _stream(
    file: pq.ParquetFile, path: str, run: _Run, columns: list[str], batch_bytes: int
) -> Iterator[pa.RecordBatch]:
    """Reads a run, from its beginning again in smaller batches where rows prove too wide."""
    step = _step(batch_bytes, run.row_bytes)
    done = 0
    for restart in range(_MAX_RESTARTS + 1):
        skip = done
        reader = file.iter_batches(
            batch_size=step,
            row_groups=run.groups,
            columns=columns,
            # Over a network the columns' requests are then under way at the same time.
            use_threads=isinstance(path, StoredFile),
        )
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
