"""The typed Python functions: everything the command line can do, with the same defaults."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import enum
import os
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, Unpack

from loader.api import Connection
from loader.encode import Orientation
from loader.errors import Interrupted, LoaderError, UsageError
from loader.eventloop import run_anywhere
from loader.job.journal import journalled
from loader.job.load import Load
from loader.job.prepare import Prepared, Sources, prepare
from loader.job.progress import Phase, Progress
from loader.job.result import Result, status_of
from loader.job.settings import (
    BadRowLimit,
    LoadSettings,
    MatchColumns,
    OnBadRow,
    Ordering,
    UpdatePolicy,
    Workflow,
)
from loader.model import DataType, Wishes
from loader.sources import CsvOptions, Format, SourceOptions

if TYPE_CHECKING:
    from loader.job.preview import LoadPlan
    from loader.model import MappingFile

__all__ = [
    "LoadOptions",
    "begun",
    "carried_out",
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

    ``columns``, ``types``, ``attributes`` and ``metrics`` name columns of the source, as ``column``
    or ``table.column``; ``mapping`` is the path of a mapping file; ``format``, ``where``, ``limit``
    and ``csv_…`` are those of ``SourceOptions`` and ``CsvOptions``.
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
    retries: int
    retry_deadline: float
    allow_empty: bool
    attributes: Collection[str]
    metrics: Collection[str]
    types: Mapping[str, DataType | str]
    columns: Collection[str] | None
    mapping: str | os.PathLike[str] | None
    match_columns: MatchColumns | Literal["name", "position"]
    check_keys: bool
    on_bad_row: OnBadRow | Literal["fail", "skip", "quarantine"]
    max_bad_rows: int | str | None
    rejects_file: str | os.PathLike[str] | None
    workflow: Workflow | Literal["session", "one-request"]
    table_id: str | None
    verify: bool
    format: Format | None
    where: str | None
    limit: int | None
    csv_types: Literal["scan", "sample"]
    csv_delimiter: str | None
    csv_quote: str
    csv_escape: str | None
    csv_encoding: str | None
    csv_decimal: str
    csv_header: bool
    csv_comment: str | None
    csv_skip_lines: int
    csv_nulls: Collection[str]


def interpret(
    options: LoadOptions, *, mapping_text: str | None = None
) -> tuple[LoadSettings, SourceOptions]:
    """Returns the settings and the source options that the options mean.

    Args:
        options: As the user gave them.
        mapping_text: What the mapping file said, if it is not to be read again.

    Raises:
        UsageError: A value is none of those allowed, or options contradict each other.
    """
    given: dict[str, Any] = {**options}
    types = {
        column: _member(DataType, str(name).upper(), "--type")
        for column, name in given.pop("types", {}).items()
    }
    columns, mapping = given.pop("columns", None), given.pop("mapping", None)
    wishes = Wishes(
        attributes=tuple(given.pop("attributes", ())),
        metrics=tuple(given.pop("metrics", ())),
        types=types,
        columns=None if columns is None else tuple(columns),
        mapping=_mapping(mapping, mapping_text),
    )
    if "orientation" in given:
        # The API's words are in upper case, and one of them is not the user's to choose.
        word = str(given["orientation"]).lower()
        _one_of(("column", "row"), word, "--orientation")
        given["orientation"] = Orientation(word.upper())
    for name, kind in _CHOICES.items():
        if name in given:
            given[name] = _member(kind, given[name], f"--{name.replace('_', '-')}")
    if "table_policies" in given:
        given["table_policies"] = {
            table: _member(UpdatePolicy, policy, "--policy")
            for table, policy in given["table_policies"].items()
        }
    if given.get("max_bad_rows") is not None:
        given["max_bad_rows"] = BadRowLimit.parse(given["max_bad_rows"])
    if given.get("rejects_file") is not None:
        given["rejects_file"] = Path(given["rejects_file"])
    source_options = _source_options(given, wishes.text_columns)
    return LoadSettings(wishes=wishes, **given), source_options


def _mapping(path: str | os.PathLike[str] | None, text: str | None) -> MappingFile | None:
    if path is None:
        return None
    from loader.model import parse_mapping, read_mapping  # noqa: PLC0415 - YAML is slow to import

    return read_mapping(path) if text is None else parse_mapping(text, os.fspath(path))


_CHOICES: Mapping[str, type[enum.Enum]] = {
    "ordering": Ordering,
    "policy": UpdatePolicy,
    "match_columns": MatchColumns,
    "on_bad_row": OnBadRow,
    "workflow": Workflow,
}


def _source_options(given: dict[str, Any], text_columns: frozenset[str]) -> SourceOptions:
    """Takes what concerns the sources out of the options."""
    csv = {
        name: given.pop(f"csv_{name}")
        for name in (field.name for field in dataclasses.fields(CsvOptions))
        if f"csv_{name}" in given
    }
    if "nulls" in csv:
        csv["nulls"] = tuple(csv["nulls"])
    if "types" in csv:
        _one_of(("scan", "sample"), csv["types"], "--csv-types")
    return SourceOptions(
        format=_one_of(("parquet", "csv", "arrow", None), given.pop("format", None), "--format"),
        csv=CsvOptions(**csv),
        text_columns=text_columns,
        where=given.pop("where", None),
        limit=given.pop("limit", None),
        keep_bad_rows=given.get("on_bad_row", OnBadRow.FAIL) is not OnBadRow.FAIL,
    )


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
    return await carried_out(begun(sources, options, connection, progress), progress, on_progress)


@contextlib.asynccontextmanager
async def begun(
    sources: Sources,
    options: LoadOptions,
    connection: Connection,
    progress: Progress,
    *,
    local: bool = False,
    timeline: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[Load]:
    """Gives a load that is ready to run, with its journal open.

    Args:
        sources: As for ``push``.
        options: As for ``push``.
        connection: The server.
        progress: Shows how far it is.
        local: Whether the server is one of this run's own.
        timeline: Whether ``Result.timeline`` tells of each chunk.
        clock: Monotonic seconds; the load begins when the block is entered.

    Raises:
        LoaderError: The options or the sources cannot be loaded, or no journal can be kept.
    """
    began = clock()
    settings, source_options = interpret(options)
    prepared = await prepare_in_thread(sources, settings, source_options, progress)
    # From here on a stop has something to clean up.
    progress.phase = Phase.CONNECTING
    async with journalled(sources, options, connection, prepared, local=local) as journal:
        yield Load(
            prepared,
            connection,
            progress,
            clock=clock,
            began=began,
            journal=journal,
            timeline=timeline,
        )


async def carried_out(
    ready: AbstractAsyncContextManager[Load],
    progress: Progress,
    on_progress: Callable[[Progress], None] | None,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Result:
    """Runs a load to its end for Python.

    Raises:
        LoaderError: It failed; its ``result`` says how far it came.
    """
    began = clock()
    try:
        async with reporting(progress, on_progress), ready as load:
            result = await load.run()
    except LoaderError as error:
        error.result = Result(status=status_of(error), error=error, seconds=clock() - began)
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


def plan(sources: Sources, *, preview: int = 0, **options: Unpack[LoadOptions]) -> LoadPlan:
    """Returns what ``push`` with the same arguments would send; talks to no server.

    Args:
        sources: As for ``push``.
        preview: How many first rows of each table to show as they will be sent.
        **options: As for ``push``.

    Raises:
        LoaderError: The options or the sources cannot be loaded.
    """
    from loader.job.preview import plan_load  # noqa: PLC0415 - no push needs it

    return plan_load(prepare(sources, *interpret(options)), preview)


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
