"""What a sweep runs on, with and against."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import random
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from loader.api import Client, Connection
from loader.bench.host import this_host
from loader.bench.records import Environment, SourceTable
from loader.errors import ApiError, LoaderError, ProtocolViolation
from loader.job import Prepared, Progress
from loader.job.retry import RetryBudget
from loader.job.starting import log_in_and_select

__all__ = ["PATIENCE", "Server", "environment_of", "look_at_server"]

_CALLS: Final = 7
"""Small calls whose median is the round trip."""

PATIENCE: Final = RetryBudget(retries=3, deadline=30.0)
"""What may be spent on a call of a sweep. A load waits longer, since its rows have to arrive; here
somebody waits for figures, and those of a run that waited for the server say nothing of a setting.
30 seconds are enough for a restart of what is in front of the server, or a lost connection."""


@dataclass(frozen=True, slots=True)
class Server:
    """What was found out about the server.

    Attributes:
        version: What it says of its version; None: nothing.
        round_trip: Median of several small calls, in seconds; None: it does not answer them.
    """

    version: str | None
    round_trip: float | None


async def look_at_server(connection: Connection) -> Server:
    """Logs in and out, and looks at the server meanwhile: before anything else costs time.

    Raises:
        LoaderError: It cannot be reached, or does not let the user or the project in.
    """
    async with Client(connection, concurrency=1) as client:
        try:
            await log_in_and_select(
                client,
                connection,
                budget=PATIENCE,
                progress=Progress(),
                clock=time.monotonic,
                sleep=asyncio.sleep,
                draw=random.random,
            )
            # No document has these calls: a server may not know them, and a load does without.
            told = round_trip = None
            with contextlib.suppress(ApiError, ProtocolViolation):
                told = await _version(client)
            with contextlib.suppress(ApiError, ProtocolViolation):
                round_trip = await _round_trip(client)
        finally:
            # A login that cannot be ended times out: no reason to hide why it was made in vain.
            with contextlib.suppress(LoaderError):
                await client.logout()
    return Server(told, round_trip)


async def _version(client: Client) -> str | None:
    info = await client.server_info()
    parts = {"": info.iserver_version, "web ": info.web_version}
    return ", ".join(f"{name}{text}" for name, text in parts.items() if text) or None


async def _round_trip(client: Client) -> float:
    # The first one may have to open the connection.
    await client.session_timeout()
    return statistics.median([await _timed(client) for _ in range(_CALLS)])


async def _timed(client: Client) -> float:
    began = time.perf_counter()
    await client.session_timeout()
    return time.perf_counter() - began


def environment_of(
    sweep: str,
    connection: Connection,
    server: Server,
    prepared: Prepared,
    *,
    sources: tuple[str, ...],
    settings: Mapping[str, Any],
) -> Environment:
    """Returns the first record of a sweep.

    Args:
        sweep: Its id.
        connection: The server.
        server: What was found out about it.
        prepared: A load of the sources.
        sources: Their names, without secrets.
        settings: What is the same in all runs, in values that JSON has.
    """
    return Environment(
        sweep=sweep,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        **dataclasses.asdict(this_host()),
        server=connection.url,
        server_version=server.version,
        round_trip=server.round_trip,
        sources=sources,
        tables=tuple(
            SourceTable(name=table.name, rows=source.rows, columns=len(table.columns))
            for table, source in prepared.tables
        ),
        settings=settings,
    )
