from __future__ import annotations

import datetime as dt
import gc
import subprocess
import sys
import tracemalloc
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loader.errors import (
    NameRefused,
    SourceError,
    SourceNotFound,
    SourceUnreadable,
    UsageError,
)
from loader.sources import SourceOptions, open_tables
from loader.sources.base import memory_of
from loader.sources.parquet import ParquetSource, buffer_bytes


def write(path: Path, columns: dict | pa.Table, **options) -> str:
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    pq.write_table(table, path, **options)
    return str(path)


def read(source, batch_bytes: int = 1 << 20) -> pa.Table:
    return pa.Table.from_batches([b.data for b in source.batches(batch_bytes)], source.schema)


def open_files(descriptor_of: Path) -> int:
    return sum(
        link.readlink() == descriptor_of
        for link in Path("/proc/self/fd").iterdir()
        if link.is_symlink()
    )


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


@pytest.fixture(scope="module")
def skewed(tmp_path_factory):
    """Narrow rows, then wide ones, nulls and dictionaries, in row groups of several sizes."""
    texts = ["n"] * 200 + ["w" * (7 * i) for i in range(100)] + [None] * 20
    table = pa.table(
        {
            "id": range(320),
            "text": texts,
            "view": pa.array(texts, pa.string_view()),
            "dict": pa.array(texts).dictionary_encode(),
            "list": [[1] * (i % 5) for i in range(320)],
        }
    )
    path = tmp_path_factory.mktemp("skewed") / "t.parquet"
    with pq.ParquetWriter(path, table.schema) as writer:
        for start, rows in ((0, 3), (3, 7), (10, 260), (270, 50)):
            writer.write_table(table.slice(start, rows))
    return str(path), table


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(batch_bytes=st.integers(1, 100_000))
def test_any_batch_size_gives_the_same_table(skewed, batch_bytes):
    path, table = skewed
    row = 0
    parts = []
    for batch in ParquetSource([path]).batches(batch_bytes):
        assert batch.row == row
        assert batch.data.num_rows == 1 or memory_of(batch.data) <= batch_bytes
        row += batch.data.num_rows
        parts.append(batch.data)
    assert pa.Table.from_batches(parts).equals(table)


def test_rows_that_become_wide_are_decoded_in_fewer_at_a_time(tmp_path, monkeypatch):
    """The footer says 2 kB a row; the second half has 4 kB, and dictionaries hide more."""
    rows = 20_000
    path = write(
        tmp_path / "t.parquet",
        {"a": ["x" * 1000] * rows, "b": range(rows)},  # one dictionary entry: tiny on disk
        row_group_size=rows,
    )
    asked = []
    plain = pq.ParquetFile.iter_batches

    def iter_batches(self, **options):
        asked.append(options["batch_size"])
        return plain(self, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", iter_batches)
    batches = list(ParquetSource([path]).batches(100_000))
    assert [b.row for b in batches][1:] == [
        sum(x.data.num_rows for x in batches[: i + 1]) for i in range(len(batches) - 1)
    ]
    assert sum(b.data.num_rows for b in batches) == rows
    assert pa.Table.from_batches([b.data for b in batches])["b"].to_pylist() == list(range(rows))
    assert len(asked) == 2
    assert asked[1] <= 100


@pytest.mark.slow
def test_memory_does_not_grow_with_the_row_group(tmp_path):
    """In a process of its own: the highest mark of Arrow's memory is the process's."""
    rows = 1_000_000
    texts = pa.array([f"{i * 7919 % rows:064}" for i in range(rows)])
    path = write(
        tmp_path / "t.parquet",
        {"a": texts, "b": texts},
        row_group_size=rows,
        use_dictionary=False,
        compression="none",
    )
    assert Path(path).stat().st_size > 100 << 20
    script = (
        "import sys, pyarrow as pa\n"
        "from loader.sources.parquet import ParquetSource\n"
        "rows = sum(b.data.num_rows for b in ParquetSource([sys.argv[1]]).batches(1 << 20))\n"
        "print(rows, pa.default_memory_pool().max_memory())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, path], check=True, capture_output=True, text=True
    )
    read_rows, highest = map(int, done.stdout.split())
    assert read_rows == rows
    assert highest < 16 << 20


def test_small_row_groups_are_joined(tmp_path):
    path = write(tmp_path / "t.parquet", {"a": list(range(1000))}, row_group_size=1)
    batches = list(ParquetSource([path]).batches(1 << 20))
    assert len(batches) == 1


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


@pytest.mark.parametrize("content", [b"", b"PAR1", b"a,b\n1,2\n", b"PAR1" + b"\0" * 100 + b"PAR1"])
def test_not_parquet(tmp_path, content):
    path = tmp_path / "t.parquet"
    path.write_bytes(content)
    with pytest.raises(SourceUnreadable) as error:
        ParquetSource([str(path)])
    assert error.value.details["file"] == str(path)
    assert error.value.hint
    assert open_files(path) == 0


def test_truncated(tmp_path):
    path = tmp_path / "t.parquet"
    write(path, {"a": list(range(10_000))})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SourceUnreadable, match=r"t\.parquet"):
        ParquetSource([str(path)])


@pytest.mark.parametrize("checksum", [True, False])
def test_a_damaged_page_in_the_middle(tmp_path, checksum):
    path = tmp_path / "t.parquet"
    rows = 200_000
    write(
        path,
        {"a": [f"{i * 7919:x}" for i in range(rows)]},
        write_page_checksum=checksum,
        use_dictionary=False,
        compression="snappy",
    )
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(64)
    path.write_bytes(data)
    source = ParquetSource([str(path)])
    seen = []
    with pytest.raises(SourceUnreadable) as error:
        seen.extend(batch.data.num_rows for batch in source.batches(1 << 16))
    assert 0 < sum(seen) < rows
    assert error.value.details["file"] == str(path)
    del error
    gc.collect()
    assert open_files(path) == 0


def test_a_flipped_bit_in_a_value_is_seen_where_pages_have_checksums(tmp_path):
    path = tmp_path / "t.parquet"
    write(
        path,
        {"a": list(range(1000))},
        write_page_checksum=True,
        use_dictionary=False,
        compression="none",
    )
    data = bytearray(path.read_bytes())
    data[data.index((500).to_bytes(8, "little"))] ^= 1
    path.write_bytes(data)
    with pytest.raises(SourceUnreadable, match=r"(?i)crc|checksum"):
        list(ParquetSource([str(path)]).batches(1 << 20))


def test_a_file_that_changed_after_its_footer_was_read(tmp_path):
    path = tmp_path / "t.parquet"
    write(path, {"a": [1, 2]})
    source = ParquetSource([str(path)])
    write(path, {"a": [1, 2, 3]})
    with pytest.raises(SourceUnreadable, match="changed"):
        list(source.batches(100))


def test_a_file_that_is_gone(tmp_path):
    path = tmp_path / "t.parquet"
    source = ParquetSource([write(path, {"a": [1]})])
    path.unlink()
    with pytest.raises(SourceNotFound):
        list(source.batches(100))


def test_closing_the_generator_closes_the_file(tmp_path):
    path = tmp_path / "t.parquet"
    source = ParquetSource([write(path, {"a": list(range(1000))})])
    assert open_files(path) == 0
    batches = source.batches(80)
    next(batches)
    assert open_files(path) == 1
    batches.close()
    assert open_files(path) == 0


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
