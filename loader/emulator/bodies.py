"""Takes request bodies off the wire: whole into one buffer, or only their ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from loader.emulator.injection import injection_of
from loader.emulator.refusals import Code, Refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import web

    from loader.emulator.core import Emulator

__all__ = ["Skeleton", "read_body", "skim_body"]

_MB = 1_000_000

END = 64 << 10
"""How much of each end of a body a skeleton keeps: far more than the members beside data take."""


@dataclass(frozen=True, slots=True)
class Skeleton:
    """A body without its middle.

    Attributes:
        body: Its first and its last bytes; all of it if it is short.
        cut: How many bytes between them were let go.
        total: Its whole length.
    """

    body: bytes
    cut: int
    total: int


async def read_body(request: web.Request, emulator: Emulator) -> bytearray:
    """Reads a whole body into one buffer; no second copy of it is ever held.

    Raises:
        Refusal: It is longer than the server allows (413).
    """
    length = request.content_length
    _require(length or 0, emulator)
    body = bytearray(length or 0)
    at = 0
    async for piece in _pieces(request, emulator):
        # A slice past the end grows the buffer: so a body without Content-Length works as well.
        body[at : at + len(piece)] = piece
        at += len(piece)
        _require(at, emulator)
    return body


async def skim_body(request: web.Request, emulator: Emulator) -> Skeleton:
    """Reads a body and keeps only its ends.

    Raises:
        Refusal: It is longer than the server allows (413).
    """
    _require(request.content_length or 0, emulator)
    head, tail = bytearray(), b""
    total = 0
    async for piece in _pieces(request, emulator):
        total += len(piece)
        if len(head) < END:
            head += piece
            # What the first pieces bring beyond the head belongs to the tail.
            tail = bytes(head[END:])
            del head[END:]
        elif len(piece) >= END:
            tail = piece
        else:
            tail = (tail + piece)[-END:]
    _require(total, emulator)
    tail = tail[-END:]
    body = bytes(head) + tail
    return Skeleton(body, total - len(body), total)


async def _pieces(request: web.Request, emulator: Emulator) -> AsyncIterator[bytes]:
    faults = injection_of(request)
    read = request.content.readany if faults is None else faults.read
    begins = True
    while piece := await read():
        await emulator.wire.passage(len(piece), begins=begins)
        begins = False
        yield piece


def _require(size: int, emulator: Emulator) -> None:
    limit = emulator.options.max_body
    if size > limit * _MB:
        raise Refusal(
            413,
            Code.INVALID,
            f"The request body has {size} bytes or more; this server takes {limit:g} MB "
            "(--max-body).",
        )
