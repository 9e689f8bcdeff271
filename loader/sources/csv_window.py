"""The part of a CSV file that is looked at: read on its one side, used up on the other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pyarrow as pa

from loader.sources.csv_dialect import Dialect
from loader.sources.csv_encoding import Utf8Reader
from loader.sources.csv_rows import first_row, skip_blank
from loader.sources.files import file_errors, open_stream

__all__ = ["HEAD", "Window", "inner_name", "open_text"]

HEAD: Final = 1 << 16
"""Bytes in which a header, or the first row, nearly always ends."""

_COMPRESSION: Final = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
_LINE: Final = re.compile(rb"[^\r\n]*+(?:\n|\r\n|\r(?=[^\n]))")


class Window:
    """The part of a text that was read and not yet used.

    Attributes:
        data: That part.
        final: Whether it reaches to the end of the text.
    """

    def __init__(self, reader: Utf8Reader) -> None:
        self._reader = reader
        self.data = b""
        self.final = False

    def fill(self, size: int) -> None:
        """Reads until there are so many bytes, or all."""
        while len(self.data) < size and not self.final:
            more = self._reader.read(size - len(self.data))
            self.data = self.data + more if self.data else more
            self.final = not more

    def skip_lines(self, count: int) -> None:
        """Drops so many lines, whatever is in them."""
        position = 0
        while count:
            if found := _LINE.match(self.data, position):
                position = found.end()
                count -= 1
                continue
            self.data = self.data[position:]
            position = 0
            if self.final:
                self.data = b""
                return
            self.fill(len(self.data) + HEAD)
        self.data = self.data[position:]

    def skip_row(self, dialect: Dialect) -> None:
        """Drops the first row, and the blank lines and comments before it."""
        while True:
            self.fill(HEAD)
            self.data = self.data[skip_blank(self.data, dialect) :]
            if (end := self.end_of_row(dialect)) or self.final:
                self.data = self.data[end:]
                return
            self.fill(2 * len(self.data))

    def end_of_row(self, dialect: Dialect) -> int:
        """Returns the end of the first row; 0 if it is not complete."""
        if self.final and not self.data:
            return 0
        end = first_row(self.data, dialect)
        if end is None and self.final:
            return len(self.data)
        return end or 0


@contextmanager
def open_text(path: str) -> Iterator[pa.NativeFile]:
    """Opens the file for reading its decompressed bytes."""
    compression = next(
        (name for end, name in _COMPRESSION.items() if path.lower().endswith(end)), None
    )
    with file_errors(path):
        file = open_stream(path)
    with file:
        if compression is None:
            yield file
            return
        with file_errors(path):
            unpacked = pa.CompressedInputStream(file, compression)
        with unpacked:
            yield unpacked


def inner_name(path: str) -> str:
    """Returns the name of a file in lower case, without what it says of its compression."""
    name = path.lower()
    for end in _COMPRESSION:
        name = name.removesuffix(end)
    return name
