from __future__ import annotations

import collections
import decimal
import json
import uuid
from unittest import mock

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.encode import BlockEncoder, Orientation, assemble
from loader.encode import texts as texts_module
from loader.encode.block import column_json
from loader.encode.texts import texts
from loader.errors import BadValue
from loader.model import DataType, Roles, build_model, data_type_of
from loader.model.types import storage_type
from tests.encode.reading import Number, Rows, encode, expected, read, same, same_text
from tests.encode.tables import SCALARS, arrays, build, columns, uuids


@st.composite
def batches(draw):
    size = draw(st.integers(1, 25))
    drawn = [
        draw(arrays(size=size, scalar=scalar))
        for scalar in draw(st.lists(st.sampled_from(SCALARS), min_size=1, max_size=5))
    ]
    return _batch(drawn)


@st.composite
def wild_batches(draw):
    """Every layout, a few rows."""
    size = draw(st.integers(1, 8))
    return _batch([draw(columns(size)) for _ in range(draw(st.integers(1, 2)))])


def _batch(arrays):
    return pa.RecordBatch.from_arrays(arrays, names=["c", "d", "e", "f", "g"][: len(arrays)])


def _compacting(at):
    """Has the encoder look for repeated values from so many rows on."""
    return mock.patch.object(texts_module, "_WORTH_A_SAMPLE", at)


ENDS = st.lists(st.integers(1, 24), max_size=3)
COMPACTING = st.sampled_from((1, 2048))


@given(batches() | wild_batches(), st.sampled_from(Orientation), ENDS, ENDS, COMPACTING)
@settings(max_examples=150)
def test_every_value_arrives_exactly(batch, orientation, cuts, batched, compacting):
    with _compacting(compacting):
        values = read(encode(batch, orientation, *_within(batch, cuts, batched)))
    if orientation is Orientation.ROW:
        assert len(values) == batch.num_rows
        values = [list(column) for column in zip(*values, strict=True)]
    assert len(values) == batch.num_columns
    for got, column in zip(values, batch.columns, strict=True):
        want = expected(column)
        assert len(got) == len(want)
        agrees = same_text if pa.types.is_nested(storage_type(column.type)) else same
        for one, other in zip(got, want, strict=True):
            assert agrees(one, other), (one, other, column.type)


@given(batches() | wild_batches(), st.sampled_from(Orientation), ENDS, ENDS, COMPACTING)
@settings(max_examples=150)
def test_where_blocks_and_batches_end_changes_no_byte(
    batch, orientation, cuts, batched, compacting
):
    whole = encode(batch, orientation)
    with _compacting(compacting):
        assert encode(batch, orientation, *_within(batch, cuts, batched)) == whole


@given(batches() | wild_batches(), st.sampled_from(Orientation), st.data())
@settings(max_examples=150)
def test_a_slice_has_the_values_of_its_rows(batch, orientation, data):
    start = data.draw(st.integers(0, batch.num_rows - 1))
    stop = data.draw(st.integers(start + 1, batch.num_rows))
    whole = read(encode(batch, orientation))
    part = read(encode(batch.slice(start, stop - start), orientation))
    if orientation is Orientation.ROW:
        assert part == whole[start:stop]
    else:
        assert part == [column[start:stop] for column in whole]


@given(wild_batches(), ENDS)
def test_lost_floats_are_counted_wherever_they_are(batch, cuts):
    def count(blocks):
        encoder = BlockEncoder(_model(batch.schema), Orientation.COLUMN)
        total = collections.Counter()
        for block in blocks:
            total.update(encoder.encode([Rows(block)]).non_finite)
        return total

    ends = sorted({*_within(batch, cuts)[0], batch.num_rows})
    slices = [batch.slice(a, b - a) for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    assert count(slices) == count([batch])


def _within(batch, *ends):
    return [[end for end in some if end < batch.num_rows] for some in ends]


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
    assert [json.loads(text) for text in texts(sparse).to_pylist()] == ["1", '"b"', None]
    dense = pa.UnionArray.from_dense(
        codes, pa.array([1, 0, 0], pa.int32()), [pa.array([1, 2]), pa.array(["b"])]
    )
    assert [json.loads(text) for text in texts(dense).to_pylist()] == ["2", '"b"', "1"]


@pytest.mark.parametrize("dense", [True, False])
def test_slices_of_unions_and_unions_inside_lists(dense):
    codes, numbers, letters = (
        pa.array([0, 1, 1, 0], pa.int8()),
        pa.array([1, 2, 3, 4]),
        list("abcd"),
    )
    union = (
        pa.UnionArray.from_dense(
            codes, pa.array([0, 0, 1, 2], pa.int32()), [numbers, pa.array(letters)]
        )
        if dense
        else pa.UnionArray.from_sparse(codes, [numbers, pa.array(letters)])
    )
    want = ["1", '"a"', '"b"', "3"] if dense else ["1", '"b"', '"c"', "4"]
    for start in range(4):
        assert list(map(json.loads, texts(union.slice(start)).to_pylist())) == want[start:]
    lists = pa.ListArray.from_arrays(pa.array([0, 1, 1, 4], pa.int32()), union).slice(1)
    assert list(map(json.loads, texts(lists).to_pylist())) == ["[]", f"[{','.join(want[1:])}]"]


@pytest.mark.parametrize("wrap", ["union", "run ends"])
def test_null_structs_of_values_that_cannot_be_null(wrap):
    values = pa.array([1.5, float("nan"), 3.0])
    child = (
        pa.UnionArray.from_sparse(pa.array([0, 0, 0], pa.int8()), [values])
        if wrap == "union"
        else pc.run_end_encode(values)
    )
    structs = pa.StructArray.from_arrays([child], ["a"], mask=pa.array([False, True, False]))
    got = texts(structs).to_pylist()
    assert [json.loads(text) for text in got] == ['{"a":1.5}', None, '{"a":3.0}']
    assert _encoded(structs).non_finite == {}


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


def _model(schema, **roles):
    return build_model("d", {"t": schema}, Roles(**roles)).tables[0]


def _table(array, **roles):
    return _model(pa.schema([("c", array.type)]), **roles)


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


def _far(*seconds):
    return build(list(seconds), pa.timestamp("s"))


TOO_LATE = 2_932_897 * 86_400


@pytest.mark.parametrize(
    "array",
    [
        pa.DictionaryArray.from_arrays(pa.array([1, None, 0, 2]), _far(TOO_LATE, 0, 1)),
        pa.DictionaryArray.from_arrays(pa.array([3, 3, 2, 0]), _far(TOO_LATE + 1, 1, TOO_LATE, 0)),
        _far(0, 0, TOO_LATE, 0),
        pa.array([0, 3, 2_932_897, 2_932_898], pa.int32()).view(pa.date32()).take([0, 0, 3, 2]),
        pa.ListArray.from_arrays(pa.array([0, 2, 2, 3, 4], pa.int32()), _far(0, 1, TOO_LATE, 0)),
        pa.StructArray.from_arrays([_far(0, 0, TOO_LATE, TOO_LATE)], ["a"]),
        pa.DictionaryArray.from_arrays(
            pa.array([1, 1, 0, 0]),
            pa.ListArray.from_arrays(pa.array([0, 3, 4], pa.int32()), _far(0, 1, TOO_LATE, 0)),
        ),
        pa.ListArray.from_arrays(
            pa.array([0, 2, 2, 4, 4], pa.int32()),
            pa.DictionaryArray.from_arrays(pa.array([1, 1, 1, 0]), _far(TOO_LATE, 0)),
        ),
        pa.RunEndEncodedArray.from_arrays(pa.array([2, 4], pa.int32()), _far(0, TOO_LATE)),
    ],
    ids=lambda array: str(array.type),
)
@pytest.mark.parametrize("orientation", Orientation)
@pytest.mark.parametrize("compacting", [1, 2048])
def test_a_refused_value_is_named_by_its_row_wherever_it_is_kept(array, orientation, compacting):
    with _compacting(compacting), pytest.raises(BadValue) as caught:
        _encoded(array, orientation)
    assert caught.value.details["row"] == 3


def test_texts_refused_in_a_dictionary_are_named_by_their_row():
    array = pa.array(["1", "2", "1", "no", "no"]).dictionary_encode()
    assert _refused(array, types={"c": DataType.BIGDECIMAL}).details["row"] == 104


@pytest.mark.parametrize("compacting", [1, 2048])
def test_an_entry_that_no_row_shows_refuses_nothing(compacting):
    shown = pa.array([1, None, 1], pa.uint8())
    array = pa.DictionaryArray.from_arrays(shown, _far(TOO_LATE, 0))
    nested = pa.StructArray.from_arrays([array], ["a"])
    with _compacting(compacting):
        moment = '"1970-01-01T00:00:00"'
        assert texts(array).to_pylist() == [moment, "null", moment]
        assert json.loads(texts(nested)[1].as_py()) == '{"a":null}'


@pytest.mark.parametrize("orientation", Orientation)
def test_values_that_become_null_are_counted(orientation):
    array = pa.array([1.0, float("nan"), None, float("-inf")])
    assert _encoded(array, orientation).non_finite == {"c": 2}


_LOST = pa.array([float("nan"), 1.0, None, float("inf"), float("-inf")])


@pytest.mark.parametrize(
    ("array", "lost"),
    [
        (_LOST.cast(pa.float16()), 3),
        (pc.run_end_encode(_LOST), 3),
        (pc.run_end_encode(_LOST).slice(1, 3), 1),
        (pa.DictionaryArray.from_arrays(pa.array([0, 0, None, 2, 1]), _LOST), 2),
        (pa.ListArray.from_arrays([0, 2, 4, 5], _LOST, mask=pa.array([False, True, False])), 2),
        (pa.FixedSizeListArray.from_arrays(_LOST.slice(1), 2), 2),
        (pa.StructArray.from_arrays([_LOST, _LOST], ["a", "b"], mask=_LOST.is_null()), 6),
        (
            pa.array([[("a", float("nan")), ("b", 1.0)], None], pa.map_(pa.string(), pa.float32())),
            1,
        ),
        (pa.UnionArray.from_sparse(pa.array([0, 0, 0, 0, 1], pa.int8()), [_LOST, _LOST]), 3),
        (pa.array([[{"a": [float("nan")]}]]), 1),
        (pa.array([["NaN"], None]), 0),
    ],
    ids=lambda value: str(getattr(value, "type", value)),
)
@pytest.mark.parametrize("orientation", Orientation)
def test_values_that_become_null_are_counted_wherever_they_are(array, lost, orientation):
    assert _encoded(array, orientation).non_finite == ({"c": lost} if lost else {})


def _few(*entries):
    return pa.DictionaryArray.from_arrays(pa.array([0, 1, None], pa.int8()), pa.array(entries))


@pytest.mark.parametrize(
    "parts",
    [
        [_few("a", None), _few("b", None)],
        [_few([1], [2]), _few([3], None)],
        [
            pa.array([f"{letter}{n}" for n in range(100)])
            .dictionary_encode()
            .cast(pa.dictionary(pa.int8(), pa.string()))
            for letter in "ab"
        ],
        [pc.run_end_encode(pa.array([1, 1, n])) for n in range(2)],
        [
            pa.UnionArray.from_sparse(
                pa.array([0, 1], pa.int8()), [pa.array([1, 2]), _few("a", n).slice(0, 2)]
            )
            for n in "bc"
        ],
        [pa.array([text, None, "x" * 20], pa.string_view()) for text in "ab"],
        [uuids([uuid.UUID(int=n), None]) for n in range(2)],
    ],
    ids=lambda parts: str(parts[0].type),
)
@pytest.mark.parametrize("orientation", Orientation)
def test_batches_in_one_block_need_not_fit_together(parts, orientation):
    encoder = BlockEncoder(_table(parts[0]), orientation)
    rows = [Rows(_batch([part]), row=10 * n) for n, part in enumerate(parts)]
    whole = encoder.encode(rows)
    blocks = [encoder.encode([row]) for row in rows]
    assert whole.rows == sum(map(len, parts))
    assert _json([whole], orientation) == _json(blocks, orientation)


def test_a_refused_value_in_a_batch_that_fits_no_other_is_named_by_its_row():
    first, second = (
        pa.DictionaryArray.from_arrays(pa.array([1, 2, 0], pa.int8()), pa.array([*entries, None]))
        for entries in (["1", "2"], ["no", "2"])
    )
    encoder = BlockEncoder(_table(first, types={"c": DataType.BIGDECIMAL}), Orientation.COLUMN)
    with pytest.raises(BadValue) as caught:
        encoder.encode([Rows(_batch([first]), row=10), Rows(_batch([second]), row=13)])
    assert caught.value.details["row"] == 16


def _json(blocks, orientation):
    return b"".join(assemble("t", 1, 0, blocks, orientation).segments)


def _encoded(array, orientation=Orientation.COLUMN):
    return BlockEncoder(_table(array), orientation).encode([Rows(_batch([array]))])


def test_chunk_brackets():
    batch = pa.RecordBatch.from_pydict({"a": [1, 2], "b": ["x", None]})
    assert encode(batch, Orientation.COLUMN) == b'[[1,2],["x",null]]'
    assert encode(batch, Orientation.ROW) == b'[[1,"x"],[2,null]]'
    assert read(b"[1.50]") == [Number("1.50")]
