"""The last step of an upload: its publish, or what became of one that was asked for before."""

from __future__ import annotations

from loader.errors import LoaderError, NotFound, OutcomeUnknown, SourceChanged
from loader.job.course import Course
from loader.job.evidence import Verdict, find_evidence
from loader.job.progress import Phase
from loader.job.publish import HOW_TO_CHECK, SessionLost, continue_publish, publish_and_wait
from loader.job.restart import Restarts, StartOver
from loader.job.result import Status
from loader.job.running import Running

__all__ = ["Publishing"]

_FORGOTTEN = (
    "it is not known whether the data was published: an earlier process was about to publish, or "
    "did, and its upload session is gone"
)


class Publishing:
    """Publishes what a load has uploaded, once."""

    def __init__(
        self, running: Running, course: Course, restarts: Restarts, unreadable: str | None
    ) -> None:
        """Takes what it works with.

        Args:
            running: The load.
            course: Its dataset, and the ways to the server.
            restarts: Whether everything may be sent again.
            unreadable: Why the source cannot be read as it was; None: it can.
        """
        self._running = running
        self._course = course
        self._restarts = restarts
        self._unreadable = unreadable

    async def run(self, session: str | None, *, resumed: bool = False) -> None:
        """Publishes, or finds out what became of a publish that an earlier process asked for.

        Args:
            session: The upload session; None: it is known to be gone.
            resumed: Whether the publish may have been asked for before.

        Raises:
            StartOver: It was not published, or may be once more, and the upload session is gone.
            SourceChanged: The same, and the source is away.
            OutcomeUnknown: It may have been published.
            LoaderError: It was not.
        """
        running = self._running
        running.progress.phase = Phase.PUBLISHING
        began = running.clock()
        try:
            await self._run(session, resumed=resumed)
        finally:
            running.timing.times.publishing += running.clock() - began

    async def _run(self, session: str | None, *, resumed: bool) -> None:
        running, course = self._running, self._course
        if session is None:
            await self._weigh_evidence(SessionLost(_FORGOTTEN, hint=HOW_TO_CHECK))
            return
        publish = continue_publish if resumed else publish_and_wait
        try:
            status = await publish(
                course.client,
                course.target.id,
                session,
                timeout=running.settings.publish_timeout,
                call=course.retrier.call,
                on_note=running.warn,
                on_trouble=self._on_trouble,
                clock=running.clock,
                sleep=running.sleep,
            )
        except NotFound as error:
            # The session had gone before the publish was asked for.
            again = await self._after_loss(error)
            if again is None:
                raise
            raise again from None
        except SessionLost as lost:
            await self._weigh_evidence(lost)
        else:
            if not running.result.rows:
                running.warn(
                    f"no rows were sent; the server answered: status {status.code} {status.message}"
                )
            await self._published()

    def _on_trouble(self, trouble: str | None) -> None:
        self._running.progress.trouble = trouble

    async def _published(self) -> None:
        self._running.result.status = Status.PUBLISHED
        # Before the session is deleted: afterwards the server could not be asked any more.
        await self._running.note(self._running.journal.published)

    async def _weigh_evidence(self, lost: SessionLost) -> None:
        """Decides by row counts; returns if they show that the data is published.

        Raises:
            StartOver: It is not, or it does no harm to publish it once more.
            SourceChanged: The same, and the source is away.
            OutcomeUnknown: They do not show it.
        """
        running, course = self._running, self._course
        reason = lost.message.removesuffix(".")
        await running.note(running.journal.session_ended)
        found = await find_evidence(
            course.client,
            course.target.id,
            running.sent(course.before),
            created=course.target.created or course.target.emptied,
            clock=running.clock,
            sleep=running.sleep,
        )
        if found.verdict is Verdict.PUBLISHED:
            running.warn(f"{reason}; the rows on the server show that it was: {found.seen}")
            await self._published()
            return
        if found.verdict is not Verdict.UNKNOWN:
            again = await self._after_loss(lost)
            if again is not None:
                raise again from None
        raise OutcomeUnknown(f"{reason}; {found.seen}", hint=found.hint or HOW_TO_CHECK)

    async def _after_loss(self, error: LoaderError) -> StartOver | None:
        """Returns what follows from the loss of an upload session that had everything.

        Raises:
            SourceChanged: All would have to be sent again, and the source is away.
        """
        if self._unreadable is None:
            return self._restarts.after_loss(error)
        await self._running.note(self._running.journal.session_ended)
        raise SourceChanged(
            "the upload session was lost, and to send everything again the source would be needed: "
            f"{self._unreadable}",
            hint="bring the source back as it was; or cancel the job, and load what there is now",
        ) from error
