"""Login, logout, the session that is kept alive, the server's version."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from loader.emulator.bodies import read_body
from loader.emulator.call import Access, Call, Endpoint, empty, reply
from loader.emulator.faultrules import Where
from loader.emulator.fields import Fields
from loader.emulator.refusals import Code, Refusal
from loader.emulator.sessions import Login

__all__ = ["BASE", "ENDPOINTS"]

BASE = "/MicroStrategyLibrary"
"""Where the API lives on every server; also the path of its cookie."""

_VERSION = "11.5.0700.0000"
"""mstrio-py 11.6 asks for 11.5.0600 at least."""

_FORM = "application/x-www-form-urlencoded"


async def login(call: Call) -> web.Response:
    """``POST /api/auth/login``: JSON as in both documents, or a form as the vendor's client."""
    fields = await _credentials(call)
    return _entered(
        call,
        call.emulator.logins.open(
            fields.get("loginMode"), fields.get("username"), fields.get("password")
        ),
    )


async def delegate(call: Call) -> web.Response:
    """``POST /api/auth/delegate``: a login with an identity token (public clients)."""
    fields = Fields(await call.json()).without()
    return _entered(
        call, call.emulator.logins.delegate(fields.get("loginMode"), fields.get("identityToken"))
    )


def _entered(call: Call, opened: Login) -> web.Response:
    response = empty(204, {"X-MSTR-AuthToken": opened.token})
    response.set_cookie(
        "JSESSIONID",
        opened.cookie,
        # A client that calls the API without the base would never send a cookie of the base.
        path=BASE if call.request.path.startswith(BASE) else "/",
        httponly=True,
        secure=call.request.secure,
    )
    return response


async def _credentials(call: Call) -> dict[str, Any]:
    match call.request.content_type:
        case "application/json":
            return Fields(await call.json()).without()
        case content_type if content_type == _FORM:
            # Not request.post(): its size limit is not the one of this server.
            body = await read_body(call.request, call.emulator)
            return dict(parse_qsl(body.decode(), keep_blank_values=True))
        case content_type:
            raise Refusal(
                415,
                Code.INVALID,
                f"Content-Type {content_type!r} must be application/json or {_FORM}.",
            )


async def logout(call: Call) -> web.Response:
    """``POST /api/auth/logout``; the documents' lists of steps call it ``/api/logout``."""
    await call.emulator.logout(call.login)
    return empty(204)


async def session(call: Call) -> web.Response:
    """``GET /api/sessions``: the timeout in whole seconds, which the vendor's client needs."""
    return reply(
        {
            "id": call.login.user_id,
            "fullName": call.login.user,
            "initials": call.login.user[:1].upper(),
            "timeout": int(call.emulator.options.session_timeout),
        }
    )


async def keep_alive(call: Call) -> web.Response:
    """``PUT /api/sessions``: every call extends the login, this one does nothing else."""
    del call
    return empty(204)


async def status(call: Call) -> web.Response:
    """``GET /api/status``: the versions."""
    del call
    return reply({"iServerVersion": _VERSION, "webVersion": _VERSION})


ENDPOINTS = (
    Endpoint("POST", "/auth/login", login, Where.LOGIN, Access.PUBLIC),
    Endpoint("POST", "/auth/delegate", delegate, Where.LOGIN, Access.PUBLIC),
    Endpoint("POST", "/auth/logout", logout, Where.LOGOUT, Access.LOGIN),
    Endpoint("POST", "/logout", logout, Where.LOGOUT, Access.LOGIN),
    Endpoint("GET", "/sessions", session, Where.LOGIN_INFO, Access.LOGIN),
    Endpoint("PUT", "/sessions", keep_alive, Where.KEEP_ALIVE, Access.LOGIN),
    Endpoint("GET", "/status", status, Where.VERSION, Access.LOGIN),
)
