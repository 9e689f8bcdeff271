"""What a failed POST may have done: by its error, and by what real connections come to."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

import pytest

from loader.api import Client, Connection, UploadTable
from loader.api.failures import proxy_refusal
from loader.errors import (
    LoaderError,
    NotAllowed,
    NotFound,
    ProtocolViolation,
    Refused,
    SessionExpired,
    Unavailable,
    Unreachable,
)
from loader.job.outcome import may_have_happened
from tests.api.proxies import Proxy


@pytest.mark.parametrize(
    "error",
    [
        Unreachable("reset", phase="answer"),
        Unavailable("a gateway's page", status=502),
        Unavailable("a gateway's page", status=503),
        Unavailable("no reason given", status=500),
        Unavailable("timed out", status=504, code="ERR001"),
        Unavailable("timed out", status=500, code="ERR002", iserver_code=-2147206497),
        Unavailable("the server behind is lost", status=500, code="ERR013"),
        # What is said of anything that goes wrong, at the end of the work too.
        Unavailable("general error", status=500, code="ERR001"),
        Unavailable("server error", status=500, code="ERR0002"),
        Unavailable("server error", status=503, code="ERR002"),
        Unavailable("project idle", status=500, code="ERR002", iserver_code=-2147209192),
        Unavailable("too slow", status=408, code="ERR001"),
        SessionExpired("ended", status=500, code="ERR002", iserver_code=-2147206924),
        ProtocolViolation("200 with a web page"),
    ],
)
def test_what_may_have_happened(error):
    assert may_have_happened(error)


@pytest.mark.parametrize(
    "error",
    [
        Unreachable("nothing listens", phase="connect"),
        Unreachable("unknown certificate", phase="tls"),
        Unreachable("cut in the body", phase="send"),
        Unavailable("too many requests", status=429),
        Unavailable("not now", status=503, code="ERR016"),
        Unavailable("a proxy", status=425),
        # It refused to make a tunnel, so nothing reached the server.
        proxy_refusal("publish dataset D", 502, "http://proxy:3128"),
        Refused("for good", status=500, code="ERR002", iserver_code=-2147212800),
        Refused("bad data", status=400, code="ERR006"),
        NotFound("no such table", status=404),
        NotAllowed("no rights", status=403),
        SessionExpired("log in", status=401),
    ],
)
def test_what_cannot_have_happened(error):
    assert not may_have_happened(error)


# -- real connections ----------------------------------------------------------------------------


async def cut_at_once(reader, writer):
    pass


async def cut_in_the_body(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    await reader.read(1)


async def cut_after_the_request(reader, writer):
    head = await reader.readuntil(b"\r\n\r\n")
    length = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
    await reader.readexactly(int(length[0].partition(b":")[2]) if length else 0)


async def cut_in_the_answer(reader, writer):
    await cut_after_the_request(reader, writer)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    await writer.drain()


async def another_language(reader, writer):
    await cut_after_the_request(reader, writer)
    writer.write(b"220 mail.example.com ESMTP\r\n")
    await writer.drain()


async def publish(client):
    await client.publish("D", "S")


async def create(client):
    await client.create_model({"name": "D", "tables": []})


async def create_much(client):
    await client.create_model({"name": "D" * 30_000_000, "tables": []})


async def open_session(client):
    await client.open_upload_session("D", [UploadTable("t", "add", "ROW", ())])


POSTS = [publish, create, open_session]


async def failure_of(post, url, **settings) -> LoaderError:
    connection = Connection(url, username="ada", password="p", **settings)
    async with Client(connection, connect_timeout=5.0, answer_timeout=5.0) as client:
        client._login.token = "token"
        client._project = type("Project", (), {"id": "P", "name": "P"})
        with pytest.raises(LoaderError) as caught:
            await post(client)
    return caught.value


@contextlib.asynccontextmanager
async def serving(handle):
    """Yields the port of a server that resets each connection when ``handle`` has had it."""
    done = []

    async def connected(reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await handle(reader, writer)
            done.append(True)
        if handle in {cut_at_once, cut_in_the_body}:
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
    assert done


@pytest.mark.parametrize("post", POSTS)
@pytest.mark.parametrize("handle", [cut_after_the_request, cut_in_the_answer, another_language])
async def test_what_went_out_whole_may_have_happened(post, handle):
    async with serving(handle) as port:
        assert may_have_happened(await failure_of(post, f"http://127.0.0.1:{port}"))


async def test_a_body_that_was_cut_was_not_understood():
    async with serving(cut_in_the_body) as port:
        error = await failure_of(create_much, f"http://127.0.0.1:{port}")
    assert error.details["phase"] == "send"
    assert not may_have_happened(error)


async def test_without_a_body_nobody_knows_how_far_a_request_came():
    async with serving(cut_at_once) as port:
        assert may_have_happened(await failure_of(publish, f"http://127.0.0.1:{port}"))


@pytest.mark.parametrize("post", POSTS)
async def test_without_a_connection_nothing_happens(post):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        assert not may_have_happened(await failure_of(post, url))


async def cut_in_the_handshake(reader, writer):
    await reader.read(100)


async def no_tls(reader, writer):
    await reader.read(100)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await writer.drain()


@pytest.mark.parametrize("post", POSTS)
@pytest.mark.parametrize("handle", [cut_in_the_handshake, no_tls])
async def test_without_a_handshake_nothing_happens(post, handle):
    async with serving(handle) as port:
        assert not may_have_happened(await failure_of(post, f"https://127.0.0.1:{port}"))


@pytest.mark.parametrize("post", POSTS)
@pytest.mark.parametrize("status", [403, 502, 503, 504])
async def test_a_tunnel_that_was_refused_leads_nowhere(post, status):
    async with Proxy(refuse=status) as proxy:
        through = f"http://127.0.0.1:{proxy.port}"
        assert not may_have_happened(
            await failure_of(post, "https://mstr.example.com", proxy=through)
        )
        assert proxy.seen


@pytest.mark.parametrize("post", POSTS)
async def test_a_proxy_that_answers_in_plain_http_may_have_passed_it_on(post):
    async with Proxy(refuse=504) as proxy:
        through = f"http://127.0.0.1:{proxy.port}"
        assert may_have_happened(await failure_of(post, "http://mstr.example.com", proxy=through))
        assert proxy.seen
