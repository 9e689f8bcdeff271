"""Looks for rows of one table that have the same key, before anything is sent."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from loader.encode import BlockEncoder, Orientation, ValueRefused, row_keys
from loader.errors import DuplicateKeys, LoaderError, UsageError
from loader.job.shape import Shaper
from loader.model import ID, Attribute, Column, Role, Table
from loader.sources import Batch, Source
from loader.units import MB

__all__ = ["check_keys"]

_BATCH_BYTES = 4 * MB
_SCHEMA = pa.schema([("key", pa.string())])


def check_keys(
    tables: Sequence[tuple[Table, Source]],
    attributes: Sequence[Attribute],
    *,
    memory: int,
    watch: Callable[[int], None],
) -> None:
    """Reads the key columns of every table and checks that no two rows have the same values there.

    The key of a row is the tuple of the ID forms of all attributes (public clients); nulls count as
    equal. Rows that cannot be loaded are left to the load. What does not fit into memory goes to a
    temporary directory.

    Args:
        tables: The tables, with the roles that columns have in the dataset, and their sources; a
            table without a key needs no look.
        attributes: What is known of the forms of attributes.
        memory: Bytes that the search may use.
        watch: Called with the rows of each batch; what it raises ends the search.

    Raises:
        UsageError: A source can be read only once, DuckDB is not installed, or has not enough
            memory or disk.
        DuplicateKeys: Rows share a key.
        SourceError: A source cannot be read.
    """
    for table, source in tables:
        if not source.rereadable:
            raise UsageError(
                f"--check-keys reads table {table.name!r} before it is loaded, and its source can "
                "be read only once",
                hint="write the data to a file, or leave out --check-keys",
            )
        key = _key(table, attributes)
        if key:
            _check(Table(table.name, key), source, memory, watch)


def _check(keyed: Table, source: Source, memory: int, watch: Callable[[int], None]) -> None:
    duckdb = _duckdb()
    failures: list[LoaderError] = []
    keys = _noted(_keys(keyed, source, watch), failures)
    reader = pa.RecordBatchReader.from_batches(_SCHEMA, keys)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="mstr-loader-keys-") as directory,
            duckdb.connect(
                config={"memory_limit": f"{memory // MB}MB", "temp_directory": directory}
            ) as database,
        ):
            database.register("keys", reader)
            found = database.execute(_QUERY).fetchall()
    except duckdb.Error as error:
        if failures:
            raise failures[0] from None
        raise UsageError(
            f"--check-keys gave up on table {keyed.name!r}: {str(error).splitlines()[0]}",
            hint="give it more memory (--memory), or a temporary directory with more room (TMPDIR)",
            table=keyed.name,
        ) from error
    if found:
        raise _duplicates(keyed, found)


def _key(table: Table, attributes: Sequence[Attribute]) -> tuple[Column, ...]:
    """Returns the columns that identify a row: those of attributes, but not what describes them."""
    by_form = [
        (form.category, place.column)
        for attribute in attributes
        for form in attribute.forms
        for place in form.columns
        if place.table == table.name
    ]
    identifying = {column for category, column in by_form if category == ID}
    describing = {column for category, column in by_form} - identifying
    return tuple(
        column
        for column in table.columns
        if column.role is Role.ATTRIBUTE and column.name not in describing
    )


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
