"""``plan``: what would be sent, without a network."""

from __future__ import annotations

import socket
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("plan opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.delenv("MSTR_PASSWORD")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "sales.parquet"
    rows = 50_000
    columns = {"day": ["2024-01-01"] * rows, "amount": [1.25] * rows, "n": list(range(rows))}
    pq.write_table(pa.table(columns), path)
    return path


def test_json(command, file):
    plan = command("plan", file, "--json").succeeded().json
    (table,) = plan["tables"]
    assert plan["dataset"] == "sales"
    assert plan["orientation"] == "column"
    assert plan["chunk_size"] == 100_000_000
    assert (table["name"], table["rows"], table["files"]) == ("sales", 50_000, 1)
    assert (table["policy"], table["chunks"], table["rereadable"]) == ("replace", 1, True)
    keys = ("name", "source", "source_type", "data_type", "role", "example")
    assert table["columns"] == [
        dict(zip(keys, column, strict=True))
        for column in (
            ("day", "day", "string", "STRING", "attribute", '"2024-01-01"'),
            ("amount", "amount", "double", "DOUBLE", "metric", "1.25"),
            ("n", "n", "int64", "BIGINTEGER", "metric", "0"),
        )
    ]
    assert table["preview"] == []
    memory = plan["memory"]
    parts = memory["base"] + memory["reader"] + memory["encoders"] + memory["json"]
    assert parts <= memory["total"]
    assert plan["warnings"] == []


@pytest.mark.parametrize("orientation", ["column", "row"])
def test_estimates_are_near_what_a_push_sends(command, push, file, monkeypatch, orientation):
    arguments = ("--orientation", orientation, "--chunk-size", "200kB")
    plan = command("plan", file, *arguments, "--json").succeeded().json
    monkeypatch.undo()
    monkeypatch.setenv("MSTR_PASSWORD", push.server.options.password)
    result = push(file, *arguments).succeeded().json
    (table,) = plan["tables"]
    assert table["json_bytes"] == pytest.approx(result["json_bytes"], rel=0.1)
    assert table["chunks"] == pytest.approx(result["chunks"], abs=2)


def test_text(command, file, tmp_path):
    (tmp_path / "names.csv").write_text("id,name\n1,x\n")
    outcome = command("plan", file, tmp_path / "names.csv", "--chunk-size", "1MB").succeeded()
    for text in ("dataset sales", "table sales", "table names", "50,000 rows", "BIGINTEGER"):
        assert text in outcome.out
    assert "memory: " in outcome.out
    assert "<= 1000 MB" in outcome.out
    assert "warning: " in outcome.err
    assert "warning" not in outcome.out


def test_preview_shows_the_first_rows_as_they_will_be_sent(command, tmp_path):
    path = tmp_path / "t.parquet"
    columns = {
        "big": pa.array([Decimal("1" * 30 + ".10"), None, Decimal(0)], pa.decimal128(38, 2)),
        "text": ['say "é"', "", None],
        "at": pa.array([0, 1_500, None], pa.timestamp("ms")),
    }
    pq.write_table(pa.table(columns), path)
    plan = command("plan", path, "--preview", 2, "--json").succeeded().json
    (table,) = plan["tables"]
    assert table["preview"] == [
        ["1" * 30 + ".10", '"say \\"é\\""', '"1970-01-01T00:00:00"'],
        ["null", '""', '"1970-01-01T00:00:01.500"'],
    ]
    assert [column["example"] for column in table["columns"]] == table["preview"][0]
    out = command("plan", path, "--preview", 2).succeeded().out
    assert "the first 2 rows, as they will be sent:" in out
    assert '"1970-01-01T00:00:01.500"' in out


def test_examples_look_past_nulls(command, tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"k": [None, None, "x"], "n": pa.nulls(3, pa.int64())}), path)
    plan = command("plan", path, "--json").succeeded().json
    assert [column["example"] for column in plan["tables"][0]["columns"]] == ['"x"', None]


def test_an_empty_table_needs_allow_empty(command, tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"k": pa.array([], pa.string())}), path)
    assert command("plan", path, "--json").code == 3
    plan = command("plan", path, "--allow-empty", "--json").succeeded().json
    assert (plan["tables"][0]["rows"], plan["tables"][0]["chunks"]) == (0, 0)
    assert "0 rows" in command("plan", path, "--allow-empty").succeeded().out


def test_a_duration_says_in_which_unit_it_is_sent(command, tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"took": pa.array([1500], pa.duration("ms"))}), path)
    plan = command("plan", path, "--json").succeeded().json
    assert plan["tables"][0]["columns"][0]["source_type"] == "duration[ms]"
    assert "duration[ms]" in command("plan", path).out


def test_errors_of_the_source_are_found(command, tmp_path):
    (tmp_path / "t.parquet").write_text("nonsense")
    outcome = command("plan", tmp_path / "t.parquet", "--json")
    assert (outcome.code, outcome.error["kind"]) == (3, "source_unreadable")
