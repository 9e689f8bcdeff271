"""Opens and deletes the upload sessions of one load."""

from __future__ import annotations

import asyncio
import contextlib

from loader.api import Client, UploadTable
from loader.errors import Blocked, LoaderError, NotFound, Refused
from loader.job.dataset import Target
from loader.job.journal.list import list_jobs
from loader.job.outcome import may_have_happened
from loader.job.retrier import Retrier
from loader.job.running import Running

__all__ = ["UploadSessions"]

_CONFLICT = 409

_BLOCKED = (
    "a dataset takes one upload session at a time: another load may be running, or may have died "
    "without deleting its own, which ends when its login times out"
)


class UploadSessions:
    """Makes the calls that begin and end an upload session.

    Attributes:
        new_logins: How often it has logged in anew, to be rid of a session nobody knows.
    """

    def __init__(self, running: Running, client: Client, target: Target) -> None:
        self._running = running
        self._client = client
        self._target = target
        self.new_logins = 0

    async def open(self, retrier: Retrier) -> str:
        """Opens an upload session; returns its id.

        Where an answer was lost, a session may be open whose id nobody knows, and which keeps
        others out. It ends with the login that opened it.

        Raises:
            LoaderError: It cannot be opened.
        """
        unanswered = False

        def note(failure: LoaderError) -> None:
            nonlocal unanswered
            unanswered = unanswered or may_have_happened(failure)

        async def attempt() -> str:
            return await self._client.open_upload_session(self._target.id, self._tables())

        try:
            return await retrier.call(attempt, on_retry=note)
        except Refused as error:
            if not unanswered:
                raise await self._blocked(error) from error
        await self._client.log_in_again()
        self.new_logins += 1
        try:
            return await retrier.call(attempt)
        except Refused as error:
            hint = (
                "the answer to an earlier attempt of this load was lost, and may have left an "
                f"upload session open; {_BLOCKED}"
            )
            raise _as_blocked(error, hint) from error

    def _tables(self) -> list[UploadTable]:
        settings = self._running.settings
        return [
            UploadTable(
                name=table.name,
                update_policy=settings.policy_of(table.name),
                orientation=settings.orientation,
                column_headers=table.column_names,
            )
            for table in self._running.prepared.model.tables
        ]

    async def _blocked(self, error: Refused) -> Refused:
        """Returns the error that says what is in the way: a job of this host, if it is one."""
        return _as_blocked(error, await self._hindrance())

    async def _hindrance(self) -> str:
        try:
            jobs = await asyncio.to_thread(list_jobs)
        except LoaderError:
            return _BLOCKED
        own = self._running.journal.job
        for job in jobs:
            record = job.record
            if job.id == own or record is None or record.session is None or job.driver is not None:
                continue
            if record.dataset is not None and record.dataset.id == self._target.id:
                resume = f"mstr-loader resume {job.id} goes on with it, "
                return (
                    f"job {job.id} of this host has left an upload session open for this dataset: "
                    f"{resume if record.can_resume else ''}mstr-loader cancel {job.id} ends it"
                )
        return _BLOCKED

    async def delete(self, session: str, retrier: Retrier) -> None:
        """Deletes an upload session; one that the server does not know is gone, and no failure.

        Raises:
            LoaderError: It could not be deleted.
        """
        with contextlib.suppress(NotFound):
            await retrier.call(lambda: self._client.delete_upload_session(self._target.id, session))


def _as_blocked(error: Refused, hint: str) -> Refused:
    """Returns what a refusal means: only a conflict can come of another session."""
    if error.status != _CONFLICT:
        error.hint = error.hint or hint
        return error
    return Blocked(error.message, hint=error.hint or hint, **error.details)
