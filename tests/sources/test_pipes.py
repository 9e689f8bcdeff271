"""Standard input and named pipes: real ones, in processes and threads of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loader.errors import Interrupted, SourceUnreadable, UsageError
from loader.sources import SourceOptions, open_tables

TABLE = pa.table({"n": range(1000), "s": [f"text {n}" for n in range(1000)]})
SCRIPT = """
import json, sys
from loader.errors import LoaderError
from loader.sources import SourceOptions, open_tables
try:
    source = open_tables(sys.argv[2], SourceOptions(format=sys.argv[1]))["t"]
    times = 2 if source.rereadable else 1
    for _ in range(times):
        rows = [row for batch in source.batches(1 << 20) for row in batch.data.to_pylist()]
    print(json.dumps([times, list(source.origins), list(source.notes), rows]))
except LoaderError as error:
    print(json.dumps(error.as_dict()))
"""


def content(form: str, table: pa.Table = TABLE) -> bytes:
    sink = pa.BufferOutputStream()
    if form == "parquet":
        pq.write_table(table, sink, row_group_size=100)
    elif form == "csv":
        lines = (f"{row['n']},{row['s']}\n" for row in table.to_pylist())
        return ("n,s\n" + "".join(lines)).encode()
    else:
        new = pa.ipc.new_stream if form == "arrow stream" else pa.ipc.new_file
        with new(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=100)
    return sink.getvalue().to_pybytes()


def run(form: str, source: str = "t=-", **options):
    arguments = [sys.executable, "-c", SCRIPT, form.partition(" ")[0], source]
    done = subprocess.run(arguments, check=True, capture_output=True, timeout=60, **options)
    assert not done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["parquet", "csv", "arrow stream", "arrow file"])
def test_standard_input(form, tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    times, origins, notes, rows = run(form, input=content(form), env=environment)
    assert rows == TABLE.to_pylist()
    assert origins == ["<stdin>"]
    assert times == (1 if form == "arrow stream" else 2)
    assert "resumed" in notes[0]
    assert (str(tmp_path) in notes[0]) == (form != "arrow stream")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_standard_input_from_a_file_is_not_copied(tmp_path):
    (tmp_path / "data").write_bytes(content("parquet"))
    with (tmp_path / "data").open("rb") as file:
        times, _, notes, rows = run("parquet", stdin=file)
    assert rows == TABLE.to_pylist()
    assert (times, notes) == (2, [])


@pytest.mark.slow
def test_standard_input_that_is_none_or_nothing():
    assert run("parquet", stdin=subprocess.DEVNULL)["kind"] == "source_unreadable"
    assert run("arrow", input=b"")["kind"] == "source_unreadable"
    assert run("csv", input=b"")["kind"] == "source_unreadable"


@pytest.fixture
def fifo(tmp_path):
    """Makes a named pipe into which a thread writes."""
    threads = []

    def make(data: bytes, name: str) -> str:
        path = tmp_path / name
        os.mkfifo(path)
        threads.append(threading.Thread(target=path.write_bytes, args=(data,), daemon=True))
        threads[-1].start()
        return str(path)

    yield make
    for thread in threads:
        thread.join(10)


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("parquet", "t.parquet"),
        ("csv", "t.csv"),
        ("arrow stream", "t.arrows"),
        ("arrow file", "t.arrow"),
    ],
)
def test_a_named_pipe(fifo, form, name):
    path = fifo(content(form), name)
    source = open_tables(path, SourceOptions(where="n >= 990", limit=5))["t"]
    rows = [row for batch in source.batches(1 << 20) for row in batch.data.to_pylist()]
    assert rows == TABLE.slice(990, 5).to_pylist()
    assert list(source.origins) == [path]
    assert path in source.notes[0]
    if form == "arrow stream":
        assert not source.rereadable
        assert source.notes == (f"{path} cannot be read twice, so this load cannot be resumed",)
        with pytest.raises(UsageError, match="read already"):
            list(source.batches(1 << 20))


def test_a_pipe_and_a_file_of_one_table(fifo, tmp_path):
    (tmp_path / "b.csv").write_bytes(content("csv", TABLE.slice(0, 3)))
    pipe = fifo(content("csv", TABLE.slice(3, 2)), "a.csv")
    source = open_tables([f"t={tmp_path / 'b.csv'}", f"t={pipe}"])["t"]
    rows = [row for batch in source.batches(1 << 20) for row in batch.data.to_pylist()]
    assert rows == TABLE.slice(0, 5).to_pylist()


def test_an_arrow_stream_that_ends_too_early(fifo):
    path = fifo(content("arrow stream")[:-2000], "t.arrows")
    source = open_tables(path)["t"]
    with pytest.raises(SourceUnreadable):
        list(source.batches(1 << 20))


def test_copying_can_be_called_off(tmp_path):
    """Also while the writer is silent."""
    path = tmp_path / "t.csv"
    os.mkfifo(path)
    calls = []

    def watch(_rows: int) -> None:
        calls.append(1)
        if len(calls) > 3:
            raise Interrupted("stopped")

    # Opened for both, the pipe has a writer that never writes nor ends.
    held = os.open(path, os.O_RDWR)
    try:
        os.write(held, b"a\n1\n")
        with pytest.raises(Interrupted):
            open_tables(str(path), SourceOptions(watch=watch))
    finally:
        os.close(held)


def test_a_full_disk_is_told_with_what_to_do(fifo, monkeypatch, tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with Path("/dev/full").open("wb", buffering=0) as full:
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: full)
        with pytest.raises(SourceUnreadable, match="No space left") as error:
            open_tables(fifo(content("csv"), "t.csv"))
    assert "TMPDIR" in error.value.hint
