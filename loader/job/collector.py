"""Puts the encoded blocks of a table together into chunks: those cut before, then new ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from loader.encode import Chunk, Encoded, Orientation, assemble, chunk_overhead
from loader.job.cuts import TableCuts
from loader.model import Table
from loader.planning import ChunkRules, Cutter

__all__ = ["Collector"]


class _Held(NamedTuple):
    covered: range
    block: Encoded


class Collector:
    """Holds the encoded blocks of one table back until they are a chunk.

    Where an earlier process has cut, its cuts decide; after the last of them, the cutter does.
    """

    def __init__(
        self, table: Table, orientation: Orientation, rules: ChunkRules, cuts: TableCuts
    ) -> None:
        self._table = table
        self._orientation = orientation
        self._cutter = Cutter(rules, chunk_overhead(orientation, len(table.columns)))
        self._cuts = cuts
        self._held: list[_Held] = []
        # Rows of the cut that is being passed through.
        self._rows = 0
        self._last_index = len(cuts)

    @property
    def last_index(self) -> int:
        """The index of the last chunk so far; 0: there is none."""
        return self._last_index

    @property
    def is_empty(self) -> bool:
        """Whether the table had no rows so far but rejected ones."""
        return not self._last_index and not self._held

    def add(self, covered: range, block: Encoded) -> Iterator[Chunk]:
        """Takes the next block; yields the chunks it completes.

        A block of a chunk that the server has is let go of.

        Args:
            covered: The positions of its rows, rejected ones among them.
            block: Its JSON.

        Raises:
            SourceUnreadable: The rows are not those that an earlier process has cut.
        """
        cut = self._cuts.at(covered.start)
        if block.rows and not (cut is not None and cut.accepted):
            # Held back for long, without what is no part of its chunk.
            lean = replace(block, rejected=()) if block.rejected else block
            self._held.append(_Held(covered, lean))
        if cut is None:
            self._cuts.check_gap(covered, block.rows)
            if block.rows:
                yield from self._new_chunks(self._cutter.feed(block.size))
            return
        self._rows += block.rows
        if covered.stop == cut.end_row:
            self._cuts.check_rows(cut, self._rows)
            self._rows = 0
            if not cut.accepted:
                yield self._chunk(cut.index, range(cut.first_row, cut.end_row))

    def finish(self, end_row: int) -> Iterator[Chunk]:
        """Yields what is left as the last chunk.

        Args:
            end_row: How many rows the source has, rejected ones among them.

        Raises:
            SourceUnreadable: They are fewer than an earlier process has cut.
        """
        self._cuts.check_end(end_row)
        yield from self._new_chunks(self._cutter.finish())

    def _new_chunks(self, counts: Iterator[int]) -> Iterator[Chunk]:
        for count in counts:
            self._last_index += 1
            first, last = self._held[0].covered, self._held[count - 1].covered
            yield self._chunk(self._last_index, range(first.start, last.stop), count)

    def _chunk(self, index: int, covered: range, count: int | None = None) -> Chunk:
        taken = [held.block for held in self._held[:count]]
        del self._held[:count]
        return assemble(self._table.name, index, covered, taken, self._orientation)
