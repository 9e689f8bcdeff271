"""Goes on with a job that stopped: from its journal to a load that sends only what is missing."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
import time
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

import pyarrow as pa

from loader.api import Connection
from loader.errors import LoaderError, SourceChanged, SourceError, UsageError
from loader.eventloop import run_anywhere
from loader.job.earlier import Earlier
from loader.job.entry import carried_out, interpret, prepare_in_thread
from loader.job.journal import Journal
from loader.job.journal.description import JobDescription
from loader.job.journal.fingerprint import changes, fingerprints
from loader.job.journal.list import find_job, latest_waiting, list_jobs
from loader.job.journal.records import JobRecord
from loader.job.journal.states import JobState
from loader.job.load import Load
from loader.job.prepare import Prepared, share_out
from loader.job.progress import Progress
from loader.job.rejects import remove_rejects
from loader.job.result import Result
from loader.job.settings import LoadSettings, Ordering
from loader.model import DatasetModel, Table
from loader.sources import Batch, SourceOptions

__all__ = [
    "ResumeOptions",
    "check_resumable",
    "find_resumable",
    "resume",
    "resume_sync",
    "taken_up",
]


class ResumeOptions(TypedDict, total=False):
    """What may be set anew for the rest of a load; ``LoadSettings`` describes it.

    What decides about rows and columns stays as it was: a part of the data is on the server.
    """

    chunk_size: int | None
    concurrency: int | None
    memory: int | None
    ordering: Ordering | Literal["windowed", "free", "strict"]
    window: int | None
    max_rate: float | None
    publish_timeout: float
    retries: int
    retry_deadline: float
    verify: bool


async def resume(
    job: str | None = None,
    *,
    connection: Connection,
    sources: Sequence[str] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    **options: Unpack[ResumeOptions],
) -> Result:
    """Goes on with a job that stopped, at whatever point, and by whatever cause.

    Only chunks that the server does not have are sent, into the upload session of before where it
    survived. What was uploaded with ``publish=False`` is published.

    Args:
        job: Its id, or the beginning of it; None: the latest one that can go on.
        connection: The server of the job, with its project.
        sources: The sources once more, as they were named the first time; only where the journal
            left secrets out of them.
        on_progress: As for ``push``.
        **options: See ``ResumeOptions``.

    Returns:
        The result of the whole job, rows and chunks of earlier processes included.

    Raises:
        UnknownJob: There is no such job.
        JobInUse: Another process drives it.
        UsageError: It has ended, or cannot go on.
        SourceChanged: The source is not as it was.
        LoaderError: The load failed; its ``result`` says how far it came.
    """
    path = await asyncio.to_thread(find_resumable, job)
    progress = Progress()
    ready = taken_up(path, connection, progress, sources=sources, **options)
    return await carried_out(ready, progress, on_progress)


def resume_sync(
    job: str | None = None,
    *,
    connection: Connection,
    sources: Sequence[str] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    **options: Unpack[ResumeOptions],
) -> Result:
    """Is ``resume`` for scripts and notebooks; a running event loop is no obstacle."""
    return run_anywhere(
        lambda: resume(
            job, connection=connection, sources=sources, on_progress=on_progress, **options
        )
    )


def find_resumable(job: str | None) -> Path:
    """Returns the journal of the job with that id, or of the latest one that can go on.

    Raises:
        UnknownJob: There is none, or several whose ids begin so.
        JobInUse: Another process drives the only one there is.
        JournalUnusable: The directory of jobs cannot be read.
    """
    if job is not None:
        return find_job(job)
    jobs = list_jobs()
    able = [one for one in jobs if one.record is not None and one.record.can_resume]
    # Where none is able, the latest one says why.
    return find_job(latest_waiting(able or jobs).id)


def check_resumable(record: JobRecord) -> None:
    """Refuses a job that has ended for good.

    Raises:
        UsageError: It has.
    """
    state = record.state
    if not state.is_finished:
        return
    why = "has ended as it should: its data is published, and nothing is left to be done"
    hint = None
    if state is JobState.CANCELLED:
        why, hint = "was cancelled", "run the load again from the beginning"
    elif state is JobState.FAILED:
        end = record.end
        why = "failed for good" + (f": {end.message}" if end and end.message else "")
        hint = "mend that, and run the load again from the beginning"
    raise UsageError(f"job {record.id} {why}", hint=hint, job=record.id)


@contextlib.asynccontextmanager
async def taken_up(
    path: Path,
    connection: Connection,
    progress: Progress,
    *,
    sources: Sequence[str] | None = None,
    timeline: bool = False,
    clock: Callable[[], float] = time.monotonic,
    **options: Unpack[ResumeOptions],
) -> AsyncIterator[Load]:
    """Gives a load that goes on with a job, and that no other process can drive meanwhile.

    Args:
        path: The job's journal.
        connection: The server.
        progress: Shows how far it is.
        sources: The sources once more, where the journal left secrets out.
        timeline: Whether ``Result.timeline`` tells of each chunk that is sent from now on.
        clock: Monotonic seconds; the load begins when the block is entered.
        **options: See ``ResumeOptions``.

    Raises:
        JobInUse: Another process drives it.
        UsageError: It has ended, its sources can be read only once, or have to be named again.
        SourceChanged: The source is not as it was.
        SourceError: The source cannot be read.
    """
    began = clock()
    journal = await Journal.open(path.stem, directory=path.parent)
    try:
        record = await journal.read()
        check_resumable(record)
        prepared, unreadable = await _prepared(record, sources, options, progress)
        record = await journal.resumed()
        earlier = Earlier.of(
            record, recut=options.get("chunk_size") is not None, unreadable=unreadable
        )
        yield Load(
            prepared,
            connection,
            progress,
            clock=clock,
            began=began,
            journal=journal,
            earlier=earlier,
            timeline=timeline,
        )
    except LoaderError as error:
        error.details.setdefault("job", path.stem)
        raise
    finally:
        await journal.close()


async def _prepared(
    record: JobRecord,
    sources: Sequence[str] | None,
    options: ResumeOptions,
    progress: Progress,
) -> tuple[Prepared, str | None]:
    """Returns the load as it was prepared before, and why its source cannot be read, if so."""
    description = record.description
    wanted: Any = {**description.options, **options}
    if record.is_uploaded:
        # Taking up a job that is uploaded means publishing it, also after --no-publish.
        wanted["publish"] = True
    settings, source_options = interpret(wanted, mapping_text=description.mapping)
    # An earlier process may have made it, which is no obstacle.
    rejects = settings.rejects_file
    settings = dataclasses.replace(settings, rejects_file=None)
    try:
        prepared = await _reopened(description, sources, settings, source_options, progress)
    except (SourceError, UsageError) as error:
        if not record.is_whole:
            raise
        return _without_source(description, settings, error), error.message
    if rejects is not None and not record.is_whole:
        began = dt.datetime.fromisoformat(record.created)
        await asyncio.to_thread(remove_rejects, rejects, began)
        settings = dataclasses.replace(prepared.settings, rejects_file=rejects)
        prepared = dataclasses.replace(prepared, settings=settings)
    # Else the file is complete and stays: should all be sent again, that goes into another one.
    return prepared, None


async def _reopened(
    description: JobDescription,
    sources: Sequence[str] | None,
    settings: LoadSettings,
    options: SourceOptions,
    progress: Progress,
) -> Prepared:
    """Opens the sources again.

    Raises:
        SourceChanged: They are not as they were.
        SourceError: They cannot be opened.
        UsageError: They can be read only once, or have to be named again.
    """
    named = sources or description.named()
    prepared = await prepare_in_thread(named, settings, options, progress)
    now = await asyncio.to_thread(fingerprints, prepared.tables)
    found = changes(description.tables, now)
    if found:
        raise SourceChanged(
            f"the source is not as it was when the job began: {'; '.join(found[:_SHOWN])}",
            hint="bring it back as it was (cp -p keeps the time of a copy); or cancel the job, "
            "and load the source as it is now from its beginning",
            changes=list(found),
        )
    return prepared


# Differences that one message shows; all are in its details.
_SHOWN = 5


def _without_source(
    description: JobDescription, settings: LoadSettings, error: LoaderError
) -> Prepared:
    """Returns a load whose source nobody needs to read any more."""
    stages, memory = share_out(settings)
    tables = tuple(Table(table.name, ()) for table in description.model.tables)
    name = str(description.model.definition["name"])
    gone = _Gone(error)
    return Prepared(
        model=DatasetModel(name, tables, (), ()),
        tables=tuple((table, gone) for table in tables),
        stages=stages,
        memory=memory,
        settings=settings,
        warnings=(),
    )


class _Gone:
    """Stands for a source that cannot be opened any more."""

    schema = pa.schema([])
    rows: int | None = None
    rereadable = False
    origins: Sequence[str] = ()
    notes: Sequence[str] = ()

    def __init__(self, error: LoaderError) -> None:
        self._error = error

    def batches(
        self, _batch_bytes: int, _columns: Sequence[str] | None = None, _skip: int = 0
    ) -> Generator[Batch, None, None]:
        """Says why there are none."""
        yield from ()
        raise self._error
