"""What a load tells its journal, whoever keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Protocol

from loader.encode import Chunk
from loader.job.dataset import Target
from loader.job.result import Result

__all__ = ["NONE_REJECTED", "Steps", "Unjournalled"]

NONE_REJECTED: Final[Mapping[str, int]] = MappingProxyType({})
"""No row was left out."""


class Steps(Protocol):
    """What a load tells its journal. Each step is durable when its call returns.

    The calls raise ``JournalUnusable`` where the step cannot be written down: a load must not go
    on then, except after the publish, when nothing is gained by stopping.
    """

    @property
    def job(self) -> str | None:
        """The job's id; None: nobody keeps a journal."""

    @property
    def once(self) -> str | None:
        """Why no other process can begin again with the source, in words; None: one can."""

    async def dataset_known(self, target: Target, folder_id: str | None) -> None:
        """The dataset was found or created."""

    async def session_opened(self, session_id: str, chunk_bytes: int) -> None:
        """An upload session was opened, for chunks of that size; one before it is gone."""

    async def planned(self, chunk: Chunk) -> bool:
        """A chunk is about to be sent; returns whether the server has it already."""

    async def accepted(self, chunk: Chunk) -> None:
        """The server has the chunk."""

    async def uploaded(self, rejected: Mapping[str, int] = NONE_REJECTED) -> None:
        """The server has every chunk; of the tables so many rows were left out."""

    async def publishing(self, before: Mapping[str, int | None]) -> None:
        """The publish is about to be asked for; the tables had these rows before."""

    async def published(self) -> None:
        """The server says that the data is published."""

    async def session_ended(self) -> None:
        """The upload session is gone."""

    async def dataset_deleted(self) -> None:
        """The dataset that this job created was deleted."""

    async def ended(self, result: Result) -> None:
        """The load has ended, and has cleaned up."""


class Unjournalled:
    """Keeps no journal: for a load of one request, which can neither be continued nor cancelled."""

    job: str | None = None
    once: str | None = "nobody keeps a journal of it"

    async def dataset_known(self, target: Target, folder_id: str | None) -> None:
        """Does nothing, as all of these."""

    async def session_opened(self, session_id: str, chunk_bytes: int) -> None:
        """Does nothing."""

    async def planned(self, chunk: Chunk) -> bool:  # noqa: ARG002 - the same name as in Steps
        """Does nothing."""
        return False

    async def accepted(self, chunk: Chunk) -> None:
        """Does nothing."""

    async def uploaded(
        self,
        rejected: Mapping[str, int] = NONE_REJECTED,
    ) -> None:
        """Does nothing."""

    async def publishing(self, before: Mapping[str, int | None]) -> None:
        """Does nothing."""

    async def published(self) -> None:
        """Does nothing."""

    async def session_ended(self) -> None:
        """Does nothing."""

    async def dataset_deleted(self) -> None:
        """Does nothing."""

    async def ended(self, result: Result) -> None:
        """Does nothing."""
