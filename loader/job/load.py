"""One load from login to logout, which leaves nothing behind on any exit."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from loader.api import Client, Connection, UploadTable
from loader.encode import Chunk
from loader.errors import (
    ApiError,
    Defect,
    Interrupted,
    LoaderError,
    OutcomeUnknown,
    PublishFailed,
    Recovery,
    Refused,
    Unreachable,
    UsageError,
)
from loader.job.dataset import Target, resolve_dataset
from loader.job.limits import Throttle
from loader.job.pipeline import Pipeline
from loader.job.prepare import Prepared
from loader.job.progress import Phase, Progress
from loader.job.publish import publish_and_wait
from loader.job.result import Result, Status, TableResult, status_of

__all__ = ["Load"]

_EMPTIED = (
    "the dataset is empty: --overwrite had re-created its definition, and its new data was not "
    "published; run the same command again to fill it"
)

_REFUSED_CHUNK = (
    "nothing was published; where the server wants chunks in order and one at a time, "
    "--ordering strict sends them so"
)

# A server that is gone must not keep a failed load from ending.
CLOSING_TIMEOUT = 20.0


class Load:
    """Drives one load. ``result`` and ``progress`` can be read at any time, also after a failure.

    Every end deletes the upload session and logs out; what goes wrong then is a warning, never
    hides the reason of the end, and is given up after 20 seconds.
    """

    def __init__(
        self,
        prepared: Prepared,
        connection: Connection,
        progress: Progress,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._prepared = prepared
        self._settings = prepared.settings
        self._connection = connection
        self._clock = clock
        self.progress = progress
        self.result = Result(
            dataset=prepared.model.name,
            tables=[TableResult(table.name) for table, _ in prepared.tables],
            warnings=list(prepared.warnings),
        )
        self._shares = {table.name: table for table in self.result.tables}
        self._throttle = (
            Throttle(self._settings.max_rate, clock=clock) if self._settings.max_rate else None
        )
        self._emptied = False
        self._session_deleted = False
        progress.rows_total = prepared.rows
        if connection.tls and connection.insecure:
            self.result.warnings.append(
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
            if self.progress.phase is Phase.CLOSING:
                self.result.warnings.append("stopped while the session was being closed")
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
            if self._emptied and (self.result.status is Status.FAILED or stopped_early):
                self.result.warnings.append(_EMPTIED)
        return self.result

    def _fail(self, error: LoaderError) -> None:
        self.result.status = status_of(error)
        self.result.error = error
        error.hint = error.hint or self._way_on(error)

    async def _run(self) -> None:
        self.progress.phase = Phase.CONNECTING
        async with contextlib.AsyncExitStack() as closing:
            client = await closing.enter_async_context(
                Client(self._connection, concurrency=self._prepared.stages.senders)
            )
            await client.login()
            closing.push_async_callback(self._close, "log out", client.logout)
            await self._select_project(client)
            target = await resolve_dataset(client, self._prepared.model, self._settings)
            closing.push_async_exit(self._discard_unless_used(client, target))
            self.result.dataset_id, self.result.dataset = target.id, target.name
            self.result.warnings += target.warnings
            self._emptied = target.emptied
            session = await self._open_session(client, target)
            closing.push_async_callback(
                self._close,
                "delete the upload session",
                lambda: self._delete_session(client, target, session),
            )
            await self._upload(client, target, session)
            await self._publish(client, target, session)
            self.progress.phase = Phase.CLOSING

    async def _select_project(self, client: Client) -> None:
        if self._connection.project is None:
            names = ", ".join(project.name for project in await client.projects())
            raise UsageError(
                "no project was named", hint=f"--project NAME or MSTR_PROJECT; there are: {names}"
            )
        await client.select_project(self._connection.project)

    async def _open_session(self, client: Client, target: Target) -> str:
        try:
            return await client.open_upload_session(target.id, self._upload_tables())
        except Refused as error:
            error.hint = error.hint or (
                "a dataset takes one upload session at a time: another load may be running, or may "
                "have died without deleting its own, which ends when its login times out"
            )
            raise

    def _upload_tables(self) -> list[UploadTable]:
        return [
            UploadTable(
                name=table.name,
                update_policy=self._settings.policy_of(table.name),
                orientation=self._prepared.stages.orientation,
                column_headers=table.column_names,
            )
            for table, _ in self._prepared.tables
        ]

    async def _upload(self, client: Client, target: Target, session: str) -> None:
        self.progress.phase = Phase.LOADING

        async def send(chunk: Chunk) -> None:
            data = chunk.data
            try:
                await client.put_chunk(
                    target.id,
                    session,
                    table=chunk.table,
                    index=chunk.index,
                    data=data,
                    on_slice=self._on_slice,
                )
            except Refused as error:
                error.hint = error.hint or _REFUSED_CHUNK
                raise
            finally:
                # aiohttp sends a body a second time by itself when the connection was dropped.
                self.result.retries += max(0, data.readings - 1)
            share = self._shares[chunk.table]
            share.rows += chunk.rows
            share.chunks += 1
            share.json_bytes += chunk.json_bytes

        pipeline = Pipeline(self._prepared.stages, self.progress, send)
        try:
            await pipeline.run(self._prepared.tables)
        finally:
            self.result.warnings += pipeline.warnings()
            if self.result.retries:
                self.result.warnings.append(
                    f"{self.result.retries} chunks were sent twice: a connection was dropped. "
                    "A server that does not replace an index by its repetition has them twice"
                )

    async def _on_slice(self, size: int) -> None:
        self.result.wire_bytes += size
        self.progress.sent_bytes += size * 3 // 4
        if self._throttle is not None:
            await self._throttle.spend(size)

    def _on_trouble(self, trouble: str | None) -> None:
        self.progress.trouble = trouble

    async def _publish(self, client: Client, target: Target, session: str) -> None:
        if not self._settings.publish:
            self.result.status = Status.UPLOADED
            self.result.warnings.append(
                "not published, as asked: what was uploaded is discarded, a new dataset too"
            )
            return
        self.progress.phase = Phase.PUBLISHING
        status = await publish_and_wait(
            client,
            target.id,
            session,
            timeout=self._settings.publish_timeout,
            on_trouble=self._on_trouble,
            clock=self._clock,
        )
        self.result.status = Status.PUBLISHED
        if not self.result.rows:
            self.result.warnings.append(
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
            unpublished = self.progress.phase is not Phase.PUBLISHING or refused
            if target.created and unpublished and self.result.status is not Status.PUBLISHED:
                await self._close("delete the new dataset", lambda: self._delete(client, target))

        return discard

    async def _delete(self, client: Client, target: Target) -> None:
        await client.delete_dataset(target.id)
        self.result.dataset_id = None

    async def _delete_session(self, client: Client, target: Target, session: str) -> None:
        await client.delete_upload_session(target.id, session)
        self._session_deleted = True

    async def _close(self, aim: str, call: Callable[[], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(CLOSING_TIMEOUT):
                await call()
        except TimeoutError:
            self.result.warnings.append(f"could not {aim}: no answer in {CLOSING_TIMEOUT:.0f} s")
        except LoaderError as error:
            self.result.warnings.append(f"could not {aim}: {error.message}")
        except Exception as error:  # noqa: BLE001 - closing never hides how the load ended
            self.result.warnings.append(f"could not {aim}: {type(error).__name__}: {error}")

    def _way_on(self, error: LoaderError) -> str | None:
        """Returns a hint for an error that came without one."""
        if isinstance(error, OutcomeUnknown | UsageError):
            return None
        if error.recovery is Recovery.NONE:
            return "nothing was published; the server's own logs may say more than its answer"
        return "nothing was published; run the same command again to start over"

    def _interrupted(self) -> Interrupted:
        if self.progress.phase is Phase.PUBLISHING:
            deleted = "the upload session was deleted, which cancels a publish that had not ended"
            open_ = "the upload session could not be deleted, and the publish may go on"
            return Interrupted(
                "stopped while the data was being published",
                hint=f"{deleted if self._session_deleted else open_}; "
                "check the dataset before loading again",
            )
        return Interrupted(
            "stopped before anything was published",
            hint="run the same command again to start over",
        )
