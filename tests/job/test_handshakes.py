"""Loads over real TLS, through a way on which handshakes are cut: every row arrives once."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from urllib.parse import urlsplit

import pyarrow as pa
import pytest
import trustme

import loader
from loader.job import Load, LoadSettings, Progress, prepare
from loader.sources import SourceOptions
from tests.cli.harness import PASSWORD, PROJECT, USER

ROWS = 3_000
TABLE = pa.table({"k": [f"key{n:06}" for n in range(ROWS)], "v": list(range(ROWS))})
_NOW = struct.pack("ii", 1, 0)


class Way:
    """Passes connections on to a server; some are cut when the client has said its first word.

    Attributes:
        url: The Library's, by this way.
        connections: How many there were.
        cut: How many of them were cut.
    """

    def __init__(self, url: str, *, reset: bool) -> None:
        self._target = urlsplit(url)
        self._reset = reset
        self._tasks: set[asyncio.Task[None]] = set()
        self.cuts = lambda _: False
        self.connections = self.cut = 0

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = self._target._replace(netloc=f"127.0.0.1:{port}").geturl()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in (pending := list(self._tasks)):
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    def _connected(self, reader, writer) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader, writer) -> None:
        self.connections += 1
        cut = self.cuts(self.connections)
        with contextlib.closing(writer), contextlib.suppress(OSError):
            hello = await reader.read(1 << 16)
            if cut:
                self.cut += 1
                if self._reset:
                    raw = writer.get_extra_info("socket")
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NOW)
                return
            there, onward = await asyncio.open_connection(self._target.hostname, self._target.port)
            with contextlib.closing(onward):
                onward.write(hello)
                await asyncio.gather(_pump(reader, onward), _pump(there, writer))


async def _pump(reader, writer) -> None:
    with contextlib.suppress(OSError):
        while block := await reader.read(1 << 16):
            writer.write(block)
            await writer.drain()
        writer.write_eof()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(serve, authority, tmp_path):
    """A server that speaks https."""
    certificate = tmp_path / "server.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return serve(tls_cert=certificate)


@pytest.fixture
def load_of(tmp_path):
    """Makes loads of the table into a server; pauses pass at once, and are noted."""

    def make(url: str) -> tuple[Load, list[float]]:
        connection = loader.Connection(
            url,
            username=USER,
            password=PASSWORD,
            project=PROJECT,
            ca_bundle=tmp_path / "ca.pem",
        )
        settings = LoadSettings(chunk_size=5_000, concurrency=3)
        pauses: list[float] = []

        async def sleep(seconds: float) -> None:
            pauses.append(seconds)
            await asyncio.sleep(min(seconds, 0.002))

        prepared = prepare(TABLE, settings, SourceOptions(table="t"))
        return Load(prepared, connection, Progress(), sleep=sleep), pauses

    return make


@pytest.mark.parametrize("reset", [True, False], ids=["reset", "closed"])
async def test_handshakes_that_are_cut_in_mid_load(secure, load_of, reset):
    async with Way(secure.url, reset=reset) as way:
        # The first one tells whether there is a server at all.
        way.cuts = lambda number: number > 1 and number % 3 == 0
        load, pauses = load_of(way.url)
        result = await load.run()
    assert result.error is None, result.error
    assert way.cut > 3
    assert pauses
    assert result.retries >= 1
    assert secure.sql("SELECT count(*), count(DISTINCT k) FROM t.t") == [(ROWS, ROWS)]
    assert list(secure.datasets.values()) == [result.dataset_id]
    # Nothing had arrived of what was sent again.
    assert not any("may have arrived before" in warning for warning in result.warnings)
    assert secure.sessions == 0


async def test_a_first_handshake_that_is_cut_ends_it_at_once(secure, load_of):
    async with Way(secure.url, reset=True) as way:
        way.cuts = lambda _: True
        load, pauses = load_of(way.url)
        result = await load.run()
    assert way.cut == way.connections == 1
    assert not pauses
    assert result.error.exit_code == 5
    assert "broke off the TLS handshake" in result.error.message
    assert "--client-cert" in result.error.hint
