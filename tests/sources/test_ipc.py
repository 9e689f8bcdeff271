from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import feather

from loader.errors import NameRefused, SourceError, SourceUnreadable
from loader.sources import SourceOptions, open_tables
from loader.sources.ipc import IpcSource

TABLE = pa.table(
    {
        "n": range(50),
        "s": [None if n % 7 == 0 else "x" * n for n in range(50)],
        "v": pa.array([f"text of more than twelve bytes {n}" for n in range(50)], pa.string_view()),
        "d": pa.array([str(n % 3) for n in range(50)]).dictionary_encode(),
        "l": [[n] * (n % 4) for n in range(50)],
        "b": [n % 2 == 0 for n in range(50)],
    }
)


def write(path: Path, table: pa.Table = TABLE, form: str = "file", **options) -> str:
    new = pa.ipc.new_file if form == "file" else pa.ipc.new_stream
    rows = options.pop("rows", 20)
    with new(path, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=rows)
    return str(path)


def read(source, batch_bytes: int = 1 << 20, columns=None) -> pa.Table:
    parts = [batch.data for batch in source.batches(batch_bytes, columns)]
    return pa.Table.from_batches(parts)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(batch_bytes=st.integers(1, 10_000))
@pytest.mark.parametrize("form", ["file", "stream"])
@pytest.mark.parametrize("compression", [None, "zstd", "lz4"])
def test_every_row_comes_through(tmp_path_factory, form, compression, batch_bytes):
    path = write(
        tmp_path_factory.mktemp("t") / "t.arrow", form=form, compression=compression, rows=23
    )
    source = open_tables(path)["t"]
    assert source.schema == TABLE.schema
    assert source.rows == (50 if form == "file" else None)
    assert source.rereadable
    for _ in range(2):
        batches = list(source.batches(batch_bytes))
        assert pa.Table.from_batches([batch.data for batch in batches]).equals(TABLE)
        assert [batch.data["n"][0].as_py() for batch in batches] == [batch.row for batch in batches]


@pytest.mark.parametrize("columns", [["b"], ["v", "n"], ["d", "l"], TABLE.column_names[::-1]])
@pytest.mark.parametrize("form", ["file", "stream"])
def test_only_the_columns_asked_for(tmp_path, form, columns):
    source = IpcSource([write(tmp_path / "t", form=form)])
    assert read(source, 100, columns).equals(TABLE.select(columns))


@pytest.mark.parametrize("extension", ["arrow", "feather", "ipc", "arrows"])
def test_files_are_known_by_their_extensions(tmp_path, extension):
    path = str(tmp_path / f"t.{extension}")
    feather.write_feather(TABLE.drop_columns("v"), path)
    assert read(open_tables(path)["t"]).equals(TABLE.drop_columns("v"))


def test_what_polars_writes(tmp_path):
    frame = pl.DataFrame({"a": [1, None], "b": ["x", "y" * 40], "c": [[1], None]})
    frame.write_ipc(tmp_path / "t.arrow")
    frame.write_ipc_stream(tmp_path / "u.arrows")
    for source in open_tables([str(tmp_path / "t.arrow"), str(tmp_path / "u.arrows")]).values():
        assert pl.from_arrow(read(source)).equals(frame)


def test_feather_of_version_1(tmp_path):
    path = tmp_path / "t.feather"
    path.write_bytes(b"FEA1" + bytes(100))
    with pytest.raises(SourceUnreadable, match="version 1"):
        open_tables(str(path))


def test_files_of_one_table_unify(tmp_path):
    write(tmp_path / "1.arrow", pa.table({"a": pa.array([1], pa.int8()), "b": ["x"]}))
    write(tmp_path / "2.arrow", pa.table({"b": ["y"], "a": [2**40]}), form="stream")
    source = open_tables({"t": str(tmp_path)})["t"]
    assert source.rows is None
    assert read(source).to_pydict() == {"a": [1, 2**40], "b": ["x", "y"]}
    write(tmp_path / "3.arrow", pa.table({"c": [1]}))
    with pytest.raises(SourceError, match="does not have the columns"):
        open_tables({"t": str(tmp_path)})


def test_duplicate_columns(tmp_path):
    path = write(tmp_path / "t", pa.Table.from_arrays([[1], [2]], names=["a", "a"]))
    with pytest.raises(NameRefused):
        IpcSource([path])


@pytest.mark.parametrize("content", [b"", b"ARROW1", b"ARROW1\0\0" + bytes(50), b"a,b\n1,2\n"])
def test_not_arrow(tmp_path, content):
    path = tmp_path / "t.arrow"
    path.write_bytes(content)
    with pytest.raises(SourceUnreadable) as error:
        open_tables(str(path))
    assert error.value.details["file"] == str(path)
    assert error.value.hint


@pytest.mark.parametrize("form", ["file", "stream"])
def test_truncated(tmp_path, form):
    path = Path(write(tmp_path / "t.arrow", form=form))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SourceUnreadable, match=r"t\.arrow"):
        read(open_tables(str(path))["t"])


def test_offsets_that_lead_outside(tmp_path):
    """Nothing in a file is believed: pyarrow alone would read beyond its end."""
    path = Path(write(tmp_path / "t.arrow", pa.table({"a": ["abcd", "efgh"]})))
    data = bytearray(path.read_bytes())
    offsets = data.index(b"".join(n.to_bytes(4, "little") for n in (0, 4, 8)))
    data[offsets + 4 : offsets + 8] = (1 << 30).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(SourceUnreadable):
        read(open_tables(str(path))["t"])


def test_a_file_that_changes(tmp_path):
    path = tmp_path / "t.arrow"
    source = IpcSource([write(path)])
    write(path, TABLE.slice(1))
    with pytest.raises(SourceUnreadable, match="changed"):
        read(source)


def test_a_file_that_is_cut_while_it_is_read(tmp_path):
    path = tmp_path / "t.arrow"
    source = IpcSource([write(path)])
    batches = source.batches(100)
    next(batches)
    with path.open("r+b") as file:
        file.truncate(10)
    with pytest.raises(SourceUnreadable, match="changed"):
        next(batches)


def test_what_is_still_held_outlives_the_file(tmp_path):
    source = IpcSource([write(tmp_path / "t.arrow")])
    batches = list(source.batches(100))
    (tmp_path / "t.arrow").unlink()
    assert pa.Table.from_batches([batch.data for batch in batches]).equals(TABLE)


def test_hive_and_conditions(tmp_path):
    for k in (1, 2):
        (tmp_path / f"k={k}").mkdir()
        write(tmp_path / f"k={k}" / "x.arrow", pa.table({"n": [k, k * 10]}))
    source = open_tables({"t": str(tmp_path)}, SourceOptions(where="k = 2 AND n > 5"))["t"]
    assert read(source).to_pylist() == [{"n": 20, "k": 2}]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_record_batch(tmp_path):
    """In a process of its own: its highest resident memory."""
    rows = 2_000_000
    text = pa.array([f"{n:064}" for n in range(rows)])
    path = write(tmp_path / "t.arrow", pa.table({"a": text}), rows=rows)
    assert Path(path).stat().st_size > 100 << 20
    script = (
        "import sys, resource\n"
        "from loader.sources.ipc import IpcSource\n"
        "source = IpcSource([sys.argv[1]])\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "rows = sum(b.data.num_rows for b in source.batches(1 << 20))\n"
        "print(rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, path], check=True, capture_output=True, text=True
    )
    read_rows, grown = map(int, done.stdout.split())
    assert read_rows == rows
    assert grown < 32 << 10  # KiB


def test_a_stream_in_memory():
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, TABLE.schema) as writer:
        writer.write_table(TABLE)
    reader = pa.ipc.open_stream(sink.getvalue())
    assert read(open_tables(reader)["table"]).equals(TABLE)
