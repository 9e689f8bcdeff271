"""Several files, one table: the schema that holds the columns of all of them without loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import pyarrow as pa
import pyarrow.types as pt

from loader.errors import BadValue, SourceError, UsageError
from loader.model.types import is_text
from loader.sources.base import plain_schema

__all__ = ["Unifier", "conform", "projected", "promote"]

_UNITS: Final = ("s", "ms", "us", "ns")


class Unifier:
    """Takes the schemas of a table's files one by one; ``schema`` holds all seen so far.

    The first file gives the order of the columns, every file has the same names, and types widen
    only where no value can be lost (``promote``).
    """

    def __init__(self) -> None:
        self._names: list[str] = []
        self._types: dict[str, pa.DataType] = {}
        self._origins: dict[str, str] = {}  # the file that gave each column its present type
        self._last: pa.Schema | None = None

    @property
    def schema(self) -> pa.Schema:
        """The columns of every file added."""
        return pa.schema([pa.field(name, self._types[name]) for name in self._names])

    def add(self, origin: str, schema: pa.Schema) -> None:
        """Widens the schema by one file's.

        Raises:
            NameRefused: The file has two columns of one name.
            SourceError: Its columns are not those of the files before, or of a type that cannot be
                unified without loss.
        """
        if self._last is not None and schema.equals(self._last):
            return  # thousands of files written by one job
        self._last = schema
        columns = plain_schema(schema, origin)
        if not self._origins:
            if not columns.names:
                raise SourceError(f"{origin} has no columns", file=origin)
            self._names = columns.names
            self._types = {f.name: f.type for f in columns}
            self._origins = dict.fromkeys(self._names, origin)
            return
        self._same_names(origin, columns)
        for field in columns:
            self._widen(origin, field)

    def _same_names(self, origin: str, columns: pa.Schema) -> None:
        here, there = set(columns.names), set(self._names)
        if here == there:
            return
        first = self._origins[self._names[0]]
        missing = [name for name in self._names if name not in here]
        extra = [name for name in columns.names if name not in there]
        told = []
        if missing:
            told.append(f"lacks {_listed(missing)}")
        if extra:
            told.append(f"also has {_listed(extra)}")
        raise SourceError(
            f"{origin} does not have the columns of {first}, a file of the same table: "
            f"it {' and '.join(told)}",
            hint="Load files with different columns into different tables (TABLE=PATH).",
            file=origin,
            other_file=first,
            missing=missing or None,
            extra=extra or None,
        )

    def _widen(self, origin: str, field: pa.Field) -> None:
        before = self._types[field.name]
        if field.type.equals(before):
            return
        wider = promote(before, field.type)
        if wider is None:
            first = self._origins[field.name]
            raise SourceError(
                f"Column {field.name!r} is {before} in {first} but {field.type} in {origin}, "
                "and no type holds the values of both without loss",
                hint="Write the files with one type for this column, or load them as two tables.",
                file=origin,
                other_file=first,
                column=field.name,
                types=[str(before), str(field.type)],
            )
        if not wider.equals(before):
            self._types[field.name] = wider
            self._origins[field.name] = origin


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"  # noqa: PLR2004


def promote(one: pa.DataType, two: pa.DataType) -> pa.DataType | None:
    """Returns the type that holds every value of both, or None.

    Only within a family: an int64 beyond 2**53 is no float64, and a number is no text.
    """
    one, two = _decoded(one), _decoded(two)
    if one.equals(two) or pt.is_null(two):
        return one
    if pt.is_null(one):
        return two
    for belongs, widen in _FAMILIES:
        if belongs(one) and belongs(two):
            return widen(one, two)
    return None


def _width(kind: pa.DataType) -> int:
    return int(kind.bit_width)


def _decoded(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pt.is_dictionary(kind) else kind


def _finer(one: str, two: str) -> str:
    return max(one, two, key=_UNITS.index)


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pt.is_binary(kind) or pt.is_large_binary(kind) or pt.is_binary_view(kind))


def _integer(one: pa.DataType, two: pa.DataType) -> pa.DataType | None:
    if pt.is_signed_integer(one) == pt.is_signed_integer(two):
        return max(one, two, key=_width)
    signed, unsigned = (one, two) if pt.is_signed_integer(one) else (two, one)
    bits = max(_width(signed), 2 * _width(unsigned))
    return {16: pa.int16(), 32: pa.int32(), 64: pa.int64()}.get(bits)


def _decimal(one: pa.DataType, two: pa.DataType) -> pa.DataType | None:
    scale = max(one.scale, two.scale)
    precision = max(one.precision - one.scale, two.precision - two.scale) + scale
    if precision <= 38:  # noqa: PLR2004 - the digits of a decimal128
        return pa.decimal128(precision, scale)
    if precision <= 76:  # noqa: PLR2004 - the digits of a decimal256
        return pa.decimal256(precision, scale)
    return None


def _timestamp(one: pa.DataType, two: pa.DataType) -> pa.DataType | None:
    if (one.tz is None) != (two.tz is None):
        return None  # a wall clock's time is no instant
    # Two zones name the same instants; a load sends every instant in UTC anyway.
    zone = one.tz if one.tz == two.tz else "UTC"
    return pa.timestamp(_finer(one.unit, two.unit), zone)


def _time(one: pa.DataType, two: pa.DataType) -> pa.DataType:
    unit = _finer(one.unit, two.unit)
    return pa.time32(unit) if unit in {"s", "ms"} else pa.time64(unit)


_Widen: TypeAlias = Callable[[pa.DataType, pa.DataType], pa.DataType | None]
_FAMILIES: Final[tuple[tuple[Callable[[pa.DataType], bool], _Widen], ...]] = (
    (pt.is_integer, _integer),
    (pt.is_floating, lambda one, two: max(one, two, key=_width)),
    (pt.is_decimal, _decimal),
    (pt.is_timestamp, _timestamp),
    (pt.is_date, lambda _one, _two: pa.date64()),
    (pt.is_time, _time),
    (pt.is_duration, lambda one, two: pa.duration(_finer(one.unit, two.unit))),
    (is_text, lambda _one, _two: pa.large_string()),
    (_is_bytes, lambda _one, _two: pa.large_binary()),
)


def projected(schema: pa.Schema, columns: Sequence[str] | None) -> pa.Schema:
    """Returns the columns of a schema that are wanted, in the order wanted; None: all of them.

    Raises:
        UsageError: One of them is not there, or none is wanted: rows without a column have no
            number.
    """
    if columns is None:
        return schema
    missing = [name for name in columns if name not in schema.names]
    if missing or not columns:
        raise UsageError(
            f"The source has no column {_listed(missing)}" if missing else "No column is selected",
            hint=f"Columns: {', '.join(schema.names)}.",
        )
    return pa.schema([schema.field(name) for name in columns])


def conform(batch: pa.RecordBatch, schema: pa.Schema, origin: str, row: int) -> pa.RecordBatch:
    """Returns a file's batch with the columns of its table: their order and their types.

    Raises:
        BadValue: A timestamp or duration is too far away to be told in the finer unit that another
            file of the table has.
    """
    columns = []
    for field in schema:
        column = batch.column(field.name)
        if not column.type.equals(field.type):
            try:
                column = column.cast(field.type)
            except pa.ArrowInvalid as error:
                raise BadValue(
                    f"{origin}, column {field.name!r}: {error} (in the batch from data row "
                    f"{row + 1}; another file of the table has {field.type})",
                    hint="Write the files with one type for this column.",
                    file=origin,
                    column=field.name,
                    row=row + 1,
                ) from error
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, schema=schema)
