"""A condition that knows its columns: which rows meet it, and which row groups may have such rows.

Null follows SQL: a comparison with it is unknown, and a row is kept only where the whole condition
is true. NaN counts as null, since it is loaded as null.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from loader.layouts import decoded
from loader.model.types import storage_type
from loader.sources.where.checks import Check, Ready, typed
from loader.sources.where.syntax import mistake
from loader.sources.where.tree import All, Any, Column, Constant, Node, Test
from loader.sources.where.values import comparable

__all__ = ["Condition", "possible"]

Mask: TypeAlias = npt.NDArray[np.bool_]

_FALSE: Final = pa.scalar(value=False)


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on the rows of one table.

    Attributes:
        node: The condition, every column by its exact name.
        columns: The columns it needs.
    """

    node: Node
    columns: tuple[str, ...]
    _schema: pa.Schema
    _ready: Ready

    @classmethod
    def of(cls, node: Node, schema: pa.Schema, table: str) -> Condition:
        """Types a condition by the columns of a table.

        Raises:
            UsageError: A column is not there, or a value is none of its column's type.
        """
        node = _resolved(node, schema.names, table)
        ready = typed(node, schema)
        columns = dict.fromkeys(test.column.name for test in _tests(node))
        return cls(node, tuple(columns), schema, ready)

    def mask(self, batch: pa.RecordBatch) -> Mask:
        """Returns which rows of a batch, which has the condition's columns, meet it."""
        return _mask(self._ready, batch)

    def expression(self, schema: pa.Schema) -> tuple[pc.Expression | None, pa.Schema]:
        """Returns what the statistics of a file's row groups have to allow, and its columns.

        None: They cannot rule anything out. Columns that the file does not have are as if any row
        could meet their tests.

        Args:
            schema: The columns of the file, whose types may be narrower than the table's.
        """
        plain = pa.schema([(field.name, comparable(field.type)) for field in schema])
        told = pa.schema([field for field in schema if not self._is_other_float(field)])
        expression = _expression(typed(self.node, told, partial=True))
        if expression is True:
            return None, plain
        return (pc.scalar(False) if expression is False else expression), plain

    def _is_other_float(self, field: pa.Field) -> bool:
        """Whether a literal becomes another number in a file's column than it is in the table's."""
        kind = storage_type(field.type)
        if field.name not in self.columns or not pt.is_floating(kind):
            return False
        return not kind.equals(storage_type(self._schema.field(field.name).type))


def possible(node: Node, batch: pa.RecordBatch) -> Mask:
    """Returns which rows of a batch might meet a condition some of whose columns it lacks.

    Tests of other columns, and tests whose values are not of the type that a column has here, are
    taken as true. Names count as they are written.
    """
    return _mask(typed(node, batch.schema, partial=True), batch)


def _tests(node: Node) -> Iterator[Test]:
    if isinstance(node, All | Any):
        for part in node.parts:
            yield from _tests(part)
    elif not isinstance(node, Constant):
        yield node


def _resolved(node: Node, names: list[str], table: str) -> Node:
    if isinstance(node, All | Any):
        return replace(node, parts=tuple(_resolved(part, names, table) for part in node.parts))
    if isinstance(node, Constant):
        return node
    return replace(node, column=_found(node.column, names, table))


def _found(column: Column, names: list[str], table: str) -> Column:
    """Finds a column by its name; without quotes upper and lower case are the same, as in SQL."""
    if column.name in names:
        return replace(column, exact=True)
    alike = [name for name in names if name.lower() == column.name.lower()]
    if len(alike) == 1 and not column.exact:
        return Column(alike[0], exact=True, at=column.at)
    known = ", ".join(names[:50]) + (", …" if len(names) > 50 else "")  # noqa: PLR2004
    if alike:
        raise mistake(
            column.at,
            f"table {table!r} has no column {column.name!r}, but {' and '.join(map(repr, alike))}",
            hint='Name the one that is meant in "double quotes".',
        )
    raise mistake(
        column.at,
        f"table {table!r} has no column {column.name!r}",
        hint=f"The condition applies to every table. Columns of {table!r}: {known}.",
    )


def _mask(ready: Ready, batch: pa.RecordBatch) -> Mask:
    if isinstance(ready, bool):
        return np.full(batch.num_rows, ready)
    if isinstance(ready, Check):
        column = decoded(batch.column(ready.column))
        if ready.kind is not None and not column.type.equals(ready.kind):
            column = column.cast(ready.kind)
        found = pc.fill_null(ready.holds(column), _FALSE)
        return np.asarray(found.to_numpy(zero_copy_only=False))
    join = np.logical_and if ready.every else np.logical_or
    mask = _mask(ready.parts[0], batch)
    for part in ready.parts[1:]:
        if not mask.any() if ready.every else mask.all():
            break  # nothing can change any more
        mask = join(mask, _mask(part, batch))
    return mask


def _expression(ready: Ready) -> pc.Expression | bool:
    if isinstance(ready, bool):
        return ready
    if isinstance(ready, Check):
        return True if ready.bounds is None else ready.bounds(pc.field(ready.column))
    parts = [_expression(part) for part in ready.parts]
    if any(part is not ready.every for part in parts if isinstance(part, bool)):
        return not ready.every
    left = [part for part in parts if not isinstance(part, bool)]
    if not left:
        return ready.every
    return reduce(pc.and_kleene if ready.every else pc.or_kleene, left)
