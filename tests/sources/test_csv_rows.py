from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.sources import csv_rows
from loader.sources.csv_dialect import Dialect
from loader.sources.csv_rows import (
    QuoteError,
    first_row,
    first_rows,
    split,
    take_rows,
    whole_rows,
)

COMMA = Dialect(b",")


@pytest.mark.parametrize(
    ("data", "complete"),
    [
        (b"", b""),
        (b"1,2", b""),
        (b"1,2\n3", b"1,2\n"),
        (b"1,2\r\n3", b"1,2\r\n"),
        (b"1,2\r3", b"1,2\r"),
        (b"1,2\n3,4\r", b"1,2\n"),  # perhaps half of a line end
        (b'1,"a\nb', b""),
        (b'0\n1,"a\nb', b"0\n"),
        (b'1,"a\nb"\n2', b'1,"a\nb"\n'),
        (b'1,"a""\n""b"\n2', b'1,"a""\n""b"\n'),
        (b'1,"a"\r', b""),
        (b'5" pipe\n6" pi', b'5" pipe\n'),
        (b'5" pipe,"a\nb', b""),
        (b'"a"', b""),
    ],
)
def test_complete_rows_of_a_piece(data, complete):
    assert data[: whole_rows(data, COMMA, final=False)] == complete


@pytest.mark.parametrize(
    "data", [b"", b"1", b"1\n", b"1\r", b'"a\nb"', b'5" pipe', b'""\n', b'x"\r']
)
def test_the_last_piece_is_complete(data):
    assert whole_rows(data, COMMA, final=True) == len(data)


@pytest.mark.parametrize(
    ("data", "final", "position"),
    [
        (b'1\n"a"b\n', False, 2),
        (b'1\n\n"a"b\n', False, 3),
        (b'1\n2,"a" ,3\n', False, 2),
        (b'1,"x\n2,"y"\n', False, 0),
        (b'1\n2\n"', True, 4),
        (b'1\n2\n"a\n', True, 4),
        (b'5" pipe\n"a', True, 8),
    ],
)
def test_quotes_that_do_not_match_up(data, final, position):
    with pytest.raises(QuoteError) as error:
        whole_rows(data, COMMA, final=final)
    assert error.value.position == position


def test_the_first_row():
    assert first_row(b'"a\n",b\r\nc', COMMA) == len(b'"a\n",b\r\n')
    assert first_row(b"a,b\r", COMMA) is None
    assert first_row(b'"a\nb', COMMA) is None
    assert first_row(b"a\tb\n", Dialect(b"\t")) == 4


def outcome(function, data: bytes, *, final: bool) -> object:
    try:
        return function(data, COMMA, final=final)
    except QuoteError as error:
        return error.position, error.reason


@settings(max_examples=400)
@given(st.text(alphabet='a,"\n\r', max_size=24).map(str.encode), st.booleans())
def test_the_fast_way_and_the_exact_way_agree(data, final):
    assert outcome(whole_rows, data, final=final) == outcome(csv_rows._by_row, data, final=final)


SLASHES = Dialect(b",", escape=b"\\")
NOTES = Dialect(b",", comment=b"#")


@pytest.mark.parametrize(
    ("data", "complete"),
    [
        (rb"1,a\,b" + b"\n2", rb"1,a\,b" + b"\n"),
        (b"1,a\\\nb\n2", b"1,a\\\nb\n"),
        (b"1,a\\\\\nb\n2", b"1,a\\\\\nb\n"),  # the first escapes the second
        (b"1,a\\\n2", b""),
        (b'1,"a\\"\n', b""),
        (b'1,"a\\\\"\n', b'1,"a\\\\"\n'),
        (b'1,\\"a\n', b'1,\\"a\n'),
        (b"1\n2\\", b"1\n"),
    ],
)
def test_escapes(data, complete):
    assert data[: whole_rows(data, SLASHES, final=False)] == complete


def test_an_escape_of_nothing():
    with pytest.raises(QuoteError, match="escape") as error:
        whole_rows(b"1\n2\\", SLASHES, final=True)
    assert error.value.position == 2


@pytest.mark.parametrize(
    ("data", "final", "rows", "used"),
    [
        (b"1\n#x\n2\n3", False, b"1\n2\n", 7),
        (b"#x\r\n1\r\n#", False, b"1\r\n", 7),
        (b"#x\r\n1\r\n#", True, b"1\r\n", 8),
        (b'# don"t\n1\n', False, b"1\n", 10),
        (b'1,"a\n#b"\n#c\n', False, b'1,"a\n#b"\n', 12),
        (b'1,"a\n#b', False, b"", 0),
        (b"1,#\n", False, b"1,#\n", 4),
        (b" #\n", False, b" #\n", 3),
        (b"#a\r", False, b"", 0),
        (b"#a\n2", True, b"2", 4),
    ],
)
def test_comments(data, final, rows, used):
    assert take_rows(data, NOTES, final=final) == (rows, used)


def test_quotes_that_do_not_match_up_after_a_comment():
    with pytest.raises(QuoteError) as error:
        take_rows(b'#x\n1\n"a"b\n', NOTES, final=False)
    assert error.value.position == 5


def test_nothing_is_quoted_without_a_quote():
    plain = Dialect(b",", quote=b"")
    assert whole_rows(b'1,"a\n2', plain, final=False) == 5
    assert split(b'1,"a"', plain) == [b"1", b'"a"']


@pytest.mark.parametrize(
    ("row", "dialect", "fields"),
    [
        (b"", COMMA, [b""]),
        (b"a,", COMMA, [b"a", b""]),
        (b'"a,""b""",c"",d', COMMA, [b'a,"b"', b'c""', b"d"]),
        (rb'"a\"\\",b\,c', SLASHES, [b'a"\\', b"b,c"]),
        (b"'a''b';c", Dialect(b";", quote=b"'"), [b"a'b", b"c"]),
    ],
)
def test_fields_of_a_row(row, dialect, fields):
    assert split(row, dialect) == fields


def test_the_first_rows():
    data = b'\n#x\na,b\n\n"1\n",2\n#y\n3,4'
    assert first_rows(data, NOTES, 9, final=False) == ([b"a,b", b'"1\n",2'], True)
    assert first_rows(data, NOTES, 9, final=True) == ([b"a,b", b'"1\n",2', b"3,4"], True)
    assert first_rows(data, NOTES, 1, final=True) == ([b"a,b"], True)
    assert first_rows(b'1\n"a"b\n', NOTES, 9, final=True) == ([b"1"], False)
    assert first_rows(b"1\n2\\", SLASHES, 9, final=True) == ([b"1"], False)


@settings(max_examples=400)
@given(st.text(alphabet='a,"\\#\n\r', max_size=24).map(str.encode), st.integers(0, 24))
def test_where_a_piece_ends_does_not_matter(data, cut):
    dialect = Dialect(b",", escape=b"\\", comment=b"#")
    try:
        whole, _ = take_rows(data, dialect, final=True)
        first, used = take_rows(data[:cut], dialect, final=False)
        second, _ = take_rows(data[used:], dialect, final=True)
    except QuoteError:
        return
    assert first + second == whole
