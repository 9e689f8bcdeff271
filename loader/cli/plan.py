"""``mstr-loader plan``: shows what a push would send, without a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loader.cli.garbage import collect_as_usual
from loader.cli.load_options import LoadFlags
from loader.cli.model_options import DatasetFlags, ModelFlags
from loader.cli.source_options import SourceFlags, Sources
from loader.cli.spread import spread

if TYPE_CHECKING:
    from loader.job import LoadOptions

__all__ = ["plan"]


@spread
def plan(
    *,
    sources: Sources,
    source: SourceFlags,
    dataset: DatasetFlags,
    model: ModelFlags,
    load: LoadFlags,
    preview: Annotated[
        int, typer.Option(metavar="N", min=0, help="Show the first N rows as they will be sent.")
    ] = 0,
    write_mapping: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a full --mapping file to edit."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the plan as one JSON object.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,  # noqa: ARG001 - read by main()
) -> None:
    """Show what would be sent: model, example values, sizes, chunks and memory; no network."""
    from loader.cli.plan_printer import print_plan  # noqa: PLC0415 - keeps --help fast
    from loader.job import plan as plan_load  # noqa: PLC0415 - the same: pyarrow

    collect_as_usual()
    options: LoadOptions = {
        **source.options(),
        **dataset.options(),
        **model.options(),
        **load.options(),
    }
    planned = plan_load(sources, preview=preview, **options)
    if write_mapping is not None:
        from loader.model import save_mapping  # noqa: PLC0415 - the same

        save_mapping(write_mapping, planned.model, planned.schemas)
    print_plan(planned, as_json=as_json)
