"""``mstr-loader cancel``: gives an unfinished job up, and ends its upload session."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from loader.cli.garbage import collect_as_usual
from loader.cli.recorded import recorded_server
from loader.cli.server_options import ServerFlags
from loader.cli.spread import spread

if TYPE_CHECKING:
    from pathlib import Path

    from loader.api import Connection
    from loader.job.cancelling import Cancelled

__all__ = ["cancel"]


@spread
def cancel(
    *,
    context: typer.Context,
    job: Annotated[
        str | None,
        typer.Argument(
            metavar="JOB",
            help="Id of the job, or its beginning; default: the last unfinished one.",
            show_default=False,
        ),
    ] = None,
    server: ServerFlags,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was done as one JSON object.")
    ] = False,
    debug: Annotated[  # noqa: ARG001 - read by main()
        bool, typer.Option("--debug", help="Log every request; show tracebacks.")
    ] = False,
) -> None:
    """Give an unfinished job up: end its upload session on the server.

    Server, user and project are those of the job; only secrets are asked again.
    """
    from loader.job.cancelling import (  # noqa: PLC0415 - keeps --help fast: pyarrow, aiohttp
        check_cancellable,
        last_unfinished,
        needs_server,
    )
    from loader.job.journal.files import in_use, lock_of  # noqa: PLC0415 - the same
    from loader.job.journal.list import find_job, list_jobs, read_job  # noqa: PLC0415 - the same
    from loader.job.journal.lock import driver_of  # noqa: PLC0415 - the same

    path = find_job(last_unfinished(list_jobs()).id if job is None else job)
    record = read_job(path)
    check_cancellable(record)
    if needs_server(record):
        if (driver := driver_of(lock_of(path))) is not None:
            # Before a password is asked for.
            raise in_use(path.stem, driver)
        with recorded_server(context, server, record.description.server) as connection:
            done = _run(path, connection)
    else:
        done = _run(path, None)
    if as_json:
        print(json.dumps(done.as_dict()))
    else:
        _print(done)


def _run(path: Path, connection: Connection | None) -> Cancelled:
    from loader.eventloop import run_anywhere  # noqa: PLC0415 - as above
    from loader.job.cancelling import cancel_job  # noqa: PLC0415 - as above

    collect_as_usual()
    return run_anywhere(lambda: cancel_job(path, connection))


_SESSIONS = {
    "deleted": "its upload session was ended",
    "gone": "its upload session was gone already",
    None: "it had no upload session open",
}


def _print(done: Cancelled) -> None:
    for warning in done.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    deleted = f", and the dataset {done.dataset!r}, which it had created, deleted"
    print(
        f"cancelled {done.job}: {_SESSIONS[done.session]}{deleted if done.dataset_deleted else ''}",
        flush=True,
    )
