"""A dataset's definition: tables, attributes and metrics, parsed and checked against each other.

Both bodies that carry one, ``POST /api/datasets`` and ``POST /api/datasets/models``, have the same
form (multiple-requests document, "Create the definition of the dataset").
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from loader.emulator.definitions import Column, DataType, Table
from loader.emulator.fields import Fields
from loader.emulator.refusals import conflict, invalid, missing, not_found

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "Attribute",
    "Form",
    "Metric",
    "Model",
    "Reference",
    "derived_id",
    "new_id",
    "parse_columns",
    "parse_model",
]

MAX_NAME = 250
"""Longest name and description; the vendor's clients refuse longer ones."""

_Columns: TypeAlias = dict[str, Column]
"""A table's columns by name, in their order."""

FORBIDDEN = '\\"[]'
"""Characters that the vendor's clients refuse in names."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A column of a table, as an expression names it."""

    table: str
    column: str


@dataclass(frozen=True, slots=True)
class Form:
    """One form of an attribute: its category (``ID``, ``DESC``, …) and its column in each table."""

    category: str
    sources: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute; exactly one of its forms is the ID form."""

    name: str
    forms: tuple[Form, ...]
    description: str = ""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric and its column in each table."""

    name: str
    sources: tuple[Reference, ...]
    description: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """What a dataset consists of.

    Attributes:
        name: The dataset's name.
        description: Free text, may be empty.
        folder_id: As in the body; empty means the user's My Reports folder.
        tables: In the body's order.
        attributes: In the body's order.
        metrics: In the body's order.
    """

    name: str
    description: str
    folder_id: str
    tables: tuple[Table, ...]
    attributes: tuple[Attribute, ...]
    metrics: tuple[Metric, ...]

    def table(self, name: str) -> Table:
        """Returns a table by name.

        Raises:
            Refusal: The dataset has no such table.
        """
        for table in self.tables:
            if table.name == name:
                return table
        names = ", ".join(repr(table.name) for table in self.tables)
        raise not_found(f"Dataset {self.name!r} has no table {name!r}; its tables are {names}.")


def new_id() -> str:
    """Returns a fresh object id: 32 upper-case hexadecimal digits."""
    return uuid.uuid4().hex.upper()


def derived_id(*parts: str) -> str:
    """Returns the id of something that hangs on other ids, the same one every time."""
    text = "\0".join(parts).encode()
    return hashlib.md5(text, usedforsecurity=False).hexdigest().upper()


def parse_model(body: Any, table_ids: Mapping[str, str] | None = None) -> Model:
    """Reads a definition and checks that everything in it refers to something in it.

    Args:
        body: The parsed JSON.
        table_ids: Known ids of tables by name, when a stored definition is read again.

    Raises:
        Refusal: The first rule that the definition breaks.
    """
    fields = Fields(body)
    name = _name(fields, "dataset")
    description = _description(fields)
    names = _Names("table")
    columns: dict[str, _Columns] = {}
    descriptions: dict[str, str] = {}
    for item in fields.objects("tables"):
        table = names.add(item)
        columns[table] = {column.name: column for column in parse_columns(item)}
        descriptions[table] = _description(item)
    names = _Names("attribute")
    attributes = [
        Attribute(names.add(item), _forms(item, columns), _description(item))
        for item in fields.objects("attributes", required=False)
    ]
    names = _Names("metric")
    metrics = [
        Metric(names.add(item), _expressions(item, columns), _description(item))
        for item in fields.objects("metrics", required=False)
    ]
    if not attributes and not metrics:
        raise missing("A dataset needs at least one attribute or metric.")
    return Model(
        name=name,
        description=description,
        folder_id=fields.text_or("folderId", ""),
        tables=tuple(
            Table(
                name=table_name,
                id=(table_ids or {}).get(table_name) or new_id(),
                columns=tuple(table_columns.values()),
                key=_key(table_name, attributes),
                description=descriptions[table_name],
            )
            for table_name, table_columns in columns.items()
        ),
        attributes=tuple(attributes),
        metrics=tuple(metrics),
    )


def parse_columns(table: Fields) -> tuple[Column, ...]:
    """Reads ``columnHeaders`` in the form that carries data types.

    Raises:
        Refusal: A name that is not allowed or occurs twice, or an unknown data type.
    """
    names = _Names("column")
    return tuple(
        Column(
            name=names.add(header),
            data_type=_data_type(header),
            date_format=header.text("dateFormat") if header.has("dateFormat") else None,
        )
        for header in table.objects("columnHeaders")
    )


class _Names:
    """The names of one kind, each allowed once."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._known: set[str] = set()

    def add(self, item: Fields) -> str:
        """Returns the item's name, which must be allowed and new."""
        name = _name(item, self._kind)
        if name in self._known:
            raise conflict(f"{item.path('name')}: there is a {self._kind} named {name!r} already.")
        self._known.add(name)
        return name


def _name(fields: Fields, what: str) -> str:
    name = fields.text("name")
    if not name.strip():
        raise invalid(f"{fields.path('name')} is empty; a {what} needs a name.")
    if len(name) > MAX_NAME:
        raise invalid(
            f"{fields.path('name')} has {len(name)} characters; {MAX_NAME} are allowed: "
            f"{name[:30]!r}…"
        )
    bad = sorted(set(name) & set(FORBIDDEN))
    if bad:
        raise invalid(
            f"{fields.path('name')} {name!r} has {' '.join(bad)} in it; "
            f"{' '.join(FORBIDDEN)} are not allowed in names."
        )
    return name


def _description(fields: Fields) -> str:
    description = fields.text_or("description", "")
    if len(description) > MAX_NAME:
        raise invalid(
            f"{fields.path('description')} has {len(description)} characters; {MAX_NAME} are "
            "allowed."
        )
    return description


def _data_type(fields: Fields) -> DataType:
    text = fields.text("dataType")
    try:
        return DataType(text.upper())
    except ValueError:
        raise invalid(
            f"{fields.path('dataType')} {text!r} is unknown; there are {', '.join(DataType)}."
        ) from None


def _forms(item: Fields, columns: Mapping[str, _Columns]) -> tuple[Form, ...]:
    """Reads an attribute's forms: each category once, and ID among them."""
    forms: dict[str, Form] = {}
    for form in item.objects("attributeForms"):
        category = form.text("category").upper()
        if category in forms:
            raise conflict(f"{form.path('category')}: the attribute has two {category} forms.")
        forms[category] = Form(category, _expressions(form, columns))
    if "ID" not in forms:
        raise missing(f"{item.path('attributeForms')}: the attribute has no ID form.")
    return tuple(forms.values())


def _expressions(item: Fields, columns: Mapping[str, _Columns]) -> tuple[Reference, ...]:
    """Resolves the expressions of a metric or form: at most one column in each table."""
    sources: dict[str, Reference] = {}
    for expression in item.objects("expressions"):
        reference = _reference(expression, columns)
        if reference.table in sources:
            raise conflict(
                f"{expression.where}: there is an expression for table {reference.table!r} already."
            )
        sources[reference.table] = reference
        if item.has("dataType"):
            said = _data_type(item)
            column = columns[reference.table][reference.column]
            if column.data_type is not said:
                raise invalid(
                    f"{item.path('dataType')} is {said}, but column {column.name!r} of table "
                    f"{reference.table!r} is {column.data_type}."
                )
    return tuple(sources.values())


def _reference(expression: Fields, columns: Mapping[str, _Columns]) -> Reference:
    """Resolves one expression in either of its spellings."""
    if not expression.has("formula"):
        if not (expression.has("tableName") or expression.has("columnName")):
            raise missing(f"{expression.where} needs tableName and columnName, or formula.")
        table, column = expression.text("tableName"), expression.text("columnName")
        if table not in columns:
            raise invalid(f"{expression.path('tableName')}: there is no table {table!r}.")
        if column not in columns[table]:
            raise invalid(
                f"{expression.path('columnName')}: table {table!r} has no column {column!r}."
            )
        return Reference(table, column)
    formula = expression.text("formula")
    # Names may have dots in them: every split that names an existing column counts.
    found = [
        Reference(formula[:dot], formula[dot + 1 :])
        for dot, character in enumerate(formula)
        if character == "." and formula[dot + 1 :] in columns.get(formula[:dot], {})
    ]
    if not found:
        raise invalid(
            f"{expression.path('formula')} {formula!r} names no column of any table; "
            "it must be table_name.column_name."
        )
    if len(found) > 1:
        readings = " and ".join(f"{item.table!r}.{item.column!r}" for item in found)
        raise invalid(
            f"{expression.path('formula')} {formula!r} is ambiguous: {readings} both exist; "
            "use tableName and columnName."
        )
    return found[0]


def _key(table: str, attributes: Iterable[Attribute]) -> tuple[str, ...]:
    """The columns of all ID forms in a table: what identifies a row, each column once."""
    return tuple(
        dict.fromkeys(
            source.column
            for attribute in attributes
            for form in attribute.forms
            if form.category == "ID"
            for source in form.sources
            if source.table == table
        )
    )
