"""Parquet files: their types, their columns, and several files as one table."""

from __future__ import annotations

import datetime as dt
import gc
import tracemalloc
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loader.errors import (
    NameRefused,
    SourceError,
    UsageError,
)
from loader.sources import SourceOptions, open_tables
from loader.sources.parquet import ParquetSource, buffer_bytes
from tests.sources.parquets import read, write

EVERY_TYPE = pa.table(
    {
        "i": pa.array([1, None, 3], pa.int8()),
        "u": pa.array([2**64 - 1, 0, None], pa.uint64()),
        "f": pa.array([0.5, None, float("inf")], pa.float32()),
        "d": pa.array([Decimal("1.10"), None, Decimal("-9.99")], pa.decimal128(38, 2)),
        "b": [True, None, False],
        "date": [dt.date(1, 1, 1), None, dt.date(9999, 12, 31)],
        "time": pa.array([dt.time(1, 2, 3), None, dt.time(0)], pa.time64("us")),
        "ts": pa.array([dt.datetime(2024, 1, 1), None, dt.datetime(1, 1, 1)], pa.timestamp("us")),
        "tz": pa.array([dt.datetime(2024, 1, 1), None, None], pa.timestamp("ms", "UTC")),
        "s": ["a", None, "ä" * 20],
        "l": pa.array(["a", None, ""], pa.large_string()),
        "v": pa.array(["a", None, "x" * 30], pa.string_view()),
        "bin": [b"\0", None, b""],
        "dict": pa.array(["x", None, "x"]).dictionary_encode(),
        "list": [[1, 2], None, []],
        "struct": [{"a": 1}, None, {"a": None}],
        "null": pa.nulls(3),
    }
)


def test_every_type_comes_through_under_its_own_type(tmp_path):
    path = write(tmp_path / "t.parquet", EVERY_TYPE)
    source = ParquetSource([path])
    assert source.schema.equals(EVERY_TYPE.schema)
    assert source.rows == 3
    assert source.rereadable
    assert list(source.origins) == [path]
    for batch_bytes in (1, 1 << 20):
        assert read(source, batch_bytes).equals(EVERY_TYPE)


def test_batches_say_where_they_come_from(tmp_path):
    one = write(tmp_path / "1.parquet", {"a": list(range(10))}, row_group_size=3)
    two = write(tmp_path / "2.parquet", {"a": list(range(5))})
    batches = list(ParquetSource([one, two]).batches(16))
    assert all(batch.data.num_rows <= 2 for batch in batches)
    for batch in batches:
        assert batch.data.column(0)[0].as_py() == batch.row
    assert next(batch.row for batch in batches if batch.origin == two) == 0


def test_files_of_one_table_unify(tmp_path):
    one = write(tmp_path / "1.parquet", {"a": pa.array([1], pa.int8()), "b": ["x"]})
    two = write(
        tmp_path / "2.parquet",
        {"b": pa.array(["y"]).dictionary_encode(), "a": pa.array([2**40], pa.int64())},
    )
    three = write(tmp_path / "3.parquet", {"a": pa.nulls(1), "b": pa.nulls(1)})
    source = open_tables([f"t={tmp_path}"], SourceOptions())["t"]
    assert list(source.origins) == [one, two, three]
    assert source.schema == pa.schema([("a", pa.int64()), ("b", pa.string())])
    assert read(source).to_pydict() == {"a": [1, 2**40, None], "b": ["x", "y", None]}
    assert source.rows == 3


def test_int_and_float_files_are_refused_with_both_names(tmp_path):
    one = write(tmp_path / "1.parquet", {"a": [1]})
    two = write(tmp_path / "2.parquet", {"a": [1.5]})
    with pytest.raises(SourceError, match=r"int64 in .*double in") as error:
        ParquetSource([one, two])
    assert error.value.details["column"] == "a"
    assert one in error.value.message
    assert two in error.value.message


def test_no_rows(tmp_path):
    path = write(tmp_path / "t.parquet", pa.table({"a": pa.array([], pa.int8())}))
    source = ParquetSource([path])
    assert source.rows == 0
    assert list(source.batches(100)) == []


def test_duplicate_columns(tmp_path):
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(NameRefused) as error:
        ParquetSource([write(tmp_path / "t.parquet", table)])
    assert error.value.details["column"] == "a"


def test_reading_twice_gives_the_same(tmp_path):
    source = ParquetSource([write(tmp_path / "t.parquet", EVERY_TYPE)])
    assert read(source).equals(read(source))


NESTED = pa.table(
    {
        "a.b": [1, 2],
        "a": [{"b": "x", "c": [1]}, None],
        "m": pa.array([[("k", 1.5)], []], pa.map_(pa.string(), pa.float64())),
        "l": [[[1], []], None],
        "z": [True, None],
        "f": pa.array([[1, 2], None], pa.list_(pa.int8(), 2)),
        "u": pa.array([b"0" * 16, None], pa.uuid()),
    }
)


@pytest.mark.parametrize(
    "columns", [["z", "a.b"], ["a"], ["a.b"], ["m", "l"], ["u", "f"], NESTED.column_names[::-1]]
)
def test_only_the_columns_asked_for_in_their_order(tmp_path, columns):
    source = ParquetSource([write(tmp_path / "t.parquet", NESTED)])
    for batch_bytes in (1, 1 << 20):
        parts = [batch.data for batch in source.batches(batch_bytes, columns)]
        assert pa.Table.from_batches(parts).equals(NESTED.select(columns))


def test_buffers_only_for_columns_read(tmp_path, monkeypatch):
    path = write(tmp_path / "t.parquet", {f"c{i}": [1] for i in range(100)} | {"s": [{"x": 1}]})
    source = ParquetSource([path])
    asked = []
    opened = pq.ParquetFile.__init__

    def record(self, handle, **options):
        asked.append(options["buffer_size"])
        opened(self, handle, **options)

    monkeypatch.setattr(pq.ParquetFile, "__init__", record)
    list(source.batches(1 << 20, ["s"]))
    list(source.batches(1 << 20))
    assert asked == [buffer_bytes(1), buffer_bytes(101)]


def test_columns_that_are_not_there(tmp_path):
    source = ParquetSource([write(tmp_path / "t.parquet", {"a": [1]})])
    with pytest.raises(UsageError, match="no column 'b'"):
        list(source.batches(100, ["a", "b"]))
    with pytest.raises(UsageError, match="No column"):
        list(source.batches(100, []))


@pytest.mark.slow
def test_a_thousand_files(tmp_path):
    """Footers of a thousand files are read in seconds, and hardly anything is kept of them."""
    table = pa.table({f"column_{i}": [i] for i in range(20)})
    for number in range(1000):
        write(tmp_path / f"{number:04}.parquet", table)
    before = tracemalloc_of(lambda: None)
    kept = tracemalloc_of(lambda: open_tables([f"t={tmp_path}"], SourceOptions()))
    assert kept - before < 2 << 20


def tracemalloc_of(work) -> int:
    """What is still allocated after ``work`` while its result is held."""
    gc.collect()
    tracemalloc.start()
    try:
        result = work()
        gc.collect()
        size, _ = tracemalloc.get_traced_memory()
        del result
    finally:
        tracemalloc.stop()
    return size


def test_far_years_in_int96_are_not_wrapped(tmp_path):
    far = dt.datetime(9999, 12, 31, 23, 59, 59, 999999)
    path = write(
        tmp_path / "t.parquet",
        {"a": pa.array([far], pa.timestamp("us"))},
        use_deprecated_int96_timestamps=True,
        store_schema=False,
    )
    assert read(ParquetSource([path])).to_pydict() == {"a": [far]}


def test_odd_names_are_only_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a=b %20#?.parquet", {"a": [1]})
    assert open_tables(["a=b %20#?.parquet"], SourceOptions())["a=b %20#?"].rows == 1


def test_buffers_shrink_with_the_number_of_columns():
    assert [buffer_bytes(n) for n in (0, 1, 16, 64, 10_000)] == [
        1 << 20,
        1 << 20,
        1 << 20,
        1 << 18,
        1 << 16,
    ]
