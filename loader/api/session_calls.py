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
from loader.api.connection import Connection, LoginMode
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
    """Makes a session; the result is its token.

    Source: both documents, "Log in", for user and password; public clients for the others: an API
    token goes where the user's name would, an identity token is exchanged at an endpoint of its
    own.
    """
    mode = connection.login_mode
    body: dict[str, object] = {"loginMode": int(mode)}
    path = "/api/auth/login"
    match mode:
        case LoginMode.API_TOKEN:
            body["username"] = connection.token
        case LoginMode.IDENTITY_TOKEN:
            body["identityToken"] = connection.token
            path = "/api/auth/delegate"
        case LoginMode.STANDARD | LoginMode.LDAP:
            body |= {"username": connection.username, "password": connection.password}
    return Call(
        aim="log in",
        method="POST",
        path=path,
        scope=Scope.LOGIN,
        body=body,
        read=_token,
        hint=_LOGIN_HINTS[mode],
    )


_LOGIN_HINTS = {
    LoginMode.STANDARD: "Check user, password and login mode (standard or ldap).",
    LoginMode.LDAP: "Check user, password and login mode (standard or ldap).",
    LoginMode.ANONYMOUS: "Does the server let anonymous users in (login mode anonymous)?",
    LoginMode.API_TOKEN: "Check the API token (MSTR_API_TOKEN): is it of this server, is it still "
    "valid, and does the server offer the login mode api-token?",
    LoginMode.IDENTITY_TOKEN: "Check the identity token (MSTR_IDENTITY_TOKEN): it is of one server "
    "and lives for a short time only.",
}


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
