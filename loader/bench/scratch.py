"""The dataset that a sweep loads into, and how it is taken away again, whatever happened."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from loader.api import Client, Connection, DatasetRef
from loader.errors import LoaderError, NotAllowed, NotFound, Unreachable
from loader.job.retry import Trouble, trouble_of

__all__ = ["Scratch", "close_session", "discard", "new_name"]

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


async def close_session(
    connection: Connection,
    scratch: Scratch,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Deletes the upload session that a run has left open: it keeps the next one out.

    Raises:
        LoaderError: It could not be deleted, after several attempts.
    """

    async def attempt() -> None:
        async with _logged_in(connection) as client:
            await _delete_session(client, scratch)

    await _repeated(attempt, connection, "the upload session", sleep)


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

    async def attempt() -> None:
        async with _logged_in(connection) as client:
            await _delete_session(client, scratch)
            ids = {one.id for one in await _listed(client, scratch) if one.name == scratch.name}
            if scratch.dataset_id is not None:
                ids.add(scratch.dataset_id)
            for dataset_id in ids:
                with contextlib.suppress(NotFound):
                    await client.delete_dataset(dataset_id)
            scratch.dataset_id = None

    await _repeated(attempt, connection, "the dataset", sleep)


@contextlib.asynccontextmanager
async def _logged_in(connection: Connection) -> AsyncIterator[Client]:
    async with Client(connection, concurrency=1) as client:
        await client.login()
        try:
            await client.select_project(connection.project or "")
            yield client
        finally:
            with contextlib.suppress(LoaderError):
                await client.logout()


async def _delete_session(client: Client, scratch: Scratch) -> None:
    if scratch.dataset_id is not None and scratch.session_id is not None:
        with contextlib.suppress(NotFound):
            await client.delete_upload_session(scratch.dataset_id, scratch.session_id)
    scratch.session_id = None


async def _listed(client: Client, scratch: Scratch) -> list[DatasetRef]:
    """Returns the datasets of the folder; one that does not exist has none."""
    try:
        return await client.folder_datasets(scratch.folder_id)
    except NotFound as error:
        if scratch.folder_id is None or trouble_of(error) is not Trouble.LASTING:
            raise
        return []


async def _repeated(
    attempt: Callable[[], Awaitable[None]],
    connection: Connection,
    what: str,
    sleep: Callable[[float], Awaitable[None]],
) -> None:
    """Attempts it until it succeeds, as long as somebody may be kept waiting."""
    try:
        async with asyncio.timeout(_LIMIT):
            for pause in (*_PAUSES, None):
                try:
                    await attempt()
                except NotAllowed:
                    raise
                except LoaderError:
                    if pause is None:
                        raise
                    await sleep(pause)
                else:
                    return
    except TimeoutError as error:
        raise Unreachable(
            f"{connection.server} did not delete {what} within {_LIMIT:.0f} seconds"
        ) from error
