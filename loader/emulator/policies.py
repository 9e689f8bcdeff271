"""The SQL of the update policies: how a chunk changes a published table.

The documents name the policies and no more; what follows is inferred from public clients. The key
of a row is the tuple of its columns that hold attributes' ID forms, nulls equal to each other.

- replace: the table is emptied, then every row comes in as it is, duplicates too.
- add: rows come in whose key the table does not have; of several with one key the first. A table
  without a key takes every row.
- update: rows with a key that the table has change it; of several with one key the last counts. The
  others are dropped.
- upsert: update, and what it would drop comes in.

Chunks are applied one after the other in the order of their indices, so "first" and "last" hold
across them as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from loader.emulator.definitions import DataType, Policy

if TYPE_CHECKING:
    from collections.abc import Sequence

# ruff: noqa: S608 - the names come quoted

__all__ = ["KEYED", "Assignment", "apply_chunk"]

#: The policies that make no sense for a table without a key.
KEYED = frozenset({Policy.UPDATE, Policy.UPSERT})

_INCOMING = "temp.main.incoming"


@dataclass(frozen=True, slots=True)
class Assignment:
    """A column of a chunk and the column of the published table that it goes to.

    Attributes:
        source: The (plain) name in the chunk.
        target: The quoted name in the table.
        type: The SQL type of the table's column.
        data_type: The model's type of both.
        key: Whether it is part of the row's key.
    """

    source: str
    target: str
    type: str
    data_type: DataType
    key: bool


def apply_chunk(
    policy: Policy, table: str, columns: Sequence[Assignment], chunk: str, position: str
) -> list[str]:
    """Returns the statements that apply one chunk.

    Args:
        policy: REPLACE expects the table to be emptied already.
        table: The quoted name of the published table.
        columns: What the chunk has. All of the table's key columns, if any, must be there.
        chunk: The (plain) name of the chunk, a relation in the order of its rows.
        position: Its column with the positions of the rows.
    """
    key = [column for column in columns if column.key]
    casts = ", ".join(f"CAST({c.source} AS {c.type}) AS {c.source}" for c in columns)
    targets = ", ".join(column.target for column in columns)
    sources = ", ".join(column.source for column in columns)
    if policy is Policy.REPLACE or (policy is Policy.ADD and not key):
        return [f"INSERT INTO {table} ({targets}) SELECT {casts} FROM {chunk}"]
    if not key:
        raise ValueError(f"{policy.lower()} needs a key")
    order = "" if policy is Policy.ADD else " DESC"
    partition = ", ".join(_comparable(column, column.source) for column in key)
    same = " AND ".join(
        f"{_comparable(column, 't.' + column.target)}"
        f" IS NOT DISTINCT FROM {_comparable(column, 'i.' + column.source)}"
        for column in key
    )
    statements = [
        (
            "CREATE OR REPLACE TEMP TABLE incoming AS"
            f" SELECT * FROM (SELECT {casts}, {position} FROM {chunk})"
            f" QUALIFY row_number() OVER (PARTITION BY {partition} ORDER BY {position}{order}) = 1"
        )
    ]
    changes = ", ".join(f"{c.target} = i.{c.source}" for c in columns if not c.key)
    if policy in KEYED and changes:
        statements.append(f"UPDATE {table} AS t SET {changes} FROM {_INCOMING} AS i WHERE {same}")
    if policy in {Policy.ADD, Policy.UPSERT}:
        statements.append(
            f"INSERT INTO {table} ({targets}) SELECT {sources} FROM {_INCOMING} AS i"
            f" WHERE NOT EXISTS (SELECT 1 FROM {table} AS t WHERE {same}) ORDER BY {position}"
        )
    statements.append(f"DROP TABLE {_INCOMING}")
    return statements


def _comparable(column: Assignment, name: str) -> str:
    """Returns an expression that is equal for equal keys."""
    if column.data_type is DataType.BIGDECIMAL and column.type == "VARCHAR":
        # Decimals kept as text: 1.50 and 1.5 are one key.
        fraction = f"contains({name}, '.') AND NOT contains(lower({name}), 'e')"
        return f"CASE WHEN {fraction} THEN rtrim(rtrim({name}, '0'), '.') ELSE {name} END"
    return name
