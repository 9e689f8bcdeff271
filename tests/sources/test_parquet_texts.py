"""Texts in Parquet files: few that repeat are read as dictionaries, others as they are."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loader.sources import SourceOptions, open_tables
from loader.sources.parquet import ParquetSource
from loader.sources.row_groups import flat_texts, repeating
from tests.sources.parquets import FEW, MB, TEXTS, few_texts, read, write


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
    assert repeating(file, [0], flat_texts(file, map(Name, names))) == names
    assert compared <= 4 * len(names)
