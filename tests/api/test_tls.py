"""TLS: unknown authorities are refused with a hint, known ones accepted, insecure is loud."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import struct
import threading

import pytest
import trustme
from aiohttp import web

from loader.api import Client, Connection
from loader.errors import Unreachable
from loader.job.retry import Trouble, trouble_of


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
async def url(library, authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    async def login(request):
        await request.read()
        return web.Response(status=204, headers={"X-MSTR-AuthToken": "t"})

    async def take(request):
        await request.read()
        return web.Response()

    return await library.serve(
        web.post("/api/auth/login", login), web.route("*", "/{rest:.*}", take), tls=context
    )


async def test_unknown_authority_is_refused_and_names_both_options(url):
    async with Client(Connection(url, password="hidden-text")) as client:
        with pytest.raises(Unreachable, match=r"certificate of https://127\.0\.0\.1:") as caught:
            await client.login()
    assert caught.value.details["phase"] == "tls"
    assert "--ca-bundle" in caught.value.hint
    assert "--insecure" in caught.value.hint
    # Not what the hint talks about, but why: the system's own words.
    assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)


async def test_known_authority_is_accepted(url, authority, tmp_path, caplog, library):
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(bundle)
    async with Client(Connection(url, ca_bundle=bundle)) as client:
        await client.login()
        client._project = library.project
        await client.put_chunk("D", "S", table="t", index=1, data=library.text(3 << 20))
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_authority_of_another_server_is_refused(url, tmp_path):
    bundle = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(bundle)
    async with Client(Connection(url, ca_bundle=bundle)) as client:
        with pytest.raises(Unreachable, match="cannot be verified"):
            await client.login()


async def test_certificate_of_another_host_is_refused(library, authority, tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.example.com").configure_cert(context)
    url = await library.serve(tls=context)
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(bundle)
    async with Client(Connection(url, ca_bundle=bundle)) as client:
        with pytest.raises(Unreachable, match=r"mismatch.*127\.0\.0\.1"):
            await client.login()


async def test_insecure_accepts_any_certificate_with_a_warning(url, caplog):
    async with Client(Connection(url, insecure=True)) as client:
        await client.login()
    [record] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "not checked" in record.getMessage()
    assert record.name == "loader.api"


async def test_https_to_an_http_server_hints_at_the_scheme(library):
    async def take(request):
        return web.Response()

    url = await library.serve(web.route("*", "/{rest:.*}", take))
    async with Client(Connection(url.replace("http:", "https:"))) as client:
        with pytest.raises(Unreachable, match="no TLS") as caught:
            await client.login()
    assert "http" in caught.value.hint


async def test_http_to_an_https_server_hints_at_the_scheme(url):
    async with Client(Connection(url.replace("https:", "http:"))) as client:
        with pytest.raises(Unreachable, match="was lost") as caught:
            await client.login()
    assert "https" in caught.value.hint


# -- handshakes that do not come to their end ------------------------------------------------------


def reset(connection: socket.socket) -> None:
    """Ends a connection with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def first_flight(context: ssl.SSLContext, hello: bytes) -> bytes:
    """What a server answers to a client's first message."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    incoming.write(hello)
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_side=True).do_handshake()
    return outgoing.read()


@pytest.fixture
def broken(authority):
    """Starts servers that end each connection in their own way; returns the Library's URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with contextlib.ExitStack() as stack:

        def start(end) -> tuple[str, list[int]]:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            stopping, ended = threading.Event(), []

            def serve():
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        if stopping.is_set():
                            return
                        ended.append(1)
                        end(connection, context)

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()

            def stop():
                stopping.set()
                socket.create_connection(listener.getsockname()).close()  # ends the last wait
                thread.join(5)

            stack.callback(stop)
            return f"https://127.0.0.1:{listener.getsockname()[1]}/MicroStrategyLibrary", ended

        yield start


def reset_at_once(connection, _):
    reset(connection)


def close_at_once(_connection, _):
    pass


def reset_after_the_hello(connection, _):
    connection.recv(65536)
    reset(connection)


def close_after_the_hello(connection, _):
    connection.recv(65536)


def close_in_mid_answer(connection, context):
    connection.sendall(first_flight(context, connection.recv(65536))[:500])
    connection.shutdown(socket.SHUT_WR)
    connection.recv(65536)


def alert(number):
    """A fatal alert in place of an answer."""

    def end(connection, _):
        connection.recv(65536)
        connection.sendall(bytes([21, 3, 3, 0, 2, 2, number]))

    return end


def plain(connection, _):
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


async def failure(url, authority, tmp_path):
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(bundle)
    async with Client(Connection(url, ca_bundle=bundle)) as client:
        with pytest.raises(Unreachable) as caught:
            await client.login()
    return caught.value


@pytest.mark.parametrize(
    "end",
    [
        reset_at_once,
        close_at_once,
        reset_after_the_hello,
        close_after_the_hello,
        close_in_mid_answer,
    ],
)
async def test_a_handshake_that_is_cut_may_work_the_next_time(broken, authority, tmp_path, end):
    url, ended = broken(end)
    error = await failure(url, authority, tmp_path)
    assert ended
    assert "broke off the TLS handshake" in error.message
    # Servers that demand a certificate hang up so, too.
    assert "--client-cert" in error.hint
    assert error.details["phase"] == "connect"
    assert trouble_of(error) is Trouble.SERVER


@pytest.mark.parametrize(
    ("end", "says", "phase"),
    [
        (alert(40), "refused the TLS handshake (handshake failure)", "tls"),
        (alert(70), "refused the TLS handshake (protocol version)", "tls"),
        (alert(112), "unrecognized name", "tls"),
        (alert(80), "refused the TLS handshake (internal error)", "connect"),
        (plain, "no TLS with", "tls"),
    ],
    ids=["failure", "version", "name", "internal", "plain"],
)
async def test_a_handshake_that_is_refused(  # noqa: PLR0917 - fixtures and cases
    broken, authority, tmp_path, end, says, phase
):
    url, ended = broken(end)
    error = await failure(url, authority, tmp_path)
    assert ended
    assert says in error.message
    assert error.details["phase"] == phase
    assert (trouble_of(error) is Trouble.LASTING) is (phase == "tls")


def alert_after_the_request(connection, context):
    """Takes a whole request, then finds what follows damaged: that ends a connection of TLS."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    spoken = context.wrap_bio(incoming, outgoing, server_side=True)

    def do(step):
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                connection.sendall(outgoing.read())
                incoming.write(connection.recv(65536))

    do(spoken.do_handshake)
    request = b""
    while not request.endswith(b"}"):
        request += do(lambda: spoken.read(65536))
    incoming.write(b"\x17\x03\x03\x00\x40" + bytes(64))
    with pytest.raises(ssl.SSLError):
        spoken.read()
    connection.sendall(outgoing.read())


async def test_an_alert_after_the_request_is_no_refusal_of_the_handshake(
    broken, authority, tmp_path
):
    url, ended = broken(alert_after_the_request)
    error = await failure(url, authority, tmp_path)
    assert ended
    assert "was lost before the answer was complete" in error.message
    assert error.details["phase"] == "answer"
