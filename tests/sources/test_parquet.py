from __future__ import annotations

import datetime as dt
import gc
import io
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
from loader.sources import SourceOptions, open_tables, parquet
from loader.sources.base import memory_of
from loader.sources.files import StoredFile
from loader.sources.parquet import ParquetSource, buffer_bytes
from loader.sources.row_groups import Pace, Run, repeating, runs


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


TEXTS = pa.dictionary(pa.int32(), pa.string())
FEW = 4_000


def few_texts(kind: pa.DataType, start: int = 0) -> pa.Array:
    """Hundreds of rows for each text; some are null."""
    texts = [None if i % 11 == 0 else f"tëxt {i % 7}" for i in range(start, start + FEW)]
    return pa.array(texts, kind)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
def test_few_texts_are_read_as_dictionaries(tmp_path, kind):
    table = pa.table({"id": range(FEW), "a": few_texts(kind), "own": few_texts(TEXTS)})
    path = write(tmp_path / "t.parquet", table, row_group_size=900)
    source = ParquetSource([path])
    assert source.schema.equals(table.schema)
    for skip in (0, 1, 900, 2_001):
        batches = list(source.batches(1 << 20, skip=skip))
        assert {batch.data.schema.field("a").type for batch in batches} == {TEXTS}
        assert {batch.data.schema.field("own").type for batch in batches} == {TEXTS}
        expected = table.slice(skip).to_pydict()
        for name in ("id", "a", "own"):
            read_values = [v for batch in batches for v in batch.data.column(name).to_pylist()]
            assert read_values == expected[name]
        assert [batch.row for batch in batches] == [
            batch.data.column("id")[0].as_py() for batch in batches
        ]


@pytest.mark.parametrize(
    ("texts", "options"),
    [
        ([f"{i}" for i in range(FEW)], {}),
        (["few"] * FEW, {"use_dictionary": False}),
        # The dictionary is full after a few rows, and plain pages follow.
        (["x" * (i % 90) for i in range(FEW)], {"dictionary_pagesize_limit": 100}),
        # More than each batch should have a copy of.
        ([f"{i % 1_000:050}" for i in range(50 * FEW)], {"compression": "none"}),
    ],
)
def test_other_texts_are_read_as_they_are(tmp_path, texts, options):
    table = pa.table({"a": pa.array(texts, pa.string())})
    path = write(tmp_path / "t.parquet", table, **options)
    assert read(ParquetSource([path])).equals(table)


def test_nothing_but_nulls(tmp_path):
    path = write(tmp_path / "t.parquet", {"a": pa.nulls(FEW, pa.string()), "b": range(FEW)})
    batches = list(ParquetSource([path]).batches(1 << 20))
    assert sum(batch.data.column("a").null_count for batch in batches) == FEW


def test_one_row_group_with_many_texts_makes_a_column_plain(tmp_path):
    many = pa.table({"a": [f"{i}" for i in range(FEW)]})
    few = pa.table({"a": few_texts(pa.string())})
    path = tmp_path / "t.parquet"
    with pq.ParquetWriter(path, few.schema) as writer:
        for table in (few, many):
            writer.write_table(table)
    whole = pa.concat_tables([few, many])
    source = ParquetSource([str(path)])
    assert read(source).equals(whole)
    parts = list(source.batches(1 << 20, skip=FEW))
    assert pa.Table.from_batches([part.data for part in parts]).equals(many)


def test_columns_whose_paths_look_alike(tmp_path):
    """pyarrow takes ``a.b`` for the column of that name and for the b of a."""
    texts = few_texts(pa.string()).to_pylist()
    table = pa.table({"a.b": texts, "a": [{"b": text, "c": 1} for text in texts], "b": texts})
    source = ParquetSource([write(tmp_path / "t.parquet", table)])
    for columns in (["a.b", "b"], ["a"], ["a.b", "a", "b"]):
        batches = list(source.batches(1 << 20, columns))
        for name in columns:
            kind = TEXTS if name == "b" else table.schema.field(name).type
            assert {batch.data.schema.field(name).type for batch in batches} == {kind}
            values = [v for batch in batches for v in batch.data.column(name).to_pylist()]
            assert values == table.column(name).to_pylist()


def test_files_of_one_table_with_few_texts_and_many(tmp_path):
    one = write(tmp_path / "1.parquet", {"a": few_texts(pa.string())})
    two = write(tmp_path / "2.parquet", {"a": pa.array(["x", "y"], pa.large_string())})
    three = write(tmp_path / "3.parquet", {"a": few_texts(pa.string_view())})
    source = ParquetSource([one, two, three])
    assert source.schema.field("a").type == pa.large_string()
    batches = list(source.batches(1 << 20))
    assert [str(part.data.schema.field("a").type) for part in batches if part.origin == two] == [
        "large_string"
    ]
    values = [value for batch in batches for value in batch.data.column("a").to_pylist()]
    few = few_texts(pa.string()).to_pylist()
    assert values == [*few, "x", "y", *few]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
@pytest.mark.parametrize(
    "where", ["a = 'tëxt 3'", "a LIKE '%3' AND b <> 'x'", "b IS NULL", "id < 9"]
)
def test_conditions_on_few_texts(tmp_path, kind, where):
    table = pa.table({"id": range(FEW), "a": few_texts(kind), "b": few_texts(kind)})
    write(tmp_path / "t.parquet", table, row_group_size=900)
    source = open_tables([f"t={tmp_path}"], SourceOptions(where=where, limit=300))["t"]
    rows = [row for batch in source.batches(1 << 20) for row in batch.data.to_pylist()]
    keep = {
        "a = 'tëxt 3'": lambda row: row["a"] == "tëxt 3",
        "a LIKE '%3' AND b <> 'x'": lambda row: row["a"] == "tëxt 3",
        "b IS NULL": lambda row: row["b"] is None,
        "id < 9": lambda row: row["id"] < 9,
    }[where]
    assert rows == [row for row in table.to_pylist() if keep(row)][:300]


def test_few_texts_below_directories_that_tell_a_column(tmp_path):
    for day in (1, 2):
        (tmp_path / f"day={day}").mkdir()
        texts = few_texts(pa.string_view(), day)
        table = pa.table({"a": texts, "day": pa.array([str(day)] * FEW)})
        write(tmp_path / f"day={day}" / "t.parquet", table)
        write(tmp_path / f"day={day}" / "u.parquet", table.slice(0, 1))
    source = open_tables([f"t={tmp_path}"], SourceOptions())["t"]
    batches = list(source.batches(1 << 20))
    assert TEXTS in {batch.data.schema.field("a").type for batch in batches}
    expected = [
        text
        for day in (1, 2)
        for text in [
            *few_texts(pa.string(), day).to_pylist(),
            few_texts(pa.string(), day)[0].as_py(),
        ]
    ]
    assert [v for batch in batches for v in batch.data.column("a").to_pylist()] == expected


def test_texts_that_repeat_and_are_wide_come_in_small_batches(tmp_path):
    """A dictionary takes little, but what is made of it may not."""
    table = pa.table({"a": [str(i % 3) * 5_000 for i in range(20_000)]})
    source = ParquetSource([write(tmp_path / "t.parquet", table)])
    first, *others = source.batches(1 << 20)
    assert first.data.schema.field("a").type == TEXTS
    assert first.data.num_rows == 8_192
    assert all(batch.data.num_rows * 5_000 <= 1 << 20 for batch in others)
    values = [v for batch in (first, *others) for v in batch.data.column("a").to_pylist()]
    assert values == table.column("a").to_pylist()


def test_more_rows_at_once_when_some_were_read(tmp_path):
    path = write(tmp_path / "t.parquet", {"a": range(200_000)}, row_group_size=50_000)
    rows = [batch.data.num_rows for batch in ParquetSource([path]).batches(8 * 50_000)]
    assert rows[:7] == [8_192] * 6 + [848]
    assert rows[7:] == [32_768, 17_232] * 3


MB = 1_000_000


def runs_of(path: str, asked: list[int] | None = None, names: list[str] | None = None) -> list[Run]:
    """The runs for batches of 1 MB; ``asked`` gets the places at which the file is looked into."""
    content = Path(path).read_bytes()

    def read_at(offset: int, size: int) -> bytes:
        if asked is not None:
            asked.append(offset)
        return content[offset : offset + size]

    file = pq.ParquetFile(path)
    groups = range(file.metadata.num_row_groups)
    return list(runs(file, groups, names or file.schema_arrow.names, MB, read_at=read_at))


WIDE = 20_000


def shown_texts(kind: str, length: int) -> pa.Table:
    """Ten texts, each of which is shown in thousands of rows."""
    texts = pa.array([chr(97 + i) * length for i in range(10)])
    column = pa.DictionaryArray.from_arrays(pa.array([i % 10 for i in range(WIDE)], "int32"), texts)
    if kind == "list":
        column = pa.ListArray.from_arrays(pa.array(range(WIDE + 1), "int32"), column)
    if kind == "struct":
        column = pa.StructArray.from_arrays([column], ["x"])
    return pa.table({"a": column})


@pytest.mark.parametrize("kind", ["text", "list", "struct"])
@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
def test_wide_texts_that_a_row_group_has_once_come_in_small_batches(
    tmp_path, monkeypatch, kind, compression
):
    """The row groups are alike in encoded size, but not in memory: 20 kB and 400 MB."""
    path = str(tmp_path / "t.parquet")
    parts = [shown_texts(kind, 1), shown_texts(kind, WIDE)]
    options = {"compression": compression, "store_schema": False}
    with pq.ParquetWriter(path, parts[0].schema, **options) as writer:
        for part in parts:
            writer.write_table(part)
    (joined,) = runs_of(path)
    assert 20_000 <= joined.shown <= 20_100
    asked = []
    plain = pq.ParquetFile.iter_batches

    def iter_batches(self, **options):
        asked.append(options["batch_size"])
        return plain(self, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", iter_batches)
    rows = 0
    for batch in ParquetSource([path]).batches(MB):
        rows += batch.data.num_rows
        as_dictionary = batch.data.schema.field("a").type == TEXTS
    assert rows == 2 * WIDE
    assert as_dictionary or max(asked) <= 8 * MB // 20_000


@pytest.mark.parametrize(
    ("texts", "looks"),
    [
        # Indices of 15 bits prove many entries.
        ([f"text {i * 7919 % 20_011}" for i in range(200_000)], 0),
        # Those of sorted rows and among nulls take next to nothing.
        ([f"text {i // 20}" for i in range(200_000)], 1),
        ([None if i % 50 else f"text {i % 3_000}" for i in range(200_000)], 1),
    ],
    ids=["many", "sorted", "nulls"],
)
def test_usual_texts_are_no_danger(tmp_path, texts, looks):
    table = pa.table({"a": texts, "id": range(len(texts))})
    asked = []
    (run,) = runs_of(write(tmp_path / "t.parquet", table), asked)
    assert len(asked) <= looks
    assert run.shown <= 8 * MB // 32_768
    pace = Pace(MB)
    assert pace.begin(run) == 8_192


def test_full_dictionaries_of_a_column_are_looked_at_once(tmp_path):
    texts = [f"{i * 7919 % 30_011:020}" for i in range(60_000)]
    path = write(
        tmp_path / "t.parquet",
        {"a": texts},
        row_group_size=20_000,
        dictionary_pagesize_limit=100_000,
        compression="none",
    )
    asked = []
    assert all(run.shown <= 30 for run in runs_of(path, asked))
    assert len(asked) == 1


def test_a_dictionary_page_whose_header_makes_no_sense_counts_as_one_entry(tmp_path):
    path = write(tmp_path / "t.parquet", shown_texts("text", 10_000), compression="none")
    file = pq.ParquetFile(path)
    chunk = file.metadata.row_group(0).column(0)
    for header in (b"", b"\0", b"\x15\x04", b"\xff" * 99, b"\x15\x04\x7c", b"\x7c\0", b"\x18"):
        (run,) = runs(file, [0], ["a"], MB, read_at=lambda _, __, header=header: header)
        assert 100_000 <= run.shown <= chunk.total_uncompressed_size
    assert Pace(MB).begin(run) == 79


@pytest.mark.parametrize("tail", [0, 1, 40, 500])
def test_a_row_group_of_hardly_any_rows_does_not_tell_how_texts_are_read(tmp_path, tail):
    few = pa.table({"a": [f"city number {i % 300}" for i in range(20_000)]})
    rest = pa.table({"a": [f"{i}" for i in range(tail)]}, few.schema)
    path = str(tmp_path / "t.parquet")
    with pq.ParquetWriter(path, few.schema) as writer:
        for table in (few, rest, few):
            writer.write_table(table)
    batches = list(ParquetSource([path]).batches(MB))
    assert {batch.data.schema.field("a").type for batch in batches} == {TEXTS}
    values = [value for batch in batches for value in batch.data.column("a").to_pylist()]
    assert values == pa.concat_tables([few, rest, few]).column("a").to_pylist()


def test_row_groups_of_nulls_do_not_tell_how_texts_are_read(tmp_path):
    texts = [*few_texts(pa.string()).to_pylist(), *[None] * 2 * FEW]
    path = write(tmp_path / "t.parquet", {"a": pa.array(texts)}, row_group_size=FEW)
    batches = list(ParquetSource([path]).batches(MB))
    assert {batch.data.schema.field("a").type for batch in batches} == {TEXTS}
    assert [v for batch in batches for v in batch.data.column("a").to_pylist()] == texts


def test_the_paths_of_columns_are_compared_once(tmp_path):
    """Not for each column with all the others, which takes seconds with thousands."""
    compared = 0

    class Name(str):
        __slots__ = ()

        def __eq__(self, other):
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    names = [f"column {i}" for i in range(300)]
    file = pq.ParquetFile(write(tmp_path / "t.parquet", {name: ["a", "b"] * 500 for name in names}))
    assert repeating(file, [0], map(Name, names)) == names
    assert compared <= 4 * len(names)


def run(rows: int, size: int) -> Run:
    return Run([0], 0, rows, size, size)


def test_the_first_run_is_begun_with_few_rows():
    assert Pace(8 * MB).begin(run(100_000, 6 * MB)) == 8_192
    assert Pace(8 * MB).begin(run(100_000, 600 * MB)) == 8 * MB // 6_000
    assert Pace(8).begin(run(100, 100 * MB)) == 1


def test_a_run_like_the_one_before_is_read_in_batches_as_large_as_they_may_be():
    pace = Pace(8 * MB)
    pace.begin(run(100_000, 6 * MB))
    assert pace.note(8_192, 8_192 * 200) == 32_768
    assert pace.note(8_192, 8_192 * 400) == 20_000
    assert pace.note(8_192, 8_192 * 300) == 26_666
    # As wide as the widest batch of the run before.
    assert pace.begin(run(100_000, 6 * MB)) == 20_000
    assert pace.note(8_192, 8_192 * 100) == 32_768
    assert pace.begin(run(100_000, 6 * MB)) == 32_768


@pytest.mark.parametrize(
    ("next_run", "rows"),
    [
        (run(100_000, 12 * MB), 32_768),
        (run(100_000, 13 * MB), 8_192),  # more than twice as wide, who knows where
        (run(2_000_000, 64 * MB), 32_768),
        (run(2_000_000, 65 * MB), 8_192),  # all of it might be in one batch
    ],
)
def test_runs_that_may_have_wide_rows_are_begun_with_few(next_run, rows):
    pace = Pace(8 * MB)
    pace.begin(run(100_000, 6 * MB))
    pace.note(8_192, 8_192 * 100)
    assert pace.begin(next_run) == rows


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
