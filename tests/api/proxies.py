"""A small real proxy: forwards plain HTTP, tunnels with CONNECT, remembers what went through."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

BLOCK = 1 << 16
CLIENT_HELLO = b"\x16"
TUNNEL = b"HTTP/1.1 200 Connection established\r\n\r\n"


@dataclass
class Seen:
    """A request as the proxy saw it; of a tunnel it sees no more than where it leads."""

    method: str
    target: str
    headers: dict[str, str]


@dataclass
class Proxy:
    """Listens on loopback.

    Attributes:
        hosts: Names that it knows, with the port on loopback where they live.
        refuse: Answers this status to everything.
        credentials: Lets through only who brings them, as ``user:password``.
        answer: Sent in place of an answer to CONNECT; empty closes the connection, None is normal.
        hang: Takes requests and never answers.
        tls: Speaks https.
    """

    hosts: Mapping[str, int] = field(default_factory=dict)
    refuse: int | None = None
    credentials: str | None = None
    answer: bytes | None = None
    hang: bool = False
    tls: ssl.SSLContext | None = None
    seen: list[Seen] = field(default_factory=list)
    tunnelled: bytearray = field(default_factory=bytearray)

    async def __aenter__(self) -> Self:
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        pending = list(self._tasks)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def methods(self) -> list[str]:
        return [request.method for request in self.seen]

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with contextlib.AsyncExitStack() as open_:
            open_.callback(writer.close)
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._requests(reader, writer, open_)

    async def _requests(self, reader, writer, open_) -> None:
        upstream = None
        while True:
            first = await reader.readexactly(1)
            if first == CLIENT_HELLO:
                writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                await writer.drain()
                return
            request = await self._read_head(first, reader)
            self.seen.append(request)
            if self.hang:
                await asyncio.Event().wait()
            status = self._refusal(request)
            if status is not None:
                writer.write(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status)
                await writer.drain()
                continue
            if request.method == "CONNECT":
                await self._tunnel(request, reader, writer, open_)
                return
            upstream = upstream or await self._forward_to(request, writer, open_)
            await self._forward(request, reader, upstream)

    async def _read_head(self, start: bytes, reader: asyncio.StreamReader) -> Seen:
        head = start + await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        method, target, _ = first.split(" ")
        headers = dict(line.split(": ", 1) for line in lines if line)
        return Seen(method, target, headers)

    def _refusal(self, request: Seen) -> int | None:
        if self.credentials is not None:
            right = f"Basic {base64.b64encode(self.credentials.encode()).decode()}"
            if request.headers.get("Proxy-Authorization") != right:
                return 407
        return self.refuse

    async def _connect(self, host: str, port: int, open_) -> tuple:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.hosts.get(host, port))
        open_.callback(writer.close)
        return reader, writer

    async def _tunnel(self, request: Seen, reader, writer, open_) -> None:
        if self.answer is not None:
            writer.write(self.answer)
            await writer.drain()
            return
        host, _, port = request.target.rpartition(":")
        there, upstream = await self._connect(host, int(port), open_)
        writer.write(TUNNEL)
        await asyncio.gather(self._pump(reader, upstream, seen=True), self._pump(there, writer))

    async def _forward_to(self, request: Seen, writer, open_) -> asyncio.StreamWriter:
        target = urlsplit(request.target)
        there, upstream = await self._connect(target.hostname, target.port or 80, open_)
        back = asyncio.create_task(self._pump(there, writer))
        open_.callback(back.cancel)
        return upstream

    async def _forward(self, request: Seen, reader, upstream: asyncio.StreamWriter) -> None:
        target = urlsplit(request.target)
        path = f"{target.path}?{target.query}" if target.query else target.path
        passed_on = {
            name: value for name, value in request.headers.items() if not name.startswith("Proxy-")
        }
        lines = [f"{request.method} {path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in passed_on.items()]
        upstream.write("\r\n".join([*lines, "", ""]).encode())
        missing = int(request.headers.get("Content-Length", 0))
        while missing:
            block = await reader.read(min(missing, BLOCK))
            missing -= len(block)
            upstream.write(block)
            await upstream.drain()

    async def _pump(self, reader, writer, *, seen: bool = False) -> None:
        with contextlib.suppress(OSError):
            while block := await reader.read(BLOCK):
                if seen:
                    self.tunnelled += block
                writer.write(block)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.close()
