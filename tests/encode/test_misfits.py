"""Finding all values that a check refuses, whatever little it tells, in few calls."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.encode import BlockEncoder, Orientation
from loader.encode.misfits import Refusals, misfits
from loader.model import Column, DataType, Role, Table, data_type_of
from loader.sources import Batch
from tests.encode.tables import columns


class Check:
    """Refuses negative numbers, and tells of as many of them as it is told to."""

    def __init__(self, tells: str) -> None:
        self._tells = tells
        self.calls = 0

    def __call__(self, array: pa.Array) -> Refusals | None:
        self.calls += 1
        values = array.to_pylist()
        bad = [row for row, value in enumerate(values) if value is not None and value < 0]
        if not bad:
            return None
        if len(values) > 1:
            bad = {"all": bad, "first": bad[:1], "last": bad[-1:], "some": bad[::2], "none": []}[
                self._tells
            ]
        return Refusals(bad, "negative", [str(values[row]) for row in bad])


TELLS = ["all", "first", "last", "some", "none"]


@given(
    st.lists(st.none() | st.integers(-50, 50), max_size=60),
    st.sampled_from(TELLS),
    st.sampled_from(["plain", "dictionary", "run ends", "slice"]),
)
def test_all_are_found_and_no_other(values, tells, layout):
    array = pa.array(values, pa.int64())
    if layout == "dictionary":
        array = array.dictionary_encode()
    elif layout == "run ends":
        array = pc.run_end_encode(array)
    elif layout == "slice":
        array = pa.concat_arrays([pa.array([-1, None], pa.int64()), array]).slice(2)
    found = misfits(array, Check(tells))
    assert [(one.row, one.value, one.reason) for one in found] == [
        (row, str(value), "negative")
        for row, value in enumerate(values)
        if value is not None and value < 0
    ]


@pytest.mark.parametrize(
    ("tells", "bad", "most"),
    [
        ("all", 1000, 4),
        ("all", 1, 5),
        ("first", 1, 6),
        ("first", 1000, 2_100),
        ("none", 1, 30),
        ("none", 1000, 2_100),
    ],
)
def test_few_calls_are_enough(tells, bad, most):
    check = Check(tells)
    array = pa.array([-row - 1 if row < bad else row for row in range(1000)])
    assert len(misfits(array, check)) == bad
    assert check.calls <= most


def test_values_that_repeat_are_checked_once():
    check = Check("none")
    assert len(misfits(pa.array([-1, 5] * 50_000), check)) == 50_000
    assert check.calls < 10


@given(st.data(), st.sampled_from(Orientation), st.lists(st.booleans(), min_size=1, max_size=12))
def test_rows_of_any_layout_can_be_left_out(data, orientation, good):
    """The same bytes as from the good rows alone, each in a batch of its own."""
    array = data.draw(columns(len(good)))
    numbers = pa.array(["1" if fits else "x" for fits in good])
    batch = pa.RecordBatch.from_arrays([array, numbers], names=["c", "n"])
    any_type = data_type_of(array.type)
    assert any_type is not None
    table = Table(
        "t",
        (
            Column("c", array.type, array.type, any_type, Role.ATTRIBUTE, "c"),
            Column("n", pa.string(), pa.string(), DataType.BIGDECIMAL, Role.METRIC, "n"),
        ),
    )
    encoder = BlockEncoder(table, orientation)
    mixed = encoder.encode([Batch(batch, "f", 0)])
    alone = encoder.encode(
        [Batch(batch.slice(row, 1), "f", row) for row, fits in enumerate(good) if fits]
    )
    assert (mixed.rows, mixed.non_finite) == (alone.rows, alone.non_finite)
    assert [bad.row - 1 for bad in mixed.rejected] == [
        row for row, fits in enumerate(good) if not fits
    ]
    assert joined(mixed) == joined(alone)


def joined(block) -> list[bytes]:
    return [b",".join(map(bytes, lane)) for lane in block.lanes]
