"""Any table of any types, written as JSON in any layout, comes out of the decoder unchanged."""

from __future__ import annotations

import datetime as dt
import json
import struct
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.emulator import slices as slices_module
from loader.emulator.decode import ChunkRefused, decode
from loader.emulator.definitions import Column, DataType, Orientation
from loader.emulator.slices import BETWEEN_RECORDS, BETWEEN_ROWS, BETWEEN_VALUES, slices


def dumps(value, indent, *, ascii_only):
    """``json.dumps`` with exact decimals: they go in as marked texts, and lose their quotes."""
    text = json.dumps(
        value, indent=indent, ensure_ascii=ascii_only, default=lambda d: f"\x00{d:f}\x00"
    )
    return text.replace('"\\u0000', "").replace('\\u0000"', "")


texts = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), max_size=12
)
texts |= st.sampled_from(["],[", '","', "},{", '\\",', "\\", ":", '":', "null", "日本語😀"])
decimals = st.decimals(
    allow_nan=False, allow_infinity=False, min_value=-(10**18), max_value=10**18, places=6
)
VALUES = {
    DataType.STRING: texts,
    DataType.INTEGER: st.integers(-(2**31), 2**31 - 1),
    DataType.BIGINTEGER: st.integers(-(2**63), 2**63 - 1),
    DataType.BOOL: st.booleans(),
    DataType.DOUBLE: st.floats(allow_nan=False, allow_infinity=False),
    DataType.BIGDECIMAL: decimals,
    DataType.DATE: st.dates(),
    DataType.TIME: st.times(),
    DataType.DATETIME: st.datetimes(),
}


@st.composite
def tables(draw):
    types = draw(st.lists(st.sampled_from(DataType), min_size=1, max_size=5))
    names = draw(st.lists(texts, min_size=len(types), max_size=len(types), unique=True))
    row = st.tuples(*[st.none() | VALUES[type_] for type_ in types])
    rows = draw(st.lists(row, max_size=8))
    return [Column(name, type_) for name, type_ in zip(names, types, strict=True)], rows


def plain(value):
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return value


@settings(deadline=None, max_examples=150)
@given(
    tables(),
    st.sampled_from(Orientation),
    st.sampled_from([None, 1]),
    st.booleans(),
    st.sampled_from([1, 20, 1 << 18]),
)
def test_what_goes_in_comes_out(table, orientation, indent, ascii_only, size):
    columns, rows = table
    written = [[plain(value) for value in row] for row in rows]
    names = [column.name for column in columns]
    if orientation is Orientation.COLUMN:
        written = [[row[i] for row in written] for i in range(len(columns))]
    elif orientation is Orientation.RECORDS:
        written = [dict(zip(names, row, strict=True)) for row in written]
    raw = dumps(written, indent, ascii_only=ascii_only).encode()
    default = slices_module.slices.__defaults__
    slices_module.slices.__defaults__ = (size,)
    try:
        result = decode(raw, columns, orientation)
    finally:
        slices_module.slices.__defaults__ = default
    assert result.column_names == names
    result.validate(full=True)
    back = list(zip(*[column.to_pylist() for column in result.columns], strict=True))
    assert back == rows


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_doubles_keep_every_bit(numbers):
    column = decode(
        json.dumps([numbers]).encode(), [Column("d", DataType.DOUBLE)], Orientation.COLUMN
    ).column("d")
    assert [struct.pack("d", x) for x in column.to_pylist()] == [
        struct.pack("d", x) for x in numbers
    ]


@given(
    st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?", fullmatch=True)
)
def test_doubles_are_the_nearest_to_any_number_text(text):
    raw = f"[[{text}]]".encode()
    column = decode(raw, [Column("d", DataType.DOUBLE)], Orientation.COLUMN).column("d")
    assert column.to_pylist() == [float(text)]


@given(
    st.lists(
        st.from_regex(
            r"-?(0|[1-9][0-9]{0,45})(\.[0-9]{1,45})?([eE][+-]?[0-9]{1,2})?", fullmatch=True
        ),
        min_size=1,
        max_size=4,
    )
)
def test_decimals_keep_every_digit(numbers):
    raw = json.dumps([numbers]).encode()
    for document in (raw, raw.replace(b'"', b"")):
        column = decode(document, [Column("d", DataType.BIGDECIMAL)], Orientation.COLUMN).column(
            "d"
        )
        assert [Decimal(x) for x in column.to_pylist()] == [Decimal(x) for x in numbers]


@given(st.binary(max_size=30) | st.text('[]{},:"\\ae1.-nul \n', max_size=30).map(str.encode))
def test_noise_is_refused_or_json(raw):
    columns = [Column("a", DataType.STRING)]
    for orientation in Orientation:
        try:
            decode(raw, columns, orientation)
        except ChunkRefused:
            continue
        json.loads(raw)


@settings(deadline=None)
@given(st.lists(st.lists(texts | st.integers(), max_size=3), max_size=9), st.integers(0, 40))
def test_slices_hold_the_same_elements(elements, size):
    for between, array in (
        (BETWEEN_ROWS, [[*element, 1] for element in elements]),
        (BETWEEN_VALUES, [value for element in elements for value in element]),
        (BETWEEN_RECORDS, [{str(value): value for value in element} for element in elements]),
    ):
        raw = json.dumps(array).encode()
        parts = list(slices(raw, between, 0, len(raw), size))
        assert [value for part in parts for value in json.loads(part.text)] == array
        assert all(json.loads(part.text) for part in parts if not part.alone)


@pytest.mark.parametrize("raw", [b"{}", b"1", b"", b"[1] 2", b"]["])
def test_what_is_no_array_comes_back_whole(raw):
    (part,) = slices(raw, BETWEEN_VALUES, 0, len(raw))
    assert (part.text, part.offset, part.alone) == (raw, 0, True)
