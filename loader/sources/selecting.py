"""Some rows of a source: those that meet a condition, and the first of them."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Protocol, runtime_checkable

import pyarrow as pa

from loader.sources.base import Batch, Source
from loader.sources.unify import projected
from loader.sources.where import Condition

__all__ = ["FilteredSource", "LimitedSource", "NotedSource", "pruned"]


@runtime_checkable
class Prunable(Protocol):
    """A source that can leave out rows by something it knows before it reads them."""

    def pruned(self, condition: Condition) -> Source:
        """Returns the source without parts none of whose rows meet the condition."""


class _Wrapped:
    """What is the same for some rows of a source as for all of them."""

    def __init__(self, source: Source) -> None:
        self._source = source

    @property
    def schema(self) -> pa.Schema:
        """The columns of the source."""
        return self._source.schema

    @property
    def rereadable(self) -> bool:
        """Whether the source is."""
        return self._source.rereadable

    @property
    def origins(self) -> Sequence[str]:
        """The files in reading order."""
        return self._source.origins

    @property
    def notes(self) -> Sequence[str]:
        """The notes of the source."""
        return self._source.notes


class NotedSource(_Wrapped):
    """A source of which there is more to say."""

    def __init__(self, source: Source, notes: Sequence[str]) -> None:
        super().__init__(source)
        self._notes = tuple(notes)

    @property
    def rows(self) -> int | None:
        """The rows of the source."""
        return self._source.rows

    @property
    def notes(self) -> Sequence[str]:
        """What is to be said, and the notes of the source."""
        return (*self._notes, *self._source.notes)

    def pruned(self, condition: Condition) -> Source:
        """Returns the source without what cannot meet a condition."""
        return NotedSource(pruned(self._source, condition), self._notes)

    def batches(
        self, batch_bytes: int, columns: Sequence[str] | None = None
    ) -> Generator[Batch, None, None]:
        """Reads the source."""
        return self._source.batches(batch_bytes, columns)


def pruned(source: Source, condition: Condition) -> Source:
    """Returns a source without parts none of whose rows meet a condition, as far as it can tell."""
    return source.pruned(condition) if isinstance(source, Prunable) else source


class FilteredSource(_Wrapped):
    """The rows of a source that meet a condition, in the places that they have there."""

    rows: int | None = None

    def __init__(self, source: Source, condition: Condition) -> None:
        super().__init__(pruned(source, condition))
        self._condition = condition

    def batches(
        self, batch_bytes: int, columns: Sequence[str] | None = None
    ) -> Generator[Batch, None, None]:
        """Reads the columns that are wanted or that the condition needs, and filters."""
        names = projected(self.schema, columns).names
        needed = [name for name in self._condition.columns if name not in names]
        with closing(self._source.batches(batch_bytes, [*names, *needed])) as batches:
            for batch in batches:
                kept = batch.keep(self._condition.mask(batch.data)) if batch.data else batch
                if not kept.data.num_rows and not kept.rejected:
                    continue
                yield kept.with_data(kept.data.select(names)) if needed else kept


class LimitedSource(_Wrapped):
    """The first rows of a source; it is read no further."""

    def __init__(self, source: Source, limit: int) -> None:
        super().__init__(source)
        self._limit = limit

    @property
    def rows(self) -> int | None:
        """The rows of the source, up to the limit."""
        return None if self._source.rows is None else min(self._source.rows, self._limit)

    def batches(
        self, batch_bytes: int, columns: Sequence[str] | None = None
    ) -> Generator[Batch, None, None]:
        """Reads until there are enough rows."""
        left = self._limit
        with closing(self._source.batches(batch_bytes, columns)) as batches:
            for batch in batches:
                rows = batch.data.num_rows
                yield batch if rows <= left else batch.slice(0, left)
                left -= rows
                if left <= 0:
                    return
