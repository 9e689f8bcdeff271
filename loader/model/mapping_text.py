"""Writes a model as a full mapping file, to be edited."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from loader.errors import UsageError
from loader.model.definition import ID, Attribute, Column, ColumnRef, DatasetModel, Metric, Table
from loader.model.mapping import schema_text
from loader.model.names import yaml_text
from loader.model.wishes import AmbiguousName, SourceColumn, SourceColumns

__all__ = ["SCHEMA_FILE", "save_mapping", "write_mapping"]

SCHEMA_FILE = "mstr-mapping.schema.json"
"""Name of the JSON schema next to a written mapping, which editors complete and check it by."""

_TYPE_SHOWN = 60


def save_mapping(path: Path, model: DatasetModel, schemas: Mapping[str, pa.Schema]) -> None:
    """Writes a mapping file, and the JSON schema that it names beside it.

    A relative name works in every editor, and still does where both files are copied or committed.

    Raises:
        UsageError: The file is there already, since somebody may have edited it, or cannot be
            written.
    """
    option = f"--write-mapping {path}"
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(write_mapping(model, schemas))
        path.with_name(SCHEMA_FILE).write_text(schema_text(), encoding="utf-8")
    except FileExistsError:
        raise UsageError(
            f"{option}: the file is there already",
            hint="name another file, or delete it: what was edited in it would be lost",
            file=str(path),
        ) from None
    except OSError as error:
        raise UsageError(
            f"{option}: {error.strerror or error}",
            hint="name a file in a directory that can be written to",
            file=str(path),
        ) from error


def write_mapping(model: DatasetModel, schemas: Mapping[str, pa.Schema]) -> str:
    """Returns a mapping file that says everything, and read again gives the same model.

    Args:
        model: The model.
        schemas: What it was built of: columns that the model has left out are dropped.
    """
    return "".join(f"{line}\n" for line in _Writer(model, schemas).lines())


class _Writer:
    def __init__(self, model: DatasetModel, schemas: Mapping[str, pa.Schema]) -> None:
        self._model = model
        self._schemas = schemas
        self._columns = SourceColumns(schemas)
        self._sources = {
            ColumnRef(table.name, column.name): SourceColumn(table.name, column.source)
            for table in model.tables
            for column in table.columns
        }
        # Descriptions of what is made by name are written at the first of its columns.
        self._described: dict[ColumnRef, str] = {}
        self._attributes = [item for item in model.attributes if not self._is_by_name(item)]
        self._metrics = [item for item in model.metrics if not self._is_by_name(item)]

    def _is_by_name(self, item: Attribute | Metric) -> bool:
        """Whether the columns make an attribute or metric without any word about it."""
        if isinstance(item, Metric):
            columns = item.columns
        elif [form.category for form in item.forms] == [ID]:
            columns = item.forms[0].columns
        else:
            return False
        by_name = all(ref.column == item.name for ref in columns)
        if by_name and item.description:
            self._described[columns[0]] = item.description
        return by_name

    def lines(self) -> Iterator[str]:
        yield f"# yaml-language-server: $schema={SCHEMA_FILE}"
        yield "# Columns are called as in the source; what is left out here stays as it is there."
        yield "dataset:"
        yield f"  name: {yaml_text(self._model.name)}"
        if self._model.description:
            yield f"  description: {yaml_text(self._model.description)}"
        if self._model.folder_id:
            yield f"  folder: {yaml_text(self._model.folder_id)}"
        yield "tables:"
        for table in self._model.tables:
            yield from self._table(table)
        if self._attributes:
            yield "attributes:"
        for attribute in self._attributes:
            yield from self._head(attribute)
            yield "    forms:"
            for form in attribute.forms:
                yield f"      {yaml_text(form.category)}: {self._written(form.columns)}"
        if self._metrics:
            yield "metrics:"
        for metric in self._metrics:
            yield from self._head(metric)
            yield f"    columns: {self._written(metric.columns)}"

    def _table(self, table: Table) -> Iterator[str]:
        yield f"  {yaml_text(table.name)}:"
        if table.description:
            yield f"    description: {yaml_text(table.description)}"
        yield "    columns:"
        loaded = {column.source: column for column in table.columns}
        for field in self._schemas[table.name]:
            column = loaded.get(field.name)
            said = self._said(table.name, column) if column else "drop: true"
            kind = " ".join(str(field.type).split())
            shown = kind if len(kind) <= _TYPE_SHOWN else f"{kind[:_TYPE_SHOWN]}…"
            yield f"      {yaml_text(field.name)}: {{{said}}}  # {shown}"

    @staticmethod
    def _head(item: Attribute | Metric) -> Iterator[str]:
        yield f"  {yaml_text(item.name)}:"
        if item.description:
            yield f"    description: {yaml_text(item.description)}"

    def _said(self, table: str, column: Column) -> str:
        said = {"name": column.name, "type": str(column.data_type), "role": str(column.role)}
        if column.date_format is not None:
            said["dateFormat"] = column.date_format
        if column.as_text:
            said["as"] = "text"
        description = self._described.get(ColumnRef(table, column.name))
        if description:
            said["description"] = description
        return ", ".join(f"{key}: {yaml_text(text)}" for key, text in said.items())

    def _written(self, columns: Sequence[ColumnRef]) -> str:
        return f"[{', '.join(self._names(self._sources[ref] for ref in columns))}]"

    def _names(self, columns: Iterable[SourceColumn]) -> Iterator[str]:
        for column in columns:
            text = ".".join(column)
            try:
                plain = list(self._columns.named(text)) == [column]
            except AmbiguousName:
                plain = False
            if plain:
                yield yaml_text(text)
            else:
                table, name = map(yaml_text, column)
                yield f"{{table: {table}, column: {name}}}"
