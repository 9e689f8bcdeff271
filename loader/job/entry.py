"""The typed Python functions: everything the command line can do, with the same defaults."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import enum
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from typing import Any, Literal, TypedDict, TypeVar, Unpack

from loader.api import Connection
from loader.encode import Orientation
from loader.errors import Interrupted, LoaderError, UsageError
from loader.eventloop import run_anywhere
from loader.job.load import Load
from loader.job.prepare import Prepared, Sources, prepare
from loader.job.preview import LoadPlan, preview
from loader.job.progress import Progress
from loader.job.result import Result, status_of
from loader.job.settings import LoadSettings, Ordering, UpdatePolicy
from loader.model import DataType, Roles
from loader.sources import CsvOptions, SourceOptions

__all__ = [
    "LoadOptions",
    "interpret",
    "plan",
    "prepare_in_thread",
    "push",
    "push_sync",
    "reporting",
]

E = TypeVar("E", bound=enum.Enum)

Policy = UpdatePolicy | Literal["replace", "add", "update", "upsert"]


REPORT_INTERVAL = 0.1
"""Seconds between two reports: never more than ten a second."""


class LoadOptions(TypedDict, total=False):
    """The options of a load; ``LoadSettings`` describes them.

    ``types``, ``attributes`` and ``metrics`` name columns as ``column`` or ``table.column``;
    ``format`` and ``csv_types`` are those of the command line.
    """

    dataset: str | None
    dataset_id: str | None
    overwrite: bool
    folder_id: str | None
    policy: Policy
    table_policies: Mapping[str, Policy]
    orientation: Orientation | Literal["column", "row"]
    chunk_size: int | None
    concurrency: int | None
    memory: int | None
    ordering: Ordering | Literal["windowed", "free", "strict"]
    window: int | None
    max_rate: float | None
    publish: bool
    publish_timeout: float
    allow_empty: bool
    attributes: Collection[str]
    metrics: Collection[str]
    types: Mapping[str, DataType | str]
    format: Literal["parquet", "csv"] | None
    csv_types: Literal["scan", "sample"]


def interpret(options: LoadOptions) -> tuple[LoadSettings, SourceOptions]:
    """Returns the settings and the source options that the options mean.

    Raises:
        UsageError: A value is none of those allowed, or options contradict each other.
    """
    given: dict[str, Any] = {**options}
    types = {
        column: _member(DataType, str(name).upper(), "--type")
        for column, name in given.pop("types", {}).items()
    }
    roles = Roles(
        attributes=tuple(given.pop("attributes", ())),
        metrics=tuple(given.pop("metrics", ())),
        types=types,
    )
    source_options = SourceOptions(
        format=_one_of(("parquet", "csv", None), given.pop("format", None), "--format"),
        csv=CsvOptions(
            types=_one_of(("scan", "sample"), given.pop("csv_types", "scan"), "--csv-types")
        ),
        text_columns=frozenset(types),
    )
    if "orientation" in given:
        given["orientation"] = _member(
            Orientation, str(given["orientation"]).upper(), "--orientation"
        )
    if "ordering" in given:
        given["ordering"] = _member(Ordering, given["ordering"], "--ordering")
    if "policy" in given:
        given["policy"] = _member(UpdatePolicy, given["policy"], "--policy")
    if "table_policies" in given:
        given["table_policies"] = {
            table: _member(UpdatePolicy, policy, "--policy")
            for table, policy in given["table_policies"].items()
        }
    return LoadSettings(roles=roles, **given), source_options


async def push(
    sources: Sources,
    *,
    connection: Connection,
    on_progress: Callable[[Progress], None] | None = None,
    **options: Unpack[LoadOptions],
) -> Result:
    """Loads sources into a dataset and publishes it.

    Args:
        sources: ``PATH`` or ``TABLE=PATH`` texts, a mapping of table to path(s) or Arrow object, or
            one Arrow object (a pyarrow table or reader, or anything with ``__arrow_c_stream__``).
        connection: The server, the user and the project.
        on_progress: Called about ten times a second, in the event loop: it must not block.
        **options: See ``LoadOptions``.

    Returns:
        What was loaded.

    Raises:
        LoaderError: The load failed; its ``result`` says how far it came.
    """
    progress = Progress()
    try:
        settings, source_options = interpret(options)
        async with reporting(progress, on_progress):
            prepared = await prepare_in_thread(sources, settings, source_options, progress)
            result = await Load(prepared, connection, progress).run()
    except LoaderError as error:
        error.result = Result(status=status_of(error), error=error)
        raise
    if result.error is not None:
        result.error.result = result
        raise result.error
    return result


def push_sync(
    sources: Sources,
    *,
    connection: Connection,
    on_progress: Callable[[Progress], None] | None = None,
    **options: Unpack[LoadOptions],
) -> Result:
    """Is ``push`` for scripts and notebooks; a running event loop is no obstacle."""
    return run_anywhere(
        lambda: push(sources, connection=connection, on_progress=on_progress, **options)
    )


def plan(sources: Sources, **options: Unpack[LoadOptions]) -> LoadPlan:
    """Returns what ``push`` with the same arguments would send; talks to no server."""
    return preview(prepare(sources, *interpret(options)))


async def prepare_in_thread(
    sources: Sources, settings: LoadSettings, options: SourceOptions, progress: Progress
) -> Prepared:
    """Is ``prepare`` off the event loop: footers and scans of CSV files take their time.

    Cancelled, it ends the scan too: a thread cannot be cancelled, and nobody wants to wait for it.
    """
    cancelled = False

    def watch(rows: int) -> None:
        progress.rows_scanned += rows
        if cancelled:
            raise Interrupted("stopped while the source was scanned")

    try:
        watched = dataclasses.replace(options, watch=watch)
        return await asyncio.to_thread(prepare, sources, settings, watched)
    finally:
        cancelled = True


@contextlib.asynccontextmanager
async def reporting(
    progress: Progress, on_progress: Callable[[Progress], None] | None
) -> AsyncIterator[None]:
    """Reports a progress while the block runs, and once more at its end.

    A mistake in ``on_progress`` ends the block at once and is raised; after the end it is too late
    to change anything, and what was published stays published.
    """
    if on_progress is None:
        yield
        return

    async def report() -> None:
        while True:
            on_progress(progress)
            await asyncio.sleep(REPORT_INTERVAL)

    try:
        async with asyncio.TaskGroup() as group:
            reporter = group.create_task(report())
            yield
            reporter.cancel()
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    finally:
        with contextlib.suppress(Exception):
            on_progress(progress)


def _one_of(allowed: tuple[Any, ...], value: object, option: str) -> Any:
    if value not in allowed:
        raise _unknown(option, value, filter(None, allowed))
    return value


def _member(kind: type[E], value: object, option: str) -> E:
    try:
        return kind(value)
    except ValueError:
        raise _unknown(option, value, (str(member.value) for member in kind)) from None


def _unknown(option: str, value: object, allowed: Iterable[str]) -> UsageError:
    return UsageError(
        f"{option}: {str(value)!r} is none that is known",
        hint=f"choose one of {', '.join(allowed)}",
    )
