"""Texts as JSON strings: UTF-8 checked, escaped only where a value needs it."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from loader.encode.joins import concat, constant
from loader.encode.refusal import ValueRefused

__all__ = ["escape_rows", "fill_null", "plain", "quote"]

_INVALID_UTF8 = re.compile(r"at string index (\d+)")


def plain(array: pa.Array) -> pa.Array:
    """Returns the same texts as a ``string`` array whose UTF-8 was checked.

    Arrow does not check what a Parquet file calls a string, and a body with invalid UTF-8 would be
    refused by the server long after the place is known.
    """
    if not pt.is_string(array.type):
        array = array.cast(pa.string())
    try:
        array.validate(full=True)
    except pa.ArrowInvalid as error:
        found = _INVALID_UTF8.search(str(error))
        row = int(found.group(1)) if found else 0
        raw = array.cast(pa.binary())[row].as_py()
        raise ValueRefused(row, "not valid UTF-8", raw) from error
    return array


def escape_rows(array: pa.Array) -> npt.NDArray[np.int64]:
    """Returns the rows whose text holds a character that JSON wants escaped."""
    offsets = np.frombuffer(array.buffers()[1], np.int32)[
        array.offset : array.offset + len(array) + 1
    ]
    data = array.buffers()[2]
    if data is None or not len(array):
        return np.empty(0, np.int64)
    first, last = int(offsets[0]), int(offsets[-1])
    octets = np.frombuffer(data, np.uint8)[first:last]
    special = octets < ord(" ")
    special |= octets == ord('"')
    special |= octets == ord("\\")
    if not special.any():
        return np.empty(0, np.int64)
    rows = np.searchsorted(offsets, np.flatnonzero(special) + first, side="right") - 1
    return np.unique(rows)


def quote(array: pa.Array) -> pa.Array:
    """Returns each text as a JSON string, null as null.

    Only texts with characters to escape go through orjson, one by one; all others are wrapped in
    quotes by Arrow, which gives the same bytes and leaves the interpreter free.
    """
    array = plain(array)
    quoted = concat('"', array, '"')
    rows = escape_rows(array)
    if not len(rows):
        return quoted
    mask = np.zeros(len(array), np.bool_)
    mask[rows] = True
    escaped = [orjson.dumps(text) for text in array.take(pa.array(rows)).to_pylist()]
    return pc.replace_with_mask(
        quoted, pa.array(mask), pa.array(escaped, pa.binary()).cast(pa.string())
    )


def fill_null(texts: pa.Array) -> pa.Array:
    """Returns JSON texts with every null spelt out."""
    return pc.fill_null(texts, constant("null")) if texts.null_count else texts
