"""From the Arrow schemas of the sources and the user's wishes to the model of the dataset."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from loader.errors import NameRefused, UnmappableColumn, UsageError
from loader.model.definition import Column, DatasetModel, Role, Table
from loader.model.names import check_name, check_unique
from loader.model.types import DataType, arrow_type_for, data_type_of

__all__ = ["Roles", "build_model"]


@dataclass(frozen=True, slots=True)
class Roles:
    """What the user says of single columns. A column is named ``column`` or ``table.column``.

    Attributes:
        attributes: Columns that are attributes though they hold numbers.
        metrics: Columns that are metrics though they hold no numbers.
        types: The data type a column is sent as.
    """

    attributes: Collection[str] = ()
    metrics: Collection[str] = ()
    types: Mapping[str, DataType] = field(default_factory=dict)


def build_model(name: str, schemas: Mapping[str, pa.Schema], roles: Roles) -> DatasetModel:
    """Returns the model of a dataset.

    Numeric columns are metrics, all others attributes with one ID form, unless ``roles`` says else.

    Args:
        name: The dataset's name.
        schemas: The schema of each table, by its name.
        roles: What the user says of single columns.

    Raises:
        NameRefused: A name is forbidden or occurs twice, or tables disagree about a shared one.
        UnmappableColumn: A column's type has no data type.
        UsageError: ``roles`` names a column that no table has, or contradicts itself.
    """
    _check_wishes(schemas, roles)
    tables = tuple(_table(table, schema, roles) for table, schema in schemas.items())
    # After the tables: a dataset may be named after the first of them.
    check_name("dataset", name, where="the load")
    model = DatasetModel(name, tables)
    _check_shared(model)
    return model


def _table(name: str, schema: pa.Schema, roles: Roles) -> Table:
    where = f"table {name!r}"
    check_name("table", name, where=where)
    for column in schema.names:
        check_name("column", column, where=where)
    check_unique("column", schema.names, where=where)
    if not schema.names:
        raise UnmappableColumn(f"{where}: it has no column", hint="name another source")
    return Table(name, tuple(_column(name, field, roles) for field in schema))


def _column(table: str, field: pa.Field, roles: Roles) -> Column:
    natural = data_type_of(field.type)
    if natural is None:
        raise UnmappableColumn(
            f"table {table!r}, column {field.name!r}: the type {field.type} has no data type",
            hint="drop the column, or convert it at the source",
            table=table,
            column=field.name,
        )
    wanted = _said(roles.types, table, field.name) or natural
    arrow = arrow_type_for(wanted, field.type)
    if arrow is None:
        raise UnmappableColumn(
            f"table {table!r}, column {field.name!r}: {field.type} cannot be sent as {wanted}",
            hint=f"--type {field.name}=STRING sends any column",
            table=table,
            column=field.name,
        )
    role = _role(table, field.name, wanted, roles)
    return Column(field.name, field.type, arrow, wanted, role, field.name)


def _role(table: str, column: str, data_type: DataType, roles: Roles) -> Role:
    names = {column, f"{table}.{column}"}
    if not names.isdisjoint(roles.attributes):
        return Role.ATTRIBUTE
    if not names.isdisjoint(roles.metrics):
        return Role.METRIC
    return Role.METRIC if data_type.is_number else Role.ATTRIBUTE


def _said(types: Mapping[str, DataType], table: str, column: str) -> DataType | None:
    return types.get(f"{table}.{column}") or types.get(column)


def _check_wishes(schemas: Mapping[str, pa.Schema], roles: Roles) -> None:
    known = {name for schema in schemas.values() for name in schema.names}
    known |= {f"{table}.{name}" for table, schema in schemas.items() for name in schema.names}
    for option, names in (
        ("--attribute", roles.attributes),
        ("--metric", roles.metrics),
        ("--type", roles.types),
    ):
        for name in names:
            if name not in known:
                raise UsageError(
                    f"{option} {name}: no table has a column of that name",
                    hint=f"columns: {', '.join(sorted(known)[:30])}",
                )
    for table, schema in schemas.items():
        for name in schema.names:
            spellings = {name, f"{table}.{name}"}
            if spellings & set(roles.attributes) and spellings & set(roles.metrics):
                raise UsageError(
                    f"column {name!r} of table {table!r} is named by --attribute and by --metric",
                    hint="a column is one or the other",
                )


def _check_shared(model: DatasetModel) -> None:
    """A name in several tables is one attribute or metric, so the tables must agree about it."""
    first: dict[str, tuple[Table, Column]] = {}
    for table in model.tables:
        for column in table.columns:
            if column.name not in first:
                first[column.name] = (table, column)
                continue
            other_table, other = first[column.name]
            if (other.role, other.data_type) != (column.role, column.data_type):
                raise NameRefused(
                    f"column {column.name!r} is {_described(other)} in table {other_table.name!r} "
                    f"and {_described(column)} in {table.name!r}; a name is one object",
                    hint=f"make them alike with --type {table.name}.{column.name}=…, "
                    "--attribute or --metric, or rename one at the source",
                    column=column.name,
                )


def _described(column: Column) -> str:
    article = "an" if column.role is Role.ATTRIBUTE else "a"
    return f"{article} {column.role} of type {column.data_type}"
