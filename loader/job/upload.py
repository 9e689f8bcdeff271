"""Fills one upload session: sends its chunks, and knows which of them may have arrived twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from loader.api import Client
from loader.encode import Chunk
from loader.errors import LoaderError, Refused
from loader.job.cuts import Cut
from loader.job.dataset import Target
from loader.job.journal.tables import OtherChunk
from loader.job.outcome import may_have_happened
from loader.job.restart import Restarts, StartOver
from loader.job.retrier import Retrier
from loader.job.running import Running

__all__ = ["Upload"]

_REFUSED_CHUNK = (
    "nothing was published; where the server wants chunks in order and one at a time, "
    "--ordering strict sends them so"
)


class Upload:
    """The chunks of one pass over the source.

    Attributes:
        session: The upload session's id.
        doubtful: Chunks that were sent again though they may have arrived whole before.
    """

    def __init__(
        self,
        running: Running,
        client: Client,
        target: Target,
        session: str,
        *,
        retrier: Retrier,
        restarts: Restarts,
    ) -> None:
        self._running = running
        self._client = client
        self._target = target
        self._retrier = retrier
        self._restarts = restarts
        self.session = session
        self.doubtful: set[tuple[str, int]] = set()

    def doubt(self, cuts: Mapping[str, Sequence[Cut]]) -> None:
        """Takes note of chunks that an earlier process may have sent, and never knew of it."""
        for table, found in cuts.items():
            self.doubtful |= {(table, cut.index) for cut in found if not cut.accepted}

    async def send(self, chunk: Chunk) -> None:
        """Sends a chunk, with identical bytes as often as it takes.

        Raises:
            StartOver: This upload session is of no more use, and another one may be.
            LoaderError: It could not be sent.
        """
        data = chunk.data
        running = self._running
        sent = 0

        async def put() -> None:
            nonlocal sent
            readings = data.readings
            began = written = running.clock()

            async def on_slice(size: int) -> None:
                nonlocal written
                written = running.clock()
                await running.on_slice(size)

            try:
                await self._client.put_chunk(
                    self._target.id,
                    self.session,
                    table=chunk.table,
                    index=chunk.index,
                    data=data,
                    on_slice=on_slice,
                )
                now = running.clock()
                running.timing.answered(now - began)
                running.puts.answered(chunk.json_bytes, now - began, now - written)
            finally:
                # After a new login the client itself sends the body once more.
                again = max(0, data.readings - readings - 1)
                running.result.retries += again + (sent > 0)
                sent += 1

        def doubt(failure: LoaderError) -> None:
            running.tuner.failed(running.clock(), began=first_sent)
            running.puts.sent_again(failure)
            if may_have_happened(failure):
                self.doubtful.add((chunk.table, chunk.index))

        try:
            if await running.journal.planned(chunk):
                running.accepted(chunk)
                return
        except OtherChunk:
            raise StartOver(
                f"chunk {chunk.index} of table {chunk.table!r} has other bytes now than when the "
                "job began"
            ) from None
        first_sent = running.clock()
        try:
            await self._retrier.call(put, on_retry=doubt)
        except LoaderError as error:
            again = self._restarts.after_chunk(error, chunk, running.prepared.stages.rules)
            if again is not None:
                raise again from None
            error.details = {"table": chunk.table, "chunk": chunk.index} | error.details
            if isinstance(error, Refused):
                error.hint = error.hint or _REFUSED_CHUNK
            raise
        running.timing.accepted(chunk, first_sent, sent)
        await running.journal.accepted(chunk)
        running.accepted(chunk)
