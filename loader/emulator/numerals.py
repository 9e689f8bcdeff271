"""Reads the values of INTEGER, BIGINTEGER, DOUBLE and BIGDECIMAL columns, exactly."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loader.emulator.kinds import Kind, Misfit, all_match

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BigDecimal", "Double", "Integer"]

# Constants as Arrow scalars: made once, not at every call of a kernel.
_ZERO = pa.scalar(0, pa.int32())
_ONE = pa.scalar(1, pa.int32())

# Digits that a SQL decimal can hold.
_MAX_DIGITS = 38
# Digits that 64 bits can hold.
_NARROW_DIGITS = 18

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")

_PLAIN = r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?$"
_TEXTS = msgspec.json.Decoder(list[str | None])

# An exponent of more digits than this would ask for texts and integers beyond any use.
_EXPONENT_DIGITS = 4


class Integer(Kind):
    """``int32`` or ``int64``."""

    element = int | None

    def __init__(self, bits: int) -> None:
        self.type = {32: pa.int32(), 64: pa.int64()}[bits]
        self._bits = bits

    def other(self, token: bytes) -> Any:
        """Takes numbers whose fraction is zero."""
        # A frame with a missing integer holds floats: its library writes 7 as 7.0.
        if _NUMBER.fullmatch(token.decode()) is None:
            raise Misfit(0, token)
        plain = _plain(token.decode())
        whole, _, fraction = plain.partition(".")
        if fraction.strip("0"):
            raise Misfit(0, token, "it is no whole number")
        if "e" in whole.lower() or len(whole) > _MAX_DIGITS or not self._holds(int(whole)):
            raise Misfit(0, token, self._range)
        return int(whole)

    def arrow(self, values: Sequence[Any]) -> pa.Array:
        """Refuses what needs more bits."""
        try:
            return pa.array(values, self.type)
        except (OverflowError, pa.ArrowInvalid):
            for index, value in enumerate(values):
                if value is not None and not self._holds(value):
                    raise Misfit(index, value, self._range) from None
            raise

    def _holds(self, value: int) -> bool:
        limit: int = 1 << (self._bits - 1)
        return -limit <= value < limit

    @property
    def _range(self) -> str:
        return f"it needs more than {self._bits} bits"


class Double(Kind):
    """``float64``: the double nearest to the number's text."""

    element = float | None
    type = pa.float64()

    def other(self, token: bytes) -> Any:
        """Says why the value is no double."""
        if _NUMBER.fullmatch(token.decode()):
            raise Misfit(0, token, "beyond the range of 64-bit floating point")
        raise Misfit(0, token)


class BigDecimal(Kind):
    """Decimal numbers, exact: JSON numbers, or their text in a JSON string.

    The result is ``decimal64(digits, scale)`` or ``decimal128``, as narrow as the values allow, or,
    where 38 digits do not hold them all, ``string`` with the texts as they came.
    """

    element = msgspec.Raw

    def __init__(self) -> None:
        self._digits = 0
        self._scale = 0

    def arrow(self, values: Sequence[Any]) -> pa.Array:
        """Returns the numbers' texts."""
        if not values:
            return pa.array([], pa.string())
        # Raw values are views of the JSON text: joined, they are the data of an Arrow array but for
        # the separators, and only an array or object can hold a bare line feed.
        joined = b"\n".join(values)
        data = np.frombuffer(joined, np.uint8)
        separator = data == ord("\n")
        ends = np.flatnonzero(separator)
        if len(ends) != len(values) - 1 or b"e" in joined or b"E" in joined:
            return self._odd(values)
        starts = np.concatenate(([0], ends + 1))
        first = data[starts]
        nulls = first == ord("n")
        # The decoder has checked the tokens: what begins like a number is one, and plain without
        # "e".
        if not np.all(nulls | (first == ord("-")) | ((first >= ord("0")) & (first <= ord("9")))):
            return self._odd(values)
        offsets = np.empty(len(values) + 1, np.int32)
        offsets[:-1] = starts - np.arange(len(starts))
        offsets[-1] = len(data) - len(ends)
        valid = np.packbits(~nulls, bitorder="little") if nulls.any() else None
        return pa.StringArray.from_buffers(
            len(values),
            pa.py_buffer(offsets),
            pa.py_buffer(data[~separator]),
            None if valid is None else pa.py_buffer(valid),
        )

    def _odd(self, values: Sequence[Any]) -> pa.Array:
        """Takes texts, exponents and what is no number at all."""
        try:
            texts = pa.array(_TEXTS.decode(b"[" + b",".join(values) + b"]"), pa.string())
            if all_match(texts, _PLAIN):
                return texts
        except msgspec.ValidationError:
            pass
        numbers: list[str | None] = []
        for index, value in enumerate(values):
            token = bytes(value)
            try:
                numbers.append(None if token == b"null" else _number(token.decode()))
            except Misfit as misfit:
                misfit.index = index
                raise
            if "e" in (numbers[-1] or "").lower():
                self._digits = _MAX_DIGITS + 1  # an exponent too large to write the number out
        return pa.array(numbers, pa.string())

    def settle(self, array: pa.Array) -> pa.Array:
        """Counts the digits that the numbers need."""
        digits, scale = _bounds(array)
        if digits + scale > _MAX_DIGITS:
            digits, scale = _exact_bounds(array)
        self._digits = max(self._digits, digits)
        self._scale = max(self._scale, scale)
        return array

    def unify(self, parts: list[pa.Array]) -> pa.ChunkedArray:
        """Returns decimals if 38 digits are enough."""
        needed = max(self._digits + self._scale, 1)
        if needed > _MAX_DIGITS:
            return pa.chunked_array(parts, pa.string())
        narrow = needed <= _NARROW_DIGITS  # half the memory, and nearly always enough
        exact = (pa.decimal64 if narrow else pa.decimal128)(needed, self._scale)
        for index, part in enumerate(parts):
            parts[index] = pc.cast(part, exact)  # in place: text and numbers never exist in full
        return pa.chunked_array(parts, exact)


def _number(token: str) -> str:
    """Returns the number that a JSON token is or, as a string, holds; plain if it can be."""
    text: str = msgspec.json.decode(token) if token.startswith('"') else token
    if _NUMBER.fullmatch(text) is None:
        raise Misfit(0, token.encode())
    return _plain(text)


def _plain(number: str) -> str:
    """Returns the number without its exponent, or as it is when that would be endless."""
    mantissa, _, exponent = number.lower().partition("e")
    if not exponent:
        return number
    if not mantissa.strip("-0."):
        return "0"
    if len(exponent.lstrip("+-0")) > _EXPONENT_DIGITS:
        return number
    return format(Decimal(number), "f")


def _bounds(array: pa.Array) -> tuple[int, int]:
    """Returns the most digits before and after the point of plain numbers; 0.5 has one before."""
    if array.null_count == len(array):
        return 0, 0
    length = pc.binary_length(array)
    point = pc.find_substring(array, ".")
    none = pc.less(point, _ZERO)
    whole = pc.if_else(none, length, point)
    fraction = pc.if_else(none, _ZERO, pc.subtract(pc.subtract(length, point), _ONE))
    sign = pc.starts_with(array, "-").cast(pa.int32())
    return pc.max(pc.subtract(whole, sign)).as_py(), pc.max(fraction).as_py()


def _exact_bounds(array: pa.Array) -> tuple[int, int]:
    """The same without zeros in front; slow."""
    digits = scale = 0
    for number in array.drop_null().to_pylist():
        whole, _, fraction = number.lstrip("-").partition(".")
        digits = max(digits, len(whole.lstrip("0")))
        scale = max(scale, len(fraction))
    return digits, scale
