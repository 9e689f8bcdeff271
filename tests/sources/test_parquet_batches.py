"""How many rows of a Parquet file are read at once: batches keep to their size."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loader.sources.base import memory_of
from loader.sources.parquet import ParquetSource
from loader.sources.row_groups import Pace, Run, runs
from tests.sources.parquets import MB, TEXTS, write


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
    # Wide texts may come as dictionaries.
    assert [values for part in parts for values in part.to_pylist()] == table.to_pylist()


def test_rows_that_become_wide_are_decoded_in_fewer_at_a_time(tmp_path, monkeypatch):
    """The footer says 2 kB a row; the last tenth has 20 kB."""
    rows = 2_000
    texts = [""] * (rows - rows // 10) + ["x" * 20_000] * (rows // 10)
    table = {"a": texts, "b": range(rows)}
    path = write(tmp_path / "t.parquet", table, row_group_size=rows, use_dictionary=False)
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
    assert len(asked) == 3
    assert asked == sorted(asked, reverse=True)
    assert asked[-1] <= 5


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


def test_texts_that_repeat_and_are_wide_come_in_small_batches(tmp_path):
    """A dictionary takes little, but what is made of it may not."""
    table = pa.table({"a": [str(i % 3) * 5_000 for i in range(20_000)]})
    source = ParquetSource([write(tmp_path / "t.parquet", table)])
    batches = list(source.batches(1 << 20))
    assert {batch.data.schema.field("a").type for batch in batches} == {TEXTS}
    assert all(batch.data.num_rows * 5_000 <= 1 << 20 for batch in batches)
    values = [v for batch in batches for v in batch.data.column("a").to_pylist()]
    assert values == table.column("a").to_pylist()


def test_more_rows_at_once_when_some_were_read(tmp_path):
    path = write(tmp_path / "t.parquet", {"a": range(200_000)}, row_group_size=50_000)
    rows = [batch.data.num_rows for batch in ParquetSource([path]).batches(8 * 50_000)]
    assert rows[:7] == [8_192] * 6 + [848]
    assert rows[7:] == [32_768, 17_232] * 3


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
    "texts",
    [
        [f"text {i * 7919 % 20_011}" for i in range(200_000)],
        [f"text {i // 20}" for i in range(200_000)],
        [None if i % 50 else f"text {i % 3_000}" for i in range(200_000)],
    ],
    ids=["many", "sorted", "nulls"],
)
def test_usual_texts_are_no_danger(tmp_path, texts):
    table = pa.table({"a": texts, "id": range(len(texts))})
    asked = []
    (run,) = runs_of(write(tmp_path / "t.parquet", table), asked)
    assert len(asked) == 1
    assert run.shown <= 8 * MB // 32_768
    pace = Pace(MB)
    assert pace.begin(run) == 8_192


def test_every_dictionary_of_a_column_is_looked_at(tmp_path):
    texts = [f"{i * 7919 % 30_011:020}" for i in range(60_000)]
    path = write(
        tmp_path / "t.parquet",
        {"a": texts},
        row_group_size=20_000,
        dictionary_pagesize_limit=100_000,
        compression="none",
    )
    asked = []
    assert all(run.shown <= 8 * MB // 32_768 for run in runs_of(path, asked))
    assert len(asked) == 3


def test_a_dictionary_page_whose_header_makes_no_sense_counts_as_one_entry(tmp_path):
    path = write(tmp_path / "t.parquet", shown_texts("text", 10_000), compression="none")
    file = pq.ParquetFile(path)
    chunk = file.metadata.row_group(0).column(0)
    for header in (b"", b"\0", b"\x15\x04", b"\xff" * 99, b"\x15\x04\x7c", b"\x7c\0", b"\x18"):
        (run,) = runs(file, [0], ["a"], MB, read_at=lambda _, __, header=header: header)
        assert 100_000 <= run.shown <= chunk.total_uncompressed_size
    assert Pace(MB).begin(run) == 79


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
