from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from loader.encode import row_widths
from loader.job.blocks import MOST_ROWS, blocks
from loader.sources import Batch
from tests.encode.tables import SCALARS, arrays, columns, uuids


def same(batch: Batch) -> Batch:
    return batch


def batches(data: pa.RecordBatch, ends: list[int]) -> list[Batch]:
    starts = [0, *ends]
    return [
        Batch(data=data.slice(start, end - start), origin="f", row=start)
        for start, end in zip(starts, [*ends, data.num_rows], strict=True)
        if end > start
    ]


def positions(data: pa.RecordBatch, ends: list[int], size: int) -> list[tuple[int, int]]:
    found = []
    for block in blocks(batches(data, ends), same, size):
        rows = sum(part.data.num_rows for part in block.parts)
        found.append((block.parts[0].row, rows))
        assert block.width == sum(int(row_widths(part.data).sum()) for part in block.parts)
    return found


@given(
    st.lists(st.integers(0, 300), min_size=1, max_size=80),
    st.data(),
    st.integers(20, 500),
)
def test_blocks_end_at_the_same_rows_however_the_reader_batches(lengths, data, size):
    table = pa.RecordBatch.from_pydict({"s": ["x" * n for n in lengths], "n": range(len(lengths))})
    ends = sorted(data.draw(st.lists(st.integers(1, len(lengths)), max_size=6)))
    whole = positions(table, [], size)
    assert positions(table, ends, size) == whole
    assert sum(rows for _, rows in whole) == len(lengths)


def test_a_row_wider_than_a_block_is_a_block():
    table = pa.RecordBatch.from_pydict({"s": ["a", "b" * 1000, "c"]})
    assert positions(table, [], 100) == [(0, 1), (1, 1), (2, 1)]
    assert positions(table, [2], 100) == [(0, 1), (1, 1), (2, 1)]


def test_narrow_rows_are_limited_too():
    table = pa.RecordBatch.from_pydict({"n": pa.nulls(MOST_ROWS + 5)})
    assert [rows for _, rows in positions(table, [7], 10**9)] == [MOST_ROWS, 5]


@given(st.sampled_from(SCALARS).flatmap(lambda scalar: arrays(scalar, size=12)) | columns(size=12))
def test_widths_do_not_depend_on_slices(array):
    batch = pa.RecordBatch.from_arrays([array], names=["c"])
    whole = row_widths(batch).tolist()
    assert row_widths(batch.slice(3)).tolist() == whole[3:]
    assert row_widths(batch.slice(0, 5)).tolist() == whole[:5]


def test_widths_of_nested_values_follow_their_length():
    lists = pa.array([["a" * 100, "b" * 50], [], None, ["c"]], pa.list_(pa.string()))
    maps = pa.array([[("k" * 100, 1)], [], None, []], pa.map_(pa.string(), pa.int64()))
    structs = pa.array([{"a": "x" * 200}, {"a": ""}, None, {"a": None}])
    for array in (lists, maps, structs):
        widths = row_widths(pa.RecordBatch.from_arrays([array], names=["c"]))
        assert widths[0] > 100 > widths[1]
    assert row_widths(pa.RecordBatch.from_arrays([uuids([None])], names=["c"]))[0] > 30


def test_widths_of_unions_are_those_of_the_values_shown():
    union = pa.UnionArray.from_sparse(
        pa.array([0, 1, 1], pa.int8()), [pa.array(["a" * 100] * 3), pa.array([1, 2, 3])]
    )
    structs = pa.StructArray.from_arrays([union], ["u"], mask=pa.array([False, False, True]))
    for array in (union, structs):
        widths = row_widths(pa.RecordBatch.from_arrays([array], names=["c"]))
        assert widths[0] > 100 > widths[1] >= widths[2]
