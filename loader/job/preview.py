"""What a push would send, estimated from the first rows, without talking to any server."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass
from typing import Any

from loader.encode import BlockEncoder, chunk_overhead
from loader.job.blocks import blocks
from loader.job.cast import Caster
from loader.job.prepare import Prepared
from loader.model import Column, DatasetModel, Table
from loader.planning import MemoryPlan, block_bytes
from loader.sources import Source
from loader.units import MB

__all__ = ["LoadPlan", "TablePlan", "plan_load"]

# Blocks that are encoded to learn the bytes of a row: about 8 MB of JSON.
_SAMPLE_BLOCKS = 2


@dataclass(frozen=True, slots=True)
class TablePlan:
    """What would be sent of one table.

    Attributes:
        table: The table and its columns.
        policy: Its update policy.
        files: How many files it is read from.
        rows: Its rows; None where only reading tells.
        row_bytes: JSON bytes of a row, from a sample; None for a table without rows.
        json_bytes: Estimated JSON; None where the rows are not known.
        chunks: Estimated number of chunks; None where the rows are not known.
        rereadable: Whether the source can be read a second time.
    """

    table: Table
    policy: str
    files: int
    rows: int | None
    row_bytes: float | None
    json_bytes: int | None
    chunks: int | None
    rereadable: bool

    def as_dict(self) -> dict[str, Any]:
        """Returns the JSON form."""
        return {
            "name": self.table.name,
            "policy": self.policy,
            "files": self.files,
            "rows": self.rows,
            "row_bytes": None if self.row_bytes is None else round(self.row_bytes, 1),
            "json_bytes": self.json_bytes,
            "chunks": self.chunks,
            "rereadable": self.rereadable,
            "columns": [_column(column) for column in self.table.columns],
        }


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What a push would send, and what it would need.

    Attributes:
        model: The dataset's model.
        tables: Each table's share.
        orientation: How chunks would arrange values.
        chunk_target: JSON bytes wanted in a chunk.
        memory: How the memory budget is shared out; its sum is the peak.
        warnings: What the user should know.
    """

    model: DatasetModel
    tables: tuple[TablePlan, ...]
    orientation: str
    chunk_target: int
    memory: MemoryPlan
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Returns the object that ``plan --json`` prints."""
        return {
            "dataset": self.model.name,
            "tables": [table.as_dict() for table in self.tables],
            "orientation": self.orientation.lower(),
            "chunk_size": self.chunk_target,
            "concurrency": self.memory.concurrency,
            "memory": {
                "total": self.memory.total,
                "base": self.memory.base,
                "reader": self.memory.reader,
                "encoders": self.memory.encoders,
                "json": self.memory.json,
                "formula": self.memory.formula(),
            },
            "warnings": list(self.warnings),
        }


def _column(column: Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "source_type": str(column.source_type),
        "data_type": column.data_type.value,
        "role": column.role.value,
    }


def plan_load(prepared: Prepared, preview: int = 0) -> LoadPlan:
    """Returns the plan of a load; encodes the first rows of every table to estimate its size.

    Raises:
        SourceError: A source cannot be read, or one of the first values does not fit.
    """
    return LoadPlan(
        model=prepared.model,
        tables=tuple(_table(prepared, table, source) for table, source in prepared.tables),
        orientation=prepared.stages.orientation.value,
        chunk_target=prepared.stages.rules.target,
        memory=prepared.memory,
        warnings=prepared.warnings,
    )


def _table(prepared: Prepared, table: Table, source: Source) -> TablePlan:
    # A stream that can be read only once is left for the push.
    row_bytes = _row_bytes(prepared, table, source) if source.rereadable else None
    size = chunks = None
    if source.rows is not None and (row_bytes is not None or not source.rows):
        overhead = chunk_overhead(prepared.stages.orientation, len(table.columns))
        size = int(source.rows * (row_bytes or 0.0)) + overhead
        rules = prepared.stages.rules
        chunks = 1 if size < rules.hold else round(size / rules.target)
        chunks = chunks if source.rows else 0
    return TablePlan(
        table=table,
        policy=prepared.settings.policy_of(table.name).value,
        files=len(source.origins),
        rows=source.rows,
        row_bytes=row_bytes,
        json_bytes=size,
        chunks=chunks,
        rereadable=source.rereadable,
    )


def _row_bytes(prepared: Prepared, table: Table, source: Source) -> float | None:
    stages = prepared.stages
    encoder = BlockEncoder(table, stages.orientation)
    with contextlib.closing(source.batches(min(stages.batch_bytes, 2 * MB))) as batches:
        pieces = blocks(batches, Caster(table), block_bytes(stages.rules))
        sample = [encoder.encode(block.parts) for block in itertools.islice(pieces, _SAMPLE_BLOCKS)]
    rows = sum(encoded.rows for encoded in sample)
    return sum(encoded.size for encoded in sample) / rows if rows else None
