"""Tables, attributes and metrics of a dataset, and the definition that the API wants of them."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from loader.model.types import DataType

__all__ = ["Column", "DatasetModel", "Role", "Table"]


class Role(enum.StrEnum):
    """What a column is in the dataset: an attribute (part of the key) or a metric (its payload)."""

    ATTRIBUTE = "attribute"
    METRIC = "metric"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        name: Its name in the dataset.
        source_type: The Arrow type that the source delivers.
        arrow_type: The Arrow type that is encoded: the same, or what it is cast to.
        data_type: What the API is told.
        role: Attribute or metric.
        source: Its name in the source.
        as_text: Whether numbers are sent as JSON strings, for servers that need it.
        date_format: How the texts of the source tell dates and times; None: as ISO 8601 does.
    """

    name: str
    source_type: pa.DataType
    arrow_type: pa.DataType
    data_type: DataType
    role: Role
    source: str
    as_text: bool = False
    date_format: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the dataset, its columns in the order of the source."""

    name: str
    columns: tuple[Column, ...]

    @property
    def column_names(self) -> list[str]:
        """The ``columnHeaders`` of an upload session."""
        return [column.name for column in self.columns]


@dataclass(frozen=True, slots=True)
class DatasetModel:
    """All tables of a dataset.

    A column name that several tables share is one attribute (or metric) with an expression for
    each: that is how the API joins tables.
    """

    name: str
    tables: tuple[Table, ...]

    def definition(self, folder_id: str | None = None) -> dict[str, Any]:
        """Returns the body of ``POST /api/datasets/models``.

        Source: many-requests document, "Create the definition of the dataset". Expressions are
        written as ``tableName`` and ``columnName``: a ``formula`` is ambiguous where a name has a
        dot.
        """
        body: dict[str, Any] = {
            "name": self.name,
            "tables": [
                {
                    "name": table.name,
                    "columnHeaders": [
                        {"name": column.name, "dataType": column.data_type.value}
                        for column in table.columns
                    ],
                }
                for table in self.tables
            ],
            "metrics": [
                {"name": name, "expressions": list(self._expressions(name, Role.METRIC))}
                for name in self._names(Role.METRIC)
            ],
            "attributes": [
                {
                    "name": name,
                    "attributeForms": [
                        {
                            "category": "ID",
                            "expressions": list(self._expressions(name, Role.ATTRIBUTE)),
                        }
                    ],
                }
                for name in self._names(Role.ATTRIBUTE)
            ],
        }
        if folder_id:
            body["folderId"] = folder_id
        return body

    def _names(self, role: Role) -> list[str]:
        names = (
            column.name for table in self.tables for column in table.columns if column.role is role
        )
        return list(dict.fromkeys(names))

    def _expressions(self, name: str, role: Role) -> Iterator[dict[str, str]]:
        for table in self.tables:
            for column in table.columns:
                if column.name == name and column.role is role:
                    yield {"tableName": table.name, "columnName": column.name}
