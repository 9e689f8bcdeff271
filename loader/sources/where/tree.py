"""What a condition is once it is read: tests of columns, joined by AND and OR.

There is no NOT: it is pushed into the tests while the condition is read. ``NOT a < 5`` is
``a >= 5``, and ``NOT (a AND b)`` is ``NOT a OR NOT b``. Both hold in SQL's logic of true, false and
unknown (null). What is left only asks where tests are true, and there *unknown* may be taken as
false from the beginning: AND and OR of two values are enough.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeAlias

__all__ = [
    "All",
    "Any",
    "Column",
    "Compare",
    "Constant",
    "In",
    "IsNull",
    "Like",
    "Literal",
    "Node",
    "Op",
    "Test",
    "TypedText",
]


class Op(enum.StrEnum):
    """A comparison."""

    EQUAL = "="
    UNEQUAL = "<>"
    LESS = "<"
    AT_MOST = "<="
    GREATER = ">"
    AT_LEAST = ">="

    @property
    def negated(self) -> Op:
        """True where this one is false."""
        return _NEGATED[self]

    @property
    def mirrored(self) -> Op:
        """The same comparison with its sides exchanged."""
        return _MIRRORED.get(self, self)


_NEGATED = {
    Op.EQUAL: Op.UNEQUAL,
    Op.UNEQUAL: Op.EQUAL,
    Op.LESS: Op.AT_LEAST,
    Op.AT_LEAST: Op.LESS,
    Op.GREATER: Op.AT_MOST,
    Op.AT_MOST: Op.GREATER,
}
_MIRRORED = {
    Op.LESS: Op.GREATER,
    Op.GREATER: Op.LESS,
    Op.AT_MOST: Op.AT_LEAST,
    Op.AT_LEAST: Op.AT_MOST,
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column as the condition names it.

    Attributes:
        name: Its name.
        exact: Whether upper and lower case count, as they do in quotes.
        at: Where it stands in the text, from 0.
    """

    name: str
    exact: bool
    at: int


@dataclass(frozen=True, slots=True)
class TypedText:
    """``DATE '…'``, ``TIME '…'`` or ``TIMESTAMP '…'``."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Literal:
    """A value as the condition has it, whatever column it will meet; None is NULL."""

    value: Decimal | str | bool | TypedText | None
    at: int


@dataclass(frozen=True, slots=True)
class Compare:
    """``column op literal``."""

    column: Column
    op: Op
    literal: Literal

    def negated(self) -> Compare:
        """True where this one is false."""
        return replace(self, op=self.op.negated)


@dataclass(frozen=True, slots=True)
class In:
    """``column [NOT] IN (literals)``."""

    column: Column
    literals: tuple[Literal, ...]
    inverse: bool

    def negated(self) -> In:
        """True where this one is false."""
        return replace(self, inverse=not self.inverse)


@dataclass(frozen=True, slots=True)
class Like:
    """``column [NOT] LIKE pattern [ESCAPE character]``."""

    column: Column
    pattern: str
    escape: str | None
    inverse: bool

    def negated(self) -> Like:
        """True where this one is false."""
        return replace(self, inverse=not self.inverse)


@dataclass(frozen=True, slots=True)
class IsNull:
    """``column IS [NOT] NULL``."""

    column: Column
    inverse: bool

    def negated(self) -> IsNull:
        """True where this one is false."""
        return replace(self, inverse=not self.inverse)


@dataclass(frozen=True, slots=True)
class Constant:
    """``TRUE``, ``FALSE`` or ``NULL`` in the place of a test."""

    value: bool | None

    def negated(self) -> Constant:
        """True where this one is false."""
        return self if self.value is None else Constant(not self.value)


@dataclass(frozen=True, slots=True)
class All:
    """AND."""

    parts: tuple[Node, ...]

    def negated(self) -> Any:
        """True where this one is false."""
        return Any(tuple(part.negated() for part in self.parts))


@dataclass(frozen=True, slots=True)
class Any:
    """OR."""

    parts: tuple[Node, ...]

    def negated(self) -> All:
        """True where this one is false."""
        return All(tuple(part.negated() for part in self.parts))


Test: TypeAlias = Compare | In | Like | IsNull
Node: TypeAlias = All | Any | Constant | Test
