from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.errors import BadValue, NameRefused, SourceError
from loader.sources.unify import Unifier, conform, promote

TEXTS = [pa.string(), pa.large_string(), pa.string_view()]


@pytest.mark.parametrize(
    ("one", "two", "both"),
    [
        (pa.int8(), pa.int64(), pa.int64()),
        (pa.uint8(), pa.uint32(), pa.uint32()),
        (pa.uint8(), pa.int8(), pa.int16()),
        (pa.uint8(), pa.int64(), pa.int64()),
        (pa.uint32(), pa.int32(), pa.int64()),
        (pa.uint64(), pa.int64(), None),
        (pa.float16(), pa.float64(), pa.float64()),
        (pa.float32(), pa.float64(), pa.float64()),
        (pa.int64(), pa.float64(), None),
        (pa.int64(), pa.string(), None),
        (pa.bool_(), pa.int8(), None),
        (pa.date32(), pa.date64(), pa.date64()),
        (pa.date32(), pa.timestamp("s"), None),
        (pa.timestamp("s"), pa.timestamp("us"), pa.timestamp("us")),
        (pa.timestamp("s", "UTC"), pa.timestamp("ns", "UTC"), pa.timestamp("ns", "UTC")),
        (
            pa.timestamp("s", "Europe/Berlin"),
            pa.timestamp("s", "Asia/Tokyo"),
            pa.timestamp("s", "UTC"),
        ),
        (pa.timestamp("s", "UTC"), pa.timestamp("s"), None),
        (pa.time32("s"), pa.time32("ms"), pa.time32("ms")),
        (pa.time32("s"), pa.time64("ns"), pa.time64("ns")),
        (pa.duration("s"), pa.duration("ms"), pa.duration("ms")),
        (pa.decimal128(5, 2), pa.decimal128(7, 1), pa.decimal128(8, 2)),
        (pa.decimal128(38, 0), pa.decimal128(38, 10), pa.decimal256(48, 10)),
        (pa.decimal256(76, 0), pa.decimal256(76, 10), None),
        (pa.decimal128(5, 2), pa.float64(), None),
        (pa.string(), pa.large_string(), pa.large_string()),
        (pa.string_view(), pa.string(), pa.large_string()),
        (pa.binary(), pa.large_binary(), pa.large_binary()),
        (pa.string(), pa.binary(), None),
        (pa.dictionary(pa.int8(), pa.string()), pa.string(), pa.string()),
        (pa.dictionary(pa.int8(), pa.int16()), pa.int32(), pa.int32()),
        (
            pa.dictionary(pa.int8(), pa.string()),
            pa.dictionary(pa.int32(), pa.string()),
            pa.string(),
        ),
        (pa.null(), pa.list_(pa.int8()), pa.list_(pa.int8())),
        (pa.list_(pa.int8()), pa.list_(pa.int16()), None),
    ],
)
def test_promotion_is_lossless_or_refused(one, two, both):
    assert promote(one, two) == both
    assert promote(two, one) == both


INTEGERS = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32()]


@given(st.sampled_from(INTEGERS), st.sampled_from(INTEGERS))
def test_promoted_integers_hold_the_extremes_of_both(one, two):
    both = promote(one, two)
    for kind in (one, two):
        bits = kind.bit_width - (1 if pa.types.is_signed_integer(kind) else 0)
        low = -(2**bits) if pa.types.is_signed_integer(kind) else 0
        values = [low, 2**bits - 1]
        assert pa.array(values, kind).cast(both).to_pylist() == values


def unified(*schemas: pa.Schema) -> pa.Schema:
    unifier = Unifier()
    for number, schema in enumerate(schemas):
        unifier.add(f"file{number}", schema)
    return unifier.schema


def test_the_first_file_gives_the_order():
    one = pa.schema([("a", pa.int8()), ("b", pa.string())])
    two = pa.schema([("b", pa.string()), ("a", pa.int32())])
    assert unified(one, two, one) == pa.schema([("a", pa.int32()), ("b", pa.string())])


def test_metadata_and_nullability_are_no_difference():
    field = pa.field("a", pa.int8(), nullable=False, metadata={"k": "v"})
    schema = unified(pa.schema([field], metadata={"x": "y"}), pa.schema([("a", pa.int8())]))
    assert schema.equals(pa.schema([("a", pa.int8())]), check_metadata=True)


def test_other_columns_are_told_with_both_files():
    with pytest.raises(SourceError) as error:
        unified(pa.schema([("a", pa.int8()), ("b", pa.int8())]), pa.schema([("c", pa.int8())]))
    assert error.value.details == {
        "file": "file1",
        "other_file": "file0",
        "missing": ["a", "b"],
        "extra": ["c"],
    }
    assert "file0" in error.value.message


def test_types_that_do_not_unify_name_the_file_that_set_the_type():
    with pytest.raises(SourceError) as error:
        unified(
            pa.schema([("a", pa.int8())]),
            pa.schema([("a", pa.int64())]),
            pa.schema([("a", pa.float64())]),
        )
    assert error.value.details["other_file"] == "file1"
    assert error.value.details["file"] == "file2"
    assert error.value.details["types"] == ["int64", "double"]


def test_duplicate_names():
    with pytest.raises(NameRefused, match="'a'"):
        unified(pa.schema([("a", pa.int8()), ("a", pa.int8())]))


def test_no_columns():
    with pytest.raises(SourceError, match="no columns"):
        unified(pa.schema([]))


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("other", TEXTS)
def test_conform_casts_texts(kind, other):
    both = promote(kind, other)
    batch = pa.record_batch({"a": pa.array(["x", None, "longer than twelve bytes"], kind)})
    done = conform(batch, pa.schema([("a", both)]), "f", 0)
    assert done.column(0).to_pylist() == ["x", None, "longer than twelve bytes"]


def test_conform_decodes_dictionaries_and_reorders():
    batch = pa.record_batch({"b": pa.array(["x", "x"]).dictionary_encode(), "a": pa.nulls(2)})
    schema = pa.schema([("a", pa.int32()), ("b", pa.large_string())])
    assert conform(batch, schema, "f", 0).to_pydict() == {"a": [None, None], "b": ["x", "x"]}


def test_conform_refuses_a_timestamp_beyond_the_finer_unit():
    batch = pa.record_batch({"a": pa.array([dt.datetime(9999, 1, 1)], pa.timestamp("s"))})
    with pytest.raises(BadValue) as error:
        conform(batch, pa.schema([("a", pa.timestamp("ns"))]), "f", 7)
    assert error.value.details == {"file": "f", "column": "a", "row": 8}
