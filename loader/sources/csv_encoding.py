"""Bytes of a CSV file as UTF-8, whatever its encoding; what does not decode stays recognisable."""

from __future__ import annotations

import codecs
import functools
import itertools
import re
from typing import Final, Protocol

import numpy as np
import pyarrow as pa

from loader.errors import SourceUnreadable
from loader.sources.files import file_errors

__all__ = ["Marked", "Utf8Reader", "is_utf8"]

_DAMAGED_HINT: Final = "Check that the file is complete and not damaged."

# The longer ones first: UTF-32 begins as UTF-16 does.
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# What the byte order mark may say where the option leaves the order open. Without a mark they are
# little-endian: so are the files of Windows, and others have a mark.
_OPEN: Final = {
    "utf-8-sig": ("utf-8",),
    "utf-16": ("utf-16-le", "utf-16-be"),
    "utf-32": ("utf-32-le", "utf-32-be"),
}
_LONGEST_MARK: Final = 4
_AHEAD: Final = 1 << 16
_INVALID: Final = "loader.invalid"


def _invalid(error: UnicodeError) -> tuple[str | bytes, int]:
    # 0xff is no part of UTF-8, so the parser meets it as it meets broken UTF-8.
    if isinstance(error, UnicodeDecodeError):
        return "\udcff", error.end
    assert isinstance(error, UnicodeEncodeError)
    return b"\xff", error.end


codecs.register_error(_INVALID, _invalid)


class _Bytes(Protocol):
    def read(self, size: int) -> bytes: ...


class Utf8Reader:
    """Reads a file as UTF-8 without byte order mark.

    What is not valid in the file's encoding becomes the byte 0xff; a UTF-8 file is handed through
    unchecked.

    Attributes:
        encoding: The name of the file's encoding, in lower case.
        marked: Whether the file has a byte order mark.
    """

    def __init__(self, raw: _Bytes, path: str, encoding: str | None) -> None:
        self._raw = raw
        self._path = path
        self._ahead = b""
        while len(self._ahead) < _LONGEST_MARK and (more := self._read(_AHEAD)):
            self._ahead += more
        mark, said = next(
            (known for known in _MARKS if self._ahead.startswith(known[0])), (b"", "")
        )
        self.marked = bool(mark)
        self.encoding = self._agreed(encoding, said)
        self._ahead = self._ahead[len(mark) :]
        self._decoder = None
        if self.encoding != "utf-8":
            self._decoder = codecs.getincrementaldecoder(self.encoding)(_INVALID)

    def read(self, size: int) -> bytes:
        """Returns the text of about the next ``size`` bytes of the file; nothing at its end."""
        while True:
            more, self._ahead = self._ahead or self._read(size), b""
            if self._decoder is None:
                return more
            text = self._decoder.decode(more, final=not more)
            if text or not more:
                return text.encode("utf-8", _INVALID)

    def _read(self, size: int) -> bytes:
        with file_errors(self._path, hint=_DAMAGED_HINT):
            return self._raw.read(size)

    def _agreed(self, encoding: str | None, said: str) -> str:
        """Returns the encoding that the option and the byte order mark agree on."""
        if encoding is None:
            return said or "utf-8"
        name = codecs.lookup(encoding).name
        possible = _OPEN.get(name, (name,))
        if said and said not in possible:
            raise SourceUnreadable(
                f"{self._path} begins with the byte order mark of {said.upper()}, but "
                f"--csv-encoding is {encoding}",
                hint="Leave --csv-encoding out: the byte order mark tells the encoding.",
                file=self._path,
            )
        return said or possible[0]


def is_utf8(data: bytes) -> bool:
    """Whether all of it is UTF-8; at several gigabytes per second and without a copy."""
    if data.isascii():
        return True
    ends = pa.py_buffer(np.array([0, len(data)], np.int32))
    whole = pa.Array.from_buffers(pa.binary(), 1, [None, ends, pa.py_buffer(data)])
    try:
        whole.cast(pa.string())
    except pa.ArrowInvalid:
        return False
    return True


class Marked:
    """Broken UTF-8 made valid: each wrong byte is a character that the text has nowhere else.

    So everything that reads text reads it, and which fields were broken, and how, can still be
    told.

    Attributes:
        data: The text as UTF-8.
        pattern: A regular expression (of RE2 and of Python) that finds a broken place.
    """

    def __init__(self, data: bytes) -> None:
        self._base = next(base for base in _bases() if not _has(data, base))
        name = f"loader.marked.{self._base:x}"
        codecs.register_error(name, functools.partial(_mark, self._base))
        self.data = data.decode("utf-8", name).encode()
        self.pattern = f"[{chr(self._base + 0x80)}-{chr(self._base + 0xFF)}]"

    def shown(self, text: str, wrong: str | None) -> str:
        r"""Returns the text with ``wrong`` for each wrong byte; by default like ``\xe9``."""
        return re.sub(
            self.pattern,
            lambda found: wrong or f"\\x{ord(found[0]) - self._base:02x}",
            text,
        )


def _mark(base: int, error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    wrong = error.object[error.start : error.end]
    if len(wrong) == 1:  # nearly always, and there may be millions
        return chr(base + wrong[0]), error.end
    return "".join(chr(base + byte) for byte in wrong), error.end


def _bases() -> itertools.chain[int]:
    """Returns where 256 characters of private use begin; files hardly use the last ones."""
    return itertools.chain(range(0x10FE00, 0xF0000, -0x100), range(0xE000, 0xF800, 0x100))


def _has(data: bytes, base: int) -> bool:
    # 64 characters share all bytes of their UTF-8 but the last.
    return any(chr(base + offset).encode()[:-1] in data for offset in (0x80, 0xC0))
