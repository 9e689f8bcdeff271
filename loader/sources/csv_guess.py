"""Which delimiter a CSV file has, judged by its first rows; and whether it writes decimal commas.

A guess never changes a value: it decides where fields end, which a wrong guess shows in every row,
and it is said aloud (``Source.notes``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from loader.sources.base import CsvOptions
from loader.sources.csv_dialect import Dialect, shown
from loader.sources.csv_rows import first_rows, split

__all__ = ["Choice", "Look", "candidates", "look", "settle", "words"]

_CANDIDATES: Final = (",", ";", "\t", "|")
_ROWS: Final = 25
_MOSTLY: Final = 0.5
_DECIMAL_COMMA: Final = re.compile(r"-?\d+(,\d+)?", re.ASCII)
_OTHER_COMMA: Final = re.compile(rb"(?<!\d),|,(?!\d)")


@dataclass(frozen=True, slots=True)
class Choice:
    """A delimiter that a file may have.

    Attributes:
        fields: Those of the first row; what is no UTF-8 in them as lone surrogates.
        share: How many of the first rows have as many fields as the first one, from 0 to 1.
        decimal_commas: The columns in which all numbers look as 1,5 does in much of Europe.
    """

    delimiter: str
    fields: tuple[str, ...]
    share: float
    decimal_commas: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """What the first rows of a file say.

    Attributes:
        fitting: The delimiters that make a table of them, the likeliest first.
        others: Those with which it can be read, but as one column or with many bad rows.
    """

    fitting: tuple[Choice, ...]
    others: tuple[Choice, ...]

    @property
    def best(self) -> Choice | None:
        """The delimiter to take; None if there is no row to tell it from."""
        return next(iter((*self.fitting, *self.others)), None)


def candidates(options: CsvOptions, *, tabs: bool) -> Sequence[str]:
    """Returns the delimiters in question, the one to take if none can be seen first.

    Args:
        options: Checked ones.
        tabs: Whether the file's name says that it has tabs.
    """
    if options.delimiter is not None:
        return (options.delimiter,)
    if tabs:
        return ("\t",)
    taken = {options.decimal, options.quote, options.escape, options.comment}
    taken |= {character for null in options.nulls for character in null}
    return [delimiter for delimiter in _CANDIDATES if delimiter not in taken] or [","]


def look(head: bytes, dialects: Mapping[str, Dialect], *, header: bool, final: bool) -> Look:
    """Looks at the first rows with each delimiter in question.

    Args:
        head: UTF-8 from the first row on.
        dialects: By delimiter, the one to take if none can be seen first.
        header: Whether the first row names the columns.
        final: Nothing comes after ``head``.
    """
    first = next(iter(dialects))
    present = [name for name, dialect in dialects.items() if dialect.delimiter in head]
    # With nothing to choose from, a file of commas has only its header to tell.
    most = 1 if present == [","] else _ROWS
    seen = [
        choice
        for delimiter in dict.fromkeys((first, *present))
        if (choice := _choice(head, dialects[delimiter], most, header=header, final=final))
    ]
    fitting = [choice for choice in seen if len(choice.fields) > 1 and choice.share > _MOSTLY]
    best = max((choice.share for choice in fitting), default=0.0)
    commas_are_points = len(present) > 1 and not _OTHER_COMMA.search(head)

    def order(choice: Choice) -> tuple[bool, int, int]:
        comma = 0
        if choice.delimiter == ",":
            # First, as it is what the name of the format says; or last, where every comma stands
            # between digits, as decimal commas do.
            comma = 1 if commas_are_points else -1
        return (choice.share < best, comma, -len(choice.fields))

    others = tuple(choice for choice in seen if choice not in fitting)
    if not any(choice.delimiter == first for choice in seen):
        # Not even its first row can be read as what it most likely is. That with another delimiter
        # it is one long field says nothing.
        others = ()
    return Look(tuple(sorted(fitting, key=order)), others)


def settle(looks: Sequence[Look]) -> Sequence[Look]:
    """Returns the looks at all files of a table without what does not fit all of them.

    Where no delimiter does, the files really differ, and the looks are returned as they are.
    """
    evident = [found for found in looks if found.fitting]
    common = set(_CANDIDATES).intersection(
        *({choice.delimiter for choice in found.fitting} for found in evident)
    )
    if not evident or not common:
        return looks
    # The order of the first file is the one of all.
    order = [c.delimiter for c in evident[0].fitting if c.delimiter in common]
    settled = []
    for found in looks:
        known = {choice.delimiter: choice for choice in (*found.fitting, *found.others)}
        fitting = tuple(known[delimiter] for delimiter in order if delimiter in known)
        settled.append(Look(fitting if found.fitting else fitting[:1], found.others))
    return settled


def words(look: Look) -> str | None:
    """Returns what is to be said about a guess; None for a comma that nothing spoke against."""
    if not look.fitting:
        return None
    choice, *others = look.fitting
    rivals = [shown(other.delimiter) for other in others if other.share == choice.share]
    if rivals:
        return (
            f"delimiter {shown(choice.delimiter)} (guessed; {', '.join(rivals)} would fit as well)"
        )
    return None if choice.delimiter == "," else f"delimiter {shown(choice.delimiter)} (guessed)"


def _choice(
    head: bytes, dialect: Dialect, most: int, *, header: bool, final: bool
) -> Choice | None:
    found, sound = first_rows(head, dialect, most, final=final)
    if not found:
        return None
    rows = [
        [field.decode(errors="surrogateescape") for field in split(row, dialect)] for row in found
    ]
    width = len(rows[0])
    full = [row for row in rows if len(row) == width]
    values = full[1:] if header else full
    commas = [
        position
        for position in range(width)
        if _has_decimal_commas([row[position] for row in values])
    ]
    share = len(full) / len(rows) if sound else 0.0
    return Choice(dialect.delimiter.decode(), tuple(rows[0]), share, tuple(commas))


def _has_decimal_commas(values: Sequence[str]) -> bool:
    values = [value for value in values if value]
    return any("," in value for value in values) and all(
        _DECIMAL_COMMA.fullmatch(value) for value in values
    )
