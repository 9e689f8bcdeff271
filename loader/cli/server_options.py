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
            help="File that holds the password. Other ways: MSTR_PASSWORD, the keyring, a prompt.",
            rich_help_panel=_SERVER,
        ),
    ] = None
    password_command: Annotated[
        str | None,
        typer.Option(help="Command that prints the password.", rich_help_panel=_SERVER),
    ] = None
    login_mode: Annotated[
        Literal["standard", "ldap"] | None,
        typer.Option(help="How the server checks the password.", rich_help_panel=_SERVER),
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
    local: Annotated[
        bool,
        typer.Option(
            "--local",
            help="Load into a local server of this run's own, kept in a DuckDB file.",
            rich_help_panel=_SERVER,
        ),
    ] = False
