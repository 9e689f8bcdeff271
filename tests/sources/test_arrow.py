from __future__ import annotations

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.errors import NameRefused, SourceError, SourceUnreadable, UsageError
from loader.sources import SourceOptions, open_tables
from loader.sources.base import memory_of, pieces

TABLE = pa.table({"a": pa.chunked_array([[1, 2], [3]]), "b": ["x", None, "y" * 100]})


class Frame:
    """Anything with the Arrow stream protocol, as polars, pandas and duckdb have it."""

    def __arrow_c_stream__(self, requested_schema=None):
        return TABLE.__arrow_c_stream__(requested_schema)


def read(source, batch_bytes: int = 1 << 20) -> pa.Table:
    return pa.Table.from_batches([b.data for b in source.batches(batch_bytes)], source.schema)


@pytest.mark.parametrize("batch_bytes", [1, 20, 1 << 20])
def test_a_table_can_be_read_again(batch_bytes):
    source = open_tables(TABLE, SourceOptions())["table"]
    assert source.rows == 3
    assert source.rereadable
    assert list(source.origins) == ["<arrow>"]
    for _ in range(2):
        assert read(source, batch_bytes).equals(TABLE)
    assert [b.row for b in source.batches(1)] == [0, 1, 2]


def test_a_batch_is_a_table():
    batch = TABLE.to_batches()[0]
    source = open_tables(batch, SourceOptions(table="t"))["t"]
    assert source.rows == 2
    assert source.rereadable
    assert read(source).equals(pa.Table.from_batches([batch]))


@pytest.mark.parametrize("make", [TABLE.to_reader, Frame])
def test_a_stream_is_read_once(make):
    source = open_tables(make(), SourceOptions())["table"]
    assert source.rows is None
    assert not source.rereadable
    assert source.schema == TABLE.schema
    assert read(source, 20).equals(TABLE)
    with pytest.raises(UsageError, match="read already"):
        source.batches(20)


def test_a_stream_that_fails():
    def batches():
        yield TABLE.to_batches()[0]
        raise ValueError("the producer broke")

    reader = pa.RecordBatchReader.from_batches(TABLE.schema, batches())
    source = open_tables(reader, SourceOptions())["table"]
    with pytest.raises(SourceUnreadable, match="the producer broke"):
        read(source)


def test_what_exports_no_table():
    with pytest.raises(SourceError, match="ChunkedArray"):
        open_tables(pa.chunked_array([[1]]), SourceOptions())


def test_names_and_columns():
    with pytest.raises(NameRefused):
        open_tables(pa.table([[1], [2]], names=["a", "a"]), SourceOptions())
    with pytest.raises(SourceError, match="no columns"):
        open_tables(pa.table({}), SourceOptions())


def test_a_mapping_of_tables(tmp_path):
    (tmp_path / "1.csv").write_text("a\n1\n")
    (tmp_path / "2.csv").write_text("a\n2\n")
    tables = open_tables(
        {
            "arrow": TABLE,
            "path": tmp_path / "1.csv",
            "glob": str(tmp_path / "*.csv"),
            "list": [str(tmp_path / "2.csv"), tmp_path / "1.csv"],
        },
        SourceOptions(),
    )
    assert {name: source.rows for name, source in tables.items()} == {
        "arrow": 3,
        "path": 1,
        "glob": 2,
        "list": 2,
    }
    assert read(tables["list"]).to_pydict() == {"a": [2, 1]}


def test_paths_are_strings_or_paths(tmp_path):
    (tmp_path / "a.csv").write_text("a\n1\n")
    for sources in (tmp_path / "a.csv", str(tmp_path / "a.csv"), [tmp_path / "a.csv"]):
        assert open_tables(sources, SourceOptions())["a"].rows == 1


@pytest.mark.parametrize("sources", [[], {}, {"t": []}, 5, [5], {"t": 5}, [TABLE, 5]])
def test_what_is_no_source(sources):
    with pytest.raises(UsageError):
        open_tables(sources, SourceOptions())


def test_only_the_columns_asked_for():
    for thing in (TABLE, TABLE.to_reader(), Frame(), iter(TABLE.to_batches())):
        source = open_tables(thing)["table"]
        parts = [batch.data for batch in source.batches(20, ["b"])]
        assert pa.Table.from_batches(parts).equals(TABLE.select(["b"]))


class Row:
    """Anything that exports one batch: a struct array."""

    def __arrow_c_array__(self, requested_schema=None):
        return pa.array([{"a": 1, "b": "x"}]).__arrow_c_array__(requested_schema)


def test_what_exports_one_batch():
    source = open_tables(Row())["table"]
    assert source.rereadable
    assert read(source).to_pylist() == [{"a": 1, "b": "x"}]
    with pytest.raises(SourceError, match="Int64Array"):
        open_tables(pa.array([1]))


def test_a_list_of_batches_can_be_read_again():
    parts = TABLE.to_batches()
    for things in (parts, tuple(parts), [TABLE.slice(0, 1), TABLE.slice(1)]):
        source = open_tables({"t": things})["t"]
        assert source.rows == 3
        assert source.rereadable
        assert not source.notes
        for _ in range(2):
            assert read(source, 20).equals(TABLE)
    assert read(open_tables(parts)["table"]).equals(TABLE)


@pytest.mark.parametrize(
    "things",
    [
        lambda: iter(TABLE.to_batches()),
        lambda: (batch for batch in TABLE.to_batches()),
        lambda: iter([TABLE.slice(0, 1), Frame(), TABLE.slice(0, 0).to_reader()]),
    ],
)
def test_an_iterator_is_read_as_it_comes_and_once(things):
    source = open_tables({"t": things()}, SourceOptions())["t"]
    assert source.rows is None
    assert not source.rereadable
    assert "cannot be read twice, so this load cannot be resumed" in source.notes[0]
    data = read(source, 20)
    assert data.slice(0, 1).equals(TABLE.slice(0, 1))
    assert [data.num_rows >= 3, data.schema] == [True, TABLE.schema]
    with pytest.raises(UsageError, match="read already"):
        source.batches(20)


def test_an_iterator_is_not_read_ahead():
    pulled = []

    def batches():
        for batch in TABLE.to_batches():
            pulled.append(batch)
            yield batch

    source = open_tables(batches())["table"]
    assert len(pulled) == 1
    rows = source.batches(1 << 20)
    next(rows)
    assert len(pulled) == 1


def test_batches_of_other_columns():
    other = pa.record_batch({"a": ["1"], "b": ["x"]})
    with pytest.raises(SourceError, match=r"Item 2 .* a string where the first has a int64"):
        open_tables([TABLE.to_batches()[0], other])
    source = open_tables(iter([TABLE, other]))["table"]
    with pytest.raises(SourceError, match="Item 2"):
        read(source)


def test_metadata_of_batches_is_no_difference():
    noted = TABLE.replace_schema_metadata({"x": "y"})
    assert open_tables([TABLE, noted])["table"].rows == 6


@pytest.mark.parametrize("things", [iter([]), iter([5]), iter([TABLE, 5]), [TABLE, Frame()]])
def test_items_that_are_none(things):
    with pytest.raises(UsageError):
        read(open_tables(things)["table"])


def test_polars():
    frame = pl.DataFrame({"a": [1, None], "b": ["x", "y" * 50], "c": [[1], []]})
    source = open_tables(frame)["table"]
    assert source.rereadable
    assert source.rows == 2
    for _ in range(2):
        assert pl.from_arrow(read(source)).equals(frame)
    slices = frame.iter_slices(1)
    assert pl.from_arrow(read(open_tables(slices)["table"])).equals(frame)


def test_duckdb_relations_are_queries():
    with duckdb.connect() as connection:
        relation = connection.sql("SELECT range AS n, n::VARCHAR AS s FROM range(5000)")
        source = open_tables({"t": relation})["t"]
        assert not source.rereadable
        rows = read(source, 1000)
    assert rows["n"].to_pylist() == list(range(5000))
    assert rows["s"].to_pylist() == [str(n) for n in range(5000)]


@settings(deadline=None)
@given(
    st.lists(st.none() | st.text(max_size=40), max_size=40),
    st.integers(0, 10),
    st.integers(1, 400),
)
def test_pieces_are_the_batch_again_and_small(texts, offset, batch_bytes):
    kinds = [pa.string(), pa.large_string(), pa.string_view()]
    arrays = [pa.array(texts, kind) for kind in kinds]
    arrays.append(pa.array(texts, pa.string()).dictionary_encode())
    batch = pa.record_batch(arrays, names=["s", "l", "v", "d"]).slice(offset)
    parts = list(pieces(batch, batch_bytes))
    row = 0
    for position, part in parts:
        assert position == row
        assert part.num_rows == 1 or memory_of(part) <= batch_bytes
        row += part.num_rows
    assert pa.Table.from_batches([p for _, p in parts], batch.schema) == pa.Table.from_batches(
        [batch]
    )
