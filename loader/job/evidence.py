"""Decides by row counts what became of a publish whose upload session is gone."""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from loader.api import Client
from loader.errors import ApiError, LoaderError, NotFound, Recovery
from loader.job.publish import HOW_TO_CHECK
from loader.job.settings import UpdatePolicy
from loader.job.verify import LIMIT, WAITS, SentTable, expected_counts

__all__ = ["Count", "Evidence", "Verdict", "find_evidence", "weigh"]

# "The cube is not published".
_NOT_PUBLISHED = -2147072488


class Verdict(enum.Enum):
    """What row counts prove of a publish."""

    PUBLISHED = "published"
    NOT_PUBLISHED = "not published"
    REPEATABLE = "repeatable"
    """Whether it happened or not: sending everything again, and publishing, gives the same."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What row counts show, and what follows from it.

    Attributes:
        verdict: What follows.
        seen: What was seen, without a full stop, for a warning or the message of an error.
        hint: How the user can find out; None where the verdict needs nobody.
    """

    verdict: Verdict
    seen: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """What the server says to the question how many rows a table has.

    Attributes:
        rows: The number; None: it tells none.
        why: Why it tells none, in words.
        unpublished: Whether it says that the dataset is not published.
        passing: Whether a later look may bring a number.
    """

    rows: int | None
    why: str = ""
    unpublished: bool = False
    passing: bool = False


class _Shows(enum.Enum):
    """What the count of one table fits."""

    BEFORE = "no publish alone"
    AFTER = "a publish alone"
    EITHER = "both"
    NEITHER = "neither"


def weigh(tables: Sequence[SentTable], counts: Mapping[str, Count], *, created: bool) -> Evidence:
    """Returns what the counts of all tables prove together.

    A publish changes all tables or none. It is proven by a table whose count it alone explains,
    where no other count speaks against it. That there was none is proven only for a dataset that
    the job itself has made, and that is still not published, or empty where it would have rows:
    elsewhere an unchanged count also fits a publish that has not ended yet.

    Where nothing is proven the policies decide. ``replace`` takes away what may have come before;
    ``update`` and ``upsert`` change nothing when the same rows come again; ``add`` may double them,
    since a table without a key takes every row.

    Args:
        tables: What was sent.
        counts: What the server says, by the table's name.
        created: Whether this job has made the dataset's definition, so that it had no rows.
    """
    if created:
        tables = [replace(table, before=0) for table in tables]
    shown = {_shows(table, counts[table.name], created=created) for table in tables}
    # Two tables without a number would say the same.
    seen = "; ".join(dict.fromkeys(_seen(table, counts[table.name]) for table in tables))
    if _Shows.AFTER in shown and shown <= {_Shows.AFTER, _Shows.EITHER}:
        return Evidence(Verdict.PUBLISHED, seen)
    if created and _Shows.BEFORE in shown and shown <= {_Shows.BEFORE, _Shows.EITHER}:
        return Evidence(Verdict.NOT_PUBLISHED, seen)
    if not any(_may_double(table) for table in tables):
        policies = ", ".join(dict.fromkeys(table.policy for table in tables))
        return Evidence(
            Verdict.REPEATABLE,
            f"{seen}; that proves nothing, but under the policy {policies} it comes to the same "
            "when everything is sent and published again",
        )
    return Evidence(Verdict.UNKNOWN, seen, _hint(tables))


def _shows(table: SentTable, count: Count, *, created: bool) -> _Shows:
    if count.unpublished:
        return _Shows.BEFORE
    if count.rows is None:
        return _Shows.EITHER
    expected = expected_counts(table)
    before = table.before is None or count.rows == table.before
    if expected is None:
        return _Shows.EITHER
    fewest, most = expected
    if not fewest <= count.rows <= most:
        return _Shows.BEFORE if before else _Shows.NEITHER
    # Some rows more, but not all that were sent, may be those of another load; not in a dataset
    # that nobody else knew.
    proof = count.rows == most or created
    return _Shows.AFTER if proof and not before else _Shows.EITHER


def _may_double(table: SentTable) -> bool:
    return table.policy is UpdatePolicy.ADD and table.rows > 0


def _seen(table: SentTable, count: Count) -> str:
    if count.rows is None:
        return f"the rows of table {table.name!r} could not be counted: {count.why}"
    before = "" if table.before is None else f", had {table.before:,} before"
    return (
        f"table {table.name!r} has {count.rows:,} rows now{before}, and {table.rows:,} were sent "
        f"with the policy {table.policy}"
    )


def _hint(tables: Sequence[SentTable]) -> str:
    told = [
        f"if it was published, table {table.name!r} has up to {table.before + table.rows:,} rows, "
        f"else {table.before:,}"
        for table in tables
        if _may_double(table) and table.before is not None
    ]
    return "; ".join([HOW_TO_CHECK, *told])


async def find_evidence(
    client: Client,
    dataset_id: str,
    tables: Sequence[SentTable],
    *,
    created: bool,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Evidence:
    """Counts rows until they prove a publish; right after one a server may count the old rows.

    Args:
        client: Logged in, with a project.
        dataset_id: The dataset.
        tables: What was sent.
        created: Whether this job has made the dataset's definition, so that it had no rows.
        clock: Monotonic seconds.
        sleep: Waits.
    """
    deadline = clock() + LIMIT
    # Where nobody knows what there was before, no count is a proof, and none is worth waiting for.
    provable = created or any(table.before is not None and table.rows for table in tables)
    for wait in (*(WAITS if provable else ()), None):
        counts = {
            table.name: await _count(client, dataset_id, table.name, deadline - clock())
            for table in tables
        }
        evidence = weigh(tables, counts, created=created)
        settled = evidence.verdict is Verdict.PUBLISHED or not any(
            count.passing or count.rows is not None for count in counts.values()
        )
        if settled or wait is None or clock() + wait > deadline:
            return evidence
        await sleep(wait)
    raise AssertionError  # the last wait is None


async def _count(client: Client, dataset_id: str, table: str, seconds: float) -> Count:
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            rows = await client.row_count(dataset_id, table)
    except TimeoutError:
        return Count(None, "the server did not answer in time")
    except LoaderError as error:
        unpublished = isinstance(error, ApiError) and error.iserver_code == _NOT_PUBLISHED
        passing = error.recovery is Recovery.RETRY or isinstance(error, NotFound) or unpublished
        return Count(None, error.message.removesuffix("."), unpublished, passing)
    if rows is None:
        # No proof of an empty table: some servers never tell.
        return Count(None, "the server does not tell how many there are")
    return Count(rows)
