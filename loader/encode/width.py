"""How many bytes of JSON each row will take, read off Arrow's offsets without encoding anything."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from loader.encode.native import compiled_widths
from loader.encode.nested import chosen
from loader.layouts import listed, run_end_decoded, take

__all__ = ["row_widths"]

Widths = npt.NDArray[np.int64]

_SEPARATORS = 1
_QUOTES = 2
_NULL = 4
_FIXED = (
    (pt.is_date, 12),
    (pt.is_time, 10),
    (pt.is_timestamp, 21),
    (pt.is_boolean, 5),
    (pt.is_null, _NULL),
)


def row_widths(batch: pa.RecordBatch) -> Widths:
    """Returns an estimate of each row's JSON bytes.

    The estimate depends on the values alone, never on how a reader happened to batch them, so the
    row positions derived from it are the same on every reading: by every version that may have
    begun a job, with compiled code or without. It serves to keep pieces of work small; chunk sizes
    come from encoded bytes.
    """
    told = compiled_widths(batch)
    if told is not None:
        total = np.frombuffer(told[0], np.int64)
        return _added(total, [batch.column(place) for place in told[1]])
    return _added(np.zeros(batch.num_rows, np.int64), batch.columns)


def _added(total: Widths, columns: Sequence[pa.Array]) -> Widths:
    """Adds what each of some columns takes, and a comma."""
    fixed = 0
    for column in columns:
        width = _widths(column)
        if isinstance(width, int):
            fixed += width
        else:
            total += width
    if columns:
        total += fixed + _SEPARATORS * len(columns)
    return total


def _widths(array: pa.Array) -> Widths | int:  # noqa: C901 - one branch a family of types
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


def _variable(array: pa.Array) -> Widths:
    arrow = array.type
    if arrow in (pa.string_view(), pa.binary_view()):
        # A view is 16 bytes, the first four of which are its length.
        views = np.frombuffer(array.buffers()[1], np.int32)[::4]
        lengths = views[array.offset : array.offset + len(array)]
    else:
        lengths = pc.fill_null(pc.binary_length(array), 0).to_numpy(zero_copy_only=False)
    widths: Widths = np.add(lengths, _QUOTES, dtype=np.int64)
    if array.null_count:
        widths[array.is_null().to_numpy(zero_copy_only=False)] = _NULL
    return widths


def _dictionary(array: pa.Array) -> Widths:
    if not len(array.dictionary):
        return np.full(len(array), _NULL, np.int64)
    entries = array.dictionary
    indices = pc.fill_null(array.indices, 0).to_numpy(zero_copy_only=False)
    if len(entries) > len(array):
        # A dictionary for the whole file and one batch of its rows.
        shown, indices = np.unique(indices, return_inverse=True)
        entries = take(entries, pa.array(shown))
    per_value: Widths = np.broadcast_to(_widths(entries), (len(entries),))
    widths: Widths = per_value[indices].astype(np.int64)
    if array.indices.null_count:
        widths[array.indices.is_null().to_numpy(zero_copy_only=False)] = _NULL
    return widths


def _struct(array: pa.Array) -> Widths:
    widths = np.full(len(array), _QUOTES, np.int64)
    for position in range(array.type.num_fields):
        widths += _widths(array.field(position)) + len(array.type.field(position).name) + 4
    if array.null_count:
        widths[array.is_null().to_numpy(zero_copy_only=False)] = _NULL
    return widths


def _union(array: pa.Array) -> Widths:
    widths = np.zeros(len(array), np.int64)
    for rows, values in chosen(array):
        widths[rows] = _widths(values)
    return widths


def _list(array: pa.Array) -> Widths:
    lengths, members = listed(array)
    ends = np.cumsum(lengths)
    per_member: Widths = np.broadcast_to(_widths(members), (len(members),))
    running = np.concatenate([np.zeros(1, np.int64), np.cumsum(per_member + 1)])
    widths: Widths = running[ends] - running[ends - lengths] + 2 * _QUOTES
    return widths
