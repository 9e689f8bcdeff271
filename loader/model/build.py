"""From the Arrow schemas of the sources and the user's wishes to the model of the dataset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from loader.errors import LoaderError, UnmappableColumn, UsageError
from loader.model.dateformat import is_default, parse_format
from loader.model.definition import Column, DatasetModel, Role, Table
from loader.model.mapping import ColumnMapping
from loader.model.names import (
    check_name,
    check_unique,
    column_entry,
    name_fault,
    suggested_name,
    yaml_text,
)
from loader.model.objects import Assembly, assemble
from loader.model.types import DataType, arrow_type_for, data_type_of, is_text, storage_type
from loader.model.wishes import SourceColumn, SourceColumns, Wishes

if TYPE_CHECKING:  # few loads have one, and YAML is slow to import
    from loader.model.mapping_file import MappingFile, Place

__all__ = ["build_model"]


def build_model(name: str | None, schemas: Mapping[str, pa.Schema], wishes: Wishes) -> DatasetModel:
    """Returns the model of a dataset.

    Numeric columns are metrics, all others attributes with one ID form, unless ``wishes`` say else.

    Args:
        name: The dataset's name; None: the one in the mapping, or the first table's.
        schemas: The schema of each table, by its name.
        wishes: What the user says of the dataset.

    Raises:
        NameRefused: A name is forbidden or occurs twice, or tables disagree about a shared one.
        UnmappableColumn: A column's type has no data type.
        UsageError: ``wishes`` name a column that no table has, or contradict themselves.
    """
    for table, schema in schemas.items():
        check_name("table", table, where=f"table {table!r}", hint="name it with TABLE=PATH")
        check_unique(
            "column",
            schema.names,
            where=f"table {table!r}",
            hint="rename one at the source: a mapping finds columns by their names",
        )
    columns = SourceColumns(schemas)
    mapping = wishes.mapping
    if mapping is not None:
        _check_mapping(mapping, schemas)
    options = _Options.of(wishes, columns)
    assembly = Assembly.of(mapping, columns, options.selected)
    tables = tuple(
        _Builder(table, schema, wishes, options, assembly).table()
        for table, schema in schemas.items()
    )
    dataset = mapping.dataset if mapping else None
    if name is None:
        name = (dataset and dataset.name) or next(iter(schemas))
    # After the tables: a dataset may be named after the first of them.
    check_name("dataset", name, where="the load", hint="name it with --dataset NAME")
    attributes, metrics = assemble(tables, assembly, wishes)
    return DatasetModel(
        name=name,
        tables=tables,
        attributes=attributes,
        metrics=metrics,
        description=(dataset and dataset.description) or None,
        folder_id=(dataset and dataset.folder) or None,
    )


def _check_mapping(mapping: MappingFile, schemas: Mapping[str, pa.Schema]) -> None:
    """Checks that the tables and columns of a mapping are there."""
    for table in mapping.tables:
        if table not in schemas:
            raise mapping.error(
                ("tables", table),
                f"the source has no table {table!r}",
                f"tables: {', '.join(schemas)}; TABLE=PATH names a table",
            )
        known = schemas[table].names
        for name in mapping.columns(table):
            if name not in known:
                raise mapping.error(
                    ("tables", table, "columns", name),
                    f"table {table!r} has no column {name!r}",
                    f"columns are called as in the source: {', '.join(known[:_SHOWN])}",
                )


_SHOWN = 30


class _Options(NamedTuple):
    """What the options say of single columns, each with the spelling that said it."""

    attributes: Mapping[SourceColumn, str]
    metrics: Mapping[SourceColumn, str]
    types: Mapping[SourceColumn, str]
    selected: Mapping[SourceColumn, str] | None

    @classmethod
    def of(cls, wishes: Wishes, columns: SourceColumns) -> _Options:
        """Looks the names up.

        Raises:
            UsageError: One is unknown, or they contradict each other or the mapping.
        """
        options = cls(
            columns.wished("--attribute", wishes.attributes),
            columns.wished("--metric", wishes.metrics),
            columns.wished("--type", wishes.types),
            None if wishes.columns is None else columns.wished("--columns", wishes.columns),
        )
        for column in options.attributes.keys() & options.metrics.keys():
            raise UsageError(
                f"column {column.name!r} of table {column.table!r} is named by --attribute and by "
                "--metric",
                hint="a column is one or the other",
            )
        named = {
            "--attribute": options.attributes,
            "--metric": options.metrics,
            "--type": options.types,
            "--columns": options.selected or {},
        }
        for option, found in named.items():
            for column, spelling in found.items():
                if wishes.said_in_mapping(column).drop:
                    raise UsageError(
                        f"{option} {spelling}: the mapping drops column {column.name!r} of table "
                        f"{column.table!r}",
                        hint=f"leave out {option} {spelling}, or drop: true in the mapping",
                    )
        return options


class _Builder:
    """Makes one table of the model."""

    def __init__(
        self,
        name: str,
        schema: pa.Schema,
        wishes: Wishes,
        options: _Options,
        assembly: Assembly,
    ) -> None:
        self._name = name
        self._where = f"table {name!r}"
        self._schema = schema
        self._wishes = wishes
        self._options = options
        self._assembly = assembly

    def table(self) -> Table:
        """Returns the table with the columns that are not left out."""
        fields = [field for field in self._schema if self._is_loaded(field.name)]
        if not fields:
            left = " left" if self._schema.names else ""
            raise UnmappableColumn(
                f"{self._where}: it has no column{left}",
                hint="keep one: see --columns and drop: true" if left else "name another source",
                table=self._name,
            )
        columns = tuple(self._column(field) for field in fields)
        names = [column.name for column in columns]
        for column in columns:
            if name_fault(column.name) is not None:
                better = suggested_name(column.name, names)
                check_name(
                    "column",
                    column.name,
                    where=self._where,
                    hint=self._in_mapping(column.source, {"name": yaml_text(better)}),
                )
        self._check_unique(columns)
        mapping = self._wishes.mapping
        said = mapping.tables.get(self._name) if mapping else None
        return Table(self._name, columns, (said and said.description) or None)

    def _is_loaded(self, name: str) -> bool:
        key = SourceColumn(self._name, name)
        if self._options.selected is not None and key not in self._options.selected:
            return False
        return not self._wishes.said_in_mapping(key).drop

    def _check_unique(self, columns: tuple[Column, ...]) -> None:
        sources: dict[str, str] = {}
        for column in columns:
            if column.name in sources:
                twin = sources[column.name]
                renamed = column.source if column.source != column.name else twin
                better = suggested_name(column.name, [item.name for item in columns])
                check_unique(
                    "column",
                    [column.name, column.name],
                    where=f"{self._where}, columns {twin!r} and {column.source!r} of the source",
                    hint=self._in_mapping(renamed, {"name": yaml_text(better)}),
                )
            sources[column.name] = column.source

    def _column(self, field: pa.Field) -> Column:
        key = SourceColumn(self._name, field.name)
        said = self._wishes.said_in_mapping(key)
        by_option = key in self._options.types
        data_type, arrow, date_format = self._types(field, said, by_option=by_option)
        if said.as_ is not None and data_type is not DataType.BIGDECIMAL:
            raise self._error(
                field.name,
                "as",
                f"it is for BIGDECIMAL, and the column is {data_type}",
                "take it out, or write type: BIGDECIMAL too",
            )
        return Column(
            name=said.name or field.name,
            source_type=field.type,
            arrow_type=arrow,
            data_type=data_type,
            role=self._role(key, said, data_type),
            source=field.name,
            as_text=said.as_ is not None,
            date_format=date_format,
        )

    def _types(
        self, field: pa.Field, said: ColumnMapping, *, by_option: bool
    ) -> tuple[DataType, pa.DataType, str | None]:
        """Returns what a column is sent as, what it is cast to, and how its dates are read."""
        wanted = self._wishes.said_type(self._name, field.name)
        if said.date_format is not None and not (by_option and wanted not in _TEMPORAL):
            return self._date(field, said.date_format, wanted)
        natural = data_type_of(field.type)
        if natural is None:
            raise UnmappableColumn(
                f"{self._where}, column {field.name!r}: the type {field.type} has no data type",
                hint=self._in_mapping(field.name, {"drop": "true"}),
                table=self._name,
                column=field.name,
            )
        data_type = wanted or natural
        arrow = arrow_type_for(data_type, field.type)
        if arrow is None:
            said_it = said.type is not None and not by_option
            problem = f"{field.type} cannot be sent as {data_type}"
            if said_it:
                raise self._error(
                    field.name, "type", problem, f"write type: {natural} or type: STRING"
                )
            raise UnmappableColumn(
                f"{self._where}, column {field.name!r}: {problem}",
                hint=f"--type {field.name}=STRING sends any column",
                table=self._name,
                column=field.name,
            )
        return data_type, arrow, None

    def _date(
        self, field: pa.Field, text: str, wanted: DataType | None
    ) -> tuple[DataType, pa.DataType, str | None]:
        name = field.name
        if not is_text(storage_type(field.type)):
            raise self._error(
                name,
                "dateFormat",
                f"it tells how texts are read, and the column is {field.type} in the source",
                "take it out: such values are sent as ISO 8601 already",
            )
        if is_default(text):
            data_type = wanted or DataType.DATETIME
            target = arrow_type_for(data_type, field.type) if data_type in _TEMPORAL else None
            form = None
        else:
            try:
                date_format = parse_format(text)
            except ValueError as error:
                raise self._error(
                    name,
                    "dateFormat",
                    f"{text!r} {error}",
                    "write it like yyyy-MM-dd, dd/MM/yyyy HH:mm:ss or HH:mm:ss.SSS",
                ) from None
            data_type = wanted or date_format.data_type
            target = date_format.arrow_type_for(data_type)
            form = text
        if target is None:
            natural = DataType.DATETIME if form is None else date_format.data_type
            raise self._error(
                name,
                "dateFormat",
                f"{text!r} is how a {natural} is written, and the column is to be {data_type}",
                f"write type: {natural}, or another dateFormat",
            )
        return data_type, target, form

    def _role(self, key: SourceColumn, said: ColumnMapping, data_type: DataType) -> Role:
        fixed = self._assembly.role_of(key)
        by_option = (
            Role.ATTRIBUTE
            if key in self._options.attributes
            else Role.METRIC
            if key in self._options.metrics
            else None
        )
        wanted = by_option or said.role
        if fixed is not None and wanted is not None and wanted is not fixed:
            member = self._assembly.members[key]
            problem = f"the column belongs to the {fixed} {member.object!r} of the mapping"
            if by_option is None:
                raise self._error(
                    key.name, "role", problem, f"write role: {fixed}, or take it out of there"
                )
            raise UsageError(
                f"--{by_option} {key.name}: {problem}",
                hint=f"leave out --{by_option} {key.name}, or take the column out of there",
            )
        number = Role.METRIC if data_type.is_number else Role.ATTRIBUTE
        return fixed or wanted or number

    def _error(self, column: str, key: str, problem: str, hint: str) -> LoaderError:
        mapping = self._wishes.mapping
        assert mapping is not None
        place: Place = ("tables", self._name, "columns", column, key)
        return mapping.error(place, problem, hint)

    def _in_mapping(self, column: str, said: Mapping[str, str]) -> str:
        mapping = self._wishes.mapping
        file = mapping.file if mapping else "a mapping file (--mapping FILE)"
        return f"write in {file}: {column_entry(self._name, column, said)}"


_TEMPORAL = frozenset({DataType.DATE, DataType.TIME, DataType.DATETIME})
