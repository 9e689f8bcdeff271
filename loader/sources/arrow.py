"""Arrow objects as sources: tables, batches, readers and whatever exports an Arrow stream."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any, Final

import pyarrow as pa

from loader.errors import LoaderError, SourceError, SourceUnreadable, UsageError
from loader.sources.base import Batch, Source, pieces, plain_schema

__all__ = ["is_arrow", "open_arrow"]

_ORIGIN: Final = "<arrow>"


def is_arrow(thing: object) -> bool:
    """Whether the object is, or can give, a stream of Arrow record batches."""
    return isinstance(thing, pa.RecordBatchReader) or hasattr(thing, "__arrow_c_stream__")


def open_arrow(thing: Any) -> Source:
    """Returns the source of an Arrow object.

    A ``pa.Table`` or ``pa.RecordBatch`` can be read again; anything else is taken as a stream.

    Raises:
        NameRefused: Two columns have the same name.
        SourceError: There is no column, or the object does not give a stream of record batches.
    """
    if isinstance(thing, pa.RecordBatch):
        thing = pa.Table.from_batches([thing])
    if isinstance(thing, pa.Table):
        return _TableSource(thing)
    if isinstance(thing, pa.RecordBatchReader):
        return _StreamSource(thing)
    try:
        return _StreamSource(pa.RecordBatchReader.from_stream(thing))
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise SourceError(
            f"The {type(thing).__name__} does not give a stream of Arrow record batches: {error}",
            hint="Convert it to a pyarrow.Table first.",
        ) from error


def _columns(schema: pa.Schema) -> pa.Schema:
    if not schema.names:
        raise SourceError("The Arrow data has no columns")
    return plain_schema(schema, "The Arrow data")


class _TableSource:
    """A table in memory: its batches are slices, nothing is copied."""

    rereadable = True
    origins: Sequence[str] = (_ORIGIN,)

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self.schema = _columns(table.schema)
        self.rows: int | None = table.num_rows

    def batches(self, batch_bytes: int) -> Generator[Batch, None, None]:
        """Slices the table."""
        yield from _sliced(self._table.to_batches(), self.schema, batch_bytes)


class _StreamSource:
    """A stream: read once, and of unknown length."""

    rereadable = False
    rows: int | None = None
    origins: Sequence[str] = (_ORIGIN,)

    def __init__(self, reader: pa.RecordBatchReader) -> None:
        self._reader: pa.RecordBatchReader | None = reader
        self.schema = _columns(reader.schema)

    def batches(self, batch_bytes: int) -> Generator[Batch, None, None]:
        """Reads the stream, the first time.

        Raises:
            UsageError: The stream was read before.
            SourceUnreadable: Its producer failed.
        """
        if self._reader is None:
            raise UsageError(
                "This Arrow stream was read already and cannot be read again",
                hint="Pass a pyarrow.Table or files to read the same rows twice.",
            )
        reader, self._reader = self._reader, None
        return _sliced(_read(reader), self.schema, batch_bytes)


def _read(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    with reader:
        while True:
            try:
                batch = reader.read_next_batch()
            except StopIteration:
                return
            except LoaderError:
                raise
            except Exception as error:  # the producer is anybody's code
                raise SourceUnreadable(f"The Arrow stream failed: {error}") from error
            yield batch


def _sliced(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, batch_bytes: int
) -> Generator[Batch, None, None]:
    row = 0
    for batch in batches:
        plain = pa.RecordBatch.from_arrays(batch.columns, schema=schema)
        for offset, part in pieces(plain, batch_bytes):
            yield Batch(part, _ORIGIN, row + offset)
        row += batch.num_rows
