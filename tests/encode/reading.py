"""Reads encoded JSON back and says what it must hold: an independent reading in plain Python."""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import json
import math
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


def encode(batch: pa.RecordBatch, orientation: Orientation, cuts: list[int] | None = None) -> bytes:
    """Encodes a batch as one chunk, in blocks that end at the given rows."""
    table = build_model("d", {"t": batch.schema}, Roles()).tables[0]
    encoder = BlockEncoder(table, orientation)
    ends = sorted({*(cuts or []), batch.num_rows})
    starts = [0, *ends[:-1]]
    blocks = [
        encoder.encode([Rows(batch.slice(start, end - start), row=start)])
        for start, end in zip(starts, ends, strict=True)
    ]
    chunk = assemble("t", 1, 0, blocks, orientation)
    return b"".join(chunk.segments)


class Number(str):
    """A JSON number, kept as its text."""

    __slots__ = ()


def read(text: bytes) -> list:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_int=Number, parse_float=Number, parse_constant=refuse)


def expected(array: pa.Array) -> list[Any]:
    """What each value must be in JSON, computed without any of the loader's code."""
    arrow = array.type
    if pt.is_dictionary(arrow):
        return expected(array.dictionary_decode())
    if pt.is_time(arrow) or pt.is_timestamp(arrow) or pt.is_duration(arrow):
        storage = pa.int32() if arrow.bit_width == 32 else pa.int64()
        stored = array.view(storage).to_pylist()
        return [None if value is None else _temporal(value, arrow) for value in stored]
    return [None if value is None else _plain(value, arrow) for value in array.to_pylist()]


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
        value = float(value)
        return value if math.isfinite(value) else None
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


def same(got: Any, want: Any, arrow: pa.DataType) -> bool:
    """Whether a JSON value is exactly the expected one."""
    if pt.is_floating(arrow) and want is not None:
        width = {16: np.float16, 32: np.float32, 64: np.float64}[arrow.bit_width]
        back = width(got)
        return (
            isinstance(got, Number)
            and back == width(want)
            and np.signbit(back) == np.signbit(width(want))
        )
    if isinstance(want, int | decimal.Decimal) and not isinstance(want, bool):
        return isinstance(got, Number) and decimal.Decimal(got) == want
    return type(got) is type(want) and got == want
