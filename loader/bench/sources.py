"""The names of sources, as people may see them, and the command line that loads them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from loader.api import Connection, LoginMode
from loader.job import Sources
from loader.sources import redacted
from loader.sources.locate import split

__all__ = ["as_argument", "named", "push_command", "read_once"]

_IN_MEMORY = "<arrow>"

_STDIN: Final = frozenset({"-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"})
_DESCRIPTORS: Final = ("/dev/fd/", "/proc/self/fd/")
"""Where the open files of this process are, which the processes of the runs do not have."""


def named(sources: Sources) -> tuple[str, ...]:
    """Returns ``PATH`` or ``TABLE=PATH`` of each source, without secrets."""
    if isinstance(sources, Mapping):
        return tuple(
            f"{table}={name}" for table, thing in sources.items() for name in _names(thing)
        )
    return tuple(_names(sources))


def _names(thing: Any) -> Iterator[str]:
    for one in thing if isinstance(thing, list | tuple) else [thing]:
        known = isinstance(one, str | os.PathLike)
        yield redacted(str(os.fspath(one))) if known else _IN_MEMORY


def read_once(sources: Sources) -> str | None:
    """Returns what of the sources can be read only once, in words; None: nothing that a name tells.

    Nothing is opened: the writer of a pipe would take that for the reader that it waits for.
    """
    if isinstance(sources, Mapping):
        paths = [path for thing in sources.values() for path in _paths(thing)]
    else:
        paths = [split(name)[1] for name in _paths(sources)]
    for path in paths:
        if path in _STDIN:
            return "standard input"
        if path.startswith(_DESCRIPTORS) or _is_pipe(path):
            return f"the pipe {path}"
    return None


def _paths(thing: Any) -> Iterator[str]:
    for one in thing if isinstance(thing, list | tuple) else [thing]:
        if isinstance(one, str | os.PathLike):
            yield os.fspath(one)


def _is_pipe(path: str) -> bool:
    try:
        mode = Path(path).expanduser().stat().st_mode
    except (OSError, ValueError, RuntimeError):  # what is wrong with it is told by who opens it
        return False
    return stat.S_ISFIFO(mode)


def as_argument(source: str) -> str:
    """Returns a source such that no command line takes it for an option."""
    is_file = source.startswith("-") and source != "-" and split(source)[0] is None
    return f"./{source}" if is_file else source


def push_command(sources: Sources, connection: Connection) -> list[str]:
    """Returns the command line that loads the sources, word by word, without secrets."""
    words = ["mstr-loader", "push", *map(as_argument, named(sources)), "--url", connection.url]
    if connection.username:
        words += ["--username", connection.username]
    if connection.login_mode is not LoginMode.STANDARD:
        words += ["--login-mode", connection.login_mode.label]
    if connection.project:
        words += ["--project", connection.project]
    return words
