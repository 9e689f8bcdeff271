"""Cuts the text of a large JSON array into small arrays, so that no step holds all of its values.

A typed decoder builds Python objects for everything it is given and keeps the interpreter lock
while it does. Fed with a quarter of a megabyte at a time its objects stay in the processor's cache
(which doubles its speed), memory stays flat, and other threads get their turn every millisecond.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BETWEEN_RECORDS", "BETWEEN_ROWS", "BETWEEN_VALUES", "Slice", "slices"]

SLICE_BYTES = 1 << 18

# JSON's white space is exactly these four characters.
_SPACE = rb"[ \t\r\n]*"

#: Where two elements of an array meet, by what the elements are; the comma is group 1.
BETWEEN_VALUES = re.compile(rb"(,)")
BETWEEN_ROWS = re.compile(rb"\]" + _SPACE + rb"(,)" + _SPACE + rb"\[")
BETWEEN_RECORDS = re.compile(rb"\}" + _SPACE + rb"(,)" + _SPACE + rb"\{")

_OPENING = re.compile(_SPACE + rb"\[")


@dataclass(frozen=True, slots=True)
class Slice:
    """Some elements of the array, as a JSON array of their own.

    Attributes:
        text: ``[`` elements ``]``.
        offset: What to add to a position in ``text`` to get the position in the whole text.
        alone: Whether this is the whole array. Only then may it be empty: with several slices an
            empty one means that a comma had nothing before or after it.
    """

    text: bytes
    offset: int
    alone: bool


def slices(
    text: bytes, between: re.Pattern[bytes], start: int, end: int, size: int = SLICE_BYTES
) -> Iterator[Slice]:
    """Yields ``text[start:end]``, a JSON array, as arrays of about ``size`` bytes.

    A cut is a place that looks like a border between elements and lies outside of strings, which an
    even number of quotes since the last cut proves. Every slice must then be decoded by a strict
    decoder: if all of them are valid (and none but a lone one empty), so is the whole, because a
    parser that has read the text up to such a cut is in the same state as one that starts there.
    Text that is no array at all comes back unchanged, for the decoder to refuse.

    Args:
        text: The whole document.
        between: One of the ``BETWEEN_…`` patterns.
        start: Where the array begins.
        end: Where it ends.
        size: How many bytes a slice has at least; the last one has what remains.
    """
    opening = _OPENING.match(text, start, end)
    stop = text.rfind(b"]", start, end)
    if opening is None or stop < opening.end() or text[stop + 1 : end].strip(b" \t\r\n"):
        yield Slice(text[start:end], start, alone=True)
        return
    begin = first = opening.end()
    while True:
        comma = _border(text, between, begin, stop, size)
        if comma < 0:
            break
        yield Slice(b"[" + text[begin:comma] + b"]", begin - 1, alone=False)
        begin = comma + 1
    yield Slice(b"[" + text[begin:stop] + b"]", begin - 1, alone=begin == first)


def _border(text: bytes, between: re.Pattern[bytes], begin: int, stop: int, size: int) -> int:
    """Returns the position of the first comma between elements after ``size`` bytes, or -1."""
    quotes = 0
    counted = begin
    search = begin + size
    while search < stop:
        found = between.search(text, search, stop)
        if found is None:
            return -1
        border = found.start()
        quotes += _quotes(text, counted, border)
        if quotes % 2 == 0:
            return found.start(1)
        counted = border
        search = found.end(1)
    return -1


def _quotes(text: bytes, start: int, stop: int) -> int:
    """Counts the quotes that open or close a string in ``text[start:stop]``."""
    if text.find(b"\\", start, stop) < 0:
        return text.count(b'"', start, stop)
    # From left to right a backslash escapes what follows it: pairs of backslashes first.
    plain = text[start:stop].replace(b"\\\\", b"").replace(b'\\"', b"")
    return plain.count(b'"')
