"""What holds for all tables together, once they are opened."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loader.errors import UsageError
from loader.sources import CsvOptions, SourceOptions, open_tables

SEMICOLONS = SourceOptions(csv=CsvOptions(delimiter=";"))


@pytest.fixture
def parquet(tmp_path):
    path = tmp_path / "p.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    return str(path)


def test_csv_options_without_a_csv_file_are_a_mistake(parquet):
    with pytest.raises(UsageError, match="--csv-"):
        open_tables(parquet, SEMICOLONS)
    with pytest.raises(UsageError, match="--csv-"):
        open_tables(pa.table({"a": [1]}), SEMICOLONS)


def test_csv_options_are_for_the_csv_files_among_others(parquet, tmp_path):
    path = tmp_path / "c.csv"
    path.write_text("a;b\n1;2\n")
    assert open_tables([parquet, str(path)], SEMICOLONS)["c"].schema.names == ["a", "b"]
