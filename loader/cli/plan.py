"""``mstr-loader plan``: shows what a push would send, without a network."""

from __future__ import annotations

from typing import Annotated

import typer

from loader.cli import options as shared

__all__ = ["plan"]


def plan(  # noqa: PLR0917 - every parameter is an option; typer takes none by position
    sources: shared.Sources,
    dataset: shared.Dataset = None,
    attribute: shared.Attributes = None,
    metric: shared.Metrics = None,
    column_type: shared.Types = None,
    file_format: shared.Format = None,
    csv_types: shared.CsvTypes = "scan",
    policy: shared.Policy = None,
    orientation: shared.OrientationOption = "column",
    chunk_size: shared.ChunkSize = None,
    concurrency: shared.Concurrency = "auto",
    memory: shared.Memory = None,
    ordering: shared.OrderingOption = "windowed",
    window: shared.Window = None,
    allow_empty: shared.AllowEmpty = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the plan as one JSON object.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,  # noqa: ARG001 - read by main()
) -> None:
    """Show what would be sent: model, sizes, chunks and memory; no network."""
    from loader.cli.printers import print_plan  # noqa: PLC0415 - keeps --help fast
    from loader.job import plan as plan_load  # noqa: PLC0415 - the same: pyarrow

    options = shared.load_options(
        file_format=file_format,
        csv_types=csv_types,
        types=column_type,
        attributes=attribute,
        metrics=metric,
        dataset=dataset,
        policy=policy,
        orientation=orientation,
        chunk_size=chunk_size,
        concurrency=concurrency,
        memory=memory,
        ordering=ordering,
        window=window,
        allow_empty=allow_empty,
    )
    print_plan(plan_load(sources, **options), as_json=as_json)
