"""Names of a model as SQL identifiers, and the names that SQL or the storage keeps to itself."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BOOKS", "DATABASE", "RESERVED_SCHEMAS", "quoted", "unique"]

DATABASE = "emulator.duckdb"
"""The file within the data directory; DuckDB can open it while no server runs."""

BOOKS = "mstr_emulator"
"""The SQL schema in which the storage keeps its books."""

RESERVED_SCHEMAS = frozenset(
    {
        BOOKS,
        # A database is called by its file's stem, or "memory". "a"."t" would name two things where
        # a schema is called like a database, and DuckDB refuses to guess.
        *(DATABASE.removesuffix(".duckdb"), "memory", "system", "temp"),
        *("main", "information_schema", "pg_catalog"),
    }
)
"""SQL schemas that no dataset can have, in lower case."""

# DuckDB compares names without regard to the case of ASCII letters, and of no others.
_FOLD = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def quoted(*parts: str) -> str:
    """Returns the (dotted) SQL identifier of these names."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def unique(names: Sequence[str]) -> tuple[str, ...]:
    """Returns SQL names for columns or tables: their own, as far as SQL can tell them apart.

    ``Cost`` and ``cost`` are two columns to the API and one to SQL: of such names the first keeps
    its own and the others get a number, ``cost (2)``.

    Raises:
        ValueError: A name is empty.
    """
    taken: set[str] = {name.translate(_FOLD) for name in names}
    seen: set[str] = set()
    result = []
    for name in names:
        if not name:
            raise ValueError("a table or a column has an empty name")
        candidate, number = name, 1
        while candidate.translate(_FOLD) in (seen if number == 1 else seen | taken):
            number += 1
            candidate = f"{name} ({number})"
        seen.add(candidate.translate(_FOLD))
        result.append(candidate)
    return tuple(result)
