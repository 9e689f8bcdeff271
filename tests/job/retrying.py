"""Loads of a table into a server that fails, and time that passes at once.

Time is the tests' own: pauses pass at once, and are looked at afterwards.
"""

from __future__ import annotations

import asyncio

import pyarrow as pa
import pytest

import loader
from loader.job import Load, LoadSettings, Progress, prepare
from loader.sources import SourceOptions
from tests.cli.harness import PASSWORD, PROJECT, USER

__all__ = ["ROWS", "SOURCE", "TABLE", "Time", "arrived", "fired", "load_of", "time"]

ROWS = 30_000
KEYS = [f"key{n:06}" for n in range(ROWS)]
VALUES = [n * 7 % 100_003 for n in range(ROWS)]
TABLE = pa.table({"k": KEYS, "v": VALUES})
SOURCE = list(zip(KEYS, VALUES, strict=True))


class Time:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sleeps: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        if seconds:
            self.sleeps.append(seconds)
        self.now += seconds
        # A moment, so that what is asked again and again is not asked thousands of times.
        await asyncio.sleep(min(seconds, 0.002))


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def load_of(server, time):
    """Makes loads of the table into the server."""

    def make(source=TABLE, *, url=None, sleep=time.sleep, clock=time.clock, **settings) -> Load:
        connection = loader.Connection(
            url or server.url, username=USER, password=PASSWORD, project=PROJECT
        )
        settings = {"chunk_size": 20_000, "concurrency": 3, **settings}
        prepared = prepare(source, LoadSettings(**settings), SourceOptions(table="t"))
        return Load(prepared, connection, Progress(), clock=clock, sleep=sleep)

    return make


def fired(server) -> int:
    return sum(rule["fired"] for rule in server.emulator.faults.report())


def arrived(server, result, source=SOURCE) -> None:
    """Checks that what is published is the source, once, and that the result counts that."""
    assert result.error is None, result.error
    assert result.status is loader.Status.PUBLISHED
    assert server.sql("SELECT k, v FROM t.t ORDER BY k") == source
    assert result.rows == len(source)
    (table,) = result.tables
    assert table.chunks == len({index for _, index, _ in server.chunks}) > 3
    server.left_nothing()
