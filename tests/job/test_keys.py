"""``--check-keys``: rows that share a key are found before anything is sent."""

from __future__ import annotations

import sys
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import loader
from loader.errors import DuplicateKeys, UsageError
from loader.job.keys import check_keys
from loader.model import Wishes, build_model
from loader.sources import open_tables


def plan(data, **options):
    return loader.plan(data, check_keys=True, dataset="d", **options)


def refused(data, **options) -> DuplicateKeys:
    with pytest.raises(DuplicateKeys) as caught:
        plan(data, **options)
    return caught.value


def test_unique_keys_pass():
    plan({"t": pa.table({"k": ["a", "b"], "v": [1, 1]})})


def test_the_key_is_the_tuple_of_all_attributes():
    data = {"t": pa.table({"k": ["a", "a", "b"], "day": ["x", "y", "x"], "v": [1, 1, 1]})}
    plan(data)
    error = refused({"t": data["t"].drop_columns("day")})
    assert (error.exit_code, error.details["keys"], error.details["rows"]) == (3, 1, 2)
    assert '"a"' in error.message


def test_a_numeric_key_is_named():
    data = {"t": pa.table({"id": [1, 2, 1], "v": [1.0, 2.0, 3.0]})}
    plan(data)  # no attribute, no key
    assert refused(data, attributes=["id"]).details["examples"] == ["1"]


def test_nulls_are_equal_and_texts_are_not_mixed_up():
    plan({"t": pa.table({"a": ["x", 'x","y'], "b": ['y","z', "z"], "v": [1, 2]})})
    plan({"t": pa.table({"a": ["null", None], "v": [1, 2]})})
    assert refused({"t": pa.table({"a": pa.array([None, None], pa.string()), "v": [1, 2]})})


def test_decimals_and_types_that_the_database_does_not_know():
    wide = pa.array([Decimal(10) ** 60, Decimal(10) ** 60], pa.decimal256(70))
    assert refused({"t": pa.table({"a": wide, "v": [1, 2]})}, attributes=["a"])


def test_a_file_of_many_row_groups(tmp_path):
    path = tmp_path / "t.parquet"
    rows = 50_000
    keys = [f"k{number}" for number in range(rows)]
    keys[rows - 1] = keys[0]
    pq.write_table(pa.table({"k": keys, "v": list(range(rows))}), path, row_group_size=5_000)
    error = refused(str(path))
    assert error.details["examples"] == ['"k0"']


def test_a_damaged_file_is_named_as_such(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"k": [str(n) for n in range(100_000)], "v": range(100_000)}), path)
    data = bytearray(path.read_bytes())
    data[2000:4000] = b"\xff" * 2000
    path.write_bytes(data)
    with pytest.raises(loader.LoaderError) as caught:
        plan(str(path))
    assert caught.value.kind == "source_unreadable"


def test_a_stream_cannot_be_checked():
    reader = pa.table({"k": ["a"], "v": [1]}).to_reader()
    with pytest.raises(UsageError, match="read only once"):
        plan({"t": reader})


def test_without_duckdb_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(UsageError) as caught:
        plan({"t": pa.table({"k": ["a"], "v": [1]})})
    assert "mstr-loader[check-keys]" in str(caught.value.hint)


def test_too_little_memory_is_an_error_with_a_hint(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"k": [f"{n:0200}" for n in range(200_000)]}), path)
    source = open_tables(str(path))["t"]
    (table,) = build_model("d", {"t": source.schema}, Wishes()).tables
    with pytest.raises(UsageError, match="gave up") as caught:
        check_keys([(table, source)], [], memory=5_000_000, watch=lambda _: None)
    assert "--memory" in str(caught.value.hint)
