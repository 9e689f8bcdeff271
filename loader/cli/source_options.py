"""The options that say what to read, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from loader.cli.values import parse_names

if TYPE_CHECKING:
    from loader.job import LoadOptions

__all__ = ["SourceFlags", "Sources"]

_SOURCE, _CSV = "Source", "CSV files"

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE...",
        help="PATH or TABLE=PATH; PATH is a Parquet, CSV or Arrow file, a directory, a quoted "
        "glob, a URI (s3://bucket/key) or - (with --format).",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFlags:
    """What to read, and how, as typed by the user."""

    file_format: Annotated[
        Literal["parquet", "csv", "arrow"] | None,
        typer.Option(
            "--format",
            help="Format of all files; default: by their extension.",
            rich_help_panel=_SOURCE,
        ),
    ] = None
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="The columns to load, by their names in the source; default: all.",
            rich_help_panel=_SOURCE,
        ),
    ] = None
    where: Annotated[
        str | None,
        typer.Option(
            metavar="SQL",
            help="Load only rows that meet a condition, such as \"day >= '2024-01-01' and n > 0\".",
            rich_help_panel=_SOURCE,
        ),
    ] = None
    limit: Annotated[
        int | None,
        typer.Option(
            min=1, help="Load at most so many rows of each table.", rich_help_panel=_SOURCE
        ),
    ] = None
    csv_types: Annotated[
        Literal["scan", "sample"],
        typer.Option(
            help="How types are found: a pass over the whole file, or a look at its start.",
            rich_help_panel=_CSV,
        ),
    ] = "scan"
    csv_delimiter: Annotated[
        str | None,
        typer.Option(
            metavar="CHAR",
            help="Between two fields (\\t: tab); default: found in the first lines.",
            rich_help_panel=_CSV,
        ),
    ] = None
    csv_quote: Annotated[
        str,
        typer.Option(
            metavar="CHAR", help="Around fields; empty: none are quoted.", rich_help_panel=_CSV
        ),
    ] = '"'
    csv_escape: Annotated[
        str | None,
        typer.Option(
            metavar="CHAR",
            help="Before a character to be taken as it is; default: quotes are doubled.",
            rich_help_panel=_CSV,
        ),
    ] = None
    csv_encoding: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Such as latin-1 or utf-16; default: UTF-8, or what a byte order mark says.",
            rich_help_panel=_CSV,
        ),
    ] = None
    csv_decimal: Annotated[
        str, typer.Option(metavar="CHAR", help="Decimal point: . or ,", rich_help_panel=_CSV)
    ] = "."
    csv_header: Annotated[
        bool,
        typer.Option(
            "--csv-header/--no-csv-header",
            help="Whether the first line names the columns; else column1, column2 and so on.",
            rich_help_panel=_CSV,
        ),
    ] = True
    csv_comment: Annotated[
        str | None,
        typer.Option(metavar="CHAR", help="Skip lines that begin with it.", rich_help_panel=_CSV),
    ] = None
    csv_skip_lines: Annotated[
        int,
        typer.Option(min=0, help="Lines to skip before the header.", rich_help_panel=_CSV),
    ] = 0
    csv_null: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help="A spelling of null in unquoted fields, besides the empty one.",
            rich_help_panel=_CSV,
        ),
    ] = None

    def options(self) -> LoadOptions:
        """Returns the options of a load that the texts mean."""
        options: LoadOptions = {
            "format": self.file_format,
            "columns": None if self.columns is None else parse_names("--columns", self.columns),
            "where": self.where,
            "limit": self.limit,
            "csv_types": self.csv_types,
            # A tab cannot be typed into most shells.
            "csv_delimiter": "\t" if self.csv_delimiter == "\\t" else self.csv_delimiter,
            "csv_quote": self.csv_quote,
            "csv_escape": self.csv_escape,
            "csv_encoding": self.csv_encoding,
            "csv_decimal": self.csv_decimal,
            "csv_header": self.csv_header,
            "csv_comment": self.csv_comment,
            "csv_skip_lines": self.csv_skip_lines,
            "csv_nulls": ("", *(self.csv_null or ())),
        }
        return options
