"""Widths of rows: the same as ever, from compiled code and without."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.encode import native, native_available, row_widths, width
from tests.encode.first_widths import first_widths
from tests.encode.tables import SCALARS, arrays, build, columns

needs_native = pytest.mark.skipif(not native_available(), reason="built without a compiler")


@st.composite
def batches(draw: st.DrawFn) -> pa.RecordBatch:
    """Columns of any types, as a slice of longer ones."""
    rows, offset = draw(st.integers(0, 20)), draw(st.integers(0, 3))
    size = rows + offset
    drawn = [
        *(draw(arrays(scalar, size)) for scalar in draw(st.lists(st.sampled_from(SCALARS)))[:4]),
        *(draw(columns(size)) for _ in range(draw(st.integers(0, 2)))),
    ] or [pa.nulls(size)]
    return pa.RecordBatch.from_arrays(drawn, [str(at) for at in range(len(drawn))]).slice(offset)


def python_widths(batch: pa.RecordBatch) -> np.ndarray:
    """What an installation without a compiler tells."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "_MISSING", "no compiler")
        return row_widths(batch)


@given(batch=batches())
def test_widths_are_what_they_have_always_been(batch):
    expected = first_widths(batch)
    for widths in (row_widths(batch), python_widths(batch)):
        assert widths.dtype == np.int64
        assert widths.tolist() == expected.tolist()


@needs_native
@pytest.mark.parametrize(("arrow", "_values"), SCALARS, ids=lambda case: str(case)[:20])
def test_compiled_code_tells_all_but_extension_types(arrow, _values):
    value = {pa.uuid(): b"0" * 16, pa.binary(5): b"12345"}.get(arrow)
    batch = pa.RecordBatch.from_arrays([build([value, None], arrow)], ["a"])
    told = native.compiled_widths(batch)
    assert told is not None
    assert told[1] == ([0] if isinstance(arrow, pa.BaseExtensionType) else [])
    assert row_widths(batch).tolist() == first_widths(batch).tolist()


@needs_native
@pytest.mark.parametrize("index", [pa.int8(), pa.uint8(), pa.int16(), pa.uint32(), pa.int64()])
def test_dictionaries_of_any_index(index):
    entries = pa.array(["a", None, "long" * 9])
    column = pa.DictionaryArray.from_arrays(pa.array([2, None, 1, 0, 2], index), entries)
    batch = pa.RecordBatch.from_arrays([column, column.cast(pa.string())], ["a", "b"]).slice(1)
    told = native.compiled_widths(batch)
    assert told is not None
    assert told[1] == []
    assert row_widths(batch).tolist() == [10, 10, 8, 78]


@needs_native
def test_more_entries_than_rows_are_left_to_python():
    column = pa.array([f"{n:03}" for n in range(300)]).dictionary_encode()[-2:]
    batch = pa.RecordBatch.from_arrays([column, pa.array([1, 2])], ["a", "b"])
    told = native.compiled_widths(batch)
    assert told is not None
    assert told[1] == [0]
    assert row_widths(batch).tolist() == [6 + 9, 6 + 9]


@needs_native
def test_an_index_without_an_entry_is_left_to_python():
    column = pa.DictionaryArray.from_arrays(pa.array([0, 7, 0]), pa.array(["a"]), safe=False)
    batch = pa.RecordBatch.from_arrays([column], ["a"])
    assert native.compiled_widths(batch) is None


@needs_native
def test_what_is_no_record_batch():
    with pytest.raises(ValueError, match="record batch"):
        native.compiled_widths(pa.array([1]))


def test_long_columns():
    """Longer than what compiled code adds up at once."""
    rows = 5000
    texts = pa.array([None if at % 7 == 0 else "x" * (at % 90) for at in range(rows)])
    batch = pa.RecordBatch.from_arrays(
        [
            *(texts, texts.cast(pa.large_string()), texts.cast(pa.string_view())),
            *(texts.dictionary_encode(), pa.array(range(rows))),
            pa.array([at % 3 for at in range(rows)]).dictionary_encode(),
        ],
        list("abcdef"),
    )
    for part in (batch, batch.slice(13), batch.slice(1027, 2050)):
        assert row_widths(part).tolist() == first_widths(part).tolist()
        assert python_widths(part).tolist() == first_widths(part).tolist()


def test_values_depend_on_nothing_but_themselves():
    """A text takes the same however it is held."""
    values = ["a", None, "b" * 100]
    kinds = [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.dictionary(pa.int8(), pa.string()),
    ]
    told = [
        width.row_widths(pa.RecordBatch.from_arrays([pa.array(values, kind)], ["a"]))
        for kind in kinds
    ]
    assert {tuple(widths.tolist()) for widths in told} == {(4, 5, 103)}
