"""The options that name a server, a user and a project."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = ["ServerFlags"]

_SERVER = "Connection"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFlags:
    """The connection as flags and environment give it; None where neither does."""

    url: Annotated[
        str | None,
        typer.Option(
            envvar="MSTR_URL",
            help="The Library's address, with or without /api at its end.",
            rich_help_panel=_SERVER,
        ),
    ] = None
    username: Annotated[
        str | None, typer.Option(envvar="MSTR_USERNAME", help="User.", rich_help_panel=_SERVER)
    ] = None
    password_file: Annotated[
        Path | None,
        typer.Option(
            help="File that holds the password or the token. Other ways: MSTR_PASSWORD, "
            "MSTR_API_TOKEN, MSTR_IDENTITY_TOKEN, the keyring, a prompt.",
            rich_help_panel=_SERVER,
        ),
    ] = None
    password_command: Annotated[
        str | None,
        typer.Option(
            help="Command that prints the password or the token.", rich_help_panel=_SERVER
        ),
    ] = None
    login_mode: Annotated[
        Literal["standard", "ldap", "anonymous", "api-token", "identity-token"] | None,
        typer.Option(
            help="How the server checks who logs in; default: standard for a user, api-token or "
            "identity-token where only that token is in the environment.",
            rich_help_panel=_SERVER,
        ),
    ] = None
    project: Annotated[
        str | None,
        typer.Option(envvar="MSTR_PROJECT", help="Project, name or id.", rich_help_panel=_SERVER),
    ] = None
    profile: Annotated[
        str | None,
        typer.Option(help="Section of the configuration file.", rich_help_panel=_SERVER),
    ] = None
    ca_bundle: Annotated[
        Path | None,
        typer.Option(help="Certificate authorities to trust (PEM).", rich_help_panel=_SERVER),
    ] = None
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure",
            help="Accept any certificate: anybody on the way can read password and data.",
            rich_help_panel=_SERVER,
        ),
    ] = False
    client_cert: Annotated[
        Path | None,
        typer.Option(
            help="Certificate to show to a server that asks for one (PEM).", rich_help_panel=_SERVER
        ),
    ] = None
    client_key: Annotated[
        Path | None,
        typer.Option(
            help="Its key (PEM), if not in the same file; MSTR_CLIENT_KEY_PASSWORD opens an "
            "encrypted one.",
            rich_help_panel=_SERVER,
        ),
    ] = None
    proxy: Annotated[
        str | None,
        typer.Option(
            envvar="MSTR_PROXY",
            metavar="URL",
            help="http or https proxy; none: connect directly; default: HTTPS_PROXY, HTTP_PROXY "
            "and NO_PROXY. One with a password belongs in MSTR_PROXY.",
            rich_help_panel=_SERVER,
        ),
    ] = None
    local: Annotated[
        bool,
        typer.Option(
            "--local",
            help="Load into a local server of this run's own, kept in a DuckDB file.",
            rich_help_panel=_SERVER,
        ),
    ] = False
