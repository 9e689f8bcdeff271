from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loader.errors import BadValue, LoaderError, NameRefused, SourceUnreadable, UsageError
from loader.sources import csv_text
from loader.sources.base import CsvOptions, SourceOptions
from loader.sources.csv_files import CsvSource

SCANS = pytest.mark.parametrize("types", ["scan", "sample"])


@pytest.fixture
def opened(tmp_path):
    def open_(
        *contents: str | bytes, name: str = "t.csv", texts: tuple[str, ...] = (), **options: object
    ) -> CsvSource:
        paths = []
        for number, content in enumerate(contents):
            folder = tmp_path / str(number)
            folder.mkdir(exist_ok=True)
            path = folder / name
            path.write_bytes(content.encode() if isinstance(content, str) else content)
            paths.append(str(path))
        read_as = SourceOptions(csv=CsvOptions(**options), text_columns=frozenset(texts))
        return CsvSource(paths, "t", read_as)

    return open_


def rows(source: CsvSource, columns: list[str] | None = None) -> list[tuple]:
    batches = [batch.data for batch in source.batches(1 << 20, columns)]
    return [tuple(row.values()) for batch in batches for row in batch.to_pylist()]


def said(source: CsvSource) -> str:
    return "; ".join(source.notes)


@SCANS
@pytest.mark.parametrize(
    ("text", "expected", "words"),
    [
        ("a;b\n1;x,y\n2;z\n", [(1, "x,y"), (2, "z")], "t.csv: delimiter ';' (guessed)"),
        ("a\tb\n1\tx,y\n", [(1, "x,y")], "t.csv: delimiter tab (guessed)"),
        ("a|b|c\n1|x|\n", [(1, "x", None)], "t.csv: delimiter '|' (guessed)"),
        ('a;b\n"1;0";"x\n;"\n', [("1;0", "x\n;")], "t.csv: delimiter ';' (guessed)"),
        ('"a";"b"\n1;2\n', [(1, 2)], "t.csv: delimiter ';' (guessed)"),
        ("a;b\n", [], "t.csv: delimiter ';' (guessed)"),
        # What was read with commas before is still
        ("a,b\n1,x;y\n", [(1, "x;y")], ""),
        ("a\n1\n", [(1,)], ""),
        ("a\n1;2\n3;4\n", [("1;2",), ("3;4",)], ""),
        (
            "a;x,b\n1;2,3\n",
            [("1;2", 3)],
            "t.csv: delimiter ',' (guessed; ';' would fit as well)",
        ),
        # Commas that fit only some of the rows, or stand only where decimal commas do
        ("id;price,EUR\n1;5\n2;6,5\n3;7\n", [(1, "5"), (2, "6,5"), (3, "7")], "delimiter ';'"),
    ],
)
def test_the_delimiter_is_guessed(opened, types, text, expected, words):
    source = opened(text, types=types)
    assert rows(source) == expected
    assert words in said(source)
    assert bool(words) == bool(source.notes)


def test_decimal_commas_are_no_delimiters(opened):
    source = opened("1,5;2,5\n3,5;4,5\n", header=False)
    assert source.schema.names == ["column1", "column2"]
    assert rows(source) == [("1,5", "2,5"), ("3,5", "4,5")]


def test_a_bad_row_among_the_first_does_not_change_the_guess(opened):
    with pytest.raises(BadValue, match=r"row 2: '1' has 1 field where the header has 3"):
        opened("a;b;c\n1;2;3\n1\n4;5;6\n")
    with pytest.raises(BadValue, match="row 1"):
        opened("a,b,c\n1,2\n1,2,3\n")


def test_all_files_of_a_table_have_one_delimiter_unless_they_differ(opened):
    # The first alone would be read with commas.
    source = opened("a;x,b\n1;2,3\n", "a;x,b\n1;2\n3;4\n", "a;x,b\n1,5;2\n3;4\n")
    assert source.schema.names == ["a", "x,b"]
    assert rows(source) == [
        ("1", "2,3"),
        ("1", "2"),
        ("3", "4"),
        ("1,5", "2"),
        ("3", "4"),
    ]
    assert source.notes[0] == "t.csv and 2 more: delimiter ';' (guessed)"
    differing = opened("a;b\n1;2\n", "a,b\n3,4\n", "b|a\n6|5\n")
    assert rows(differing) == [(1, 2), (3, 4), (5, 6)]
    assert differing.notes == (
        "t.csv: delimiter ';' (guessed)",
        "t.csv: delimiter '|' (guessed)",
    )


def test_a_given_delimiter_is_not_guessed(opened):
    assert opened("a;b,c\n1;2,3\n", delimiter=",").schema.names == ["a;b", "c"]
    source = opened("a;b\n1;2\n", delimiter=";")
    assert rows(source) == [(1, 2)]
    assert source.notes == ()
    assert rows(opened("a\x01b\n1\x01,\n", delimiter="\x01")) == [(1, ",")]
    assert rows(opened("a b\n1 2\n", delimiter=" ")) == [(1, 2)]
    assert rows(opened("a;b\n1;2\n", name="t.tsv", delimiter=";")) == [(1, 2)]
    assert opened("a;b\n1;2\n", name="t.tsv").schema.names == ["a;b"]


@SCANS
@pytest.mark.parametrize(
    ("encoding", "mark", "named"),
    [
        ("utf-8", codecs.BOM_UTF8, None),
        ("utf-16-le", codecs.BOM_UTF16_LE, None),
        ("utf-16-be", codecs.BOM_UTF16_BE, None),
        ("utf-16-le", codecs.BOM_UTF16_LE, "utf-16"),
        ("utf-16-be", b"", "utf-16-be"),
        ("utf-16-le", b"", "utf-16"),
        ("latin-1", b"", "latin-1"),
        ("cp1252", b"", "windows-1252"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_encodings(  # noqa: PLR0917 - parametrised
    opened, monkeypatch, types, encoding, mark, named, pack
):
    monkeypatch.setattr(csv_text, "_BLOCK", 1 << 10)
    values = [(number, f"größe {number}\r\n") for number in range(3000)]
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows([("id", "ü"), *values])
    data = mark + text.getvalue().encode(encoding)
    source = opened(
        pack(data),
        name="t.csv.gz" if pack is gzip.compress else "t.csv",
        types=types,
        encoding=named,
    )
    assert source.schema.names == ["id", "ü"]
    assert rows(source) == values
    assert bool(source.notes) == bool(mark and named is None)
    if source.notes:
        assert f"{encoding.upper()} with BOM" in said(source)


def test_a_mark_that_contradicts_the_option(opened):
    with pytest.raises(SourceUnreadable, match="--csv-encoding"):
        opened(codecs.BOM_UTF8 + b"a\n1\n", encoding="latin-1")


def test_utf16_without_a_mark_is_told_from_its_zeros(opened):
    with pytest.raises(SourceUnreadable) as error:
        opened("a,b\n1,2\n".encode("utf-16-be"))
    assert "--csv-encoding utf-16" in error.value.hint


@SCANS
@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        # Header, comments, skipped lines
        ("1,x\n2,y\n", {"header": False}, [(1, "x"), (2, "y")]),
        ("1\n\n2\n", {"header": False}, [(1,), (None,), (2,)]),
        ("\n1\n", {"header": False}, [(None,), (1,)]),
        ("\n1,2\n", {"header": False}, [(1, 2)]),
        ("#c\n\n1,2\n", {"header": False, "comment": "#"}, [(1, 2)]),
        ("a,b\n#x\n1,2\n#y,z,w\n3,4", {"comment": "#"}, [(1, 2), (3, 4)]),
        ('#don"t\na,b\n#can"t\n1,2\n#won"t', {"comment": "#"}, [(1, 2)]),
        ('a,b\n"#1",x\n"\n#\n",y\n', {"comment": "#"}, [("#1", "x"), ("\n#\n", "y")]),
        ("a\n1\n#\n\n2\n", {"comment": "#"}, [(1,), (None,), (2,)]),
        ("a,b\n#1,2\n", {}, [("#1", 2)]),
        ("x\ny\r\na,b\r\n1,2\r\n", {"skip_lines": 2}, [(1, 2)]),
        ('t"\rx\ra,b\r1,2\r', {"skip_lines": 2}, [(1, 2)]),
        ("x\n#y\na,b\n1,2\n", {"skip_lines": 1, "comment": "#"}, [(1, 2)]),
        ("x\n1,2\n", {"skip_lines": 1, "header": False}, [(1, 2)]),
        # Quotes and escapes
        ("a,b\n'x,''y''','\n'\n", {"quote": "'"}, [("x,'y'", "\n")]),
        ('a,b\n"x,5"\n', {"quote": ""}, [('"x', '5"')]),
        ('a,b\n"1,"\n"2,\n', {"quote": ""}, [('"1', '"'), ('"2', None)]),
        ('a,b\n"x\\"\\\\",y\\,z\n', {"escape": "\\"}, [('x"\\', "y,z")]),
        ('a,b\n"x""y",\\"z\n', {"escape": "\\"}, [('x"y', '"z')]),
        ("a,b\nx\\\ny,1\n", {"escape": "\\"}, [("x\ny", 1)]),
        ("a\\,b,c\n1,2\n", {"escape": "\\"}, [(1, 2)]),
        ("a\tb\nx\\\ty\t\\N\n", {"escape": "\\", "quote": "", "nulls": ("\\N",)}, [("x\ty", None)]),
        ('a,b\n"say ""hi""",1\n', {"escape": '"'}, [('say "hi"', 1)]),
        # Nulls
        ("a,b\nNA,1\nx,NA\n", {"nulls": ("", "NA")}, [(None, 1), ("x", None)]),
        ('a,b\n"NA",1\n"",\n', {"nulls": ("", "NA")}, [("NA", 1), ("", None)]),
        ("a,b\nNULL,1\n,2\n", {"nulls": ("NULL",)}, [(None, 1), ("", 2)]),
        ("a,b\n\\N,1\nN,2\n", {"nulls": ("\\N",)}, [(None, 1), ("N", 2)]),
        (
            'a,b,c\n\\N,N,"\\N"\n\\N\\N,\\,\\N,\\N\n"x,\\N",5" \\N,\\N',
            {"nulls": ("\\N",), "escape": "\\"},
            [(None, "N", "N"), ("NN", ",N", None), ("x,N", '5" N', None)],
        ),
        ("a,b\n-,1\nx,-\n", {"nulls": ("-", "n/a")}, [(None, 1), ("x", None)]),
        # Decimal commas
        ("a;b\n1,5;x\n-2;y\n", {"decimal": ","}, [(1.5, "x"), (-2.0, "y")]),
        ("a|b\n1,5|1.000\n", {"decimal": ","}, [(1.5, "1.000")]),
        ("a\n1,5\n", {"decimal": ","}, [(1.5,)]),
        (
            "a;b\n12345678901234567890,5;1\n",
            {"decimal": ","},
            [(Decimal("12345678901234567890.5"), 1)],
        ),
        # What stays as it is
        ("a,b\n007,12345678901234567890\n", {}, [("007", Decimal(12345678901234567890))]),
    ],
)
def test_options(  # noqa: PLR0917 - parametrised
    opened, monkeypatch, types, text, options, expected
):
    for block in (1 << 20, 3):
        monkeypatch.setattr(csv_text, "_BLOCK", block)
        assert rows(opened(text, types=types, **options)) == expected


def test_columns_without_a_header_have_numbers(opened):
    source = opened("1;x\n2;y\n", "3;z\n", b"", header=False)
    assert source.schema.names == ["column1", "column2"]
    assert rows(source) == [(1, "x"), (2, "y"), (3, "z")]
    assert source.rows == 3
    with pytest.raises(SourceUnreadable, match="empty"):
        opened(b"", b"\n", header=False)
    with pytest.raises(BadValue, match=r"'4,5' has 2 fields where the first row has 3"):
        opened("1,2,3\n4,5\n", header=False)
    with pytest.raises(SourceUnreadable, match="empty"):
        opened("a\n1\n", b"")


def test_more_lines_skipped_than_there_are(opened):
    with pytest.raises(SourceUnreadable, match="empty"):
        opened("a\n1\n", skip_lines=7)


def test_a_long_preamble(opened):
    source = opened("x" * 200_000 + "\n" * 100_000 + "a\n1\n", skip_lines=100_000)
    assert rows(source) == [(1,)]


def test_an_escape_at_the_very_end(opened):
    with pytest.raises(SourceUnreadable, match="escape") as error:
        opened("a,b\n1,2\n3,x\\", escape="\\")
    assert error.value.details["row"] == 2


def test_options_are_checked(opened):
    with pytest.raises(UsageError, match="--csv-decimal"):
        opened("a\n1\n", delimiter=",", decimal=",")
    with pytest.raises(UsageError, match="--csv-null"):
        opened("a;b\n1;2\n", delimiter=";", nulls=("a;b",))
    assert rows(opened("a,b\n1;2,3\n", nulls=("1;2",))) == [(None, 3)]


def test_a_name_is_missing(opened):
    with pytest.raises(NameRefused) as error:
        opened("1,,3\n4,5,6\n")
    assert "--no-csv-header" in error.value.hint


def test_decimal_commas_are_hinted_at_but_not_converted(opened):
    source = opened("id;price;name\n1;1,5;a,b\n2;3;c\n")
    assert rows(source) == [(1, "1,5", "a,b"), (2, "3", "c")]
    assert "column 'price' has texts like 1,5" in said(source)
    assert "--csv-decimal ," in said(source)
    assert "'name'" not in said(source)
    assert opened('id,price\n1,"1,5"\n').notes == ()
    assert "price" not in said(opened("id;price\n1;1,5\n", decimal=","))


@SCANS
def test_only_wanted_columns_are_read(opened, types):
    source = opened('a,b,c\n1,x,"y"\n2,,z\n', types=types)
    assert rows(source, ["c", "a"]) == [("y", 1), ("z", 2)]
    (batch,) = source.batches(1 << 20, ["b"])
    assert batch.data.schema == pa.schema([("b", pa.string())])
    assert batch.data["b"].to_pylist() == ["x", None]


def zstd(data: bytes) -> bytes:
    buffer = pa.BufferOutputStream()
    with pa.CompressedOutputStream(buffer, "zstd") as out:
        out.write(data)
    return buffer.getvalue().to_pybytes()


@SCANS
@pytest.mark.parametrize(
    ("end", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("zst", zstd)]
)
def test_compressed_pieces_one_after_another(opened, types, end, pack):
    text = "".join(f"{number};x{number}\n" for number in range(50_000)).encode()
    data = pack(b"a;b\n") + pack(text) + pack(text)
    source = opened(data, name=f"t.csv.{end}", types=types)
    got = rows(source)
    assert len(got) == 100_000
    assert got[:50_000] == got[50_000:] == [(n, f"x{n}") for n in range(50_000)]
    with pytest.raises(SourceUnreadable, match=rf"t\.csv\.{end}"):
        rows(opened(data[:-20], name=f"t.csv.{end}", types=types))


def test_thousands_of_files(opened):
    files = [f"a;b\n{number};x\n" for number in range(2000)]
    source = opened(*files)
    assert source.rows == 2000
    assert [row[0] for row in rows(source)] == list(range(2000))
    assert said(source) == "t.csv and 1999 more: delimiter ';' (guessed)"


FIELDS = st.text(alphabet="ab,;'\"\\#\n\r é1", max_size=5)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    table=st.lists(st.lists(FIELDS, min_size=2, max_size=2), min_size=1, max_size=8),
    delimiter=st.sampled_from(",;|\t"),
    quote=st.sampled_from("\"'"),
    escape=st.sampled_from([None, "\\"]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    block=st.integers(1, 40),
)
def test_what_other_writers_write(  # noqa: PLR0917 - of hypothesis
    opened, monkeypatch, table, delimiter, quote, escape, end, block
):
    text = io.StringIO(newline="")
    csv.writer(
        text,
        delimiter=delimiter,
        quotechar=quote,
        escapechar=escape,
        doublequote=escape is None,
        quoting=csv.QUOTE_ALL,
        lineterminator=end,
    ).writerows(table)
    monkeypatch.setattr(csv_text, "_BLOCK", block)
    source = opened(
        text.getvalue(),
        delimiter=delimiter,
        quote=quote,
        escape=escape,
        header=False,
        comment="#",
        texts=("column1", "column2"),
    )
    assert [list(row) for row in rows(source)] == table


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    content=st.binary(max_size=60)
    | st.text(alphabet='a1,;"\\#\n\r\t', max_size=60).map(str.encode),
    header=st.booleans(),
    comment=st.sampled_from([None, "#"]),
    escape=st.sampled_from([None, "\\"]),
    quote=st.sampled_from(['"', "'", ""]),
    skip_lines=st.integers(0, 2),
    nulls=st.sampled_from([(), ("",), ("", "\\1")]),
    encoding=st.sampled_from([None, "cp1252", "utf-16", "utf-8"]),
    types=st.sampled_from(["scan", "sample"]),
    block=st.sampled_from([1, 7, 1 << 20]),
)
def test_whatever_is_in_a_file_it_is_read_or_refused(
    opened, monkeypatch, content, block, **options
):
    monkeypatch.setattr(csv_text, "_BLOCK", block)
    try:
        source = opened(content, **options)
        count = len(rows(source))
        assert source.rows in {None, count}
    except LoaderError as error:
        assert error.details["file"].endswith("t.csv")  # noqa: PT017 - both ends are right
