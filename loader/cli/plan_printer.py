"""Prints a plan: for people as tables of columns, sizes and memory, for machines as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from loader.cli.printers import count, listened_to
from loader.encode import native_missing
from loader.job.preview import shown_type
from loader.units import size

if TYPE_CHECKING:
    from loader.job import LoadPlan, TablePlan

__all__ = ["print_plan"]

# Characters of an example or a preview's value that a line shows.
_SHOWN = 40


@listened_to()
def print_plan(plan: LoadPlan, *, as_json: bool) -> None:
    """Prints a plan: one JSON object, or tables of columns, sizes and memory."""
    if as_json:
        print(json.dumps(plan.as_dict()), flush=True)
        return
    print(f"dataset {plan.model.name}")
    for table in plan.tables:
        for line in _table(table):
            print(line)
    if plan.workflow == "one-request":
        print("\none request, of at most 50 MB of JSON")
    else:
        print(
            f"\n{plan.orientation.lower()} orientation, chunks of about "
            f"{size(plan.chunk_target)}, {plan.memory.concurrency} at once"
        )
    print(f"memory: {plan.memory.formula()}")
    print(f"encoder: {native_missing() or 'compiled'}", flush=True)
    for warning in plan.warnings:
        print(f"warning: {warning}", file=sys.stderr)


def _table(table: TablePlan) -> Iterator[str]:
    yield ""
    rows = "rows known after reading" if table.rows is None else count(table.rows, "row")
    yield (f"table {table.table.name}: policy {table.policy}, {count(table.files, 'file')}, {rows}")
    yield from _aligned(
        [
            ("column", "data type", "role", "source type", "example"),
            *(
                (
                    column.name
                    if column.name == column.source
                    else f"{column.name} (from {column.source})",
                    column.data_type.value,
                    column.role.value,
                    shown_type(column),
                    _short(example or ""),
                )
                for column, example in zip(table.table.columns, table.examples(), strict=True)
            ),
        ]
    )
    if table.json_bytes is not None:
        yield (
            f"  about {size(table.json_bytes)} of JSON ({table.row_bytes or 0:.0f} bytes a row), "
            f"about {count(table.chunks or 0, 'chunk')}"
        )
    elif table.row_bytes is not None:
        yield f"  about {table.row_bytes:.0f} bytes of JSON a row"
    for note in table.notes:
        yield f"  {note}"
    if table.first_rows:
        yield f"  the first {count(len(table.first_rows), 'row')}, as they will be sent:"
        names = tuple(column.name for column in table.table.columns)
        yield from _aligned([names, *(tuple(map(_short, row)) for row in table.first_rows)])


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yields the rows as lines whose cells stand below each other."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        yield f"  {'  '.join(cells)}".rstrip()
