from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.encode.layouts import take
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
