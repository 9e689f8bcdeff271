"""A description and chunks for tests of the journal."""

from __future__ import annotations

import os
from dataclasses import dataclass

from loader.encode import Chunk
from loader.job.journal.description import (
    JobDescription,
    ModelRecord,
    NamedSource,
    ServerRecord,
)
from loader.job.journal.fingerprint import FileFingerprint, TableFingerprint
from loader.model import DatasetModel


def description(**changes) -> JobDescription:
    values = {
        "sources": (NamedSource("t=/data/t.parquet"),),
        "options": {"dataset": "Sales", "chunk_size": 30_000},
        "mapping": None,
        "server": ServerRecord(url="https://example.com/Library", username="ada", project="P"),
        "model": ModelRecord({"name": "Sales", "tables": []}, ()),
        "tables": (TableFingerprint("t", 10, (FileFingerprint("/data/t.parquet", 9, "1", "f"),)),),
    }
    return JobDescription(**(values | changes))


def chunk(index: int, size: int = 1000, table: str = "t", first_row: int | None = None) -> Chunk:
    segments = (b"[[", os.urandom(size // 2).hex().encode(), b"]]")
    first = (index - 1) * 10 if first_row is None else first_row
    return Chunk(table, index, first, 10, first + 10, segments, sum(map(len, segments)))


_MODEL = DatasetModel("Sales", (), (), ())


@dataclass(frozen=True)
class FakeTarget:
    """A dataset as ``Target`` describes it."""

    id: str = "D1"
    name: str = "Sales"
    model: DatasetModel = _MODEL
    created: bool = True
    emptied: bool = False
