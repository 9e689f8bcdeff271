"""The names of sources, as people may see them, and the command line that loads them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from loader.api import Connection, LoginMode
from loader.job import Sources
from loader.sources import redacted

__all__ = ["named", "push_command"]

_IN_MEMORY = "<arrow>"


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


def push_command(sources: Sources, connection: Connection) -> list[str]:
    """Returns the command line that loads the sources, word by word, without secrets."""
    words = ["mstr-loader", "push", *named(sources), "--url", connection.url]
    if connection.username:
        words += ["--username", connection.username]
    if connection.login_mode is not LoginMode.STANDARD:
        words += ["--login-mode", connection.login_mode.label]
    if connection.project:
        words += ["--project", connection.project]
    return words
