"""Everything that can be known before the first request: sources, model, chunk rules, memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from loader.encode import Orientation
from loader.errors import UsageError
from loader.job.pipeline import Stages, no_rows
from loader.job.rejects import check_rejects_file
from loader.job.settings import (
    LoadSettings,
    Ordering,
    UpdatePolicy,
    Workflow,
    default_memory,
    encoder_threads,
)
from loader.model import DatasetModel, Role, Table, build_model
from loader.planning import ChunkRules, MemoryPlan, plan_memory
from loader.sources import Source, SourceOptions, open_tables
from loader.units import MB, size

__all__ = ["Prepared", "Sources", "prepare", "share_out"]

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

    def with_model(self, model: DatasetModel) -> Prepared:
        """Returns the same load with the same tables in another shape, and its warnings."""
        stale = _key_warnings(self.model, self.settings)
        kept = [warning for warning in self.warnings if warning not in stale]
        return replace(
            self,
            model=model,
            tables=tuple(
                (table, source)
                for table, (_, source) in zip(model.tables, self.tables, strict=True)
            ),
            warnings=(*kept, *_key_warnings(model, self.settings)),
        )

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
    check_rejects_file(settings)
    stages, memory = share_out(settings)
    opened = open_tables(sources, options)
    schemas = {table: source.schema for table, source in opened.items()}
    model = build_model(settings.dataset, schemas, settings.wishes)
    if settings.dataset_id is None and settings.folder_id is None:
        settings = replace(settings, folder_id=model.folder_id)
    _check_policies(model, settings)
    _check_workflow(model, settings)
    for name, source in opened.items():
        if source.rows == 0 and not settings.allow_empty:
            raise no_rows(name)
    tables = tuple((table, opened[table.name]) for table in model.tables)
    return Prepared(
        model=model,
        tables=tables,
        stages=stages,
        memory=memory,
        settings=settings,
        warnings=(
            *_chunk_warnings(stages.rules),
            *_key_warnings(model, settings),
        ),
    )


def share_out(settings: LoadSettings) -> tuple[Stages, MemoryPlan]:
    """Returns the sizes that a load works with, which no source has a say in.

    Raises:
        UsageError: The memory is too small for the chunks.
    """
    one_request = settings.workflow is Workflow.ONE_REQUEST
    rules = ChunkRules.one_request() if one_request else ChunkRules.of(settings.chunk_size)
    # One thread encodes 50 MB in a second; more of them would only read further than is of use.
    encoders = 1 if one_request else encoder_threads()
    strict = one_request or settings.ordering is Ordering.STRICT
    memory = plan_memory(
        settings.memory or default_memory(),
        rules,
        concurrency=1 if strict else settings.concurrency,
        encoders=encoders,
    )
    stages = Stages(
        orientation=Orientation.RECORDS if one_request else settings.orientation,
        rules=rules,
        json_budget=memory.json,
        batch_bytes=BATCH_BYTES,
        encoders=encoders,
        senders=memory.concurrency,
        window=_window(settings, memory.concurrency),
        allow_empty=settings.allow_empty,
    )
    return stages, memory


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


def _check_workflow(model: DatasetModel, settings: LoadSettings) -> None:
    if settings.workflow is Workflow.ONE_REQUEST and len(model.tables) > 1:
        raise UsageError(
            "--workflow one-request loads a single table, and there are "
            f"{len(model.tables)}: " + ", ".join(table.name for table in model.tables),
            hint="--workflow session loads any number of tables of any size",
        )


def _chunk_warnings(rules: ChunkRules) -> list[str]:
    if rules.guided:
        return []
    return [
        f"chunks of {size(rules.target)} are outside the documented 50 to 200 MB",
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
