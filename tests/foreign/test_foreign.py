"""The check over foreign files, on a few files of our own: it must see what it is there to see."""

from __future__ import annotations

import gzip
import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.foreign.golden import golden
from tests.foreign.one import End, difference
from tests.foreign.readings import Kind, Reading, read
from tests.foreign.run import kind_of, main, run

TABLE = pa.table(
    {
        "id": pa.array([1, 2], pa.int64()),
        "price": pa.array([1.5, None], pa.float32()),
        "tags": pa.array([["a", None], None]),
        "at": pa.array([0, 1], pa.timestamp("us", "UTC")),
    }
)


@pytest.fixture
def files(tmp_path):
    """Files that load, and one that is no Parquet."""
    pq.write_table(TABLE, tmp_path / "good.parquet")
    with pa.ipc.new_stream(tmp_path / "good.stream", TABLE.schema) as stream:
        stream.write_table(TABLE)
    (tmp_path / "good.csv").write_text("id,name,at\n1,x,2024-01-01 00:00:00\n2,,\n")
    (tmp_path / "README.md").write_text("no data")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and then nothing")
    return tmp_path


@pytest.mark.slow
def test_files_are_loaded_and_compared(files):
    report = files / "report.txt"
    assert main([str(files), "--report", str(report)]) == 0
    lines = report.read_text().splitlines()
    assert f"| {files.name} | parquet | 2 | 1 | DuckDB: 1 | 1 | 0 | 2 |" in lines
    assert f"| {files.name} | arrow | 1 | 1 | pyarrow: 1 | 0 | 0 | 2 |" in lines
    assert f"| {files.name} | csv | 1 | 1 | Python's csv: 1 | 0 | 0 | 2 |" in lines
    (refused,) = (line for line in lines if "bad.parquet" in line)
    assert "| refused | source_unreadable: bad.parquet" in refused


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _sleep(*_: object) -> None:
    time.sleep(60)


@pytest.mark.slow
@pytest.mark.parametrize(("target", "end"), [(_die, End.CRASHED), (_sleep, End.HUNG)])
def test_a_process_that_dies_or_hangs_is_told(target, end, tmp_path):
    outcome = run(tmp_path / "any", Kind.PARQUET, seconds=2, target=target)
    assert outcome.end is end
    assert outcome.detail in {"SIGSEGV", "no end within 2 s"}


STORED = {"id": [1, 2], "price": [1.5, None], "tags": ['["a",null]', None]}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, ""),
        ({"id": [1, 3]}, "row 2, column 'id': 3, DuckDB reads 2"),
        ({"price": [1.5, 0]}, "row 2, column 'price': 0, DuckDB reads None"),
        ({"price": [True, None]}, "row 1, column 'price'"),
        ({"tags": ['["a"]', None]}, "row 1, column 'tags'"),
        ({"tags": ["null", None]}, "row 1, column 'tags'"),
        ({"id": [1, "2"]}, ""),  # the server keeps wide numbers as texts
    ],
)
def test_what_differs_is_told(change, told):
    reading = Reading(
        "DuckDB",
        {"id": [1, 2], "price": [np.float32(1.5), None], "tags": [["a", None], None]},
        frozenset({"tags"}),
    )
    assert difference({**STORED, **change}, reading, 2).startswith(told)
    assert bool(difference({**STORED, **change}, reading, 2)) == bool(told)
    assert difference(STORED, reading, 3) == "3 rows, DuckDB reads 2"


def test_readings_say_who_read(files):
    assert read(files / "good.parquet", Kind.PARQUET).by == "DuckDB"
    assert read(files / "good.stream", Kind.ARROW).columns["tags"] == [["a", None], None]
    pq.write_table(pa.table({"d": pa.array([1], pa.decimal256(50, 0))}), files / "wide.parquet")
    assert read(files / "wide.parquet", Kind.PARQUET).by == "pyarrow"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("data/a.parquet", Kind.PARQUET),
        ("data/a.parquet.encrypted", Kind.PARQUET),
        ("data/parquet/fuzzing/clusterfuzz-1", Kind.PARQUET),
        ("data/arrow-ipc-file/clusterfuzz-1", Kind.ARROW),
        ("integration/1.0/generated.arrow_file", Kind.ARROW),
        ("data/csv/fuzzing/clusterfuzz-1.fuzz", Kind.CSV),
        ("data/a.csv.gz", Kind.CSV),
        ("integration/1.0/generated.json.gz", None),
        ("data/parquet/encoding-fuzzing/clusterfuzz-1", None),
        ("data/csv/README.md", None),
    ],
)
def test_kinds_are_told_by_name_and_directory(path, kind):
    assert kind_of(Path(path)) is kind


def test_golden_values_are_read(tmp_path):
    column = {"name": "n", "count": 2, "VALIDITY": [1, 0], "DATA": ["12", "0"]}
    field = {"name": "n", "type": {"name": "decimal", "scale": 1}, "children": []}
    document = {"schema": {"fields": [field]}, "batches": [{"count": 2, "columns": [column]}]}
    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress(json.dumps(document).encode()))
    columns, nested = golden(path)
    assert [value and str(value) for value in columns["n"]] == ["1.2", None]
    assert nested == frozenset()
