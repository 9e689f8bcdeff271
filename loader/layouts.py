"""Layouts that few of Arrow's kernels know, turned into the plain ones they stand for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

__all__ = ["decoded", "listed", "run_end_decoded", "take", "union_places", "unwrapped"]

Places = npt.NDArray[np.int64]


def decoded(array: pa.Array) -> pa.Array:
    """Returns the values themselves: what ``unwrapped`` does, and no dictionary either."""
    array = unwrapped(array)
    while pt.is_dictionary(array.type):
        try:
            array = array.dictionary.take(array.indices)
        except pa.ArrowNotImplementedError:
            # Not with ``take``: an index may be null.
            array = unwrapped(array.dictionary).take(array.indices)
        array = unwrapped(array)
    return array


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
            array = _narrowed(array)
        else:
            return array


def _narrowed(texts: pa.Array) -> pa.Array:
    try:
        return texts.cast(pa.string())
    except pa.ArrowInvalid:
        # Of a slice Arrow counts the bytes before it too: beyond 2 GiB only a copy has none.
        return take(texts, pa.array(np.arange(len(texts)))).cast(pa.string())


def run_end_decoded(array: pa.Array) -> pa.Array:
    """Returns the values of a run-end-encoded array; Arrow's kernel knows a few types only."""
    return take(array.values, pa.array(_runs(array)))


def _runs(array: pa.Array) -> Places:
    """Returns for each row the run it is in."""
    # The ends are those of the whole array, of which this may be a slice.
    ends = array.run_ends.to_numpy(zero_copy_only=False)
    rows = np.arange(array.offset, array.offset + len(array))
    return np.searchsorted(ends, rows, side="right")


def take(array: pa.Array, places: pa.Array) -> pa.Array:
    """Picks values by position, of any type; no position may be null."""
    if not len(places):
        return array.slice(0, 0)
    try:
        return array.take(places)
    except pa.ArrowNotImplementedError:
        # Views, run ends and what is built from them have no such kernel.
        return _taken_apart(array, places)


def _taken_apart(array: pa.Array, places: pa.Array) -> pa.Array:
    """Picks from what an array is built from and puts that together again."""
    arrow = array.type
    if isinstance(arrow, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(arrow, take(array.storage, places))
    if pt.is_run_end_encoded(arrow):
        runs = _runs(array)[places.to_numpy()]
        ends = pa.array(np.arange(1, len(runs) + 1), arrow.run_end_type)
        return pa.RunEndEncodedArray.from_arrays(ends, take(array.values, pa.array(runs)))
    if pt.is_union(arrow):
        return _taken_union(array, places)
    if pt.is_struct(arrow):
        members = [take(array.field(place), places) for place in range(arrow.num_fields)]
        missing = array.is_null().take(places)
        return pa.StructArray.from_arrays(members, fields=list(arrow), mask=missing)
    if pt.is_string_view(arrow) or pt.is_binary_view(arrow):
        return _taken_views(array, places)
    return _taken_lists(array, places)


def _taken_views(array: pa.Array, places: pa.Array) -> pa.Array:
    _, views, *texts = array.buffers()
    # A view is 16 bytes: the length, and the text itself or where it is.
    whole = np.frombuffer(views, np.int64).reshape(-1, 2)
    picked = whole[array.offset : array.offset + len(array)][places.to_numpy()]
    validity = array.is_valid().take(places).buffers()[1] if array.null_count else None
    return pa.Array.from_buffers(array.type, len(places), [validity, pa.py_buffer(picked), *texts])


def _taken_lists(array: pa.Array, places: pa.Array) -> pa.Array:
    arrow, rows = array.type, places.to_numpy()
    starts, lengths = (spans[rows] for spans in _spans(array))
    missing = array.is_null().take(places)
    if not pt.is_fixed_size_list(arrow):
        lengths = np.where(missing.to_numpy(zero_copy_only=False), 0, lengths)
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    members = take(array.values, pa.array(_expanded(starts, lengths)))
    if pt.is_fixed_size_list(arrow):
        return pa.FixedSizeListArray.from_arrays(members, type=arrow, mask=missing)
    if pt.is_map(arrow):
        keys, items = members.field(0), members.field(1)
        offsets = pa.array(ends, pa.int32())
        return pa.MapArray.from_arrays(offsets, keys, items, type=arrow, mask=missing)
    make, offset = type(array), _OFFSETS[type(array)]
    if make in (pa.ListArray, pa.LargeListArray):
        return make.from_arrays(pa.array(ends, offset), members, type=arrow, mask=missing)
    starts, sizes = pa.array(ends[:-1], offset), pa.array(lengths, offset)
    return make.from_arrays(starts, sizes, members, type=arrow, mask=missing)


def _expanded(starts: Places, lengths: Places) -> Places:
    """Returns the places of all members of some lists, one list after the other."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(lengths.sum())


def union_places(array: pa.Array) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int32]]:
    """Returns for each row of a union its type code and the place of its value in that child."""
    if not len(array):
        return np.empty(0, np.int8), np.empty(0, np.int32)
    # From the buffers: what pyarrow calls type_codes and offsets are the whole array's, not the
    # slice's. A sparse child is sliced like its union, a dense one is whole.
    window = slice(array.offset, array.offset + len(array))
    codes = np.frombuffer(array.buffers()[1], np.int8)[window]
    if array.type.mode == "dense":
        return codes, np.frombuffer(array.buffers()[2], np.int32)[window]
    return codes, np.arange(len(array), dtype=np.int32)


def _taken_union(array: pa.Array, places: pa.Array) -> pa.Array:
    arrow, rows = array.type, places.to_numpy()
    codes, values = (each[rows] for each in union_places(array))
    names = [arrow.field(place).name for place in range(arrow.num_fields)]
    members = [array.field(place) for place in range(arrow.num_fields)]
    if arrow.mode == "sparse":
        picked = [take(member, places) for member in members]
        return pa.UnionArray.from_sparse(pa.array(codes), picked, names, arrow.type_codes)
    offsets = np.empty(len(rows), np.int32)
    for at, code in enumerate(arrow.type_codes):
        shown = np.flatnonzero(codes == code)
        offsets[shown] = np.arange(len(shown))
        members[at] = take(members[at], pa.array(values[shown]))
    return pa.UnionArray.from_dense(
        pa.array(codes), pa.array(offsets), members, names, arrow.type_codes
    )


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
    return lengths, take(array.values, pa.array(_expanded(first, size)))


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


_OFFSETS = {
    pa.ListArray: pa.int32(),
    pa.LargeListArray: pa.int64(),
    pa.ListViewArray: pa.int32(),
    pa.LargeListViewArray: pa.int64(),
}
