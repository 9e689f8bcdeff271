"""What a mapping file can say, as types: its check and its JSON schema come from these."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct, field

from loader.model.definition import Role
from loader.model.names import LONGEST
from loader.model.types import DataType

__all__ = [
    "AttributeMapping",
    "ColumnMapping",
    "ColumnName",
    "Columns",
    "DatasetMapping",
    "Mapping",
    "MetricMapping",
    "TableMapping",
    "json_schema",
    "schema_text",
]

# The pattern is for editors; the loader's own check has better words.
_NAME = r'^[^\\"\[\]]*$'

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=LONGEST, pattern=_NAME)]
Description: TypeAlias = Annotated[str, Meta(max_length=LONGEST)]


def _about(text: str) -> Meta:
    return Meta(description=text)


class ColumnName(Struct, frozen=True, forbid_unknown_fields=True):
    """A column whose name, or whose table's name, has a dot."""

    table: Annotated[str, _about("The table's name.")]
    column: Annotated[str, _about("The column's name in the source.")]


# A union with a Struct and a list: one column, or several.
Columns: TypeAlias = Annotated[
    str | ColumnName | list[str | ColumnName],
    _about(
        "One column or a list: `table.column`, `column` (of every table that has it), or "
        "`{table: …, column: …}` where names have dots. Columns are called as in the source."
    ),
]


class ColumnMapping(Struct, frozen=True, forbid_unknown_fields=True):
    """What is said of one column of a table."""

    name: Annotated[Name | None, _about("Its name in the dataset; else as in the source.")] = None
    drop: Annotated[bool | None, _about("Leave the column out.")] = None
    type: Annotated[
        DataType | None,
        _about("The data type it is sent as; a value that does not fit makes its row a bad row."),
    ] = None
    role: Annotated[
        Role | None,
        _about("`attribute` (part of the key) or `metric`; else numbers are metrics."),
    ] = None
    date_format: Annotated[
        str | None,
        _about(
            "How the texts of the source write dates and times, such as `dd/MM/yyyy HH:mm:ss.SSS`; "
            "else ISO 8601. They are always sent as ISO 8601."
        ),
    ] = field(default=None, name="dateFormat")
    as_: Annotated[
        Literal["text"] | None,
        _about("Send the numbers of a BIGDECIMAL as JSON texts, for servers that need it."),
    ] = field(default=None, name="as")
    description: Annotated[
        Description | None, _about("Describes the attribute or metric that the column becomes.")
    ] = None


class TableMapping(Struct, frozen=True, forbid_unknown_fields=True):
    """What is said of one table."""

    description: Description | None = None
    columns: Annotated[
        dict[str, ColumnMapping | None] | None, _about("Its columns, by their names in the source.")
    ] = None


class AttributeMapping(Struct, frozen=True, forbid_unknown_fields=True):
    """An attribute made of several columns."""

    forms: Annotated[
        dict[str, Columns],
        _about(
            "The columns of each form, by category: `ID` identifies, `DESC` and others describe."
        ),
    ]
    description: Description | None = None


class MetricMapping(Struct, frozen=True, forbid_unknown_fields=True):
    """A metric that is not called like its column, or that several tables have."""

    columns: Columns
    description: Description | None = None


class DatasetMapping(Struct, frozen=True, forbid_unknown_fields=True):
    """What is said of the dataset as a whole."""

    name: Annotated[Name | None, _about("Its name; --dataset overrides it.")] = None
    description: Description | None = None
    folder: Annotated[str | None, _about("The id of its folder; --folder-id overrides it.")] = None


class Mapping(Struct, frozen=True, forbid_unknown_fields=True):
    """A mapping file: what a dataset is made of, where it is not made of the source as it is."""

    dataset: DatasetMapping | None = None
    tables: Annotated[
        dict[str, TableMapping | None] | None, _about("The tables, by their names.")
    ] = None
    attributes: Annotated[
        dict[str, AttributeMapping] | None,
        _about("Attributes with several forms, or with columns of several names."),
    ] = None
    metrics: Annotated[
        dict[str, MetricMapping] | None,
        _about("Metrics with a name of their own, or with columns of several names."),
    ] = None


def json_schema() -> dict[str, Any]:
    """Returns the JSON schema of mapping files."""
    schema = msgspec.json.schema(Mapping)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "mstr-loader mapping",
        **schema,
    }


def schema_text() -> str:
    """Returns the JSON schema as a file."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
