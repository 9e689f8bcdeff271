"""The tests of a condition made ready for the types of their columns."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any as Anything
from typing import Final, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from loader.errors import UsageError
from loader.model.types import is_text, storage_type
from loader.sources.where.syntax import mistake
from loader.sources.where.tree import (
    All,
    Any,
    Compare,
    Constant,
    In,
    IsNull,
    Like,
    Node,
    Op,
    Test,
)
from loader.sources.where.values import comparable, grid_of, value_of

__all__ = ["Check", "Join", "Ready", "typed"]

_COMPARE: Final[dict[Op, Callable[[Anything, Anything], Anything]]] = {
    Op.EQUAL: pc.equal,
    Op.UNEQUAL: pc.not_equal,
    Op.LESS: pc.less,
    Op.AT_MOST: pc.less_equal,
    Op.GREATER: pc.greater,
    Op.AT_LEAST: pc.greater_equal,
}
# Longer lists are given to the statistics as the range from their least to their greatest value.
_FEW: Final = 100


@dataclass(frozen=True, slots=True)
class Check:
    """A test of one column, ready to run.

    Attributes:
        column: The name of the column.
        kind: The type its values are cast to first; None leaves them as they are.
        holds: From a column to where the test is true; null is as good as false.
        bounds: The same for an expression over a row group's statistics; None where these cannot
            tell.
    """

    column: str
    kind: pa.DataType | None
    holds: Callable[[Anything], Anything]
    bounds: Callable[[Anything], Anything] | None


@dataclass(frozen=True, slots=True)
class Join:
    """AND or OR of several."""

    every: bool
    parts: tuple[Ready, ...]


Ready: TypeAlias = Check | Join | bool


def typed(node: Node, schema: pa.Schema, *, partial: bool = False) -> Ready:
    """Types a condition by the columns of a schema.

    Args:
        node: The condition, every column by its exact name.
        schema: The columns.
        partial: Tests of columns that are not there, or whose values are not of the type that a
            column has here, are taken as true.

    Raises:
        UsageError: A value is none of its column's type.
    """
    if isinstance(node, Constant):
        return node.value is True
    if isinstance(node, All | Any):
        parts = [typed(part, schema, partial=partial) for part in node.parts]
        return _joined(isinstance(node, All), parts)
    if partial and node.column.name not in schema.names:
        return True
    kind = schema.field(node.column.name).type
    try:
        return _check(node, kind)
    except UsageError:
        if partial:
            return True
        raise


def _check(test: Test, kind: pa.DataType) -> Ready:
    if isinstance(test, IsNull):
        return _null_check(test, kind)
    if isinstance(test, Like):
        return _like_check(test, kind)
    if isinstance(test, In):
        return _in_check(test, kind)
    return _compare_check(test, kind)


def _null_check(test: IsNull, original: pa.DataType) -> Check:
    name = test.column.name
    floating = pt.is_floating(storage_type(original))
    if test.inverse:
        return Check(
            name,
            None,
            lambda column: pc.invert(pc.is_null(column, nan_is_null=floating)),
            pc.is_valid if _has_bounds(original) else None,
        )
    return Check(
        name,
        None,
        lambda column: pc.is_null(column, nan_is_null=floating),
        # Statistics count nulls, but not NaN.
        pc.is_null if _has_bounds(original) and not floating else None,
    )


def _has_bounds(kind: pa.DataType) -> bool:
    """Whether Parquet's statistics, as pyarrow reads them, can be trusted for a type."""
    if isinstance(kind, pa.BaseExtensionType):
        return False
    kind = kind.value_type if pt.is_dictionary(kind) else kind
    return bool(
        pt.is_integer(kind)
        or pt.is_float32(kind)
        or pt.is_float64(kind)
        or pt.is_decimal(kind)
        or pt.is_boolean(kind)
        or pt.is_date32(kind)
        or pt.is_timestamp(kind)
        or pt.is_time(kind)
        or is_text(kind)
    )


def _compare_check(test: Compare, original: pa.DataType) -> Ready:
    if test.literal.value is None or pt.is_null(original):
        return False
    value = value_of(test.column, test.literal, original)
    return _comparison(test.column.name, test.op, value, original)


def _comparison(name: str, op: Op, value: Anything, original: pa.DataType) -> Ready:
    kind = comparable(original)
    grid = grid_of(kind)
    if grid is None:
        scalar = pa.scalar(value, kind)
    else:
        placed = grid.place(op, value)
        if placed is False:
            return False
        if placed is True:
            return Check(name, None, pc.is_valid, pc.is_valid if _has_bounds(original) else None)
        op, scalar = placed[0], grid.scalar(placed[1])
    compare = _COMPARE[op]

    def holds(column: Anything) -> Anything:
        return compare(column, scalar)

    def and_no_nan(column: Anything) -> Anything:
        return pc.and_(compare(column, scalar), pc.invert(pc.is_nan(column)))

    # A NaN is unequal to everything, but here it is null.
    nan = op is Op.UNEQUAL and pt.is_floating(kind)
    return Check(name, kind, and_no_nan if nan else holds, holds if _has_bounds(original) else None)


def _in_check(test: In, original: pa.DataType) -> Ready:
    name = test.column.name
    given = [literal for literal in test.literals if literal.value is not None]
    if pt.is_null(original) or (test.inverse and len(given) < len(test.literals)):
        return False  # NOT IN (…, NULL) is never true
    values = [value_of(test.column, literal, original) for literal in given]
    kind = comparable(original)
    if pt.is_floating(kind):  # hashing would tell 0.0 from -0.0
        op = Op.UNEQUAL if test.inverse else Op.EQUAL
        return _joined(test.inverse, [_comparison(name, op, value, original) for value in values])
    scalars = [scalar for value in values if (scalar := _scalar(value, kind)) is not None]
    listed = pa.array(scalars, kind)
    lookup = pc.SetLookupOptions(listed)
    bounded = _has_bounds(original) and not test.inverse

    def holds(column: Anything) -> Anything:
        found = pc.is_in(column, options=lookup)
        return pc.and_(pc.invert(found), pc.is_valid(column)) if test.inverse else found

    def one_of_few(column: Anything) -> Anything:
        return reduce(pc.or_kleene, [pc.equal(column, scalar) for scalar in scalars])

    def within(column: Anything) -> Anything:
        least, most = pc.min_max(listed).values()
        return pc.and_kleene(pc.greater_equal(column, least), pc.less_equal(column, most))

    if not scalars:
        return Check(name, None, pc.is_valid, None) if test.inverse else False
    bounds = one_of_few if len(scalars) <= _FEW else within
    return Check(name, kind, holds, bounds if bounded else None)


def _scalar(value: Anything, kind: pa.DataType) -> pa.Scalar | None:
    """Returns a value as one of the type; None where the type has no such value."""
    grid = grid_of(kind)
    if grid is None:
        return pa.scalar(value, kind)
    placed = grid.place(Op.EQUAL, value)
    return None if isinstance(placed, bool) else grid.scalar(placed[1])


def _like_check(test: Like, original: pa.DataType) -> Ready:
    name = test.column.name
    if pt.is_null(original):
        return False
    kind = comparable(original)
    if not is_text(kind):
        raise mistake(
            test.column.at,
            f"column {name!r} is {storage_type(original)}, and LIKE is for texts",
            hint="Compare it with a value, or test it with IS [NOT] NULL.",
        )
    # pyarrow's own LIKE always has the escape character \\, which SQL's has only if it says so.
    options = pc.MatchSubstringOptions(_regex(test))

    def holds(column: Anything) -> Anything:
        found = pc.match_substring_regex(column, options=options)
        return pc.invert(found) if test.inverse else found

    return Check(name, kind, holds, None)


def _regex(test: Like) -> str:
    """Returns a LIKE pattern as a regular expression of RE2."""
    parts = []
    characters = iter(test.pattern)
    for character in characters:
        if character == test.escape:
            escaped = next(characters, None)
            if escaped is None:
                raise mistake(test.column.at, "the LIKE pattern ends with its escape character")
            parts.append(re.escape(escaped))
        else:
            parts.append({"%": ".*", "_": "."}.get(character) or re.escape(character))
    return rf"(?s)\A{''.join(parts)}\z"


def _joined(every: bool, parts: list[Ready]) -> Ready:  # noqa: FBT001 - as in Join
    if (not every) in parts:
        return not every
    left = tuple(part for part in parts if not isinstance(part, bool))
    return Join(every, left) if left else every
