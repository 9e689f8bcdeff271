"""Everything that can be known before the first request: sources, model, chunk rules, memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loader.errors import UsageError
from loader.job.pipeline import Stages, no_rows
from loader.job.settings import (
    LoadSettings,
    Ordering,
    UpdatePolicy,
    default_memory,
    encoder_threads,
)
from loader.model import DatasetModel, Role, Table, build_model
from loader.planning import ChunkRules, MemoryPlan, plan_memory
from loader.sources import Source, SourceOptions, open_tables
from loader.units import MB, size

__all__ = ["Prepared", "Sources", "prepare"]

Sources = str | Sequence[str] | Mapping[str, Any] | Any
"""What can be loaded: ``PATH`` or ``TABLE=PATH`` texts, a mapping of tables, or an Arrow object."""

BATCH_BYTES = 8 * MB


@dataclass(frozen=True, slots=True)
class Prepared:
    """A load that could start.

    Attributes:
        model: The dataset's model.
        tables: Each table of the model with its source.
        stages: The sizes of the pipeline.
        memory: The memory plan.
        settings: The settings it was made with.
        warnings: What the user should know before it starts.
    """

    model: DatasetModel
    tables: tuple[tuple[Table, Source], ...]
    stages: Stages
    memory: MemoryPlan
    settings: LoadSettings
    warnings: tuple[str, ...]

    @property
    def rows(self) -> int | None:
        """Rows of all tables, where every source knows."""
        counts = [source.rows for _, source in self.tables]
        return None if None in counts else sum(count or 0 for count in counts)


def prepare(sources: Sources, settings: LoadSettings, options: SourceOptions) -> Prepared:
    """Opens the sources and works out model, chunks and memory; talks to no server.

    Blocks: it reads footers, and CSV files whole where their types are scanned.

    Raises:
        UsageError: The settings contradict each other or the sources.
        SourceError: A source cannot be loaded.
    """
    rules = ChunkRules.of(settings.chunk_size)
    encoders = encoder_threads()
    strict = settings.ordering is Ordering.STRICT
    memory = plan_memory(
        settings.memory or default_memory(),
        rules,
        concurrency=1 if strict else settings.concurrency,
        encoders=encoders,
    )
    opened = open_tables(sources, options)
    schemas = {table: source.schema for table, source in opened.items()}
    model = build_model(settings.dataset or next(iter(opened)), schemas, settings.roles)
    _check_policies(model, settings)
    for table, source in opened.items():
        if source.rows == 0 and not settings.allow_empty:
            raise no_rows(table)
    return Prepared(
        model=model,
        tables=tuple((table, opened[table.name]) for table in model.tables),
        stages=Stages(
            orientation=settings.orientation,
            rules=rules,
            json_budget=memory.json,
            batch_bytes=BATCH_BYTES,
            encoders=encoders,
            senders=memory.concurrency,
            window=_window(settings, memory.concurrency),
            allow_empty=settings.allow_empty,
        ),
        memory=memory,
        settings=settings,
        warnings=(
            *_chunk_warnings(rules),
            *_delimiter_warnings(model),
            *_key_warnings(model, settings),
        ),
    )


def _window(settings: LoadSettings, concurrency: int) -> int | None:
    if settings.ordering is not Ordering.WINDOWED:
        return None
    return max(settings.window or 2 * concurrency, 1)


def _check_policies(model: DatasetModel, settings: LoadSettings) -> None:
    known = {table.name for table in model.tables}
    for table in settings.table_policies:
        if table not in known:
            raise UsageError(
                f"--policy {table}=…: there is no table {table!r}",
                hint=f"tables: {', '.join(sorted(known))}",
            )


def _chunk_warnings(rules: ChunkRules) -> list[str]:
    if rules.guided:
        return []
    return [
        f"chunks of {size(rules.target)} are outside the documented 50 to 200 MB",
    ]


def _delimiter_warnings(model: DatasetModel) -> list[str]:
    """A file with another delimiter reads well, as one column with an odd name."""
    return [
        f"table {table.name!r} has the single column {table.columns[0].name!r}: is {delimiter!r} "
        "the delimiter? CSV files are read with commas, .tsv files with tabs"
        for table in model.tables
        for delimiter in ";|\t"
        if len(table.columns) == 1 and delimiter in table.columns[0].name
    ]


def _key_warnings(model: DatasetModel, settings: LoadSettings) -> list[str]:
    """The key of a row is its attributes; without one the server cannot tell rows apart."""
    return [
        (
            f"table {table.name!r} has no attribute, and the policy "
            f"{settings.policy_of(table.name)} finds rows by their attributes: name the key "
            "with --attribute"
        )
        for table in model.tables
        if settings.policy_of(table.name) is not UpdatePolicy.REPLACE
        and not any(column.role is Role.ATTRIBUTE for column in table.columns)
    ]
