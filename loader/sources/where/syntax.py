"""Reads the text of a condition: words, then a tree, with the place of every mistake.

condition   = conjunction { OR conjunction }
conjunction = negation { AND negation }
negation    = NOT negation | "(" condition ")" | test
test        = operand [ op operand ] | column [NOT] IN "(" literal { "," literal } ")"
| column [NOT] BETWEEN literal AND literal
| column [NOT] LIKE text [ESCAPE text] | column IS [NOT] NULL
operand     = column | literal
literal     = number | text | TRUE | FALSE | NULL | (DATE | TIME | TIMESTAMP) text
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from loader.errors import UsageError
from loader.sources.where.tree import (
    All,
    Any,
    Column,
    Compare,
    Constant,
    In,
    IsNull,
    Like,
    Literal,
    Node,
    Op,
    TypedText,
)

__all__ = ["mistake", "parse"]

_HINT: Final = (
    "A condition compares columns with values: region = 'EU' AND year >= 2024. Texts stand in "
    "'single quotes', names with spaces or of SQL's own words in \"double quotes\"."
)
_MAX_DEPTH: Final = 50
_MAX_TESTS: Final = 1_000  # Arrow nests them, and would end the process at ten times as many
_DIGITS: Final = 1_000  # of a number; nothing that a column holds has more

_WORDS: Final = frozenset(
    "AND OR NOT IN BETWEEN LIKE ESCAPE IS NULL TRUE FALSE".split()  # noqa: SIM905 - read as words
)
_TYPES: Final = frozenset({"DATE", "TIME", "TIMESTAMP"})
_TOKEN: Final = re.compile(
    r"""
      (?P<number> [+-]? (?: \d+ (?:\.\d*)? | \.\d+ ) (?: [eE][+-]?\d{1,4} )? (?![\w.]) )
    | (?P<text>   ' (?: [^'] | '' )* ' )
    | (?P<quoted> " (?: [^"] | "" )+ " )
    | (?P<word>   [^\W\d] [\w$]* )
    | (?P<sign>   <> | != | <= | >= | == | [=<>(),] )
    """,
    re.VERBOSE,
)
_OPS: Final = {**{op.value: op for op in Op}, "!=": Op.UNEQUAL, "==": Op.EQUAL}


class _Kind(enum.Enum):
    NUMBER = "a number"
    TEXT = "a text"
    NAME = "a name"
    WORD = "a word of SQL"
    SIGN = "a sign"
    END = "the end"


@dataclass(frozen=True, slots=True)
class _Token:
    kind: _Kind
    text: str  # without its quotes; words of SQL in upper case
    at: int
    quoted: bool = False


def mistake(at: int, what: str, *, hint: str = _HINT) -> UsageError:
    """Returns the error of a condition.

    Args:
        at: Where it is, from 0.
        what: What is wrong there.
        hint: What to change.
    """
    return UsageError(f"--where, at character {at + 1}: {what}", hint=hint, position=at + 1)


def parse(text: str) -> Node:
    """Reads a condition.

    Raises:
        UsageError: It is none; with the place.
    """
    return _Parser(_tokens(text)).whole()


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    while True:
        at += len(text[at:]) - len(text[at:].lstrip())
        if at == len(text):
            return [*tokens, _Token(_Kind.END, "the end", at)]
        found = _TOKEN.match(text, at)
        if found is None:
            raise mistake(at, _unknown(text[at]))
        tokens.append(_token(found))
        at = found.end()


def _unknown(character: str) -> str:
    if character in "'\"":
        return f"the quote {character} is never closed"
    return f"{character!r} is not expected"


def _token(found: re.Match[str]) -> _Token:
    text, at = found[0], found.start()
    if found["number"]:
        if len(text) > _DIGITS:
            raise mistake(at, f"the number has more than {_DIGITS} digits")
        return _Token(_Kind.NUMBER, text, at)
    if found["text"]:
        return _Token(_Kind.TEXT, text[1:-1].replace("''", "'"), at)
    if found["quoted"]:
        return _Token(_Kind.NAME, text[1:-1].replace('""', '"'), at, quoted=True)
    if found["word"]:
        if text.upper() in _WORDS:
            return _Token(_Kind.WORD, text.upper(), at)
        return _Token(_Kind.NAME, text, at)
    return _Token(_Kind.SIGN, text, at)


class _Parser:
    """Recursive descent, one method for each line of the grammar."""

    def __init__(self, tokens: Sequence[_Token]) -> None:
        self._tokens = tokens
        self._next = 0
        self._depth = 0
        self._tests = 0

    def whole(self) -> Node:
        if len(self._tokens) == 1:
            raise mistake(0, "the condition is empty")
        node = self._condition()
        if self._next < len(self._tokens) - 1:
            raise self._unexpected("AND, OR or the end")
        return node

    @property
    def _here(self) -> _Token:
        return self._tokens[self._next]

    def _took(self, *texts: str) -> bool:
        """Moves on past the words or signs if they stand here."""
        ahead = self._tokens[self._next : self._next + len(texts)]
        known = all(token.kind in {_Kind.WORD, _Kind.SIGN} for token in ahead)
        if not known or [token.text for token in ahead] != list(texts):
            return False
        self._next += len(texts)
        return True

    def _need(self, text: str) -> None:
        if not self._took(text):
            raise self._unexpected(text)

    def _take(self) -> _Token:
        token = self._here
        self._next += 1
        return token

    def _unexpected(self, wanted: str) -> UsageError:
        here = self._here
        found = "the end" if here.kind is _Kind.END else repr(here.text)
        return mistake(here.at, f"{wanted} is expected, not {found}")

    def _condition(self) -> Node:
        parts = [self._conjunction()]
        while self._took("OR"):
            parts.append(self._conjunction())
        return parts[0] if len(parts) == 1 else Any(tuple(parts))

    def _conjunction(self) -> Node:
        parts = [self._negation()]
        while self._took("AND"):
            parts.append(self._negation())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _negation(self) -> Node:
        at = self._here.at
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise mistake(at, f"the condition is nested more than {_MAX_DEPTH} deep")
        try:
            if self._took("NOT"):
                return self._negation().negated()
            if self._took("("):
                node = self._condition()
                self._need(")")
                return node
            return self._test()
        finally:
            self._depth -= 1

    def _test(self) -> Node:
        self._tests += 1
        if self._tests > _MAX_TESTS:
            raise mistake(
                self._here.at,
                f"the condition has more than {_MAX_TESTS:,} tests; x IN (…) is one, however many "
                "values it has",
            )
        left = self._operand()
        if self._here.kind is _Kind.SIGN and self._here.text in _OPS:
            return self._comparison(left)
        if isinstance(left, Column):
            return self._column_test(left)
        if left.value is None or isinstance(left.value, bool):
            return Constant(left.value)
        raise self._unexpected("a comparison")

    def _comparison(self, left: Column | Literal) -> Node:
        op = _OPS[self._take().text]
        right = self._operand()
        if isinstance(left, Column) and isinstance(right, Literal):
            return Compare(left, op, right)
        if isinstance(left, Literal) and isinstance(right, Column):
            return Compare(right, op.mirrored, left)
        both = "two columns" if isinstance(left, Column) else "two values"
        raise mistake(left.at, f"{both} are compared; one side must be a column, one a value")

    def _column_test(self, column: Column) -> Node:
        if self._took("IS", "NOT", "NULL"):
            return IsNull(column, inverse=True)
        if self._took("IS"):
            self._need("NULL")
            return IsNull(column, inverse=False)
        at = self._here.at
        inverse = self._took("NOT")
        if self._took("IN"):
            return In(column, self._list(), inverse)
        if self._took("LIKE"):
            return self._like(column, inverse=inverse)
        if self._took("BETWEEN"):
            low = self._literal()
            self._need("AND")
            between = All(
                (
                    Compare(column, Op.AT_LEAST, low),
                    Compare(column, Op.AT_MOST, self._literal()),
                )
            )
            return between.negated() if inverse else between
        if inverse:
            raise self._unexpected("IN, LIKE or BETWEEN")
        # A column alone is a test if it is of truth values; typing finds out.
        return Compare(column, Op.EQUAL, Literal(value=True, at=at))

    def _list(self) -> tuple[Literal, ...]:
        self._need("(")
        literals = [self._literal()]
        while self._took(","):
            literals.append(self._literal())
        self._need(")")
        return tuple(literals)

    def _like(self, column: Column, *, inverse: bool) -> Like:
        pattern = self._text()
        escape = None
        if self._took("ESCAPE"):
            at = self._here.at
            escape = self._text()
            if len(escape) != 1:
                raise mistake(at, "ESCAPE takes one character")
        return Like(column, pattern, escape, inverse)

    def _text(self) -> str:
        if self._here.kind is not _Kind.TEXT:
            raise self._unexpected("a text in 'single quotes'")
        return self._take().text

    def _operand(self) -> Column | Literal:
        here = self._here
        typed = here.text.upper() in _TYPES and self._tokens[self._next + 1].kind is _Kind.TEXT
        if here.kind is not _Kind.NAME or (typed and not here.quoted):
            return self._literal("a column or a value")
        self._next += 1
        return Column(here.text, here.quoted, here.at)

    def _literal(self, wanted: str = "a value") -> Literal:
        here = self._here
        if here.kind is _Kind.NUMBER:
            self._next += 1
            return Literal(Decimal(here.text), here.at)
        if here.kind is _Kind.TEXT:
            self._next += 1
            return Literal(here.text, here.at)
        for word, value in (("TRUE", True), ("FALSE", False), ("NULL", None)):
            if self._took(word):
                return Literal(value, here.at)
        if here.kind is _Kind.NAME and here.text.upper() in _TYPES and not here.quoted:
            self._next += 1
            return Literal(TypedText(here.text.upper(), self._text()), here.at)
        raise self._unexpected(wanted)
