"""Every Arrow type by its printed name, and arrays from the examples of docs/types.md."""

from __future__ import annotations

import ast
import datetime as dt
import decimal
import uuid
from typing import Any

import pyarrow as pa

from tests.encode.tables import build

_UNITS = ("s", "ms", "us", "ns")
_MEMBERS = [pa.field("0", pa.int64()), pa.field("1", pa.string())]

TYPES: dict[str, pa.DataType] = {
    str(arrow): arrow
    for arrow in (
        pa.null(),
        pa.bool_(),
        *(pa.int8(), pa.int16(), pa.int32(), pa.int64()),
        *(pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
        *(pa.float16(), pa.float32(), pa.float64()),
        *(pa.decimal32(7, 2), pa.decimal64(18, 9)),
        *(pa.decimal128(38, 10), pa.decimal128(5, -3), pa.decimal256(76, 38)),
        *(pa.date32(), pa.date64()),
        *(pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")),
        *(pa.timestamp(unit) for unit in _UNITS),
        *(pa.timestamp("us", zone) for zone in ("UTC", "Europe/Berlin", "+05:30")),
        *(pa.duration(unit) for unit in _UNITS),
        *(pa.string(), pa.large_string(), pa.string_view()),
        *(pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(3)),
        *(pa.list_(pa.int32()), pa.large_list(pa.float64()), pa.list_(pa.string(), 2)),
        *(pa.list_view(pa.date32()), pa.large_list_view(pa.binary())),
        pa.struct([("id", pa.int64()), ("price", pa.decimal128(9, 2))]),
        pa.struct([("n", pa.int8()), ("n", pa.int8())]),
        *(pa.map_(pa.string(), pa.int32()), pa.map_(pa.int32(), pa.bool_())),
        pa.map_(pa.struct([("x", pa.int8())]), pa.null()),
        *(pa.dense_union(_MEMBERS), pa.sparse_union(_MEMBERS)),
        pa.dictionary(pa.int8(), pa.string()),
        pa.dictionary(pa.uint32(), pa.int64()),
        pa.run_end_encoded(pa.int32(), pa.float64()),
        *(pa.uuid(), pa.json_(), pa.bool8()),
        pa.opaque(pa.int16(), "t", "v"),
        pa.fixed_shape_tensor(pa.float32(), [2, 2], permutation=[0, 1]),
    )
}


class _Stored(int):
    """The number that Arrow keeps of a moment or a duration: Python has no nanoseconds."""


class _Of(tuple):
    """Which member of a union, and its value."""

    __slots__ = ()


class _Fields(list):
    """The fields of a struct by position: a dict has one of each name."""


_NAMES: dict[str, Any] = {
    "Decimal": decimal.Decimal,
    "date": dt.date,
    "nan": float("nan"),
    "UUID": uuid.UUID,
    "stored": _Stored,
    "of": lambda member, value: _Of((member, value)),
    "fields": lambda *values: _Fields(values),
}


def value_of(arrow: pa.DataType, example: str) -> pa.Array:
    """An array of the one value that an example, in Python's notation, names."""
    tree = ast.parse(example, mode="eval")
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert used <= set(_NAMES), example
    return _array(eval(compile(tree, example, "eval"), {"__builtins__": {}}, _NAMES), arrow)


def _array(value: Any, arrow: pa.DataType) -> pa.Array:
    if isinstance(value, _Stored):
        return build([int(value)], arrow)
    if isinstance(value, _Fields):
        children = [pa.array([each], arrow.field(place).type) for place, each in enumerate(value)]
        return pa.StructArray.from_arrays(children, fields=list(arrow))
    if isinstance(value, _Of):
        codes = pa.array([value[0]], pa.int8())
        children = [
            pa.array([value[1] if place == value[0] else None], arrow.field(place).type)
            for place in range(arrow.num_fields)
        ]
        if arrow.mode == "sparse":
            return pa.UnionArray.from_sparse(codes, children)
        return pa.UnionArray.from_dense(codes, pa.array([0], pa.int32()), children)
    if pa.types.is_run_end_encoded(arrow):
        return pa.RunEndEncodedArray.from_arrays(
            pa.array([1], arrow.run_end_type), pa.array([value], arrow.value_type)
        )
    return build([value], arrow)
