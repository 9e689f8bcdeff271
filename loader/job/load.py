"""One load from login to logout, which leaves nothing behind but what a later process can use."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence

from loader.api import Client, Connection, KeepAlive
from loader.encode import native_available, native_missing
from loader.errors import (
    Defect,
    Interrupted,
    LoaderError,
    OutcomeUnknown,
    Recovery,
    SourceError,
    UsageError,
)
from loader.job.advice import Circumstances, advice
from loader.job.earlier import Earlier
from loader.job.ends import command_of, is_passing
from loader.job.journal import Steps
from loader.job.one_request import OneRequestLoad
from loader.job.prepare import Prepared
from loader.job.progress import Phase, Progress
from loader.job.result import Result, Status, status_of
from loader.job.retry import RetryBudget
from loader.job.running import Running, Workload
from loader.job.session_load import SessionLoad
from loader.job.settings import Workflow
from loader.job.starting import log_in_and_select
from loader.job.tuner import Reason
from loader.planning import MOST_CONCURRENT
from loader.sources.pipes import was_copied

__all__ = ["Load"]

# What a stop after the publish can only be noted for.
_AFTERWARDS = {
    Phase.VERIFYING: "stopped before the rows on the server were counted",
    Phase.CLOSING: "stopped while the session was being closed",
}

# Seconds of a load below which nobody asks where they went.
_WORTH_A_LINE = 1.0


class Load:
    """Drives one load. ``result`` and ``progress`` can be read at any time, also after a failure.

    Most ends close what the workflow opened and log out; what goes wrong then is a warning, never
    hides the reason of the end, and is given up after 20 seconds. After an end from which a later
    process can go on, the upload session is left open, and the login to time out: a logout may take
    the session with it.
    """

    def __init__(
        self,
        prepared: Prepared,
        connection: Connection,
        progress: Progress,
        *,
        clock: Callable[[], float] = time.monotonic,
        began: float | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        journal: Steps | None = None,
        earlier: Earlier | None = None,
        timeline: bool = False,
    ) -> None:
        """Takes what it works with.

        Args:
            prepared: What to load.
            connection: The server.
            progress: Shows how far it is.
            clock: Monotonic seconds.
            began: When the preparation of its source began, by the clock; None: it does not count.
            sleep: Waits.
            journal: Where its steps are written down; None: nowhere.
            earlier: What earlier processes of its job have done; None: this is the first one.
            timeline: Whether ``result.timeline`` tells of each chunk.
        """
        self._running = Running(
            prepared,
            connection,
            progress,
            clock=clock,
            sleep=sleep,
            journal=journal,
            timeline=timeline,
        )
        self._workload: Workload = (
            OneRequestLoad(self._running)
            if prepared.settings.workflow is Workflow.ONE_REQUEST
            else SessionLoad(self._running, earlier)
        )
        self._connection = connection
        # Smaller chunks, after a refusal of large ones, let more of them be under way.
        tries = prepared.settings.concurrency is None
        self._connections = MOST_CONCURRENT if tries else prepared.stages.senders
        self._clock = clock
        self._began = began
        # Those that --check-keys looks at are counted later.
        self._scanned = progress.rows_scanned > 0
        self.progress = progress
        self.result = self._running.result
        progress.rows_total = prepared.rows
        if connection.tls and connection.insecure:
            self._running.warn(
                f"the certificate of {connection.server} was not checked: anybody on the way "
                "could read the password and the data"
            )

    async def run(self) -> Result:
        """Runs the load to its end.

        Returns:
            The result; a failure is its ``error``.

        Raises:
            asyncio.CancelledError: The caller cancelled; ``result`` then says ``interrupted``.
        """
        began = self._clock()
        if self._began is not None:
            self.result.times.preparing = began - self._began
            began = self._began
        try:
            await self._run()
        except LoaderError as error:
            self._fail(error)
        except asyncio.CancelledError:
            if self.progress.phase in _AFTERWARDS:
                self._running.warn(_AFTERWARDS[self.progress.phase])
            else:
                self._fail(self._interrupted())
            raise
        except Exception as error:  # noqa: BLE001 - nothing but the error tree leaves this room
            defect = Defect(f"a defect in mstr-loader: {type(error).__name__}: {error}")
            defect.__cause__ = error
            self._fail(defect)
        finally:
            self.result.seconds = self._clock() - began
            self._warn_of_loss()
            self._sum_up_times()
            await self._running.note(lambda: self._running.journal.ended(self.result))
        return self.result

    def drain(self) -> bool:
        """Lets the PUTs under way end and begins nothing more: the gentle way to stop.

        Returns:
            Whether there are any, with whose end ``run`` comes to its own; otherwise its task is to
            be cancelled, which stops at once.
        """
        return self._running.drain()

    @property
    def notes(self) -> Sequence[str]:
        """What was guessed about the sources, and why it may be slow, in words."""
        tables = self._running.prepared.tables
        missing = native_missing()
        return [
            *(f"{table.name}: {note}" for table, source in tables for note in source.notes),
            *([missing] if missing else []),
        ]

    def stopped_at_once(self) -> None:
        """Notes in the result that the process ends now, in the middle of whatever it was doing."""
        if self.result.status in {Status.PUBLISHED, Status.UPLOADED}:
            self._running.warn("stopped while the session was being closed")
            return
        self._fail(self._workload.stopped_at_once())

    def _fail(self, error: LoaderError) -> None:
        self.result.status = status_of(error)
        self.result.error = error
        job = self.result.job
        if job is not None and self._workload.leaves_open(error):
            self._leave(job, error)
        error.hint = error.hint or self._way_on(error)

    def _leave(self, job: str, error: LoaderError) -> None:
        """Says how to go on with what is left."""
        if self.result.status is Status.FAILED:
            self.result.status = Status.INTERRUPTED
        self.result.resume = command_of(job)
        error.details["resume"] = self.result.resume
        again = f"{self.result.resume} goes on where it stopped"
        if error.hint and not is_passing(error):
            return
        if isinstance(error, OutcomeUnknown):
            again = f"{self.result.resume} looks again"
        error.hint = f"{again}; {_continued(error.hint)}" if error.hint else again

    def _warn_of_loss(self) -> None:
        lost = self._workload.lost
        stopped_early = (
            self.result.status is Status.INTERRUPTED and self.progress.phase is not Phase.PUBLISHING
        )
        if lost and (self.result.status is Status.FAILED or stopped_early):
            again = self.result.resume or "the same command again"
            self._running.warn(f"{lost}; {again} fills it")

    def _sum_up_times(self) -> None:
        """Says in words what the time was spent on, and what would help."""
        running = self._running
        if not running.timing.latencies.count:
            return
        self.result.concurrency = self._why_so_many()
        times = running.timing.times
        if self.result.error is not None or times.preparing + times.seconds < _WORTH_A_LINE:
            return
        self.result.time_spent, self.result.advice = advice(
            times,
            running.timing.latencies,
            running.puts,
            Circumstances(
                settings=running.settings,
                rules=running.prepared.stages.rules,
                memory=running.prepared.memory,
                reason=running.tuner.reason,
                why=running.tuner.why,
                limit=running.tuner.limit,
                compiled=native_available(),
                copied=any(was_copied(source) for _, source in running.prepared.tables),
                scanned=self._scanned,
            ),
        )

    def _why_so_many(self) -> str:
        """Says how many PUTs went at once, and why, if there were enough of them to tell."""
        running = self._running
        chunks = running.timing.latencies.count
        if running.tuner.reason is Reason.ASKED or chunks > running.timing.times.senders:
            return running.tuner.why
        too_few = "1 chunk is" if chunks == 1 else f"{chunks} chunks are"
        return f"{too_few} too few to tell how many PUTs at once are best"

    async def _run(self) -> None:
        self.progress.phase = Phase.CONNECTING
        async with contextlib.AsyncExitStack() as closing:
            client = await closing.enter_async_context(
                Client(self._connection, concurrency=self._connections)
            )
            # Does nothing without a login.
            closing.push_async_exit(self._log_out_unless_left(client))
            await self._log_in(client)
            # Left before the logout: a call of its own would look like an ended login.
            await closing.enter_async_context(KeepAlive(client))
            await self._workload.run(client, closing)
            self.progress.phase = Phase.CLOSING
            if self.result.job is not None and self._workload.leaves_open(None):
                self.result.resume = command_of(self.result.job)

    def _log_out_unless_left(self, client: Client) -> Callable[..., Awaitable[None]]:
        async def log_out(_kind: object, error: BaseException | None, _trace: object) -> None:
            if not self._workload.leaves_open(error):
                await self._running.close("log out", client.logout)

        return log_out

    async def _log_in(self, client: Client) -> None:
        running = self._running
        await log_in_and_select(
            client,
            self._connection,
            budget=RetryBudget(running.settings.retries, running.settings.retry_deadline),
            progress=self.progress,
            clock=running.clock,
            sleep=running.sleep,
            draw=running.draw,
        )

    def _way_on(self, error: LoaderError) -> str | None:
        """Returns a hint for an error that came without one."""
        if isinstance(error, OutcomeUnknown | UsageError):
            return None
        if isinstance(error, Interrupted):
            return "run the same command again to start over"
        if isinstance(error, Defect):
            return "nothing was published; --debug shows the traceback, which belongs in a report"
        if isinstance(error, SourceError):
            return "nothing was published; mend the source, then run the same command again"
        if error.recovery is Recovery.NONE:
            return "nothing was published; the server's own logs may say more than its answer"
        return "nothing was published; run the same command again to start over"

    def _interrupted(self) -> Interrupted:
        if self.progress.phase is Phase.PUBLISHING:
            return self._workload.stopped_in_publish()
        return Interrupted("stopped before anything was published")


def _continued(sentence: str) -> str:
    """Returns a sentence as the continuation of another; an option or a name stays as it is."""
    return sentence[0].lower() + sentence[1:] if sentence[1:2].islower() else sentence
