"""Pipes and standard input: read once, and copied to a temporary file where that is not enough.

A Parquet file is read from its end, and a CSV file more than once, so these are copied, a mebibyte
at a time, to a file in the directory for temporary files (``TMPDIR``). It has no name, so it is
gone with the process however that ends. An Arrow stream is read as it comes.
"""

from __future__ import annotations

import io
import os
import select
import stat
import sys
import tempfile
import weakref
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import IO, Final

import pyarrow as pa

from loader.errors import SourceUnreadable
from loader.sources.base import Source
from loader.sources.files import StoredFile, file_errors

__all__ = ["ONCE", "STDIN", "Pipe", "attach", "copied", "was_copied"]

ONCE: Final = "cannot be read twice, so this load cannot be resumed"
"""What is noted of every source that is not rereadable, after its name."""

_BLOCK: Final = 1 << 20
# Between two looks whether the copying was called off while the writer is silent.
_PATIENCE: Final = 0.2


class Pipe(str):
    """The name of something that is read once; ``<stdin>`` for standard input."""

    __slots__ = ()


STDIN: Final = Pipe("<stdin>")


def attach(pipe: Pipe) -> io.BufferedReader:
    """Opens a pipe for reading; to be called within ``file_errors``.

    Raises:
        SourceUnreadable: There is no standard input.
    """
    if pipe != STDIN:
        return Path(pipe).open("rb")
    try:
        descriptor = os.dup(sys.stdin.fileno())
    except (AttributeError, OSError, ValueError) as error:
        raise SourceUnreadable(
            "There is no standard input to read", hint="Name a file.", file=pipe
        ) from error
    return os.fdopen(descriptor, "rb")


def copied(
    pipe: Pipe, reader: io.BufferedReader, watch: Callable[[int], None]
) -> tuple[StoredFile, str | None]:
    """Makes a pipe a file that can be read anywhere in it, and again.

    Args:
        pipe: Its name.
        reader: The pipe, from its beginning; read to its end, unless it is a file after all.
        watch: Called now and then with 0; what it raises ends the copying.

    Returns:
        The file, and a note for people about the copy; None where none had to be made.
    """
    descriptor = reader.fileno()
    is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
    if is_file and os.lseek(descriptor, 0, os.SEEK_CUR) == 0:
        return StoredFile(pipe, _Held(os.dup(descriptor), is_copy=False), pipe), None
    place = tempfile.gettempdir()
    hint = f"Free space in {place}, or set TMPDIR to another directory."
    with file_errors(pipe, hint=hint), tempfile.TemporaryFile(prefix="mstr-loader-") as target:
        size = _copy(reader, target, watch)
        held = _Held(os.dup(target.fileno()), is_copy=True)
    note = (
        f"{pipe} was copied to a temporary file in {place} ({size / 1e6:.1f} MB) that ends with "
        "this process, so this load cannot be resumed by another one"
    )
    return StoredFile(pipe, held, pipe), note


def was_copied(source: Source) -> bool:
    """Whether a part of a source is the copy of a pipe."""
    stores = (origin.store for origin in source.origins if isinstance(origin, StoredFile))
    return any(isinstance(store, _Held) and store.is_copy for store in stores)


def _copy(reader: io.BufferedReader, target: IO[bytes], watch: Callable[[int], None]) -> int:
    size = 0
    while True:
        while not select.select([reader], [], [], _PATIENCE)[0]:
            watch(0)
        watch(0)
        block = reader.read1(_BLOCK)
        if not block:
            target.flush()
            return size
        size += target.write(block)


class _Held:
    """The store of one file that is open already, whether or not it still has a name."""

    def __init__(self, descriptor: int, *, is_copy: bool) -> None:
        self.descriptor = descriptor
        self.is_copy = is_copy
        weakref.finalize(self, os.close, descriptor)

    def open_input(self, _key: str) -> pa.NativeFile:
        return pa.PythonFile(_View(self), mode="r")

    def open_stream(self, key: str) -> pa.NativeFile:
        return self.open_input(key)

    def look(self, _key: str) -> tuple[int, Hashable]:
        status = os.fstat(self.descriptor)
        return status.st_size, status.st_mtime_ns

    def clean(self, text: str) -> str:
        return text


class _View(io.RawIOBase):
    """Reads an open file from a position of its own, so that several can do so at once."""

    def __init__(self, held: _Held) -> None:
        self._held = held  # which keeps it open
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        if whence == os.SEEK_CUR:
            offset += self._position
        elif whence == os.SEEK_END:
            offset += os.fstat(self._held.descriptor).st_size
        self._position = offset
        return offset

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override] # narrower
        count = os.preadv(self._held.descriptor, [buffer], self._position)
        self._position += count
        return count
