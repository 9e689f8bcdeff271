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

from loader.encode import BlockEncoder, Orientation, assemble, row_widths
from loader.encode import texts as texts_module
from loader.encode.kernels import column_json
from loader.encode.texts import texts
from loader.model import DataType, data_type_of
from tests.encode.reading import (
    Number,
    check_values,
    compacting,
    encode,
    read,
    read_columns,
    rows_of,
    table_of,
)
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


ENDS = st.lists(st.integers(1, 24), max_size=3)
COMPACTING = st.sampled_from((1, 2048))


@given(batches() | wild_batches(), st.sampled_from(Orientation), ENDS, ENDS, COMPACTING)
@settings(max_examples=150)
def test_every_value_arrives_exactly(batch, orientation, cuts, batched, least):
    with compacting(least):
        text = encode(batch, orientation, *_within(batch, cuts, batched))
    check_values(read_columns(text, orientation, batch.schema.names), batch)


@given(batches() | wild_batches(), st.sampled_from(Orientation), ENDS, ENDS, COMPACTING)
@settings(max_examples=150)
def test_where_blocks_and_batches_end_changes_no_byte(batch, orientation, cuts, batched, least):
    whole = encode(batch, orientation)
    with compacting(least):
        assert encode(batch, orientation, *_within(batch, cuts, batched)) == whole


@given(batches() | wild_batches(), st.sampled_from(Orientation), st.data())
@settings(max_examples=150)
def test_a_slice_has_the_values_of_its_rows(batch, orientation, data):
    start = data.draw(st.integers(0, batch.num_rows - 1))
    stop = data.draw(st.integers(start + 1, batch.num_rows))
    whole = read(encode(batch, orientation))
    part = read(encode(batch.slice(start, stop - start), orientation))
    if orientation is not Orientation.COLUMN:
        assert part == whole[start:stop]
    else:
        assert part == [column[start:stop] for column in whole]


@given(wild_batches(), ENDS)
def test_lost_floats_are_counted_wherever_they_are(batch, cuts):
    def count(blocks):
        encoder = BlockEncoder(table_of(batch.schema), Orientation.COLUMN)
        total = collections.Counter()
        for block in blocks:
            total.update(encoder.encode([rows_of(block)]).non_finite)
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
    rows = [rows_of(_batch([part]), row=10 * n) for n, part in enumerate(parts)]
    whole = encoder.encode(rows)
    blocks = [encoder.encode([row]) for row in rows]
    assert whole.rows == sum(map(len, parts))
    assert _json([whole], orientation) == _json(blocks, orientation)


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (pa.array([7, None]), '"7"'),
        (pa.array([2**64 - 1, None], pa.uint64()), '"18446744073709551615"'),
        (pa.array([0.1, None], pa.float32()), '"0.1"'),
        (pa.array([decimal.Decimal("1.10"), None]), '"1.10"'),
        (pa.array([decimal.Decimal("1.10"), None]).dictionary_encode(), '"1.10"'),
        (build([5, None], pa.duration("s")), '"5"'),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_numbers_can_be_sent_as_texts_of_the_same_digits(array, text):
    batch = _batch([array])
    assert encode(batch, Orientation.COLUMN, as_text={"c"}) == f"[[{text},null]]".encode()
    assert encode(batch, Orientation.ROW, as_text={"c"}) == f"[[{text}],[null]]".encode()


def test_numbers_sent_as_texts_may_be_texts_or_no_numbers():
    numbers = pa.array(["007", None, "-1.50"])
    options = {"types": {"c": DataType.BIGDECIMAL}, "as_text": {"c"}}
    assert _json([_encoded(numbers, **options)], Orientation.COLUMN) == b'[["7",null,"-1.50"]]'
    block = _encoded(pa.array([1.5, float("nan")]), as_text={"c"})
    assert _json([block], Orientation.COLUMN) == b'[["1.5",null]]'
    assert block.non_finite == {"c": 1}


def test_of_a_large_dictionary_only_what_is_shown_is_written():
    entries = pa.array([f"e{number}" for number in range(100_000)])
    array = pa.DictionaryArray.from_arrays(pa.array([99_999, None, 5, 99_999]), entries)
    with mock.patch.object(texts_module, "_plain_texts", wraps=texts_module._plain_texts) as write:
        assert texts(array).to_pylist() == ['"e99999"', "null", '"e5"', '"e99999"']
    assert [len(call.args[0]) for call in write.mock_calls] == [2]
    assert row_widths(_batch([array])).tolist() == [9, 5, 5, 9]


class Unhashable(pa.ExtensionType):
    """What a user's extension type is: pyarrow gives it an equality and so takes its hash."""

    def __init__(self, storage: pa.DataType) -> None:
        super().__init__(storage, "tests.unhashable")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage, _serialized):
        return cls(storage)


@pytest.mark.parametrize(
    "stored", [pa.array([1, None]), pa.array([[1], None]), pa.array(["a", None])]
)
@pytest.mark.parametrize("orientation", Orientation)
def test_extension_types_of_users_are_their_storage(stored, orientation):
    array = pa.ExtensionArray.from_storage(Unhashable(stored.type), stored)
    assert encode(_batch([array]), orientation) == encode(_batch([stored]), orientation)
    assert row_widths(_batch([array])).tolist() == row_widths(_batch([stored])).tolist()


def _table(array, **options):
    return table_of(pa.schema([("c", array.type)]), **options)


def _json(blocks, orientation):
    return b"".join(assemble("t", 1, range(1), blocks, orientation).segments)


def _encoded(array, orientation=Orientation.COLUMN, **options):
    return BlockEncoder(_table(array, **options), orientation).encode([rows_of(_batch([array]))])


def test_chunk_brackets():
    batch = pa.RecordBatch.from_pydict({"a": [1, 2], "b": ["x", None]})
    assert encode(batch, Orientation.COLUMN) == b'[[1,2],["x",null]]'
    assert encode(batch, Orientation.ROW) == b'[[1,"x"],[2,null]]'
    assert encode(batch, Orientation.RECORDS) == b'[{"a":1,"b":"x"},{"a":2,"b":null}]'
    assert read(b"[1.50]") == [Number("1.50")]
