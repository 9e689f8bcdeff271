from __future__ import annotations

import decimal
import json
import uuid

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.encode import BlockEncoder, Orientation
from loader.encode.block import column_json
from loader.encode.texts import texts
from loader.errors import BadValue
from loader.model import DataType, Roles, build_model, data_type_of
from tests.encode.reading import Number, Rows, encode, expected, read, same
from tests.encode.tables import SCALARS, arrays, build, uuids


@st.composite
def batches(draw):
    size = draw(st.integers(1, 25))
    columns = [
        draw(arrays(size=size, scalar=scalar))
        for scalar in draw(st.lists(st.sampled_from(SCALARS), min_size=1, max_size=5))
    ]
    return pa.RecordBatch.from_arrays(columns, names=[f"c{n}" for n in range(len(columns))])


@given(batches(), st.sampled_from(Orientation), st.lists(st.integers(1, 24), max_size=3))
def test_every_value_arrives_exactly(batch, orientation, cuts):
    cuts = [cut for cut in cuts if cut < batch.num_rows]
    values = read(encode(batch, orientation, cuts))
    if orientation is Orientation.ROW:
        assert len(values) == batch.num_rows
        values = [list(column) for column in zip(*values, strict=True)]
    assert len(values) == batch.num_columns
    for got, column in zip(values, batch.columns, strict=True):
        want = expected(column)
        assert len(got) == len(want)
        stored = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        for one, other in zip(got, want, strict=True):
            assert same(one, other, stored), (one, other, column.type)


@given(batches(), st.sampled_from(Orientation), st.lists(st.integers(1, 24), max_size=3))
def test_where_blocks_end_changes_no_byte(batch, orientation, cuts):
    cuts = [cut for cut in cuts if cut < batch.num_rows]
    assert encode(batch, orientation, cuts) == encode(batch, orientation)


@pytest.mark.parametrize("scalar", SCALARS, ids=lambda scalar: str(scalar[0]))
@settings(max_examples=25)
@given(data=st.data())
def test_shortcuts_give_the_bytes_of_the_texts(scalar, data):
    array = data.draw(arrays(scalar=scalar, size=8))
    data_type = data_type_of(array.type)
    assert data_type is not None
    joined = ",".join(texts(array, data_type).to_pylist())
    assert bytes(column_json(array, data_type)) == joined.encode()


def test_repeated_values_take_the_same_way_as_distinct_ones():
    few = [decimal.Decimal("1.10"), None, decimal.Decimal("-0.01")] * 1000
    array = pa.array(few, pa.decimal128(15, 2))
    assert texts(array).to_pylist() == ["1.10", "null", "-0.01"] * 1000


@pytest.mark.parametrize(
    ("value", "arrow", "text"),
    [
        (0.1, pa.float32(), "0.1"),
        (0.1, pa.float16(), "0.1"),
        (1e-11, pa.float64(), "1e-11"),
        (-0.0, pa.float64(), "-0.0"),
        (2**64 - 1, pa.uint64(), "18446744073709551615"),
        (decimal.Decimal("1E-10"), pa.decimal128(12, 10), "0.0000000001"),
        (decimal.Decimal(12000), pa.decimal128(5, -3), "12000"),
        ('a"b\\c\n\x01é\U0001f600', pa.string(), '"a\\"b\\\\c\\n\\u0001é\U0001f600"'),
        (b"\x00\xff", pa.binary(), '"AP8="'),
    ],
)
def test_known_texts(value, arrow, text):
    assert texts(pa.array([value, None], arrow)).to_pylist() == [text, "null"]


@pytest.mark.parametrize(
    ("stored", "arrow", "text"),
    [
        (-1, pa.timestamp("s"), "1969-12-31T23:59:59"),
        (-1, pa.timestamp("ms"), "1969-12-31T23:59:59.999"),
        (1, pa.timestamp("us", "America/New_York"), "1970-01-01T00:00:00.000001Z"),
        (1_500_000_000, pa.timestamp("ns"), "1970-01-01T00:00:01.500"),
        (86_399_999_999_999, pa.time64("ns"), "23:59:59.999999999"),
        (1_000, pa.time32("ms"), "00:00:01"),
    ],
)
def test_fractions_only_where_a_value_has_one(stored, arrow, text):
    assert texts(build([stored], arrow)).to_pylist() == [f'"{text}"']


@pytest.mark.parametrize(
    ("array", "want"),
    [
        (pa.array([[1, None], [], None], pa.list_(pa.int8())), ["[1,null]", "[]", None]),
        (pa.array([['a"b'], None], pa.large_list(pa.string())), ['["a\\"b"]', None]),
        (pa.array([[1, 2], None], pa.list_(pa.int8(), 2)), ["[1,2]", None]),
        (
            pa.array([[("k", 1.5)], None, []], pa.map_(pa.string(), pa.float64())),
            ['{"k":1.5}', None, "{}"],
        ),
        (pa.array([[(7, "x")]], pa.map_(pa.int32(), pa.string())), ['{"7":"x"}']),
        (
            pa.array(
                [{"a": [{"b": None}]}, None],
                pa.struct([("a", pa.list_(pa.struct([("b", pa.int8())])))]),
            ),
            ['{"a":[{"b":null}]}', None],
        ),
        (uuids([uuid.UUID(int=5), None]), ["00000000-0000-0000-0000-000000000005", None]),
    ],
)
def test_nested_values_are_texts_of_json(array, want):
    assert [json.loads(text) for text in texts(array).to_pylist()] == want
    assert [json.loads(text) for text in texts(array.slice(1)).to_pylist()] == want[1:]


def test_a_struct_keeps_both_fields_of_one_name():
    array = pa.StructArray.from_arrays(
        [pa.array([1]), pa.array([decimal.Decimal("2.5")], pa.decimal128(9, 4))], names=["n", "n"]
    )
    assert [json.loads(text) for text in texts(array).to_pylist()] == ['{"n":1,"n":2.5000}']


def test_unions_of_both_modes():
    codes = pa.array([0, 1, 0], pa.int8())
    sparse = pa.UnionArray.from_sparse(codes, [pa.array([1, 2, None]), pa.array(["a", "b", "c"])])
    assert [json.loads(text) for text in texts(sparse).to_pylist()] == ["1", '"b"', "null"]
    dense = pa.UnionArray.from_dense(
        codes, pa.array([1, 0, 0], pa.int32()), [pa.array([1, 2]), pa.array(["b"])]
    )
    assert [json.loads(text) for text in texts(dense).to_pylist()] == ["2", '"b"', "1"]


def test_run_end_encoded_columns_are_what_they_stand_for():
    array = pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["x", None]))
    assert texts(array).to_pylist() == ['"x"', '"x"', "null"]


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (pa.array([7, None]), '"7"'),
        (pa.array([1.5, None]), '"1.5"'),
        (pa.array([True, None]), '"true"'),
        (pa.array([0, None], pa.int32()).view(pa.date32()), '"1970-01-01"'),
    ],
)
def test_any_value_can_be_sent_as_a_text(array, text):
    assert texts(array, DataType.STRING).to_pylist() == [text, "null"]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1.10", "1.10"),
        ("+1", "1"),
        (".5", "0.5"),
        ("007", "7"),
        (" -3 ", "-3"),
        ("1e5", "1e5"),
        ("12345678901234567890123456789012345678901234567890.5",) * 2,
    ],
)
def test_texts_sent_as_bigdecimal_keep_their_digits(text, number):
    assert texts(pa.array([text, None]), DataType.BIGDECIMAL).to_pylist() == [number, "null"]


def _table(array, **roles):
    return build_model("d", {"t": pa.schema([("c", array.type)])}, Roles(**roles)).tables[0]


def _refused(array, **roles):
    encoder = BlockEncoder(_table(array, **roles), Orientation.COLUMN)
    batch = pa.RecordBatch.from_arrays([array], names=["c"])
    with pytest.raises(BadValue) as caught:
        encoder.encode([Rows(batch, "data/x.parquet", row=100)])
    return caught.value


def test_a_refused_value_is_named_by_file_row_and_column():
    error = _refused(pa.array(["1", "no"]), types={"c": DataType.BIGDECIMAL})
    assert (
        error.message
        == "data/x.parquet, row 102, column 'c': 'no' does not fit BIGDECIMAL: not a number"
    )
    assert error.details["row"] == 102
    assert "--type c=STRING" in error.hint


def test_invalid_utf8_is_refused():
    array = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xff")]
    )
    error = _refused(array)
    assert (error.details["row"], "not valid UTF-8" in error.message) == (102, True)


@pytest.mark.parametrize(
    "array",
    [
        build([0, 2_932_897 * 86_400], pa.timestamp("s")),
        pa.array([0, -719_163], pa.int32()).view(pa.date32()),
        build([0, 86_400], pa.time32("s")),
    ],
    ids=["timestamp", "date", "time"],
)
def test_times_that_iso_8601_cannot_say_are_refused(array):
    assert _refused(array).details["row"] == 102


@pytest.mark.parametrize("orientation", Orientation)
def test_values_that_become_null_are_counted(orientation):
    array = pa.array([1.0, float("nan"), None, float("-inf")])
    encoder = BlockEncoder(_table(array), orientation)
    encoded = encoder.encode([Rows(pa.RecordBatch.from_arrays([array], names=["c"]))])
    assert encoded.non_finite == {"c": 2}


def test_chunk_brackets():
    batch = pa.RecordBatch.from_pydict({"a": [1, 2], "b": ["x", None]})
    assert encode(batch, Orientation.COLUMN) == b'[[1,2],["x",null]]'
    assert encode(batch, Orientation.ROW) == b'[[1,"x"],[2,null]]'
    assert read(b"[1.50]") == [Number("1.50")]
