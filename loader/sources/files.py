"""Files as every format sees them: whether one changed since, and what its errors mean."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa

from loader.errors import LoaderError, SourceNotFound, SourceUnreadable

__all__ = ["Stamp", "file_errors"]


@dataclass(frozen=True, slots=True)
class Stamp:
    """A file as it was when it was first looked at."""

    path: str
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: str) -> Stamp:
        """Looks at the file now.

        Raises:
            SourceNotFound: It does not exist.
            SourceUnreadable: It cannot be looked at.
        """
        with file_errors(path):
            status = os.stat(path)  # noqa: PTH116 - paths are str here, as errors and origins are
        return cls(path, status.st_size, status.st_mtime_ns)

    def check(self) -> None:
        """Raises ``SourceUnreadable`` if the file is no longer the one that was looked at."""
        if Stamp.of(self.path) != self:
            raise changed(self.path)


def changed(path: str) -> SourceUnreadable:
    """Returns the error for a file that was written to between two looks at it."""
    return SourceUnreadable(
        f"{path} changed while it was being loaded",
        hint="Load again when nothing writes to the file any more.",
        file=path,
    )


@contextmanager
def file_errors(path: str, *, hint: str | None = None) -> Iterator[None]:
    """Maps what the system and pyarrow raise for a file to this project's errors.

    Args:
        path: The file, to be named.
        hint: What to do about content that pyarrow cannot read.
    """
    try:
        yield
    except LoaderError:
        raise
    except FileNotFoundError as error:
        raise SourceNotFound(
            f"{path} does not exist",
            hint="Check the path; quote a glob so that the shell leaves it alone.",
            file=path,
        ) from error
    except PermissionError as error:
        raise SourceUnreadable(
            f"{path} may not be read by this user",
            hint="Give the user that runs the load permission to read the file.",
            file=path,
        ) from error
    except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError) as error:
        raise SourceUnreadable(
            f"{path} cannot be read: {_reason(error)}", hint=hint, file=path
        ) from error


def _reason(error: Exception) -> str:
    """Returns the first line of a message, without pyarrow's advice for programmers."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")
