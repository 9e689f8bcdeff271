"""A row that cannot be loaded: where it is, why, and what its source says there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from loader.errors import BadValue

__all__ = ["BadRow"]

# Characters of a value that an error shows; a rejects file has all of it.
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class BadRow:
    """One row that was set aside.

    The stages of a load never stop at such a row: they take it out of their batch and hand it on
    beside the good ones, in the order of the source. What is to become of it (``--on-bad-row``) is
    decided in one place, where the rows arrive in order.

    Attributes:
        origin: The file it is in, or ``<arrow>``.
        row: Its number among the data rows of the file, from 1.
        column: The column whose value does not fit; None where the row as a whole is malformed.
        value: The value as the source has it, or the text of the malformed row.
        reason: What is wrong with it, as the end of a sentence.
        hint: What to change.
    """

    origin: str
    row: int
    column: str | None
    value: str
    reason: str
    hint: str

    def error(self, table: str) -> BadValue:
        """Returns the error of a load that ends with this row."""
        where = f"{self.origin}, row {self.row}"
        if self.column is not None:
            where += f", column {self.column!r}"
        shown = self.value if len(self.value) <= _SHOWN else f"{self.value[:_SHOWN]}…"
        return BadValue(
            f"{where}: {shown!r} {self.reason}",
            hint=f"{self.hint}; or leave such rows out with --on-bad-row skip or quarantine",
            table=table,
            file=self.origin,
            row=self.row,
            column=self.column,
            value=shown,
        )

    def as_dict(self, table: str) -> dict[str, Any]:
        """Returns the line of a rejects file."""
        return {
            "table": table,
            "source": self.origin,
            "row": self.row,
            "column": self.column,
            "reason": self.reason,
            "value": self.value,
        }
