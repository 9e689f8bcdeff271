"""Gives a job up: ends its upload session, and deletes the dataset it made and never filled."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from loader.api import Client, Connection
from loader.errors import (
    LoaderError,
    NotFound,
    OutcomeUnknown,
    PublishFailed,
    Refused,
    UsageError,
)
from loader.job.journal import Journal
from loader.job.journal.files import in_use
from loader.job.journal.list import JobSummary, latest_waiting, list_jobs
from loader.job.journal.records import DatasetRecord, JobRecord, SessionRecord
from loader.job.journal.states import JobState
from loader.job.publish import HOW_TO_CHECK, Found, look_at_publish
from loader.job.retrier import once

__all__ = ["Cancelled", "cancel_job", "check_cancellable", "last_unfinished", "needs_server"]


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What became of a job that was given up.

    Attributes:
        job: Its id.
        dataset_id: Its dataset; None: it had none, or it was deleted.
        dataset: The dataset's name.
        session: ``deleted``; ``gone``: the server did not know it any more; None: there was none.
        dataset_deleted: Whether the dataset was deleted, which the job had created.
        warnings: What the user should know.
    """

    job: str
    dataset_id: str | None = None
    dataset: str | None = None
    session: str | None = None
    dataset_deleted: bool = False
    warnings: tuple[str, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """Returns the object that ``--json`` prints."""
        return {
            "status": "cancelled",
            "job": self.job,
            "dataset_id": self.dataset_id,
            "dataset": self.dataset,
            "session": self.session,
            "dataset_deleted": self.dataset_deleted,
            "warnings": list(self.warnings),
            "error": None,
        }


def last_unfinished(jobs: Sequence[JobSummary]) -> JobSummary:
    """Returns the latest job that can be cancelled; of what is published there is none.

    Args:
        jobs: All jobs, the latest first.

    Raises:
        UnknownJob: There is none.
        JobInUse: There is only one that a process drives.
    """
    return latest_waiting(
        [job for job in jobs if job.record and job.record.state is not JobState.PUBLISHED]
    )


def check_cancellable(record: JobRecord) -> None:
    """Refuses a job whose data is published, or that has nothing left to give up.

    Raises:
        UsageError: It cannot be cancelled.
    """
    if record.state is JobState.PUBLISHED:
        raise _published(record)
    if record.state is JobState.CLOSED:
        if record.stage is JobState.PUBLISHED or record.stage is JobState.PUBLISHING:
            raise _published(record)
        raise UsageError(
            f"job {record.id} has ended as it should: nothing is left to cancel", hint=_OTHERS
        )
    if record.state is JobState.FAILED and not needs_server(record):
        raise UsageError(
            f"job {record.id} has failed, and has cleaned up: nothing is left to cancel",
            hint=_OTHERS,
        )


_OTHERS = "mstr-loader jobs lists all jobs"


def _published(record: JobRecord) -> UsageError:
    return UsageError(
        f"job {record.id} cannot be cancelled: its data is published",
        hint="load the dataset again to replace its data",
        job=record.id,
        dataset_id=record.dataset and record.dataset.id,
    )


def needs_server(record: JobRecord) -> bool:
    """Whether a job may have left something on the server."""
    if record.state is JobState.CANCELLED:
        return False
    made = record.dataset is not None and record.dataset.created and not record.dataset.deleted
    return record.session is not None or (made and record.state is not JobState.FAILED)


async def cancel_job(path: Path, connection: Connection | None) -> Cancelled:
    """Gives a job up.

    Args:
        path: Its journal.
        connection: The server; None: the job ``needs_server`` not.

    Raises:
        JobInUse: Another process drives it, or has changed it since it was looked at.
        UsageError: Its data is published.
        OutcomeUnknown: It was publishing, and the server does not tell what became of that.
        LoaderError: The server could not be asked; the job is as it was.
    """
    journal = await Journal.open(path.stem, directory=path.parent)
    try:
        record = await journal.read()
        check_cancellable(record)
        if record.state is JobState.CANCELLED:
            dataset = record.dataset
            return Cancelled(
                record.id,
                dataset_id=dataset.id if dataset and not dataset.deleted else None,
                dataset=dataset.name if dataset else None,
                warnings=("it was cancelled before",),
            )
        if not needs_server(record):
            done = _untouched(record)
        elif connection is None:
            raise in_use(path.stem, None)
        else:
            done = await _on_server(journal, record, connection)
        await journal.gave_up(JobState.CANCELLED)
        return done
    finally:
        await journal.close()


def _untouched(record: JobRecord) -> Cancelled:
    dataset = record.dataset
    if dataset is None:
        return Cancelled(record.id)
    return Cancelled(record.id, None if dataset.deleted else dataset.id, dataset.name)


async def _on_server(journal: Journal, record: JobRecord, connection: Connection) -> Cancelled:
    if connection.project is None:
        raise UsageError("no project was named", hint="--project NAME or MSTR_PROJECT")
    async with Client(connection, concurrency=1) as client:
        await client.login()
        try:
            await client.select_project(connection.project)
            return await _Cancelling(client, journal, record).run()
        finally:
            # It ends by itself as well.
            with contextlib.suppress(LoaderError):
                await client.logout()


class _Cancelling:
    """Takes from the server what a job has left there."""

    def __init__(self, client: Client, journal: Journal, record: JobRecord) -> None:
        self._client = client
        self._journal = journal
        self._record = record
        self._done = _untouched(record)

    async def run(self) -> Cancelled:
        """Ends the session, then deletes the dataset where it is surely without data."""
        dataset, session = self._record.dataset, self._record.session
        if dataset is None:
            return self._done
        unpublished = True
        if session is not None:
            if self._record.stage is JobState.PUBLISHING:
                unpublished = await self._look_at_publish(dataset, session)
            await self._end(dataset, session)
        elif self._record.stage is JobState.PUBLISHING:
            unpublished = await self._nobody_can_tell(dataset, "its upload session is gone")
        if unpublished and dataset.created and not dataset.deleted:
            await self._discard(dataset)
        return self._done

    async def _look_at_publish(self, dataset: DatasetRecord, session: SessionRecord) -> bool:
        """Looks what became of the publish; returns whether it surely was none.

        Raises:
            UsageError: It has published the data.
            OutcomeUnknown: The server cannot tell any more, and nobody was told so before.
        """
        try:
            look = await look_at_publish(self._client, dataset.id, session.id, call=once)
        except PublishFailed:
            return True
        if look.found is Found.NOT_BEGUN:
            return True  # and without its session it never will
        if look.found is Found.GONE:
            return await self._nobody_can_tell(dataset, look.words)
        if look.found is Found.DONE:
            await self._journal.published()
            await self._end(dataset, session)
            await self._journal.gave_up(JobState.CLOSED, "found to be published")
            raise _published(self._record)
        self._warn(f"it was publishing, which was called off; to be sure, {HOW_TO_CHECK}")
        return False

    async def _nobody_can_tell(self, dataset: DatasetRecord, why: str) -> bool:
        """Says once that the outcome is not known; returns that it may have been a publish.

        Raises:
            OutcomeUnknown: Nobody was told so before.
        """
        if self._record.state is JobState.UNKNOWN:
            self._warn(f"whether its data was published is not known; {HOW_TO_CHECK}")
            return False
        await self._journal.session_ended()
        await self._journal.gave_up(JobState.UNKNOWN, why)
        raise OutcomeUnknown(
            f"job {self._record.id} was publishing when it stopped, and its upload session is "
            "gone: it is not known whether the data was published",
            hint=f"mstr-loader resume {self._record.id} looks at the rows; or {HOW_TO_CHECK}, and "
            "cancel it once more to have it off the list",
            job=self._record.id,
            dataset_id=dataset.id,
        )

    async def _end(self, dataset: DatasetRecord, session: SessionRecord) -> None:
        try:
            await self._client.delete_upload_session(dataset.id, session.id)
            fate = "deleted"
        except NotFound:
            fate = "gone"
        await self._journal.session_ended()
        self._done = replace(self._done, session=fate)

    async def _discard(self, dataset: DatasetRecord) -> None:
        """Deletes the dataset that the job had created, unless somebody has filled it since."""
        try:
            if await self._may_have_data(dataset):
                self._warn(
                    "the dataset, which this job created, was not deleted: it may have data of "
                    "another load by now"
                )
                return
            await self._client.delete_dataset(dataset.id)
        except NotFound:
            pass
        except LoaderError as error:
            self._warn(
                f"the dataset, which this job created, could not be deleted: {error.message}"
            )
            return
        await self._journal.dataset_deleted()
        self._done = replace(self._done, dataset_id=None, dataset_deleted=True)

    async def _may_have_data(self, dataset: DatasetRecord) -> bool:
        others = (
            job.record
            for job in list_jobs(self._journal.path.parent)
            if job.record is not None and job.id != self._record.id
        )
        if any(
            other.dataset is not None
            and other.dataset.id == dataset.id
            and other.state not in {JobState.CANCELLED, JobState.FAILED}
            for other in others
        ):
            return True
        for table in dataset.model.tables:
            try:
                if await self._client.row_count(dataset.id, table.name) != 0:
                    return True
            except Refused:
                # What was never published has no data to count.
                continue
        return False

    def _warn(self, warning: str) -> None:
        self._done = replace(self._done, warnings=(*self._done.warnings, warning))
