"""Arrow objects as sources: tables, data frames, batches, readers, and iterators of these."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any, Final

import pyarrow as pa

from loader.errors import LoaderError, SourceError, SourceUnreadable, UsageError
from loader.sources.base import Batch, Source, pieces, plain_schema
from loader.sources.pipes import ONCE
from loader.sources.skipping import without_first
from loader.sources.unify import projected

__all__ = ["is_arrow", "open_arrow", "open_batches"]

_ORIGIN: Final = "<arrow>"
# What else has ``__arrow_c_stream__`` may be a stream, or a query whose rows come in another order
# the next time (duckdb).
_FRAMES: Final = frozenset({("polars", "DataFrame"), ("pandas", "DataFrame")})


def is_arrow(thing: object) -> bool:
    """Whether the object is, or can give, Arrow record batches."""
    return (
        isinstance(thing, pa.RecordBatchReader)
        or hasattr(thing, "__arrow_c_stream__")
        or hasattr(thing, "__arrow_c_array__")
    )


def open_arrow(thing: Any) -> Source:
    """Returns the source of an Arrow object.

    A ``pa.Table``, a ``pa.RecordBatch`` (and what exports one) and the data frames of polars and
    pandas can be read again; anything else is taken as a stream.

    Raises:
        NameRefused: Two columns have the same name.
        SourceError: There is no column, or the object does not give record batches.
    """
    if isinstance(thing, pa.RecordBatchReader):
        return _StreamSource(thing, type(thing).__name__)
    if not _in_memory(thing):
        return _StreamSource(_reader(thing), type(thing).__name__)
    return _TableSource(_table(thing))


def open_batches(batches: Iterable[Any], first: Any, rest: Iterator[Any]) -> Source:
    """Returns the source of several Arrow objects that follow each other in one table.

    The columns are those of the first; every other one must have the same.

    Args:
        batches: A list or tuple, which can be read again, or an iterator, which is read as it
            comes and once.
        first: Its first item.
        rest: Yields the items after the first.

    Raises:
        NameRefused: Two columns have the same name.
        SourceError: There is no column, or an item does not have those of the first; for an
            iterator this is found while it is read.
        UsageError: An item is no Arrow object, or one of a list can be read only once.
    """
    if isinstance(batches, Iterator):
        head = _pulled(first)
        pulled = _same(head, rest, head.schema)
        reader = pa.RecordBatchReader.from_batches(head.schema, pulled)
        return _StreamSource(reader, type(batches).__name__)
    tables: list[pa.Table] = []
    for item in (first, *rest):
        if not _in_memory(item):
            raise UsageError(
                f"A {type(item).__name__} in a list of Arrow objects may not be readable again",
                hint="Pass an iterator of them instead, or read it into a pyarrow.Table.",
            )
        table = _table(item)
        _check_same(table.schema, tables[0].schema if tables else table.schema, len(tables))
        tables.append(table)
    return _TableSource(pa.concat_tables(tables))


def _in_memory(thing: Any) -> bool:
    """Whether reading an object twice gives the same rows."""
    if isinstance(thing, pa.Table | pa.RecordBatch):
        return True
    kind = type(thing)
    named = (kind.__module__.partition(".")[0], kind.__name__)
    return named in _FRAMES or not hasattr(thing, "__arrow_c_stream__")


def _table(thing: Any) -> pa.Table:
    """Returns an object in memory as a table, as far as possible without copying."""
    if isinstance(thing, pa.Table):
        return thing
    if isinstance(thing, pa.RecordBatch):
        return pa.Table.from_batches([thing])
    if hasattr(thing, "__arrow_c_stream__"):
        with _reader(thing) as reader:
            return reader.read_all()
    if not is_arrow(thing):
        raise UsageError(
            f"A {type(thing).__name__} is no Arrow object", hint="Pass record batches or tables."
        )
    try:
        return pa.Table.from_batches([pa.record_batch(thing)])
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise _no_batches(thing, error) from error


def _reader(thing: Any) -> pa.RecordBatchReader:
    try:
        return pa.RecordBatchReader.from_stream(thing)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise _no_batches(thing, error) from error


def _no_batches(thing: Any, error: Exception) -> SourceError:
    return SourceError(
        f"The {type(thing).__name__} does not give a stream of Arrow record batches: {error}",
        hint="Convert it to a pyarrow.Table first.",
    )


def _pulled(item: Any) -> pa.RecordBatchReader:
    """Returns one item of an iterator as a stream."""
    if isinstance(item, pa.RecordBatchReader):
        return item
    if is_arrow(item) and not _in_memory(item):
        return _reader(item)
    return _table(item).to_reader()


def _same(
    head: pa.RecordBatchReader, rest: Iterator[Any], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """Yields the batches of all items; raises where one has other columns."""
    yield from head
    for number, item in enumerate(rest, start=1):
        reader = _pulled(item)
        _check_same(reader.schema, schema, number)
        for batch in reader:
            yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)


def _check_same(schema: pa.Schema, first: pa.Schema, number: int) -> None:
    if schema.equals(first):
        return
    here, there = (
        [f"{field.name} {field.type}" for field in one if field not in other]
        for one, other in ((schema, first), (first, schema))
    )
    told = f"it has {', '.join(here) or 'none'} where the first has {', '.join(there) or 'none'}"
    raise SourceError(
        f"Item {number + 1} of the Arrow data does not have the columns of the first: {told}",
        hint="Give every batch the same columns in the same order, for example with cast().",
        row=None,
    )


def _columns(schema: pa.Schema) -> pa.Schema:
    if not schema.names:
        raise SourceError("The Arrow data has no columns")
    return plain_schema(schema, "The Arrow data")


class _TableSource:
    """A table in memory: its batches are slices, nothing is copied."""

    rereadable = True
    notes: Sequence[str] = ()
    origins: Sequence[str] = (_ORIGIN,)

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self.schema = _columns(table.schema)
        self.rows: int | None = table.num_rows

    def batches(
        self, batch_bytes: int, columns: Sequence[str] | None = None, skip: int = 0
    ) -> Generator[Batch, None, None]:
        """Slices the table."""
        schema = projected(self.schema, columns)
        rows = self._table.select(schema.names).slice(skip)
        yield from _sliced(rows.to_batches(), schema, batch_bytes, skip)


class _StreamSource:
    """A stream: read once, and of unknown length."""

    rereadable = False
    rows: int | None = None
    origins: Sequence[str] = (_ORIGIN,)

    def __init__(self, reader: pa.RecordBatchReader, named: str) -> None:
        self._reader: pa.RecordBatchReader | None = reader
        self.schema = _columns(reader.schema)
        self.notes: Sequence[str] = (f"the {named} {ONCE}",)

    def batches(
        self, batch_bytes: int, columns: Sequence[str] | None = None, skip: int = 0
    ) -> Generator[Batch, None, None]:
        """Reads the stream, the first time.

        Raises:
            UsageError: The stream was read before.
            SourceUnreadable: Its producer failed.
        """
        schema = projected(self.schema, columns)
        if self._reader is None:
            raise UsageError(
                "This Arrow stream was read already and cannot be read again",
                hint="Pass a pyarrow.Table or files to read the same rows twice.",
            )
        reader, self._reader = self._reader, None
        return _streamed(reader, schema, batch_bytes, skip)


def _streamed(
    reader: pa.RecordBatchReader, schema: pa.Schema, batch_bytes: int, skip: int
) -> Generator[Batch, None, None]:
    yield from without_first(_sliced(_read(reader), schema, batch_bytes, 0), skip)


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
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, batch_bytes: int, row: int
) -> Generator[Batch, None, None]:
    for batch in batches:
        columns = [batch.column(name) for name in schema.names]
        plain = pa.RecordBatch.from_arrays(columns, schema=schema)
        for offset, part in pieces(plain, batch_bytes):
            yield Batch(part, _ORIGIN, row + offset)
        row += batch.num_rows
