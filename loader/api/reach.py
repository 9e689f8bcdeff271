"""Watches a request get through a proxy: how long that may take, and whether it did."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import aiohttp

__all__ = ["Reach"]


class Reach:
    """Limits the time until a request has a connection, and remembers whether it got one.

    aiohttp limits the time for connecting to a proxy, but not how long that one may take to connect
    to the server; and a proxy that hangs up looks like a server that does. What never got through
    was not seen by the server, and that decides what a failure means.

    ``async with reach.limit: session.request(…, trace_request_ctx=reach)``.

    Attributes:
        limit: The time limit; it raises ``TimeoutError``.
        connected: False while a connection is being made.
    """

    def __init__(self, seconds: float) -> None:
        """Takes how long connecting may take, the proxy's part and TLS included."""
        self._seconds = seconds
        self.limit = asyncio.timeout(None)
        self.connected = True

    @staticmethod
    def trace() -> aiohttp.TraceConfig:
        """Returns what a session needs for its requests to tell their ``Reach``."""
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_start.append(_started)
        trace.on_connection_create_end.append(_ended)
        return trace

    def started(self) -> None:
        """A connection is being made."""
        self.connected = False
        self.limit.reschedule(asyncio.get_running_loop().time() + self._seconds)

    def ended(self) -> None:
        """There is a connection."""
        self.connected = True
        if not self.limit.expired():
            self.limit.reschedule(None)


async def _started(_session: aiohttp.ClientSession, context: SimpleNamespace, _: object) -> None:
    context.trace_request_ctx.started()


async def _ended(_session: aiohttp.ClientSession, context: SimpleNamespace, _: object) -> None:
    context.trace_request_ctx.ended()
