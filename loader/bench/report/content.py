"""What a page says, as plain data: the template lays it out and escapes it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from loader.bench.report.figures import Chart

__all__ = ["Alert", "Cell", "Column", "Page", "Recommended", "Row", "Section", "Table", "Tile"]


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure of the headline.

    Attributes:
        title: What it is.
        figure: The figure with its unit.
        note: What else is worth knowing.
    """

    title: str
    figure: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that went wrong or should be known.

    Attributes:
        kind: ``error``, ``warning`` or ``advice``.
        text: What.
        hint: What to change.
    """

    kind: str
    text: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Recommended:
    """The settings to load with.

    Attributes:
        settings: Each with its value.
        why: The reason, in words.
        command: A command line to copy; None: there is none.
    """

    settings: tuple[tuple[str, str], ...]
    why: str
    command: str | None

    @property
    def parts(self) -> list[str]:
        """The command line cut before its options, where lines may be broken."""
        return re.split(r"(?<= )(?=--)", self.command or "")


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: What it says.
        order: What its column is sorted by.
        kind: ``bad`` for what is wrong, ``good`` for what stands out, else nothing.
    """

    text: str
    order: float | str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table.

    Attributes:
        cells: One for each column.
        note: What is wrong with it, to stand below it: a sentence fits into no column.
    """

    cells: tuple[Cell, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        title: Its head, with the unit.
        number: Whether it holds numbers, which stand to the right.
    """

    title: str
    number: bool = True


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose rows people may sort.

    Attributes:
        caption: What it shows.
        columns: Its columns.
        rows: Its rows.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page under a heading of its own.

    Attributes:
        name: Unique within the page.
        title: The heading.
        lead: How to read it, in a sentence or two.
        charts: Side by side where there is room.
        most: What the darkest colour of its heat maps stands for; None: it has none.
        facts: Names and values.
        tables: Tables.
    """

    name: str
    title: str
    lead: str = ""
    charts: tuple[Chart, ...] = ()
    most: str | None = None
    facts: tuple[tuple[str, str], ...] = ()
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """A report.

    Attributes:
        kind: What was done: an upload benchmark, a load.
        title: Of what and into what.
        summary: What was measured, in a sentence or two.
        tiles: The headline's figures.
        recommended: The settings to load with; None: the page is not about settings.
        alerts: What went wrong or should be known.
        sections: The rest.
    """

    kind: str
    title: str
    summary: str
    tiles: tuple[Tile, ...]
    recommended: Recommended | None
    alerts: tuple[Alert, ...]
    sections: tuple[Section, ...]
