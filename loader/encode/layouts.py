"""Layouts that few of Arrow's kernels know, turned into the plain ones they stand for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

__all__ = ["listed", "run_end_decoded", "take", "unwrapped"]

Places = npt.NDArray[np.int64]


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
    if not len(places):
        return array.slice(0, 0)
    try:
        return array.take(places)
    except pa.ArrowNotImplementedError:
        # Views, run ends and what is built from them have no such kernel, but lists of one value
        # each can be put together, whatever the value.
        ones = pa.array(np.ones(len(places), np.int64))
        views = pa.LargeListViewArray.from_arrays(places.cast(pa.int64()), ones, array)
        return views.flatten()


def listed(array: pa.Array) -> tuple[Places, pa.Array]:
    """Returns the lengths of lists or maps of any layout, and their members one after the other.

    A null list has no members, whatever lies under it. Arrow's own flatten knows no maps, fails on
    some views of dictionaries, and its cast of a map to a list garbles unions and run ends.
    """
    starts, lengths = _spans(array)
    if array.null_count:
        lengths = np.where(array.is_valid().to_numpy(zero_copy_only=False), lengths, 0)
    shown = lengths > 0
    first, size = starts[shown], lengths[shown]
    if not len(first):
        return lengths, array.values.slice(0, 0)
    if np.array_equal(first[1:], first[:-1] + size[:-1]):
        return lengths, array.values.slice(int(first[0]), int(size.sum()))
    before = np.cumsum(size) - size
    places = np.repeat(first - before, size) + np.arange(size.sum())
    return lengths, take(array.values, pa.array(places))


def _spans(array: pa.Array) -> tuple[Places, Places]:
    """Returns where the members of each list begin among all values, and how many they are."""
    arrow, count = array.type, len(array)
    if pt.is_fixed_size_list(arrow):
        size = arrow.list_size
        starts = (array.offset + np.arange(count, dtype=np.int64)) * size
        return starts, np.full(count, size, np.int64)
    if not count:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    buffers, first = array.buffers(), array.offset
    if pt.is_list_view(arrow) or pt.is_large_list_view(arrow):
        width = np.int64 if pt.is_large_list_view(arrow) else np.int32
        starts, lengths = (
            np.frombuffer(buffer, width)[first : first + count].astype(np.int64)
            for buffer in buffers[1:3]
        )
        return starts, lengths
    width = np.int64 if pt.is_large_list(arrow) else np.int32
    ends = np.frombuffer(buffers[1], width)[first : first + count + 1].astype(np.int64)
    return ends[:-1], np.diff(ends)
