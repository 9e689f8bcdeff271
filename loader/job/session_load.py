"""The workflow of many requests: an upload session, chunk after chunk, one publish."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack

from loader.api import Client, PublishStatus, UploadTable
from loader.errors import (
    ApiError,
    Interrupted,
    LoaderError,
    NotFound,
    PublishFailed,
    Refused,
    Unreachable,
)
from loader.job.dataset import Target, resolve_dataset
from loader.job.gate import Gate
from loader.job.outcome import may_have_happened
from loader.job.progress import Phase
from loader.job.publish import publish_and_wait
from loader.job.restart import Restarts, StartOver
from loader.job.result import Status
from loader.job.retrier import Retrier
from loader.job.retry import RetryBudget
from loader.job.running import Running
from loader.job.upload import Upload

__all__ = ["SessionLoad"]

_EMPTIED = (
    "the dataset is empty: --overwrite had re-created its definition, and its new data was not "
    "published; run the same command again to fill it"
)

_BLOCKED = (
    "a dataset takes one upload session at a time: another load may be running, or may have died "
    "without deleting its own, which ends when its login times out"
)

_CLOSING_BUDGET = RetryBudget(retries=2, deadline=5.0)
"""What deleting an upload session at the end may cost: it ends by itself one day."""


class SessionLoad:
    """Fills a dataset through an upload session, which every end deletes."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._settings = running.settings
        self._result = running.result
        self._progress = running.progress
        self._restarts = Restarts(
            rereadable=all(source.rereadable for _, source in running.prepared.tables)
        )
        self._upload: Upload | None = None
        self._emptied = False
        self._session_deleted = False
        self._new_logins = 0

    @property
    def lost(self) -> str | None:
        """What an overwrite has taken away already."""
        return _EMPTIED if self._emptied else None

    async def run(self, client: Client, closing: AsyncExitStack, /) -> None:
        """Finds or makes the dataset, uploads, publishes and verifies."""
        running = self._running
        target = await resolve_dataset(
            client, running.prepared.model, self._settings, running.check_keys
        )
        closing.push_async_exit(self._discard_unless_used(client, target))
        self._result.dataset_id, self._result.dataset = target.id, target.name
        running.fit(target)
        await running.journal.dataset_known(target, self._settings.folder_id)
        running.warn(*target.warnings)
        self._emptied = target.emptied
        before = await running.count_before(client, target)
        closing.push_async_callback(
            running.close, "delete the upload session", lambda: self._delete_session(client, target)
        )
        retrier = self._retrier(
            client, RetryBudget(self._settings.retries, self._settings.retry_deadline)
        )
        try:
            while not await self._passes(client, target, retrier, before):
                pass
        finally:
            self._warn_of_repeats(client)
        if self._settings.publish:
            await running.verify(client, target.id, before)
        else:
            running.warn(
                "not published, as asked: what was uploaded is discarded, a new dataset too"
            )

    def _retrier(self, client: Client, budget: RetryBudget) -> Retrier:
        running = self._running
        clock, sleep = running.clock, running.sleep
        # Any call that needs the login would do: this one changes nothing, and renews the login.
        gate = Gate(client.session_timeout, limit=budget.deadline, clock=clock, sleep=sleep)
        return Retrier(budget, gate, self._progress, clock=clock, sleep=sleep, draw=running.draw)

    async def _passes(
        self,
        client: Client,
        target: Target,
        retrier: Retrier,
        before: Mapping[str, int | None],
    ) -> bool:
        """Sends and publishes everything; returns False when that has to begin again."""
        journal = self._running.journal
        try:
            session = await self._open_session(client, target, retrier)
            self._upload = Upload(
                self._running,
                client,
                target,
                session,
                retrier=retrier,
                restarts=self._restarts,
            )
            await journal.session_opened(session, self._running.prepared.stages.rules.target)
            self._progress.phase = Phase.LOADING
            await self._running.pump(self._upload.send, self._progress)
            await journal.uploaded()
            if self._settings.publish:
                await journal.publishing(before)
                await self._publish(client, target, session, retrier)
            else:
                self._result.status = Status.UPLOADED
        except StartOver as again:
            again.let_go()
            await self._start_over(client, target, retrier, again)
            return False
        except NotFound:
            self._upload = None  # there is nothing left to delete
            await self._running.note(journal.session_ended)
            raise
        return True

    async def _start_over(
        self, client: Client, target: Target, retrier: Retrier, again: StartOver
    ) -> None:
        self._progress.phase = Phase.LOADING
        self._restarts.note(again, self._running.prepared.stages.rules)
        await self._running.start_over(again.rules)
        upload, self._upload = self._upload, None
        if again.rules is None or upload is None:
            return
        try:
            await retrier.call(lambda: client.delete_upload_session(target.id, upload.session))
        except NotFound:
            pass  # an attempt whose answer was lost has deleted it
        except BaseException:
            self._upload = upload
            raise

    def stopped_in_publish(self) -> Interrupted:
        """Returns what being stopped in the middle of the publish means."""
        deleted = "the upload session was deleted, which cancels a publish that had not ended"
        open_ = "the upload session could not be deleted, and the publish may go on"
        return Interrupted(
            "stopped while the data was being published",
            hint=f"{deleted if self._session_deleted else open_}; "
            "check the dataset before loading again",
        )

    async def _open_session(self, client: Client, target: Target, retrier: Retrier) -> str:
        """Opens an upload session.

        Where an answer was lost, a session may be open whose id nobody knows, and which keeps
        others out. It ends with the login that opened it.
        """
        unanswered = False

        def note(failure: LoaderError) -> None:
            nonlocal unanswered
            unanswered = unanswered or may_have_happened(failure)

        async def attempt() -> str:
            return await client.open_upload_session(target.id, self._upload_tables())

        try:
            return await retrier.call(attempt, on_retry=note)
        except Refused as error:
            if not unanswered:
                error.hint = error.hint or _BLOCKED
                raise
        await client.log_in_again()
        self._new_logins += 1
        try:
            return await retrier.call(attempt)
        except Refused as error:
            error.hint = error.hint or (
                "the answer to an earlier attempt of this load was lost, and may have left an "
                f"upload session open; {_BLOCKED}"
            )
            raise

    def _upload_tables(self) -> list[UploadTable]:
        return [
            UploadTable(
                name=table.name,
                update_policy=self._settings.policy_of(table.name),
                orientation=self._settings.orientation,
                column_headers=table.column_names,
            )
            for table in self._running.prepared.model.tables
        ]

    def _warn_of_repeats(self, client: Client) -> None:
        ended = client.logins - 1 - self._new_logins
        if ended > 0:
            self._running.warn(f"the login ended {ended} times and was renewed")
        self._running.warn(*self._restarts.warnings(self._running.prepared.stages.rules))
        if self._upload is not None and self._upload.doubtful:
            self._running.warn(
                f"chunks sent again that may have arrived before: {len(self._upload.doubtful)}. A "
                "server that does not replace an index by its repetition has their rows twice"
            )

    def _on_trouble(self, trouble: str | None) -> None:
        self._progress.trouble = trouble

    async def _publish(
        self, client: Client, target: Target, session: str, retrier: Retrier
    ) -> None:
        self._progress.phase = Phase.PUBLISHING

        async def attempt() -> PublishStatus:
            return await publish_and_wait(
                client,
                target.id,
                session,
                timeout=self._settings.publish_timeout,
                on_trouble=self._on_trouble,
                clock=self._running.clock,
                sleep=self._running.sleep,
            )

        try:
            # What may be repeated comes out of it only where the publish surely was not started.
            status = await retrier.call(attempt)
        except NotFound as error:
            # The same: the session had gone before it.
            again = self._restarts.after_loss(error)
            if again is None:
                raise
            raise again from None
        self._result.status = Status.PUBLISHED
        # Before the session is deleted: afterwards the server could not be asked any more.
        await self._running.note(self._running.journal.published)
        if not self._result.rows:
            self._running.warn(
                f"no rows were sent; the server answered: status {status.code} {status.message}"
            )

    def _discard_unless_used(
        self, client: Client, target: Target
    ) -> Callable[..., Awaitable[None]]:
        """Returns the exit that takes away a dataset which this load created and did not fill."""

        async def discard(_kind: object, error: BaseException | None, _trace: object) -> None:
            # What may have been published is never deleted.
            refused = isinstance(error, ApiError | Unreachable) or (
                isinstance(error, PublishFailed) and error.details["known"]
            )
            unpublished = self._progress.phase is not Phase.PUBLISHING or refused
            if target.created and unpublished and self._result.status is not Status.PUBLISHED:
                await self._running.close(
                    "delete the new dataset", lambda: self._delete(client, target)
                )

        return discard

    async def _delete(self, client: Client, target: Target) -> None:
        await client.delete_dataset(target.id)
        self._result.dataset_id = None
        await self._running.note(self._running.journal.dataset_deleted)

    async def _delete_session(self, client: Client, target: Target) -> None:
        if self._upload is None:
            return
        session = self._upload.session
        failed = False

        def note(_: LoaderError) -> None:
            nonlocal failed
            failed = True

        budget = RetryBudget(
            min(_CLOSING_BUDGET.retries, self._settings.retries), _CLOSING_BUDGET.deadline
        )
        try:
            await self._retrier(client, budget).call(
                lambda: client.delete_upload_session(target.id, session), on_retry=note
            )
        except NotFound:
            if not failed:
                await self._running.note(self._running.journal.session_ended)
                raise
        self._session_deleted = True
        await self._running.note(self._running.journal.session_ended)
