"""CSV as it really is: what the server stores is what Python's csv or DuckDB find in the file."""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

import loader
from loader.api import Connection
from loader.errors import BadValue, ModelMismatch
from tests.cli.harness import PASSWORD, PROJECT, USER, Server

Row = tuple[str | None, ...]

HEADER = ["id", "name", "price", "note"]
ROWS: list[list[str]] = [
    ["007", "Ann", "1.5", 'say "hi"'],
    ["008", "Zoë; Bob", "-2.25", "two\nlines"],
    ["010", "", "0.1", "a,b|c\td"],
    ["011", "#5", "", "back\\slash"],
]
ROWS += [[f"0{number}", f"n{number}", f"{number}.75", "x"] for number in range(1000, 3000)]


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as out:
        out.write(data)
    return sink.getvalue().to_pybytes()


@dataclass(frozen=True)
class Oddity:
    """A way in which CSV files are written: how Python writes it, how the loader is told.

    Python's csv module reads the file back as the independent reading. Its empty fields are null
    in the loader where they are not quoted, so every empty one counts as null on both sides; that
    quotes make a difference has a test of its own.
    """

    name: str
    writing: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    encoding: str = "utf-8"
    mark: bytes = b""
    pack: Callable[[bytes], bytes] = bytes
    end: str = "csv"
    header: bool = True
    before: str = ""
    comma: bool = False

    def texts(self) -> str:
        out = io.StringIO(newline="")
        out.write(self.before)
        writer = csv.writer(out, **self.writing)
        if self.header:
            writer.writerow(HEADER)
        for key, name, price, note in ROWS:
            writer.writerow([key, name, price.replace(".", ",") if self.comma else price, note])
        return out.getvalue()

    def write(self, folder: Path) -> Path:
        path = folder / f"odd.{self.end}"
        path.write_bytes(self.pack(self.mark + self.texts().encode(self.encoding)))
        return path

    def read(self) -> list[Row]:
        """Reads it with Python's csv module."""
        text = io.StringIO(self.texts().removeprefix(self.before), newline="")
        reading = {key: value for key, value in self.writing.items() if key != "lineterminator"}
        rows = [row for row in csv.reader(text, **reading) if row]
        return [
            (key, name or None, price.replace(",", ".") or None, note or None)
            for key, name, price, note in rows[1 if self.header else 0 :]
        ]


ALL = {"quoting": csv.QUOTE_ALL}

ODDITIES = [
    Oddity("plain"),
    Oddity("semicolons", {"delimiter": ";"}),
    Oddity("tabs", {"delimiter": "\t"}),
    Oddity("tsv", {"delimiter": "\t"}, end="tsv"),
    Oddity("pipes", {"delimiter": "|"}),
    Oddity("named delimiter", {"delimiter": "\x01"}, {"csv_delimiter": "\x01"}),
    Oddity("line feeds", {"lineterminator": "\n"}),
    Oddity("carriage returns", {"lineterminator": "\r", **ALL}),
    Oddity("all quoted", ALL),
    Oddity("single quotes", {"quotechar": "'"}, {"csv_quote": "'"}),
    Oddity(
        "escapes",
        {"escapechar": "\\", "doublequote": False},
        {"csv_escape": "\\"},
    ),
    Oddity(
        "nothing quoted",
        {"quoting": csv.QUOTE_NONE, "escapechar": "\\", "delimiter": "\x1f"},
        {"csv_quote": "", "csv_escape": "\\", "csv_delimiter": "\x1f"},
    ),
    Oddity("decimal commas", {"delimiter": ";"}, {"csv_decimal": ","}, comma=True),
    Oddity("no header", options={"csv_header": False}, header=False),
    Oddity("comments", ALL, {"csv_comment": "#"}, before='# don"t\n#, a comment\n'),
    Oddity("skipped lines", options={"csv_skip_lines": 2}, before='Report "x\nof, today\n'),
    Oddity("utf-8 with a mark", mark=codecs.BOM_UTF8),
    Oddity("utf-16 little-endian", encoding="utf-16-le", mark=codecs.BOM_UTF16_LE),
    Oddity("utf-16 big-endian", encoding="utf-16-be", mark=codecs.BOM_UTF16_BE),
    Oddity("utf-16 named", options={"csv_encoding": "utf-16-be"}, encoding="utf-16-be"),
    Oddity("latin-1", options={"csv_encoding": "latin-1"}, encoding="latin-1"),
    Oddity("cp1252", options={"csv_encoding": "cp1252"}, encoding="cp1252"),
    Oddity("gzip", pack=gzip.compress, end="csv.gz"),
    Oddity(
        "gzip members", pack=lambda data: b"".join(map(gzip.compress, halves(data))), end="csv.gz"
    ),
    Oddity("zstd", pack=zstd, end="csv.zst"),
    Oddity("bz2", pack=bz2.compress, end="csv.bz2"),
    Oddity(
        "everything at once",
        {"delimiter": ";", "quotechar": "'", "lineterminator": "\r\n"},
        {"csv_quote": "'", "csv_decimal": ",", "csv_skip_lines": 1, "csv_encoding": "utf-16-le"},
        encoding="utf-16-le",
        pack=gzip.compress,
        end="csv.gz",
        before="Bericht\r\n",
        comma=True,
    ),
]


def halves(data: bytes) -> tuple[bytes, bytes]:
    return data[: len(data) // 2], data[len(data) // 2 :]


def push(server: Server, source: object, **options: Any) -> loader.Result:
    connection = Connection(url=server.url, username=USER, password=PASSWORD, project=PROJECT)
    return loader.push_sync(source, connection=connection, dataset="odd", **options)


def stored(server: Server, columns: Sequence[str] = HEADER) -> list[Row]:
    """The rows of the server as texts."""
    listed = ", ".join(f'CAST("{column}" AS VARCHAR)' for column in columns)
    return server.sql(f"SELECT {listed} FROM odd.odd")


@pytest.mark.parametrize("types", ["scan", "sample"])
@pytest.mark.parametrize("oddity", ODDITIES, ids=lambda oddity: oddity.name)
def test_an_oddity_arrives_as_python_reads_it(server, tmp_path, oddity, types):
    path = oddity.write(tmp_path)
    expected = oddity.read()
    assert len(expected) == len(ROWS)

    result = push(server, {"odd": str(path)}, csv_types=types, **oddity.options)

    columns = HEADER if oddity.header else [f"column{number}" for number in range(1, 5)]
    got = [
        (key, name or None, price, note or None)
        for key, name, price, note in stored(server, columns)
    ]
    assert result.rows == len(ROWS)
    assert sorted(map(repr, got)) == sorted(map(repr, expected))
    price = columns[2]
    ((kind,),) = server.sql(f'SELECT DISTINCT typeof("{price}") FROM odd.odd')
    assert kind == "DOUBLE"
    server.left_nothing()


def test_a_thousand_files_are_one_table(server, tmp_path):
    folder = tmp_path / "odd"
    folder.mkdir()
    for number in range(1000):
        (folder / f"{number:04}.csv").write_text(f"id;name\n0{number};n{number}\n")
    push(server, {"odd": str(folder)})
    file = f"read_csv('{folder}/*.csv', delim=';', header=true, all_varchar=true)"
    assert sorted(stored(server, ["id", "name"])) == sorted(duckdb.sql(f"FROM {file}").fetchall())


def test_quotes_tell_an_empty_text_from_a_null(server, tmp_path):
    path = tmp_path / "odd.csv"
    path.write_text('id,name,price,note\n1,"",1.5,NA\n2,,,"NA"\n3,\\N,"",x\n')
    push(server, {"odd": str(path)}, csv_nulls=("", "NA", "\\N"))
    file = (
        f"read_csv('{path}', header=true, all_varchar=true, "
        "nullstr=['', 'NA', '\\N'], allow_quoted_nulls=false)"
    )
    expected = [
        (key, name, price or None, note)
        for key, name, price, note in duckdb.sql(f"FROM {file}").fetchall()
    ]
    assert expected == [("1", "", "1.5", None), ("2", None, None, "NA"), ("3", None, None, "x")]
    assert sorted(stored(server)) == expected


def test_a_column_that_is_empty_today_is_what_it_was_yesterday(server, tmp_path):
    path = tmp_path / "odd.csv"
    path.write_text("id,name,price,note\n1,a,1.5,2024-01-01\n")
    push(server, {"odd": str(path)})
    path.write_text('id,name,price,note\n2,b,,\n3,c,"",\n')
    with pytest.raises(ModelMismatch, match="'price'"):
        push(server, {"odd": str(path)}, policy="add")
    path.write_text("id,name,price,note\n2,b,,\n3,c,,\n")
    push(server, {"odd": str(path)}, policy="add")
    assert stored(server)[1:] == [("2", "b", None, None), ("3", "c", None, None)]


@pytest.mark.parametrize("types", ["scan", "sample"])
@pytest.mark.parametrize("comma", [False, True])
def test_numbers_that_no_double_holds_arrive_digit_by_digit(server, tmp_path, comma, types):
    numbers = ["12345678901234567890.123456789", "-0.1", "9007199254740993"]
    whole = ["9223372036854775808", "-1", "12345678901234567890123456789"]
    path = tmp_path / "odd.csv"
    lines = [";".join(row) for row in zip(numbers, whole, strict=True)]
    text = "exact;whole\n" + "\n".join(lines) + "\n"
    path.write_text(text.replace(".", ",") if comma else text)

    push(server, {"odd": str(path)}, csv_decimal="," if comma else ".", csv_types=types)

    got = {(Decimal(exact), Decimal(large)) for exact, large in stored(server, ["exact", "whole"])}
    assert got == {(Decimal(e), Decimal(w)) for e, w in zip(numbers, whole, strict=True)}


BAD = (
    b"id,name,n\n"
    + b"".join(b"%d,x,%d\n" % (number, number) for number in range(20_000))
    + b"a,b\nb,caf\xe9,1\nc,d,1,2\n"
    + b"20003,ok,20003\n20004,late,n/a\n20005,ok,20005\n"
)


def test_bad_rows_are_named_and_the_others_arrive(server, tmp_path):
    path = tmp_path / "odd.csv"
    path.write_bytes(BAD)
    rejects = tmp_path / "rejects.ndjson"

    result = push(
        server,
        {"odd": str(path)},
        csv_types="sample",
        on_bad_row="quarantine",
        rejects_file=rejects,
    )

    lines = BAD.decode(errors="backslashreplace").splitlines()[1:]
    bad = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert [(row["row"], row["column"], row["value"]) for row in bad] == [
        (20_001, None, lines[20_000]),
        (20_002, "name", "caf\\xe9"),
        (20_003, None, lines[20_002]),
        (20_005, "n", "n/a"),
    ]
    expected = [
        tuple(line.split(","))
        for number, line in enumerate(lines, 1)
        if number not in {row["row"] for row in bad}
    ]
    assert sorted(stored(server, ["id", "name", "n"])) == sorted(expected)
    assert result.rows == len(expected)


@pytest.mark.parametrize(
    ("content", "row", "column", "hint"),
    [
        (b"a,b\n1,2\n1\n", 2, None, "Quote fields"),
        (b"a,b\n1,2\n1,\xe9\n", 2, "b", "--csv-encoding"),
    ],
)
def test_the_first_bad_row_ends_the_load_before_anything_is_sent(  # noqa: PLR0917 - parametrised
    server, tmp_path, content, row, column, hint
):
    path = tmp_path / "odd.csv"
    path.write_bytes(content)
    with pytest.raises(BadValue) as error:
        push(server, {"odd": str(path)})
    assert error.value.details["row"] == row
    assert error.value.details.get("column") == column
    assert hint in error.value.hint
    assert server.datasets == {}
