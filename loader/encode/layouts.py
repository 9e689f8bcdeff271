"""Layouts that few of Arrow's kernels know, turned into the plain ones they stand for."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

__all__ = ["run_end_decoded", "take", "unwrapped"]


def unwrapped(array: pa.Array) -> pa.Array:
    """Returns the plain array that a run-end-encoded, extension or view array stands for."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    while True:
        if pt.is_run_end_encoded(array.type):
            array = run_end_decoded(array)
        elif isinstance(array.type, pa.BaseExtensionType) and not isinstance(
            array.type, pa.UuidType
        ):
            is_bool = isinstance(array.type, pa.Bool8Type)
            array = array.storage.cast(pa.bool_()) if is_bool else array.storage
        elif pt.is_string_view(array.type) or pt.is_large_string(array.type):
            array = array.cast(pa.string())
        else:
            return array


def run_end_decoded(array: pa.Array) -> pa.Array:
    """Returns the values of a run-end-encoded array; Arrow's kernel knows a few types only."""
    # The ends are those of the whole array, of which this may be a slice.
    ends = array.run_ends.to_numpy(zero_copy_only=False)
    rows = np.arange(array.offset, array.offset + len(array))
    return take(array.values, pa.array(np.searchsorted(ends, rows, side="right"), pa.int64()))


def take(array: pa.Array, places: pa.Array) -> pa.Array:
    """Picks values by position, of any type; no position may be null."""
    try:
        return array.take(places)
    except pa.ArrowNotImplementedError:
        # Views, run ends and what is built from them have no such kernel, but lists of one value
        # each can be put together, whatever the value.
        ones = pa.array(np.ones(len(places), np.int64))
        views = pa.LargeListViewArray.from_arrays(places.cast(pa.int64()), ones, array)
        return views.flatten()
