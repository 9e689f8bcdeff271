"""The number of the encoders' bytes: it has to change with them, and with nothing else."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest
import xxhash

from loader.encode import Orientation
from loader.encode.version import ENCODER_VERSION
from loader.job import Progress, interpret, prepare
from loader.job.journal.fingerprint import digest
from loader.job.pipeline import Pipeline
from loader.job.rejects import Rejects

VALUES = {
    "i": pa.array([1, -(2**63), None]),
    "u": pa.array([0, 2**64 - 1, None], pa.uint64()),
    "f": pa.array([0.1, 1e300, float("nan")]),
    "h": pa.array([0.1, 1.0, None], pa.float32()),
    "m": pa.array([Decimal("1.50"), Decimal("-0.01"), None], pa.decimal128(30, 2)),
    "b": pa.array([True, False, None]),
    "d": pa.array([dt.date(2026, 1, 2), dt.date(1, 1, 1), None]),
    "t": pa.array([1, 86_399_999_999, None], pa.time64("us")),
    "s": pa.array([0, 1_500_000_000_123_456_789, None], pa.timestamp("ns")),
    "z": pa.array([0, 1_500_000_000_123, None], pa.timestamp("ms", "Europe/Berlin")),
    "x": pa.array(['a"\\\n\x01é\U0001f600', "", None]),
    "y": pa.array([b"\0\xff", b"", None]),
    "l": pa.array([[1, None], [], None], pa.list_(pa.int32())),
    "o": pa.array([{"a": 1, "b": "x"}, None, {"a": None, "b": None}]),
    "g": pa.array(["p", "q", "p"]).dictionary_encode(),
    "e": pa.array([5, -5, None], pa.duration("s")),
    "n": pa.nulls(3),
}

# When one of these changes because the bytes do, raise ENCODER_VERSION and put the new ones here.
# A digest that changes for any other reason is a mistake.
KNOWN = {
    1: {
        Orientation.COLUMN: "9d7f5d7cd216e8bf3c65fe08319c126b",
        Orientation.ROW: "b9db174aa2a05c9bb25e3a178a1e5080",
    },
}


async def encoded(orientation):
    options = {"orientation": orientation, "dataset": "d", "attributes": [*VALUES]}
    prepared = prepare({"t": pa.table(VALUES)}, *interpret(options))
    kept = []

    async def keep(chunk):
        kept.append(chunk)

    rejects = Rejects(prepared.settings, "d")
    await Pipeline(prepared.stages, Progress(), keep, rejects).run(prepared.tables)
    (chunk,) = kept
    return chunk


@pytest.mark.parametrize("orientation", [Orientation.COLUMN, Orientation.ROW])
async def test_the_bytes_are_those_of_the_version(orientation):
    chunk = await encoded(orientation)
    assert digest(chunk) == xxhash.xxh3_128_digest(b"".join(chunk.segments))
    assert digest(chunk).hex() == KNOWN[ENCODER_VERSION][orientation]
