"""The options that say how to load: policies, sizes, order, and what becomes of bad rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from loader.cli.values import parse_count, parse_duration, parse_policies, parse_size

if TYPE_CHECKING:
    from loader.job import LoadOptions

__all__ = ["LoadFlags", "Ordering", "Window"]

_LOAD, _BAD_ROWS = "Load", "Bad rows"

Ordering = Annotated[
    Literal["windowed", "free", "strict"],
    typer.Option(
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


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFlags:
    """How to load, as typed by the user."""

    policy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[TABLE=]POLICY",
            help="replace (default), add, update or upsert; TABLE=POLICY for one table.",
            rich_help_panel=_LOAD,
        ),
    ] = None
    workflow: Annotated[
        Literal["session", "one-request"],
        typer.Option(
            help="An upload session, or one request for a single table of at most 50 MB.",
            rich_help_panel=_LOAD,
        ),
    ] = "session"
    orientation: Annotated[
        Literal["column", "row"],
        typer.Option(
            help="How a chunk arranges values; columns are smaller and faster.",
            rich_help_panel=_LOAD,
        ),
    ] = "column"
    chunk_size: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="JSON bytes wanted in a chunk; default: 100MB, and one chunk up to 50MB.",
            rich_help_panel=_LOAD,
        ),
    ] = None
    concurrency: Annotated[
        str,
        typer.Option(
            metavar="auto|N",
            help="PUTs at once; auto: as many as --memory keeps busy, at most 8.",
            rich_help_panel=_LOAD,
        ),
    ] = "auto"
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Memory of the whole process; default: 1GB, or 80 % of a smaller container.",
            rich_help_panel=_LOAD,
        ),
    ] = None
    ordering: Ordering = "windowed"
    window: Window = None
    retries: Annotated[
        int,
        typer.Option(
            help="How often one call is repeated that may yet succeed.", rich_help_panel=_LOAD
        ),
    ] = 8
    retry_deadline: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="For how long after its first failure, and how long a server that has gone away "
            "is waited for: 90s, 30m.",
            rich_help_panel=_LOAD,
        ),
    ] = "5m"
    allow_empty: Annotated[
        bool,
        typer.Option(
            "--allow-empty",
            help="Load a source without rows; with the policy replace this empties the table.",
            rich_help_panel=_LOAD,
        ),
    ] = False
    on_bad_row: Annotated[
        Literal["fail", "skip", "quarantine"],
        typer.Option(
            help="What becomes of a row that does not fit: the load fails, the row is left out, "
            "or it goes to a rejects file.",
            rich_help_panel=_BAD_ROWS,
        ),
    ] = "fail"
    max_bad_rows: Annotated[
        str | None,
        typer.Option(
            metavar="N|N%",
            help="With more bad rows, nothing is published; default: no limit.",
            rich_help_panel=_BAD_ROWS,
        ),
    ] = None
    rejects_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where quarantined rows go (NDJSON); default: a new file in the state directory.",
            rich_help_panel=_BAD_ROWS,
        ),
    ] = None

    def options(self) -> LoadOptions:
        """Returns the options of a load that the texts mean.

        Raises:
            UsageError: A text means nothing.
        """
        general, named = parse_policies(self.policy or [])
        size, memory = self.chunk_size, self.memory
        count = self.concurrency
        options: LoadOptions = {
            "policy": general or "replace",  # type: ignore[typeddict-item]  # checked by the callee
            "table_policies": named,  # type: ignore[typeddict-item]  # the same
            "workflow": self.workflow,
            "orientation": self.orientation,
            "chunk_size": None if size is None else parse_size("--chunk-size", size),
            "concurrency": None if count == "auto" else parse_count("--concurrency", count),
            "memory": None if memory is None else parse_size("--memory", memory),
            "ordering": self.ordering,
            "window": self.window,
            "retries": self.retries,
            "retry_deadline": parse_duration("--retry-deadline", self.retry_deadline),
            "allow_empty": self.allow_empty,
            "on_bad_row": self.on_bad_row,
            "max_bad_rows": self.max_bad_rows,
            "rejects_file": self.rejects_file,
        }
        return options
