"""Which chunk indices of a table were accepted and which may come next: decisions without I/O."""

from __future__ import annotations

import enum

from loader.emulator.options import Order, RepeatIndex
from loader.emulator.refusals import Refusal, conflict, forbidden_now, invalid

__all__ = ["Admission", "Indices", "parse_index"]

_SHOWN = 5
"""How many missing indices a message names."""

_MAX_DIGITS = 9
"""Longer indices than any upload has; Python refuses to read thousands of digits."""


class Admission(enum.Enum):
    """What is to be done with a chunk."""

    KEEP = "keep"
    APPEND = "append"
    SKIP = "skip"


def parse_index(value: object) -> int:
    """Reads an index: a number, or the string of the documents' sample (``"index": "1"``).

    Raises:
        Refusal: Anything but a whole number from 1.
    """
    if isinstance(value, str) and len(value) <= _MAX_DIGITS and value.isascii() and value.isdigit():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise invalid(f"index must be a whole number from 1, not {value!r}.")
    return value


class Indices:
    """The accepted indices of one table in one upload session."""

    def __init__(self) -> None:
        self._accepted: set[int] = set()
        self._lowest_missing = 1

    def __len__(self) -> int:
        return len(self._accepted)

    @property
    def lowest_missing(self) -> int:
        """The smallest index from 1 that was not accepted yet."""
        return self._lowest_missing

    def admit(self, index: int, order: Order, window: int, repeat: RepeatIndex) -> Admission:
        """Decides what an index means now.

        Raises:
            Refusal: Out of order, or a repetition that is not allowed.
        """
        if index in self._accepted:
            match repeat:
                case RepeatIndex.REJECT:
                    raise conflict(f"Index {index} was uploaded before (--repeat-index reject).")
                case RepeatIndex.IGNORE:
                    return Admission.SKIP
                case RepeatIndex.APPEND:
                    return Admission.APPEND
                case RepeatIndex.REPLACE:
                    return Admission.KEEP
        if order is Order.STRICT and index != self._lowest_missing:
            raise forbidden_now(
                f"Index {index} is out of order: {self._lowest_missing} must come next "
                "(--order strict)."
            )
        if order is Order.WINDOW and index > self._lowest_missing + window:
            raise forbidden_now(
                f"Index {index} is too far ahead: {self._lowest_missing} is missing, and at most "
                f"{window} indices may run ahead of it (--order window --window {window})."
            )
        return Admission.KEEP

    def accept(self, index: int) -> None:
        """Notes that a chunk is kept."""
        self._accepted.add(index)
        while self._lowest_missing in self._accepted:
            self._lowest_missing += 1

    def gap(self, table: str) -> Refusal | None:
        """Returns why a publish cannot be: the indices are not 1..N without a hole; or None."""
        top = max(self._accepted, default=0)
        if self._lowest_missing > top:
            return None
        absent: list[int] = []
        count = top - len(self._accepted)
        index = self._lowest_missing
        while len(absent) < min(count, _SHOWN):
            if index not in self._accepted:
                absent.append(index)
            index += 1
        more = f" and {count - len(absent)} more" if count > len(absent) else ""
        return forbidden_now(
            f"Table {table!r} cannot be published: its indices must be 1 to {top} without a hole, "
            f"but {', '.join(map(str, absent))}{more} were not uploaded."
        )
