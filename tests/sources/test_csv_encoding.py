from __future__ import annotations

import codecs
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.errors import SourceUnreadable
from loader.sources.csv_encoding import Marked, Utf8Reader, is_utf8

TEXT = "a,ö\n1,€😀\n"


def read(data: bytes, encoding: str | None = None, size: int = 3) -> bytes:
    reader = Utf8Reader(io.BytesIO(data), "t.csv", encoding)
    text = b""
    while more := reader.read(size):
        text += more
    return text


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_a_byte_order_mark_tells_the_encoding(mark, encoding):
    data = mark + TEXT.encode(encoding)
    assert read(data).decode() == TEXT
    assert read(data, encoding).decode() == TEXT
    assert read(data, encoding.removesuffix("-le").removesuffix("-be")).decode() == TEXT
    assert read(mark) == b""
    reader = Utf8Reader(io.BytesIO(data), "t.csv", None)
    assert (reader.encoding, reader.marked) == (encoding, True)


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", TEXT),
        ("utf-16-le", TEXT),
        ("utf-16-be", TEXT),
        ("latin-1", "a,ö\n"),
        ("cp1252", "a,€\n"),
        ("shift_jis", "a,日本\n"),
    ],
)
def test_named_encodings(encoding, text):
    assert read(text.encode(encoding), encoding).decode() == text


def test_utf16_without_an_order_is_little_endian():
    assert read(TEXT.encode("utf-16-le"), "utf-16").decode() == TEXT


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8", "utf-16-be"])
def test_a_mark_that_says_something_else(encoding):
    with pytest.raises(SourceUnreadable, match="UTF-16-LE") as error:
        read(codecs.BOM_UTF16_LE + b"a\0", encoding)
    assert error.value.details["file"] == "t.csv"


@pytest.mark.parametrize(
    ("data", "encoding", "expected"),
    [
        (b"a\x81b", "cp1252", b"a\xffb"),
        (b"a\0\0\xd8b\0", "utf-16-le", b"a\xffb"),
        (b"a\0b", "utf-16-le", b"a\xff"),
        (b"a\xe9", "ascii", b"a\xff"),
        (b"a\xff\xe9", "utf-8", b"a\xff\xe9"),
    ],
)
def test_what_does_not_decode_can_be_told(data, encoding, expected):
    assert read(data, encoding) == expected
    assert not is_utf8(expected)


def test_what_is_utf8():
    assert is_utf8(b"")
    assert is_utf8(TEXT.encode())
    assert not is_utf8(TEXT.encode() + b"\xe9")


@given(st.binary(max_size=30))
def test_broken_utf8_is_marked_byte_by_byte(data):
    marked = Marked(data)
    assert is_utf8(marked.data)
    assert marked.shown(marked.data.decode(), None) == data.decode(errors="backslashreplace")
    assert bool(re.search(marked.pattern, marked.data.decode())) == (not is_utf8(data))


def test_a_mark_is_a_character_that_the_text_has_not():
    taken = re.findall("[^][-]", Marked(b"\xff").pattern)
    text = "".join(taken).encode() + b"\xe9"
    assert Marked(text).shown(Marked(text).data.decode(), "?") == "".join(taken) + "?"
