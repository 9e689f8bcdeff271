"""``mstr-loader push``: loads sources into a dataset and publishes it."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from loader.cli.connection import connect
from loader.cli.load_options import LoadFlags
from loader.cli.model_options import DatasetFlags, ModelFlags
from loader.cli.reporting import LoadReport, ReportFile, given
from loader.cli.server_options import ServerFlags
from loader.cli.source_options import SourceFlags, Sources
from loader.cli.spread import spread
from loader.cli.values import parse_duration, parse_size
from loader.errors import UsageError

if TYPE_CHECKING:
    from loader.api import Connection
    from loader.job import LoadOptions

__all__ = ["push"]

# Options that name or reach a server of the user's own.
_REMOTE = (
    *("url", "username", "profile", "password_file", "password_command"),
    *("login_mode", "ca_bundle", "insecure", "client_cert", "client_key", "proxy"),
)

_TARGET, _LOAD, _OUTPUT = "Existing dataset", "Load", "Output"


@dataclass(frozen=True, slots=True, kw_only=True)
class PushFlags:
    """What only a load into a server needs, as typed by the user."""

    dataset_id: Annotated[
        str | None,
        typer.Option(help="Id of the dataset, in place of its name.", rich_help_panel=_TARGET),
    ] = None
    folder_id: Annotated[
        str | None,
        typer.Option(help="Folder of the dataset; default: My Reports.", rich_help_panel=_TARGET),
    ] = None
    match_columns: Annotated[
        Literal["name", "position"],
        typer.Option(
            help="How the source's columns find those of the dataset.", rich_help_panel=_TARGET
        ),
    ] = "name"
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Re-create the definition of an existing dataset; dashboards may lose objects.",
            rich_help_panel=_TARGET,
        ),
    ] = False
    table_id: Annotated[
        str | None,
        typer.Option(
            help="With --workflow one-request: id of the table to update; default: what the load "
            "that created it was told.",
            rich_help_panel=_TARGET,
        ),
    ] = None
    max_rate: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE/s",
            help="Limit of what goes over the network, such as 50MB/s.",
            rich_help_panel=_LOAD,
        ),
    ] = None
    no_publish: Annotated[
        bool,
        typer.Option(
            "--no-publish",
            help="Upload only; mstr-loader resume publishes it, mstr-loader cancel discards it.",
            rich_help_panel=_LOAD,
        ),
    ] = False
    publish_timeout: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="How long a publish may take: 90s, 30m.", rich_help_panel=_LOAD
        ),
    ] = "1h"
    verify: Annotated[
        bool,
        typer.Option(
            "--verify/--no-verify",
            help="Compare the server's row counts with the rows sent.",
            rich_help_panel=_LOAD,
        ),
    ] = True

    def options(self) -> LoadOptions:
        """Returns the options of a load that the texts mean.

        Raises:
            UsageError: A text means nothing.
        """
        rate = self.max_rate
        options: LoadOptions = {
            "dataset_id": self.dataset_id,
            "folder_id": self.folder_id,
            "match_columns": self.match_columns,
            "overwrite": self.overwrite,
            "table_id": self.table_id,
            "max_rate": None if rate is None else parse_size("--max-rate", rate.removesuffix("/s")),
            "publish": not self.no_publish,
            "publish_timeout": parse_duration("--publish-timeout", self.publish_timeout),
            "verify": self.verify,
        }
        return options


@spread
def push(
    *,
    context: typer.Context,
    sources: Sources,
    server: ServerFlags,
    source: SourceFlags,
    dataset: DatasetFlags,
    model: ModelFlags,
    target: PushFlags,
    load: LoadFlags,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print the result as one JSON object.", rich_help_panel=_OUTPUT
        ),
    ] = False,
    report: ReportFile = None,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug", help="Log every request; show tracebacks.", rich_help_panel=_OUTPUT
        ),
    ] = False,
) -> int:
    """Load Parquet, CSV or Arrow files into a dataset and publish it."""
    from loader.cli.printers import print_result  # noqa: PLC0415 - keeps --help fast
    from loader.cli.run import run_load  # noqa: PLC0415 - the same: pyarrow, aiohttp
    from loader.job import begun  # noqa: PLC0415 - the same

    options: LoadOptions = {
        **source.options(),
        **dataset.options(),
        **model.options(),
        **target.options(),
        **load.options(),
    }
    wanted = (
        None
        if report is None
        else LoadReport(report, sources, given(context, source, dataset, model, target, load))
    )
    with _server(context, server) as (connection, stored):
        local = stored is not None
        result = run_load(
            lambda progress: begun(
                sources, options, connection, progress, local=local, timeline=wanted is not None
            ),
            as_json=as_json,
        )
        reported = wanted is not None and wanted.write(result, connection)
        if debug and result.error is not None:
            traceback.print_exception(result.error)
        print_result(result, as_json=as_json)
        if stored and result.error is None and not as_json:
            print(f"stored in {stored}")
        if reported and not as_json:
            print(f"report: {report}")
    return result.exit_code


@contextlib.contextmanager
def _server(context: typer.Context, flags: ServerFlags) -> Iterator[tuple[Connection, Path | None]]:
    """Gives the connection and, with ``--local``, the DuckDB file behind it."""
    if not flags.local:
        yield connect(flags), None
        return
    for name in _REMOTE:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            flag = name.replace("_", "-")
            raise UsageError(
                f"--{flag} is for another server than that of --local", hint="leave one of them out"
            )
    from loader.cli.local import local_server  # noqa: PLC0415 - only --local needs it

    with local_server(flags.project) as (connection, stored):
        yield connection, stored
