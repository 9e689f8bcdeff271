"""The first rows of a table, encoded: how wide they are, and what they will look like."""

from __future__ import annotations

import contextlib
import itertools
import json
from dataclasses import dataclass

from loader.badrow import BadRow
from loader.encode import BlockEncoder, Encoded, Orientation
from loader.job.blocks import Block, blocks
from loader.job.prepare import Prepared
from loader.job.settings import OnBadRow
from loader.job.shape import Shaper
from loader.model import Table
from loader.planning import block_bytes
from loader.sources import Source
from loader.units import MB

__all__ = ["Sample", "take_sample"]

# Blocks that are encoded to learn the bytes of a row: about 8 MB of JSON.
_BLOCKS = 2

# Rows that are looked through for an example of each column.
_EXAMPLE_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Sample:
    """The first rows of a table.

    Attributes:
        row_bytes: JSON bytes of a row; None without rows.
        rows: The first of them, each value as its JSON text.
        encoded_rows: How many rows were encoded.
        rejected: How many were left out.
        reason: Why the first one was left out; empty where none was.
    """

    row_bytes: float | None
    rows: tuple[tuple[str, ...], ...]
    encoded_rows: int
    rejected: int
    reason: str


def take_sample(prepared: Prepared, table: Table, source: Source, first_rows: int) -> Sample:
    """Reads and encodes the first rows of a table, as a load would.

    Args:
        prepared: The load.
        table: The table.
        source: Its source, which must be rereadable.
        first_rows: How many rows are wanted at least.

    Raises:
        SourceError: The source cannot be read.
        BadValue: A row cannot be loaded, and the load would fail for it.
    """
    stages = prepared.stages
    shaper = Shaper(table)
    with contextlib.closing(
        source.batches(min(stages.batch_bytes, 2 * MB), shaper.columns)
    ) as batches:
        pieces = blocks(batches, shaper, block_bytes(stages.rules))
        first = list(itertools.islice(pieces, _BLOCKS))
    encoder = BlockEncoder(table, stages.orientation)
    encoded = [encoder.encode(block.parts) for block in first]
    rejected = [bad for block in encoded for bad in block.rejected]
    if rejected and prepared.settings.on_bad_row is OnBadRow.FAIL:
        raise rejected[0].error(table.name)
    rows = sum(block.rows for block in encoded)
    return Sample(
        row_bytes=sum(block.size for block in encoded) / rows if rows else None,
        rows=_texts(table, first, max(first_rows, _EXAMPLE_ROWS)),
        encoded_rows=rows,
        rejected=len(rejected),
        reason=_reason(rejected),
    )


def _reason(rejected: list[BadRow]) -> str:
    return f"{rejected[0].value[:80]!r} {rejected[0].reason}" if rejected else ""


class _Number(str):
    """The digits of a JSON number."""

    __slots__ = ()


def _texts(table: Table, first: list[Block], wanted: int) -> tuple[tuple[str, ...], ...]:
    """Returns the JSON text of each value of the first rows, read out of their real JSON."""
    encoder = BlockEncoder(table, Orientation.ROW)
    rows: list[tuple[str, ...]] = []
    for part in (part for block in first for part in block.parts):
        if len(rows) >= wanted:
            break
        encoded = encoder.encode([part.slice(0, min(wanted - len(rows), part.data.num_rows))])
        rows += [tuple(map(_text, row)) for row in _parsed(encoded)]
    return tuple(rows)


def _parsed(encoded: Encoded) -> list[list[object]]:
    body = b"[" + b",".join(bytes(segment) for segment in encoded.lanes[0]) + b"]"
    parsed: list[list[object]] = json.loads(body, parse_int=_Number, parse_float=_Number)
    return parsed


def _text(value: object) -> str:
    return str(value) if isinstance(value, _Number) else json.dumps(value, ensure_ascii=False)
