"""The calls around a login: in, out, projects, the server's version, the session's life."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from loader.api.answer import (
    Answer,
    Malformed,
    integer_of,
    items_of,
    json_of,
    nothing,
    object_of,
    text_of,
)
from loader.api.connection import Connection
from loader.api.exchange import Call, Scope
from loader.errors import UnknownProject

__all__ = [
    "Project",
    "ServerInfo",
    "choose_project",
    "keep_alive",
    "login",
    "logout",
    "projects",
    "server_info",
    "session_timeout",
]

TOKEN_HEADER = "X-MSTR-AuthToken"  # noqa: S105  # a header's name


@dataclass(frozen=True, slots=True)
class Project:
    """A project the user may see."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """The versions of the Intelligence Server and of the web application in front of it."""

    iserver_version: str | None
    web_version: str | None


def login(connection: Connection) -> Call[str]:
    """Makes a session; the result is its token (both documents, "Log in")."""
    return Call(
        aim="log in",
        method="POST",
        path="/api/auth/login",
        scope=Scope.LOGIN,
        body={
            "loginMode": int(connection.login_mode),
            "username": connection.username,
            "password": connection.password,
        },
        read=_token,
    )


def _token(answer: Answer) -> str:
    token = answer.headers.get(TOKEN_HEADER.lower(), "")
    if not token:
        raise Malformed(f"without the header {TOKEN_HEADER}")
    return token


def logout() -> Call[None]:
    """Ends the session (both documents, "Log out"; their lists also say ``/api/logout``)."""
    return Call(
        aim="log out", method="POST", path="/api/auth/logout", scope=Scope.USER, read=nothing
    )


def projects() -> Call[list[Project]]:
    """Lists the projects (one-request document, "Get project list")."""
    return Call(
        aim="list the projects",
        method="GET",
        path="/api/projects",
        scope=Scope.USER,
        read=_projects,
    )


def _projects(answer: Answer) -> list[Project]:
    items = items_of(json_of(answer), "the list of projects")
    return [Project(id=text_of(item, "id"), name=text_of(item, "name")) for item in items]


def choose_project(wanted: str, available: Sequence[Project]) -> Project:
    """Returns the project with that id or, failing that, that name.

    Raises:
        UnknownProject: There is none; the hint lists names that are close.
    """
    for project in available:
        if project.id.upper() == wanted.upper():
            return project
    for project in available:
        if project.name == wanted:
            return project
    names = [project.name for project in available]
    # Compared without case, since that is the commonest slip.
    folded = {name.casefold(): name for name in names}
    close = difflib.get_close_matches(wanted.casefold(), folded, n=5, cutoff=0.5)
    if close:
        hint = f"Close names: {', '.join(repr(folded[name]) for name in close)}."
    elif names:
        hint = f"The user sees {len(names)} projects, among them {names[0]!r}."
    else:
        hint = "The user sees no project at all; ask the administrator for access."
    raise UnknownProject(
        f"The server shows this user no project with the name or id {wanted!r}.",
        hint=hint,
        project=wanted,
    )


def server_info() -> Call[ServerInfo]:
    """Asks for the server's versions (public clients)."""
    return Call(
        aim="read the server's version",
        method="GET",
        path="/api/status",
        scope=Scope.USER,
        read=_server_info,
    )


def _server_info(answer: Answer) -> ServerInfo:
    document = object_of(answer)
    return ServerInfo(
        iserver_version=document.get("iServerVersion"), web_version=document.get("webVersion")
    )


def session_timeout() -> Call[int]:
    """Asks after how many idle seconds the session ends (public clients)."""
    return Call(
        aim="read the session's timeout",
        method="GET",
        path="/api/sessions",
        scope=Scope.USER,
        read=lambda answer: integer_of(object_of(answer), "timeout"),
    )


def keep_alive() -> Call[None]:
    """Extends the session (public clients)."""
    return Call(
        aim="keep the session alive",
        method="PUT",
        path="/api/sessions",
        scope=Scope.USER,
        read=nothing,
    )
