"""One load from login to logout, which leaves nothing behind on any exit."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from loader.api import Client, Connection, KeepAlive
from loader.errors import (
    Defect,
    Interrupted,
    LoaderError,
    OutcomeUnknown,
    Recovery,
    SourceError,
    UsageError,
)
from loader.job.journal import Steps
from loader.job.one_request import OneRequestLoad
from loader.job.prepare import Prepared
from loader.job.progress import Phase, Progress
from loader.job.result import Result, Status, status_of
from loader.job.running import Running, Workload
from loader.job.session_load import SessionLoad
from loader.job.settings import Workflow

__all__ = ["Load"]

_WORKFLOWS: dict[Workflow, Callable[[Running], Workload]] = {
    Workflow.SESSION: SessionLoad,
    Workflow.ONE_REQUEST: OneRequestLoad,
}

# What a stop after the publish can only be noted for.
_AFTERWARDS = {
    Phase.VERIFYING: "stopped before the rows on the server were counted",
    Phase.CLOSING: "stopped while the session was being closed",
}


class Load:
    """Drives one load. ``result`` and ``progress`` can be read at any time, also after a failure.

    Every end closes what the workflow opened and logs out; what goes wrong then is a warning, never
    hides the reason of the end, and is given up after 20 seconds.
    """

    def __init__(
        self,
        prepared: Prepared,
        connection: Connection,
        progress: Progress,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        journal: Steps | None = None,
    ) -> None:
        self._running = Running(
            prepared, connection, progress, clock=clock, sleep=sleep, journal=journal
        )
        self._workload = _WORKFLOWS[prepared.settings.workflow](self._running)
        self._connection = connection
        self._senders = prepared.stages.senders
        self._clock = clock
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
        try:
            await self._run()
        except LoaderError as error:
            self._fail(error)
        except asyncio.CancelledError:
            if self.progress.phase in _AFTERWARDS:
                self._running.warn(_AFTERWARDS[self.progress.phase])
            else:
                self.result.status = Status.INTERRUPTED
                self.result.error = self._interrupted()
            raise
        except Exception as error:  # noqa: BLE001 - nothing but the error tree leaves this room
            defect = Defect(f"a defect in mstr-loader: {type(error).__name__}: {error}")
            defect.__cause__ = error
            self._fail(defect)
        finally:
            self.result.seconds = self._clock() - began
            stopped_early = (
                self.result.status is Status.INTERRUPTED
                and self.progress.phase is not Phase.PUBLISHING
            )
            lost = self._workload.lost
            if lost and (self.result.status is Status.FAILED or stopped_early):
                self._running.warn(lost)
            await self._running.note(lambda: self._running.journal.ended(self.result))
        return self.result

    def _fail(self, error: LoaderError) -> None:
        self.result.status = status_of(error)
        self.result.error = error
        error.hint = error.hint or self._way_on(error)

    async def _run(self) -> None:
        self.progress.phase = Phase.CONNECTING
        async with contextlib.AsyncExitStack() as closing:
            client = await closing.enter_async_context(
                Client(self._connection, concurrency=self._senders)
            )
            await client.login()
            closing.push_async_callback(self._running.close, "log out", client.logout)
            # Left before the logout: a call of its own would look like an ended login.
            await closing.enter_async_context(KeepAlive(client))
            await self._select_project(client)
            await self._workload.run(client, closing)
            self.progress.phase = Phase.CLOSING

    async def _select_project(self, client: Client) -> None:
        if self._connection.project is None:
            names = ", ".join(project.name for project in await client.projects())
            raise UsageError(
                "no project was named", hint=f"--project NAME or MSTR_PROJECT; there are: {names}"
            )
        await client.select_project(self._connection.project)

    def _way_on(self, error: LoaderError) -> str | None:
        """Returns a hint for an error that came without one."""
        if isinstance(error, OutcomeUnknown | UsageError):
            return None
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
        return Interrupted(
            "stopped before anything was published",
            hint="run the same command again to start over",
        )
