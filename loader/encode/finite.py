"""Counts the floats that JSON cannot say, and that therefore become null."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from loader.encode.nested import is_nested, members
from loader.layouts import take, unwrapped
from loader.model.types import storage_type

__all__ = ["non_finite"]


def non_finite(array: pa.Array) -> int:
    """Returns how many NaN and infinities the rows of an array show, inside nested values too."""
    if not _may_hold_floats(array.type):
        return 0
    array = unwrapped(array)
    if pt.is_dictionary(array.type):
        return non_finite(take(array.dictionary, array.indices.drop_null()))
    if is_nested(array.type):
        return sum(map(non_finite, members(array)))
    finite = pc.sum(pc.is_finite(array)).as_py() or 0
    return len(array) - int(array.null_count) - int(finite)


def _may_hold_floats(arrow: pa.DataType) -> bool:
    arrow = storage_type(arrow)
    return bool(pt.is_floating(arrow)) or any(
        _may_hold_floats(arrow.field(position).type) for position in range(arrow.num_fields)
    )
