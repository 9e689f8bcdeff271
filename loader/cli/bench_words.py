"""The words of ``bench`` that are not its result: the command line of a load, a file's name."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from loader.api.proxy import NO_PROXY, parse_proxy
from loader.bench.sources import as_argument
from loader.errors import UsageError
from loader.job.state import state_directory
from loader.sources import redacted

__all__ = ["command_words", "new_file"]

_OWN = frozenset(
    {
        *("orientation", "chunk_size", "concurrency", "repeat", "time_budget", "seed"),
        *("out", "report", "as_json", "debug"),
        # A measurement reads a part of the source, a load all of it.
        "limit",
        # A program's line may hold the password that it prints.
        "password_command",
    }
)
"""Parameters that a load does not have, that a sweep decides, or that are not repeated."""


def command_words(context: typer.Context) -> list[str]:
    """Returns the command line of a load with the options that the user typed, without secrets."""
    named = (as_argument(redacted(source)) for source in context.params["sources"])
    words = ["mstr-loader", "push", *named]
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if name in _OWN or name == "sources" or source is None or source.name != "COMMANDLINE":
            continue
        value = context.params[name]
        if name == "proxy" and not _is_open(value):
            continue
        words += _option(parameter, value)
    return words


def _is_open(proxy: str) -> bool:
    """Whether a proxy's URL holds no password."""
    return proxy.strip().lower() == NO_PROXY or parse_proxy(proxy, "--proxy").authorization is None


def _option(parameter: Any, value: Any) -> list[str]:
    """Returns an option as it is typed."""
    if isinstance(value, bool):
        return [parameter.opts[0] if value else parameter.secondary_opts[0]]
    values = value if isinstance(value, list | tuple) else [value]
    return [word for one in values for word in (parameter.opts[0], str(one))]


def new_file() -> Path:
    """Returns a name for records that nobody named a file for.

    Raises:
        UsageError: There is no place for it.
    """
    directory = state_directory() / "bench"
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"the records would go to {directory}, which cannot be made: {error.strerror}",
            hint="name a file with --out",
        ) from error
    return directory / f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S-%f}.jsonl"
