from __future__ import annotations

import csv
import gc
import io
import threading
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loader.errors import LoaderError, SourceUnreadable
from loader.sources import (
    CsvOptions,
    SourceOptions,
    csv_encoding,
    csv_parse,
    csv_reading,
    csv_text,
    csv_window,
)
from loader.sources.csv_files import CsvSource

MANY = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
TEXTS = SourceOptions(text_columns=frozenset({"a", "b", "c"}), keep_bad_rows=True)
TYPED = SourceOptions(keep_bad_rows=True)
SAMPLED = SourceOptions(csv=CsvOptions(types="sample"), keep_bad_rows=True)


@pytest.fixture
def setting(monkeypatch) -> Callable[[int, int], None]:
    def set_(threads: int, block: int) -> None:
        monkeypatch.setattr(csv_reading, "threads_here", lambda: threads)
        monkeypatch.setattr(csv_text, "_BLOCK", block)
        # What is read to find the header is in the first piece as well.
        monkeypatch.setattr(csv_window, "HEAD", block)
        monkeypatch.setattr(csv_encoding, "_AHEAD", block)

    return set_


def ours() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "ahead" in thread.name]


def told(paths: list[Path], options: SourceOptions) -> tuple[object, ...]:
    """Everything that a source says of its files, in order: types, rows, bad rows, the error."""
    seen: list[object] = []
    kinds: object = None
    try:
        source = CsvSource([str(path) for path in paths], "t", options)
        kinds = (source.schema, source.rows)
        for batch in source.batches(1 << 20):
            rows = [
                (batch.position(index) + 1, batch.origin, *row.values())
                for index, row in enumerate(batch.data.to_pylist())
            ]
            bad = [(row.row, row.origin, row) for row in batch.rejected]
            seen += sorted((*rows, *bad), key=lambda row: row[:1])
    except LoaderError as error:
        seen.append((type(error), str(error), error.details))
    assert not ours()
    return kinds, seen


CELLS = st.one_of(
    st.none(),
    st.sampled_from(["1", "2.5", "x", 'say "hi"', "a,b", "line\nbreak", "\n", '"', "é", " "]),
)
TABLES = st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=60)


@MANY
@given(table=TABLES, block=st.integers(1, 200), threads=st.integers(1, 4))
def test_the_rows_are_those_of_another_reader(tmp_path, setting, table, block, threads):
    path = tmp_path / "t.csv"
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow("abc")
    writer.writerows(table)
    path.write_bytes(text.getvalue().encode())
    setting(threads, block)
    source = CsvSource([str(path)], "t", TEXTS)
    rows = [tuple(row.values()) for b in source.batches(1 << 20) for row in b.data.to_pylist()]
    expected = duckdb.execute(
        "from read_csv(?, header = true, auto_detect = false, delim = ',', quote = '\"', "
        "escape = '\"', new_line = '\\n', allow_quoted_nulls = false, "
        "columns = {'a': 'VARCHAR', 'b': 'VARCHAR', 'c': 'VARCHAR'})",
        [str(path)],
    ).fetchall()
    assert rows == expected == table


# Nearly every piece of some of these files has something wrong in it.
LINES = st.sampled_from(
    ["1,2,3", "1,2,3", "4,5,6", '7,"8\n9",0', "x,1,2", "1", "1,2,3,4", "1,\udce9,2", "", "#c"]
)
ENDS = st.sampled_from(["", "1,2,3", '1,"2', '1,"2"x,3\n4,5,6\n', '"\n1,2,3\n4,5,6\n'])


@MANY
@given(
    files=st.lists(st.tuples(st.lists(LINES, max_size=40), ENDS), min_size=1, max_size=4),
    ways=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 200)), min_size=1, max_size=3),
    options=st.sampled_from([TEXTS, TYPED]),
    most=st.sampled_from([1, 3, 8192]),
)
def test_neither_threads_nor_the_size_of_pieces_change_what_is_told(  # noqa: PLR0917 - of hypothesis
    tmp_path, monkeypatch, setting, files, ways, options, most
):
    paths = []
    for number, (lines, end) in enumerate(files):
        paths.append(tmp_path / f"{number}.csv")
        text = "a,b,c\n" + "".join(f"{line}\n" for line in lines) + end
        paths[-1].write_bytes(text.encode(errors="surrogateescape"))
    setting(1, 1 << 20)
    whole = told(paths, options)
    monkeypatch.setattr(csv_parse, "MOST_REJECTED", most)
    for threads, block in ways:
        setting(threads, block)
        assert told(paths, options) == whole


@MANY
@given(st.lists(LINES, max_size=60), st.integers(1, 100), st.integers(2, 4))
def test_threads_do_not_change_what_a_sample_tells(tmp_path, setting, lines, block, threads):
    path = tmp_path / "t.csv"
    text = "a,b,c\n" + "".join(f"{line}\n" for line in lines)
    path.write_bytes(text.encode(errors="surrogateescape"))
    setting(1, block)
    alone = told([path], SAMPLED)
    setting(threads, block)
    assert told([path], SAMPLED) == alone


@pytest.mark.parametrize("options", [TEXTS, SAMPLED])
def test_bad_rows_come_in_their_place(tmp_path, setting, options):
    path = tmp_path / "t.csv"
    lines = ["1,2,3"] * 400
    for row in (150, 151, 399):
        lines[row - 1] = "1"
    path.write_text("a,b,c\n" + "\n".join(lines) + '\n1,"2\n')
    setting(4, 64)
    _, seen = told([path], options)
    assert [row[0] for row in seen[:-1]] == list(range(1, 401))
    assert [row[0] for row in seen[:-1] if len(row) == 3] == [150, 151, 399]
    kind, message, details = seen[-1]
    assert kind is SourceUnreadable
    assert "never closed" in message
    assert details["row"] == 401


def test_a_malformed_row_before_a_lost_quote_is_told_first(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('a,b,c\n1,2,3\n1\n1,"2\n')
    _, seen = told([path], TEXTS)
    assert [row[0] for row in seen[:-1]] == [1, 2]
    assert seen[-1][2]["row"] == 3


def test_a_lost_quote_in_a_sample_ends_the_opening(tmp_path, setting):
    path = tmp_path / "t.csv"
    path.write_text('a,b,c\n1,2,3\n4,5,6\n1,"2\n')
    with pytest.raises(SourceUnreadable) as error:
        CsvSource([str(path)], "t", SAMPLED)
    assert error.value.details["row"] == 3
    setting(2, 8)  # then the sample ends before it
    assert told([path], SAMPLED)[1][-1][2]["row"] == 3


class Taken:
    """Counts the pieces that were found, and the most that were not used at once."""

    def __init__(self, monkeypatch) -> None:
        self.found = self.used = self.most = 0
        pieces = csv_text.CsvFile.pieces

        def counted(file):
            for piece in pieces(file):
                self.found += 1
                self.most = max(self.most, self.found - self.used)
                yield piece

        monkeypatch.setattr(csv_text.CsvFile, "pieces", counted)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_so_many_pieces_are_in_work(tmp_path, monkeypatch, setting, threads):
    path = tmp_path / "t.csv"
    path.write_text("a,b,c\n" + "1,2,3\n" * 1000)
    setting(threads, 60)
    source = CsvSource([str(path)], "t", TEXTS)
    taken = Taken(monkeypatch)
    rows = 0
    for batch in source.batches(1 << 20):
        rows += batch.data.num_rows
        taken.used += 1
    assert rows == 1000
    assert taken.found == taken.used >= 100
    assert taken.most <= 2 * threads


def test_wide_rows_are_in_work_one_at_a_time(tmp_path, monkeypatch, setting):
    path = tmp_path / "t.csv"
    path.write_text("a,b,c\n" + f"1,2,{'x' * 2000}\n" * 20)
    setting(4, 100)
    source = CsvSource([str(path)], "t", TEXTS)
    taken = Taken(monkeypatch)
    for _ in source.batches(1 << 20):
        taken.used += 1
    assert taken.most == 1


@pytest.mark.parametrize("options", [TEXTS, TYPED])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_closing_in_the_middle_ends_everything(tmp_path, setting, options, count):
    path = tmp_path / "t.csv"
    path.write_text("a,b,c\n" + "1,2,3\n" * 20_000)
    setting(4, 1 << 10)
    batches = CsvSource([str(path)], "t", options).batches(1 << 20)
    for _ in range(count):
        next(batches)
    batches.close()
    assert not ours()
    gc.collect()
    links = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert path not in links


def test_a_scan_that_is_called_off_ends_everything(tmp_path, setting):
    path = tmp_path / "t.csv"
    path.write_text("a,b,c\n" + "1,2,3\n" * 20_000)
    setting(4, 1 << 10)
    seen = []

    def watch(rows: int) -> None:
        seen.append(rows)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        CsvSource([str(path)], "t", SourceOptions(watch=watch))
    assert not ours()


def test_a_file_that_changes_before_its_turn(tmp_path, setting):
    paths = [tmp_path / "1.csv", tmp_path / "2.csv"]
    paths[0].write_text("a\n" + "1\n" * 100)
    paths[1].write_text("a\n3\n")
    setting(2, 4)
    options = SourceOptions(text_columns=frozenset("a"))
    batches = CsvSource([str(path) for path in paths], "t", options).batches(1 << 20)
    assert 0 < next(batches).data.num_rows < 10
    paths[1].write_text("a\n3\n4\n5\n")
    with pytest.raises(SourceUnreadable, match=r"2\.csv changed"):
        list(batches)


def test_a_type_that_is_decided_by_the_last_piece(tmp_path, setting):
    path = tmp_path / "t.csv"
    path.write_text("a,b,c\n" + "1,1,2024-01-01T00:00:00\n" * 500 + "1.5,x,2024-01-01 00:00:00.5\n")
    setting(4, 64)
    source = CsvSource([str(path)], "t", TYPED)
    kinds = [field.type for field in source.schema]
    assert kinds == [pa.float64(), pa.string(), pa.timestamp("ms")]
    assert source.rows == 501
