"""Where the rows in a piece of CSV end: pure functions from bytes to positions.

The rules of RFC 4180, with one addition that many files need: a quote inside a field that does not
begin with one is a character like any other (``5" pipe``). Text between a closing quote and the
next delimiter is refused: it is what a lost quote looks like, and readers that let it pass join
rows. A dialect may know an escape, which takes the next character's meaning away, and comments,
which are lines of their own between rows.
"""

from __future__ import annotations

import functools
import re
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from loader.sources.csv_dialect import Dialect

__all__ = [
    "QuoteError",
    "first_row",
    "first_rows",
    "skip_blank",
    "split",
    "take_rows",
    "whole_rows",
]

_SLICE: Final = 1 << 16
_LF: Final = ord("\n")
_CR: Final = ord("\r")
# A "\r" at the end of the data may be half of a "\r\n".
_LINE_END: Final = rb"(?:\n|\r\n|\r(?=[^\n]))"
# In the place of what is escaped: no character of a dialect, and no line end.
_ESCAPED: Final = 0


class QuoteError(Exception):
    """Quotes that do not match up; the row that has them begins at ``position``."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(reason)
        self.position = position
        self.reason = reason


def take_rows(data: bytes, dialect: Dialect, *, final: bool) -> tuple[bytes, int]:
    """Returns the complete rows at the beginning of ``data``, without comments.

    Args:
        data: Begins at the beginning of a line.
        dialect: The characters that mean something.
        final: Nothing comes after ``data``: its last row needs no line end.

    Returns:
        The rows, and how much of ``data`` they and the comments between them are.

    Raises:
        QuoteError: A field goes on after its closing quote, or, in the final piece, a quote is
            never closed or nothing comes after an escape.
    """
    plain = _unescaped(data, dialect, final=final)
    if not dialect.comment or not _any_comment(dialect).search(plain):
        end = _whole_rows(plain, dialect, final=final)
        return (data if end == len(data) else data[:end]), end
    rows, comment = _rows(dialect), _comment(dialect)
    kept = []
    position = 0
    while True:
        if found := comment.match(plain, position):
            position = found.end()
        elif found := rows.match(plain, position):
            kept.append(data[position : found.end()])
            position = found.end()
        else:
            break
    rest = plain[position:]
    if not rest.startswith(dialect.comment):
        try:
            end = _by_row(rest, dialect, final=final)
        except QuoteError as error:
            raise QuoteError(position + error.position, error.reason) from None
        kept.append(data[position : position + end])
        position += end
    elif final:
        position = len(data)
    return b"".join(kept), position


def whole_rows(data: bytes, dialect: Dialect, *, final: bool) -> int:
    """Returns the length of the complete rows at the beginning of ``data``, without comments in it.

    Raises:
        QuoteError: See ``take_rows``.
    """
    return _whole_rows(_unescaped(data, dialect, final=final), dialect, final=final)


def first_row(data: bytes, dialect: Dialect) -> int | None:
    """Returns the length of the first row with its line end, or None if it is not complete."""
    found = _row(dialect).match(_unescaped(data, dialect, final=False))
    return found.end() if found else None


def first_rows(
    data: bytes, dialect: Dialect, most: int, *, final: bool
) -> tuple[list[bytes], bool]:
    """Returns the first complete rows that are not blank, without their line ends.

    Beside them: whether their quotes match up as far as was looked.
    """
    try:
        plain = _unescaped(data, dialect, final=final)
    except QuoteError as error:
        return first_rows(data[: error.position], dialect, most, final=False)[0], False
    row = _row(dialect)
    rows: list[bytes] = []
    position = skip_blank(plain, dialect)
    while len(rows) < most and (found := row.match(plain, position)):
        rows.append(data[position : found.end()].rstrip(b"\r\n"))
        position = skip_blank(plain, dialect, found.end())
    rest = plain[position:]
    if len(rows) < most and rest and not (dialect.comment and rest.startswith(dialect.comment)):
        try:
            end = _by_row(rest, dialect, final=final)
        except QuoteError:
            return rows, False
        if end:
            rows.append(data[position : position + end].rstrip(b"\r\n"))
    return rows, True


def skip_blank(data: bytes, dialect: Dialect, position: int = 0) -> int:
    """Returns the end of the blank lines and complete comments that begin at ``position``."""
    found = _blank(dialect).match(data, position)
    return found.end() if found else position


def split(row: bytes, dialect: Dialect) -> list[bytes]:
    """Returns the fields of one well-formed row without its line end."""
    plain = _unescaped(row, dialect, final=False)
    field = _field(dialect)
    fields = []
    position = 0
    while found := field.match(plain, position):
        text = row[position : found.end()]
        if dialect.quote and text.startswith(dialect.quote):
            text = _bare(dialect).sub(rb"\1", text[1:-1])
        elif dialect.escape:
            text = _bare(replace(dialect, quote=b"")).sub(rb"\1", text)
        fields.append(text)
        position = found.end() + 1
        if found.end() == len(row):
            break
    return fields


def _unescaped(data: bytes, dialect: Dialect, *, final: bool) -> bytes:
    """Returns data of the same length in which everything that is escaped means nothing."""
    if not dialect.escape or dialect.escape not in data:
        return data
    view = np.frombuffer(data, np.uint8)
    escapes = np.flatnonzero(view == ord(dialect.escape))
    # Of escapes next to each other every second one is itself escaped.
    alone = np.ones(len(escapes), np.bool_)
    alone[1:] = np.diff(escapes) != 1
    runs = np.maximum.accumulate(np.where(alone, escapes, 0))
    escaping = escapes[(escapes - runs) % 2 == 0]
    if final and escaping[-1] == len(data) - 1:
        raise QuoteError(
            take_rows(data[:-1], dialect, final=False)[1],
            "the file ends after an escape character",
        )
    plain = view.copy()
    plain[escaping] = _ESCAPED
    plain[escaping[escaping < len(data) - 1] + 1] = _ESCAPED
    return plain.tobytes()


def _whole_rows(data: bytes, dialect: Dialect, *, final: bool) -> int:
    if not dialect.quote or dialect.quote not in data:
        return len(data) if final else _after_last_line_end(data, len(data))
    view = np.frombuffer(data, np.uint8)
    quotes = _positions(view, ord(dialect.quote))
    if not _well_placed(view, quotes, dialect):
        return _by_row(data, dialect, final=final)
    if final:
        return len(data) if len(quotes) % 2 == 0 else _by_row(data, dialect, final=True)
    end = _after_last_line_end(data, len(data))
    while end and (inside := int(np.searchsorted(quotes, end))) % 2:
        end = _after_last_line_end(data, int(quotes[inside - 1]))  # before the quote was opened
    return end


def _positions(view: npt.NDArray[np.uint8], byte: int) -> npt.NDArray[np.intp]:
    # Slice by slice what is compared stays in the processor's cache.
    return np.concatenate(
        [
            np.flatnonzero(view[start : start + _SLICE] == byte) + start
            for start in range(0, len(view), _SLICE)
        ]
    )


def _after_last_line_end(data: bytes, stop: int) -> int:
    if stop == len(data) and data.endswith(b"\r"):
        stop -= 1  # perhaps half of a "\r\n"
    return max(data.rfind(b"\n", 0, stop), data.rfind(b"\r", 0, stop)) + 1


def _well_placed(
    view: npt.NDArray[np.uint8], quotes: npt.NDArray[np.intp], dialect: Dialect
) -> bool:
    """Whether quotes, taken in turn as opening and closing ones, stand where such quotes stand.

    A doubled quote inside a field is then a closing one next to an opening one.
    """
    borders = np.zeros(256, np.bool_)
    borders[[ord(dialect.quote), _LF, _CR, ord(dialect.delimiter)]] = True
    opening = quotes[0::2]
    closing = quotes[1::2]
    before = view[opening[opening > 0] - 1]
    after = view[closing[closing < len(view) - 1] + 1]
    return bool(borders[before].all() and borders[after].all())


def _by_row(data: bytes, dialect: Dialect, *, final: bool) -> int:
    """Does the same as ``_whole_rows`` row by row: slower, but exact wherever quotes stand."""
    row = _row(dialect)
    position = 0
    while found := row.match(data, position):
        position = found.end()
    rest = data[position:]
    if dialect.quote and _goes_on(dialect).match(rest):
        raise QuoteError(position, "a field goes on after its closing quote")
    if not final:
        return position
    if rest and not _last_row(dialect).fullmatch(rest):
        raise QuoteError(position, "a quote is opened and never closed")
    return len(data)


def _fields(dialect: Dialect) -> tuple[bytes, bytes]:
    """Returns patterns of a quoted field and of any field."""
    other = rb"[^%b\r\n]*+" % re.escape(dialect.delimiter)
    if not dialect.quote:
        return b"(?!)", other
    quote = re.escape(dialect.quote)
    quoted = rb"%b(?:[^%b]|%b%b)*+%b" % ((quote,) * 5)
    return quoted, rb"(?:%b|(?!%b)%b)" % (quoted, quote, other)


def _fields_of_row(dialect: Dialect) -> bytes:
    _, field = _fields(dialect)
    return rb"%b(?:%b%b)*+" % (field, re.escape(dialect.delimiter), field)


@functools.cache
def _field(dialect: Dialect) -> re.Pattern[bytes]:
    return re.compile(_fields(dialect)[1])


@functools.cache
def _bare(dialect: Dialect) -> re.Pattern[bytes]:
    """Returns a pattern of two characters that stand for the second one."""
    quote, escape = re.escape(dialect.quote), re.escape(dialect.escape)
    firsts = ([rb"%b(?=%b)" % (quote, quote)] if quote else []) + ([escape] if escape else [])
    return re.compile(rb"(?:%b)(.)" % b"|".join(firsts), re.DOTALL)


@functools.cache
def _row(dialect: Dialect) -> re.Pattern[bytes]:
    return re.compile(_fields_of_row(dialect) + _LINE_END)


@functools.cache
def _rows(dialect: Dialect) -> re.Pattern[bytes]:
    """Returns a pattern of rows up to the next comment."""
    row = _fields_of_row(dialect) + _LINE_END
    return re.compile(rb"(?:(?!%b)%b)++" % (re.escape(dialect.comment), row))


@functools.cache
def _last_row(dialect: Dialect) -> re.Pattern[bytes]:
    return re.compile(_fields_of_row(dialect) + rb"\r?")


@functools.cache
def _goes_on(dialect: Dialect) -> re.Pattern[bytes]:
    quoted, field = _fields(dialect)
    separator, quote = re.escape(dialect.delimiter), re.escape(dialect.quote)
    return re.compile(rb"(?:%b%b)*+%b[^%b\r\n%b]" % (field, separator, quoted, separator, quote))


@functools.cache
def _any_comment(dialect: Dialect) -> re.Pattern[bytes]:
    """Returns a pattern that may also find the beginning of a line inside quotes."""
    return re.compile(rb"(?:\A|[\r\n])%b" % re.escape(dialect.comment))


@functools.cache
def _comment(dialect: Dialect) -> re.Pattern[bytes]:
    return re.compile(rb"%b[^\r\n]*+%b" % (re.escape(dialect.comment), _LINE_END))


@functools.cache
def _blank(dialect: Dialect) -> re.Pattern[bytes]:
    if not dialect.comment:
        return re.compile(rb"[\r\n]*+")
    return re.compile(rb"(?:[\r\n]|%b[^\r\n]*+[\r\n])*+" % re.escape(dialect.comment))
