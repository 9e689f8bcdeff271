"""Arrow IPC files and streams as sources: Feather files, what ``pa.ipc`` writes, and pipes of it.

Memory: a local file is mapped, and what of it was read is given back after every batch, so a record
batch of any size costs only the pieces handed out, as long as its buffers are not compressed.
Compressed ones, and those that come over a network or a pipe, are read a record batch of the writer
at a time (65,536 rows in a Feather file).
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
from loader.sources.files import Stamp, StoredFile, file_errors, open_input
from loader.sources.unify import Unifier, conform, projected

__all__ = ["MAGIC", "ONCE", "IpcSource", "PipeSource"]

MAGIC: Final = b"ARROW1"
"""How a file begins that is no stream."""

ONCE: Final = "cannot be read twice, so this load cannot be resumed"
"""What is noted of every source that is not rereadable, after its name."""

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
            with _opened(path, None) as opened:
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
        self, batch_bytes: int, columns: Sequence[str] | None = None
    ) -> Generator[Batch, None, None]:
        """Reads file after file, each opened only when its turn comes.

        Raises:
            SourceUnreadable: A file is damaged, or changed since it was first looked at.
            BadValue: A value does not fit the type that another file of the table has.
        """
        schema = projected(self.schema, columns)
        for file in self._files:
            path = file.stamp.path
            file.stamp.check()
            wanted = [at for at, name in enumerate(file.names) if name in schema.names]
            with _opened(path, wanted) as opened:
                for batch in _rows(opened.batches, path, schema, batch_bytes):
                    yield batch
                    opened.release()
                    if opened.mapped:
                        # To touch what was cut off a mapped file is a fatal signal.
                        file.stamp.check()
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
        self, batch_bytes: int, columns: Sequence[str] | None = None
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
        return self._read(reader, schema, batch_bytes)

    def _read(
        self, reader: pa.RecordBatchReader, schema: pa.Schema, batch_bytes: int
    ) -> Generator[Batch, None, None]:
        with self._open:
            yield from _rows(iter(reader), self.origins[0], schema, batch_bytes)


@dataclass(frozen=True, slots=True)
class _Opened:
    """An open file.

    Attributes:
        schema: Its columns.
        rows: Its rows, where it tells.
        batches: Its record batches, with the columns asked for.
        release: Gives back the memory of what was read of it.
        mapped: Whether it is mapped.
    """

    schema: pa.Schema
    rows: int | None
    batches: Iterator[pa.RecordBatch]
    release: Callable[[], None]
    mapped: bool


@contextmanager
def _opened(path: str, columns: Sequence[int] | None) -> Iterator[_Opened]:
    """Opens a file; ``columns`` are positions in it, None stands for all."""
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

        opened = _Opened(schema, rows, batches, release, mapped is not None)
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
    batches: Iterator[pa.RecordBatch], path: str, schema: pa.Schema, batch_bytes: int
) -> Generator[Batch, None, None]:
    row = 0
    while True:
        with file_errors(path, hint=_HINT):
            batch = next(batches, None)
            if batch is None:
                return
            # Lengths and sizes of buffers first, then every value of each piece: nothing in a file
            # may lead outside of it.
            batch.validate()
        for offset, part in pieces(batch, batch_bytes):
            with file_errors(path, hint=_HINT):
                part.validate(full=True)
            for inner, piece in pieces(conform(part, schema, path, row + offset), batch_bytes):
                yield Batch(piece, path, row + offset + inner)
        row += batch.num_rows
