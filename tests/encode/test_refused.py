"""Values that cannot be told: taken out with their row, never a broken body."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from loader.encode import BlockEncoder, Orientation, assemble
from loader.encode.texts import texts
from loader.model import DataType
from tests.encode.reading import compacting, rows_of, table_of
from tests.encode.tables import build

TOO_LATE = 2_932_897 * 86_400


def encoded(arrays, orientation=Orientation.COLUMN, **options):
    """Encodes arrays as batches of one block; the first row is the 101st of its file."""
    table = table_of(pa.schema([("c", arrays[0].type)]), **options)
    rows, row = [], 100
    for array in arrays:
        rows.append(rows_of(pa.RecordBatch.from_arrays([array], ["c"]), "data/x.parquet", row))
        row += len(array)
    return BlockEncoder(table, orientation).encode(rows)


def refused(array, orientation=Orientation.COLUMN, **options):
    """The rows of an array that are refused, from 0."""
    return [bad.row - 101 for bad in encoded([array], orientation, **options).rejected]


def far(*seconds):
    return build(list(seconds), pa.timestamp("s"))


def unchecked(arrow, values):
    """Texts whose UTF-8 nobody has checked."""
    raw = pa.array(values, _BYTES[arrow])
    return pa.Array.from_buffers(arrow, len(raw), raw.buffers())


_BYTES = {
    pa.string(): pa.binary(),
    pa.large_string(): pa.large_binary(),
    pa.string_view(): pa.binary_view(),
}


def test_a_refused_value_is_named_by_file_row_and_column():
    (bad,) = encoded([pa.array(["1", "no"])], types={"c": DataType.BIGDECIMAL}).rejected
    assert (bad.origin, bad.row, bad.column, bad.value) == ("data/x.parquet", 102, "c", "no")
    assert bad.reason == "does not fit BIGDECIMAL: not a number"


@pytest.mark.parametrize("orientation", Orientation)
def test_the_other_rows_are_encoded(orientation):
    block = encoded([far(1, TOO_LATE, 2), far(TOO_LATE, 3)], orientation)
    text = b"".join(assemble("t", 1, range(5), [block], orientation).segments)
    assert [bad.row for bad in block.rejected] == [102, 104]
    assert block.rows == 3
    assert [text.count(f"00:00:0{n}".encode()) for n in range(4)] == [0, 1, 1, 1]
    json.loads(text)


# Truncated, a lone surrogate, an overlong NUL, beyond the last plane.
BROKEN = (b"\xff", b"\xe2\x82", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80")


@pytest.mark.parametrize("arrow", _BYTES, ids=str)
@pytest.mark.parametrize("raw", BROKEN, ids=lambda raw: raw.hex())
@pytest.mark.parametrize("orientation", Orientation)
def test_invalid_utf8_is_refused_wherever_it_is_kept(arrow, raw, orientation):
    array = unchecked(arrow, [b"ok", raw, None])
    lists = pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), array)
    maps = pa.MapArray.from_arrays(pa.array([0, 1, 2], pa.int32()), array.slice(0, 2), [1, 2])
    structs = pa.StructArray.from_arrays([array], ["a"])
    entries = pa.DictionaryArray.from_arrays(pa.array([0, 1, None]), array)
    known = pa.ExtensionArray.from_storage(pa.json_(arrow), array)
    for kept in (array, lists, maps, structs, entries, known):
        assert refused(kept, orientation) == [1], kept.type
        assert refused(kept.slice(1), orientation) == [0], kept.type
        assert refused(kept.slice(0, 1), orientation) == [], kept.type


def test_invalid_utf8_that_no_row_shows_is_no_matter():
    array = unchecked(pa.string(), [b"\xff", b"ok"])
    hidden = pa.StructArray.from_arrays([array], ["a"], mask=pa.array([True, False]))
    assert [json.loads(text) for text in texts(hidden).to_pylist()] == [None, '{"a":"ok"}']
    assert refused(pa.DictionaryArray.from_arrays(pa.array([1, None]), array)) == []


@pytest.mark.parametrize(
    ("array", "rows"),
    [
        (far(-62_135_596_801, -62_135_596_800, TOO_LATE - 1, TOO_LATE), [0, 3]),
        (
            pa.array([-719_163, -719_162, 2_932_896, 2_932_897], pa.int32()).view(pa.date32()),
            [0, 3],
        ),
        (pa.array([-1, 0, 1, 86_400_000, 2**63 - 1]).view(pa.date64()), [0, 2, 4]),
        (pa.array([-719_163 * 86_400_000, 0, None]).view(pa.date64()), [0]),
        (build([-1, 0, 86_399, 86_400], pa.time32("s")), [0, 3]),
        (build([-1, 0, 86_400_000 - 1, 86_400_000], pa.time32("ms")), [0, 3]),
        (build([-1, 0, 86_400_000_000 - 1, 86_400_000_000], pa.time64("us")), [0, 3]),
        (build([-1, 0, 86_400 * 10**9 - 1, 86_400 * 10**9], pa.time64("ns")), [0, 3]),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
@pytest.mark.parametrize("data_type", [None, DataType.STRING])
def test_times_that_iso_8601_cannot_say_are_refused(array, rows, data_type):
    types = {"c": data_type} if data_type else None
    assert refused(array, types=types) == rows
    assert refused(pa.ListArray.from_arrays([*range(len(array) + 1)], array)) == rows


@pytest.mark.parametrize(
    ("array", "rows"),
    [
        (pa.DictionaryArray.from_arrays(pa.array([1, None, 0, 2]), far(TOO_LATE, 0, 1)), [2]),
        (
            pa.DictionaryArray.from_arrays(
                pa.array([3, 3, 2, 0]), far(TOO_LATE + 1, 1, TOO_LATE, 0)
            ),
            [2, 3],
        ),
        (far(0, 0, TOO_LATE, 0), [2]),
        (pa.array([0, 0, 2_932_898, 2_932_896], pa.int32()).view(pa.date32()), [2]),
        (
            pa.ListArray.from_arrays(pa.array([0, 2, 2, 3, 4], pa.int32()), far(0, 1, TOO_LATE, 0)),
            [2],
        ),
        (pa.StructArray.from_arrays([far(0, 0, TOO_LATE, 0)], ["a"]), [2]),
        (
            pa.DictionaryArray.from_arrays(
                pa.array([1, 1, 0, 1]),
                pa.ListArray.from_arrays(pa.array([0, 3, 4], pa.int32()), far(0, 1, TOO_LATE, 0)),
            ),
            [2],
        ),
        (
            pa.ListArray.from_arrays(
                pa.array([0, 2, 2, 4, 4], pa.int32()),
                pa.DictionaryArray.from_arrays(pa.array([1, 1, 1, 0]), far(TOO_LATE, 0)),
            ),
            [2],
        ),
        (
            pa.RunEndEncodedArray.from_arrays(pa.array([2, 3, 4], pa.int32()), far(0, TOO_LATE, 0)),
            [2],
        ),
        (
            pa.UnionArray.from_sparse(
                pa.array([0, 0, 0, 1], pa.int8()), [far(0, 1, TOO_LATE, 0), far(TOO_LATE, 0, 0, 1)]
            ),
            [2],
        ),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
@pytest.mark.parametrize("orientation", Orientation)
@pytest.mark.parametrize("least", [1, 2048])
def test_a_refused_value_is_named_by_its_row_wherever_it_is_kept(array, rows, orientation, least):
    with compacting(least):
        assert refused(array, orientation) == rows


def test_texts_refused_in_a_dictionary_are_named_by_their_row():
    array = pa.array(["1", "2", "1", "no", "no"]).dictionary_encode()
    assert refused(array, types={"c": DataType.BIGDECIMAL}) == [3, 4]


def test_a_refused_value_in_a_batch_that_fits_no_other_is_named_by_its_row():
    first, second = (
        pa.DictionaryArray.from_arrays(pa.array([1, 2, 0], pa.int8()), pa.array([*entries, None]))
        for entries in (["1", "2"], ["no", "2"])
    )
    block = encoded([first, second], types={"c": DataType.BIGDECIMAL})
    assert [bad.row for bad in block.rejected] == [106]


@pytest.mark.parametrize("least", [1, 2048])
def test_an_entry_that_no_row_shows_refuses_nothing(least):
    shown = pa.array([1, None, 1], pa.uint8())
    array = pa.DictionaryArray.from_arrays(shown, far(TOO_LATE, 0))
    nested = pa.StructArray.from_arrays([array], ["a"])
    with compacting(least):
        moment = '"1970-01-01T00:00:00"'
        assert texts(array).to_pylist() == [moment, "null", moment]
        assert json.loads(texts(nested)[1].as_py()) == '{"a":null}'


@pytest.mark.parametrize(
    "text", ["", " ", "-", ".", "1,5", "0x10", "1e", "NaN", "inf", "\u0661", "1_0"]
)
def test_what_is_not_a_number_is_refused_as_bigdecimal(text):
    assert refused(pa.array(["1", text, None]), types={"c": DataType.BIGDECIMAL}) == [1]
