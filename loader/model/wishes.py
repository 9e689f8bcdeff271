"""What the user says of columns, by options and in a mapping file, and which columns that means."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from loader.errors import UsageError
from loader.model.definition import Role
from loader.model.mapping import ColumnMapping
from loader.model.types import DataType

if TYPE_CHECKING:  # few loads have one, and YAML is slow to import
    from loader.model.mapping_file import MappingFile

__all__ = ["AmbiguousName", "SourceColumn", "SourceColumns", "Wishes"]


class SourceColumn(NamedTuple):
    """A column by its table and its name in the source."""

    table: str
    name: str


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user says of the dataset. Options name a column ``column`` or ``table.column``.

    Names are those of the source. Where an option and the mapping disagree, the option wins.

    Attributes:
        attributes: Columns that are attributes though they hold numbers.
        metrics: Columns that are metrics though they hold no numbers.
        types: The data type a column is sent as.
        columns: The columns that are loaded; None: all.
        mapping: The mapping file.
    """

    attributes: Collection[str] = ()
    metrics: Collection[str] = ()
    types: Mapping[str, DataType] = field(default_factory=dict)
    columns: Collection[str] | None = None
    mapping: MappingFile | None = None

    @property
    def text_columns(self) -> frozenset[str]:
        """The columns whose type is said, so that a CSV file need not be asked for it."""
        said = frozenset(self.types)
        if self.mapping is None:
            return said
        return said | {
            f"{table}.{name}"
            for table in self.mapping.tables
            for name, column in self.mapping.columns(table).items()
            if column.type or column.date_format
        }

    def said_in_mapping(self, column: SourceColumn) -> ColumnMapping:
        """Returns what the mapping says of a column, which may be nothing."""
        return self.mapping.column(*column) if self.mapping else ColumnMapping()

    def said_role(self, table: str, name: str) -> Role | None:
        """Returns the role that the user wants a column to have; None: any."""
        spellings = {name, f"{table}.{name}"}
        if not spellings.isdisjoint(self.attributes):
            return Role.ATTRIBUTE
        if not spellings.isdisjoint(self.metrics):
            return Role.METRIC
        return self.said_in_mapping(SourceColumn(table, name)).role

    def said_type(self, table: str, name: str) -> DataType | None:
        """Returns the data type that the user wants a column to have; None: its own."""
        by_option = self.types.get(f"{table}.{name}") or self.types.get(name)
        return by_option or self.said_in_mapping(SourceColumn(table, name)).type


class AmbiguousName(LookupError):
    """A text names a column of one table, and by another of its dots a column of another one."""


class SourceColumns:
    """The columns of all tables, as they can be named."""

    def __init__(self, schemas: Mapping[str, pa.Schema]) -> None:
        self._names = {table: frozenset(schema.names) for table, schema in schemas.items()}

    def __contains__(self, column: SourceColumn) -> bool:
        return column.name in self._names.get(column.table, ())

    def named(self, text: str) -> Sequence[SourceColumn]:
        """Returns the columns that ``column`` or ``table.column`` means; there may be none.

        Raises:
            AmbiguousName: It can be read in several ways.
        """
        readings = [[SourceColumn(table, text) for table in self._names]]
        readings += [
            [SourceColumn(text[:dot], text[dot + 1 :])]
            for dot, character in enumerate(text)
            if character == "."
        ]
        known = [[column for column in reading if column in self] for reading in readings]
        found = [reading for reading in known if reading]
        if len(found) > 1:
            meanings = " and ".join(
                f"column {column.name!r} of table {column.table!r}" for (column, *_) in found
            )
            raise AmbiguousName(f"{text!r} can mean {meanings}")
        return found[0] if found else ()

    def wished(self, option: str, names: Collection[str]) -> dict[SourceColumn, str]:
        """Returns the columns that an option names, each with its spelling.

        Raises:
            UsageError: A name means no column, or several.
        """
        columns: dict[SourceColumn, str] = {}
        for name in names:
            try:
                found = self.named(name)
            except AmbiguousName as error:
                raise UsageError(
                    f"{option} {name}: {error}",
                    hint="say it in a mapping file (--mapping), where tables and columns have "
                    "places of their own",
                ) from None
            if not found:
                raise UsageError(
                    f"{option} {name}: no table has a column of that name", hint=self.hint()
                )
            columns |= dict.fromkeys(found, name)
        return columns

    def hint(self) -> str:
        """Names the columns that there are."""
        several = len(self._names) > 1
        names = [
            f"{table}.{name}" if several else name
            for table, columns in self._names.items()
            for name in sorted(columns)
        ]
        return f"columns: {', '.join(names[:_SHOWN])}" + (" …" if len(names) > _SHOWN else "")


_SHOWN = 30
