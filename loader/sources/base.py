"""What every reader shares: batch, source, options, and how much memory a batch takes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

import numpy as np
import pyarrow as pa

from loader.errors import NameRefused

__all__ = [
    "Batch",
    "CsvOptions",
    "CsvTypes",
    "Format",
    "Source",
    "SourceOptions",
    "memory_of",
    "pieces",
    "plain_schema",
]

Format: TypeAlias = Literal["parquet", "csv"]
CsvTypes: TypeAlias = Literal["scan", "sample"]


@dataclass(frozen=True, slots=True)
class Batch:
    """Some consecutive rows of one origin.

    Attributes:
        data: Columns exactly as ``Source.schema`` has them: names, order and types.
        origin: The file the rows came from, or ``<arrow>``; for error messages.
        row: Position of the first row among the data rows of ``origin``, counted from 0.
    """

    data: pa.RecordBatch
    origin: str
    row: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvOptions:
    """How CSV files are read.

    Attributes:
        types: ``scan`` decides the types of the columns from every value of every file, in a pass
            of its own; ``sample`` from the beginning of each file, and a later value that does not
            fit is a ``BadValue``.
    """

    types: CsvTypes = "scan"


def _unwatched(_rows: int) -> None:
    """Watches nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """What the caller knows about its sources.

    Attributes:
        format: The format of every file; None tells it from each file's extension.
        table: The name of a table that comes from an Arrow object and so has no name of its own.
        text_columns: Columns (``column``, or ``table.column`` for one table only) that a CSV file
            gives as text, without looking for their type.
        csv: How CSV files are read.
        watch: Called while ``open_tables`` scans files, with the rows of each piece; what it raises
            ends the scan.
    """

    format: Format | None = None
    table: str = "table"
    text_columns: frozenset[str] = frozenset()
    csv: CsvOptions = field(default_factory=CsvOptions)
    watch: Callable[[int], None] = _unwatched


class Source(Protocol):
    """The rows of one table, whatever is behind it."""

    @property
    def schema(self) -> pa.Schema:
        """Names, order and types of the columns of every batch."""

    @property
    def rows(self) -> int | None:
        """The exact number of rows where it is known without reading, else None."""

    @property
    def rereadable(self) -> bool:
        """Whether ``batches`` may be called again and gives the same rows."""

    @property
    def origins(self) -> Sequence[str]:
        """The files in reading order, which is the same on every call."""

    def batches(self, batch_bytes: int) -> Generator[Batch, None, None]:
        """Reads the rows lazily, in order, as batches of at most about ``batch_bytes`` of memory.

        A batch has at least one row, however wide. Closing the generator closes the files.

        Raises:
            SourceUnreadable: A file is damaged, or changed since it was first looked at.
            BadValue: A value does not fit the type of its column.
        """


def plain_schema(schema: pa.Schema, origin: str) -> pa.Schema:
    """Returns the schema without what differs between files of one table but means no data.

    That is metadata (writers' notes, field numbers) and nullability.

    Raises:
        NameRefused: Two columns have the same name: a column is found by its name from here on.
    """
    seen: set[str] = set()
    for name in schema.names:
        if name in seen:
            raise NameRefused(
                f"{origin} has more than one column named {name!r}",
                hint="Rename one of them in the source; column names must be unique.",
                file=origin,
                column=name,
            )
        seen.add(name)
    return pa.schema([pa.field(f.name, f.type) for f in schema])


def memory_of(batch: pa.RecordBatch) -> int:
    """Returns the bytes that these rows occupy in Arrow's layout.

    A slice counts only its own rows. Dictionaries are not counted: slices share them.
    """
    return sum(_column_bytes(column) for column in batch.columns)


def _column_bytes(column: pa.Array) -> int:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return int(column.indices.nbytes)
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        # nbytes counts every shared buffer whole for each slice; the length is the first of the
        # four 32-bit words of a view.
        words = np.frombuffer(column.buffers()[1], np.int32)
        first = column.offset * 4
        lengths = words[first : first + len(column) * 4 : 4]
        return 16 * len(column) + int(lengths.sum(dtype=np.int64))
    return int(column.nbytes)


def pieces(batch: pa.RecordBatch, batch_bytes: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Cuts a batch into slices of at most ``batch_bytes``, but of at least one row.

    Halving, not dividing evenly: where widths are skewed, only the wide part is cut finely.

    Yields:
        The position of the slice in ``batch``, and the slice (no copy).
    """
    todo = [(0, batch)]
    while todo:
        row, part = todo.pop()
        if part.num_rows > 1 and memory_of(part) > batch_bytes:
            half = part.num_rows // 2
            todo.append((row + half, part.slice(half)))
            todo.append((row, part.slice(0, half)))
        elif part.num_rows:
            yield row, part
