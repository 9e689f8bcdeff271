"""The options that say what a dataset is: its name, its columns, their types and roles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loader.cli.values import parse_pairs

if TYPE_CHECKING:
    from loader.job import LoadOptions

__all__ = ["DatasetFlags", "ModelFlags"]

_MODEL = "Dataset and model"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetFlags:
    """Which dataset it is, and whether its keys are looked at, as typed by the user."""

    dataset: Annotated[
        str | None,
        typer.Option(
            help="Name of the dataset: updated where it exists, else created. "
            "Default: the first table's name.",
            rich_help_panel=_MODEL,
        ),
    ] = None
    check_keys: Annotated[
        bool,
        typer.Option(
            "--check-keys",
            help="Look for rows with the same key (all attributes) before anything is sent.",
            rich_help_panel=_MODEL,
        ),
    ] = False

    def options(self) -> LoadOptions:
        """Returns the options of a load that the texts mean."""
        options: LoadOptions = {"dataset": self.dataset, "check_keys": self.check_keys}
        return options


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFlags:
    """What the columns are, as typed by the user."""

    mapping: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="YAML file that renames, drops, casts and describes; "
            "plan --write-mapping writes one to edit.",
            rich_help_panel=_MODEL,
        ),
    ] = None
    attribute: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COL",
            help="A numeric column that is an attribute (part of the key).",
            rich_help_panel=_MODEL,
        ),
    ] = None
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COL",
            help="A column that is a metric though it holds no numbers.",
            rich_help_panel=_MODEL,
        ),
    ] = None
    column_type: Annotated[
        list[str] | None,
        typer.Option(
            "--type", metavar="COL=TYPE", help="Data type of a column.", rich_help_panel=_MODEL
        ),
    ] = None

    def options(self) -> LoadOptions:
        """Returns the options of a load that the texts mean.

        Raises:
            UsageError: A text means nothing.
        """
        options: LoadOptions = {
            "mapping": self.mapping,
            "attributes": self.attribute or [],
            "metrics": self.metric or [],
            "types": parse_pairs("--type", self.column_type or []),
        }
        return options
