"""Some rows of a source: those that meet a condition, and the first of them."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa

from loader.sources.base import Batch, Source, memory_of
from loader.sources.skipping import HEARTBEAT, without_first
from loader.sources.unify import projected

if TYPE_CHECKING:  # most loads have no condition
    from loader.sources.where import Condition

__all__ = ["FilteredSource", "JoinedSource", "LimitedSource", "NotedSource", "pruned"]

# As many as readers give at a time. Each batch takes some kilobytes, however few its rows are.
_JOINED_ROWS: Final = 8_192


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
        self, batch_bytes: int, columns: Sequence[str] | None = None, skip: int = 0
    ) -> Generator[Batch, None, None]:
        """Reads the source."""
        return self._source.batches(batch_bytes, columns, skip)


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
        self, batch_bytes: int, columns: Sequence[str] | None = None, skip: int = 0
    ) -> Generator[Batch, None, None]:
        """Reads the columns that are wanted or that the condition needs, and filters."""
        yield from without_first(self._kept(batch_bytes, columns), skip)

    def _kept(
        self, batch_bytes: int, columns: Sequence[str] | None
    ) -> Generator[Batch, None, None]:
        names = projected(self.schema, columns).names
        needed = [name for name in self._condition.columns if name not in names]
        with closing(self._source.batches(batch_bytes, [*names, *needed])) as batches:
            for batch in batches:
                kept = batch.keep(self._condition.mask(batch.data)) if batch.data else batch
                # Without any row too: whoever reads may want to stop.
                yield kept.with_data(kept.data.select(names)) if needed else kept


class LimitedSource(_Wrapped):
    """The first rows of a source, malformed ones among them; it is read no further."""

    def __init__(self, source: Source, limit: int) -> None:
        super().__init__(source)
        self._limit = limit

    @property
    def rows(self) -> int | None:
        """The rows of the source, up to the limit; malformed ones among the first make it fewer."""
        return None if self._source.rows is None else min(self._source.rows, self._limit)

    def batches(
        self, batch_bytes: int, columns: Sequence[str] | None = None, skip: int = 0
    ) -> Generator[Batch, None, None]:
        """Reads until there are enough rows."""
        left = self._limit - skip
        if left <= 0:
            return
        with closing(self._source.batches(batch_bytes, columns, skip)) as batches:
            for batch in batches:
                yield batch if batch.count <= left else batch.first(left)
                left -= batch.count
                if left <= 0:
                    return


class JoinedSource(_Wrapped):
    """The same rows in fewer batches, where conditions have left few in each."""

    @property
    def rows(self) -> int | None:
        """The rows of the source."""
        return self._source.rows

    def batches(
        self, batch_bytes: int, columns: Sequence[str] | None = None, skip: int = 0
    ) -> Generator[Batch, None, None]:
        """Gathers rows of one origin until they are some thousands, or ``batch_bytes``.

        In between come batches without rows: whoever reads may want to stop.
        """
        # Not left to the source: its batches without rows would be thinned out once more here.
        yield from without_first(self._gathered(batch_bytes, columns), skip)

    def _gathered(
        self, batch_bytes: int, columns: Sequence[str] | None
    ) -> Generator[Batch, None, None]:
        parts: list[Batch] = []
        rows = size = waited = 0
        with closing(self._source.batches(batch_bytes, columns)) as batches:
            try:
                for batch in batches:
                    more = batch.count
                    bytes_more = memory_of(batch.data)
                    waited += 1
                    if waited % HEARTBEAT == 0:
                        yield batch.emptied()
                    if not more:
                        continue
                    if parts and (
                        batch.origin != parts[0].origin
                        or rows + more > _JOINED_ROWS
                        or size + bytes_more > batch_bytes
                    ):
                        yield from _joined(parts)
                        parts, rows, size = [], 0, 0
                    parts.append(batch)
                    rows += more
                    size += bytes_more
            except Exception:
                # What could be read comes before what could not: a bad row there is the first.
                yield from _joined(parts)
                raise
            yield from _joined(parts)


def _joined(parts: Sequence[Batch]) -> Sequence[Batch]:
    """Returns the rows of several batches as one; as they are if Arrow cannot join them."""
    if len(parts) <= 1:
        return parts
    try:
        data = pa.concat_batches([part.data for part in parts])
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return parts  # such as dictionaries with more values together than their indices reach
    return [
        Batch(
            data=data,
            origin=parts[0].origin,
            row=parts[0].row,
            positions=np.concatenate([part.all_positions() for part in parts]),
            rejected=tuple(bad for part in parts for bad in part.rejected),
        )
    ]
