"""Dictionary pages of Parquet files: how long the texts are that a row group has only once.

The footer does not tell: a page of a megabyte may be thousands of words, or one text that is shown
in every row.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["largest", "longest"]

# The header has no more than this, as long as it has no statistics.
_HEADER: Final = 128

# What pyarrow calls LZ4 in a footer is the format without frames. The older one of Hadoop cannot be
# told from it, and is not understood.
_CODECS: Final = {"LZ4": "lz4_raw"}

_LENGTH: Final = struct.Struct("<I")

# Bytes in each of which an entry begins: half a bound of their lengths, far below 64 KiB.
_WINDOWS: Final = (64, 256, 1024, 4096)
# So much is looked at in one go: fresh memory for a whole page would take longer than the look.
_SLICE: Final = 1 << 15

# Types of Thrift's compact protocol: a boolean is its own value.
_TRUE, _FALSE, _INTEGER, _STRUCT = 1, 2, 5, 12


def largest(chunk: pq.ColumnChunkMetaData) -> int:
    """Returns about the most that a dictionary page may have, in bytes.

    What follows may be incompressible; only by what it has grown for that, this is too small.
    """
    stored = chunk.data_page_offset - chunk.dictionary_page_offset
    others = chunk.total_compressed_size - max(stored, 0)
    return int(max(chunk.total_uncompressed_size - max(others, 0), stored, 0))


def longest(
    chunk: pq.ColumnChunkMetaData, harmless: int, read_at: Callable[[int, int], bytes]
) -> int:
    """Returns the bytes of the longest entry of a dictionary page of texts or binary values.

    Or several times as many where it is short, and ``largest`` where the page is not understood:
    whatever is the matter with it is told by whoever reads it.

    Args:
        chunk: The column chunk.
        harmless: The bytes of a page that need not be looked at.
        read_at: Reads so many bytes of the file at a place in it.
    """
    most = largest(chunk)
    if most <= harmless:
        return most
    stored = chunk.data_page_offset - chunk.dictionary_page_offset
    data = read_at(chunk.dictionary_page_offset, max(stored, _HEADER))
    header = _Header.of(data)
    if header is None or header.uncompressed > chunk.total_uncompressed_size:
        return most
    page = data[header.length : header.length + header.compressed]
    if chunk.compression != "UNCOMPRESSED":
        codec = _CODECS.get(chunk.compression, chunk.compression.lower())
        try:
            page = pa.decompress(page, header.uncompressed, codec=codec, asbytes=True)
        except (OSError, ValueError):
            return most
    found = _glance(page, header.entries)
    return (_longest(page, header.entries) or most) if found is None else found


def _glance(page: bytes, entries: int) -> int | None:
    """Returns what no entry is longer than, some times too much; None if it cannot be told so.

    It takes a tenth of the time of a walk over the entries. Each begins with its length, in four
    bytes of which the last two are zero below 64 KiB; all four in that of an empty one. Where there
    are as many such places as entries, there are none inside of texts, and a long text is a long
    way from one to the next. (Beyond 64 KiB an entry may lack its own; but it would need several
    inside to be taken for short ones.)
    """
    data = np.frombuffer(page, np.uint8)
    windows = iter(_WINDOWS)
    window = next(windows)
    places, goes_on = 0, False
    for start in range(0, len(data), _SLICE):
        zero = data[start : start + _SLICE + 5] == 0
        pairs = zero[1:] & zero[:-1]
        # With six zeros in a row there may be two lengths at one place.
        if (pairs[4:] & pairs[2:-2] & pairs[:-4]).any():
            return None
        pairs = pairs[:_SLICE]
        if not len(pairs):  # the very last byte
            break
        places += int(np.count_nonzero(pairs) - np.count_nonzero(pairs[1:] & pairs[:-1]))
        places -= goes_on and bool(pairs[0])
        goes_on = bool(pairs[-1])
        while not pairs[: len(pairs) // window * window].reshape(-1, window).any(axis=1).all():
            window = next(windows, 0)
            if not window:
                return None
    return 2 * window if places == entries else None


def _longest(page: bytes, entries: int) -> int | None:
    """Returns the bytes of the longest entry; None if the page is damaged."""
    at = most = 0
    try:
        for _ in range(entries):
            (size,) = _LENGTH.unpack_from(page, at)
            at += _LENGTH.size + size
            most = max(most, size)
    except struct.error:
        return None
    return most if at <= len(page) else None


@dataclass(frozen=True, slots=True)
class _Header:
    """The header of a dictionary page.

    Attributes:
        length: Its own bytes.
        uncompressed: The bytes of the page.
        compressed: Its bytes in the file.
        entries: How many entries it has.
    """

    length: int
    uncompressed: int
    compressed: int
    entries: int

    @classmethod
    def of(cls, data: bytes) -> _Header | None:
        """Reads it, as far as it is what it should be.

        It is a struct in Thrift's compact protocol (``PageHeader`` in parquet.thrift), of which
        field 2 and 3 are the sizes, and field 7 a struct that begins with the number of entries;
        others in both are integers or booleans.
        """
        head = data[:_HEADER]
        rest = iter(head)
        try:
            fields = dict(_fields(rest))
            found = cls(len(head) - len(bytes(rest)), fields[2], fields[3], fields[7])
        except (RuntimeError, KeyError, ValueError):  # the first where it ends too soon
            return None
        return found if min(found.uncompressed, found.compressed, found.entries) >= 0 else None


def _fields(data: Iterator[int]) -> Iterator[tuple[int, int]]:
    """Yields the fields of a struct, up to its end; of a struct in it, the first one."""
    field = 0
    while mark := next(data):
        field += mark >> 4
        kind = mark & 15
        if not mark >> 4:
            raise ValueError("a field far from the one before")
        if kind == _INTEGER:
            yield field, _integer(data)
        elif kind == _STRUCT:
            inner = dict(_fields(data))
            yield field, inner.get(1, 0)
        elif kind not in {_TRUE, _FALSE}:
            raise ValueError("another type")


def _integer(data: Iterator[int]) -> int:
    """Takes an integer: seven bits a byte, the lowest first, and the sign in the very lowest."""
    value = shift = 0
    while True:
        byte = next(data)
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value >> 1 ^ -(value & 1)
