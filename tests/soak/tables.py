"""The data of a load: sources made by DuckDB, and what DuckDB says they make of a dataset."""

from __future__ import annotations

import enum
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import duckdb

__all__ = ["Format", "Policy", "Standing", "TableCase", "standing"]


class Policy(enum.StrEnum):
    """The update policies."""

    REPLACE = "replace"
    ADD = "add"
    UPDATE = "update"
    UPSERT = "upsert"


class Format(enum.StrEnum):
    """How sources are written."""

    PARQUET = "parquet"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class TableCase:
    """One table of a load.

    Attributes:
        name: Its name.
        rows: Of the source.
        before: Rows that the dataset has already; 0: it is a new one.
        common: How many rows of the source have the keys of such rows.
        keyed: Whether it has attributes; without a key every row that is added comes in, and a
            second time twice.
        policy: The update policy.
        format: Of its files.
    """

    name: str
    rows: int
    before: int = 0
    common: int = 0
    keyed: bool = True
    policy: Policy = Policy.REPLACE
    format: Format = Format.PARQUET

    def source(self, directory: Path) -> Path:
        """Returns the file of the source."""
        return directory / f"{self.name}.{self.format}"

    def old(self, directory: Path) -> Path:
        """Returns the file of what the dataset has before."""
        return directory / f"{self.name}-before.{self.format}"

    def write(self, directory: Path) -> None:
        """Writes both files."""
        options = {
            Format.PARQUET: "FORMAT parquet, ROW_GROUP_SIZE 4096",
            Format.CSV: "FORMAT csv, HEADER",
        }[self.format]
        first = self.before - self.common
        with closing(duckdb.connect(config={"threads": 1})) as database:
            for path, query in (
                (self.old(directory), self._rows(0, self.before, 1)),
                (self.source(directory), self._rows(first, first + self.rows, 2)),
            ):
                database.execute(f"COPY ({query}) TO '{path}' ({options})")

    def _rows(self, first: int, end: int, edition: int) -> str:
        """Returns rows by number; those of two editions have other metrics for the same key."""
        n, amount = f"5000000000 + i * 10 + {edition}", f"(i * 7 + {edition}) / 100"
        if not self.keyed:
            columns = f"{n} AS n, CAST({amount} AS DECIMAL(18, 2)) AS amount"
        else:
            columns = f"""
                printf('key%07d', i) AS k, DATE '2019-12-31' + CAST(i % 1009 AS INTEGER) AS day,
                CASE WHEN i % 7 <> 0 THEN 'région ' || i % 5 END AS region,
                {n} AS n,
                CASE WHEN i % 11 <> {edition} THEN CAST({amount} AS DECIMAL(18, 2)) END AS amount"""
        named = ", ".join(f"{column} AS {self.name}_{column}" for column in self._columns)
        return f"SELECT {named} FROM (SELECT {columns} FROM range({first}, {end}) AS r(i))"

    @property
    def _columns(self) -> tuple[str, ...]:
        return ("k", "day", "region", "n", "amount") if self.keyed else ("n", "amount")

    def values(self, relation: str) -> str:
        """Returns a query for the values of a relation, in types that hold them exactly."""
        types = {"n": "BIGINT", "amount": "DECIMAL(38, 2)", "day": "DATE"}
        chosen = ", ".join(
            f'CAST("{self.name}_{column}" AS {types.get(column, "VARCHAR")}) AS {column}'
            for column in self._columns
        )
        return f"SELECT {chosen} FROM {relation}"

    def read(self, path: Path) -> str:
        """Returns a query for the values of one of its files, which DuckDB reads itself."""
        kind = "read_csv" if self.format is Format.CSV else "read_parquet"
        return self.values(f"{kind}('{path}')")

    def after(self, directory: Path) -> str:
        """Returns a query for what the table must hold once the load is published, once."""
        old, new = self.read(self.old(directory)), self.read(self.source(directory))
        by_key = " AND ".join(
            f"a.{column} IS NOT DISTINCT FROM b.{column}" for column in self._columns[:-2]
        )
        both = f"FROM ({{0}}) AS a WHERE {{1}} (SELECT 1 FROM ({{2}}) AS b WHERE {by_key})"
        match self.policy:
            case Policy.REPLACE:
                return new
            case Policy.ADD if not self.keyed:
                return f"({old}) UNION ALL ({new})"
            case Policy.ADD:
                return f"({old}) UNION ALL (SELECT a.* {both.format(new, 'NOT EXISTS', old)})"
            case Policy.UPSERT:
                return f"({new}) UNION ALL (SELECT a.* {both.format(old, 'NOT EXISTS', new)})"
            case Policy.UPDATE:
                changed = f"SELECT a.* {both.format(new, 'EXISTS', old)}"
                return f"({changed}) UNION ALL (SELECT a.* {both.format(old, 'NOT EXISTS', new)})"


@dataclass(frozen=True, slots=True)
class Standing:
    """What a dataset holds.

    Attributes:
        before: Whether it is as before the load: a new one is not there, or empty.
        after: Whether it is as after the load, each row once.
        lost: Rows that should be there after the load and are not.
        extra: Rows that should not be there then.
    """

    before: bool
    after: bool
    lost: int
    extra: int


def standing(database: Path, dataset: str, directory: Path, cases: list[TableCase]) -> Standing:
    """Compares all tables of a dataset in a DuckDB file with what the sources make of it.

    Args:
        database: The file, which nobody has open.
        dataset: The name of the dataset.
        directory: Where the sources are.
        cases: The tables.
    """
    before = after = True
    lost = extra = 0
    with closing(duckdb.connect(str(database), config={"threads": 1})) as connection:
        found = {
            name
            for (name,) in connection.execute(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = ?",
                [dataset],
            ).fetchall()
        }
        for case in cases:
            # A dataset that is not there holds as much as an empty one.
            actual = case.values(f'"{dataset}"."{case.name}"')
            if case.name not in found:
                actual = f"SELECT * FROM ({case.read(case.source(directory))}) LIMIT 0"
            old, new = case.read(case.old(directory)), case.after(directory)

            def less(one: str, other: str) -> int:
                query = f"SELECT count(*) FROM (({one}) EXCEPT ALL ({other}))"
                ((count,),) = connection.execute(query).fetchall()
                return int(count)

            before = before and not less(actual, old) and not less(old, actual)
            missing, more = less(new, actual), less(actual, new)
            after = after and not missing and not more
            lost, extra = lost + missing, extra + more
    return Standing(before, after, lost, extra)
