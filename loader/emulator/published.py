"""What the store's catalogue remembers of a published table and of a staged chunk."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from loader.emulator.definitions import Column, DataType, Policy
from loader.emulator.names import unique
from loader.emulator.policies import KEYED
from loader.emulator.sqltypes import Needs, needs_of, sql_type

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from loader.emulator.definitions import Table

__all__ = ["Chunk", "PublishRefused", "Published", "check", "chunk_needs"]


class PublishRefused(ValueError):
    """A publish that cannot be done as asked; the published tables are as before."""


@dataclass(frozen=True, slots=True)
class Published:
    """A published table.

    Attributes:
        name: The model's name.
        sql_name: Its name within the dataset's SQL schema.
        columns: The model's columns.
        sql_columns: Their SQL names.
        needs: What the values of each column have needed so far.
        key: The names of the key columns.
    """

    name: str
    sql_name: str
    columns: tuple[Column, ...]
    sql_columns: tuple[str, ...]
    needs: tuple[Needs, ...]
    key: tuple[str, ...]

    @classmethod
    def empty(cls, table: Table, sql_name: str) -> Self:
        """Returns the new table of a definition.

        Raises:
            ValueError: A column has an empty name.
        """
        return cls(
            name=table.name,
            sql_name=sql_name,
            columns=table.columns,
            sql_columns=unique([column.name for column in table.columns]),
            needs=(Needs(),) * len(table.columns),
            key=table.key,
        )

    @property
    def types(self) -> tuple[str, ...]:
        """The SQL types of the columns."""
        return tuple(
            sql_type(column.data_type, needs)
            for column, needs in zip(self.columns, self.needs, strict=True)
        )

    def widened(self, chunks: Sequence[Chunk]) -> Self:
        """Returns the table with the types that also hold the chunks' values."""
        needs = dict(zip((column.name for column in self.columns), self.needs, strict=True))
        for chunk in chunks:
            for name, more in chunk.needs.items():
                needs[name] |= more
        return dataclasses.replace(self, needs=tuple(needs.values()))

    def emptied(self) -> Self:
        """Returns the table as if it had never held a value."""
        return dataclasses.replace(self, needs=(Needs(),) * len(self.columns))

    def dump(self) -> str:
        """Returns the table as JSON."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Returns what ``dump`` wrote."""
        body = json.loads(text)
        return cls(
            name=body["name"],
            sql_name=body["sql_name"],
            columns=tuple(
                Column(column["name"], DataType(column["data_type"]), column["date_format"])
                for column in body["columns"]
            ),
            sql_columns=tuple(body["sql_columns"]),
            needs=tuple(Needs(**needs) for needs in body["needs"]),
            key=tuple(body["key"]),
        )


@dataclass(frozen=True, slots=True)
class Chunk:
    """A staged chunk, or one part of it where several were appended under one index.

    Attributes:
        table: The model's name of its table.
        file: Where its rows are.
        needs: What each of its columns needs, by the column's name, in the order of the file.
    """

    table: str
    file: str
    needs: Mapping[str, Needs]

    @classmethod
    def parse(cls, table: str, file: str, needs: str) -> Self:
        """Returns a chunk whose needs are JSON."""
        return cls(table, file, {name: Needs(**need) for name, need in json.loads(needs).items()})


def chunk_needs(table: Table, data: pa.Table) -> str:
    """Returns what a chunk's columns need, as JSON.

    Raises:
        ValueError: The chunk has a column that the table does not have, or one twice.
    """
    types = {column.name: column.data_type for column in table.columns}
    needs: dict[str, dict[str, object]] = {}
    for name, column in zip(data.column_names, data.columns, strict=True):
        if name not in types or name in needs:
            what = "twice" if name in needs else "which the table does not have"
            raise ValueError(f"a chunk for table {table.name!r} has column {name!r}, {what}")
        needs[name] = dataclasses.asdict(needs_of(types[name], column))
    return json.dumps(needs)


def check(
    tables: Mapping[str, Published], chunks: Sequence[Chunk], policies: Mapping[str, Policy]
) -> None:
    """Refuses a publish that makes no sense.

    Raises:
        PublishRefused: See ``Store.publish``.
    """
    for name, policy in policies.items():
        if name not in tables:
            raise PublishRefused(f"the dataset has no table {name!r}")
        if policy in KEYED and not tables[name].key:
            raise PublishRefused(
                f"table {name!r} has no attribute, so nothing tells which rows an"
                f" {policy.lower()} means; use add or replace"
            )
    for chunk in chunks:
        if chunk.table not in policies:
            raise PublishRefused(f"there is data but no update policy for table {chunk.table!r}")
        missing = set(tables[chunk.table].key) - set(chunk.needs)
        if missing and policies[chunk.table] is not Policy.REPLACE:
            raise PublishRefused(
                f"the data of table {chunk.table!r} lacks the key column {min(missing)!r}"
            )
