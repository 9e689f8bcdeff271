"""Reads encoded JSON back and says what it must hold: an independent reading in plain Python."""

from __future__ import annotations

import base64
import bisect
import datetime as dt
import decimal
import json
import math
import struct
import uuid
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from loader.encode import BlockEncoder, Orientation, assemble, texts
from loader.model import Column, DataType, Role, Table, data_type_of
from loader.sources import Batch


def table_of(
    schema: pa.Schema,
    types: Mapping[str, DataType] | None = None,
    as_text: Collection[str] = (),
) -> Table:
    """A table whose columns are sent as the type table says, or as ``types`` does."""
    columns = []
    for field in schema:
        data_type = (types or {}).get(field.name) or data_type_of(field.type)
        assert data_type is not None, field
        role = Role.METRIC if data_type.is_number else Role.ATTRIBUTE
        columns.append(
            Column(
                name=field.name,
                source_type=field.type,
                arrow_type=field.type,
                data_type=data_type,
                role=role,
                source=field.name,
                as_text=field.name in as_text,
            )
        )
    return Table("t", tuple(columns))


def rows_of(data: pa.RecordBatch, origin: str = "test.parquet", row: int = 0) -> Batch:
    """Rows as a source delivers them."""
    return Batch(data=data, origin=origin, row=row)


def encode(
    batch: pa.RecordBatch,
    orientation: Orientation,
    cuts: list[int] | None = None,
    batched: list[int] | None = None,
    as_text: Collection[str] = (),
) -> bytes:
    """Encodes a batch as one chunk, in blocks that end at the given rows.

    The rows come in batches that end at ``batched``, which need not be where blocks end.
    """
    encoder = BlockEncoder(table_of(batch.schema, as_text=as_text), orientation)
    blocks = [
        encoder.encode(
            [rows_of(batch.slice(start, end - start), row=start) for start, end in parts]
        )
        for parts in _parts(batch.num_rows, cuts or [], batched or [])
    ]
    chunk = assemble("t", 1, range(batch.num_rows), blocks, orientation)
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


def read_columns(text: bytes, orientation: Orientation, names: list[str]) -> list[list]:
    """Reads a chunk of any orientation as the values of each column."""
    values = read(text)
    if orientation is Orientation.COLUMN:
        return values
    if orientation is Orientation.RECORDS:
        assert all([name for name, _ in row] == names for row in values)
        values = [[value for _, value in row] for row in values]
    return [list(column) for column in zip(*values, strict=True)]


def compacting(least: int) -> AbstractContextManager[Any]:
    """Has the encoder look for repeated values from so many rows on."""
    return mock.patch.object(texts, "_WORTH_A_SAMPLE", least)


def check_values(columns: list[list], batch: pa.RecordBatch, as_text: Collection[str] = ()) -> None:
    """Checks that what was read back is exactly what the batch holds."""
    assert len(columns) == batch.num_columns
    for got, name, array in zip(columns, batch.schema.names, batch.columns, strict=True):
        want = expected(array)
        assert len(got) == len(want)
        for one, other in zip(got, want, strict=True):
            assert _agrees(one, other, array.type, quoted=name in as_text), (one, other, array.type)


def _agrees(got: Any, want: Any, arrow: pa.DataType, *, quoted: bool) -> bool:
    if holds_json(arrow):
        return same_text(got, want)
    if quoted and got is not None:
        assert type(got) is str
        got = Number(got)
    return same(got, want)


def holds_json(arrow: pa.DataType) -> bool:
    """Whether values of a type are sent as JSON text."""
    while True:
        if pt.is_dictionary(arrow) or pt.is_run_end_encoded(arrow):
            arrow = arrow.value_type
        elif isinstance(arrow, pa.BaseExtensionType):
            arrow = arrow.storage_type
        else:
            return bool(pt.is_nested(arrow))


def expected(array: pa.Array) -> list[Any]:
    """What each value must be in JSON, computed without any of the loader's code."""
    arrow = array.type
    if isinstance(arrow, pa.BaseExtensionType):
        return _extended(array)
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
    if pt.is_temporal(arrow):
        storage = pa.int32() if arrow.bit_width == 32 else pa.int64()
        stored = array.view(storage).to_pylist()
        return [None if value is None else _temporal(value, arrow) for value in stored]
    return [None if value is None else _plain(value, arrow) for value in array.to_pylist()]


def _extended(array: pa.Array) -> list[Any]:
    stored = expected(array.storage)
    if isinstance(array.type, pa.UuidType):
        raw = array.storage.to_pylist()
        return [None if value is None else str(uuid.UUID(bytes=value)) for value in raw]
    if isinstance(array.type, pa.Bool8Type):
        return [None if value is None else bool(value) for value in stored]
    return stored


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
    rows = range(len(array))
    return [Pairs(zip(names, [field[row] for field in fields], strict=True)) for row in rows]


def _lists(array: pa.Array) -> list[Any]:
    whole: list[Any] = []
    for value in array:
        if value.values is None:
            whole.append(None)
        elif pt.is_map(array.type):
            keys, values = (expected(value.values.field(position)) for position in (0, 1))
            whole.append(Pairs(zip(keys, values, strict=True)))
        else:
            whole.append(expected(value.values))
    return whole


def _plain(value: Any, arrow: pa.DataType) -> Any:
    if isinstance(value, bool | str):
        return value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if pt.is_floating(arrow):
        width = {16: np.float16, 32: np.float32, 64: np.float64}[arrow.bit_width]
        return width(value) if math.isfinite(value) else None
    return value


def _temporal(stored: int, arrow: pa.DataType) -> Any:
    if pt.is_duration(arrow):
        return stored
    if pt.is_date(arrow):
        days = stored if pt.is_date32(arrow) else stored // 86_400_000
        return moment(days * 86_400, "s").partition("T")[0]
    if pt.is_time(arrow):
        return clock(stored, arrow.unit)
    return moment(stored, arrow.unit) + ("Z" if arrow.tz else "")


def clock(stored: int, unit: str) -> str:
    """A time of day, from the number that Arrow keeps."""
    seconds, fraction = _fraction(stored, unit)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{fraction}"


def moment(stored: int, unit: str) -> str:
    """A date and time, from the number that Arrow keeps."""
    seconds, fraction = _fraction(stored, unit)
    return (dt.datetime(1970, 1, 1) + dt.timedelta(seconds=seconds)).isoformat() + fraction


def _fraction(stored: int, unit: str) -> tuple[int, str]:
    digits = {"s": 0, "ms": 3, "us": 6, "ns": 9}[unit]
    seconds, fraction = divmod(stored, 10**digits)
    text = f"{fraction:0{digits}}" if digits and fraction else ""
    while text.endswith("000"):
        text = text[:-3]
    return seconds, f".{text}" if text else ""


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
            and len(got) == len(want)
            and all(_same_name(one[0], other[0]) for one, other in zip(got, want, strict=True))
            and same([value for _, value in got], [value for _, value in want])
        )
    if isinstance(want, list):
        return type(got) is list and len(got) == len(want) and all(map(same, got, want))
    return type(got) is type(want) and got == want


def _same_name(got: str, want: Any) -> bool:
    """Whether a name is the expected one: the keys of a map may be of any type, as JSON text."""
    return got == want if isinstance(want, str) else same(read(got.encode()), want)


def same_text(got: Any, want: Any) -> bool:
    """Whether a nested value, sent as a text, holds exactly the expected JSON."""
    return same(None if got is None else read(got), want)
