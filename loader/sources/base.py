"""What every reader shares: batch, source, options, and how much memory a batch takes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from loader.badrow import BadRow
from loader.errors import NameRefused
from loader.layouts import take

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

Format: TypeAlias = Literal["parquet", "csv", "arrow"]
CsvTypes: TypeAlias = Literal["scan", "sample"]


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of one origin, in its order.

    Attributes:
        data: Columns as they were asked of ``Source.batches``: names, order and types; but texts
            may come as a dictionary of them.
        origin: The file the rows came from, or ``<arrow>``; for error messages.
        row: Position of the first row among the data rows of ``origin``, counted from 0.
        positions: The position of each row, where some between them were left out; None: the rows
            are consecutive.
        rejected: Rows in between that cannot be loaded, in the order of the origin.
    """

    data: pa.RecordBatch
    origin: str
    row: int
    positions: npt.NDArray[np.int64] | None = None
    rejected: tuple[BadRow, ...] = ()

    @property
    def count(self) -> int:
        """How many rows were read for it, rejected ones among them."""
        return int(self.data.num_rows) + len(self.rejected)

    def position(self, index: int) -> int:
        """Returns the position of a row of ``data`` among the data rows of ``origin``, from 0."""
        return self.row + index if self.positions is None else int(self.positions[index])

    def all_positions(self) -> npt.NDArray[np.int64]:
        """Returns the position of every row of ``data``."""
        if self.positions is not None:
            return self.positions
        return np.arange(self.row, self.row + self.data.num_rows, dtype=np.int64)

    def with_data(self, data: pa.RecordBatch) -> Batch:
        """Returns the same rows with other columns."""
        return replace(self, data=data)

    def slice(self, start: int, length: int) -> Batch:
        """Returns some of the rows, without copying.

        Every rejected row goes to exactly one of the slices that make up a batch: to the one whose
        rows it stands among or directly after.
        """
        stop = start + length
        rejected = self.rejected
        if rejected and start:
            first = self.position(start)
            rejected = tuple(bad for bad in rejected if bad.row > first)
        if rejected and stop < self.data.num_rows:
            end = self.position(stop)
            rejected = tuple(bad for bad in rejected if bad.row <= end)
        return self._part(start, stop, rejected)

    def first(self, count: int) -> Batch:
        """Returns the first ``count`` rows, of which rejected ones are some."""
        rejected = self._rejected_in(count)
        return self._part(0, count - rejected, self.rejected[:rejected])

    def after(self, count: int) -> Batch:
        """Returns the rows after the first ``count``, of which rejected ones are some."""
        rejected = self._rejected_in(count)
        return self._part(count - rejected, self.data.num_rows, self.rejected[rejected:])

    def emptied(self) -> Batch:
        """Returns a batch without rows, from the same place."""
        return self._part(0, 0, ())

    def _part(self, start: int, stop: int, rejected: tuple[BadRow, ...]) -> Batch:
        return Batch(
            data=self.data.slice(start, stop - start),
            origin=self.origin,
            row=self.position(start) if start < stop else self.row,
            positions=None if self.positions is None else self.positions[start:stop],
            rejected=rejected,
        )

    def _rejected_in(self, count: int) -> int:
        """Returns how many of the first ``count`` rows are rejected."""
        bad = np.fromiter((row.row - 1 for row in self.rejected), np.int64, len(self.rejected))
        # How many rows are in the line before each rejected one.
        before = np.searchsorted(self.all_positions(), bad) + np.arange(len(bad))
        return int(np.searchsorted(before, count))

    def keep(self, mask: npt.NDArray[np.bool_], rejected: Sequence[BadRow] = ()) -> Batch:
        """Returns the rows for which ``mask`` is true; ``rejected`` tells of some of the others."""
        if mask.all():
            return self
        kept = self.all_positions()[mask]
        return Batch(
            data=_filtered(self.data, mask),
            origin=self.origin,
            row=int(kept[0]) if len(kept) else self.row,
            positions=kept,
            rejected=tuple(sorted((*self.rejected, *rejected), key=lambda bad: bad.row)),
        )


def _filtered(data: pa.RecordBatch, mask: npt.NDArray[np.bool_]) -> pa.RecordBatch:
    kept = pa.array(mask)
    columns = [_filtered_column(column, kept) for column in data.columns]
    return pa.RecordBatch.from_arrays(columns, schema=data.schema)


def _filtered_column(column: pa.Array, kept: pa.BooleanArray) -> pa.Array:
    try:
        column = column.filter(kept)
    except pa.ArrowNotImplementedError:
        column = take(column, pc.indices_nonzero(kept).cast(pa.int64()))
    if (kind := _OF_VIEW.get(column.type)) is None:
        return column
    # A view holds on to the texts of all rows; there and back they are only its own.
    return column.cast(kind).cast(column.type)


_OF_VIEW: Final = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvOptions:
    """How CSV files are read.

    Attributes:
        types: ``scan`` decides the types of the columns from every value of every file, in a pass
            of its own; ``sample`` from the beginning of each file, and a later value that does not
            fit makes its row a bad row.
        delimiter: Between two fields, one character; None: found in the first lines of each file.
        quote: Around fields, one character; empty: nothing is quoted.
        escape: Before a character that is to be taken as it is; None: a quote inside quotes is
            doubled.
        encoding: Of the text, as Python names it; None: UTF-8, or what a byte order mark says.
        decimal: The decimal point of numbers, ``.`` or ``,``.
        header: Whether the first line names the columns; without one they are ``column1`` and so
            on.
        comment: Lines that begin with this character are skipped; None: there are none.
        skip_lines: Lines before the header (or the first row) that are skipped.
        nulls: Spellings of null in fields that are not quoted.
    """

    types: CsvTypes = "scan"
    delimiter: str | None = None
    quote: str = '"'
    escape: str | None = None
    encoding: str | None = None
    decimal: str = "."
    header: bool = True
    comment: str | None = None
    skip_lines: int = 0
    nulls: tuple[str, ...] = ("",)


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
        where: A condition that rows have to meet, in the words of SQL; None: all rows.
        limit: The most rows that are read of each table; None: all.
        keep_bad_rows: Whether a scan goes on after a malformed row; otherwise the first one is an
            error, unless a reading could find an earlier bad row. A reading always hands them on
            in ``Batch.rejected``.
        watch: Called while ``open_tables`` scans files, with the rows of each piece; what it raises
            ends the scan.
    """

    format: Format | None = None
    table: str = "table"
    text_columns: frozenset[str] = frozenset()
    csv: CsvOptions = field(default_factory=CsvOptions)
    where: str | None = None
    limit: int | None = None
    keep_bad_rows: bool = False
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

    @property
    def notes(self) -> Sequence[str]:
        """What was guessed about the source, in words; ``plan`` shows it."""

    def batches(
        self, batch_bytes: int, columns: Sequence[str] | None = None, skip: int = 0
    ) -> Generator[Batch, None, None]:
        """Reads the rows lazily, in order, as batches of at most about ``batch_bytes`` of memory.

        A batch has at least one row, however wide, unless it only tells of rejected ones, or a
        condition or ``skip`` has left none for a while. Closing the generator closes the files.

        Args:
            batch_bytes: Arrow memory of a batch.
            columns: The columns to read, in the order wanted; None: all of the schema.
            skip: How many rows to leave out at the beginning, of those that are handed on
                otherwise, rejected ones among them; the others are the same as without it. What
                the format allows to leave out unread is not read, but may not have changed. At the
                end of the source and beyond it nothing is left.

        Raises:
            SourceUnreadable: A file is damaged, or changed since it was first looked at.
            BadValue: A value does not fit the type of its column.
        """


def plain_schema(schema: pa.Schema, origin: str) -> pa.Schema:
    """Returns the schema without what differs between files of one table but means no data.

    That is metadata (writers' notes, field numbers) and nullability.

    Raises:
        NameRefused: Two columns have the same name: a column is found by its name from here on. Or
            a name, of a field inside a column too, is not UTF-8.
    """
    try:
        names = [_readable(field).name for field in schema]
    except UnicodeDecodeError as error:
        raise NameRefused(
            f"{origin} has a column, or a field inside one, whose name is not UTF-8: {error}",
            hint="Rename it in the source.",
            file=origin,
        ) from error
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise NameRefused(
                f"{origin} has more than one column named {name!r}",
                hint="Rename one of them in the source; column names must be unique.",
                file=origin,
                column=name,
            )
        seen.add(name)
    return pa.schema([pa.field(f.name, f.type) for f in schema])


def _readable(field: pa.Field) -> pa.Field:
    """Reads the names of a field and of all inside it, which Arrow takes from files unchecked."""
    kind = field.type
    while pa.types.is_dictionary(kind) or isinstance(kind, pa.BaseExtensionType):
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind.storage_type
    for place in range(kind.num_fields):
        _ = _readable(kind.field(place)).name
    return field


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
