from __future__ import annotations

import datetime as dt
import urllib.parse
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.errors import BadValue, SourceError
from loader.sources import SourceOptions, open_tables
from loader.sources.hive import Partitions


@pytest.fixture
def tree(tmp_path):
    def make(**files: dict | pa.Table) -> str:
        for name, columns in files.items():
            path = tmp_path / "t" / f"{name}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.table(columns), path, row_group_size=2)
        return str(tmp_path / "t")

    return make


def read(source, batch_bytes: int = 1 << 20, columns=None) -> list[dict]:
    return [row for batch in source.batches(batch_bytes, columns) for row in batch.data.to_pylist()]


def types(*directories: str) -> dict[str, pa.DataType]:
    partitions = Partitions.of([f"f{at}" for at in range(len(directories))], directories)
    assert partitions is not None
    return {field.name: field.type for field in partitions.values.schema}


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (["2023", "2024"], pa.int64(), [2023, 2024]),
        (["0", "-5", "9223372036854775807"], pa.int64(), [0, -5, 2**63 - 1]),
        (["1", "9223372036854775808"], pa.string(), None),
        (["1", "__HIVE_DEFAULT_PARTITION__"], pa.int64(), [1, None]),
        (["01", "12"], pa.string(), None),
        (["1", "x"], pa.string(), None),
        (["1", ""], pa.string(), None),
        (["-0"], pa.string(), None),
        (["1.5"], pa.string(), None),
        (["\uff12"], pa.string(), None),  # a digit, but not of ASCII
        (["2024-01-01", "0001-01-01"], pa.date32(), [dt.date(2024, 1, 1), dt.date(1, 1, 1)]),
        (["2024-02-30"], pa.string(), None),
        (["2024-01-01", "2024"], pa.string(), None),
        (["__HIVE_DEFAULT_PARTITION__"], pa.string(), [None]),
        (["a%20b%2Fc", "%C3%A4", "ü"], pa.string(), ["a b/c", "ä", "ü"]),
        (["%ff", "100%"], pa.string(), None),
    ],
)
def test_types_are_those_of_all_directories(values, kind, expected):
    directories = [f"x/k={value}/y=1" for value in values]
    partitions = Partitions.of(values, directories)
    assert partitions is not None
    column = partitions.values.column("k")
    assert column.type == kind
    assert column.to_pylist() == (values if expected is None else expected)


def test_names_are_decoded_and_in_the_order_of_the_directories():
    assert list(types("b%20c=1/a=2", "a=2/b%20c=1")) == ["b c", "a"]


def test_no_partitions():
    assert Partitions.of(["f", "g"], ["", "x/=y/z"]) is None


@settings(deadline=None)
@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=5)
)
def test_any_value_comes_back(values):
    partitions = Partitions.of(
        [str(at) for at in range(len(values))],
        [f"k={urllib.parse.quote(value, safe='')}" for value in values],
    )
    assert partitions is not None
    found = partitions.values.column("k").to_pylist()
    assert list(map(str, found)) == values


def test_columns_come_after_those_of_the_files(tree):
    path = tree(
        **{
            "year=2024/month=1/a": {"n": [1, 2, 3]},
            "year=2024/month=2/b": {"n": [4]},
            "year=2025/month=__HIVE_DEFAULT_PARTITION__/c": {"n": [5]},
        }
    )
    source = open_tables(path)["t"]
    assert source.schema.names == ["n", "year", "month"]
    assert source.rows == 5
    assert source.rereadable
    assert source.notes == ("from the names of the directories: year (int64), month (int64)",)
    expected = [(1, 2024, 1), (2, 2024, 1), (3, 2024, 1), (4, 2024, 2), (5, 2025, None)]
    for batch_bytes in (1, 1 << 20):
        rows = read(source, batch_bytes)
        assert [tuple(row.values()) for row in rows] == expected
    assert [b.data.schema for b in source.batches(1)] == [source.schema] * 5


def test_a_glob_and_a_csv_file_have_them_too(tmp_path):
    for year in (2023, 2024):
        (tmp_path / f"year={year}").mkdir()
        pv.write_csv(pa.table({"n": [year]}), tmp_path / f"year={year}" / "x.csv")
    for path in (tmp_path, f"{tmp_path}/*", f"{tmp_path}/*/*.csv", f"{tmp_path}/**/x.csv"):
        source = open_tables({"t": str(path)})["t"]
        assert read(source) == [{"n": 2023, "year": 2023}, {"n": 2024, "year": 2024}]
    source = open_tables({"t": f"{tmp_path}/year=2024"})["t"]
    assert read(source) == [{"n": 2024}]


def test_what_pyarrow_and_polars_write(tmp_path):
    table = pa.table(
        {"n": range(6), "who": ["a b", "ü/=", None] * 2, "day": [dt.date(2024, 1, 1)] * 6}
    )
    partitioning = ds.partitioning(table.select(["who", "day"]).schema, flavor="hive")
    ds.write_dataset(table, tmp_path / "t", format="parquet", partitioning=partitioning)
    rows = read(open_tables(str(tmp_path / "t"))["t"])
    assert sorted(rows, key=lambda row: row["n"]) == table.to_pylist()


def test_projection(tree):
    path = tree(**{"k=1/a": {"n": [1, 2], "s": ["x", "y"]}, "k=2/b": {"n": [3], "s": ["z"]}})
    source = open_tables(path)["t"]
    assert read(source, columns=["k", "n"]) == [
        {"k": 1, "n": 1},
        {"k": 1, "n": 2},
        {"k": 2, "n": 3},
    ]
    assert read(source, columns=["k"]) == [{"k": 1}, {"k": 1}, {"k": 2}]
    assert read(source, columns=["s"]) == [{"s": "x"}, {"s": "y"}, {"s": "z"}]


def test_a_constant_takes_a_byte_a_row(tree):
    path = tree(**{f"k={'x' * 100}/a": {"n": range(1000)}})
    (batch,) = open_tables(path)["t"].batches(1 << 20, ["k"])
    assert batch.data.nbytes < 1200


def test_files_outside_of_the_directories(tree):
    path = tree(**{"k=1/a": {"n": [1]}, "b": {"n": [2]}})
    with pytest.raises(SourceError, match=r"b\.parquet is in no directory k=") as error:
        open_tables(path)
    assert error.value.details["column"] == "k"


def test_a_column_of_both_is_read_from_the_files(tree):
    path = tree(
        **{
            "k=01/day=2024-01-01/a": {"k": [1, 1], "day": ["2024-01-01"] * 2, "n": [1, 2]},
            "k=02/day=__HIVE_DEFAULT_PARTITION__/b": {
                "k": [2],
                "day": pa.nulls(1, pa.string()),
                "n": [3],
            },
        }
    )
    source = open_tables(path)["t"]
    assert source.schema == pa.schema([("k", pa.int64()), ("day", pa.string()), ("n", pa.int64())])
    assert source.notes == ()
    assert [row["k"] for row in read(source)] == [1, 1, 2]
    found = read(open_tables(path, SourceOptions(where="k = 1 AND day > '2023'"))["t"])
    assert [row["n"] for row in found] == [1, 2]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1, 2]),
        pa.array([1, None]),
        pa.array(["1", "x"]),
        pa.array(["1", "x"]).dictionary_encode(),
        pa.array([1.0, 1.5]),
        pa.array([[1], [1]]),
    ],
)
def test_a_column_that_contradicts_its_directory(tree, column):
    source = open_tables(tree(**{"k=1/a": {"n": [1, 2], "k": column}}))["t"]
    with pytest.raises(BadValue, match="the directory is k=1") as error:
        read(source)
    assert error.value.details["column"] == "k"
    assert error.value.details["row"] in {1, 2}
    assert len(read(source, columns=["n"])) == 2


def test_files_are_left_out_by_their_directories(tree):
    path = tree(
        **{
            "year=2023/k=a/f": {"n": [1, 2]},
            "year=2024/k=a/f": {"n": [3, 4]},
            "year=2024/k=b/f": {"n": [5, 6]},
        }
    )

    def found(where: str) -> tuple[list[str], list[int]]:
        source = open_tables(path, SourceOptions(where=where))["t"]
        origins = [str(Path(o).relative_to(path).parent) for o in source.origins]
        return origins, [row["n"] for row in read(source, columns=["n"])]

    assert found("year = 2024") == (["year=2024/k=a", "year=2024/k=b"], [3, 4, 5, 6])
    assert found("year = 2024 AND k = 'a'") == (["year=2024/k=a"], [3, 4])
    assert found("Year < 2024")[1] == [1, 2]
    assert found("year = 2023 OR n = 5")[1] == [1, 2, 5]
    assert found("NOT (year = 2024 AND n > 4)")[1] == [1, 2, 3, 4]
    assert found("k IN ('b', 'c') AND n <> 5") == (["year=2024/k=b"], [6])
    assert found("year = 1999") == (["year=2023/k=a"], [])


def test_a_text_in_the_files_is_compared_as_a_text(tree):
    """Its directories look like numbers, but '10' < '5' is true of texts."""
    path = tree(**{f"k={k}/f": {"k": [k], "n": [int(k)]} for k in ("5", "7", "10")})
    found = read(open_tables(path, SourceOptions(where="k < '5'"))["t"])
    assert [row["n"] for row in found] == [10]
