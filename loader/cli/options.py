"""The options that several commands share, and what they mean for a load."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from loader.cli.values import parse_count, parse_pairs, parse_policies, parse_size

if TYPE_CHECKING:
    from loader.job import LoadOptions

_MODEL, _LOAD = "Dataset and model", "Load"

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE...",
        help="PATH or TABLE=PATH; PATH is a Parquet or CSV file, a directory or a quoted glob.",
        show_default=False,
    ),
]
Format = Annotated[
    Literal["parquet", "csv"] | None,
    typer.Option("--format", help="Format of all files; default: by their extension."),
]
CsvTypes = Annotated[
    Literal["scan", "sample"],
    typer.Option(
        "--csv-types",
        help="How CSV types are found: a pass over the whole file, or a look at its start.",
    ),
]
Types = Annotated[
    list[str] | None,
    typer.Option(
        "--type", metavar="COL=TYPE", help="Data type of a column.", rich_help_panel=_MODEL
    ),
]
Attributes = Annotated[
    list[str] | None,
    typer.Option(
        "--attribute",
        metavar="COL",
        help="A numeric column that is an attribute (part of the key).",
        rich_help_panel=_MODEL,
    ),
]
Metrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        metavar="COL",
        help="A column that is a metric though it holds no numbers.",
        rich_help_panel=_MODEL,
    ),
]
Dataset = Annotated[
    str | None,
    typer.Option(
        help="Name of the dataset: updated where it exists, else created. "
        "Default: the first table's name.",
        rich_help_panel=_MODEL,
    ),
]
Policy = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[TABLE=]POLICY",
        help="replace (default), add, update or upsert; TABLE=POLICY for one table.",
        rich_help_panel=_LOAD,
    ),
]
OrientationOption = Annotated[
    Literal["column", "row"],
    typer.Option(
        "--orientation",
        help="How a chunk arranges values; columns are smaller and faster.",
        rich_help_panel=_LOAD,
    ),
]
ChunkSize = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="JSON bytes wanted in a chunk; default: 100MB, and one chunk up to 50MB.",
        rich_help_panel=_LOAD,
    ),
]
Concurrency = Annotated[
    str,
    typer.Option(
        metavar="auto|N",
        help="PUTs at once; auto: as many as --memory keeps busy, at most 8.",
        rich_help_panel=_LOAD,
    ),
]
Memory = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="Memory of the whole process; default: 1GB, or 80 % of a smaller container.",
        rich_help_panel=_LOAD,
    ),
]
OrderingOption = Annotated[
    Literal["windowed", "free", "strict"],
    typer.Option(
        "--ordering",
        help="Which chunks may overtake others; strict sends one at a time.",
        rich_help_panel=_LOAD,
    ),
]
Window = Annotated[
    int | None,
    typer.Option(
        help="With windowed ordering: how many chunks may run ahead of the lowest one not "
        "accepted; default: twice the concurrency.",
        rich_help_panel=_LOAD,
    ),
]
AllowEmpty = Annotated[
    bool,
    typer.Option(
        "--allow-empty",
        help="Load a source without rows; with the policy replace this empties the table.",
        rich_help_panel=_LOAD,
    ),
]


def load_options(
    *,
    file_format: Literal["parquet", "csv"] | None,
    csv_types: Literal["scan", "sample"],
    types: Sequence[str] | None,
    attributes: Sequence[str] | None,
    metrics: Sequence[str] | None,
    dataset: str | None,
    policy: Sequence[str] | None,
    orientation: Literal["column", "row"],
    chunk_size: str | None,
    concurrency: str,
    memory: str | None,
    ordering: Literal["windowed", "free", "strict"],
    window: int | None,
    allow_empty: bool,
) -> LoadOptions:
    """Returns the options of ``loader.plan`` and ``loader.push`` that the texts mean.

    Raises:
        UsageError: A text means nothing.
    """
    general, named = parse_policies(policy or [])
    options: LoadOptions = {
        "format": file_format,
        "csv_types": csv_types,
        "types": parse_pairs("--type", types or []),
        "attributes": attributes or [],
        "metrics": metrics or [],
        "dataset": dataset,
        "policy": general or "replace",  # type: ignore[typeddict-item]  # checked by the callee
        "table_policies": named,  # type: ignore[typeddict-item]  # the same
        "orientation": orientation,
        "chunk_size": None if chunk_size is None else parse_size("--chunk-size", chunk_size),
        "concurrency": None if concurrency == "auto" else parse_count("--concurrency", concurrency),
        "memory": None if memory is None else parse_size("--memory", memory),
        "ordering": ordering,
        "window": window,
        "allow_empty": allow_empty,
    }
    return options
