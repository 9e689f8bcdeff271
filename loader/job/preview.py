"""What a push would send, estimated from the first rows, without talking to any server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from loader.encode import chunk_overhead, native_available
from loader.job.keys import check_keys
from loader.job.prepare import Prepared
from loader.job.sample import Sample, take_sample
from loader.job.settings import Workflow
from loader.model import Column, DatasetModel, Table
from loader.model.types import storage_type
from loader.planning import ONE_REQUEST, MemoryPlan
from loader.sources import Source
from loader.units import size

__all__ = ["LoadPlan", "TablePlan", "plan_load", "shown_type"]


@dataclass(frozen=True, slots=True)
class TablePlan:
    """What would be sent of one table.

    Attributes:
        table: The table and its columns.
        policy: Its update policy.
        files: How many files it is read from.
        rows: Its rows; None where only reading tells.
        json_bytes: Estimated JSON; None where the rows are not known.
        chunks: Estimated number of chunks; None where the rows are not known.
        rereadable: Whether the source can be read a second time, without which no load of it can
            be resumed.
        notes: How the source is read, where that was guessed.
        sample: Its first rows; None for a source that can be read only once.
        first_rows: The first rows asked for, each value as the JSON text that will be sent.
    """

    table: Table
    policy: str
    files: int
    rows: int | None
    json_bytes: int | None
    chunks: int | None
    rereadable: bool
    notes: tuple[str, ...]
    sample: Sample | None
    first_rows: tuple[tuple[str, ...], ...]

    @property
    def row_bytes(self) -> float | None:
        """JSON bytes of a row, from the sample; None where there is no row to tell."""
        return self.sample.row_bytes if self.sample else None

    def examples(self) -> list[str | None]:
        """Returns for each column the JSON text of its first value in the sample that is there."""
        if self.sample is None:
            return [None] * len(self.table.columns)
        return [
            next((row[place] for row in self.sample.rows if row[place] != "null"), None)
            for place in range(len(self.table.columns))
        ]

    def as_dict(self) -> dict[str, Any]:
        """Returns the JSON form; values are JSON texts, so that no digit is lost on the way."""
        return {
            "name": self.table.name,
            "policy": self.policy,
            "files": self.files,
            "rows": self.rows,
            "row_bytes": None if self.row_bytes is None else round(self.row_bytes, 1),
            "json_bytes": self.json_bytes,
            "chunks": self.chunks,
            "rereadable": self.rereadable,
            "notes": list(self.notes),
            "columns": [
                _column(column, example)
                for column, example in zip(self.table.columns, self.examples(), strict=True)
            ],
            "preview": [list(row) for row in self.first_rows],
        }


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What a push would send, and what it would need.

    Attributes:
        model: The dataset's model.
        schemas: What the sources have, by table; a mapping file tells of columns left out too.
        tables: Each table's share.
        workflow: An upload session, or one request.
        orientation: How chunks would arrange values.
        chunk_target: JSON bytes wanted in a chunk.
        memory: How the memory budget is shared out; its sum is the peak.
        warnings: What the user should know.
    """

    model: DatasetModel
    schemas: Mapping[str, pa.Schema]
    tables: tuple[TablePlan, ...]
    workflow: str
    orientation: str
    chunk_target: int
    memory: MemoryPlan
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Returns the object that ``plan --json`` prints."""
        return {
            "dataset": self.model.name,
            "tables": [table.as_dict() for table in self.tables],
            "workflow": self.workflow,
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
            "encoder": "compiled" if native_available() else "kernels",
            "warnings": list(self.warnings),
        }


def shown_type(column: Column) -> str:
    """Returns the type of a column's values, whatever encodes them."""
    return str(storage_type(column.source_type))


def _column(column: Column, example: str | None) -> dict[str, Any]:
    return {
        "name": column.name,
        "source": column.source,
        "source_type": shown_type(column),
        "data_type": column.data_type.value,
        "role": column.role.value,
        "example": example,
    }


def plan_load(prepared: Prepared, first_rows: int = 0) -> LoadPlan:
    """Returns the plan of a load; encodes the first rows of every table to estimate its size.

    Args:
        prepared: The load.
        first_rows: How many rows of each table to show as they will be sent.

    Raises:
        SourceError: A source cannot be read, one of the first values does not fit, or, where keys
            are to be checked, rows share one.
    """
    warnings = list(prepared.warnings)
    if prepared.settings.check_keys:
        check_keys(
            prepared.tables,
            prepared.model.attributes,
            memory=prepared.memory.json,
            watch=lambda _: None,
        )
        warnings.append("keys were checked as the source has them: an existing dataset has its own")
    tables = []
    for table, source in prepared.tables:
        # A stream that can be read only once is left for the push.
        sample = take_sample(prepared, table, source, first_rows) if source.rereadable else None
        if sample is not None and sample.rejected:
            warnings.append(
                f"table {table.name!r}: {sample.rejected} of the first "
                f"{sample.rejected + sample.encoded_rows} rows would be left out, the first "
                f"because {sample.reason}"
            )
        tables.append(_table(prepared, table, source, sample, first_rows))
    expected = tables[0].json_bytes or 0
    if prepared.settings.workflow is Workflow.ONE_REQUEST and expected > ONE_REQUEST:
        warnings.append(
            f"about {size(expected)} of JSON, and one request takes at most "
            f"{size(ONE_REQUEST)}: leave out --workflow one-request"
        )
    return LoadPlan(
        model=prepared.model,
        schemas={table.name: source.schema for table, source in prepared.tables},
        tables=tuple(tables),
        workflow=prepared.settings.workflow.value,
        orientation=prepared.stages.orientation.value,
        chunk_target=prepared.stages.rules.target,
        memory=prepared.memory,
        warnings=tuple(warnings),
    )


def _table(
    prepared: Prepared, table: Table, source: Source, sample: Sample | None, first_rows: int
) -> TablePlan:
    row_bytes = sample.row_bytes if sample else None
    json_bytes = chunks = None
    if source.rows is not None and (row_bytes is not None or not source.rows):
        overhead = chunk_overhead(prepared.stages.orientation, len(table.columns))
        json_bytes = int(source.rows * (row_bytes or 0.0)) + overhead
        rules = prepared.stages.rules
        chunks = 1 if json_bytes < rules.hold else round(json_bytes / rules.target)
        chunks = chunks if source.rows else 0
    return TablePlan(
        table=table,
        policy=prepared.settings.policy_of(table.name).value,
        files=len(source.origins),
        rows=source.rows,
        json_bytes=json_bytes,
        chunks=chunks,
        rereadable=source.rereadable,
        notes=tuple(source.notes),
        sample=sample,
        first_rows=sample.rows[:first_rows] if sample else (),
    )
