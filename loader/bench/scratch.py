"""The dataset that a sweep loads into, and how it is taken away again, whatever happened."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from loader.api import Client, Connection
from loader.errors import LoaderError, NotAllowed, NotFound, Unreachable

__all__ = ["Scratch", "discard", "new_name"]

_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each further attempt: a publish that was stopped may still hold the dataset."""

_LIMIT = 60.0
"""Seconds for all of it: whoever stopped the sweep is waiting."""


@dataclass(slots=True)
class Scratch:
    """What a sweep has on the server.

    Attributes:
        name: The dataset's name, which no other dataset has.
        folder_id: Its folder; None: My Reports.
        dataset_id: Its id; None: there is none that is known of.
        session_id: The upload session that is open; None: there is none that is known of.
    """

    name: str
    folder_id: str | None = None
    dataset_id: str | None = None
    session_id: str | None = None


def new_name() -> str:
    """Returns a name by which people recognise what was left behind, and from when."""
    return f"mstr-loader bench {datetime.now(UTC):%Y-%m-%d %H.%M.%S} {secrets.token_hex(4)}"


async def discard(
    connection: Connection,
    scratch: Scratch,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Deletes the upload session and the dataset; what is not there any more is no failure.

    The dataset is also looked for by its name: the process that made it may have died before it
    could tell its id.

    Raises:
        LoaderError: It could not be deleted, after several attempts.
    """
    try:
        async with asyncio.timeout(_LIMIT):
            await _discard(connection, scratch, sleep)
    except TimeoutError as error:
        raise Unreachable(
            f"{connection.server} did not delete the dataset within {_LIMIT:.0f} seconds"
        ) from error


async def _discard(
    connection: Connection, scratch: Scratch, sleep: Callable[[float], Awaitable[None]]
) -> None:
    for pause in (*_PAUSES, None):
        try:
            await _attempt(connection, scratch)
        except NotAllowed:
            raise
        except LoaderError:
            if pause is None:
                raise
            await sleep(pause)
        else:
            return


async def _attempt(connection: Connection, scratch: Scratch) -> None:
    async with Client(connection, concurrency=1) as client:
        await client.login()
        try:
            await client.select_project(connection.project or "")
            if scratch.dataset_id is not None and scratch.session_id is not None:
                with contextlib.suppress(NotFound):
                    await client.delete_upload_session(scratch.dataset_id, scratch.session_id)
                scratch.session_id = None
            found = await client.folder_datasets(scratch.folder_id)
            ids = {one.id for one in found if one.name == scratch.name}
            if scratch.dataset_id is not None:
                ids.add(scratch.dataset_id)
            for dataset_id in ids:
                with contextlib.suppress(NotFound):
                    await client.delete_dataset(dataset_id)
            scratch.dataset_id = None
        finally:
            with contextlib.suppress(LoaderError):
                await client.logout()
