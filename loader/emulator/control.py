"""Fault rules at run time: the control endpoint beside the API, for this machine alone."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from aiohttp import web

from loader.emulator.call import empty, reply
from loader.emulator.fields import parse_json
from loader.emulator.refusals import Code, Refusal, invalid
from loader.errors import UsageError

if TYPE_CHECKING:
    from loader.emulator.core import Emulator

__all__ = ["PATH", "add_control"]

PATH = "/emulator/faults"

_LARGEST = 1 << 20
"""Bytes of a list of rules."""


def add_control(app: web.Application, emulator: Emulator) -> None:
    """Adds the endpoint: GET shows the rules, POST adds some, DELETE removes all."""

    async def show(request: web.Request) -> web.Response:
        _require_local(request)
        return reply(_report(emulator))

    async def add(request: web.Request) -> web.Response:
        _require_local(request)
        # A page of another site cannot send this type without asking, and nobody allows it.
        if request.content_type != "application/json":
            raise Refusal(415, Code.INVALID, "Content-Type must be application/json.")
        body = await request.content.read(_LARGEST)
        texts = parse_json(body)
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise invalid("The body must be a list of texts, each of them a rule.")
        try:
            emulator.inject(*texts)
        except UsageError as error:
            raise invalid(f"{error.message} ({error.hint})") from error
        return reply(_report(emulator))

    async def clear(request: web.Request) -> web.Response:
        _require_local(request)
        emulator.faults.clear()
        return empty(204)

    app.router.add_get(PATH, show)
    app.router.add_post(PATH, add)
    app.router.add_delete(PATH, clear)


def _report(emulator: Emulator) -> dict[str, Any]:
    return {"seed": emulator.faults.seed, "rules": emulator.faults.report()}


def _require_local(request: web.Request) -> None:
    try:
        local = ipaddress.ip_address(request.remote or "").is_loopback
    except ValueError:
        local = False
    if not local:
        raise Refusal(403, Code.UNSUPPORTED, "Faults are controlled from the same machine only.")
