"""Compares the rows that the server counts after a publish with the rows that were sent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from loader.api import Client
from loader.errors import ApiError, LoaderError, NotFound, Recovery, VerificationFailed
from loader.job.settings import UpdatePolicy

__all__ = ["SentTable", "count_before", "expected_counts", "judge", "verify"]

LIMIT = 60.0
"""Seconds that counting may take: what is published stays so, whatever the counts are."""

WAITS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Seconds before each further look: right after a publish a server may still count the old rows."""

# "The cube is not published": for a moment after a publish that has just ended.
_NOT_PUBLISHED = -2147072488


@dataclass(frozen=True, slots=True)
class SentTable:
    """What was sent of one table.

    Attributes:
        name: The table's name.
        policy: Its update policy.
        rows: Rows that the server accepted.
        before: Rows that the table had before; None: nobody could tell.
    """

    name: str
    policy: UpdatePolicy
    rows: int
    before: int | None


@dataclass(frozen=True, slots=True)
class _Uncounted:
    """Rows that could not be counted.

    Attributes:
        reason: Why.
        passing: Whether a later look may count them.
    """

    reason: str
    passing: bool = False


Finding = VerificationFailed | str | None
"""A mismatch, a warning, or nothing: the counts are as they should be."""


def expected_counts(table: SentTable) -> tuple[int, int] | None:
    """Returns the fewest and the most rows that a table may have after its publish.

    Only ``replace`` fixes the number: ``add`` leaves out rows whose key is there already,
    ``update`` adds none, ``upsert`` adds those whose key is new. None where it depends on a number
    of rows before that nobody could tell.
    """
    if table.policy is UpdatePolicy.REPLACE:
        return table.rows, table.rows
    if table.before is None:
        return None
    if table.policy is UpdatePolicy.UPDATE:
        return table.before, table.before
    return max(table.before, min(table.rows, 1)), table.before + table.rows


def judge(table: SentTable, counted: int) -> Finding:
    """Returns what a count after the publish means."""
    expected = expected_counts(table)
    if expected is None:
        return _unverified(
            table,
            f"it has {counted:,} rows now, and how many it had before could not be counted",
        )
    fewest, most = expected
    if fewest <= counted <= most:
        return None
    if table.policy is UpdatePolicy.REPLACE:
        return _mismatch(table, counted)
    wanted = f"{fewest:,}" if fewest == most else f"{fewest:,} to {most:,}"
    return (
        f"table {table.name!r} has {counted:,} rows after the policy {table.policy} was applied to "
        f"{table.before:,} rows with {table.rows:,} rows sent; expected were {wanted}"
    )


def _mismatch(table: SentTable, counted: int) -> VerificationFailed:
    if counted > table.rows:
        cause = "rows may have come twice, or another load ran at the same time"
    else:
        cause = "rows may be missing, or another load ran at the same time"
    return VerificationFailed(
        f"table {table.name!r} was published, but the server counts {counted:,} rows and "
        f"{table.rows:,} were sent",
        hint=f"{cause}; run the same command again, with --ordering strict if it happens again; "
        "--no-verify publishes without comparing",
        table=table.name,
        sent=table.rows,
        counted=counted,
    )


def _unverified(table: SentTable, reason: str) -> str:
    return f"unverified: table {table.name!r}: {reason}"


async def count_before(
    client: Client,
    dataset_id: str,
    tables: Iterable[str],
    *,
    clock: Callable[[], float] = time.monotonic,
    limit: float = LIMIT,
) -> dict[str, int | None]:
    """Returns the rows of tables before a load; None for one that cannot be counted."""
    deadline = clock() + limit
    counts: dict[str, int | None] = {}
    for table in tables:
        counted = await _count(client, dataset_id, table, deadline - clock())
        counts[table] = counted if isinstance(counted, int) else None
    return counts


async def verify(
    client: Client,
    dataset_id: str,
    tables: Sequence[SentTable],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    limit: float = LIMIT,
) -> Mapping[str, Finding]:
    """Counts the rows of each table and returns what the counts mean.

    A count that is not as it should be is read again a few times before it is believed.

    Args:
        client: Logged in, with a project.
        dataset_id: The published dataset.
        tables: What was sent.
        clock: Monotonic seconds.
        sleep: Waits.
        limit: Seconds for all of it.

    Returns:
        For each table's name: nothing, a warning, or the error that the load ends with.
    """
    deadline = clock() + limit
    findings: dict[str, Finding] = {}
    for table in tables:
        for wait in (*WAITS, None):
            counted = await _count(client, dataset_id, table.name, deadline - clock())
            if isinstance(counted, int):
                finding = judge(table, counted)
                settled = finding is None or expected_counts(table) is None
            else:
                finding = _unverified(table, counted.reason)
                settled = not counted.passing
            if settled or wait is None or clock() + wait > deadline:
                break
            await sleep(wait)
        findings[table.name] = finding
    return findings


async def _count(client: Client, dataset_id: str, table: str, seconds: float) -> int | _Uncounted:
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            counted = await client.row_count(dataset_id, table)
    except TimeoutError:
        return _Uncounted("the server did not count its rows in time")
    except LoaderError as error:
        return _Uncounted(error.message, passing=_passes(error))
    except Exception as error:  # noqa: BLE001 - a look at what is published never fails a load
        return _Uncounted(f"{type(error).__name__}: {error}")
    if counted is None:
        return _Uncounted("the server does not tell how many rows it has")
    return counted


def _passes(error: LoaderError) -> bool:
    """Whether an error may be gone a moment after the publish."""
    if error.recovery is Recovery.RETRY or isinstance(error, NotFound):
        return True
    return isinstance(error, ApiError) and error.iserver_code == _NOT_PUBLISHED
