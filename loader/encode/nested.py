"""Lists, structs, maps and unions as JSON text, built from the texts of their children."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from loader.encode.joins import concat, constant
from loader.layouts import listed, take, union_places

__all__ = ["chosen", "is_nested", "members", "nested"]

Texts = Callable[[pa.Array], pa.Array]
"""Encodes an array into JSON texts, null spelt out as ``null``."""


def is_nested(arrow: pa.DataType) -> bool:
    """Whether values of a type are built from values of other types."""
    return bool(pt.is_nested(arrow))


def nested(array: pa.Array, texts: Texts) -> pa.Array:
    """Returns each value as JSON (an array or an object), null as null."""
    arrow = array.type
    if pt.is_union(arrow):
        return _union(array, texts)
    if pt.is_struct(arrow):
        if array.null_count and not _flattens(arrow):
            return _spread(_struct(_shown(array), texts), array.is_valid())
        return _with_nulls_of(array, _struct(array, texts))
    if pt.is_map(arrow):
        return _with_nulls_of(array, _map(array, texts))
    return _with_nulls_of(array, _list(array, texts))


def members(array: pa.Array) -> list[pa.Array]:
    """Returns the values inside nested ones, without those that no row shows."""
    arrow = array.type
    if pt.is_union(arrow):
        return [values for _, values in chosen(array)]
    if pt.is_struct(arrow):
        return _fields(array if _flattens(arrow) else _shown(array))
    values = listed(array)[1]
    return [values.field(0), values.field(1)] if pt.is_map(arrow) else [values]


def chosen(array: pa.Array) -> Iterator[tuple[npt.NDArray[np.int64], pa.Array]]:
    """Yields for each child of a union the rows that show one of its values, and these values."""
    codes, places = union_places(array)
    for position, code in enumerate(array.type.type_codes):
        rows = np.flatnonzero(codes == code)
        if len(rows):
            yield rows, take(array.field(position), pa.array(places[rows]))


def _with_nulls_of(array: pa.Array, texts: pa.Array) -> pa.Array:
    if not array.null_count:
        return texts
    return pc.if_else(array.is_valid(), texts, pa.scalar(None, pa.string()))


def _list(array: pa.Array, texts: Texts) -> pa.Array:
    lengths, values = listed(array)
    return _joined(lengths, texts(values), "[", "]")


def _map(array: pa.Array, texts: Texts) -> pa.Array:
    lengths, pairs = listed(array)
    keys, values = texts(pairs.field(0)), texts(pairs.field(1))
    # A JSON object has text keys: the text of a number or date is wrapped, a text already is one.
    bare = pc.invert(pc.starts_with(keys, '"'))
    if pc.any(bare).as_py():
        wrapped = [orjson.dumps(key).decode() for key in keys.filter(bare).to_pylist()]
        keys = pc.replace_with_mask(keys, bare, pa.array(wrapped, pa.string()))
    return _joined(lengths, concat(keys, ":", values), "{", "}")


def _joined(
    lengths: npt.NDArray[np.int64], members: pa.Array, opening: str, closing: str
) -> pa.Array:
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    regrouped = pa.LargeListArray.from_arrays(pa.array(offsets), members)
    return concat(opening, pc.binary_join(regrouped, constant(",")), closing)


def _struct(array: pa.Array, texts: Texts) -> pa.Array:
    parts: list[pa.Array | str] = ["{"]
    # Field names may repeat, and all are kept.
    for position, child in enumerate(_fields(array)):
        name = orjson.dumps(array.type.field(position).name).decode()
        parts += [f"{',' if position else ''}{name}:", texts(child)]
    if len(parts) == 1:
        return pa.array(["{}"] * len(array), pa.string())
    return concat(*parts, "}")


def _fields(array: pa.Array) -> list[pa.Array]:
    if array.null_count:
        # flatten() makes null what lies under a null struct.
        return list(array.flatten())
    return [array.field(position) for position in range(array.type.num_fields)]


def _flattens(arrow: pa.DataType) -> bool:
    """Whether a struct's fields can be made null: on unions Arrow aborts, run ends it corrupts."""
    return not any(_has_no_nulls(field.type) for field in arrow)


def _has_no_nulls(arrow: pa.DataType) -> bool:
    while isinstance(arrow, pa.BaseExtensionType):
        arrow = arrow.storage_type
    return bool(pt.is_union(arrow) or pt.is_run_end_encoded(arrow))


def _shown(array: pa.Array) -> pa.Array:
    """Returns the values that are not null."""
    if not array.null_count:
        return array
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    return take(array, pa.array(np.flatnonzero(valid)))


def _spread(texts: pa.Array, valid: pa.Array) -> pa.Array:
    """Puts the texts of the values that are not null back into their rows."""
    shown = valid.to_numpy(zero_copy_only=False)
    return texts.take(pa.array(np.cumsum(shown) - 1, mask=~shown))


def _union(array: pa.Array, texts: Texts) -> pa.Array:
    """Picks, row by row, the text of the child that the row's type code names."""
    children = list(chosen(array))
    if not children:
        return pa.array([], pa.string())
    order = np.argsort(np.concatenate([rows for rows, _ in children]), kind="stable")
    picked = pa.concat_arrays([texts(values) for _, values in children])
    return picked.take(pa.array(order))
