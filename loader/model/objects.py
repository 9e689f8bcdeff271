"""Which attributes and metrics columns make: by their names, or as the mapping puts them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from loader.errors import NameRefused
from loader.model.definition import (
    ID,
    Attribute,
    Column,
    ColumnRef,
    Form,
    Metric,
    Role,
    Table,
)
from loader.model.mapping import ColumnName, Columns
from loader.model.names import LONGEST, column_entry, name_fault, yaml_text
from loader.model.types import DataType
from loader.model.wishes import AmbiguousName, SourceColumn, SourceColumns, Wishes

if TYPE_CHECKING:  # few loads have one, and YAML is slow to import
    from loader.model.mapping_file import MappingFile, Place

__all__ = ["Assembly", "assemble"]


class Member(NamedTuple):
    """Where a column belongs: a form of an attribute, or a metric (which has no form)."""

    role: Role
    object: str
    form: str | None
    place: Place


@dataclass(frozen=True, slots=True)
class Assembly:
    """The attributes and metrics that a mapping puts together, their columns looked up.

    Attributes:
        members: The columns that belong to one of them.
        forms: The categories of each attribute, ID first.
    """

    members: Mapping[SourceColumn, Member]
    forms: Mapping[str, Sequence[str]]

    def role_of(self, column: SourceColumn) -> Role | None:
        """Returns the role of a column that belongs to an attribute or metric of the mapping."""
        member = self.members.get(column)
        return member.role if member else None

    @classmethod
    def of(
        cls,
        mapping: MappingFile | None,
        columns: SourceColumns,
        selected: Mapping[SourceColumn, str] | None,
    ) -> Assembly:
        """Looks up the columns.

        Args:
            mapping: The mapping file.
            columns: All columns of the source.
            selected: The columns that ``--columns`` keeps; the others leave their forms.

        Raises:
            UsageError: A column is unknown, left out, or in two places.
        """
        if mapping is None:
            return cls({}, {})
        gathering = _Gathering(mapping, columns, selected)
        for name, attribute in mapping.attributes.items():
            gathering.attribute(name, attribute.forms)
        for name, metric in mapping.metrics.items():
            gathering.metric(name, metric.columns)
        return cls(gathering.members, gathering.forms)


class _Gathering:
    """Puts every column in its place, and refuses to put one in two."""

    def __init__(
        self,
        mapping: MappingFile,
        columns: SourceColumns,
        selected: Mapping[SourceColumn, str] | None,
    ) -> None:
        self._mapping = mapping
        self._columns = columns
        self._selected = selected
        self.members: dict[SourceColumn, Member] = {}
        self.forms: dict[str, Sequence[str]] = {}

    def check_name(self, place: Place, name: str) -> None:
        fault = name_fault(name)
        if fault is not None:
            raise self._mapping.error(place, f"the name {fault}", "write another name")

    def attribute(self, name: str, forms: Mapping[str, Columns]) -> None:
        place: Place = ("attributes", name)
        self.check_name(place, name)
        categories: dict[str, str] = {}
        for category in forms:
            known = categories.setdefault(category.upper(), category)
            if known != category:
                raise self._mapping.error(
                    (*place, "forms", category),
                    f"the attribute has a form {known} already",
                    "the API compares categories without case: keep one of them",
                )
            self.check_name((*place, "forms", category), category)
        if ID not in forms:
            raise self._mapping.error(
                (*place, "forms"),
                "the attribute has no form ID",
                "write forms: {ID: table.column, …}: the ID tells its elements apart",
            )
        # The ID form first: it is what the attribute is, the others tell of it.
        ordered = [ID, *(category for category in forms if category != ID)]
        taken = [
            category
            for category in ordered
            if self.take(
                Member(Role.ATTRIBUTE, name, category, (*place, "forms", category)), forms[category]
            )
        ]
        if taken and ID not in taken:
            raise self._mapping.error(
                (*place, "forms", ID),
                f"--columns leaves nothing of the form ID, and keeps the form {taken[0]}",
                "name a column of the form ID with --columns too",
            )
        self.forms[name] = taken

    def metric(self, name: str, columns: Columns) -> None:
        place: Place = ("metrics", name)
        self.check_name(place, name)
        if name in self._mapping.attributes:
            raise self._mapping.error(
                place, "an attribute of the mapping has that name", "write another name"
            )
        self.take(Member(Role.METRIC, name, None, (*place, "columns")), columns)

    def take(self, member: Member, written: Columns) -> bool:
        """Puts the columns of a form or metric in it; returns whether it has any."""
        items = written if isinstance(written, list) else [written]
        tables: dict[str, SourceColumn] = {}
        if not items:
            raise self._mapping.error(member.place, "it has no column", "name one: table.column")
        for index, item in enumerate(items):
            place = (*member.place, index) if isinstance(written, list) else member.place
            for column in self._named(item, place):
                other = self.members.get(column)
                if other is not None:
                    raise self._mapping.error(
                        place, f"{_shown(column)} is already {_belongs(other)}", "keep one of them"
                    )
                if column.table in tables:
                    raise self._mapping.error(
                        place,
                        f"{_shown(tables[column.table])} and {_shown(column)} are of one table",
                        "an expression has one column of a table: take one out",
                    )
                tables[column.table] = column
                self.members[column] = member._replace(place=place)
        return bool(tables)

    def _named(self, item: str | ColumnName, place: Place) -> list[SourceColumn]:
        """Returns the columns that an entry means, without those that --columns leaves out."""
        if isinstance(item, ColumnName):
            column = SourceColumn(item.table, item.column)
            found: Sequence[SourceColumn] = [column] if column in self._columns else ()
            text = f"{{table: {item.table}, column: {item.column}}}"
        else:
            text = item
            try:
                found = self._columns.named(item)
            except AmbiguousName as error:
                raise self._mapping.error(
                    place, str(error), "write {table: …, column: …}"
                ) from None
        if not found:
            raise self._mapping.error(
                place,
                f"no table has the column {text}",
                f"columns are called as in the source; {self._columns.hint()}",
            )
        kept = [column for column in found if not self._mapping.column(*column).drop]
        if not kept:
            raise self._mapping.error(
                place,
                f"the column {text} is dropped",
                f"take it out here, or drop: true at tables.{found[0].table}.columns",
            )
        return [column for column in kept if self._selected is None or column in self._selected]


def _shown(column: SourceColumn) -> str:
    return f"column {column.name!r} of table {column.table!r}"


def _belongs(member: Member) -> str:
    form = f"the form {member.form} of " if member.form else ""
    return f"in {form}the {member.role} {member.object!r}"


class _Use(NamedTuple):
    """A column of the model, and where it belongs; without a member it makes an object itself."""

    table: str
    column: Column
    member: Member | None
    description: str | None

    @property
    def object(self) -> str:
        return self.member.object if self.member else self.column.name

    @property
    def form(self) -> str | None:
        return self.member.form if self.member else ID

    @property
    def ref(self) -> ColumnRef:
        return ColumnRef(self.table, self.column.name)


def assemble(
    tables: Iterable[Table], assembly: Assembly, wishes: Wishes
) -> tuple[tuple[Attribute, ...], tuple[Metric, ...]]:
    """Returns the attributes and metrics of a model, in the order of their first columns.

    Raises:
        NameRefused: Columns of one name disagree about what they are.
        UsageError: The mapping describes one object in two ways.
    """
    objects: dict[str, list[_Use]] = {}
    for table in tables:
        for column in table.columns:
            key = SourceColumn(table.name, column.source)
            use = _Use(
                table.name,
                column,
                assembly.members.get(key),
                wishes.said_in_mapping(key).description,
            )
            objects.setdefault(use.object, []).append(use)
    attributes: list[Attribute] = []
    metrics: list[Metric] = []
    for name, uses in objects.items():
        _check_one_object(uses, wishes.mapping)
        description = _description(name, uses, wishes.mapping)
        if uses[0].column.role is Role.METRIC:
            metrics.append(Metric(name, tuple(use.ref for use in uses), description))
            continue
        categories = assembly.forms[name] if uses[0].member else (ID,)
        forms = tuple(
            Form(category, tuple(use.ref for use in uses if use.form == category))
            for category in categories
        )
        attributes.append(Attribute(name, forms, description))
    return tuple(attributes), tuple(metrics)


def _check_one_object(uses: Sequence[_Use], mapping: MappingFile | None) -> None:
    """A name is one object: its columns have one role, and those of a form one data type."""
    first = uses[0]
    for use in uses[1:]:
        if (use.member is None) != (first.member is None):
            made, by_name = (use, first) if use.member else (first, use)
            assert made.member is not None
            assert mapping is not None
            entry = column_entry(by_name.table, by_name.column.source, {"name": "another name"})
            raise mapping.error(
                made.member.place[:2],
                f"column {by_name.column.name!r} of table {by_name.table!r} makes an object of "
                "that name too",
                f"add it to the columns here, or write {entry}",
            )
    of_form: dict[str | None, _Use] = {}
    for use in uses:
        other = of_form.setdefault(use.form, use)
        if _kind(use) == _kind(other):
            continue
        here = "" if use.column.name == other.column.name else f"{use.column.name!r} "
        better = yaml_text(f"{use.column.name[:_SHOWN]} of {use.table}"[:LONGEST])
        entry = column_entry(use.table, use.column.source, {"name": better})
        raise NameRefused(
            f"column {other.column.name!r} is {_described(other.column)} in table {other.table!r} "
            f"and {here}{_described(use.column)} in {use.table!r}; "
            f"{'a form' if use.member else 'a name'} is one object",
            hint=f"make them alike with --type {use.table}.{use.column.source}="
            f"{other.column.data_type}, --attribute or --metric, or keep them apart in a mapping "
            f"file (--mapping FILE): {entry}",
            column=use.column.name,
            table=use.table,
        )


_SHOWN = 100


def _kind(use: _Use) -> tuple[Role, DataType]:
    return use.column.role, use.column.data_type


def _described(column: Column) -> str:
    article = "an" if column.role is Role.ATTRIBUTE else "a"
    return f"{article} {column.role} of type {column.data_type}"


def _description(name: str, uses: Sequence[_Use], mapping: MappingFile | None) -> str | None:
    said = {use.description: use for use in uses if use.description}
    if mapping is None:
        return None
    member = uses[0].member
    for use in said.values():
        place: Place = ("tables", use.table, "columns", use.column.source, "description")
        if member is not None:
            section = "attributes" if member.role is Role.ATTRIBUTE else "metrics"
            raise mapping.error(
                place,
                f"the column belongs to the {member.role} {name!r}, which has the description",
                f"write it at {section}.{name}.description",
            )
        if len(said) > 1:
            raise mapping.error(
                place,
                f"the {use.column.role} {name!r} is described in two ways",
                "the columns of one name are one object: describe it once",
            )
        return use.description
    if member is None:
        return None
    if member.role is Role.ATTRIBUTE:
        return mapping.attributes[name].description or None
    return mapping.metrics[name].description or None
