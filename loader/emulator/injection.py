"""Does to one request what the fault plan decided: the layer between HTTP and the endpoints."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import select
import socket
import struct
import time
import uuid
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aiohttp import web

from loader.emulator.faultrules import (
    Answer,
    Crash,
    DiskFull,
    EndLogin,
    EndSession,
    ErrorBody,
    Moment,
    Outcome,
    Reset,
    Slow,
    Spoiled,
    Stall,
    Status,
    Where,
)
from loader.emulator.faults import Facts
from loader.emulator.refusals import Code, Refusal

if TYPE_CHECKING:
    from loader.emulator.call import Endpoint
    from loader.emulator.core import Emulator
    from loader.emulator.faults import Shot

__all__ = ["NO_ANSWER", "Injection", "inject", "injection_of"]

NO_ANSWER = 444
"""What the log says when a fault ended the connection without an answer."""

_LOOK = 0.01
"""Seconds between two looks whether the client of a stalled request has gone: nothing tells of it
while nobody reads."""

_HEAD = 64 << 10
"""How far into a body its table and index are looked for: they stand before the data or nowhere."""

_DATA = re.compile(rb'"data"\s*:')
_TABLE = re.compile(rb'"tableName"\s*:\s*("(?:[^"\\]|\\.)*")')
_INDEX = re.compile(rb'"index"\s*:\s*"?(\d{1,9})"?\s*[,}]')

_MISSING_BYTES = 64
"""How much a short answer lacks."""


class _Ended(Exception):
    def __init__(self, response: web.StreamResponse) -> None:
        super().__init__()
        self.response = response


class _Stalled(Exception):
    """The request will never be answered; the endpoint is left, the connection is held."""


def injection_of(request: web.Request) -> Injection | None:
    """Returns what happens to a request; None when there are no rules."""
    return request.get(_KEY)


async def inject(
    endpoint: Endpoint, request: web.Request, emulator: Emulator
) -> web.StreamResponse:
    """Answers a request as an endpoint does, but with the faults that are due.

    Raises:
        Refusal: Any rule of the API that the call breaks.
    """
    injection = Injection(request, emulator)
    request[_KEY] = injection
    try:
        await injection.arrive(endpoint.where)
        return await injection.leave(await endpoint.answer(request, emulator))
    except _Ended as ended:
        return ended.response
    except _Stalled:
        return (await injection.wait_for_client()).response
    finally:
        injection.close()


class Injection:
    """The faults of one request, at each moment of its way."""

    def __init__(self, request: web.Request, emulator: Emulator) -> None:
        self._request = request
        self._emulator = emulator
        self._shots: list[Shot] = []
        # Pieces of the body that were looked into and not handed on yet.
        self._held: list[bytes] = []
        self._seen = 0

    @property
    def fired(self) -> list[str]:
        """The rules that fired so far."""
        return [shot.rule.text for shot in self._shots if shot.fired]

    async def arrive(self, where: Where) -> None:
        """Decides, and does what happens before the request is looked at."""
        plan = self._emulator.faults
        table = index = None
        if where is Where.PUT and plan.looks_into_chunks():
            table, index = await self._look_into()
        facts = Facts(where, self._request.body_exists, table, index)
        self._shots = plan.decide(facts, self._emulator.clock.now())
        for shot in self._shots:
            match shot.rule.effect:
                case EndLogin(keep_sessions=keep):
                    await self._end_login(shot, keep=keep)
                case EndSession():
                    await self._end_session(shot)
        await self._at(Moment.BEFORE)

    async def read(self) -> bytes:
        """Returns the next piece of the body, nothing at its end: ``readany`` with faults."""
        if self._held:
            piece = self._held.pop(0)
        else:
            piece = await self._read_slowly()
        self._seen += len(piece)
        await self._at(Moment.MID_BODY)
        if not piece:
            await self._at(Moment.AFTER_BODY)
        return piece

    def before_store(self) -> None:
        """Refuses a chunk when the disk is full.

        Raises:
            Refusal: It is (500).
        """
        for shot in self._shots:
            if isinstance(shot.rule.effect, DiskFull):
                shot.fire()
                raise Refusal(500, Code.SERVER, "The server's disk is full: nothing was kept.")

    def outcome(self) -> Outcome | None:
        """Returns what shall become of the publish that this request starts."""
        for shot in self._shots:
            if isinstance(shot.rule.effect, Outcome):
                return shot.rule.effect
        return None

    async def leave(self, response: web.StreamResponse) -> web.StreamResponse:
        """Does what happens after the call has succeeded; returns what is answered."""
        for shot in self._shots:
            if isinstance(shot.rule.effect, Outcome):
                shot.fire()  # the publish has started with it
        await self._at(Moment.AFTER_STORE)
        for shot in self._shots:
            if isinstance(shot.rule.effect, Answer) and isinstance(response, web.Response):
                return await self._spoil(shot, shot.rule.effect.how, response)
        return response

    def close(self) -> None:
        """Gives up what has not happened."""
        for shot in self._shots:
            shot.miss()

    async def _at(self, moment: Moment) -> None:
        for shot in self._shots:
            effect = shot.rule.effect
            if shot.fired or getattr(effect, "at", None) is not moment:
                continue
            if moment is Moment.MID_BODY and not self._has_read(getattr(effect, "share", 0.0)):
                continue
            match effect:
                case Status():
                    shot.fire()
                    raise _Ended(_error(effect))
                case Reset():
                    shot.fire()
                    raise self._hang_up()
                case Crash():
                    shot.fire()
                    self._emulator.crash()
                case Stall():
                    shot.fire()
                    await self._stall(effect)

    def _has_read(self, share: float) -> bool:
        # A body whose length nobody knows is in its middle from its first piece on.
        return self._seen >= share * (self._request.content_length or 0)

    def _hang_up(self) -> _Ended:
        transport = self._request.transport
        if transport is not None:
            connection = transport.get_extra_info("socket")
            if connection is not None:
                # Without it the client may see an orderly end (FIN) rather than a reset.
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            transport.abort()
        return _Ended(web.Response(status=NO_ANSWER))

    async def _stall(self, stall: Stall) -> None:
        if stall.at is Moment.MID_BODY:
            self._let_in(reading=False)
        if stall.seconds is not None:
            # Whether or not the client waits for it: what it gave up may still be stored.
            await self._emulator.clock.sleep(stall.seconds)
            self._let_in(reading=True)
            return
        raise _Stalled

    async def wait_for_client(self) -> _Ended:
        """Waits until the client of a stalled request goes away, or the server stops.

        A client that gives up while all buffers are full cannot tell so before somebody reads: its
        connection is held until the server stops, which costs no more than the connection.
        """
        closing = self._emulator.closing
        while not closing.is_set() and not _gone(self._request):
            try:
                await asyncio.wait_for(closing.wait(), _LOOK)
            except TimeoutError:
                continue
        return self._hang_up()

    async def _read_slowly(self) -> bytes:
        content = self._request.content
        for shot in self._shots:
            if isinstance(shot.rule.effect, Slow):
                shot.fire()
                piece = await content.readany()
                # Or the server would go on filling its buffers, and the client would notice little.
                self._let_in(reading=False)
                await self._emulator.clock.sleep(len(piece) / shot.rule.effect.rate)
                self._let_in(reading=True)
                return piece
        return await content.readany()

    def _let_in(self, *, reading: bool) -> None:
        """Reads from the connection, or leaves there what comes."""
        transport = self._request.transport
        if transport is None:
            return
        # aiohttp pauses and resumes as well, and some transports mind being told twice.
        with contextlib.suppress(RuntimeError, NotImplementedError):
            if reading:
                transport.resume_reading()
            else:
                transport.pause_reading()

    async def _look_into(self) -> tuple[str | None, int | None]:
        """Reads the beginning of a chunk's body, up to its data; returns its table and index."""
        head = b""
        while len(head) < _HEAD and not _DATA.search(head):
            piece = await self._request.content.readany()
            if not piece:
                break
            self._held.append(piece)
            head += piece
        data = _DATA.search(head)
        head = head[: data.start() if data else _HEAD]
        table, index = _TABLE.search(head), _INDEX.search(head)
        try:
            name = json.loads(table[1]) if table else None
        except ValueError:  # the server will refuse it, once it reads the body
            name = None
        return name, int(index[1]) if index else None

    async def _end_login(self, shot: Shot, *, keep: bool) -> None:
        logins = self._emulator.logins
        login = logins.by_token(self._request.headers.get("X-MSTR-AuthToken", ""))
        if login is None:
            return
        shot.fire()
        if keep:
            logins.close(login)
        else:
            await self._emulator.logout(login)

    async def _end_session(self, shot: Shot) -> None:
        wanted = self._request.match_info["session"].upper()
        for session in self._emulator.uploads:
            if session.id == wanted:
                shot.fire()
                await self._emulator.cancel(session)

    async def _spoil(self, shot: Shot, how: Spoiled, response: web.Response) -> web.StreamResponse:
        body = response.body
        assert body is None or isinstance(body, bytes)
        shot.fire()
        match how:
            case Spoiled.HALF:
                return _like(response, (body or b"")[: len(body or b"") // 2])
            case Spoiled.EMPTY:
                return _like(response, b"")
            case Spoiled.GARBAGE:
                return _like(response, b"\x00\xff\xfe{[\x80")
            case Spoiled.HTML:
                return _like(response, _page("Sign in"), "text/html")
            case Spoiled.SHORT:
                return await self._cut_short(response, body or b"{")

    async def _cut_short(self, response: web.Response, body: bytes) -> web.StreamResponse:
        cut = web.StreamResponse(status=response.status)
        cut.content_type = "application/json"
        cut.content_length = len(body) + _MISSING_BYTES
        await cut.prepare(self._request)
        await cut.write(body)
        if self._request.transport is not None:
            self._request.transport.close()
        return cut


_KEY = web.RequestKey("loader.emulator.injection", Injection)


def _gone(request: web.Request) -> bool:
    """Whether the client has closed its end, also while data of it lies unread."""
    transport = request.transport
    if transport is None or transport.is_closing():
        return True
    hung_up = getattr(select, "POLLRDHUP", None)
    if hung_up is None:  # macOS: known once the connection is read again, at the latest at the end
        return False
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), hung_up)
    return bool(poll.poll(0))


def _error(status: Status) -> web.Response:
    headers = {}
    if status.retry_after is not None:
        headers["Retry-After"] = _retry_after(status.retry_after, as_date=status.retry_date)
    body, content_type = _error_body(status)
    if body is None:
        return web.Response(status=status.status, headers=headers)
    return web.Response(status=status.status, headers=headers, body=body, content_type=content_type)


def _error_body(status: Status) -> tuple[bytes | None, str]:
    error: dict[str, Any] = {"code": status.code, "message": status.message}
    match status.body:
        case ErrorBody.API:
            error["ticketId"] = uuid.uuid4().hex
            if status.iserver_code is not None:
                error["iServerCode"] = status.iserver_code
            return json.dumps(error).encode(), "application/json"
        case ErrorBody.ERRORS:
            return json.dumps({"errors": [error]}).encode(), "application/json"
        case ErrorBody.HTML:
            try:
                title = f"{status.status} {HTTPStatus(status.status).phrase}"
            except ValueError:
                title = str(status.status)
            return _page(title), "text/html"
        case ErrorBody.EMPTY:
            return None, ""


def _retry_after(seconds: float, *, as_date: bool) -> str:
    if not as_date:
        return f"{seconds:.0f}"
    # The wall clock's, not the emulator's: a client compares it with its own.
    return formatdate(time.time() + seconds, usegmt=True)


def _page(title: str) -> bytes:
    return f"<html><head><title>{title}</title></head><body>{title}</body></html>\n".encode()


def _like(response: web.Response, body: bytes, kind: str = "application/json") -> web.Response:
    return web.Response(status=response.status, body=body, content_type=kind)
