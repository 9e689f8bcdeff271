"""Reads encoded JSON back and says what it must hold: an independent reading in plain Python."""

from __future__ import annotations

import base64
import bisect
import datetime as dt
import decimal
import json
import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from loader.encode import BlockEncoder, Orientation, assemble
from loader.model import Roles, build_model


@dataclass(frozen=True)
class Rows:
    data: pa.RecordBatch
    origin: str = "test.parquet"
    row: int = 0


def encode(
    batch: pa.RecordBatch,
    orientation: Orientation,
    cuts: list[int] | None = None,
    batched: list[int] | None = None,
) -> bytes:
    """Encodes a batch as one chunk, in blocks that end at the given rows.

    The rows come in batches that end at ``batched``, which need not be where blocks end.
    """
    table = build_model("d", {"t": batch.schema}, Roles()).tables[0]
    encoder = BlockEncoder(table, orientation)
    blocks = [
        encoder.encode([Rows(batch.slice(start, end - start), row=start) for start, end in parts])
        for parts in _parts(batch.num_rows, cuts or [], batched or [])
    ]
    chunk = assemble("t", 1, 0, blocks, orientation)
    return b"".join(chunk.segments)


def _parts(rows: int, cuts: list[int], batched: list[int]) -> list[list[tuple[int, int]]]:
    ends = sorted({*cuts, *batched, rows})
    blocks: list[list[tuple[int, int]]] = [[]]
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        blocks[-1].append((start, end))
        if end in cuts and end < rows:
            blocks.append([])
    return blocks


class Pairs(list):
    """A JSON object: names may repeat."""


class Number(str):
    """A JSON number, kept as its text."""

    __slots__ = ()


def read(text: bytes) -> list:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(
        text,
        parse_int=Number,
        parse_float=Number,
        parse_constant=refuse,
        object_pairs_hook=Pairs,
    )


def expected(array: pa.Array) -> list[Any]:
    """What each value must be in JSON, computed without any of the loader's code."""
    arrow = array.type
    if pt.is_dictionary(arrow):
        entries = expected(array.dictionary)
        return [None if index is None else entries[index] for index in array.indices.to_pylist()]
    if pt.is_run_end_encoded(arrow):
        values, ends = expected(array.values), array.run_ends.to_pylist()
        rows = range(array.offset, array.offset + len(array))
        return [values[bisect.bisect_right(ends, row)] for row in rows]
    if pt.is_union(arrow):
        return _union(array)
    if pt.is_nested(arrow):
        shown = array.is_valid().to_pylist()
        whole = _structs(array) if pt.is_struct(arrow) else _lists(array)
        return [value if valid else None for value, valid in zip(whole, shown, strict=True)]
    if pt.is_time(arrow) or pt.is_timestamp(arrow) or pt.is_duration(arrow):
        storage = pa.int32() if arrow.bit_width == 32 else pa.int64()
        stored = array.view(storage).to_pylist()
        return [None if value is None else _temporal(value, arrow) for value in stored]
    return [None if value is None else _plain(value, arrow) for value in array.to_pylist()]


def _union(array: pa.Array) -> list[Any]:
    """Reads the buffers: pyarrow's own properties are wrong for slices, and for null values."""
    buffers = [bytes(buffer) if buffer else b"" for buffer in array.buffers()[:3]]
    children = [expected(array.field(position)) for position in range(array.type.num_fields)]
    values = []
    dense = array.type.mode == "dense"
    for row in range(len(array)):
        at = array.offset + row
        child = children[array.type.type_codes.index(buffers[1][at])]
        values.append(child[struct.unpack_from("=i", buffers[2], 4 * at)[0] if dense else row])
    return values


def _structs(array: pa.Array) -> list[Any]:
    names = [field.name for field in array.type]
    fields = [expected(array.field(position)) for position in range(len(names))]
    return [Pairs(zip(names, values, strict=True)) for values in zip(*fields, strict=True)]


def _lists(array: pa.Array) -> list[Any]:
    whole: list[Any] = []
    for value in array:
        if value.values is None:
            whole.append(None)
        elif pt.is_map(array.type):
            keys, values = (expected(value.values.field(position)) for position in (0, 1))
            whole.append(Pairs(zip(map(str, keys), values, strict=True)))
        else:
            whole.append(expected(value.values))
    return whole


def _plain(value: Any, arrow: pa.DataType) -> Any:
    if isinstance(value, bool | str):
        return value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dt.datetime):
        value = value.date()
    if isinstance(value, dt.date):
        return value.isoformat()
    if pt.is_floating(arrow):
        width = {16: np.float16, 32: np.float32, 64: np.float64}[arrow.bit_width]
        return width(value) if math.isfinite(value) else None
    return value


def _temporal(stored: int, arrow: pa.DataType) -> Any:
    if pt.is_duration(arrow):
        return stored
    digits = {"s": 0, "ms": 3, "us": 6, "ns": 9}[arrow.unit]
    seconds, fraction = divmod(stored, 10**digits)
    text = f"{fraction:0{digits}}" if digits and fraction else ""
    while text.endswith("000"):
        text = text[:-3]
    text = f".{text}" if text else ""
    if pt.is_time(arrow):
        return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{text}"
    moment = dt.datetime(1970, 1, 1) + dt.timedelta(seconds=seconds)
    return moment.isoformat() + text + ("Z" if arrow.tz else "")


def same(got: Any, want: Any) -> bool:
    """Whether a JSON value is exactly the expected one."""
    if isinstance(want, np.floating):
        if not isinstance(got, Number):
            return False
        back = type(want)(got)
        return bool(back == want and np.signbit(back) == np.signbit(want))
    if isinstance(want, int | decimal.Decimal) and not isinstance(want, bool):
        return isinstance(got, Number) and decimal.Decimal(got) == want
    if isinstance(want, Pairs):
        return (
            isinstance(got, Pairs)
            and [name for name, _ in got] == [name for name, _ in want]
            and same([value for _, value in got], [value for _, value in want])
        )
    if isinstance(want, list):
        return type(got) is list and len(got) == len(want) and all(map(same, got, want))
    return type(got) is type(want) and got == want


def same_text(got: Any, want: Any) -> bool:
    """Whether a nested value, sent as a text, holds exactly the expected JSON."""
    return same(None if got is None else read(got), want)
