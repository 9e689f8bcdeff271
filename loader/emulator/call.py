"""One call of the API: what every endpoint checks before it does anything, and how it answers."""

from __future__ import annotations

import enum
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from aiohttp import web

from loader.emulator.bodies import read_body
from loader.emulator.catalogue import Dataset, Project, find_project
from loader.emulator.fields import parse_json
from loader.emulator.injection import injection_of
from loader.emulator.refusals import Code, Refusal, invalid, missing

if TYPE_CHECKING:
    from loader.emulator.core import Emulator
    from loader.emulator.faultrules import Where
    from loader.emulator.injection import Injection
    from loader.emulator.sessions import Login
    from loader.emulator.uploads import UploadSession

__all__ = ["Access", "Call", "Endpoint", "Handler", "empty", "reply"]

_NO_STORE = {"Cache-Control": "no-cache, no-store, max-age=0, must-revalidate"}

_MAX_PAGE = 1000

_SMALL = 1 << 20
"""Bodies up to this are parsed on the event loop: it takes less than a few milliseconds."""


class Access(enum.Enum):
    """What an endpoint asks for: nothing, a login, or a login and a project."""

    PUBLIC = "public"
    LOGIN = "login"
    PROJECT = "project"


@dataclass(frozen=True, slots=True)
class Call:
    """A request whose right to be answered was checked.

    Attributes:
        request: The HTTP request.
        emulator: The server's state.
        _login: Who calls; None for public endpoints.
        _project: What ``X-MSTR-ProjectID`` names; None where it is not asked for.
    """

    request: web.Request
    emulator: Emulator
    _login: Login | None
    _project: Project | None

    @property
    def login(self) -> Login:
        """Who calls."""
        assert self._login is not None, "a public endpoint has no login"
        return self._login

    @property
    def project(self) -> Project:
        """The project that the call is about."""
        assert self._project is not None, "the endpoint asks for no project"
        return self._project

    @property
    def faults(self) -> Injection | None:
        """The faults that this call meets; None when there are no rules."""
        return injection_of(self.request)

    def dataset(self) -> Dataset:
        """Returns the dataset that the path names.

        Raises:
            Refusal: The project has none with that id.
        """
        return self.emulator.catalogue.find(self.project, self.request.match_info["dataset"])

    def session(self) -> UploadSession:
        """Returns the upload session that the path names.

        Raises:
            Refusal: There is none with that id, or no such dataset.
        """
        return self.emulator.uploads.find(self.dataset(), self.request.match_info["session"])

    def require_json(self) -> None:
        """Checks the content type.

        Raises:
            Refusal: It is not ``application/json``.
        """
        content_type = self.request.headers.get("Content-Type")
        if content_type is None:
            raise Refusal(
                415,
                Code.INVALID,
                "The header Content-Type is missing; it must be application/json.",
            )
        if self.request.content_type != "application/json":
            raise Refusal(
                415, Code.INVALID, f"Content-Type {content_type!r} must be application/json."
            )

    async def json(self) -> Any:
        """Reads and parses a JSON body.

        Raises:
            Refusal: The content type or the body is not JSON.
        """
        self.require_json()
        body = await read_body(self.request, self.emulator)
        if len(body) <= _SMALL:
            return parse_json(body)
        return await self.emulator.decode(parse_json, body)

    def number(self, name: str, default: int) -> int:
        """Returns a whole number from the query.

        Raises:
            Refusal: It is not a number from 0.
        """
        text = self.request.query.get(name, str(default))
        if not (text.isascii() and text.isdigit() and len(text) < 10):  # noqa: PLR2004 - 32 bits
            raise invalid(f"{name}={text} in the query must be a whole number.")
        return int(text)

    def page(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Returns the part of a listing that ``offset`` and ``limit`` in the query ask for."""
        offset, limit = self.number("offset", 0), self.number("limit", _MAX_PAGE)
        return items[offset:] if limit == 0 else items[offset : offset + limit]


Handler: TypeAlias = Callable[[Call], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One line of the API.

    Attributes:
        method: The HTTP method.
        path: After ``/api``, in aiohttp's notation.
        handler: What answers.
        where: What fault rules call it.
        access: What it asks for.
        pooled: Whether it holds one of the server's connections from its beginning; what takes
            large bodies takes one itself once they are there.
    """

    method: str
    path: str
    handler: Handler
    where: Where
    access: Access = Access.PROJECT
    pooled: bool = True

    async def answer(self, request: web.Request, emulator: Emulator) -> web.Response:
        """Checks the caller and answers.

        Raises:
            Refusal: Any rule that the call breaks.
        """
        login = project = None
        if self.access is not Access.PUBLIC:
            login = emulator.logins.find(
                request.headers.get("X-MSTR-AuthToken"), request.cookies.get("JSESSIONID")
            )
        if self.access is Access.PROJECT:
            project_id = request.headers.get("X-MSTR-ProjectID")
            if project_id is None:
                raise missing(
                    "The header X-MSTR-ProjectID is missing; GET /api/projects lists ids."
                )
            project = find_project(project_id)
        call = Call(request, emulator, login, project)
        if login is None:
            return await self._handle(call)
        login.calls += 1
        try:
            return await self._handle(call)
        finally:
            login.calls -= 1
            emulator.logins.touch(login)

    async def _handle(self, call: Call) -> web.Response:
        if not self.pooled:
            return await self.handler(call)
        async with call.emulator.pool.place():
            return await self.handler(call)


def reply(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Answers with JSON."""
    return web.Response(
        status=status,
        body=json.dumps(value, ensure_ascii=False, allow_nan=False).encode(),
        content_type="application/json",
        headers={**_NO_STORE, **(headers or {})},
    )


def empty(status: int, headers: dict[str, str] | None = None) -> web.Response:
    """Answers without a body."""
    return web.Response(status=status, headers={**_NO_STORE, **(headers or {})})
