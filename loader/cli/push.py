"""``mstr-loader push``: loads sources into a dataset and publishes it."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from loader.cli import options as shared
from loader.cli.connection import ConnectionOptions, connect
from loader.cli.values import parse_duration, parse_size
from loader.errors import UsageError

if TYPE_CHECKING:
    from loader.api import Connection

__all__ = ["push"]

# Options that name or reach a server of the user's own.
_REMOTE = (
    *("url", "username", "profile", "password_file", "password_command"),
    *("login_mode", "ca_bundle", "insecure"),
)

_SERVER, _OUTPUT = "Connection", "Output"


def push(  # noqa: PLR0917 - every parameter is an option; typer takes none by position
    context: typer.Context,
    sources: shared.Sources,
    url: Annotated[
        str | None,
        typer.Option(
            envvar="MSTR_URL",
            help="The Library's address, with or without /api at its end.",
            rich_help_panel=_SERVER,
        ),
    ] = None,
    username: Annotated[
        str | None, typer.Option(envvar="MSTR_USERNAME", help="User.", rich_help_panel=_SERVER)
    ] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(
            help="File that holds the password. Other ways: MSTR_PASSWORD, the keyring, a prompt.",
            rich_help_panel=_SERVER,
        ),
    ] = None,
    password_command: Annotated[
        str | None,
        typer.Option(help="Command that prints the password.", rich_help_panel=_SERVER),
    ] = None,
    login_mode: Annotated[
        Literal["standard", "ldap"] | None,
        typer.Option(help="How the server checks the password.", rich_help_panel=_SERVER),
    ] = None,
    project: Annotated[
        str | None,
        typer.Option(envvar="MSTR_PROJECT", help="Project, name or id.", rich_help_panel=_SERVER),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(help="Section of the configuration file.", rich_help_panel=_SERVER),
    ] = None,
    ca_bundle: Annotated[
        Path | None,
        typer.Option(help="Certificate authorities to trust (PEM).", rich_help_panel=_SERVER),
    ] = None,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure",
            help="Accept any certificate: anybody on the way can read password and data.",
            rich_help_panel=_SERVER,
        ),
    ] = False,
    local: Annotated[
        bool,
        typer.Option(
            "--local",
            help="Load into a local server of this run's own, kept in a DuckDB file.",
            rich_help_panel=_SERVER,
        ),
    ] = False,
    dataset: shared.Dataset = None,
    dataset_id: Annotated[
        str | None,
        typer.Option(help="Id of an existing dataset.", rich_help_panel="Dataset and model"),
    ] = None,
    folder_id: Annotated[
        str | None,
        typer.Option(
            help="Folder of the dataset; default: My Reports.", rich_help_panel="Dataset and model"
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Re-create the definition of an existing dataset; dashboards may lose objects.",
            rich_help_panel="Dataset and model",
        ),
    ] = False,
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
    max_rate: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE/s",
            help="Limit of what goes over the network, such as 50MB/s.",
            rich_help_panel="Load",
        ),
    ] = None,
    no_publish: Annotated[
        bool,
        typer.Option(
            "--no-publish",
            help="Upload only, then discard: shows what the way to the server can carry.",
            rich_help_panel="Load",
        ),
    ] = False,
    publish_timeout: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="How long a publish may take: 90s, 30m.", rich_help_panel="Load"
        ),
    ] = "1h",
    allow_empty: shared.AllowEmpty = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print the result as one JSON object.", rich_help_panel=_OUTPUT
        ),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug", help="Log every request; show tracebacks.", rich_help_panel=_OUTPUT
        ),
    ] = False,
) -> int:
    """Load Parquet or CSV files into a dataset and publish it."""
    from loader.cli.printers import print_result  # noqa: PLC0415 - keeps --help fast
    from loader.cli.run import run_push  # noqa: PLC0415 - the same: pyarrow, aiohttp

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
    options["dataset_id"] = dataset_id
    options["folder_id"] = folder_id
    options["overwrite"] = overwrite
    options["publish"] = not no_publish
    options["publish_timeout"] = parse_duration("--publish-timeout", publish_timeout)
    if max_rate is not None:
        options["max_rate"] = parse_size("--max-rate", max_rate.removesuffix("/s"))
    given = ConnectionOptions(
        url=url,
        username=username,
        project=project,
        password_file=password_file,
        password_command=password_command,
        login_mode=login_mode,
        ca_bundle=ca_bundle,
        insecure=insecure,
        profile=profile,
    )
    with _server(context, given, local=local) as (connection, stored):
        result = run_push(sources, connection, options, as_json=as_json)
        if debug and result.error is not None:
            traceback.print_exception(result.error)
        print_result(result, as_json=as_json)
        if stored and result.error is None and not as_json:
            print(f"stored in {stored}")
    return result.exit_code


@contextlib.contextmanager
def _server(
    context: typer.Context, options: ConnectionOptions, *, local: bool
) -> Iterator[tuple[Connection, Path | None]]:
    """Gives the connection and, with ``--local``, the DuckDB file behind it."""
    if not local:
        yield connect(options), None
        return
    for name in _REMOTE:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            flag = name.replace("_", "-")
            raise UsageError(
                f"--{flag} is for another server than that of --local", hint="leave one of them out"
            )
    from loader.cli.local import local_server  # noqa: PLC0415 - only --local needs it

    with local_server(options.project) as (connection, stored):
        yield connection, stored
