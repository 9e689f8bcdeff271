"""Files as every format sees them: opening one, whether it changed since, what its errors mean.

A path is a ``str``. Mostly it is the name of a local file. Where it is not (a URI, standard input),
``locate`` makes it a ``StoredFile``, whose text is what people read and which knows how it is
reached. ``Stamp.of``, ``open_stream``, ``open_input`` and ``file_errors`` take both, so no reader
has to know which it has; it must only keep the path as it got it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol, Self, TypeVar

import pyarrow as pa

from loader.errors import LoaderError, SourceError, SourceNotFound, SourceUnreadable

__all__ = [
    "Stamp",
    "Store",
    "StoredFile",
    "changed",
    "check_all",
    "each_file",
    "file_errors",
    "open_input",
    "open_stream",
]

_Seen = TypeVar("_Seen")

# A look at a file that is not local waits for a few answers of its store; 32 at once make a
# thousand files a matter of seconds.
_AT_ONCE: Final = 32


class Store(Protocol):
    """Where files are that have no local path."""

    def open_input(self, key: str) -> pa.NativeFile:
        """Opens a file for reading anywhere in it."""

    def open_stream(self, key: str) -> pa.NativeFile:
        """Opens a file for reading it from its beginning to its end."""

    def look(self, key: str) -> tuple[int | None, Hashable]:
        """Returns the size in bytes, and what else changes when the file does."""

    def clean(self, text: str) -> str:
        """Returns a message without the secrets that were needed to get here."""


class StoredFile(str):
    """The name of a file in a store: as text what people may read, without its secrets.

    Attributes:
        store: Where it is.
        key: Its name there.
    """

    __slots__ = ("key", "store")

    store: Store
    key: str

    def __new__(cls, shown: str, store: Store, key: str) -> Self:
        """Names a file."""
        self = super().__new__(cls, shown)
        self.store = store
        self.key = key
        return self


def open_input(path: str) -> pa.NativeFile:
    """Opens a file for reading anywhere in it; to be called within ``file_errors``."""
    if isinstance(path, StoredFile):
        return path.store.open_input(path.key)
    # Not FileSystem.open_input_file: a name is then never taken for a URI.
    return pa.OSFile(path)


def open_stream(path: str) -> pa.NativeFile:
    """Opens a file for reading it from its beginning to its end; within ``file_errors``.

    Small reads are cheap: what comes over a network is fetched in large pieces.
    """
    if isinstance(path, StoredFile):
        return path.store.open_stream(path.key)
    return pa.OSFile(path)


@dataclass(frozen=True, slots=True)
class Stamp:
    """A file as it was when it was first looked at.

    Attributes:
        path: The file.
        size: In bytes; None where its store does not tell.
        version: The time of its last change, or its ETag; None where its store tells neither.
    """

    path: str
    size: int | None
    version: Hashable

    @classmethod
    def of(cls, path: str) -> Stamp:
        """Looks at the file now.

        Raises:
            SourceNotFound: It does not exist.
            SourceUnreadable: It cannot be looked at.
        """
        with file_errors(path):
            if isinstance(path, StoredFile):
                size, version = path.store.look(path.key)
                return cls(path, size, version)
            status = os.stat(path)  # noqa: PTH116 - paths are str here, as errors and origins are
        return cls(path, status.st_size, status.st_mtime_ns)

    def check(self) -> None:
        """Raises ``SourceUnreadable`` if the file is no longer the one that was looked at."""
        if Stamp.of(self.path) != self:
            raise changed(self.path)


def each_file(look: Callable[[str], _Seen], paths: Sequence[str]) -> Iterator[_Seen]:
    """Yields what each file shows, in order; many that are not local are looked at at once."""
    if not any(isinstance(path, StoredFile) for path in paths):
        yield from map(look, paths)
        return
    with ThreadPoolExecutor(min(_AT_ONCE, len(paths))) as pool:
        try:
            yield from pool.map(look, paths)
        finally:
            pool.shutdown(cancel_futures=True)


def check_all(stamps: Sequence[Stamp]) -> None:
    """Raises ``SourceUnreadable`` if one of the files is no longer as it was."""
    seen = list(each_file(Stamp.of, [stamp.path for stamp in stamps]))
    for stamp, now in zip(stamps, seen, strict=True):
        if now != stamp:
            raise changed(stamp.path)


def changed(path: str) -> SourceUnreadable:
    """Returns the error for a file that was written to between two looks at it."""
    return SourceUnreadable(
        f"{path} changed while it was being loaded",
        hint="Load again when nothing writes to the file any more.",
        file=path,
    )


@contextmanager
def file_errors(path: str, *, hint: str | None = None) -> Iterator[None]:
    """Maps what the system, a store and pyarrow raise for a file to this project's errors.

    Args:
        path: The file, to be named.
        hint: What to do about content that pyarrow cannot read.
    """
    try:
        yield
    except LoaderError:
        raise
    except Exception as error:
        mapped = _mapped(error, path, hint)
        if mapped is None:
            raise
        try:
            raise mapped from _shown(error, path)
        finally:
            # Not even where no traceback shows it: its text may hold a secret of a URI.
            mapped.__context__ = None


def _mapped(error: Exception, path: str, hint: str | None) -> SourceError | None:
    """Returns what an error means for a file; None: it is not about the file."""
    if isinstance(error, FileNotFoundError):
        return SourceNotFound(
            f"{path} does not exist",
            hint="Check the path; quote a glob so that the shell leaves it alone.",
            file=path,
        )
    if isinstance(error, PermissionError):
        return SourceUnreadable(
            f"{path} may not be read by this user",
            hint="Give the user that runs the load permission to read the file.",
            file=path,
        )
    known = isinstance(error, (pa.ArrowException, OSError, EOFError, UnicodeDecodeError))
    # The client of a store is anybody's code, with exceptions of its own.
    if known or isinstance(path, StoredFile):
        return _unreadable(path, error, hint)
    return None


def _unreadable(path: str, error: Exception, hint: str | None) -> SourceUnreadable:
    reason = _reason(error)
    if isinstance(path, StoredFile):
        reason = path.store.clean(reason)
    return SourceUnreadable(f"{path} cannot be read: {reason}", hint=hint, file=path)


def _shown(error: Exception, path: str) -> Exception | None:
    """Returns the error as the cause of another, if no secret is in it."""
    text = str(error)
    return None if isinstance(path, StoredFile) and path.store.clean(text) != text else error


def _reason(error: Exception) -> str:
    """Returns the first line of a message, without pyarrow's advice for programmers."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")
