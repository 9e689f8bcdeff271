"""The workflow of many requests: an upload session, chunk after chunk, one publish."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from loader.api import Client, UploadTable
from loader.encode import Chunk
from loader.errors import ApiError, Interrupted, PublishFailed, Refused, Unreachable
from loader.job.dataset import Target, resolve_dataset
from loader.job.progress import Phase
from loader.job.publish import publish_and_wait
from loader.job.result import Status
from loader.job.running import Running

__all__ = ["SessionLoad"]

_EMPTIED = (
    "the dataset is empty: --overwrite had re-created its definition, and its new data was not "
    "published; run the same command again to fill it"
)

_REFUSED_CHUNK = (
    "nothing was published; where the server wants chunks in order and one at a time, "
    "--ordering strict sends them so"
)


class SessionLoad:
    """Fills a dataset through an upload session, which every end deletes."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._settings = running.settings
        self._result = running.result
        self._progress = running.progress
        self._emptied = False
        self._session_deleted = False

    @property
    def lost(self) -> str | None:
        """What an overwrite has taken away already."""
        return _EMPTIED if self._emptied else None

    async def run(self, client: Client, closing: AsyncExitStack, /) -> None:
        """Finds or makes the dataset, uploads, publishes and verifies."""
        running = self._running
        target = await resolve_dataset(client, running.prepared.model, self._settings)
        closing.push_async_exit(self._discard_unless_used(client, target))
        self._result.dataset_id, self._result.dataset = target.id, target.name
        running.fit(target)
        running.warn(*target.warnings)
        self._emptied = target.emptied
        before = await running.count_before(client, target)
        session = await self._open_session(client, target)
        closing.push_async_callback(
            running.close,
            "delete the upload session",
            lambda: self._delete_session(client, target, session),
        )
        await self._upload(client, target, session)
        if not self._settings.publish:
            self._result.status = Status.UPLOADED
            running.warn(
                "not published, as asked: what was uploaded is discarded, a new dataset too"
            )
            return
        await self._publish(client, target, session)
        await running.verify(client, target.id, before)

    def stopped_in_publish(self) -> Interrupted:
        """Returns what being stopped in the middle of the publish means."""
        deleted = "the upload session was deleted, which cancels a publish that had not ended"
        open_ = "the upload session could not be deleted, and the publish may go on"
        return Interrupted(
            "stopped while the data was being published",
            hint=f"{deleted if self._session_deleted else open_}; "
            "check the dataset before loading again",
        )

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
                orientation=self._settings.orientation,
                column_headers=table.column_names,
            )
            for table in self._running.prepared.model.tables
        ]

    async def _upload(self, client: Client, target: Target, session: str) -> None:
        self._progress.phase = Phase.LOADING

        async def send(chunk: Chunk) -> None:
            data = chunk.data
            try:
                await client.put_chunk(
                    target.id,
                    session,
                    table=chunk.table,
                    index=chunk.index,
                    data=data,
                    on_slice=self._running.on_slice,
                )
            except Refused as error:
                error.hint = error.hint or _REFUSED_CHUNK
                raise
            finally:
                # aiohttp sends a body a second time by itself when the connection was dropped.
                self._result.retries += max(0, data.readings - 1)
            self._running.accepted(chunk)

        try:
            await self._running.pump(send, self._progress)
        finally:
            self._warn_of_repeats(client)

    def _warn_of_repeats(self, client: Client) -> None:
        if client.logins > 1:
            self._running.warn(f"the login ended {client.logins - 1} times and was renewed")
        if self._result.retries:
            self._running.warn(
                f"{self._result.retries} chunks were sent twice: a connection was dropped, or the "
                "login had ended. A server that does not replace an index by its repetition has "
                "twice what had arrived whole"
            )

    def _on_trouble(self, trouble: str | None) -> None:
        self._progress.trouble = trouble

    async def _publish(self, client: Client, target: Target, session: str) -> None:
        self._progress.phase = Phase.PUBLISHING
        status = await publish_and_wait(
            client,
            target.id,
            session,
            timeout=self._settings.publish_timeout,
            on_trouble=self._on_trouble,
            clock=self._running.clock,
            sleep=self._running.sleep,
        )
        self._result.status = Status.PUBLISHED
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

    async def _delete_session(self, client: Client, target: Target, session: str) -> None:
        await client.delete_upload_session(target.id, session)
        self._session_deleted = True
