"""How a source fits the tables and columns of an existing dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import pyarrow.types as pt

from loader.model.definition import ID, Column, ColumnRef, DatasetModel, Role, Table
from loader.model.names import column_entry, yaml_text
from loader.model.types import DataType, arrow_type_for
from loader.model.wishes import Wishes

__all__ = ["Drift", "ExistingDataset", "TableDrift", "fit"]


@dataclass(frozen=True, slots=True)
class ExistingDataset:
    """A dataset as the server describes it. It names types in its own words, or not at all.

    Attributes:
        tables: The columns of each table, in the server's order, with their types.
        attributes: The forms of each attribute, by upper-case category, with their types.
        metrics: The metrics with their types, those that count rows included.
        objects_known: Whether the server told of attributes and metrics.
    """

    tables: Mapping[str, Mapping[str, str | None]]
    attributes: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    metrics: Mapping[str, str | None] = field(default_factory=dict)
    objects_known: bool = True

    def role_of(self, name: str) -> Role | None:
        """Returns what an object of that name is there; None: nothing, or both."""
        is_attribute, is_metric = name in self.attributes, name in self.metrics
        if is_attribute is is_metric:
            return None
        return Role.ATTRIBUTE if is_attribute else Role.METRIC

    def type_of(self, table: str, column: str, form: tuple[str, str] | None) -> DataType | None:
        """Returns the data type of a column, as far as the server tells it in a known word.

        Args:
            table: The table's name.
            column: The column's name.
            form: The attribute and the category that the column belongs to; None: the object that
                is called like the column.
        """
        told = self.tables.get(table, {}).get(column)
        if told is None and form is not None:
            told = self.attributes.get(form[0], {}).get(form[1].upper())
        elif told is None:
            role = self.role_of(column)
            if role is Role.ATTRIBUTE:
                told = self.attributes[column].get(ID)
            elif role is Role.METRIC:
                told = self.metrics[column]
        # A server has words of its own ("Real", "VarChar"), which say nothing for sure.
        return DataType.__members__.get((told or "").upper())


@dataclass(frozen=True, slots=True)
class TableDrift:
    """How a table of a source and of a dataset differ. Columns are called as in the dataset.

    Attributes:
        missing: Columns of the dataset that the source lacks.
        new: Columns of the source that the dataset lacks.
        retyped: Columns whose values the dataset's type may not take.
        reroled: Columns that the user wants to be what they are not in the dataset.
        counts: The columns of the dataset and of the source, where they were to be matched by
            their positions and are not as many.
        is_new: The dataset lacks the table.
    """

    missing: tuple[str, ...] = ()
    new: tuple[Column, ...] = ()
    retyped: tuple[tuple[Column, DataType], ...] = ()
    reroled: tuple[tuple[Column, Role], ...] = ()
    counts: tuple[int, int] | None = None
    is_new: bool = False

    def __bool__(self) -> bool:
        return bool(self.missing or self.new or self.retyped or self.reroled or self.is_new)

    def as_dict(self) -> dict[str, Any]:
        """Returns the machine-readable form."""
        return {
            "table": "new" if self.is_new else "existing",
            "missing": list(self.missing),
            "new": [column.name for column in self.new],
            "retyped": [
                {"column": column.name, "dataset": str(there), "source": str(column.data_type)}
                for column, there in self.retyped
            ],
            "reroled": [
                {"column": column.name, "dataset": str(there), "wanted": str(_other(there))}
                for column, there in self.reroled
            ],
        }


def _other(role: Role) -> Role:
    return Role.METRIC if role is Role.ATTRIBUTE else Role.ATTRIBUTE


@dataclass(frozen=True, slots=True)
class Drift:
    """How a source and a dataset differ; false where the load fits.

    Attributes:
        tables: The tables that differ.
        objects: Attributes and metrics of the mapping that the dataset lacks, in words.
        known_tables: The dataset's tables.
    """

    tables: Mapping[str, TableDrift]
    objects: tuple[str, ...]
    known_tables: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.tables or self.objects)

    def sentences(self) -> Iterator[str]:
        """Says each difference in words."""
        for name, drift in self.tables.items():
            if drift.is_new:
                known = ", ".join(map(repr, self.known_tables)) or "none"
                yield f"the dataset has no table {name!r} (it has {known})"
                continue
            if drift.counts is not None:
                there, here = drift.counts
                yield (
                    f"table {name!r} has {there} columns there and {here} in the source, too "
                    f"{'few' if here < there else 'many'} to match them by position"
                )
            for column in drift.new:
                yield f"table {name!r} has no column {column.name!r}, which the source has"
            for missing in drift.missing:
                yield f"the source has no column {missing!r}, which table {name!r} has"
            for column, data_type in drift.retyped:
                yield (
                    f"column {column.name!r} of table {name!r} is {data_type} there and "
                    f"{column.data_type} in the source"
                )
            for column, role in drift.reroled:
                yield (
                    f"column {column.name!r} of table {name!r} is {_article(role)} there, and is "
                    f"asked to be {_article(_other(role))}"
                )
        yield from self.objects

    def hints(self) -> Iterator[str]:
        """Says what would mend it, the likeliest cure first."""
        if any(drift.is_new for drift in self.tables.values()):
            yield "name tables with TABLE=PATH"
        for name, drift in self.tables.items():
            yield from _column_hints(name, drift)
        if any(drift.reroled for drift in self.tables.values()):
            yield (
                "take back what --attribute, --metric or the mapping says: an existing dataset "
                "keeps its roles"
            )
        if self.objects:
            yield "take the attribute or metric out of the mapping"
        yield "load into a new dataset with --dataset NAME, or re-create this one with --overwrite"


def _column_hints(table: str, drift: TableDrift) -> Iterator[str]:
    """A column that is missing and one that is new may be one column under two names."""
    if drift.is_new:
        return
    if len(drift.new) == len(drift.missing) and drift.new:
        column, name = drift.new[0], drift.missing[0]
        entry = column_entry(table, column.source, {"name": yaml_text(name)})
        yield f"rename columns in a mapping file (--mapping FILE), such as {entry}"
        yield "--match-columns position, where the columns are in the same order"
    elif drift.new:
        column = drift.new[0]
        entry = column_entry(table, column.source, {"drop": "true"})
        yield f"leave columns out in a mapping file (--mapping FILE): {entry}"
    types = [
        f"--type {table}.{column.source}={there}"
        for column, there in drift.retyped
        if arrow_type_for(there, column.source_type) is not None
    ]
    if types:
        yield f"{' '.join(types)} sends them as the dataset has them, where every value fits"


def _article(role: Role) -> str:
    return f"{'an' if role is Role.ATTRIBUTE else 'a'} {role}"


def fit(
    model: DatasetModel, wishes: Wishes, existing: ExistingDataset, *, by_position: bool = False
) -> tuple[DatasetModel, Drift]:
    """Returns a source's model as an existing dataset takes it, and what stands against that.

    Columns have the role of the dataset's, and its type too where that type takes all their values.
    So they differ only where the user asked for something else, or where values may not fit.
    Descriptions are not compared: no call tells them. The model that is returned has no attributes
    and metrics: the dataset keeps its own.

    Args:
        model: What the source wants to load.
        wishes: What the user says of the dataset.
        existing: The dataset.
        by_position: Columns take the names of the dataset's, in the same order; else columns of the
            same name belong together.
    """
    places = _places(model, wishes)
    tables = tuple(
        _Fitting(table, wishes, existing, places).fit(by_position=by_position)
        for table in model.tables
    )
    drift = Drift(
        tables={table.name: drift for table, drift in tables if drift},
        objects=tuple(_lacking(wishes, existing)) if existing.objects_known else (),
        known_tables=tuple(existing.tables),
    )
    fitted = replace(model, tables=tuple(table for table, _ in tables), attributes=(), metrics=())
    return fitted, drift


_Places: TypeAlias = Mapping[ColumnRef, tuple[str, str] | None]


def _places(model: DatasetModel, wishes: Wishes) -> _Places:
    """Returns the columns that the mapping puts together, with attribute and form, if it is one."""
    mapping = wishes.mapping
    if mapping is None:
        return {}
    places: dict[ColumnRef, tuple[str, str] | None] = {}
    for attribute in model.attributes:
        if attribute.name in mapping.attributes:
            for form in attribute.forms:
                places |= dict.fromkeys(form.columns, (attribute.name, form.category))
    for metric in model.metrics:
        if metric.name in mapping.metrics:
            places |= dict.fromkeys(metric.columns)
    return places


class _Fitting:
    """Fits one table."""

    def __init__(
        self, table: Table, wishes: Wishes, existing: ExistingDataset, places: _Places
    ) -> None:
        self._table = table
        self._wishes = wishes
        self._existing = existing
        self._places = places

    def fit(self, *, by_position: bool) -> tuple[Table, TableDrift]:
        """Returns the table as the dataset takes it, and what stands against it."""
        table = self._table
        there = self._existing.tables.get(table.name)
        if there is None:
            return table, TableDrift(new=table.columns, is_new=True)
        names = table.column_names
        counts = None
        if by_position and len(there) == len(names):
            names = list(there)
        elif by_position:
            counts = (len(there), len(names))
        columns: list[Column] = []
        retyped: list[tuple[Column, DataType]] = []
        reroled: list[tuple[Column, Role]] = []
        for column, name in zip(table.columns, names, strict=True):
            fitted = column
            if name in there:
                fitted, other_type, other_role = self._column(column, name)
                retyped += [(fitted, other_type)] if other_type else []
                reroled += [(fitted, other_role)] if other_role else []
            columns.append(fitted)
        return replace(table, columns=tuple(columns)), TableDrift(
            missing=tuple(name for name in there if name not in names),
            new=tuple(column for column in columns if column.name not in there),
            retyped=tuple(retyped),
            reroled=tuple(reroled),
            counts=counts,
        )

    def _column(self, column: Column, name: str) -> tuple[Column, DataType | None, Role | None]:
        """Returns a column as the dataset's, and its type and role there where they do not fit."""
        table, existing = self._table.name, self._existing
        ref = ColumnRef(table, column.name)
        column = replace(column, name=name)
        there = existing.type_of(table, name, self._places.get(ref))
        if there is not None and there is not column.data_type:
            if _fits(column, there):
                column = self._retyped(column, there)
                there = None
        else:
            there = None
        role = None if ref in self._places else existing.role_of(name)
        if role is None:
            return column, there, None
        wanted = self._wishes.said_role(table, column.source)
        if wanted is None or wanted is role:
            return replace(column, role=role), there, None
        return column, there, role

    def _retyped(self, column: Column, there: DataType) -> Column:
        said = self._wishes.said_type(self._table.name, column.source)
        arrow = arrow_type_for(there, column.source_type)
        if said is not None or column.date_format is not None or arrow is None:
            return column
        return replace(column, data_type=there, arrow_type=arrow)


def _fits(column: Column, there: DataType) -> bool:
    """Whether a type takes the values of a column as they are; a column of nulls fits any."""
    return there in _WIDER.get(column.data_type, ()) or pt.is_null(column.source_type)


# A BIGINTEGER beyond 2^53 is no double: casting finds such values, which makes them bad rows.
_WIDER: Mapping[DataType, tuple[DataType, ...]] = {
    DataType.INTEGER: (DataType.BIGINTEGER, DataType.DOUBLE, DataType.BIGDECIMAL),
    DataType.BIGINTEGER: (DataType.DOUBLE, DataType.BIGDECIMAL),
    DataType.DOUBLE: (DataType.BIGDECIMAL,),
    DataType.DATE: (DataType.DATETIME,),
}


def _lacking(wishes: Wishes, existing: ExistingDataset) -> Iterator[str]:
    """Says which attributes, forms and metrics of the mapping the dataset lacks."""
    mapping = wishes.mapping
    if mapping is None:
        return
    for name, attribute in mapping.attributes.items():
        if name not in existing.attributes:
            yield f"the dataset has no attribute {name!r}, which the mapping puts together"
            continue
        forms = existing.attributes[name]
        for category in attribute.forms:
            # Where the server tells no forms at all, nothing is known.
            if forms and category.upper() not in forms:
                yield f"the attribute {name!r} of the dataset has no form {category}"
    for name in mapping.metrics:
        if name not in existing.metrics:
            yield f"the dataset has no metric {name!r}, which the mapping puts together"
