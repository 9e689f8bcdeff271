"""Lists, structs, maps and unions as JSON text, built from the texts of their children."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from loader.encode.joins import concat, constant
from loader.encode.strings import fill_null

__all__ = ["is_nested", "nested"]

Texts = Callable[[pa.Array], pa.Array]
"""Encodes an array into JSON texts, null spelt out as ``null``."""


def is_nested(arrow: pa.DataType) -> bool:
    """Whether values of a type are built from values of other types."""
    return bool(pt.is_nested(arrow))


def nested(array: pa.Array, texts: Texts) -> pa.Array:
    """Returns each value as JSON (an array or an object), null as null."""
    arrow = array.type
    if pt.is_struct(arrow):
        return _with_nulls_of(array, _struct(array, texts))
    if pt.is_map(arrow):
        return _with_nulls_of(array, _map(array, texts))
    if pt.is_union(arrow):
        return _union(array, texts)
    return _with_nulls_of(array, _list(array, texts))


def _with_nulls_of(array: pa.Array, texts: pa.Array) -> pa.Array:
    if not array.null_count:
        return texts
    return pc.if_else(array.is_valid(), texts, pa.scalar(None, pa.string()))


def _list(array: pa.Array, texts: Texts) -> pa.Array:
    # flatten() leaves out what lies under a null list and honours slices, views and fixed sizes.
    return _joined(array, texts(array.flatten()), "[", "]")


def _map(array: pa.Array, texts: Texts) -> pa.Array:
    entries = array.cast(
        pa.list_(pa.struct([("key", array.type.key_type), ("value", array.type.item_type)]))
    )
    pairs = entries.flatten()
    keys = texts(pairs.field(0))
    # A JSON object has text keys: the text of a number or date is wrapped, a text already is one.
    bare = pc.invert(pc.starts_with(keys, '"'))
    if pc.any(bare).as_py():
        wrapped = [orjson.dumps(key).decode() for key in keys.filter(bare).to_pylist()]
        keys = pc.replace_with_mask(keys, bare, pa.array(wrapped, pa.string()))
    members = concat(keys, ":", texts(pairs.field(1)))
    return _joined(entries, members, "{", "}")


def _joined(lists: pa.Array, members: pa.Array, opening: str, closing: str) -> pa.Array:
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    regrouped = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), members)
    joined = pc.binary_join(regrouped, constant(","))
    return concat(opening, joined, closing)


def _struct(array: pa.Array, texts: Texts) -> pa.Array:
    parts: list[pa.Array | str] = ["{"]
    # flatten() pushes the struct's own nulls down; field names may repeat, and all are kept.
    for position, child in enumerate(array.flatten()):
        name = orjson.dumps(array.type.field(position).name).decode()
        parts += [f"{',' if position else ''}{name}:", texts(child)]
    if len(parts) == 1:
        return pa.array(["{}"] * len(array), pa.string())
    return concat(*parts, "}")


def _union(array: pa.Array, texts: Texts) -> pa.Array:
    """Picks, row by row, the text of the child that the row's type code names."""
    codes = array.type_codes.to_numpy(zero_copy_only=False)
    dense = array.type.mode == "dense"
    places = (
        array.offsets.to_numpy(zero_copy_only=False)
        if dense
        else np.arange(len(array), dtype=np.int64)
    )
    picked: list[pa.Array] = []
    origins: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
    for position, code in enumerate(array.type.type_codes):
        rows = np.flatnonzero(codes == code)
        picked.append(texts(array.field(position).take(pa.array(places[rows], pa.int64()))))
        origins.append(rows)
    order = np.argsort(np.concatenate(origins), kind="stable")
    return fill_null(pa.concat_arrays(picked).take(pa.array(order)))
