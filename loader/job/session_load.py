"""The workflow of many requests: an upload session, chunk after chunk, one publish."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from loader.api import Client
from loader.errors import (
    ApiError,
    Blocked,
    Interrupted,
    NotFound,
    PublishFailed,
    SourceChanged,
    Unreachable,
)
from loader.job.course import Course
from loader.job.dataset import Target, resolve_dataset
from loader.job.earlier import Earlier, Kept
from loader.job.ends import command_of, is_passing
from loader.job.gate import Gate
from loader.job.journal.states import JobState
from loader.job.known import known_dataset
from loader.job.progress import Phase
from loader.job.publishing import Publishing
from loader.job.restart import Restarts, StartOver
from loader.job.result import Status
from loader.job.retrier import Retrier
from loader.job.retry import RetryBudget
from loader.job.running import Running
from loader.job.upload import Upload
from loader.job.upload_sessions import UploadSessions

__all__ = ["SessionLoad"]

_CLOSING_BUDGET = RetryBudget(retries=2, deadline=5.0)
"""What deleting an upload session at the end may cost: it ends by itself one day."""


class SessionLoad:
    """Fills a dataset through an upload session.

    Every end deletes the session, but for those after which a later process can go on.
    """

    def __init__(self, running: Running, earlier: Earlier | None = None) -> None:
        """Takes what it works with.

        Args:
            running: The load.
            earlier: What earlier processes of its job have done; None: this is the first one.
        """
        self._running = running
        self._settings = running.settings
        self._result = running.result
        self._progress = running.progress
        self._earlier = earlier
        self._resumed = earlier is not None
        away = earlier is not None and running.journal.once is None
        # A source that was read only once never comes back.
        self._unreadable = earlier.unreadable if earlier and away else None
        self._restarts = Restarts(
            rereadable=all(source.rereadable for _, source in running.prepared.tables)
        )
        self._upload: Upload | None = None
        self._known = self._uploaded = self._emptied = self._was_published = False
        if earlier is not None:
            self._count(earlier)

    def _count(self, earlier: Earlier) -> None:
        """Begins with what is done already, so that every end tells of the whole job."""
        if earlier.dataset is not None:
            self._result.dataset_id, self._result.dataset = earlier.dataset.id, earlier.dataset.name
        rejected = earlier.rejected if earlier.kept and earlier.is_uploaded else {}
        self._running.count_earlier(earlier.kept.cuts if earlier.kept else {}, rejected)

    @property
    def lost(self) -> str | None:
        """What an overwrite has taken away already."""
        return (
            "the dataset is empty: --overwrite had re-created its definition, and its new data was "
            "not published"
            if self._emptied
            else None
        )

    def leaves_open(self, error: BaseException | None) -> bool:
        """Whether a later process can go on where an end leaves the load."""
        if self._result.status is Status.PUBLISHED:
            return False
        if not self._known:
            # What earlier processes have left is as it was.
            return self._resumed
        journal = self._running.journal
        if journal.job is None:
            return False
        if error is None:
            return self._result.status is Status.UPLOADED
        if self._resumed and isinstance(error, Blocked | SourceChanged):
            # In the way is a session that was opened when the process died, and that nobody knows;
            # or the source may come back.
            return True
        return (journal.once is None or self._uploaded) and is_passing(error)

    def stopped_in_publish(self) -> Interrupted:
        """Returns what being stopped in the middle of the publish means."""
        return Interrupted(
            "stopped while the data was being published",
            hint="the server may go on with it: check the dataset before loading again",
        )

    def stopped_at_once(self) -> Interrupted:
        """Returns what the end of the process means."""
        if self.leaves_open(Interrupted("")):
            return Interrupted("stopped at once")
        return Interrupted(
            "stopped at once: the upload session is left to the server",
            hint="it ends when its login times out; until then the server may refuse another "
            "load into this dataset",
        )

    async def run(self, client: Client, closing: AsyncExitStack, /) -> None:
        """Finds or makes the dataset, uploads, publishes and verifies."""
        running = self._running
        budget = RetryBudget(self._settings.retries, self._settings.retry_deadline)
        retrier = self._retrier(client, budget)
        target = await self._find(client, retrier)
        closing.push_async_exit(self._discard_unless_used(client, target))
        self._result.dataset_id, self._result.dataset = target.id, target.name
        running.fit(target)
        earlier = self._earlier
        if earlier is None or earlier.dataset is None:
            await running.journal.dataset_known(target, self._settings.folder_id)
        self._known = True
        running.warn(*target.warnings)
        self._emptied = target.emptied
        before = earlier.before if earlier else None
        if before is None:
            before = await running.count_before(client, target)
        sessions = UploadSessions(running, client, target)
        course = Course(client, target, retrier, sessions, before)
        closing.push_async_exit(self._delete_unless_left(course))
        try:
            while not await self._passes(course):
                pass
        finally:
            self._warn_of_repeats(course)
        if self._result.status is Status.PUBLISHED:
            await running.verify(client, target.id, before, later=self._was_published)
        else:
            running.warn(
                f"not published, as asked: {command_of(job)} publishes it, "
                f"mstr-loader cancel {job} discards it"
                if (job := running.journal.job)
                else "not published, as asked: what was uploaded is discarded"
            )

    async def _find(self, client: Client, retrier: Retrier) -> Target:
        """Returns the dataset, which an earlier process of the job may have found or made."""
        running, earlier = self._running, self._earlier
        if earlier is not None and earlier.dataset is not None:
            found = await known_dataset(client, running.prepared, earlier, retrier.call)
            if found is not None:
                return found
            running.warn(
                f"the dataset {earlier.dataset.id}, which this job had created, is gone: "
                "everything is sent again"
            )
            self._earlier = None
            await running.start_over(None)
        return await resolve_dataset(
            client,
            running.prepared.model,
            self._settings,
            running.check_keys,
            retrier.call,
            sleep=running.sleep,
        )

    def _retrier(self, client: Client, budget: RetryBudget) -> Retrier:
        running = self._running
        clock, sleep = running.clock, running.pause
        # Any call that needs the login would do: this one changes nothing, and renews the login.
        gate = Gate(client.session_timeout, limit=budget.deadline, clock=clock, sleep=sleep)
        return Retrier(
            budget,
            gate,
            self._progress,
            clock=clock,
            sleep=sleep,
            draw=running.draw,
            stopping=lambda: running.draining,
        )

    # -- one pass over the source ------------------------------------------------------------------

    async def _passes(self, course: Course) -> bool:
        """Sends and publishes everything; returns False when that has to begin again."""
        running, earlier, self._earlier = self._running, self._earlier, None
        stage = earlier.stage if earlier else JobState.CREATED
        kept = earlier.kept if earlier else None
        try:
            if earlier is not None and kept is not None:
                self._take_up(course, kept, whole=earlier.is_uploaded)
            if stage is JobState.PUBLISHED:
                self._result.status = Status.PUBLISHED
                self._was_published = True
                return True
            if stage is JobState.PUBLISHING:
                await self._publishing(course).run(self._session, resumed=True)
                return True
            if not self._uploaded:
                await self._send_all(course, kept)
            if self._settings.publish:
                await running.journal.publishing(course.before)
                await self._publishing(course).run(self._session)
            else:
                self._result.status = Status.UPLOADED
        except StartOver as again:
            again.let_go()
            await self._start_over(course, again)
            return False
        except NotFound:
            self._upload = None  # there is nothing left to delete
            await running.note(running.journal.session_ended)
            raise
        return True

    def _take_up(self, course: Course, kept: Kept, *, whole: bool) -> None:
        """Goes on with the upload session of an earlier process.

        Raises:
            StartOver: It is of no use but to be deleted.
        """
        if kept.session is not None:
            self._upload = self._upload_into(course, kept.session)
        self._uploaded = whole
        reason = kept.given_up
        if reason is None and not whole:
            reason = self._running.too_large(kept.largest_missing)
        if reason is not None:
            raise StartOver(reason)
        self._running.cut_by(kept.rules)
        if self._upload is not None:
            self._upload.doubt(kept.cuts)

    async def _send_all(self, course: Course, kept: Kept | None) -> None:
        """Sends what the upload session lacks."""
        running = self._running
        if self._upload is None:
            session = await course.sessions.open(course.retrier)
            self._upload = self._upload_into(course, session)
            await running.journal.session_opened(session, running.prepared.stages.rules.target)
        self._progress.phase = Phase.LOADING
        await running.pump(self._upload.send, self._progress, kept.cuts if kept else {})
        self._uploaded = True
        tables = running.result.tables
        await running.journal.uploaded({one.name: one.rejected for one in tables if one.rejected})

    @property
    def _session(self) -> str | None:
        return None if self._upload is None else self._upload.session

    def _publishing(self, course: Course) -> Publishing:
        return Publishing(self._running, course, self._restarts, self._unreadable)

    def _upload_into(self, course: Course, session: str) -> Upload:
        return Upload(
            self._running,
            course.client,
            course.target,
            session,
            retrier=course.retrier,
            restarts=self._restarts,
        )

    async def _start_over(self, course: Course, again: StartOver) -> None:
        self._progress.phase = Phase.LOADING
        self._uploaded = False
        self._restarts.note(again, self._running.prepared.stages.rules)
        await self._running.start_over(again.rules)
        upload, self._upload = self._upload, None
        if again.lost or upload is None:
            return
        try:
            await course.sessions.delete(upload.session, course.retrier)
        except BaseException:
            self._upload = upload
            raise

    def _warn_of_repeats(self, course: Course) -> None:
        ended = course.client.logins - 1 - course.sessions.new_logins
        if ended > 0:
            self._running.warn(f"the login ended {ended} times and was renewed")
        self._running.warn(*self._restarts.warnings(self._running.prepared.stages.rules))
        if self._upload is not None and self._upload.doubtful:
            self._running.warn(
                f"chunks sent again that may have arrived before: {len(self._upload.doubtful)}. A "
                "server that does not replace an index by its repetition has their rows twice"
            )

    # -- ends --------------------------------------------------------------------------------------

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
            unused = unpublished and self._result.status is not Status.PUBLISHED
            if target.created and unused and not self.leaves_open(error):
                await self._running.close(
                    "delete the new dataset", lambda: self._delete(client, target)
                )

        return discard

    async def _delete(self, client: Client, target: Target) -> None:
        await client.delete_dataset(target.id)
        self._result.dataset_id = None
        await self._running.note(self._running.journal.dataset_deleted)

    def _delete_unless_left(self, course: Course) -> Callable[..., Awaitable[None]]:
        """Returns the exit that ends the upload session, if no later process can use it."""

        async def end(_kind: object, error: BaseException | None, _trace: object) -> None:
            if not self.leaves_open(error):
                await self._running.close(
                    "delete the upload session", lambda: self._delete_session(course)
                )

        return end

    async def _delete_session(self, course: Course) -> None:
        if self._upload is None:
            return
        retries = min(_CLOSING_BUDGET.retries, self._settings.retries)
        budget = RetryBudget(retries, _CLOSING_BUDGET.deadline)
        await course.sessions.delete(self._upload.session, self._retrier(course.client, budget))
        await self._running.note(self._running.journal.session_ended)
