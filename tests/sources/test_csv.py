from __future__ import annotations

import csv
import datetime as dt
import gc
import gzip
import io
import random
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loader.errors import BadValue, LoaderError, NameRefused, SourceError, SourceUnreadable
from loader.sources import CsvOptions, Source, SourceOptions, csv_text, open_tables

SAMPLE = SourceOptions(csv=CsvOptions(types="sample"))


@pytest.fixture
def opened(tmp_path):
    def open_(
        content: str | bytes, name: str = "t.csv", options: SourceOptions | None = None
    ) -> Source:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        (source,) = open_tables(str(path), options or SourceOptions()).values()
        return source

    return open_


def read(source: Source, batch_bytes: int = 1 << 20) -> pa.Table:
    return pa.Table.from_batches([b.data for b in source.batches(batch_bytes)], source.schema)


def rows(source: Source) -> list[tuple]:
    return [tuple(row.values()) for row in read(source).to_pylist()]


def test_types_values_and_rows(opened):
    source = opened(
        "id,price,day,at,name,flag,code\n"
        "1,9.99,2024-01-01,2024-01-01T10:00:00.5Z,Ann,true,007\n"
        '2,,,,"",,\n'
    )
    assert source.schema == pa.schema(
        [
            ("id", pa.int64()),
            ("price", pa.float64()),
            ("day", pa.date32()),
            ("at", pa.timestamp("ms", "UTC")),
            ("name", pa.string()),
            ("flag", pa.bool_()),
            ("code", pa.string()),
        ]
    )
    assert source.rows == 2
    assert source.rereadable
    at = dt.datetime(2024, 1, 1, 10, 0, 0, 500_000, dt.UTC)
    assert rows(source) == [
        (1, 9.99, dt.date(2024, 1, 1), at, "Ann", True, "007"),
        (2, None, None, None, "", None, None),
    ]
    assert rows(source) == rows(source)


def test_a_type_that_changes_in_the_last_row(opened):
    numbers = "\n".join(str(i) for i in range(400_000))
    assert opened(f"a\n{numbers}\nx\n").schema.field("a").type == pa.string()
    late = opened(f"a\n{numbers}\n12345678901234567890.5\n")
    assert late.schema.field("a").type == pa.decimal128(21, 1)
    last = list(late.batches(1 << 20))[-1]
    assert last.data.column(0)[-1].as_py() == Decimal("12345678901234567890.5")
    assert late.rows == 400_001


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
def test_line_ends(opened, end, last):
    text = f"a,b{end}1,x{end}2,y" + (end if last else "")
    assert rows(opened(text)) == [(1, "x"), (2, "y")]


def test_byte_order_mark(opened):
    source = opened(b"\xef\xbb\xbfa,b\n1,2\n")
    assert source.schema.names == ["a", "b"]
    assert rows(source) == [(1, 2)]


def test_quotes(opened):
    source = opened('"a,1","b\n2","c""3"\n"x,y","line 1\nline 2","say ""hi"""\n')
    assert source.schema.names == ["a,1", "b\n2", 'c"3']
    assert rows(source) == [("x,y", "line 1\nline 2", 'say "hi"')]


def test_quoted_and_unquoted_empty_fields(opened):
    assert rows(opened('t,n,m\nx,1,1\n"","",\n,,""\n')) == [
        ("x", 1, 1),
        ("", None, None),
        (None, None, None),
    ]


def test_blank_lines_are_no_rows(opened):
    source = opened("\na,b\n\n1,2\n\n3,4\n\n")
    assert source.rows == 2
    assert rows(source) == [(1, 2), (3, 4)]


def test_blank_lines_of_a_single_column_are_nulls(opened):
    source = opened("a\n1\n\n3\n\n")
    assert source.rows == 4
    assert rows(source) == [(1,), (None,), (3,), (None,)]
    assert rows(opened("a\n\n")) == [(None,)]
    assert rows(opened('a\n""\nx\n')) == [("",), ("x",)]


@pytest.mark.parametrize("text", ["a,b\n", "a,b", "a,b\r\n", "a,b\n\n\n"])
def test_header_only(opened, text):
    source = opened(text)
    assert source.schema == pa.schema([("a", pa.null()), ("b", pa.null())])
    assert source.rows == 0
    assert list(source.batches(100)) == []


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n\r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_no_header(opened, content):
    with pytest.raises(SourceUnreadable, match="header"):
        opened(content)


@pytest.mark.parametrize("header", ["a,a", "a,,b", ",a"])
def test_headers_that_name_no_columns(opened, header):
    with pytest.raises(NameRefused) as error:
        opened(f"{header}\n1,2\n")
    assert error.value.details["file"].endswith("t.csv")


def test_tabs(opened):
    assert rows(opened("a\tb\n1,5\t2\n", "t.tsv")) == [("1,5", 2)]


@pytest.mark.parametrize("name", ["t.csv.gz", "T.CSV.GZ", "t.tsv.gz"])
def test_gzip(opened, name):
    separator = "\t" if "tsv" in name else ","
    text = f"a{separator}b\n" + f"1{separator}x\n" * 100_000
    source = opened(gzip.compress(text.encode()), name)
    assert source.rows == 100_000
    assert read(source)["a"].to_pylist() == [1] * 100_000


@pytest.mark.parametrize("types", ["scan", "sample"])
@pytest.mark.parametrize("damage", ["cut", "header", "middle", "plain"])
def test_damaged_gzip(opened, damage, types):
    text = "a\n" + "\n".join(random.Random(1).randbytes(1 << 20).hex(" ", 32).split()) + "\n"
    data = bytearray(gzip.compress(text.encode(), 1))
    if damage == "cut":
        data = data[: len(data) // 2]
    elif damage == "middle":
        middle = len(data) // 2
        data[middle : middle + 100] = bytes(100)
    else:
        data = bytearray(text.encode() if damage == "plain" else b"\0" * 20 + data)
    with pytest.raises(SourceUnreadable, match=r"t\.csv\.gz"):
        list(
            opened(bytes(data), "t.csv.gz", SourceOptions(csv=CsvOptions(types=types))).batches(
                1 << 20
            )
        )


def first_bad(source) -> BadValue:
    """The error of the first row that a reading rejects; a scan may have raised it before."""
    return next(bad for b in source.batches(1 << 20) for bad in b.rejected).error("t")


@pytest.mark.parametrize("line", ["1", "1,2,3"])
@pytest.mark.parametrize("options", [SourceOptions(), SAMPLE])
def test_ragged_rows(opened, line, options):
    text = "a,b\n" + "1,x\n" * 500_000 + line + "\n1,x\n"
    with pytest.raises(BadValue) as error:
        raise first_bad(opened(text, options=options))
    details = error.value.details
    assert details["row"] == 500_001
    assert details["value"] == line
    found = line.count(",") + 1
    assert f"has {found} field{'s'[: found - 1]} where the header has 2" in error.value.message
    assert "500001" in error.value.message
    assert "t.csv" in details["file"]
    assert details["table"] == "t"


def test_a_row_that_goes_on_in_a_long_quoted_field(opened):
    wide = "x" * (3 << 20)
    text = 'a,b\n1,"short"\n2,"' + wide + '\n"\n3,end\n'
    for options in (SourceOptions(), SAMPLE):
        got = read(opened(text, options=options))
        assert got["a"].to_pylist() == [1, 2, 3]
        assert [len(value.as_py()) for value in got["b"]] == [5, len(wide) + 1, 3]


def test_a_quote_that_swallows_the_rest(opened, monkeypatch):
    monkeypatch.setattr(csv_text, "_BLOCK", 1 << 12)
    monkeypatch.setattr(csv_text, "_MAX_BLOCK", 1 << 15)
    text = "a,b\n" + "1,x\n" * 2000 + '1,"x\n' + "1,x\n" * 100_000
    with pytest.raises(SourceUnreadable, match="quote") as error:
        opened(text)
    assert error.value.details["row"] > 1


@pytest.mark.parametrize(
    "end", ['1,"abc', '1,"abc\n', '1,"a\nb', '1,"a\nb\r\n', '1,"', '"1,2\n3,4\n']
)
def test_a_quote_that_is_never_closed(opened, end):
    with pytest.raises(SourceUnreadable):
        opened("a,b\n1,2\n" + end)


@pytest.mark.parametrize("before", ["", "1,x\n" * 300_000])
def test_a_lost_quote_does_not_join_rows(opened, before):
    with pytest.raises(SourceUnreadable, match="closing quote") as error:
        opened(f'a,b\n{before}1,"x\n2,"y"\n3,z\n')
    assert error.value.details["row"] == before.count("\n") + 1


def test_quotes_inside_unquoted_fields_are_characters(opened):
    line = '5" pipe,"a ""b"", c\nd"\n'
    assert rows(opened("a,b\n" + line * 50_000)) == [('5" pipe', 'a "b", c\nd')] * 50_000


@pytest.mark.parametrize("header", ['"a"b,c', 'a,"b', '"a'])
def test_a_header_with_quotes_that_do_not_match_up(opened, header):
    with pytest.raises(SourceUnreadable, match="first row"):
        opened(f"{header}\n1,2\n3,4\n")


def test_gzip_members_one_after_another(opened):
    both = gzip.compress(b"a\n1\n") + gzip.compress(b"2\n")
    assert rows(opened(both, "t.csv.gz")) == [(1,), (2,)]


@pytest.mark.parametrize(
    ("end", "value"),
    [
        ('"abc"', "abc"),
        ('"a\nb"', "a\nb"),
        ('"a\n"\n', "a\n"),
        ('""', ""),
        ('"a"""', 'a"'),
        ('x"y', 'x"y'),
        ("", None),
        ('"a\r\n"\r\n', "a\r\n"),
    ],
)
def test_last_fields_that_are_well_closed(opened, end, value):
    assert rows(opened("a,b\n1," + end))[-1] == (1, value)


def test_text_that_is_not_utf8(opened):
    text = b"a,b\n" + b"1,x\n" * 300_000 + "1,é\n".encode("latin-1")
    with pytest.raises(BadValue, match="UTF-8") as error:
        opened(text)
    assert error.value.details["column"] == "b"
    assert error.value.details["row"] == 300_001
    assert error.value.details["value"] == r"\xe9"
    assert "--csv-encoding cp1252" in error.value.hint


@pytest.mark.parametrize(
    "content",
    [
        "a,b\n1,2\n".encode("utf-16-le"),
        b"PAR1\xff\xfe\0\0",
        b"\x89PNG",
        b"a,\xe9\n1,2",
        b'a,"b\n\xe9"\n1,2',
    ],
)
def test_a_header_that_is_not_utf8(opened, content):
    with pytest.raises(SourceUnreadable, match="UTF-8") as error:
        opened(content)
    assert "--csv-encoding" in error.value.hint


def test_a_file_that_changed_after_the_scan(opened, tmp_path):
    source = opened("a\n1\n")
    (tmp_path / "t.csv").write_text("a\nx\ny\n")
    with pytest.raises(SourceUnreadable, match="changed"):
        list(source.batches(100))


def test_sample_finds_a_late_value_that_does_not_fit(opened):
    text = "id,n\n" + "".join(f"{i},{i}\n" for i in range(200_000)) + "7,007\n1,1\n"
    source = opened(text, options=SAMPLE)
    assert source.rows is None
    assert source.schema.field("n").type == pa.int64()
    with pytest.raises(BadValue) as error:
        raise first_bad(source)
    details = error.value.details
    assert details["row"] == 200_001
    assert details["column"] == "n"
    assert details["value"] == "007"
    assert "--csv-types scan" in error.value.hint
    assert "n=STRING" in error.value.hint


def test_sample_reads_texts_that_came_late_into_an_empty_column(opened):
    text = "id,n\n" + "1,\n" * 200_000 + "1,x\n"
    assert rows(opened(text, options=SAMPLE))[-1] == (1, "x")


def test_text_columns_are_not_scanned(opened, monkeypatch):
    text = "a,b\n1,2\n"
    assert rows(opened(text, options=SourceOptions(text_columns=frozenset({"a"})))) == [("1", 2)]
    assert rows(opened(text, options=SourceOptions(text_columns=frozenset({"t.b"})))) == [(1, "2")]
    assert rows(opened(text, options=SourceOptions(text_columns=frozenset({"u.b"})))) == [(1, 2)]
    monkeypatch.setattr(
        "loader.sources.csv_files.CsvSource._scan", lambda *_: pytest.fail("scanned")
    )
    source = opened(text, options=SourceOptions(text_columns=frozenset({"a", "t.b"})))
    assert source.rows is None
    assert rows(source) == [("1", "2")]


def test_files_of_one_table(tmp_path):
    (tmp_path / "1.csv").write_text("a,b\n1,x\n")
    (tmp_path / "2.csv").write_text("b,a\ny,2.5\n")
    (tmp_path / "3.csv").write_text("a,b\n")
    source = open_tables([f"t={tmp_path}"], SourceOptions())["t"]
    assert source.schema == pa.schema([("a", pa.float64()), ("b", pa.string())])
    assert rows(source) == [(1.0, "x"), (2.5, "y")]
    assert source.rows == 2
    assert [Path(origin).name for origin in source.origins] == ["1.csv", "2.csv", "3.csv"]
    assert [(Path(b.origin).name, b.row) for b in source.batches(1)] == [("1.csv", 0), ("2.csv", 0)]
    (tmp_path / "4.csv").write_text("a\n1\n")
    with pytest.raises(SourceError, match="lacks 'b'"):
        open_tables([f"t={tmp_path}"], SourceOptions())


def test_closing_the_generator_closes_the_file(opened, tmp_path):
    source = opened("a,b\n" + "1,x\n" * 1_000_000)
    batches = source.batches(1 << 16)
    next(batches)
    batches.close()
    gc.collect()
    links = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert tmp_path / "t.csv" not in links


CELLS = st.one_of(
    st.none(),
    st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=6),
    st.sampled_from(["", "1", "2.5", "2024-01-01", 'a"b', "a,b", "a\nb", "a\r\nb", " "]),
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 300)),
    cells=st.lists(CELLS, max_size=40),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
)
def test_what_a_csv_writer_writes_is_what_is_read(tmp_path, monkeypatch, shape, cells, quoting):
    width, batch_bytes = shape
    table = [cells[i : i + width] for i in range(0, len(cells) - width + 1, width)]
    if width == 1 or quoting == csv.QUOTE_NONNUMERIC:  # the writer quotes None there
        table = [[cell or "" for cell in row] for row in table]
    else:
        table = [[cell or None for cell in row] for row in table]
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=quoting)
    writer.writerow([f"c{i}" for i in range(width)])
    writer.writerows(table)
    path = tmp_path / "t.csv"
    path.write_bytes(text.getvalue().encode())
    names = frozenset(f"c{i}" for i in range(width))
    (source,) = open_tables(str(path), SourceOptions(text_columns=names)).values()
    monkeypatch.setattr(csv_text, "_BLOCK", 64)
    got = read(source, batch_bytes)
    assert [list(row.values()) for row in got.to_pylist()] == table
    (typed,) = open_tables(str(path), SourceOptions()).values()
    assert typed.rows == len(table)
    assert read(typed, batch_bytes).equals(read(typed, 1 << 20))


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=60) | st.text(alphabet='a1,"\n\r\t', max_size=60).map(str.encode))
def test_whatever_is_in_a_file_it_is_read_or_refused(tmp_path, content):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    try:
        (source,) = open_tables(str(path), SourceOptions()).values()
        assert read(source).num_rows == source.rows
    except LoaderError as error:
        assert error.details["file"] == str(path)  # noqa: PT017 - both ends are right
