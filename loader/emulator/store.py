# ruff: noqa: S608 - names in SQL are quoted by loader.emulator.names; values are parameters
"""Keeps what was pushed in DuckDB: staged chunks until the publish, published tables for SQL."""

from __future__ import annotations

import json
import threading
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

import duckdb

from loader.emulator.chunkfiles import POSITION, ChunkFiles, column_name
from loader.emulator.definitions import Policy
from loader.emulator.names import BOOKS, RESERVED_SCHEMAS, quoted, unique
from loader.emulator.policies import Assignment, apply_chunk
from loader.emulator.published import Chunk, Published, PublishRefused, check, chunk_needs
from loader.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    import pyarrow as pa

    from loader.emulator.definitions import Table

__all__ = ["PublishRefused", "Store"]

# Enough for the joins of the policies over some million keys; beyond, DuckDB goes to disk.
_MEMORY_LIMIT = "1GB"
_THREADS = 2

_DOCUMENTS = f"{BOOKS}.documents"
_TABLES = f"{BOOKS}.tables"
_CHUNKS = f"{BOOKS}.chunks"
_CATALOGUE = f"""
CREATE SCHEMA IF NOT EXISTS {BOOKS};
CREATE TABLE IF NOT EXISTS {_DOCUMENTS} (key VARCHAR, body VARCHAR);
CREATE TABLE IF NOT EXISTS {_TABLES}
    (dataset_id VARCHAR, number INTEGER, schema_name VARCHAR, name VARCHAR, body VARCHAR);
CREATE TABLE IF NOT EXISTS {_CHUNKS}
    (session_id VARCHAR, table_name VARCHAR, chunk_index BIGINT, part INTEGER, file VARCHAR,
     needs VARCHAR);
"""


def _connect(path: Path | None) -> Any:
    if path is None:
        return duckdb.connect(config={"threads": _THREADS})
    try:
        return duckdb.connect(path, config={"threads": _THREADS, "memory_limit": _MEMORY_LIMIT})
    except duckdb.Error as error:
        raise UsageError(
            f"The emulator cannot open its data in {path}: {error}",
            hint="Stop the other program that has it open, or name another place for the data.",
            file=str(path),
        ) from error


class Store:
    """The data of an emulator.

    Published tables are ordinary DuckDB tables ``"<schema>"."<table>"`` with the model's names. SQL
    does not tell ``Cost`` from ``cost``: where a model has both, the second is called ``cost (2)``.
    Types are those of the model as far as they hold every value exactly (see
    ``loader.emulator.sqltypes``), and widen when later values need it.

    Staged chunks are files beside the database (``<path>.chunks/``), in a temporary directory when
    it lives in memory. Those of a path survive the end of the process, however it ends.

    Every method blocks and may be called from any thread; ``define``, ``drop`` and ``publish`` wait
    for each other. The database may use 1 GB of memory, or with no path what DuckDB takes by
    default.

    Args:
        path: The DuckDB file, created when missing; None keeps everything in memory.

    Raises:
        UsageError: The file is in use, cannot be written, or is no DuckDB database.
    """

    def __init__(self, path: Path | None) -> None:
        self._connection = _connect(path)
        self._changes = threading.Lock()
        self._running = threading.Lock()
        self._publishing: Any = None
        with self._cursor() as cursor:
            cursor.execute(_CATALOGUE)
            self._database: str = cursor.execute("SELECT current_database()").fetchone()[0]
            known = {row[0] for row in cursor.execute(f"SELECT file FROM {_CHUNKS}").fetchall()}
        self._files = ChunkFiles(path and path.with_name(f"{path.name}.chunks"))
        self._files.sweep(known)

    def __repr__(self) -> str:
        return f"<Store {self._database}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the database; what lives in memory is gone."""
        self._connection.close()
        self._files.close()

    # -- definitions ------------------------------------------------------------------------------

    def define(self, dataset_id: str, schema: str, tables: Sequence[Table]) -> None:
        """Creates the empty published tables of a dataset, and drops those it had before.

        Args:
            dataset_id: Whose tables they are.
            schema: The SQL schema for them; must be no other dataset's.
            tables: Of the model.

        Raises:
            ValueError: The schema is taken or not to be had, or a name is empty.
        """
        names = unique([table.name for table in tables])
        published = [
            Published.empty(table, name) for table, name in zip(tables, names, strict=True)
        ]
        with self._changes, self._transaction() as cursor:
            self._drop(cursor, dataset_id)
            self._create_schema(cursor, schema)
            for number, table in enumerate(published):
                self._create_table(cursor, schema, table)
                cursor.execute(
                    f"INSERT INTO {_TABLES} VALUES (?, ?, ?, ?, ?)",
                    [dataset_id, number, schema, table.name, table.dump()],
                )

    def drop(self, dataset_id: str) -> None:
        """Drops a dataset's tables, if it has any."""
        with self._changes, self._transaction() as cursor:
            self._drop(cursor, dataset_id)

    def row_count(self, dataset_id: str, table: str) -> int:
        """Returns how many rows a published table has.

        Raises:
            LookupError: There is no such table.
        """
        with self._cursor() as cursor:
            schema, tables = self._tables(cursor, dataset_id)
            if table not in tables:
                raise LookupError(f"dataset {dataset_id} has no table {table!r}")
            return self._count(cursor, schema, tables[table])

    # -- upload sessions --------------------------------------------------------------------------

    def stage(
        self, session_id: str, table: Table, index: int, data: pa.Table, *, append: bool = False
    ) -> None:
        """Keeps a chunk until its session is published or discarded.

        Args:
            session_id: Of the upload session.
            table: Where the rows shall go.
            index: Of the chunk; what was staged under it before is replaced, unless ``append``.
            data: The decoded chunk, columns in any order. A column that is not there becomes null,
                or keeps its values under update and upsert.
            append: Keep what was staged under the index, and these rows after it.

        Raises:
            ValueError: The data has a column that the table does not have, or twice.
        """
        needs = chunk_needs(table, data)
        file = self._files.write(data)
        chunk = [session_id, table.name, index]
        with self._transaction() as cursor:
            where = "session_id = ? AND table_name = ? AND chunk_index = ?"
            old = cursor.execute(
                f"SELECT part, file FROM {_CHUNKS} WHERE {where}", chunk
            ).fetchall()
            if old and not append:
                cursor.execute(f"DELETE FROM {_CHUNKS} WHERE {where}", chunk)
            part = max((row[0] for row in old), default=0) + 1
            cursor.execute(
                f"INSERT INTO {_CHUNKS} VALUES (?, ?, ?, ?, ?, ?)", [*chunk, part, file, needs]
            )
        if not append:
            self._remove(row[1] for row in old)

    def discard(self, session_id: str) -> None:
        """Forgets a session's chunks, if it has any."""
        with self._transaction() as cursor:
            files = self._forget_chunks(cursor, session_id)
        self._remove(files)

    def staged(self, session_id: str) -> list[tuple[str, int]]:
        """Returns the tables and indices of a session's chunks, in no particular order."""
        with self._cursor() as cursor:
            found: list[tuple[str, int]] = cursor.execute(
                f"SELECT DISTINCT table_name, chunk_index FROM {_CHUNKS} WHERE session_id = ?",
                [session_id],
            ).fetchall()
        return found

    def publish(
        self, dataset_id: str, session_id: str, policies: Mapping[str, Policy]
    ) -> dict[str, int]:
        """Applies a session's chunks to the published tables, all or nothing, and forgets them.

        Args:
            dataset_id: Whose tables.
            session_id: Whose chunks.
            policies: By table. A table to be replaced by no chunk at all becomes empty.

        Returns:
            The rows now in each of the dataset's tables.

        Raises:
            PublishRefused: A policy or a chunk is for no table of the dataset, update or upsert for
                a table without a key, or a chunk lacks a column of the key. Nothing has changed.
            LookupError: There is no such dataset.
            duckdb.Error: The database failed, or ``interrupt`` was called. Nothing has changed.
        """
        with self._changes, self._transaction() as cursor, self._interruptible(cursor):
            schema, tables = self._tables(cursor, dataset_id)
            chunks = self._chunks(cursor, session_id)
            check(tables, chunks, policies)
            for name, policy in policies.items():
                mine = [chunk for chunk in chunks if chunk.table == name]
                tables[name] = self._apply(cursor, schema, tables[name], policy, mine)
                cursor.execute(
                    f"UPDATE {_TABLES} SET body = ? WHERE dataset_id = ? AND name = ?",
                    [tables[name].dump(), dataset_id, name],
                )
            files = self._forget_chunks(cursor, session_id)
            counts = {name: self._count(cursor, schema, table) for name, table in tables.items()}
        self._remove(files)
        return counts

    def interrupt(self) -> None:
        """Makes a publish that is running in another thread fail, if there is one."""
        with self._running:
            if self._publishing is not None:
                self._publishing.interrupt()

    # -- documents --------------------------------------------------------------------------------

    def save(self, key: str, document: Mapping[str, Any]) -> None:
        """Keeps a JSON document under a key, in place of the one before."""
        with self._transaction() as cursor:
            cursor.execute(f"DELETE FROM {_DOCUMENTS} WHERE key = ?", [key])
            cursor.execute(f"INSERT INTO {_DOCUMENTS} VALUES (?, ?)", [key, json.dumps(document)])

    def documents(self, prefix: str) -> dict[str, dict[str, Any]]:
        """Returns all documents whose keys begin so, by key, in the order of the keys."""
        with self._cursor() as cursor:
            rows = cursor.execute(
                f"SELECT key, body FROM {_DOCUMENTS} WHERE starts_with(key, ?) ORDER BY key",
                [prefix],
            ).fetchall()
        return {key: json.loads(body) for key, body in rows}

    def forget(self, key: str) -> None:
        """Removes the document of a key, if there is one."""
        with self._transaction() as cursor:
            cursor.execute(f"DELETE FROM {_DOCUMENTS} WHERE key = ?", [key])

    # -- inside -----------------------------------------------------------------------------------

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        # A cursor is a connection of its own: calls in several threads do not meet.
        with closing(self._connection.cursor()) as cursor:
            yield cursor

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        with self._cursor() as cursor:
            cursor.execute("BEGIN")
            try:
                yield cursor
            except BaseException:
                with suppress(duckdb.Error):  # may be over already; what counts is the first error
                    cursor.execute("ROLLBACK")
                raise
            cursor.execute("COMMIT")

    @contextmanager
    def _interruptible(self, cursor: Any) -> Iterator[None]:
        with self._running:
            self._publishing = cursor
        try:
            yield
        finally:
            with self._running:
                self._publishing = None

    def _name(self, schema: str, table: Published) -> str:
        # With the database's name, because a schema may be called like a database.
        return quoted(self._database, schema, table.sql_name)

    def _tables(self, cursor: Any, dataset_id: str) -> tuple[str, dict[str, Published]]:
        rows = cursor.execute(
            f"SELECT schema_name, body FROM {_TABLES} WHERE dataset_id = ? ORDER BY number",
            [dataset_id],
        ).fetchall()
        if not rows:
            raise LookupError(f"dataset {dataset_id} has no tables here")
        tables = [Published.parse(body) for _, body in rows]
        return rows[0][0], {table.name: table for table in tables}

    def _chunks(self, cursor: Any, session_id: str) -> list[Chunk]:
        rows = cursor.execute(
            f"SELECT table_name, file, needs FROM {_CHUNKS} WHERE session_id = ?"
            " ORDER BY table_name, chunk_index, part",
            [session_id],
        ).fetchall()
        return [Chunk.parse(*row) for row in rows]

    def _apply(
        self, cursor: Any, schema: str, table: Published, policy: Policy, chunks: Sequence[Chunk]
    ) -> Published:
        """Applies the chunks of one table; returns the table with the types it has now."""
        if policy is Policy.REPLACE:
            widened = table.emptied().widened(chunks)
            self._create_table(cursor, schema, widened)
        else:
            widened = table.widened(chunks)
            self._widen(cursor, schema, table, widened)
        targets = {
            column.name: (quoted(sql_name), type_, column.data_type, column.name in table.key)
            for column, sql_name, type_ in zip(
                widened.columns, widened.sql_columns, widened.types, strict=True
            )
        }
        for chunk in chunks:
            assignments = [
                Assignment(column_name(number), *targets[name])
                for number, name in enumerate(chunk.needs)
            ]
            statements = apply_chunk(
                policy, self._name(schema, table), assignments, "chunk", POSITION
            )
            cursor.register("chunk", self._files.read(chunk.file))
            for statement in statements:
                cursor.execute(statement)
            cursor.unregister("chunk")
        return widened

    def _widen(self, cursor: Any, schema: str, old: Published, new: Published) -> None:
        for column, before, after in zip(new.sql_columns, old.types, new.types, strict=True):
            if before != after:
                cursor.execute(
                    f"ALTER TABLE {self._name(schema, new)} ALTER {quoted(column)} TYPE {after}"
                )

    def _create_schema(self, cursor: Any, schema: str) -> None:
        taken = cursor.execute(
            f"SELECT 1 FROM {_TABLES} WHERE lower(schema_name) = lower(?)", [schema]
        ).fetchone()
        if taken or not schema or schema.lower() in RESERVED_SCHEMAS:
            raise ValueError(f"the SQL schema {schema!r} is not free")
        cursor.execute(f"CREATE SCHEMA {quoted(self._database, schema)}")

    def _create_table(self, cursor: Any, schema: str, table: Published) -> None:
        columns = ", ".join(
            f"{quoted(name)} {type_}"
            for name, type_ in zip(table.sql_columns, table.types, strict=True)
        )
        cursor.execute(f"CREATE OR REPLACE TABLE {self._name(schema, table)} ({columns})")

    def _drop(self, cursor: Any, dataset_id: str) -> None:
        try:
            schema, tables = self._tables(cursor, dataset_id)
        except LookupError:
            return
        for table in tables.values():
            cursor.execute(f"DROP TABLE {self._name(schema, table)}")
        cursor.execute(f"DROP SCHEMA {quoted(self._database, schema)} CASCADE")
        cursor.execute(f"DELETE FROM {_TABLES} WHERE dataset_id = ?", [dataset_id])

    def _count(self, cursor: Any, schema: str, table: Published) -> int:
        count: int = cursor.execute(f"SELECT count(*) FROM {self._name(schema, table)}").fetchone()[
            0
        ]
        return count

    def _forget_chunks(self, cursor: Any, session_id: str) -> list[str]:
        rows = cursor.execute(
            f"DELETE FROM {_CHUNKS} WHERE session_id = ? RETURNING file", [session_id]
        ).fetchall()
        return [file for (file,) in rows]

    def _remove(self, files: Any) -> None:
        for file in files:
            self._files.remove(file)
