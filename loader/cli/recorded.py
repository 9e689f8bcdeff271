"""The connection of an earlier job: as its journal has it, with what is typed now on top."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from loader.cli.connection import connect
from loader.cli.server_options import ServerFlags
from loader.errors import UsageError

if TYPE_CHECKING:
    from loader.api import Connection
    from loader.job.journal.description import ServerRecord

__all__ = ["recorded_server", "with_recorded"]


def with_recorded(context: typer.Context, flags: ServerFlags, server: ServerRecord) -> ServerFlags:
    """Returns the options that reach the server of a job.

    The environment names the server of today, the journal that of the job: only what was typed
    comes before the journal. A profile that was typed gives all of the connection but the project.

    Raises:
        UsageError: The job's proxy needs a password, which no journal has.
    """

    def typed(name: str) -> bool:
        source = context.get_parameter_source(name)
        return source is not None and source.name == "COMMANDLINE"

    project = flags.project if typed("project") else server.project
    if typed("profile"):
        return replace(flags, project=project)
    by_password = (flags.login_mode or server.login_mode) in {"standard", "ldap"}
    recorded_user = server.username or None if by_password else None
    insecure = flags.insecure or (server.insecure and flags.ca_bundle is None)
    return replace(
        flags,
        url=flags.url if typed("url") else server.url,
        username=flags.username if typed("username") else recorded_user,
        # A mode by its label, as the option has it.
        login_mode=flags.login_mode or (None if typed("username") else server.login_mode),  # type: ignore[arg-type] # a text
        project=project,
        ca_bundle=flags.ca_bundle or (None if insecure else _path(server.ca_bundle)),
        insecure=insecure,
        client_cert=flags.client_cert or _path(server.client_cert),
        client_key=flags.client_key or (None if flags.client_cert else _path(server.client_key)),
        proxy=flags.proxy if typed("proxy") else _proxy(flags, server),
        local=flags.local or (server.local and not typed("url")),
    )


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _proxy(flags: ServerFlags, server: ServerRecord) -> str | None:
    """Returns the proxy's URL: the environment's where that is what the journal lacks."""
    if server.proxy_login and flags.proxy is None:
        raise UsageError(
            f"the proxy {server.proxy} needs a user and a password, and the journal keeps none",
            hint="set MSTR_PROXY to its URL with both, as for the job itself",
        )
    return flags.proxy if server.proxy_login or server.proxy is None else server.proxy


@contextlib.contextmanager
def recorded_server(
    context: typer.Context, flags: ServerFlags, server: ServerRecord
) -> Iterator[Connection]:
    """Gives the connection to the server of a job; starts a local one where it was that.

    Raises:
        UsageError: Something is missing, such as the password.
    """
    wanted = with_recorded(context, flags, server)
    if not wanted.local:
        yield connect(wanted)
        return
    from loader.cli.local import local_server  # noqa: PLC0415 - only --local needs it

    with local_server(wanted.project) as (connection, _):
        yield connection
