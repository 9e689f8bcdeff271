"""Literals as values of the columns they meet, exactly: no decimal ever becomes a float.

Every type whose values lie on a grid is compared in whole steps of it: a decimal in units of its
last digit, a date in days, a timestamp in its unit. A literal is a fraction of such steps. One that
lies between two of them, or beyond the first or last, still has an exact answer.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

import pyarrow as pa
import pyarrow.types as pt

from loader.errors import UsageError
from loader.model.types import is_text, storage_type
from loader.sources.where.syntax import mistake
from loader.sources.where.tree import Column, Literal, Op, TypedText

__all__ = ["Grid", "comparable", "grid_of", "value_of"]

_DATE: Final = r"(\d{4})-(\d\d)-(\d\d)"
_TIME: Final = r"(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?"
_MOMENT: Final = re.compile(rf"{_DATE}(?:[ T]{_TIME} ?(Z|[+-]\d\d(?::?\d\d)?)?)?", re.ASCII)
_TIME_OF_DAY: Final = re.compile(_TIME, re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?(\d{1,99}(\.\d{0,99})?|\.\d{1,99})([eE][+-]?\d{1,3})?", re.ASCII)
_EPOCH: Final = dt.date(1970, 1, 1).toordinal()
_A_DAY: Final = 86_400
_STEPS: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def comparable(kind: pa.DataType) -> pa.DataType:
    """Returns the type in which the values of a column are compared.

    It is the column's own, but for layouts that pyarrow's kernels do not take.
    """
    kind = storage_type(kind)
    if isinstance(kind, pa.UuidType):
        return kind.storage_type
    if is_text(kind):
        return pa.string()
    if pt.is_float16(kind):
        return pa.float32()
    return pa.int64() if pt.is_duration(kind) else kind


@dataclass(frozen=True, slots=True)
class Grid:
    """A type whose values are whole numbers of steps.

    Attributes:
        kind: The type.
        low: Its lowest value, in steps.
        high: Its highest.
    """

    kind: pa.DataType
    low: int
    high: int

    def scalar(self, steps: int) -> pa.Scalar:
        """Returns a value of the type."""
        kind = self.kind
        if pt.is_integer(kind):
            return pa.scalar(steps, kind)
        if pt.is_decimal(kind):
            digits = tuple(map(int, str(abs(steps))))
            return pa.scalar(Decimal((int(steps < 0), digits, -kind.scale)), kind)
        if pt.is_date(kind):
            return pa.scalar(steps, pa.int32()).cast(pa.date32()).cast(kind)
        return pa.scalar(steps, pa.int32() if kind.bit_width == 32 else pa.int64()).cast(kind)  # noqa: PLR2004

    def place(self, op: Op, steps: Fraction) -> tuple[Op, int] | bool:
        """Returns a comparison with a value of the type that says the same as one with a fraction.

        Or, where that holds for every value or none: True or False.
        """
        if steps.denominator != 1:
            if op in {Op.EQUAL, Op.UNEQUAL}:
                return op is Op.UNEQUAL
            below = steps.numerator // steps.denominator
            op, steps = (
                (Op.AT_MOST, Fraction(below))
                if op in {Op.LESS, Op.AT_MOST}
                else (Op.AT_LEAST, Fraction(below + 1))
            )
        if steps < self.low:
            return op in {Op.UNEQUAL, Op.GREATER, Op.AT_LEAST}
        if steps > self.high:
            return op in {Op.UNEQUAL, Op.LESS, Op.AT_MOST}
        return op, steps.numerator


def grid_of(kind: pa.DataType) -> Grid | None:
    """Returns the grid of a comparable type; None for floats, texts and whatever has none."""
    if pt.is_integer(kind):
        if pt.is_unsigned_integer(kind):
            return Grid(kind, 0, 2**kind.bit_width - 1)
        return _signed(kind, kind.bit_width)
    if pt.is_decimal(kind):
        return Grid(kind, -(10**kind.precision) + 1, 10**kind.precision - 1)
    if pt.is_date(kind):
        return _signed(kind, 32)
    if pt.is_timestamp(kind) or pt.is_time(kind):
        return _signed(kind, kind.bit_width)
    return None


def _signed(kind: pa.DataType, bits: int) -> Grid:
    return Grid(kind, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def value_of(column: Column, literal: Literal, kind: pa.DataType) -> Any:
    """Returns a literal as a value of the column's type.

    Args:
        column: The column, for messages.
        literal: Not NULL.
        kind: The type of the column, as its source has it.

    Returns:
        A ``Fraction`` of steps where the type has a grid, otherwise what ``pa.scalar`` takes for
        the ``comparable`` type.

    Raises:
        UsageError: It is no value of the type.
    """
    return _Meeting(column, literal, kind).value()


@dataclass(frozen=True, slots=True)
class _Meeting:
    """A literal that meets a column."""

    column: Column
    literal: Literal
    original: pa.DataType

    def value(self) -> Any:
        kind = storage_type(self.original)
        value = self.literal.value
        if pt.is_integer(kind) or pt.is_duration(kind):
            return Fraction(self._number())
        if pt.is_decimal(kind):
            return Fraction(self._number()) * 10**kind.scale
        if pt.is_floating(kind):
            return float(self._number())
        if pt.is_boolean(kind) and isinstance(value, bool):
            return value
        if is_text(kind) and isinstance(value, str):
            return value
        if isinstance(kind, pa.UuidType) and isinstance(value, str):
            return self._uuid(value)
        return self._calendar(kind)

    def _calendar(self, kind: pa.DataType) -> Fraction:
        value = self.literal.value
        text, named = (value.text, value.kind) if isinstance(value, TypedText) else (value, None)
        if isinstance(text, str):
            text = text.strip()
            if pt.is_time(kind) and named in {None, "TIME"}:
                return self._time(text) * _STEPS[kind.unit]
            if pt.is_date(kind) and named in {None, "DATE", "TIMESTAMP"}:
                return self._moment(text, named, zone=False) / _A_DAY
            if pt.is_timestamp(kind) and named in {None, "DATE", "TIMESTAMP"}:
                return self._moment(text, named, zone=kind.tz is not None) * _STEPS[kind.unit]
        raise self._misfit()

    def _number(self) -> Decimal:
        value = self.literal.value
        if isinstance(value, Decimal):
            return value
        if isinstance(value, str) and _NUMBER.fullmatch(value):
            return Decimal(value)
        raise self._misfit()

    def _uuid(self, text: str) -> bytes:
        try:
            return uuid.UUID(text).bytes
        except ValueError:
            raise self._malformed(text, "a uuid") from None

    def _time(self, text: str) -> Fraction:
        """Returns the seconds since midnight."""
        found = _TIME_OF_DAY.fullmatch(text)
        if found is None:
            raise self._malformed(text, "a time of day: HH:MM:SS")
        return self._seconds(text, found.groups())

    def _seconds(self, text: str, groups: Sequence[str | None]) -> Fraction:
        hours, minutes, seconds, fraction = groups
        try:
            time = dt.time(int(hours or 0), int(minutes or 0), int(seconds or 0))
        except ValueError as error:
            raise self._malformed(text, f"a time of day: {error}") from None
        whole = (time.hour * 60 + time.minute) * 60 + time.second
        return Fraction(whole) + Fraction(f"0.{fraction or 0}")

    def _moment(self, text: str, named: str | None, *, zone: bool) -> Fraction:
        """Returns the seconds since 1970; a text without a zone is in UTC."""
        found = _MOMENT.fullmatch(text)
        if found is None or (named == "DATE" and found[4]):
            form = "" if named == "DATE" else " HH:MM:SS"
            raise self._malformed(text, f"of the form YYYY-MM-DD{form}")
        try:
            days = dt.date(int(found[1]), int(found[2]), int(found[3])).toordinal() - _EPOCH
        except ValueError as error:
            raise self._malformed(text, f"a date: {error}") from None
        moment = Fraction(days * _A_DAY)
        if found[4]:
            moment += self._seconds(text, found.groups()[3:7])
        if offset := found[8]:
            if not zone:
                raise mistake(
                    self.literal.at,
                    f"{text!r} has a time zone, but column {self.column.name!r} has none",
                    hint="Leave the zone out.",
                )
            if offset != "Z":
                hours, minutes = int(offset[1:3]), int(offset[3:].strip(":") or 0)
                moment += (60 * hours + minutes) * (60 if offset[0] == "-" else -60)
        return moment

    def _malformed(self, text: str, what: str) -> UsageError:
        return mistake(
            self.literal.at,
            f"{text!r} is not {what}",
            hint=f"Column {self.column.name!r} can only be compared with such a value.",
        )

    def _misfit(self) -> UsageError:
        value = self.literal.value
        if isinstance(value, TypedText):
            shown = f"{value.kind} {value.text!r}"
        elif isinstance(value, bool):
            shown = str(value).upper()
        else:
            shown = str(value) if isinstance(value, Decimal) else repr(value)
        # The values' own type: how a source keeps them is no concern of a condition.
        kind = storage_type(self.original)
        return mistake(
            self.literal.at,
            f"column {self.column.name!r} is {kind} and cannot be compared with {shown}",
            hint=_HINTS.get(_family(kind), "Such a column can only be tested with IS [NOT] NULL."),
        )


def _family(kind: pa.DataType) -> str | None:
    kind = storage_type(kind)
    if is_text(kind) or isinstance(kind, pa.UuidType):
        return "text"
    if pt.is_integer(kind) or pt.is_floating(kind) or pt.is_decimal(kind) or pt.is_duration(kind):
        return "number"
    if pt.is_boolean(kind):
        return "bool"
    if pt.is_date(kind) or pt.is_timestamp(kind):
        return "date"
    return "time" if pt.is_time(kind) else None


_HINTS: Final[dict[str | None, str]] = {
    "text": "Write the value as a text in 'single quotes'.",
    "number": "Write a number, without quotes.",
    "bool": "Write TRUE or FALSE.",
    "date": "Write a text such as '2024-12-31' or '2024-12-31 23:59:59'.",
    "time": "Write a text such as '23:59:59'.",
}
