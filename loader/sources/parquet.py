"""Parquet files as one source: footers first, then row groups in pieces, whatever their size.

Memory while reading, beside the batches handed out: for each column one read buffer
(``buffer_bytes``), one compressed and one uncompressed page (about 1 MiB with usual writers) and
one dictionary page. pyarrow's stream buffers add to that, for columns whose pages are below 16 KiB,
the compressed column chunk: its peek for the next page header grows the buffer instead of refilling
it. In the place of the buffers, row groups of a file that is not local are in memory as they are
stored, up to 32 MiB.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import (
    Callable,
    Collection,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from loader.errors import SourceUnreadable
from loader.model.types import is_text
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
from loader.sources.row_groups import Pace, Run, flat_texts, leaf_count, repeating, runs
from loader.sources.skipping import whole_parts, without_first
from loader.sources.unify import Unifier, conform, projected

if TYPE_CHECKING:  # most loads have no condition
    from loader.sources.where import Condition

__all__ = ["ParquetSource", "buffer_bytes"]

_HINT: Final = "Check that the file is Parquet and was written to its end; write or copy it again."

# At the end of a file: the length of the footer, which ends with a signature (nonce and tag) where
# columns are encrypted but the footer is not (Parquet's "Modular Encryption", "Plaintext footer").
_TAIL: Final = 8
_SIGNATURE: Final = 12 + 16

# A batch this many times too large makes the rest of its row group be read in smaller ones. The
# rows before it are decoded once more for that, hence the limit.
_TOO_LARGE: Final = 2
_MAX_RESTARTS: Final = 3


# So much of a file that is not local is fetched at once, most often by one request: one for every
# column, and one after the other where there are few threads, would take longer than the decoding.
_AT_ONCE: Final = 32 << 20

# What a column of texts is read as where few of them repeat.
_TEXTS: Final = pa.dictionary(pa.int32(), pa.string())


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
        pace = Pace(batch_bytes)
        for file in self._files[unread:]:
            skip = yield from self._read(file, schema, batch_bytes, pace, skip)

    def _read(
        self, file: _File, schema: pa.Schema, batch_bytes: int, pace: Pace, skip: int
    ) -> Generator[Batch, None, int]:
        """Reads a file after its first rows; returns how many are still to skip."""
        path = file.stamp.path
        file.stamp.check()
        leaves = sum(leaf_count(field.type) for field in schema)
        buffer = buffer_bytes(leaves, remote=isinstance(path, StoredFile))
        with _opened(path, buffer) as (handle, opened):
            if opened.metadata.num_rows != file.rows:
                raise changed(path)
            groups = self._groups(opened, path)
            sizes = (opened.metadata.row_group(group).num_rows for group in groups)
            unread, skip = whole_parts(sizes, skip)
            wanted = groups[unread:]
            foldable = self._foldable(opened, schema)
            texts = frozenset(repeating(opened, wanted, foldable))

            @functools.cache  # nearly always one reader, or two, are for all runs
            def read(dictionaries: frozenset[str], at_once: bool) -> pq.ParquetFile:  # noqa: FBT001
                if not dictionaries and not at_once:
                    return opened
                return _parquet(handle, buffer, opened.metadata, dictionaries, at_once=at_once)

            reading = _Reading(path, read, texts, schema, batch_bytes, pace)
            todo = runs(
                opened,
                wanted,
                schema.names,
                batch_bytes,
                texts=texts,
                foldable=foldable,
                read_at=functools.partial(_read_at, handle, path),
            )
            skip = yield from without_first(reading.batches(todo), skip)
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
        import pyarrow.dataset as ds  # noqa: PLC0415 - takes long, and most loads need it not

        # A handle of its own: the fragment may close it.
        with file_errors(path, hint=_HINT):
            fragment = ds.ParquetFileFormat().make_fragment(open_input(path))
            return [group.id for group in fragment.subset(expression, schema=schema).row_groups]

    def _foldable(self, file: pq.ParquetFile, schema: pa.Schema) -> Mapping[str, int]:
        """Returns the columns that may be read as dictionaries of texts, with their places."""
        # A condition compares the columns with values of the types that the schema tells.
        compared = () if self._condition is None else self._condition.columns
        texts = [field.name for field in schema if is_text(field.type)]
        return flat_texts(file, [name for name in texts if name not in compared])


def _footer(path: str) -> tuple[_File, pa.Schema]:
    stamp = Stamp.of(path)
    with _opened(path, 0) as (_, file):
        return _File(stamp, file.metadata.num_rows), file.schema_arrow


@contextmanager
def _opened(path: str, buffer_size: int) -> Iterator[tuple[pa.NativeFile, pq.ParquetFile]]:
    with file_errors(path, hint=_HINT):
        # A handle of our own is closed also when the footer cannot be read.
        handle = open_input(path)
    with handle:
        with file_errors(path, hint=_HINT):
            file = _parquet(handle, buffer_size)
            length = int.from_bytes(handle.read_at(_TAIL, handle.size() - _TAIL)[:4], "little")
        if length - file.metadata.serialized_size == _SIGNATURE:
            # Asked for the size of an encrypted column, pyarrow would end the process.
            raise SourceUnreadable(
                f"{path} has encrypted columns, and there is no way to give their keys",
                hint="Load a copy without encryption.",
                file=path,
            )
        yield handle, file


def _parquet(
    handle: pa.NativeFile,
    buffer_size: int,
    metadata: pq.FileMetaData | None = None,
    dictionaries: Collection[str] = (),
    *,
    at_once: bool = False,
) -> pq.ParquetFile:
    """Returns a reader of an open file, whose footer may have been read before.

    Args:
        handle: The file.
        buffer_size: The read buffer of a column.
        metadata: Its footer.
        dictionaries: Columns of texts that are read as dictionaries.
        at_once: Whether row groups are fetched as a whole, and not by columns as they are decoded.
    """
    return pq.ParquetFile(
        handle,
        metadata=metadata,
        read_dictionary=list(dictionaries),
        buffer_size=buffer_size,
        pre_buffer=at_once,
        page_checksum_verification=True,
        coerce_int96_timestamp_unit="us",
    )


def _read_at(handle: pa.NativeFile, path: str, offset: int, size: int) -> bytes:
    with file_errors(path, hint=_HINT):
        return bytes(handle.read_at(size, offset))


def _with_dictionaries(schema: pa.Schema, texts: Collection[str]) -> pa.Schema:
    """Returns the columns as they are read, some of them as dictionaries of texts."""
    return pa.schema(
        [(field.name, _TEXTS if field.name in texts else field.type) for field in schema]
    )


@dataclass(frozen=True, slots=True)
class _Reading:
    """A file that is being read.

    Attributes:
        path: Its name.
        read: Returns a reader of it, which reads some columns as dictionaries, and which fetches
            row groups as a whole or not.
        texts: The columns that are always read as dictionaries.
        schema: The columns, otherwise as they are read.
        batch_bytes: The memory of a batch.
        pace: Decides how many rows are decoded at once.
    """

    path: str
    read: Callable[[frozenset[str], bool], pq.ParquetFile]
    texts: frozenset[str]
    schema: pa.Schema
    batch_bytes: int
    pace: Pace

    def batches(self, todo: Iterable[Run]) -> Generator[Batch, None, None]:
        """Reads run after run."""
        for run in todo:
            row = run.first
            dictionaries = self.texts | run.folded
            schema = _with_dictionaries(self.schema, dictionaries)
            for batch, size in self._stream(run, dictionaries):
                whole = conform(batch, schema, self.path, row)
                if max(size, _most_shown(whole, dictionaries)) <= self.batch_bytes:
                    yield Batch(whole, self.path, row)
                else:
                    for offset, part in _in_pieces(whole, dictionaries, self.batch_bytes):
                        yield Batch(part, self.path, row + offset)
                row += batch.num_rows
            if row != run.first + run.rows:
                raise changed(self.path)

    def _stream(
        self, run: Run, dictionaries: frozenset[str]
    ) -> Iterator[tuple[pa.RecordBatch, int]]:
        """Reads a run, from its beginning again in smaller batches where rows prove too wide.

        Yields:
            A batch, and its memory.
        """
        with file_errors(self.path, hint=_HINT):
            at_once = isinstance(self.path, StoredFile) and run.stored <= _AT_ONCE
            file = self.read(dictionaries, at_once)
        step = self.pace.begin(run)
        done = 0
        for restart in range(_MAX_RESTARTS + 1):
            skip = done
            reader = file.iter_batches(
                batch_size=step,
                row_groups=run.groups,
                columns=self.schema.names,
                # Over a network the columns' requests are then under way at the same time. For a
                # local file each thread more takes 25 MB and makes more work in all, while other
                # cores are busy with encoding.
                use_threads=isinstance(self.path, StoredFile),
            )
            while True:
                with file_errors(self.path, hint=_HINT):
                    batch = next(reader, None)
                if batch is None:
                    return
                if skip >= batch.num_rows:
                    skip -= batch.num_rows
                    continue
                size = _bytes_of(batch, step, dictionaries)
                fitting = self.pace.note(batch.num_rows, size)
                batch, skip = batch.slice(skip), 0
                done += batch.num_rows
                yield batch, size
                too_large = step > 1 and size > _TOO_LARGE * self.batch_bytes
                if too_large and restart < _MAX_RESTARTS and run.rows - done > step:
                    step = min(step - 1, fitting)
                    break
        raise AssertionError("the last pass over a run reads it to its end")


def _bytes_of(batch: pa.RecordBatch, step: int, dictionaries: Iterable[str]) -> int:
    """Returns the memory of a batch that was just decoded, ``step`` rows at once."""
    if batch.num_rows == step:
        return int(batch.get_total_buffer_size())
    # It may be one of two slices, where one row group ends and another begins.
    entries = (batch.column(name).dictionary for name in dictionaries)
    return memory_of(batch) + sum(int(texts.nbytes) for texts in entries)


def _most_shown(batch: pa.RecordBatch, dictionaries: Iterable[str]) -> int:
    """Returns what the values of dictionaries take if the longest are shown in every row."""
    entries = (pc.binary_length(batch.column(name).dictionary) for name in dictionaries)
    return int(batch.num_rows * sum(pc.max(lengths).as_py() or 0 for lengths in entries))


def _in_pieces(
    batch: pa.RecordBatch, dictionaries: Iterable[str], batch_bytes: int
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Cuts a batch into slices of at most ``batch_bytes``, but of at least one row.

    The values that dictionaries stand for take as much besides: whoever gets them may want those.

    Yields:
        The position of the slice in ``batch``, and the slice (no copy).
    """
    widths = np.zeros(batch.num_rows, np.int64)
    for name in dictionaries:
        column = batch.column(name)
        shown = pc.binary_length(column.dictionary).take(column.indices)
        widths += pc.fill_null(shown, 0).to_numpy(zero_copy_only=False)
    ends = np.cumsum(widths)
    start = before = 0
    while start < len(ends):
        stop = max(start + 1, int(np.searchsorted(ends, before + batch_bytes, side="right")))
        for offset, part in pieces(batch.slice(start, stop - start), batch_bytes):
            yield start + offset, part
        start, before = stop, int(ends[stop - 1])
