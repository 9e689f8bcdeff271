"""The widths of rows as the first journals were cut by them: blocks may never end elsewhere."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from loader.encode.nested import chosen
from loader.layouts import listed, run_end_decoded, take


def first_widths(batch: pa.RecordBatch) -> np.ndarray:
    total = np.zeros(batch.num_rows, np.int64)
    for column in batch.columns:
        total += _widths(column) + 1
    return total


_QUOTES = 2
_FIXED = (
    (pt.is_date, 12),
    (pt.is_time, 10),
    (pt.is_timestamp, 21),
    (pt.is_boolean, 5),
    (pt.is_null, 4),
)


def _widths(array: pa.Array) -> np.ndarray | int:  # noqa: C901 - one branch a family of types
    arrow = array.type
    if isinstance(arrow, pa.BaseExtensionType):
        return 38 if isinstance(arrow, pa.UuidType) else _widths(array.storage)
    if pt.is_dictionary(arrow):
        return _dictionary(array)
    if pt.is_run_end_encoded(arrow):
        return _widths(run_end_decoded(array))
    for matches, width in _FIXED:
        if matches(arrow):
            return width
    if pt.is_decimal(arrow):
        # Digits of a typical value, not of the largest the type allows.
        return min(int(arrow.precision), 12)
    if pt.is_struct(arrow):
        return _struct(array)
    if pt.is_list(arrow) or pt.is_large_list(arrow) or pt.is_map(arrow) or _is_other_list(arrow):
        return _list(array)
    if pt.is_fixed_size_binary(arrow):
        return int(arrow.byte_width * 4 // 3) + _QUOTES
    if arrow in _VARIABLE:
        return _variable(array)
    if pt.is_union(arrow):
        return _union(array)
    return 8


_VARIABLE = {
    pa.string(),
    pa.large_string(),
    pa.string_view(),
    pa.binary(),
    pa.large_binary(),
    pa.binary_view(),
}


def _is_other_list(arrow: pa.DataType) -> bool:
    return bool(
        pt.is_fixed_size_list(arrow) or pt.is_list_view(arrow) or pt.is_large_list_view(arrow)
    )


def _variable(array: pa.Array) -> np.ndarray:
    arrow = array.type
    if arrow in (pa.string_view(), pa.binary_view()):
        # A view is 16 bytes, the first four of which are its length.
        views = np.frombuffer(array.buffers()[1], np.int32)[::4]
        lengths = views[array.offset : array.offset + len(array)].astype(np.int64)
    else:
        lengths = pc.fill_null(pc.binary_length(array), 0).to_numpy(zero_copy_only=False)
        lengths = lengths.astype(np.int64)
    if array.null_count:
        lengths[array.is_null().to_numpy(zero_copy_only=False)] = _QUOTES
    return lengths + _QUOTES


def _dictionary(array: pa.Array) -> np.ndarray:
    if not len(array.dictionary):
        return np.full(len(array), 4, np.int64)
    entries = array.dictionary
    indices = pc.fill_null(array.indices, 0).to_numpy(zero_copy_only=False)
    if len(entries) > len(array):
        # A dictionary for the whole file and one batch of its rows.
        shown, indices = np.unique(indices, return_inverse=True)
        entries = take(entries, pa.array(shown))
    per_value = np.broadcast_to(_widths(entries), (len(entries),))
    widths = per_value[indices].astype(np.int64)
    if array.indices.null_count:
        widths[array.indices.is_null().to_numpy(zero_copy_only=False)] = 4
    return widths


def _struct(array: pa.Array) -> np.ndarray:
    widths = np.full(len(array), _QUOTES, np.int64)
    for position in range(array.type.num_fields):
        widths += _widths(array.field(position)) + len(array.type.field(position).name) + 4
    if array.null_count:
        widths[array.is_null().to_numpy(zero_copy_only=False)] = 4
    return widths


def _union(array: pa.Array) -> np.ndarray:
    widths = np.zeros(len(array), np.int64)
    for rows, values in chosen(array):
        widths[rows] = _widths(values)
    return widths


def _list(array: pa.Array) -> np.ndarray:
    lengths, members = listed(array)
    ends = np.cumsum(lengths)
    per_member = np.broadcast_to(_widths(members), (len(members),))
    running = np.concatenate([np.zeros(1, np.int64), np.cumsum(per_member + 1)])
    return running[ends] - running[ends - lengths] + 2 * _QUOTES
