"""``--local``: a local server for one run, whose data outlives it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from loader.api import Connection
from loader.emulator.process import EmulatorProcess
from loader.errors import UsageError
from loader.job.state import state_directory

__all__ = ["local_server"]

_PROJECT = "MicroStrategy Tutorial"
_USER = "administrator"


@contextlib.contextmanager
def local_server(project: str | None) -> Iterator[tuple[Connection, Path]]:
    """Starts the server in a process of its own; gives the connection and its DuckDB file.

    The file is the same for every run, so that a dataset of yesterday can be updated today.

    Raises:
        UsageError: The server could not start (another run uses the file, or the extra is missing).
    """
    data = state_directory() / "local"
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"--local keeps its data in {data}, which cannot be made: {error.strerror}",
            hint="MSTR_LOADER_STATE names another directory",
        ) from error
    with EmulatorProcess("--data", str(data)) as server:
        connection = Connection(server.url, username=_USER, project=project or _PROJECT)
        yield connection, data / "emulator.duckdb"
