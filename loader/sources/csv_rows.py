"""Where the rows in a piece of CSV end: pure functions from bytes to positions.

The rules of RFC 4180, with one addition that many files need: a quote inside a field that does not
begin with one is a character like any other (``5" pipe``). Text between a closing quote and the
next delimiter is refused: it is what a lost quote looks like, and readers that let it pass join
rows.
"""

from __future__ import annotations

import functools
import re
from typing import Final

import numpy as np

__all__ = ["QuoteError", "first_row", "whole_rows"]

_QUOTE: Final = ord('"')
_LF: Final = ord("\n")
_CR: Final = ord("\r")


class QuoteError(Exception):
    """Quotes that do not match up; ``row`` counts from the beginning of the piece, from 0."""

    def __init__(self, row: int, reason: str) -> None:
        super().__init__(reason)
        self.row = row
        self.reason = reason


def whole_rows(data: bytes, delimiter: bytes, *, final: bool) -> int:
    """Returns the length of the complete rows at the beginning of ``data``.

    Args:
        data: Begins at the beginning of a row.
        delimiter: One byte.
        final: Nothing comes after ``data``: its last row needs no line end.

    Raises:
        QuoteError: A field goes on after its closing quote, or, in the final piece, a quote is
            never closed.
    """
    if b'"' not in data:
        return len(data) if final else _after_last_line_end(data, len(data))
    view = np.frombuffer(data, np.uint8)
    quotes = np.flatnonzero(view == _QUOTE)
    if not _well_placed(view, quotes, delimiter):
        return _by_row(data, delimiter, final=final)
    if final:
        return len(data) if len(quotes) % 2 == 0 else _by_row(data, delimiter, final=True)
    end = _after_last_line_end(data, len(data))
    while end and (inside := int(np.searchsorted(quotes, end))) % 2:
        end = _after_last_line_end(data, int(quotes[inside - 1]))  # before the quote was opened
    return end


def first_row(data: bytes, delimiter: bytes) -> int | None:
    """Returns the length of the first row with its line end, or None if it is not complete."""
    found = _row(delimiter).match(data)
    return found.end() if found else None


def _after_last_line_end(data: bytes, stop: int) -> int:
    if stop == len(data) and data.endswith(b"\r"):
        stop -= 1  # perhaps half of a "\r\n"
    return max(data.rfind(b"\n", 0, stop), data.rfind(b"\r", 0, stop)) + 1


def _well_placed(
    view: np.ndarray[tuple[int], np.dtype[np.uint8]],
    quotes: np.ndarray[tuple[int], np.dtype[np.intp]],
    delimiter: bytes,
) -> bool:
    """Whether quotes, taken in turn as opening and closing ones, stand where such quotes stand.

    A doubled quote inside a field is then a closing one next to an opening one.
    """
    borders = np.zeros(256, np.bool_)
    borders[[_QUOTE, _LF, _CR, ord(delimiter)]] = True
    opening = quotes[0::2]
    closing = quotes[1::2]
    before = view[opening[opening > 0] - 1]
    after = view[closing[closing < len(view) - 1] + 1]
    return bool(borders[before].all() and borders[after].all())


def _by_row(data: bytes, delimiter: bytes, *, final: bool) -> int:
    """Does the same as ``whole_rows`` row by row: slower, but exact for every placing of quotes."""
    row = _row(delimiter)
    position = count = 0
    while found := row.match(data, position):
        position = found.end()
        count += len(found[0].strip(b"\r\n")) > 0  # blank lines are not counted as rows
    rest = data[position:]
    if _goes_on(delimiter).match(rest):
        raise QuoteError(count, "a field goes on after its closing quote")
    if not final:
        return position
    if rest and not _last_row(delimiter).fullmatch(rest):
        raise QuoteError(count, "a quote is opened and never closed")
    return len(data)


def _fields(delimiter: bytes) -> tuple[bytes, bytes]:
    """Returns patterns of a quoted field and of any field."""
    quoted = rb'"(?:[^"]|"")*+"'
    return quoted, rb'(?:%b|(?!")[^%b\r\n]*+)' % (quoted, re.escape(delimiter))


@functools.cache
def _row(delimiter: bytes) -> re.Pattern[bytes]:
    _, field = _fields(delimiter)
    # A "\r" at the end of the data may be half of a "\r\n".
    return re.compile(
        rb"%b(?:%b%b)*+(?:\n|\r\n|\r(?=[^\n]))" % (field, re.escape(delimiter), field)
    )


@functools.cache
def _last_row(delimiter: bytes) -> re.Pattern[bytes]:
    _, field = _fields(delimiter)
    return re.compile(rb"%b(?:%b%b)*+\r?" % (field, re.escape(delimiter), field))


@functools.cache
def _goes_on(delimiter: bytes) -> re.Pattern[bytes]:
    quoted, field = _fields(delimiter)
    separator = re.escape(delimiter)
    return re.compile(rb'(?:%b%b)*+%b[^%b\r\n"]' % (field, separator, quoted, separator))
