"""Numbers as JSON texts: shortest floats, exact decimals, never one through the other."""

from __future__ import annotations

import decimal
import re

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from loader.encode.refusal import ValueRefused
from loader.encode.strings import plain

__all__ = ["decimals", "floats", "integers", "numeric_texts", "numpy_json"]

# What JSON calls a number (RFC 8259, section 6). Arrow's engine is RE2: no backtracking.
_JSON_NUMBER = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
_PLAIN_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?")


def numpy_json(array: pa.Array) -> memoryview:
    """Returns the values of a null-free integer or float array, joined by commas.

    Infinities and NaN come out as null. Half floats are not for this function: orjson widens them.
    """
    text = orjson.dumps(array.to_numpy(zero_copy_only=False), option=orjson.OPT_SERIALIZE_NUMPY)
    return memoryview(text)[1:-1]


def integers(array: pa.Array) -> pa.Array:
    """Returns integers as JSON texts, null as null."""
    return array.cast(pa.string())


def floats(array: pa.Array) -> pa.Array:
    """Returns floats as the shortest texts that read back the same, of their own width.

    NaN, infinities and nulls come out as the text ``null``.
    """
    if not len(array):
        return pa.array([], pa.string())
    if pt.is_float16(array.type):
        return _half_floats(array)
    if array.null_count:
        array = pc.fill_null(array, float("nan"))
    joined = pa.array([bytes(numpy_json(array))], pa.binary()).cast(pa.string())
    return pc.split_pattern(joined, ",").flatten()


def _half_floats(array: pa.Array) -> pa.Array:
    """Returns half floats by their own shortest digits: as a float32, 0.1 would be 0.099975586."""
    halves = pc.fill_null(array.cast(pa.float32()), float("nan")).to_numpy(zero_copy_only=False)
    shortest = [float(np.format_float_scientific(half)) for half in halves.astype(np.float16)]
    return floats(pa.array(shortest, pa.float64()))


def decimals(array: pa.Array) -> pa.Array:
    """Returns decimals as positional numbers with all their digits, null as null."""
    if not (pt.is_decimal128(array.type) or pt.is_decimal256(array.type)):
        array = array.cast(pa.decimal128(array.type.precision, array.type.scale))
    texts = array.cast(pa.string())
    # Arrow writes exponents below 1e-6 and for negative scales only; most columns cannot have one.
    if 0 <= array.type.scale <= 6:  # noqa: PLR2004 - Arrow's own limit
        return texts
    exponential = pc.fill_null(pc.match_substring(texts, "E"), False)
    if not pc.any(exponential).as_py():
        return texts
    written = texts.filter(exponential).to_pylist()
    return pc.replace_with_mask(
        texts, exponential, pa.array([_positional(text) for text in written], pa.string())
    )


def _positional(text: str) -> str:
    return format(decimal.Decimal(text), "f")


def numeric_texts(array: pa.Array) -> pa.Array:
    """Returns texts that hold numbers as JSON numbers with the same digits, null as null.

    For text columns that are sent as BIGDECIMAL. Spellings JSON does not have (``+1``, ``.5``,
    ``007``, surrounding spaces) are respelt without touching a digit.

    Raises:
        ValueRefused: A text is not a number.
    """
    array = plain(array)
    good = pc.fill_null(pc.match_substring_regex(array, _JSON_NUMBER), True)
    if pc.all(good).as_py():
        return array
    bad = pc.invert(good)
    rows = np.flatnonzero(bad.to_numpy(zero_copy_only=False)).tolist()
    odd = array.filter(bad).to_pylist()
    respelt = [_respell(text) for text in odd]
    refused = {row: text for row, text, new in zip(rows, odd, respelt, strict=True) if new is None}
    if refused:
        (first, value), *others = refused.items()
        raise ValueRefused(first, "not a number", value, others=dict(others))
    return pc.replace_with_mask(array, bad, pa.array(respelt, pa.string()))


def _respell(text: str) -> str | None:
    """Returns a number as JSON writes it; None where a text is none."""
    stripped = text.strip()
    if not _PLAIN_NUMBER.fullmatch(stripped) or not stripped.isascii():
        return None
    return _positional(stripped)
