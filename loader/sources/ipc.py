"""Arrow IPC files and streams as sources: Feather files, what ``pa.ipc`` writes, and pipes of it.

Memory: a local file is mapped, and what of it was read is given back after every batch, so a record
batch of any size costs only the pieces handed out, as long as its buffers are not compressed.
Compressed ones, and those that come over a network or a pipe, are read a record batch of the writer
at a time (65,536 rows in a Feather file).

Where all rows of a record batch are skipped, its values are not read if it is mapped and not
compressed.
"""

from __future__ import annotations

import io
import mmap
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from loader.errors import SourceUnreadable, UsageError
from loader.sources.base import Batch, pieces
from loader.sources.files import Stamp, StoredFile, check_all, file_errors, open_input
from loader.sources.pipes import ONCE
from loader.sources.skipping import whole_parts
from loader.sources.unify import Unifier, conform, projected

__all__ = ["MAGIC", "IpcSource", "PipeSource"]

MAGIC: Final = b"ARROW1"
"""How a file begins that is no stream."""

_FEATHER_1: Final = b"FEA1"
_HINT: Final = "Check that it is an Arrow IPC file or stream and was written to its end."


@dataclass(frozen=True, slots=True)
class _File:
    """What is kept of a file: its stamp, its columns, and its rows where it tells."""

    stamp: Stamp
    names: tuple[str, ...]
    rows: int | None


class IpcSource:
    """Arrow IPC files with the same columns, in the file or the stream format.

    Raises:
        SourceUnreadable: A file is neither.
        NameRefused: A file has two columns of one name.
        SourceError: The files' columns are not the same, or have types that do not unify.
    """

    rereadable = True
    notes: Sequence[str] = ()

    def __init__(self, paths: Sequence[str]) -> None:
        unifier = Unifier()
        self._files = []
        for path in paths:
            stamp = Stamp.of(path)
            with _opened(stamp, None) as opened:
                unifier.add(path, opened.schema)
                self._files.append(_File(stamp, tuple(opened.schema.names), opened.rows))
        self.schema = unifier.schema

    @property
    def rows(self) -> int | None:
        """The rows of all files, if none of them is a stream."""
        counts = [file.rows for file in self._files]
        return None if None in counts else sum(count or 0 for count in counts)

    @property
    def origins(self) -> Sequence[str]:
        """The files in reading order."""
        return [file.stamp.path for file in self._files]

    def batches(
        self, batch_bytes: int, columns: Sequence[str] | None = None, skip: int = 0
    ) -> Generator[Batch, None, None]:
        """Reads file after file, each opened only when its turn comes.

        Raises:
            SourceUnreadable: A file is damaged, or changed since it was first looked at.
            BadValue: A value does not fit the type that another file of the table has.
        """
        schema = projected(self.schema, columns)
        unread, skip = whole_parts((file.rows for file in self._files), skip)
        check_all([file.stamp for file in self._files[:unread]])
        for file in self._files[unread:]:
            file.stamp.check()
            wanted = [at for at, name in enumerate(file.names) if name in schema.names]
            with _opened(file.stamp, wanted) as opened:
                skip = yield from _rows(opened, schema, batch_bytes, skip)
            file.stamp.check()


class PipeSource:
    """An Arrow IPC stream from a pipe: read once, and of unknown length.

    Args:
        path: Its name, for people.
        reader: The pipe, from its beginning; the source closes it.

    Raises:
        SourceUnreadable: It is no such stream.
        NameRefused: It has two columns of one name.
        SourceError: It has no column.
    """

    rereadable = False
    rows: int | None = None

    def __init__(self, path: str, reader: io.BufferedReader) -> None:
        self.origins: Sequence[str] = (path,)
        self.notes: Sequence[str] = (f"{path} {ONCE}",)
        with ExitStack() as stack:
            stack.enter_context(reader)
            with file_errors(path, hint=_HINT):
                self._reader: pa.RecordBatchReader | None = pa.ipc.open_stream(
                    pa.PythonFile(reader, mode="r")
                )
            unifier = Unifier()
            unifier.add(path, self._reader.schema)
            self.schema = unifier.schema
            self._open = stack.pop_all()

    def batches(
        self, batch_bytes: int, columns: Sequence[str] | None = None, skip: int = 0
    ) -> Generator[Batch, None, None]:
        """Reads the stream, the first time.

        Raises:
            UsageError: It was read before.
            SourceUnreadable: It is damaged, or ends too early.
        """
        schema = projected(self.schema, columns)
        if self._reader is None:
            raise UsageError(
                f"{self.origins[0]} was read already and cannot be read again",
                hint="Write the data to a file and name that.",
            )
        reader, self._reader = self._reader, None
        opened = _Opened(self.origins[0], reader.schema, None, iter(reader), lambda: None)
        return self._read(opened, schema, batch_bytes, skip)

    def _read(
        self, opened: _Opened, schema: pa.Schema, batch_bytes: int, skip: int
    ) -> Generator[Batch, None, None]:
        with self._open:
            yield from _rows(opened, schema, batch_bytes, skip)


@dataclass(frozen=True, slots=True)
class _Opened:
    """An open file or pipe.

    Attributes:
        path: Its name.
        schema: Its columns.
        rows: Its rows, where it tells.
        batches: Its record batches, with the columns asked for.
        release: Gives back the memory of what was read of it, and looks whether there is more.
    """

    path: str
    schema: pa.Schema
    rows: int | None
    batches: Iterator[pa.RecordBatch]
    release: Callable[[], None]


@contextmanager
def _opened(stamp: Stamp, columns: Sequence[int] | None) -> Iterator[_Opened]:
    """Opens a file; ``columns`` are positions in it, None stands for all."""
    path = stamp.path
    options = pa.ipc.IpcReadOptions(
        included_fields=None if columns is None else list(columns), use_threads=False
    )
    mapped = None if isinstance(path, StoredFile) else _mapped(path)
    with file_errors(path, hint=_HINT), ExitStack() as opening:
        # The mapping itself is never closed: batches still in use may lie in it.
        handle = open_input(path) if mapped is None else pa.BufferReader(pa.py_buffer(mapped))
        opening.enter_context(handle)
        magic = handle.read(len(MAGIC))
        handle.seek(0)
        if magic.startswith(_FEATHER_1):
            raise SourceUnreadable(
                f"{path} is a Feather file of version 1, which is no Arrow IPC file",
                hint="Read it with pyarrow.feather.read_table and write it as Parquet.",
                file=path,
            )
        reader: pa.RecordBatchFileReader | pa.RecordBatchStreamReader
        if magic == MAGIC:
            reader = opening.enter_context(pa.ipc.open_file(handle, options=options))
            rows = reader.count_rows()
            batches = (reader.get_batch(at) for at in range(reader.num_record_batches))
        else:
            reader = opening.enter_context(pa.ipc.open_stream(handle, options=options))
            rows = None
            batches = iter(reader)
        schema = reader.schema

        def release() -> None:
            if mapped is not None:
                mapped.madvise(mmap.MADV_DONTNEED)
                # To touch what was cut off a mapped file is a fatal signal.
                stamp.check()

        opened = _Opened(path, schema, rows, batches, release)
        closing = opening.pop_all()
    # Outside of file_errors: what the caller does with the file raises errors of its own.
    with closing:
        yield opened


def _mapped(path: str) -> mmap.mmap | None:
    with file_errors(path), Path(path).open("rb") as file:
        try:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            return None  # an empty file


def _rows(
    opened: _Opened, schema: pa.Schema, batch_bytes: int, skip: int
) -> Generator[Batch, None, int]:
    """Yields the rows after the first; returns how many are still to skip."""
    path = opened.path
    row = 0
    while True:
        with file_errors(path, hint=_HINT):
            batch = next(opened.batches, None)
            if batch is None:
                return skip
            # Lengths and sizes of buffers first, then every value of each piece: nothing in a file
            # may lead outside of it.
            batch.validate()
        gone = min(skip, batch.num_rows)
        skip -= gone
        if gone:
            # However large its record batches are, whoever reads may want to stop.
            yield Batch(conform(batch.slice(0, 0), schema, path, row), path, row)
            opened.release()
        for offset, part in pieces(batch.slice(gone), batch_bytes):
            first = row + gone + offset
            with file_errors(path, hint=_HINT):
                part.validate(full=True)
            for inner, piece in pieces(conform(part, schema, path, first), batch_bytes):
                yield Batch(piece, path, first + inner)
                opened.release()
        row += batch.num_rows
