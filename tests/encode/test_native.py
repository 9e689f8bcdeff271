"""The compiled encoder against Arrow's kernels: the same bytes, counts and refusals."""

from __future__ import annotations

import gc
import itertools
import threading

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.encode import BlockEncoder, Orientation, assemble, native_available, native_missing
from loader.encode.numbers import floats
from loader.model import DataType, data_type_of
from tests.encode.reading import compacting, rows_of, table_of
from tests.encode.tables import SCALARS, arrays, build, columns
from tests.encode.test_refused import unchecked

pytestmark = pytest.mark.skipif(not native_available(), reason=str(native_missing()))
if native_available():
    from loader.encode import _native

NAMES = ["c", 'd"', "e.f", "\u00e9", "g" * 20]


def outcome(block, orientation):
    """What has to be the same; lanes may be cut into segments differently."""
    text = (
        b"".join(assemble("t", 1, range(1), [block], orientation).segments) if block.rows else b""
    )
    return text, block.size, block.rows, block.non_finite, block.rejected


def both(parts, orientation, table):
    """What both paths make of batches, each of a file, that are one block."""
    rows, row = [], 0
    for part, origin in parts:
        rows.append(rows_of(part, origin, row))
        row += part.num_rows
    for native in (True, False):
        yield BlockEncoder(table, orientation, native=native).encode(rows)


def check(parts, orientation, **options):
    ours, theirs = both(parts, orientation, table_of(parts[0][0].schema, **options))
    assert outcome(ours, orientation) == outcome(theirs, orientation)
    return ours


def check_array(array, **options):
    batch = pa.RecordBatch.from_arrays([array], ["c"])
    for orientation in Orientation:
        check([(batch, "f")], orientation, **options)


BEYOND = 2_932_897 * 86_400

# Values that are refused, as they are stored: too early or late, with a time of day, not a text.
REFUSED = [
    (pa.timestamp("s"), st.sampled_from([BEYOND, -(2**63), 0])),
    (pa.timestamp("ns", "UTC"), st.integers(-(2**63), 2**63 - 1)),
    (pa.time64("us"), st.sampled_from([-1, 86_400_000_000, 5])),
    (pa.time32("s"), st.sampled_from([-1, 86_400, 86_399])),
]
RAW = st.binary(max_size=5) | st.sampled_from([b"\xed\xa0\x80", b"a" * 20 + b"\xff", b"\xc3\xa9\n"])


@st.composite
def odd_arrays(draw, size):
    """Arrays with values that have no text."""
    kind = draw(st.sampled_from(["stored", "date32", "date64", "text"]))
    few = {"min_size": size, "max_size": size}
    if kind == "stored":
        arrow, values = draw(st.sampled_from(REFUSED))
        return build(draw(st.lists(st.none() | values, **few)), arrow)
    if kind == "date32":
        days = st.sampled_from([-719_163, -719_162, 2_932_896, 2_932_897, None, 0])
        return pa.array(draw(st.lists(days, **few)), pa.int32()).view(pa.date32())
    if kind == "date64":
        stored = st.sampled_from([0, 86_400_000, 1, -1, None, 2**63 - 1])
        return pa.array(draw(st.lists(stored, **few)), pa.int64()).view(pa.date64())
    arrow = draw(st.sampled_from([pa.string(), pa.large_string(), pa.string_view()]))
    return unchecked(arrow, draw(st.lists(st.none() | RAW, **few)))


NUMBERS = st.sampled_from(
    [*("1", "-0.5", "1e5", "1E+07"), *("007", "+1", " 2"), *("no", "", "-", "1."), None]
)


@st.composite
def tables(draw):
    """Columns of any type, some with values that are refused, as batches of one or two files."""
    rows, offset = draw(st.integers(1, 80)), draw(st.integers(0, 3))
    size = rows + offset
    drawn = [
        draw(
            st.one_of(
                st.sampled_from(SCALARS).flatmap(lambda scalar: arrays(scalar, size)),
                columns(size),
                odd_arrays(size),
                st.lists(NUMBERS, min_size=size, max_size=size).map(pa.array),
            )
        )
        for _ in range(draw(st.integers(1, 5)))
    ]
    batch = pa.RecordBatch.from_arrays(drawn, NAMES[: len(drawn)]).slice(offset)
    cuts = sorted({0, *(cut for cut in draw(st.lists(st.integers(0, 80))) if cut < rows)})
    first = draw(st.integers(0, len(cuts)))
    return [
        (batch.slice(start, stop - start), "f" if place < first else "g")
        for place, (start, stop) in enumerate(itertools.pairwise([*cuts, rows]))
    ]


@given(parts=tables(), orientation=st.sampled_from(Orientation), data=st.data())
@settings(max_examples=100)
def test_both_paths_give_the_same(parts, orientation, data):
    schema = parts[0][0].schema
    types, as_text = {}, set()
    for field in schema:
        options = [None, DataType.STRING]
        if pa.types.is_string(field.type):
            options = [None, DataType.BIGDECIMAL]
        wanted = data.draw(st.sampled_from(options))
        if wanted is not None:
            types[field.name] = wanted
        elif data.draw(st.booleans()):
            as_text.add(field.name)
    with compacting(data.draw(st.sampled_from((1, 2048)))):
        check(parts, orientation, types=types, as_text=as_text)


@pytest.mark.parametrize("scalar", SCALARS, ids=lambda scalar: str(scalar[0]))
@settings(max_examples=10)
@given(data=st.data())
def test_tiles_of_one_type(scalar, data):
    """Longer arrays, with and without nulls: values are written in tiles of 64."""
    arrow, values = scalar
    few = data.draw(st.lists(values, min_size=1, max_size=12))
    nulls = data.draw(st.booleans())
    size = data.draw(st.integers(60, 200))
    picks = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, len(few) + nulls, size)
    array = build([*few, None], arrow).take(pa.array(picks)) if _takes(arrow) else None
    if array is None:
        array = build([[*few, None][pick] for pick in picks], arrow)
    check_array(array.slice(data.draw(st.integers(0, 9))))


def _takes(arrow):
    return not pa.types.is_binary_view(arrow) and not pa.types.is_string_view(arrow)


BITS = np.random.default_rng(5)


@pytest.mark.parametrize(
    "values",
    [
        BITS.integers(0, 2**64, 50_000, np.uint64).view(np.float64),
        BITS.integers(0, 2**32, 50_000, np.uint32).view(np.float32),
        np.arange(2**16, dtype=np.uint16).view(np.float16),
        np.array([10.0**power for power in range(-323, 309)]),
        np.arange(1, 3000, dtype=np.uint64).view(np.float64),
        np.round(BITS.random(50_000) * 10.0 ** BITS.integers(0, 9, 50_000), 2),
        BITS.integers(-(2**63), 2**63 - 1, 50_000).astype(np.float64),
        (np.arange(2047, dtype=np.uint64) << np.uint64(52)).view(np.float64),
        ((np.arange(1, 2047, dtype=np.uint64) << np.uint64(52)) - np.uint64(1)).view(np.float64),
        (np.arange(255, dtype=np.uint32) << np.uint32(23)).view(np.float32),
    ],
    ids=[
        *("any double", "any float", "every half", "powers of ten", "subnormal", "prices", "whole"),
        *("powers of two", "before powers of two", "float powers of two"),
    ],
)
def test_floats_have_the_digits_that_orjson_gives_them(values):
    array = pa.array(values)
    batch = pa.RecordBatch.from_arrays([array], ["c"])
    block = check([(batch, "f")], Orientation.COLUMN)
    shortest = ",".join(floats(array).to_pylist()).encode()
    assert b",".join(map(bytes, block.lanes[0])) == shortest


@pytest.mark.parametrize("digits", range(1, 20))
def test_integers_and_decimals_of_every_length(digits):
    edges = sorted({10 ** (digits - 1), 10**digits - 1, 5 * 10 ** (digits - 1)})
    whole = [sign * edge for edge in edges for sign in (1, -1)] * 30
    check_array(pa.array([number for number in whole if abs(number) < 2**63], pa.int64()))
    check_array(pa.array([abs(number) for number in whole], pa.uint64()))
    for scale in (-3, 0, 1, 2, 7, 8, 9, 16, 17, 25):
        stored = pa.array(whole, pa.decimal128(38, 0))
        check_array(pa.Array.from_buffers(pa.decimal128(38, scale), len(stored), stored.buffers()))


def test_every_day_of_the_calendar():
    check_array(pa.array(np.arange(-719_162, 2_932_897, 7, dtype=np.int32)).view(pa.date32()))
    check_array(pa.array(np.arange(-26_000, 48_000, dtype=np.int32)).view(pa.date32()))


def test_every_character():
    every = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    check_array(pa.array(["".join(every[at : at + 40]) for at in range(0, len(every), 40)]))
    check_array(pa.array([letter * 7 + character for letter in "ab" for character in every[:300]]))


@pytest.mark.parametrize("arrow", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
@pytest.mark.parametrize("length", [*range(70), 4095, 4096, 4097, 300_000])
def test_what_is_escaped_may_be_anywhere(arrow, length):
    for text in ("x" * length, "x" * length + '"', "é" + "x" * length, "x" * length + "\x1f"):
        check_array(pa.array([text], arrow))
    check_array(unchecked(arrow, [b"x" * length + b"\xff", b"x" * length + b"\xc3", b"ok", None]))


@pytest.mark.parametrize("wide", [1, 50_000, 3_000_000])
def test_values_may_be_longer_than_a_slab(wide):
    texts = pa.array(["a" * wide, None, "b\n" * (wide // 2), "c"])
    batch = pa.RecordBatch.from_arrays([texts, pa.array(range(4)), texts], ["a", "b", "c"])
    for orientation in Orientation:
        check([(batch, "f")], orientation)


def test_columns_run_on_from_slab_to_slab():
    count = 700_000
    batch = pa.RecordBatch.from_arrays(
        [pa.array(np.arange(count)), pa.array(["text"] * count)], ["a", "b"]
    )
    for orientation in Orientation:
        block = check([(batch, "f"), (batch, "f")], orientation)
        assert max(map(len, block.lanes)) > 2


def test_memory_is_used_again_and_given_back():
    batch = pa.RecordBatch.from_arrays([pa.array(np.arange(2_000_000))], ["a"])
    encoder = BlockEncoder(table_of(batch.schema), Orientation.COLUMN)
    gc.collect()
    before, _ = _native.slabs()
    blocks = [encoder.encode([rows_of(batch)]) for _ in range(3)]
    used, _ = _native.slabs()
    assert used >= before + 3 * blocks[0].size // (2 << 20)
    kept = bytes(blocks[1].lanes[0][0][:100])
    view = blocks[1].lanes[0][0][:100]
    del blocks
    after, spare = _native.slabs()
    assert after <= before + 2  # the view's, and the one that the next block goes on with
    assert 0 < spare <= after + 8
    encoder.encode([rows_of(batch)])
    assert bytes(view) == kept


def test_segments_are_read_only_bytes():
    batch = pa.RecordBatch.from_arrays([pa.array([1, 2])], ["a"])
    ((segment,),) = (
        BlockEncoder(table_of(batch.schema), Orientation.COLUMN).encode([rows_of(batch)]).lanes
    )
    assert (segment.format, segment.readonly, bytes(segment)) == ("B", True, b"1,2")
    with pytest.raises(TypeError):
        type(segment.obj)()


def test_several_threads_at_once():
    array = pa.array([f"text {number}" for number in range(5_000)])
    batch = pa.RecordBatch.from_arrays([array, pa.array(range(5_000))], ["a", "b"])
    encoder = BlockEncoder(table_of(batch.schema), Orientation.ROW)
    expected = outcome(encoder.encode([rows_of(batch)]), Orientation.ROW)
    wrong = []

    def work():
        blocks = (encoder.encode([rows_of(batch)]) for _ in range(40))
        wrong.extend(block for block in blocks if outcome(block, Orientation.ROW) != expected)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_metadata_of_a_field_does_not_make_an_extension_type():
    field = pa.field("c", pa.binary(16), metadata={"ARROW:extension:name": "arrow.uuid"})
    batch = pa.RecordBatch.from_arrays(
        [pa.array([b"0" * 16], pa.binary(16))], schema=pa.schema([field])
    )
    for orientation in Orientation:
        check([(batch, "f")], orientation)


@pytest.mark.parametrize(
    "array",
    [
        *(build([None], arrow) for arrow, _ in SCALARS),
        pa.array(["a", None]).dictionary_encode(),
        pc.run_end_encode(pa.array([1, 1, None])),
        pa.array([[1], None], pa.list_(pa.int8())),
        pa.array([[1, 2], None], pa.list_(pa.int8(), 2)),
        pa.array([[1], None], pa.list_view(pa.int8())),
        pa.array([{"a": ["b"]}]),
        pa.array([[("k", 1.5)]], pa.map_(pa.string(), pa.float64())),
        pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])]),
    ],
    ids=lambda array: str(array.type),
)
def test_no_type_is_left_to_the_kernels(array):
    batch = pa.RecordBatch.from_arrays([array], ["c"])
    encoder = BlockEncoder(table_of(batch.schema), Orientation.ROW)
    assert encoder._native is not None
    assert encoder._native.write_alone([batch]) is not None
    assert encoder._native.write_alone([batch.slice(0, 0)]) is not None


def test_a_name_that_c_cannot_tell_is_left_to_them():
    batch = pa.RecordBatch.from_arrays([pa.array([{"a\0b": 1}]), pa.array([1])], ["c", "d"])
    encoder = BlockEncoder(table_of(batch.schema), Orientation.ROW)
    assert encoder._native is not None
    assert encoder._native.write_alone([batch]) is None
    for orientation in Orientation:
        check([(batch, "f")], orientation)


def test_a_dictionary_longer_than_its_rows():
    entries = pa.array([f"e{number}" for number in range(1000)])
    shown = pa.array([999, None, 5, 999], pa.int16())
    check_array(pa.DictionaryArray.from_arrays(shown, entries))
    without = pc.if_else(pc.equal(entries, "e5"), None, entries)
    check_array(pa.DictionaryArray.from_arrays(shown, without))


def test_run_ends_from_anywhere():
    ends = pa.array([3, 70, 71, 200], pa.int32())
    array = pa.RunEndEncodedArray.from_arrays(ends, pa.array([1.5, float("nan"), None, 2.0]))
    for start in (0, 2, 3, 69, 150):
        check_array(array.slice(start))
        assert data_type_of(array.type) is DataType.DOUBLE


def test_only_batches_of_the_right_width_are_taken():
    batch = pa.RecordBatch.from_arrays([pa.array([1])], ["a"])
    with pytest.raises(ValueError, match="of 2 columns"):
        _native.columns([batch], [0, 0])
    with pytest.raises(ValueError, match="of 1 columns"):
        _native.columns([pa.array([1])], [0])
    with pytest.raises(AttributeError):
        _native.columns(["no batch"], [0])
    with pytest.raises(ValueError, match="one opening"):
        _native.rows([batch], [0], [], b"]", {})
    with pytest.raises(ValueError, match="the texts of a column"):
        _native.rows([batch], [0], [b"["], b"]", {0: pa.array(["1", "2"])})
    with pytest.raises(TypeError):
        _native.rows([batch], [0], [b"["], "]", {})
