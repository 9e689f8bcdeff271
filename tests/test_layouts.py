from __future__ import annotations

import mmap

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.layouts import decoded, take, unwrapped
from tests.encode.reading import expected
from tests.encode.tables import columns, uuids


@given(columns(size=8), st.lists(st.integers(0, 7), max_size=12))
@settings(max_examples=200)
def test_values_of_every_type_can_be_picked(array, places):
    picked = take(array, pa.array(places, pa.int64()))
    assert picked.type == array.type
    whole = expected(array)
    assert expected(picked) == [whole[place] for place in places]


_RUNS = pa.RunEndEncodedArray.from_arrays(pa.array([1, 4], pa.int16()), uuids([None, None]))
_VIEWS = pa.array(["a", None, "c" * 20, "d"], pa.string_view())
_MASK = pa.array([False, True, False, False])


@pytest.mark.parametrize(
    "array",
    [
        _VIEWS,
        _RUNS,
        pa.RunEndEncodedArray.from_arrays(pa.array([2, 8], pa.int32()), _RUNS.slice(0, 2)).slice(
            1, 4
        ),
        pa.StructArray.from_arrays([_RUNS, _VIEWS], ["a", "b"], mask=_MASK),
        pa.FixedSizeListArray.from_arrays(_RUNS, 1, mask=_MASK),
        pa.ListArray.from_arrays([0, 1, 1, 3, 4], _RUNS, mask=_MASK),
        pa.LargeListArray.from_arrays([0, 2, 2, 3, 4], _VIEWS, mask=_MASK),
        pa.ListViewArray.from_arrays([3, 0, 0, 1], [1, 4, 0, 2], _RUNS, mask=_MASK),
        pa.LargeListViewArray.from_arrays([3, 0, 0, 1], [1, 4, 0, 2], _VIEWS, mask=_MASK),
        pa.MapArray.from_arrays(
            [0, 1, None, 3, 4],
            _VIEWS.cast(pa.string()).fill_null("k").cast(pa.string_view()),
            _RUNS,
        ),
        pa.UnionArray.from_sparse(pa.array([0, 1, 1, 0], pa.int8()), [_RUNS, _VIEWS]),
        pa.UnionArray.from_dense(
            pa.array([0, 1, 1, 0], pa.int8()), pa.array([0, 0, 2, 3], pa.int32()), [_RUNS, _VIEWS]
        ),
        pa.DictionaryArray.from_arrays(pa.array([3, None, 0, 2]), _VIEWS),
        pa.ExtensionArray.from_storage(pa.opaque(_VIEWS.type, "t", "v"), _VIEWS),
    ],
    ids=lambda array: str(array.type),
)
@pytest.mark.parametrize("places", [[2, 0, 2, 1, 3], [1], [3, 3, 3, 3, 3, 3]])
def test_what_arrow_cannot_pick_is_taken_apart(array, places):
    picked = take(array, pa.array(places))
    picked.validate(full=True)
    assert picked.type == array.type
    whole = expected(array)
    assert expected(picked) == [whole[place] for place in places]


_CATEGORIES = pa.DictionaryArray.from_arrays(pa.array([3, None, 0, 2], pa.uint32()), _VIEWS)


@pytest.mark.parametrize(
    "array",
    [
        _CATEGORIES,
        _CATEGORIES.slice(1, 2),
        pa.RunEndEncodedArray.from_arrays(pa.array([1, 2, 3, 9], pa.int32()), _VIEWS).slice(1, 7),
        pa.RunEndEncodedArray.from_arrays(pa.array([1, 2, 3, 9], pa.int32()), _CATEGORIES),
        pa.ExtensionArray.from_storage(pa.opaque(_CATEGORIES.type, "t", "v"), _CATEGORIES),
        pa.DictionaryArray.from_arrays(pa.array([None, None], pa.int8()), _VIEWS.slice(0, 0)),
        pa.array([3, None, 3]).dictionary_encode(),
    ],
    ids=lambda array: str(array.type),
)
def test_values_of_every_layout_can_be_had_plain(array):
    plain = decoded(array)
    plain.validate(full=True)
    assert plain.type in {pa.string(), pa.int64()}
    assert plain.to_pylist() == array.to_pylist()


def test_texts_far_into_a_column_of_gigabytes():
    size = 3 << 30
    with mmap.mmap(-1, size) as memory:  # of zeros that take no room
        memory[size - 3 :] = b"end"
        data = pa.py_buffer(memory)
        ends = pa.py_buffer(np.array([0, size - 3, size], np.int64))
        texts = pa.Array.from_buffers(pa.large_string(), 2, [None, ends, data])
        plain = unwrapped(texts.slice(1))
        assert (plain.type, plain.to_pylist()) == (pa.string(), ["end"])
        del texts, data, plain
