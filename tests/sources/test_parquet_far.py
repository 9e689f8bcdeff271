"""Parquet files in a store far away: how often and how much is fetched."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pytest

from loader.sources import parquet
from loader.sources.files import StoredFile
from loader.sources.parquet import ParquetSource
from tests.sources.parquets import FEW, few_texts, write


class Shelf:
    """A store whose files are those of a directory; notes the length of each read."""

    def __init__(self) -> None:
        self.read: list[int] = []

    def open_input(self, key: str) -> pa.NativeFile:
        shelf = self

        class File(io.FileIO):
            def read(self, size: int = -1) -> bytes:
                data = super().read(size)
                shelf.read.append(len(data))
                return data

        return pa.PythonFile(File(key), mode="r")

    open_stream = open_input

    def look(self, key: str) -> tuple[int, int]:
        status = Path(key).stat()
        return status.st_size, status.st_mtime_ns

    def clean(self, text: str) -> str:
        return text


@pytest.fixture
def shelved(tmp_path):
    """A file far away with four row groups of 20 columns, its table, and its store."""
    table = pa.table({f"c{at}": [at * n for n in range(FEW)] for at in range(19)})
    table = table.append_column("few", few_texts(pa.string()))
    path = write(tmp_path / "t.parquet", table, row_group_size=FEW // 4)
    shelf = Shelf()
    return ParquetSource([StoredFile("far://t.parquet", shelf, path)]), table, shelf


def test_a_row_group_far_away_is_fetched_at_once(shelved):
    source, table, shelf = shelved
    shelf.read.clear()
    batches = list(source.batches(10_000))
    for name in table.column_names:
        values = [v for batch in batches for v in batch.data.column(name).to_pylist()]
        assert values == table.column(name).to_pylist()
    # The footer in two or three, and each row group in one.
    assert len(shelf.read) <= 8


def test_a_large_row_group_far_away_is_fetched_as_it_is_read(shelved, monkeypatch):
    source, table, shelf = shelved
    monkeypatch.setattr(parquet, "_AT_ONCE", 1_000)
    shelf.read.clear()
    rows = sum(batch.data.num_rows for batch in source.batches(10_000))
    assert rows == table.num_rows
    assert len(shelf.read) >= 4 * 20


def test_only_the_columns_asked_for_are_fetched(shelved):
    source, table, shelf = shelved
    shelf.read.clear()
    batches = list(source.batches(1 << 20, ["c7"]))
    assert pa.Table.from_batches([batch.data for batch in batches]).equals(table.select(["c7"]))
    _footer, *others = sorted(shelf.read, reverse=True)
    assert sum(others) < Path(source.origins[0].key).stat().st_size / 4
