"""Tables, attributes and metrics of a dataset, and the definition that the API wants of them."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from loader.model.types import DataType

__all__ = [
    "ID",
    "Attribute",
    "Column",
    "ColumnRef",
    "DatasetModel",
    "Form",
    "Metric",
    "Role",
    "Table",
]

ID = "ID"
"""The category of the form that identifies an attribute's elements."""


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
    description: str | None = None

    @property
    def column_names(self) -> list[str]:
        """The ``columnHeaders`` of an upload session."""
        return [column.name for column in self.columns]


@dataclass(frozen=True, slots=True)
class ColumnRef:
    """A column of a table, both by their names in the dataset."""

    table: str
    column: str


@dataclass(frozen=True, slots=True)
class Form:
    """One form of an attribute: what identifies (``ID``) or describes (``DESC``, …) its elements.

    Attributes:
        category: Its category.
        columns: The columns that hold it, at most one of each table.
    """

    category: str
    columns: tuple[ColumnRef, ...]


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute; its ID form is the first one."""

    name: str
    forms: tuple[Form, ...]
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric and the columns that hold it, at most one of each table."""

    name: str
    columns: tuple[ColumnRef, ...]
    description: str | None = None


@dataclass(frozen=True, slots=True)
class DatasetModel:
    """All tables of a dataset, and the attributes and metrics made of their columns.

    An attribute (or metric) with columns of several tables has an expression for each: that is how
    the API joins tables.

    Attributes:
        name: The dataset's name.
        tables: Its tables, in the order of the sources.
        attributes: Its attributes.
        metrics: Its metrics, without those that the server adds to count rows.
        description: What the dataset is described as.
        folder_id: The folder that the mapping puts it in; None: the user's My Reports.
    """

    name: str
    tables: tuple[Table, ...]
    attributes: tuple[Attribute, ...]
    metrics: tuple[Metric, ...]
    description: str | None = None
    folder_id: str | None = None

    def definition(self, folder_id: str | None = None) -> dict[str, Any]:
        """Returns the body of ``POST /api/datasets/models``.

        Source: many-requests document, "Create the definition of the dataset". Expressions are
        written as ``tableName`` and ``columnName``: a ``formula`` is ambiguous where a name has a
        dot.

        Args:
            folder_id: The folder; None: the model's own.
        """
        body: dict[str, Any] = {
            **_named(self.name, self.description),
            "tables": [
                {
                    **_named(table.name, table.description),
                    "columnHeaders": [
                        {"name": column.name, "dataType": column.data_type.value}
                        for column in table.columns
                    ],
                }
                for table in self.tables
            ],
            "metrics": [
                {
                    **_named(metric.name, metric.description),
                    "expressions": _expressions(metric.columns),
                }
                for metric in self.metrics
            ],
            "attributes": [
                {
                    **_named(attribute.name, attribute.description),
                    "attributeForms": [
                        {"category": form.category, "expressions": _expressions(form.columns)}
                        for form in attribute.forms
                    ],
                }
                for attribute in self.attributes
            ],
        }
        if folder_id or self.folder_id:
            body["folderId"] = folder_id or self.folder_id
        return body


def _named(name: str, description: str | None) -> dict[str, str]:
    return {"name": name, "description": description} if description else {"name": name}


def _expressions(columns: Iterable[ColumnRef]) -> list[dict[str, str]]:
    return [{"tableName": ref.table, "columnName": ref.column} for ref in columns]
