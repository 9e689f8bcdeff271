from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.sources import csv_rows
from loader.sources.csv_rows import QuoteError, first_row, whole_rows


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
    assert data[: whole_rows(data, b",", final=False)] == complete


@pytest.mark.parametrize(
    "data", [b"", b"1", b"1\n", b"1\r", b'"a\nb"', b'5" pipe', b'""\n', b'x"\r']
)
def test_the_last_piece_is_complete(data):
    assert whole_rows(data, b",", final=True) == len(data)


@pytest.mark.parametrize(
    ("data", "final", "row"),
    [
        (b'1\n"a"b\n', False, 1),
        (b'1\n\n"a"b\n', False, 1),
        (b'1\n2,"a" ,3\n', False, 1),
        (b'1,"x\n2,"y"\n', False, 0),
        (b'1\n2\n"', True, 2),
        (b'1\n2\n"a\n', True, 2),
        (b'5" pipe\n"a', True, 1),
    ],
)
def test_quotes_that_do_not_match_up(data, final, row):
    with pytest.raises(QuoteError) as error:
        whole_rows(data, b",", final=final)
    assert error.value.row == row


def test_the_first_row():
    assert first_row(b'"a\n",b\r\nc', b",") == len(b'"a\n",b\r\n')
    assert first_row(b"a,b\r", b",") is None
    assert first_row(b'"a\nb', b",") is None
    assert first_row(b"a\tb\n", b"\t") == 4


def outcome(function, data: bytes, *, final: bool) -> object:
    try:
        return function(data, b",", final=final)
    except QuoteError as error:
        return error.row, error.reason


@settings(max_examples=400)
@given(st.text(alphabet='a,"\n\r', max_size=24).map(str.encode), st.booleans())
def test_the_fast_way_and_the_exact_way_agree(data, final):
    assert outcome(whole_rows, data, final=final) == outcome(csv_rows._by_row, data, final=final)
