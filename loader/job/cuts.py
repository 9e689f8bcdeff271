"""Where an earlier process has cut a table into chunks: positions alone, no rows."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from loader.errors import Defect, SourceUnreadable

__all__ = ["Cut", "TableCuts"]


@dataclass(frozen=True, slots=True)
class Cut:
    """A chunk as an earlier process has cut it.

    Attributes:
        index: 1..k, contiguous within the table.
        first_row: Where its rows begin among all that the source delivers, rejected ones too; the
            first is 0.
        end_row: Where they end, counted in the same way; that one is no part of it.
        rows: How many rows it has, without rejected ones.
        json_bytes: The size of its JSON.
        accepted: Whether the server has it: only others have to be sent.
    """

    index: int
    first_row: int
    end_row: int
    rows: int
    json_bytes: int
    accepted: bool


class TableCuts:
    """The cuts of one table.

    Rows between two of them, or before the first, were all rejected.
    """

    def __init__(self, table: str, cuts: Sequence[Cut] = ()) -> None:
        """Takes the cuts, from index 1 on and in order.

        Raises:
            Defect: One is missing, or two overlap: rows would be lost, or doubled.
        """
        self._table = table
        self._cuts = tuple(cuts)
        end = 0
        for number, cut in enumerate(cuts, start=1):
            if cut.index != number or not end <= cut.first_row < cut.end_row:
                raise Defect(
                    f"a defect in mstr-loader: chunk {cut.index} of table {table!r}, of rows "
                    f"{cut.first_row} to {cut.end_row}, cannot follow chunk {number - 1}, which "
                    f"ends at {end}",
                    table=table,
                    chunk=cut.index,
                )
            end = cut.end_row

    def __repr__(self) -> str:
        return f"<TableCuts {len(self)} of table {self._table!r}, up to row {self.end_row}>"

    def __len__(self) -> int:
        return len(self._cuts)

    @property
    def end_row(self) -> int:
        """Where the last one ends."""
        return self._cuts[-1].end_row if self._cuts else 0

    @property
    def skippable(self) -> int:
        """How many rows at the beginning of the source nobody has to read."""
        missing = (cut.first_row for cut in self._cuts if not cut.accepted)
        return next(missing, self.end_row)

    @property
    def block_ends(self) -> list[int]:
        """Where blocks have to end, so that no block lies across the end of a chunk."""
        return sorted({row for cut in self._cuts for row in (cut.first_row, cut.end_row)})

    @property
    def accepted(self) -> list[int]:
        """The indices that the server has."""
        return [cut.index for cut in self._cuts if cut.accepted]

    def at(self, row: int) -> Cut | None:
        """Returns the cut that a row is part of."""
        place = bisect_right(self._cuts, row, key=lambda cut: cut.first_row)
        cut = self._cuts[place - 1] if place else None
        return cut if cut is not None and row < cut.end_row else None

    def is_accepted(self, row: int) -> bool:
        """Whether the server has a row."""
        cut = self.at(row)
        return cut is not None and cut.accepted

    def check_gap(self, block: range, rows: int) -> None:
        """Checks that rows which are part of no cut lie after all of them.

        Args:
            block: The positions of a block.
            rows: How many of them are not rejected.

        Raises:
            SourceUnreadable: They were rejected when the load began, and no chunk would have them.
        """
        if rows and block.start < self.end_row:
            raise self._other_rows(block, rows, 0)

    def check_rows(self, cut: Cut, rows: int) -> None:
        """Checks that a cut has as many rows as when it was made.

        Raises:
            SourceUnreadable: Others are rejected now.
        """
        if rows != cut.rows:
            raise self._other_rows(range(cut.first_row, cut.end_row), rows, cut.rows)

    def check_end(self, end_row: int) -> None:
        """Checks that the source does not end within the cuts.

        Raises:
            SourceUnreadable: It does.
        """
        if end_row < self.end_row:
            raise SourceUnreadable(
                f"table {self._table!r}: the source has fewer rows than when the load began: it "
                f"ends after {end_row:,} rows, and chunks were made of {self.end_row:,}",
                hint=_ANEW,
                table=self._table,
                rows=end_row,
            )

    def _other_rows(self, where: range, rows: int, before: int) -> SourceUnreadable:
        return SourceUnreadable(
            f"table {self._table!r}: the source has other rows than when the load began: of rows "
            f"{where.start + 1:,} to {where.stop:,} it could load {before:,} then, and {rows:,} "
            "now",
            hint=_ANEW,
            table=self._table,
            row=where.start + 1,
        )


_ANEW = "nothing was published; load the source as it is now from its beginning, with a new push"
