"""The file of a report: whether it can be written is known before anything is loaded."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import uuid
from pathlib import Path
from typing import Final

from loader.errors import UsageError

__all__ = ["check_report", "written"]

_BEGIN: Final = b"<!DOCTYPE html>"
_PACKAGES: Final = ("jinja2", "plotly")


def check_report(path: str | os.PathLike[str]) -> None:
    """Makes sure that a report can be written later, and leaves no trace.

    Raises:
        UsageError: The packages of the extra are missing, or the file cannot be made.
    """
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"--report needs {' and '.join(missing)}, which "
            f"{'is' if len(missing) == 1 else 'are'} not installed",
            hint="pip install 'mstr-loader[report]'",
        )
    target = _target(path)
    try:
        if target.is_dir():
            raise _unwritable(path, "it is a directory")
        if target.exists():
            _check_older(path, target)
        beside = _beside(target)
        beside.open("xb").close()
        beside.unlink()
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from error


def _check_older(path: str | os.PathLike[str], target: Path) -> None:
    """Makes sure that what is there is a report: a slip must not cost anybody their data."""
    if not target.is_file():
        raise _unwritable(path, "it is no regular file")
    with target.open("rb") as file:
        begin = file.read(len(_BEGIN))
    if begin and begin != _BEGIN:
        raise _unwritable(path, "there is a file of that name which is no report")


def written(path: str | os.PathLike[str], text: str) -> None:
    """Writes a report, whole or not at all; an older one is replaced.

    Raises:
        UsageError: It cannot be written.
    """
    target = _target(path)
    beside = _beside(target)
    try:
        try:
            # What is no valid Unicode has been replaced already; the newlines are what the digests
            # of the scripts were made of.
            with beside.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from error


def _target(path: str | os.PathLike[str]) -> Path:
    # A link stays one: what it leads to is written.
    return Path(os.path.realpath(path))


def _beside(target: Path) -> Path:
    """Returns a new name in the same directory, from where a rename is atomic."""
    return target.with_name(f".{uuid.uuid4().hex}.report")


def _unwritable(path: str | os.PathLike[str], why: str) -> UsageError:
    return UsageError(
        f"--report: {os.fspath(path)} cannot be written: {why}",
        hint="name a new file, such as report.html, in a directory that can be written to",
    )
