"""Stand-ins for a Library server: answers from a table, and real servers on loopback."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aioresponses import aioresponses

from loader.api import Client, Connection, Project

TOKEN = "token-of-the-session"
PASSWORD = "pass-of-the-user"
PROJECT = Project(id="B19DEDCC11D4E0EFC000EB9495D0F44F", name="MicroStrategy Tutorial")
URL = "https://mstr.example.com/MicroStrategyLibrary"

RawHandler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def enter(client: Client) -> None:
    """Puts a client into the state after login and select_project."""
    client._login.token = TOKEN
    client._project = PROJECT


class Text:
    """Stands for a chunk's base64: slices are made while iterating, and iterations are counted."""

    def __init__(self, size: int, slice_bytes: int = 1 << 20) -> None:
        self.size = size
        self.slice_bytes = slice_bytes
        self.iterations = 0
        self._slice = (b"ABCD" * (slice_bytes // 4 + 1))[:slice_bytes]

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[bytes]:
        self.iterations += 1
        for at in range(0, self.size, self.slice_bytes):
            yield self._slice[: min(self.slice_bytes, self.size - at)]


@dataclass(frozen=True)
class Seen:
    """A request as it was handed to aiohttp; headers without those that every request has."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: Any
    redirects: bool


class _Sink(AbstractStreamWriter):
    """Takes a body as a socket would: a success before all of it was written would be refused."""

    async def write(self, chunk: Any) -> None:
        pass

    async def write_eof(self, chunk: bytes = b"") -> None:
        raise NotImplementedError

    async def drain(self) -> None:
        raise NotImplementedError

    async def write_headers(self, status_line: str, headers: Any) -> None:
        raise NotImplementedError

    def enable_compression(self, encoding: str = "deflate", strategy: int | None = None) -> None:
        raise NotImplementedError

    def enable_chunking(self) -> None:
        raise NotImplementedError


async def _take_the_body(url: Any, *, data: Any, **kwargs: Any) -> None:
    if data is not None:
        await data.write(_Sink())


class Answers:
    """Answers requests to ``URL`` from a table and keeps what was asked."""

    url, token, password, project = URL, TOKEN, PASSWORD, PROJECT

    def __init__(self, mocked: aioresponses) -> None:
        self._mocked = mocked

    def give(self, method: str, path: str, **answer: Any) -> None:
        self._mocked.add(f"{URL}{path}", method=method, callback=_take_the_body, **answer)

    @property
    def requests(self) -> list[Seen]:
        return [
            Seen(
                method=method,
                path=url.path.removeprefix("/MicroStrategyLibrary"),
                query=sorted(url.query.items()),
                headers={
                    name: value
                    for name, value in call.kwargs["headers"].items()
                    if name not in {"Accept", "Accept-Encoding", "Content-Type", "User-Agent"}
                },
                body=call.kwargs["data"] and orjson.loads(call.kwargs["data"].decode()),
                redirects=call.kwargs["allow_redirects"],
            )
            for (method, url), calls in self._mocked.requests.items()
            for call in calls
        ]

    @property
    def request(self) -> Seen:
        [request] = self.requests
        return request


@pytest.fixture
def server() -> Iterator[Answers]:
    with aioresponses() as mocked:
        yield Answers(mocked)


@pytest.fixture
async def client(server: Answers) -> AsyncIterator[Client]:
    async with Client(Connection(URL, username="loader", password=PASSWORD)) as client:
        enter(client)
        yield client


class Library:
    """Starts servers below ``/MicroStrategyLibrary`` on loopback and stops them at the end."""

    token, password, project, text = TOKEN, PASSWORD, PROJECT, Text

    def __init__(self, resources: AsyncExitStack) -> None:
        self._resources = resources

    async def serve(
        self, *routes: web.RouteDef, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
    ) -> str:
        """Serves routes and returns the Library's URL."""
        app = web.Application(client_max_size=1 << 30)
        app.add_routes(routes)
        root = web.Application(client_max_size=1 << 30)
        root.add_subapp("/MicroStrategyLibrary", app)
        runner = web.AppRunner(root, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        self._resources.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        scheme = "https" if tls else "http"
        return f"{scheme}://{host}:{runner.addresses[0][1]}/MicroStrategyLibrary"

    async def serve_raw(self, handle: RawHandler) -> str:
        """Serves with a function on streams; each connection is closed when it returns."""
        tasks: set[asyncio.Task[None]] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await handle(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass  # the client went away: that is what some tests are about
            finally:
                writer.close()

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(serve(reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(connected, "127.0.0.1", 0)

        async def stop() -> None:
            server.close()
            for task in (pending := list(tasks)):
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

        self._resources.push_async_callback(stop)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/MicroStrategyLibrary"

    @asynccontextmanager
    async def client(self, url: str, **settings: Any) -> AsyncIterator[Client]:
        """Opens a client in the state after login and select_project."""
        connection = Connection(url, username="loader", password=PASSWORD)
        async with Client(connection, **settings) as client:
            enter(client)
            yield client


@pytest.fixture
async def library() -> AsyncIterator[Library]:
    async with AsyncExitStack() as resources:
        yield Library(resources)
