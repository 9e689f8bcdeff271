"""What a file holds by an independent reading: DuckDB, Python's csv, or pyarrow in one go."""

from __future__ import annotations

import csv
import decimal
import enum
import gzip
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from tests.encode.reading import expected, holds_json
from tests.foreign.golden import golden


class Kind(enum.StrEnum):
    """What a file claims to be; the loader is told so, as many have no usual extension."""

    PARQUET = "parquet"
    ARROW = "arrow"
    CSV = "csv"


@dataclass(frozen=True)
class Reading:
    """The values of a file, as `tests.encode.reading.expected` writes them.

    Attributes:
        by: Who read it.
        columns: The values of each column, in the order of the file.
        nested: The columns whose values are sent as JSON text.
        only_text: The values are the texts of a CSV file, whose types the loader finds.
    """

    by: str
    columns: dict[str, list[Any]]
    nested: frozenset[str] = frozenset()
    only_text: bool = False

    @property
    def rows(self) -> int:
        return len(next(iter(self.columns.values()), []))


class Unread(Exception):
    """No independent reader can read a file."""


def read(path: Path, kind: Kind) -> Reading:
    """Reads a file with the first of the independent readers that can.

    Raises:
        Unread: None of them can, and why.
    """
    why = []
    for reader in _READERS[kind]:
        try:
            return reader(path)
        except Exception as error:  # noqa: BLE001 - a damaged file has any error as its consequence
            why.append(f"{reader.__name__}: {type(error).__name__}: {str(error).splitlines()[0]}")
    raise Unread("; ".join(why))


def _duckdb(path: Path) -> Reading:
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.sql("FROM read_parquet(?)", params=[str(path)])
        if any("VARIANT" in str(kind) for kind in found.types):
            raise ValueError("DuckDB puts the parts of a variant together")
        table = found.to_arrow_table()
    schema = pq.read_schema(path)
    for field in schema:
        _check_told(field.type)
    if table.column_names != schema.names:
        raise ValueError("other columns than in the file")
    columns = {}
    for field, column in zip(schema, table.columns, strict=True):
        values = _values(column)
        if pt.is_float16(field.type):  # DuckDB has none: it reads them as the wider, equal float
            values = [None if value is None else np.float16(value) for value in values]
        columns[field.name] = values
    return Reading("DuckDB", columns, _nested(schema))


def _check_told(arrow: pa.DataType) -> None:
    """Leaves to the next reader what DuckDB has no type for."""
    if pt.is_decimal(arrow) and arrow.precision > 38:
        raise ValueError("DuckDB reads decimals of more than 38 digits as doubles")
    for position in range(arrow.num_fields):
        _check_told(arrow.field(position).type)
    if arrow.num_fields and pt.is_float16(arrow):
        raise ValueError("DuckDB reads half floats as floats")


def _pyarrow(path: Path) -> Reading:
    # The loader reads batch by batch, with a narrower INT96; this is the other way to read.
    table = pq.ParquetFile(path, coerce_int96_timestamp_unit="us").read()
    return _table(table)


def _golden(path: Path) -> Reading:
    columns, nested = golden(path.with_suffix(".json.gz"))
    return Reading("its JSON", columns, nested)


def _ipc(path: Path) -> Reading:
    with pa.OSFile(str(path)) as file:
        try:
            table = pa.ipc.open_file(file).read_all()
        except pa.ArrowInvalid:
            file.seek(0)
            table = pa.ipc.open_stream(file).read_all()
    table.validate(full=True)
    return _table(table)


def _table(table: pa.Table) -> Reading:
    if len(set(table.column_names)) < table.num_columns:
        raise ValueError("several columns of one name")
    columns = dict(zip(table.column_names, map(_values, table.columns), strict=True))
    return Reading("pyarrow", columns, _nested(table.schema))


def _nested(schema: pa.Schema) -> frozenset[str]:
    return frozenset(field.name for field in schema if holds_json(field.type))


def _values(column: pa.ChunkedArray) -> list[Any]:
    return [value for chunk in column.chunks for value in expected(chunk)]


def _csv(path: Path) -> Reading:
    raw = path.read_bytes()
    if path.suffix == ".gz":
        raw = gzip.decompress(raw)
    rows = list(csv.reader(io.StringIO(raw.decode(), newline=""), strict=True))
    header, rows = rows[0], [row for row in rows[1:] if row]
    if any(len(row) != len(header) for row in rows):
        raise ValueError("rows of different lengths")
    columns = {name: [row[place] or None for row in rows] for place, name in enumerate(header)}
    return Reading("Python's csv", columns, only_text=True)


_READERS: dict[Kind, tuple[Callable[[Path], Reading], ...]] = {
    Kind.PARQUET: (_duckdb, _pyarrow),
    Kind.ARROW: (_golden, _ipc),
    Kind.CSV: (_csv,),
}


def canonical(text: str) -> str:
    """Writes a moment the one way, of those that servers and files have for it."""
    text = text.removesuffix("Z").replace(" ", "T", 1)
    return text.rstrip("0").removesuffix(".") if "." in text else text


def told_as_text(stored: Any, text: str | None) -> bool:
    """Whether a stored value is the one that a field of a CSV file tells."""
    if text is None or stored is None:
        return text is None and stored is None
    if isinstance(stored, bool):
        return text.lower() == str(stored).lower()
    if isinstance(stored, str):
        return stored == text or canonical(stored) == canonical(text)
    if isinstance(stored, np.floating):
        return bool(float(stored) == float(text))
    return decimal.Decimal(stored) == decimal.Decimal(text)
