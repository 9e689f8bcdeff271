from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.badrow import BadRow
from loader.encode import row_widths
from loader.job.blocks import MOST_ROWS, REJECTED_ROW, blocks
from loader.sources import Batch
from tests.encode.tables import SCALARS, arrays, columns, uuids


def same(batch: Batch) -> list[Batch]:
    return [batch]


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


Line = list[tuple[bool, int]]
"""Rows of a file: whether each is good, and how wide."""


def lined(line: Line, first: int, *, origin: str = "f", gap: int = 1) -> Batch:
    """A batch of some rows; those that a filter left out lie between them."""
    rows = [first + gap * place for place in range(len(line))]
    good = [(row, size) for row, (fits, size) in zip(rows, line, strict=True) if fits]
    bad = [(row, size) for row, (fits, size) in zip(rows, line, strict=True) if not fits]
    data = pa.RecordBatch.from_pydict({"s": pa.array(["x" * size for _, size in good])})
    consecutive = gap == 1 and [row for row, _ in good] == list(range(first, first + len(good)))
    return Batch(
        data=data,
        origin=origin,
        row=good[0][0] if good else first,
        positions=None if consecutive and not bad else np.array([row for row, _ in good], np.int64),
        rejected=tuple(BadRow(origin, row + 1, None, "y" * size, "", "") for row, size in bad),
    )


def found(
    line: Line,
    ends: list[int],
    size: int,
    gap: int = 1,
    *,
    first_row: int = 0,
    forced: Sequence[int] = (),
) -> list[list[tuple[str, int]]]:
    """The rows of each block in their order, good ones told from rejected ones.

    Those before ``first_row`` are not read.
    """
    cuts = [first_row, *(end for end in ends if end > first_row), len(line)]
    read = [lined(line[start:end], start * gap, gap=gap) for start, end in itertools.pairwise(cuts)]
    seen = []
    position = first_row
    for block in blocks(read, same, size, first_row=first_row, ends=forced):
        count = sum(part.data.num_rows + len(part.rejected) for part in block.parts)
        assert block.covered == range(position, position + count)
        position += count
        rows = []
        for part in block.parts:
            assert len(part.rejected) + part.data.num_rows
            rows += [("good", part.position(row)) for row in range(part.data.num_rows)]
            rows += [("bad", bad.row - 1) for bad in part.rejected]
        seen.append(sorted(rows, key=lambda row: row[1]))
    return seen


def in_turn(
    line: Line, size: int, gap: int, forced: Sequence[int] = ()
) -> list[list[tuple[str, int]]]:
    """What blocks must hold: row after row, without looking ahead."""
    done, block, width = [], [], 0
    for place, (fits, length) in enumerate(line):
        # A text has two quotes and a comma.
        wide = length + 3 if fits else REJECTED_ROW + length
        if (wide >= size or place in forced) and block:
            done.append(block)
            block, width = [], 0
        block.append(("good" if fits else "bad", place * gap))
        width += wide
        if width >= size:
            done.append(block)
            block, width = [], 0
    return done + [block] * bool(block)


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 300)), min_size=1, max_size=60),
    st.data(),
    st.integers(20, 1500),
    st.sampled_from([1, 3]),
)
def test_rejected_rows_count_like_others_however_the_reader_batches(line, data, size, gap):
    ends = sorted(data.draw(st.lists(st.integers(0, len(line)), max_size=6)))
    assert found(line, ends, size, gap) == in_turn(line, size, gap)


LINES = st.lists(st.tuples(st.booleans(), st.integers(0, 300)), min_size=1, max_size=60)


@given(LINES, st.data(), st.integers(20, 1500))
def test_blocks_end_where_they_have_to(line, data, size):
    places = st.lists(st.integers(0, len(line) + 3), max_size=8)
    forced = sorted(set(data.draw(places)))
    ends = sorted(data.draw(st.lists(st.integers(0, len(line)), max_size=6)))
    assert found(line, ends, size, 1, forced=forced) == in_turn(line, size, 1, forced)


@given(LINES, st.data(), st.integers(20, 1500))
def test_a_reading_from_the_end_of_a_block_gives_those_after_it(line, data, size):
    forced = sorted(data.draw(st.sets(st.integers(0, len(line)), max_size=6)))
    whole = found(line, [], size, 1, forced=forced)
    done = data.draw(st.integers(0, len(whole)))
    first_row = sum(map(len, whole[:done]))
    assert found(line, [], size, 1, first_row=first_row, forced=forced) == whole[done:]
    # Where blocks end anyhow, nothing changes when they have to.
    ends = list(itertools.accumulate(map(len, whole)))
    assert found(line, [], size, 1, forced=sorted({*forced, *ends})) == whole


@pytest.mark.parametrize("ends", [[], [500]])
def test_rejected_rows_alone_are_blocks_of_bounded_memory(ends):
    line = [(False, 0)] * 1000
    sizes = [len(rows) for rows in found(line, ends, 100 * REJECTED_ROW, 1)]
    assert sizes == [100] * 10


def test_rejected_rows_at_the_end_of_a_file_and_of_the_source_are_not_lost():
    good, bad = (True, 1), (False, 1)
    read = [
        lined([good, bad], 0, origin="a"),
        lined([bad], 2, origin="a"),
        lined([bad, good], 0, origin="b"),
        lined([bad], 2, origin="b"),
    ]
    (block,) = blocks(read, same, 10**6)
    assert [(part.origin, part.data.num_rows, len(part.rejected)) for part in block.parts] == [
        ("a", 1, 1),
        ("a", 0, 1),
        ("b", 1, 1),
        ("b", 0, 1),
    ]


def test_a_batch_may_be_prepared_in_pieces():
    data = pa.RecordBatch.from_pydict({"n": range(10)})

    def pieces(batch: Batch) -> list[Batch]:
        return [batch.slice(0, 3), batch.slice(3, 0), batch.slice(3, 7)]

    (block,) = blocks([Batch(data=data, origin="f", row=0)], pieces, 10**6)
    assert [part.row for part in block.parts] == [0, 3]


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
