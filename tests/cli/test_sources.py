"""Sources beyond plain files, from the command line to what a real server stores."""

from __future__ import annotations

import os
import subprocess
import sys

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import loader
from tests.cli.harness import PASSWORD, PROJECT, USER, connection

pytest_plugins = ("tests.sources.servers",)

TABLE = pa.table(
    {
        "id": [f"id-{n:05}" for n in range(2000)],
        "n": pa.array(range(2000), pa.int32()),
        "half": [n / 2 for n in range(2000)],
    }
)


def parquet(table: pa.Table = TABLE) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=100)
    return sink.getvalue().to_pybytes()


def stored(server, columns: str = "*", table: str = "t.t") -> list[tuple]:
    return server.sql(f"SELECT {columns} FROM {table} ORDER BY ALL")


@pytest.fixture
def partitioned(tmp_path):
    """A directory as Spark writes it."""
    for year in (2023, 2024):
        for region in ("EU", "a%20b", "__HIVE_DEFAULT_PARTITION__"):
            path = tmp_path / "t" / f"year={year}" / f"region={region}" / "part-0.parquet"
            path.parent.mkdir(parents=True)
            pq.write_table(TABLE.slice((year - 2023) * 100, 50), path)
    return tmp_path / "t"


def test_partitions_arrive_as_duckdb_reads_them(push, server, partitioned):
    result = push(partitioned).succeeded().json
    assert result["rows"] == 300
    with duckdb.connect() as other:
        rows = other.sql(
            "SELECT id, n, half, year, region FROM "
            f"read_parquet('{partitioned}/*/*/*.parquet', hive_partitioning=true) ORDER BY ALL"
        ).fetchall()
    assert stored(server, "id, n, half, year, region") == rows


def test_partitions_and_conditions(push, server, partitioned):
    arguments = ("--where", "year = 2024 and region = 'a b' and n >= 120", "--limit", 10)
    result = push(partitioned, *arguments, "--columns", "n,year").succeeded().json
    assert result["rows"] == 10
    assert stored(server, "n, year") == [(n, 2024) for n in range(120, 130)]


def test_a_date_and_a_date_condition(push, server, tmp_path):
    for day in ("2024-01-01", "2024-01-02"):
        path = tmp_path / "t" / f"day={day}"
        path.mkdir(parents=True)
        pq.write_table(TABLE.slice(0, 2), path / "x.parquet")
    push(tmp_path / "t", "--where", "day > '2024-01-01'").succeeded()
    assert stored(server, "n, day::VARCHAR") == [(0, "2024-01-02"), (1, "2024-01-02")]


def test_a_condition_that_no_row_meets(push, server, tmp_path):
    pq.write_table(TABLE, tmp_path / "t.parquet")
    outcome = push(tmp_path / "t.parquet", "--where", "n > 5000")
    assert outcome.code == 3
    assert outcome.error["kind"] == "empty_source"


def test_a_condition_with_a_mistake(push, tmp_path):
    pq.write_table(TABLE, tmp_path / "t.parquet")
    outcome = push(tmp_path / "t.parquet", "--where", "n > 5 AND name = 'x'")
    assert outcome.code == 2
    assert "--where, at character 11: table 't' has no column 'name'" in outcome.error["message"]
    assert "id, n, half" in outcome.error["hint"]


def test_from_s3(push, server, bucket):
    for part in range(3):
        body = parquet(TABLE.slice(part * 100, 100))
        bucket.put(f"t/k={part}/x.parquet", body)
    result = push(bucket.uri("t", "key:hidden-word@"), "--where", "k <> 1").succeeded()
    assert result.json["rows"] == 200
    assert stored(server, "n, k") == [(n, n // 100) for n in (*range(100), *range(200, 300))]
    assert "hidden-word" not in result.out + result.err
    outcome = push(bucket.uri("no.parquet", "key:hidden-word@"))
    assert outcome.code == 3
    assert "s3://***@bucket/no.parquet" in outcome.error["message"]
    assert "hidden-word" not in outcome.out + outcome.err


def test_from_http(push, server, web):
    (web.root / "t.parquet").write_bytes(parquet())
    result = push(f"{web.url}/t.parquet?sig=hidden-word").succeeded()
    assert stored(server, "n") == [(n,) for n in range(2000)]
    assert "hidden-word" not in result.out + result.err


def test_arrow_files(push, server, tmp_path):
    with pa.ipc.new_file(tmp_path / "t.feather", TABLE.schema) as writer:
        writer.write_table(TABLE)
    push(tmp_path / "t.feather").succeeded()
    assert stored(server) == [tuple(row.values()) for row in TABLE.to_pylist()]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["parquet", "csv", "arrow"])
def test_from_standard_input(server, tmp_path, form):
    """In a process of its own, as after a pipe."""
    if form == "csv":
        rows = (",".join(map(str, row.values())) for row in TABLE.to_pylist())
        data = "\n".join(["id,n,half", *rows]).encode()
    elif form == "parquet":
        data = parquet()
    else:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, TABLE.schema) as writer:
            writer.write_table(TABLE)
        data = sink.getvalue().to_pybytes()
    options = ["t=-", "--format", form, *connection(server), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "loader", "push", *options],
        input=data,
        capture_output=True,
        env={**os.environ, "MSTR_PASSWORD": PASSWORD},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done
    assert stored(server) == [tuple(row.values()) for row in TABLE.to_pylist()]


def test_iterators_and_objects_from_python(server):
    result = loader.push_sync(
        {
            "batches": iter(TABLE.to_batches(max_chunksize=100)),
            "relation": duckdb.sql("SELECT range::INTEGER AS n FROM range(100)"),
        },
        dataset="t",
        connection=loader.Connection(
            url=server.url, username=USER, password=PASSWORD, project=PROJECT
        ),
        where="n >= 90",
        limit=5,
    )
    assert [table.rows for table in result.tables] == [5, 5]
    assert stored(server, "n", "t.batches") == [(n,) for n in range(90, 95)]
    assert stored(server, "n", "t.relation") == [(n,) for n in range(90, 95)]
