"""Hypothesis strategies for Arrow arrays of every type of the type table."""

from __future__ import annotations

import datetime as dt
import decimal
import itertools
import uuid

import pyarrow as pa
from hypothesis import strategies as st

# Every plane, and more often what JSON or a reader of lines trips over.
_TEXT = st.text(
    st.characters(exclude_categories=["Cs"])
    | st.sampled_from('"\\/\0\b\t\n\r\x1f\x7f\x85\u2028\u2029\ufeff\uffff\U0001f600\U0010ffff'),
    max_size=12,
)
_DATES = st.dates(dt.date(1, 1, 1), dt.date(9999, 12, 31))
_EPOCH = dt.datetime(1970, 1, 1)
_YEAR_1 = int((dt.datetime(1, 1, 1) - _EPOCH).total_seconds())
_YEAR_10000 = int((dt.datetime(9999, 12, 31, 23, 59, 59) - _EPOCH).total_seconds()) + 1
_DAY = 86_400


def _integers(arrow: pa.DataType, *, signed: bool) -> st.SearchStrategy:
    width = arrow.bit_width
    low, high = (-(2 ** (width - 1)), 2 ** (width - 1) - 1) if signed else (0, 2**width - 1)
    return st.integers(low, high)


def _decimals(precision: int, scale: int) -> st.SearchStrategy:
    limit = 10**precision - 1
    context = decimal.Context(prec=80)
    return st.integers(-limit, limit).map(
        lambda digits: decimal.Decimal(digits).scaleb(-scale, context)
    )


def _scaled(low: int, high: int, per_second: int) -> st.SearchStrategy:
    """Whole seconds about as often as fractions of every length."""
    seconds = st.integers(low, high - 1)
    fraction = st.one_of(
        st.just(0), st.integers(0, per_second - 1), st.sampled_from([0, per_second // 2])
    )
    bounds = (-(2**63), 2**63 - 1)
    return st.tuples(seconds, fraction).map(
        lambda pair: min(max(pair[0] * per_second + pair[1], bounds[0]), bounds[1])
    )


_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}

SCALARS: list[tuple[pa.DataType, st.SearchStrategy]] = [
    *(
        (arrow, _integers(arrow, signed=True))
        for arrow in (pa.int8(), pa.int16(), pa.int32(), pa.int64())
    ),
    *(
        (arrow, _integers(arrow, signed=False))
        for arrow in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())
    ),
    (pa.float16(), st.floats(width=16)),
    (pa.float32(), st.floats(width=32)),
    (pa.float64(), st.floats()),
    (pa.bool_(), st.booleans()),
    (pa.decimal32(7, 2), _decimals(7, 2)),
    (pa.decimal32(9, 9), _decimals(9, 9)),
    (pa.decimal128(5, 0), _decimals(5, 0)),
    (pa.decimal128(9, 12), _decimals(9, 12)),
    (pa.decimal64(18, 9), _decimals(18, 9)),
    (pa.decimal128(38, 20), _decimals(38, 20)),
    (pa.decimal128(10, -3), _decimals(10, -3)),
    (pa.decimal256(76, 38), _decimals(76, 38)),
    (pa.decimal256(50, -20), _decimals(50, -20)),
    (pa.date32(), _DATES),
    (pa.date64(), _DATES),
    *((pa.time32(unit), _scaled(0, _DAY, _PER_SECOND[unit])) for unit in ("s", "ms")),
    *((pa.time64(unit), _scaled(0, _DAY, _PER_SECOND[unit])) for unit in ("us", "ns")),
    *(
        (pa.timestamp(unit, zone), _scaled(_YEAR_1, _YEAR_10000, _PER_SECOND[unit]))
        for unit in ("s", "ms", "us", "ns")
        for zone in (None, "Europe/Berlin", "+05:30", "No/Such_Zone")
    ),
    *((arrow, _TEXT) for arrow in (pa.string(), pa.large_string(), pa.string_view())),
    *(
        (arrow, st.binary(max_size=9))
        for arrow in (pa.binary(), pa.large_binary(), pa.binary_view())
    ),
    (pa.binary(5), st.binary(min_size=5, max_size=5)),
    *((pa.duration(unit), _integers(pa.int64(), signed=True)) for unit in ("s", "ms", "us", "ns")),
    (pa.null(), st.none()),
    (pa.uuid(), st.uuids().map(lambda value: value.bytes)),
    (pa.bool8(), st.integers(-128, 127)),
    (pa.json_(), st.sampled_from(['{"a": [1, null]}', "null", '"', "no JSON"])),
    (pa.opaque(pa.int16(), "type", "vendor"), st.integers(-9, 9)),
]


def build(values: list, arrow: pa.DataType) -> pa.Array:
    """Makes an array; values of temporal types are given as the integers they are stored as.

    Those of extension types are given as they are stored, too.
    """
    if isinstance(arrow, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(arrow, pa.array(values, arrow.storage_type))
    if pa.types.is_temporal(arrow) and not pa.types.is_date(arrow):
        storage = pa.int32() if arrow.bit_width == 32 else pa.int64()
        return pa.array(values, storage).view(arrow)
    if pa.types.is_decimal(arrow):
        # Through whole numbers: pyarrow takes no Decimals of a scale beyond the precision.
        whole = type_of_digits(arrow)
        scaled = [value and value.scaleb(arrow.scale, decimal.Context(prec=80)) for value in values]
        digits = pa.array(scaled, whole)
        return pa.Array.from_buffers(arrow, len(digits), digits.buffers())
    return pa.array(values, arrow)


def type_of_digits(arrow: pa.DataType) -> pa.DataType:
    """The decimal type without a scale that has the same layout."""
    make = {32: pa.decimal32, 64: pa.decimal64, 128: pa.decimal128, 256: pa.decimal256}
    return make[arrow.bit_width](arrow.precision, 0)


@st.composite
def arrays(draw: st.DrawFn, scalar=None, size: int | None = None) -> pa.Array:
    """An array of a scalar type, nulls included, sometimes a slice, a dictionary or of few values.

    Values that are few are what the encoder turns into a dictionary by itself.
    """
    arrow, values = scalar or draw(st.sampled_from(SCALARS))
    length = draw(st.integers(0, 30)) if size is None else size
    offset = draw(st.integers(0, 3))
    if draw(st.booleans()):
        values = st.sampled_from(draw(st.lists(values, min_size=1, max_size=2)))
    drawn = draw(st.lists(st.none() | values, min_size=length + offset, max_size=length + offset))
    array = build(drawn, arrow).slice(offset)
    if pa.types.is_string(arrow) and draw(st.booleans()):
        array = array.dictionary_encode()
    return array


_INDICES = (
    *(pa.int8(), pa.int16(), pa.int32(), pa.int64()),
    *(pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
)


def _dictionary(draw: st.DrawFn, size: int, depth: int) -> pa.Array:
    """Entries may be null, repeat, or be shown by no row."""
    entries = draw(columns(draw(st.integers(1, 4)), depth))
    index = st.none() | st.integers(0, len(entries) - 1)
    indices = draw(st.lists(index, min_size=size, max_size=size))
    return pa.DictionaryArray.from_arrays(
        pa.array(indices, draw(st.sampled_from(_INDICES))), entries
    )


def _run_ends(draw: st.DrawFn, size: int, depth: int) -> pa.Array:
    ends = sorted({*draw(st.lists(st.integers(1, max(size, 1)), max_size=4)), max(size, 1)})
    values = draw(columns(len(ends), depth))
    width = draw(st.sampled_from((pa.int16(), pa.int32(), pa.int64())))
    return pa.RunEndEncodedArray.from_arrays(pa.array(ends, width), values).slice(0, size)


def _sparse(draw: st.DrawFn, size: int, depth: int) -> pa.Array:
    codes = draw(st.lists(st.integers(0, 1), min_size=size, max_size=size))
    children = [draw(columns(size, depth)) for _ in range(2)]
    return pa.UnionArray.from_sparse(
        pa.array([(5, 2)[code] for code in codes], pa.int8()), children, ["a", "b"], [5, 2]
    )


def _dense(draw: st.DrawFn, size: int, depth: int) -> pa.Array:
    """Places only grow within a child, as the format wants it, but may leave values out."""
    codes = draw(st.lists(st.integers(0, 1), min_size=size, max_size=size))
    places, ends = [], [0, 0]
    for code in codes:
        places.append(ends[code] + draw(st.integers(0, 1)))
        ends[code] = places[-1] + 1
    children = [draw(columns(end, depth)) for end in ends]
    return pa.UnionArray.from_dense(
        pa.array(codes, pa.int8()), pa.array(places, pa.int32()), children
    )


def _struct(draw: st.DrawFn, size: int, depth: int) -> pa.Array:
    children = [draw(columns(size, depth)) for _ in range(2)]
    names = draw(st.sampled_from((["a", 'b"\u2028'], ["same", "same"], ["", "\0"])))
    return pa.StructArray.from_arrays(children, names, mask=_mask(draw, size))


def _fixed_size_list(draw: st.DrawFn, size: int, depth: int) -> pa.Array:
    values = draw(columns(size * 2, depth))
    return pa.FixedSizeListArray.from_arrays(values, 2, mask=_mask(draw, size))


def _list(draw: st.DrawFn, size: int, depth: int) -> pa.Array:
    """Lists of every layout; under a null there may be members."""
    lengths = draw(st.lists(st.integers(0, 2), min_size=size, max_size=size))
    ends = list(itertools.accumulate(lengths, initial=1))
    arrow = draw(
        st.sampled_from((pa.ListArray, pa.LargeListArray, pa.ListViewArray, pa.LargeListViewArray))
    )
    offset = pa.int64() if arrow in (pa.LargeListArray, pa.LargeListViewArray) else pa.int32()
    values = draw(columns(ends[-1] + 1, depth))
    mask = _mask(draw, size)
    if arrow in (pa.ListArray, pa.LargeListArray):
        return arrow.from_arrays(pa.array(ends, offset), values, mask=mask)
    starts = [draw(st.integers(0, len(values) - length)) for length in lengths]
    return arrow.from_arrays(pa.array(starts, offset), pa.array(lengths, offset), values, mask=mask)


_KEYS = (
    (pa.string(), _TEXT),
    (pa.large_string(), st.sampled_from(["twice", "once"])),
    (pa.int16(), st.integers(-9, 9)),
    (pa.bool_(), st.booleans()),
    (pa.float64(), st.floats()),
    (pa.decimal128(9, 3), _decimals(9, 3)),
    (pa.date32(), _DATES),
    (pa.timestamp("ms", "UTC"), st.integers(-(10**9), 10**9)),
    (pa.binary(), st.binary(max_size=3)),
    (pa.list_(pa.int8()), st.lists(st.integers(0, 9), max_size=2)),
)


def _map(draw: st.DrawFn, size: int, depth: int) -> pa.Array:
    lengths = draw(st.lists(st.integers(0, 2), min_size=size, max_size=size))
    ends: list[int | None] = list(itertools.accumulate(lengths, initial=0))
    total = ends[-1] or 0
    arrow, key = draw(st.sampled_from(_KEYS))
    keys = build(draw(st.lists(key, min_size=total, max_size=total)), arrow)
    values = draw(columns(total, depth))
    if size and draw(st.booleans()):
        ends[0] = None
    return pa.MapArray.from_arrays(pa.array(ends, pa.int32()), keys, values)


def _extension(draw: st.DrawFn, size: int, depth: int) -> pa.Array:
    """A type that the loader has never heard of."""
    stored = draw(columns(size, depth))
    if pa.types.is_null(stored.type) or isinstance(stored.type, pa.BaseExtensionType):
        return stored  # pyarrow's own validation refuses such ones where they are nested
    return pa.ExtensionArray.from_storage(pa.opaque(stored.type, "type", "vendor"), stored)


def _mask(draw: st.DrawFn, size: int) -> pa.Array:
    return pa.array(draw(st.lists(st.booleans(), min_size=size, max_size=size)), pa.bool_())


LAYOUTS = (
    _dictionary,
    _run_ends,
    _sparse,
    _dense,
    _struct,
    _fixed_size_list,
    _list,
    _map,
    _extension,
)


@st.composite
def columns(draw: st.DrawFn, size: int, depth: int = 2) -> pa.Array:
    """An array of any type: plain, or built from other arrays up to the given depth."""
    layout = draw(st.sampled_from(LAYOUTS)) if depth and draw(st.integers(0, 3)) else None
    if layout is None:
        return draw(arrays(size=size))
    offset = draw(st.integers(0, 2))
    return layout(draw, size + offset, depth - 1).slice(offset)


def uuids(values: list[uuid.UUID | None]) -> pa.Array:
    """An array of the uuid extension type."""
    stored = pa.array([value and value.bytes for value in values], pa.binary(16))
    return pa.ExtensionArray.from_storage(pa.uuid(), stored)
