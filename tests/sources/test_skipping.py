"""Sources without their first rows: the others are the same, and what can be left unread is."""

from __future__ import annotations

import io
import os
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loader.badrow import BadRow
from loader.errors import LoaderError, SourceNotFound, SourceUnreadable, UsageError
from loader.sources import Batch, CsvOptions, SourceOptions, csv_text, open_tables
from loader.sources.ipc import PipeSource
from loader.sources.parquet import ParquetSource
from loader.sources.selecting import FilteredSource, LimitedSource
from loader.sources.skipping import HEARTBEAT, whole_parts, without_first
from loader.sources.where import Condition, parse

pytest_plugins = ("tests.sources.servers",)


def lines(source, batch_bytes: int = 1 << 20, columns=None, skip: int = 0) -> list[tuple]:
    """Returns every row and every rejected row with its place, in the order of the source."""
    found: list[tuple] = []
    for batch in source.batches(batch_bytes, columns, skip):
        assert batch.data.schema.names == list(columns or source.schema.names)
        rows = [
            (batch.origin, batch.position(index), tuple(row.values()))
            for index, row in enumerate(batch.data.to_pylist())
        ]
        if rows:
            assert batch.row == rows[0][1]
        rows += [(batch.origin, bad.row - 1, bad) for bad in batch.rejected]
        found += sorted(rows, key=lambda line: line[1])
    return found


def rows_of(start: int, count: int, kind: pa.DataType | None = None) -> pa.Table:
    numbers = range(start, start + count)
    texts = [None if n % 7 == 0 else f"{n}" * (1 + 40 * (n % 11 == 0)) for n in numbers]
    return pa.table({"n": pa.array(numbers, kind or pa.int64()), "s": pa.array(texts, pa.string())})


def parquet(path: Path, *groups: int, start: int = 0, kind: pa.DataType | None = None) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = rows_of(start, sum(groups), kind)
    with pq.ParquetWriter(path, table.schema, compression="none", use_dictionary=False) as writer:
        done = 0
        for group in groups:
            writer.write_table(table.slice(done, group))
            done += group
    return str(path)


def ipc(path: Path, table: pa.Table, form: str = "file", **options) -> str:
    new = pa.ipc.new_file if form == "file" else pa.ipc.new_stream
    with new(path, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=9)
    return str(path)


def csv(path: Path, start: int, count: int, *, bad: bool = True, misfits: bool = False) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    kinds = {3: b"%d,x,y\n", 6: b"%d,caf\xe9\n"} if bad else {}
    kinds |= {8: b"x%d,x\n"} if misfits else {}
    text = b"".join(kinds.get(n % 10, b'%d,"x\ny"\n') % n for n in range(start, start + count))
    path.write_bytes(b"n,s\n" + text)
    return str(path)


def opened(*paths: str | Path, **options):
    return open_tables({"t": [str(path) for path in paths]}, SourceOptions(**options))["t"]


def open_parquet(at: Path, **options):
    return opened(
        parquet(at / "1.parquet", 3, 7, 1, 40, 2, kind=pa.int8()),
        parquet(at / "2.parquet", 0, start=53),
        parquet(at / "3.parquet", 30, start=53),
        parquet(at / "4.parquet", *[2] * 20, start=83),
        **options,
    )


def open_csv(at: Path, *, misfits: bool = False, **options):
    return opened(
        csv(at / "1.csv", 0, 45, misfits=misfits),
        csv(at / "2.csv", 0, 0),
        csv(at / "3.csv", 100, 30, bad=False, misfits=misfits),
        csv(at / "4.csv", 200, 25, misfits=misfits),
        keep_bad_rows=True,
        **options,
    )


def open_ipc(at: Path, *forms: str, compression: str | None = None):
    return opened(
        *(
            ipc(at / f"{n}.arrow", rows_of(n * 40, 40), form, compression=compression)
            for n, form in enumerate(forms)
        )
    )


def open_hive(at: Path, **options):
    for k in range(3):
        parquet(at / f"k={k}" / "x.parquet", 5, 6, start=10 * k)
        csv(at / f"j={k}" / "x.csv", 10 * k, 11)
    return opened(at / "k=*", **options)


def pruned(at: Path):
    source = ParquetSource(list(open_parquet(at).origins))
    where = parse("n < 5 OR n BETWEEN 20 AND 60 OR n > 111")
    return source.pruned(Condition.of(where, source.schema, "t"))


def filtered(source):
    return FilteredSource(source, Condition.of(parse("n > 20"), source.schema, "t"))


def piped():
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, rows_of(0, 1).schema) as writer:
        writer.write_table(rows_of(0, 50), max_chunksize=7)
    return PipeSource("pipe", io.BufferedReader(io.BytesIO(sink.getvalue())))


CHUNKS = pa.concat_tables([rows_of(0, 20), rows_of(20, 1), rows_of(21, 40)])
SAMPLE = CsvOptions(types="sample")

# From a directory of its own, a function that gives the source: the same one, if it can be read
# again.
SOURCES = {
    "parquet": open_parquet,
    "pruned parquet": pruned,
    "csv, scanned": open_csv,
    "csv, sampled": lambda at: open_csv(at, misfits=True, csv=SAMPLE),
    "csv of texts": lambda at: open_csv(at, text_columns=frozenset({"n", "s"})),
    "files": lambda at: open_ipc(at, "file", "file", "file"),
    "compressed files": lambda at: open_ipc(at, "file", "file", compression="lz4"),
    "files and streams": lambda at: open_ipc(at, "file", "stream", "file", "stream", "file"),
    "table": lambda at: open_tables(CHUNKS)["table"],
    "batches": lambda at: open_tables(CHUNKS.to_batches())["table"],
    "reader": lambda at: lambda: open_tables(CHUNKS.to_reader(max_chunksize=8))["table"],
    "pipe": lambda at: piped,
    "hive": open_hive,
    "hive with limit": lambda at: open_hive(at, limit=17),
    "hive with condition": lambda at: open_hive(at, where="k <> 1 AND n NOT IN (2, 3, 28)"),
    "condition": lambda at: open_parquet(at, where="s IS NOT NULL AND n > 4"),
    "condition and limit": lambda at: open_parquet(at, where="n NOT IN (5, 60)", limit=70),
    "condition, limit, bad rows": lambda at: open_csv(at, where="n < 30 OR n > 105", limit=50),
    "limit": lambda at: open_parquet(at, limit=60),
    "limit and bad rows": lambda at: open_csv(at, limit=60),
    "filter alone": lambda at: filtered(open_csv(at)),
}


@pytest.fixture(scope="module", params=SOURCES)
def source(request, tmp_path_factory):
    """Returns a function that opens a source, and all its lines."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_text, "_BLOCK", 64)
        made = SOURCES[request.param](tmp_path_factory.mktemp("skipping"))
        again = made if callable(made) else lambda: made
        yield again, lines(again())


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), batch_bytes=st.sampled_from([1, 50, 300, 1 << 20]), narrow=st.booleans())
def test_what_is_left_is_what_follows(source, data, batch_bytes, narrow):
    again, every = source
    assert len(every) > 15
    skip = data.draw(st.integers(0, len(every) + 3))
    columns = ["s"] if narrow else None
    expected = [
        (origin, row, what[1:2] if narrow and isinstance(what, tuple) else what)
        for origin, row, what in every
    ]
    found = lines(again(), batch_bytes, columns, skip)
    if narrow:
        # A value that is not of its type is only found in a column that is read.
        assert not any(isinstance(what, BadRow) and what.column == "n" for _, _, what in found)
        found, expected = ([line[:2] for line in one] for one in (found, expected))
    assert found == expected[skip:]


def test_nothing_is_left_at_the_end_and_beyond(source):
    again, every = source
    for more in (0, 1, 1 << 40):
        assert lines(again(), skip=len(every) + more) == []


def test_a_column_that_is_not_there_is_one_whatever_is_skipped(tmp_path):
    for made in (open_parquet(tmp_path), open_ipc(tmp_path, "file"), open_tables(CHUNKS)["table"]):
        with pytest.raises(UsageError, match="no column 'x'"):
            list(made.batches(1 << 20, ["x"], 1 << 40))


@st.composite
def batches(draw) -> Batch:
    """Draws a batch with rows left out and rejected anywhere."""
    kinds = draw(st.lists(st.sampled_from(["good", "bad", "gone"]), max_size=30))
    first = draw(st.integers(0, 50))
    places = [first + n for n, kind in enumerate(kinds) if kind == "good"]
    rejected = [
        BadRow("f", first + n + 1, None, "", "is bad", "!")
        for n, kind in enumerate(kinds)
        if kind == "bad"
    ]
    return Batch(
        pa.record_batch({"n": pa.array(places, pa.int64())}),
        "f",
        places[0] if places else first,
        np.array(places, np.int64),
        tuple(rejected),
    )


@given(batch=batches(), data=st.data())
def test_a_batch_falls_in_two(batch, data):
    def line(part: Batch) -> list[tuple[int, bool]]:
        assert part.data["n"].to_pylist() == part.all_positions().tolist()
        found = [(n, True) for n in part.all_positions().tolist()]
        return sorted([*found, *((bad.row - 1, False) for bad in part.rejected)])

    count = data.draw(st.integers(0, batch.count))
    assert len(line(batch)) == batch.count
    assert line(batch.first(count)) == line(batch)[:count]
    assert line(batch.after(count)) == line(batch)[count:]
    assert line(batch.emptied()) == []


@pytest.mark.parametrize(
    ("skip", "expected"),
    [(0, (0, 0)), (2, (0, 2)), (3, (2, 0)), (4, (2, 1)), (8, (3, 0)), (9, (3, 1)), (50, (3, 42))],
)
def test_whole_parts(skip, expected):
    assert whole_parts([3, 0, 5, None, 1], skip) == expected


def test_nothing_is_looked_at_where_nothing_is_skipped():
    assert whole_parts((pytest.fail("looked") for _ in range(1)), 0) == (0, 0)


def damage(path: str | Path, start: int, stop: int) -> None:
    """Overwrites some of a file in such a way that only a reading shows it."""
    before = Path(path).stat()
    with Path(path).open("r+b") as file:
        file.seek(start)
        file.write(b"\xff" * (stop - start))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("batch_bytes", [1, 1 << 20])
def test_row_groups_that_are_skipped_are_not_read(tmp_path, batch_bytes):
    """Small ones, which are read together otherwise."""
    path = parquet(tmp_path / "t.parquet", *[10] * 9)
    source = ParquetSource([path])
    every = lines(source)
    first_kept = pq.read_metadata(path).row_group(4)
    start = min(first_kept.column(at).data_page_offset for at in range(2))
    damage(path, 4, start)
    for skip in (40, 41, 55, 89):
        assert lines(source, batch_bytes, skip=skip) == every[skip:]
    for skip in (0, 39):
        with pytest.raises(SourceUnreadable, match=r"t\.parquet"):
            lines(source, batch_bytes, skip=skip)


FORMATS = {
    "parquet": lambda at: parquet(at, 10, 10),
    "csv": lambda at: csv(at, 0, 20),
    "arrow": lambda at: ipc(at, rows_of(0, 20)),
}


@pytest.fixture(params=FORMATS)
def two_files(request, tmp_path):
    """A source of two files with 20 rows each, and the first of them."""
    make = FORMATS[request.param]
    first, second = (make(tmp_path / f"{n}.{request.param}") for n in "12")
    return opened(first, second, keep_bad_rows=True), Path(first)


@pytest.mark.parametrize("limit", [None, 39])
def test_files_that_are_skipped_are_not_opened(two_files, limit):
    source, first = two_files
    every = lines(source)
    source = source if limit is None else LimitedSource(source, limit)
    damage(first, 0, first.stat().st_size)
    for skip in (20, 21, 39, 40, 41):
        assert lines(source, skip=skip) == every[skip:limit]
    with pytest.raises(LoaderError, match=first.name):
        lines(source, skip=19)


@pytest.mark.parametrize("skip", [20, 39, 40])
def test_files_that_are_skipped_may_not_change(two_files, skip):
    source, first = two_files
    assert len(lines(source, skip=skip)) == 40 - skip
    first.write_bytes(first.read_bytes() + b"\n")
    with pytest.raises(SourceUnreadable, match=rf"{first.name} changed"):
        lines(source, skip=skip)
    first.unlink()
    with pytest.raises(SourceNotFound):
        lines(source, skip=skip)


@pytest.mark.parametrize("form", ["file", "stream"])
def test_record_batches_that_are_skipped_are_not_looked_into(tmp_path, form):
    table = pa.table({"s": [f"{n:04}" for n in range(27)]})
    path = ipc(tmp_path / "t.arrow", table, form)
    source = opened(path)
    offsets = np.arange(0, 40, 4, np.int32).tobytes()
    content = Path(path).read_bytes()
    assert content.count(offsets) == 3
    # Of the second record batch: an offset that leads outside.
    at = content.index(offsets, content.index(offsets) + 1)
    damage(path, at + 4, at + 8)
    for skip in (18, 20, 27):
        assert [row for _, row, _ in lines(source, skip=skip)] == list(range(skip, 27))
    for skip in (0, 9):
        with pytest.raises(SourceUnreadable):
            lines(source, skip=skip)


def test_a_mapped_file_that_is_cut_while_it_is_skipped(tmp_path):
    path = ipc(tmp_path / "t.arrow", rows_of(0, 50))
    batches = opened(path).batches(1 << 20, skip=48)
    assert next(batches).count == 0
    os.truncate(path, 10)
    with pytest.raises(SourceUnreadable, match="changed"):
        next(batches)


def test_the_rows_of_a_table_are_cut_off_it():
    source = open_tables(pa.table({"n": range(1000)}))["table"]
    (batch,) = source.batches(1 << 20, None, 990)
    assert (batch.row, batch.data["n"].to_pylist()) == (990, list(range(990, 1000)))


def test_of_files_on_a_server_only_their_stamps_are_looked_at(web):
    for n in range(5):
        parquet(web.root / f"{n}.parquet", 10, 10, start=20 * n)
    source = opened(f"{web.url}/*.parquet")
    web.handler.seen.clear()
    found = lines(source, skip=70)
    assert [values[0] for _, _, values in found] == list(range(70, 100))
    got = [seen for seen in web.handler.seen if seen.startswith("GET")]
    assert {seen.split()[1] for seen in got} == {"/3.parquet", "/4.parquet"}
    looked = {seen.split()[1] for seen in web.handler.seen}
    assert looked == {f"/{n}.parquet" for n in range(5)}
    (web.root / "1.parquet").touch()
    with pytest.raises(SourceUnreadable, match=r"1\.parquet changed"):
        lines(source, skip=70)


@pytest.mark.parametrize("where", [None, "n >= 0", "n < 0"])
def test_a_long_skip_can_be_stopped(where):
    """A batch without rows comes before many have been read, however few of them are wanted."""
    pulled = 0

    def many():
        nonlocal pulled
        for pulled in range(10 * HEARTBEAT):
            yield pa.record_batch({"n": [pulled]})

    source = open_tables(many(), SourceOptions(where=where))["table"]
    with closing(source.batches(1 << 20, None, 1 << 40)) as batches:
        for beat in range(1, 4):
            assert next(batches).count == 0
            assert pulled <= beat * HEARTBEAT


def test_a_skip_that_is_stopped_closes_what_it_reads():
    closed = []

    def read():
        try:
            for n in range(10 * HEARTBEAT):
                yield Batch(pa.record_batch({"n": [n]}), "f", n)
        finally:
            closed.append(True)

    batches = without_first(read(), 1 << 40)
    next(batches)
    batches.close()
    assert closed
