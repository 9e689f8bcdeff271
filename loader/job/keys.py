"""Looks for rows of one table that have the same key, before anything is sent."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from loader.encode import BlockEncoder, Orientation, ValueRefused, row_keys
from loader.errors import DuplicateKeys, LoaderError, UsageError
from loader.job.shape import Shaper
from loader.model import Column, DatasetModel, Table
from loader.model.definition import ID
from loader.sources import Batch, Source
from loader.units import MB

__all__ = ["check_keys"]

_BATCH_BYTES = 4 * MB
_SCHEMA = pa.schema([("key", pa.string())])


def check_keys(
    model: DatasetModel,
    table: Table,
    source: Source,
    *,
    memory: int,
    watch: Callable[[int], None],
) -> None:
    """Reads the key columns of a table and checks that no two rows have the same values in them.

    The key of a row is the tuple of the ID forms of all attributes (public clients); nulls count as
    equal. Rows that cannot be loaded are left to the load. What does not fit into memory goes to a
    temporary directory.

    Args:
        model: The dataset's model.
        table: One of its tables; without a key there is nothing to check.
        source: Its source.
        memory: Bytes that the search may use.
        watch: Called with the rows of each batch; what it raises ends the search.

    Raises:
        UsageError: The source can be read only once, or DuckDB is not installed.
        DuplicateKeys: Rows share a key.
        SourceError: The source cannot be read.
    """
    if not source.rereadable:
        raise UsageError(
            f"--check-keys reads table {table.name!r} before it is loaded, and its source can be "
            "read only once",
            hint="write the data to a file, or leave out --check-keys",
        )
    key = _key(model, table)
    if not key:
        return
    duckdb = _duckdb()
    failures: list[LoaderError] = []
    keys = _noted(_keys(Table(table.name, key), source, watch), failures)
    reader = pa.RecordBatchReader.from_batches(_SCHEMA, keys)
    with (
        tempfile.TemporaryDirectory(prefix="mstr-loader-keys-") as directory,
        duckdb.connect(
            config={"memory_limit": f"{memory // MB}MB", "temp_directory": directory}
        ) as database,
    ):
        database.register("keys", reader)
        try:
            found = database.execute(_QUERY).fetchall()
        except duckdb.Error:
            if failures:
                raise failures[0] from None
            raise
    if found:
        raise _duplicates(Table(table.name, key), found)


def _key(model: DatasetModel, table: Table) -> tuple[Column, ...]:
    """Returns the columns that identify a row."""
    names = {
        place.column
        for attribute in model.attributes
        for form in attribute.forms
        if form.category == ID
        for place in form.columns
        if place.table == table.name
    }
    return tuple(column for column in table.columns if column.name in names)


_QUERY = """
    SELECT key, rows, count(*) OVER (), sum(rows) OVER () FROM (
        SELECT key, count(*) AS rows FROM keys GROUP BY key HAVING count(*) > 1
    ) ORDER BY rows DESC, key LIMIT 5
"""


def _duckdb() -> Any:
    try:
        import duckdb  # noqa: PLC0415 - an extra
    except ImportError:
        raise UsageError(
            "--check-keys needs DuckDB, which is not installed",
            hint="pip install 'mstr-loader[check-keys]'",
        ) from None
    return duckdb


def _keys(keyed: Table, source: Source, watch: Callable[[int], None]) -> Iterator[pa.RecordBatch]:
    """Yields the key of every row: the JSON texts of its key columns."""
    shaper = Shaper(keyed)
    with contextlib.closing(source.batches(_BATCH_BYTES, shaper.columns)) as batches:
        for batch in batches:
            watch(batch.data.num_rows)
            for shaped in shaper(batch):
                if shaped.data.num_rows:
                    yield pa.record_batch([_texts(keyed, shaped)], schema=_SCHEMA)


def _texts(keyed: Table, batch: Batch) -> pa.Array:
    try:
        return row_keys(keyed, batch.data)
    except ValueRefused:
        rejected = BlockEncoder(keyed, Orientation.ROW).encode([batch]).rejected
        bad = {row.row - 1 for row in rejected}
        good = [place for place in range(batch.data.num_rows) if batch.position(place) not in bad]
        return row_keys(keyed, batch.data.take(pa.array(good, pa.int64())))


def _noted(
    batches: Iterator[pa.RecordBatch], failures: list[LoaderError]
) -> Iterator[pa.RecordBatch]:
    """Notes an error that is lost on its way through Arrow's stream and the database."""
    try:
        yield from batches
    except LoaderError as error:
        failures.append(error)
        raise


def _duplicates(keyed: Table, found: list[tuple[str, int, int, int]]) -> DuplicateKeys:
    names = ", ".join(keyed.column_names)
    shown = "; ".join(f"{key} in {rows:,} rows" for key, rows, _, _ in found)
    _, _, keys, rows = found[0]
    return DuplicateKeys(
        f"table {keyed.name!r}: {keys:,} keys ({names}) occur in several rows, {rows:,} rows in "
        f"all: {shown}" + (" …" if keys > len(found) else ""),
        hint="make the rows unique, or complete the key with --attribute COL; without "
        "--check-keys the policy replace keeps every row, the others keep one of a key",
        table=keyed.name,
        keys=keys,
        rows=int(rows),
        examples=[key for key, _, _, _ in found],
    )
