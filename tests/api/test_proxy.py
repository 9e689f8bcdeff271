"""Proxies: which one is taken, that everything goes through it, and who is blamed for what."""

from __future__ import annotations

import asyncio
import logging
import pickle
import socket
import ssl
import traceback
from contextlib import AsyncExitStack

import pytest
import trustme
import uvloop
from aiohttp import web

from loader.api import Client, Connection, Project
from loader.api.proxy import choose_proxy, parse_proxy
from loader.errors import (
    NotAllowed,
    ProtocolViolation,
    Recovery,
    Refused,
    Unavailable,
    Unreachable,
    UsageError,
)
from tests.api.conftest import Library, Text
from tests.api.proxies import Proxy

SECRET = "planted:s€cret/"
ENCODED = "planted%3As%E2%82%ACcret%2F"
HOST = "mstr.example.com"


# -- which one -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "environ", "expected"),
    [
        ("https://a.example.com", {}, None),
        ("https://a.example.com", {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ("https://a.example.com", {"https_proxy": "http://p:1"}, "http://p:1"),
        ("https://a.example.com", {"https_proxy": "http://p:1", "HTTPS_PROXY": "x"}, "http://p:1"),
        ("https://a.example.com", {"https_proxy": "", "HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ("https://a.example.com", {"HTTP_PROXY": "http://p:1"}, None),
        ("http://a.example.com", {"HTTP_PROXY": "http://p:1"}, "http://p:1"),
        ("http://a.example.com", {"HTTPS_PROXY": "http://p:1"}, None),
        ("https://a.example.com", {"HTTPS_PROXY": "p:3128"}, "http://p:3128"),
        ("https://a.example.com", {"HTTPS_PROXY": "https://p"}, "https://p:443"),
        ("https://a.example.com", {"HTTPS_PROXY": "http://p/"}, "http://p:80"),
        ("https://a.example.com", {"HTTPS_PROXY": "http://[::1]:8080"}, "http://[::1]:8080"),
        # this machine itself
        ("https://localhost:8443", {"HTTPS_PROXY": "http://p:1"}, None),
        ("https://mstr.localhost", {"HTTPS_PROXY": "http://p:1"}, None),
        ("https://127.3.2.1", {"HTTPS_PROXY": "http://p:1"}, None),
        ("https://[::1]:8443", {"HTTPS_PROXY": "http://p:1"}, None),
        ("https://10.0.0.1", {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
    ],
)
def test_the_environments_proxy_is_that_of_the_urls_scheme(url, environ, expected):
    proxy = choose_proxy(url, None, environ)
    assert (proxy and proxy.address) == expected
    assert proxy is None or proxy.source in environ


@pytest.mark.parametrize(
    ("exceptions", "url", "direct"),
    [
        ("*", "https://a.example.com", True),
        ("example.com", "https://a.example.com", True),
        (".example.com", "https://a.example.com", True),
        ("*.example.com", "https://a.example.com", True),
        ("EXAMPLE.com", "https://A.example.COM", True),
        ("other.com, example.com", "https://a.example.com", True),
        ("other.com a.example.com", "https://a.example.com", True),
        ("ample.com", "https://a.example.com", False),
        ("b.example.com", "https://a.example.com", False),
        ("example.com:443", "https://a.example.com", True),
        ("example.com:8443", "https://a.example.com", False),
        ("10.1.2.3", "https://10.1.2.3", True),
        ("10.1.2.3:443", "https://10.1.2.3", True),
        ("10.1.2.3:444", "https://10.1.2.3", False),
        ("10.0.0.0/8", "https://10.1.2.3", True),
        ("10.0.0.0/8", "https://11.1.2.3", False),
        ("10.0.0.0/8", "https://a.example.com", False),
        ("fd00::/8", "https://[fd00::1]", True),
        ("[fd00::1]", "https://[fd00::1]", True),
        (".", "https://a.example.com", False),
        (",,", "https://a.example.com", False),
        ("", "https://a.example.com", False),
    ],
)
def test_no_proxy(exceptions, url, direct):
    environ = {"HTTPS_PROXY": "http://p:1", "NO_PROXY": exceptions}
    assert (choose_proxy(url, None, environ) is None) == direct


def test_a_named_proxy_is_taken_for_every_server():
    environ = {"HTTPS_PROXY": "http://other:1", "NO_PROXY": "*"}
    for url in ("https://a.example.com", "http://localhost:8080"):
        proxy = choose_proxy(url, "http://p:1", environ)
        assert proxy is not None
        assert (proxy.address, proxy.source) == ("http://p:1", "--proxy")


@pytest.mark.parametrize("none", ["none", "NONE", " none "])
def test_none_switches_the_environments_proxy_off(none):
    assert choose_proxy("https://a", none, {"HTTPS_PROXY": "http://p:1"}) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://",
        "http://p:port",
        "http://p:99999",
        "http://p q:1",
        "http://p:1/path",
        "http://p:1?x=1",
        "http://[::1",
        "http://a..b:1",
        "socks5://p:1",
        f"socks5://u:{ENCODED}@p:1",
        f"http://u:{ENCODED}@p:1/path",
        f"http://u:{ENCODED}@p:port",
    ],
)
def test_what_cannot_be_a_proxy_is_a_usage_error_that_shows_no_secret(text):
    with pytest.raises(UsageError, match="proxy") as caught:
        Connection("https://host", proxy=text)
    assert "http://proxy.example.com:3128" in caught.value.hint
    shown = repr(caught.value.as_dict()) + "".join(traceback.format_exception(caught.value))
    assert ENCODED not in shown
    assert caught.value.__context__ is None or "planted" not in str(caught.value.__context__)


def test_credentials_are_taken_out_of_the_url_and_shown_nowhere():
    connection = Connection("https://host", proxy=f"http://us%40er:{ENCODED}@p:1")
    proxy = connection.route()
    assert (proxy.address, proxy.password) == ("http://p:1", SECRET)
    assert proxy.authorization.startswith("Basic ")
    for shown in (repr(proxy), repr(connection), repr(Client(connection)), str(connection)):
        assert "planted" not in shown
        assert proxy.authorization not in shown
    assert pickle.loads(pickle.dumps(connection)) == connection


def test_a_user_alone_is_enough():
    assert parse_proxy("http://user@p:1", "x").authorization == "Basic dXNlcjo="


# -- through it ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def bundle(authority, tmp_path):
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


def context_for(authority, host):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    return context


def routes(taken):
    """Returns a server that takes a login and one chunk, and writes down what it was sent."""

    async def login(request):
        taken.append((request.path, dict(request.headers), len(await request.read())))
        return web.Response(status=204, headers={"X-MSTR-AuthToken": "t1"})

    async def take(request):
        taken.append((request.path, dict(request.headers), len(await request.read())))
        return web.Response()

    return [web.post("/api/auth/login", login), web.route("*", "/{rest:.*}", take)]


async def load(client):
    await client.login()
    client._project = Project("P", "p")
    for index in (1, 2):
        await client.put_chunk("D", "S", table="t", index=index, data=Text(3 << 20))
    await client.publish("D", "S")


def port_of(url):
    return int(url.split(":")[2].split("/")[0])


async def test_plain_http_is_forwarded(library):
    taken = []
    port = port_of(await library.serve(*routes(taken)))
    async with Proxy(hosts={HOST: port}) as proxy:
        connection = Connection(f"http://{HOST}/MicroStrategyLibrary", proxy=proxy.url)
        async with Client(connection) as client:
            assert f"through {proxy.url}" in repr(client)
            await load(client)
    assert proxy.methods == ["POST", "PUT", "PUT", "POST"]
    assert proxy.seen[1].target == (
        f"http://{HOST}/MicroStrategyLibrary/api/datasets/D/uploadSessions/S"
    )
    assert [size > 3 << 20 for _, _, size in taken] == [False, True, True, False]
    assert taken[1][1]["X-MSTR-AuthToken"] == "t1"
    assert "Proxy-Authorization" not in proxy.seen[0].headers


async def test_plain_http_with_a_password_tells_it_the_proxy_and_not_the_server(library):
    taken = []
    port = port_of(await library.serve(*routes(taken)))
    async with Proxy(hosts={HOST: port}, credentials=f"user:{SECRET}") as proxy:
        named = proxy.url.replace("//", f"//user:{ENCODED}@")
        connection = Connection(f"http://{HOST}/MicroStrategyLibrary", proxy=named)
        async with Client(connection) as client:
            await load(client)
    assert len(taken) == 4
    assert not any("Proxy-Authorization" in headers for _, headers, _ in taken)


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_https_goes_through_a_tunnel_on_both_event_loops(
    authority, bundle, library_in, scheme, loop
):
    """An https proxy means TLS in TLS, which needs the event loop's help."""
    taken = []

    async def run(library):
        tls = context_for(authority, HOST)
        port = port_of(await library.serve(*routes(taken), tls=tls))
        own = context_for(authority, "127.0.0.1") if scheme == "https" else None
        async with Proxy(hosts={HOST: port}, credentials=f"user:{SECRET}", tls=own) as proxy:
            named = proxy.url.replace("//", f"//user:{ENCODED}@")
            url = f"https://{HOST}/MicroStrategyLibrary"
            async with Client(Connection(url, proxy=named, ca_bundle=bundle)) as client:
                await load(client)
        return proxy

    proxy = library_in(loop, run)
    # Each call that has a body, or must not be repeated unasked, has a connection of its own.
    assert proxy.methods == ["CONNECT"] * 4
    assert {request.target for request in proxy.seen} == {f"{HOST}:443"}
    assert [size > 3 << 20 for _, _, size in taken] == [False, True, True, False]
    assert not any("Proxy-Authorization" in headers for _, headers, _ in taken)
    # The proxy sees nothing of what it carries.
    assert len(proxy.tunnelled) > 3 << 20
    assert b"X-MSTR-AuthToken" not in proxy.tunnelled
    assert b"ABCDABCD" not in proxy.tunnelled


@pytest.fixture
def library_in():
    """Runs a coroutine function with a ``Library`` in an event loop of its own."""

    def run(loop, work):
        async def main():
            async with AsyncExitStack() as resources:
                return await work(Library(resources))

        with asyncio.Runner(loop_factory=loop) as runner:
            return runner.run(main())

    return run


async def test_the_environments_proxy_is_used(library, authority, bundle, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG, "loader.api")
    taken = []
    port = port_of(await library.serve(*routes(taken), tls=context_for(authority, HOST)))
    async with Proxy(hosts={HOST: port}) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", f"//user:{ENCODED}@"))
        monkeypatch.delenv("https_proxy", raising=False)
        url = f"https://{HOST}/MicroStrategyLibrary"
        async with Client(Connection(url, ca_bundle=bundle)) as client:
            await client.login()
    assert proxy.methods == ["CONNECT"]
    assert f"through the proxy {proxy.url} (HTTPS_PROXY)" in caplog.text
    assert "planted" not in caplog.text


async def test_the_environments_proxy_is_not_used_for_this_machine(library, monkeypatch):
    taken = []
    url = await library.serve(*routes(taken))
    async with Proxy() as proxy:
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        async with Client(Connection(url)) as client:
            await client.login()
    assert len(taken) == 1
    assert proxy.seen == []


async def test_an_environment_that_names_no_proxy_is_refused_when_the_client_is_opened(monkeypatch):
    monkeypatch.setenv("https_proxy", f"socks5://user:{ENCODED}@p:1")
    with pytest.raises(UsageError, match="socks5") as caught:
        async with Client(Connection("https://mstr.example.com")):
            pass
    assert "https_proxy" in str(caught.value)
    assert "planted" not in str(caught.value)


# -- who is blamed -------------------------------------------------------------------------------


async def fail(proxy, url=f"https://{HOST}/MicroStrategyLibrary", *, call=None, **settings):
    """Logs in through a proxy that does not let it; returns the error."""
    timeout = settings.pop("connect_timeout", 30.0)
    connection = Connection(url, proxy=proxy, **settings)
    async with Client(connection, connect_timeout=timeout) as client:
        client._login.token = "t"
        client._project = Project("P", "p")
        with pytest.raises((Refused, Unavailable, Unreachable, ProtocolViolation)) as caught:
            await (call(client) if call else client.login())
    error = caught.value
    shown = "".join(traceback.format_exception(error)) + repr(error.as_dict())
    assert "planted" not in shown
    assert "Proxy-Authorization" not in shown
    return error


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (407, (Refused, "asks for a user and a password", "MSTR_PROXY")),
        (403, (Refused, "does not let this connection through", "--proxy none")),
        (502, (Unavailable, "no way to the server", "reach it")),
        (503, (Unavailable, "no way to the server", "reach it")),
    ],
)
async def test_a_proxy_that_refuses_a_tunnel_is_named(authority, bundle, scheme, status, expected):
    kind, says, hint = expected
    tls = context_for(authority, "127.0.0.1") if scheme == "https" else None
    async with Proxy(refuse=status, tls=tls) as proxy:
        named = proxy.url.replace("//", f"//user:{ENCODED}@")
        error = await fail(named, ca_bundle=bundle)
    assert type(error) is kind
    assert f"the proxy {proxy.url} " in error.message
    assert says in error.message
    assert hint in error.hint
    assert (error.status, error.details["proxy"]) == (status, proxy.url)
    assert HOST not in error.message


async def test_a_proxy_that_refuses_a_forwarded_request_is_named():
    url = f"http://{HOST}/MicroStrategyLibrary"
    async with Proxy(refuse=407) as proxy:
        error = await fail(proxy.url, url)
    assert type(error) is Refused
    assert f"the proxy {proxy.url} asks for a user and a password" in error.message
    async with Proxy(refuse=502) as proxy:
        error = await fail(proxy.url, url)
    assert type(error) is Unavailable
    assert f"may be an answer of the proxy {proxy.url}" in error.hint


async def test_what_the_server_refuses_is_not_blamed_on_the_proxy(library):
    async def refuse(request):
        return web.json_response({"code": "ERR014", "message": "no rights"}, status=403)

    port = port_of(await library.serve(web.route("*", "/{rest:.*}", refuse)))
    async with Proxy(hosts={HOST: port}) as proxy:
        connection = Connection(f"http://{HOST}/MicroStrategyLibrary", proxy=proxy.url)
        async with Client(connection) as client:
            with pytest.raises(NotAllowed, match="no rights") as caught:
                await client.login()
    assert "proxy" not in caught.value.hint


async def test_a_proxy_that_is_not_there():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    error = await fail(f"http://user:{ENCODED}@127.0.0.1:{port}")
    assert type(error) is Unreachable
    assert f"nothing listens at the proxy http://127.0.0.1:{port}" in error.message
    assert "--proxy" in error.hint
    assert error.details["phase"] == "connect"


async def test_a_proxy_without_an_address():
    error = await fail("http://no-such-proxy.invalid:3128")
    assert "the host of the proxy http://no-such-proxy.invalid:3128 has no address" in error.message
    assert "--proxy none" in error.hint


async def test_a_proxy_whose_certificate_is_unknown(authority):
    async with Proxy(tls=context_for(authority, "127.0.0.1")) as proxy:
        error = await fail(proxy.url)
    assert f"the certificate of the proxy {proxy.url} cannot be verified" in error.message
    assert "--ca-bundle" in error.hint
    assert error.details["phase"] == "tls"


async def test_a_server_behind_a_proxy_whose_certificate_is_unknown(library, authority):
    port = port_of(await library.serve(tls=context_for(authority, HOST)))
    async with Proxy(hosts={HOST: port}) as proxy:
        error = await fail(proxy.url)
    assert f"the certificate of https://{HOST} cannot be verified" in error.message


async def test_a_proxy_url_that_says_https_where_the_proxy_speaks_http():
    async with Proxy() as proxy:
        error = await fail(proxy.url.replace("http:", "https:"))
    assert "no TLS with the proxy https://127.0.0.1" in error.message
    assert "proxy's URL" in error.hint


def publish(client):
    return client.publish("D", "S")


async def test_a_proxy_that_hangs_up_before_the_server_was_reached_did_no_publish():
    """To the client it looks like a server that hung up; but nothing can have happened there."""
    async with Proxy(answer=b"") as proxy:
        error = await fail(proxy.url, call=publish)
    assert type(error) is Unreachable
    assert f"the proxy {proxy.url} broke off before there was a connection" in error.message
    assert error.details["phase"] == "connect"
    assert error.recovery is Recovery.RETRY


async def test_a_proxy_that_never_connects_is_given_up():
    async with Proxy(hang=True) as proxy:
        error = await fail(proxy.url, call=publish, connect_timeout=0.5)
    assert f"no connection to https://{HOST} through the proxy {proxy.url}" in error.message
    assert "within 0.5 seconds" in error.message
    assert error.details["phase"] == "connect"


async def test_a_proxy_that_speaks_no_http():
    async with Proxy(answer=b"SSH-2.0-OpenSSH\r\n") as proxy:
        error = await fail(proxy.url)
    assert type(error) is ProtocolViolation
    assert f"the proxy {proxy.url} answered something that is not HTTP" in error.message


async def test_a_connection_lost_behind_a_proxy_may_have_done_what_was_asked(library, authority):
    async def hang_up(request):
        request.transport.abort()
        return web.Response()

    tls = context_for(authority, HOST)
    port = port_of(await library.serve(web.route("*", "/{rest:.*}", hang_up), tls=tls))
    async with Proxy(hosts={HOST: port}) as proxy:
        error = await fail(proxy.url, insecure=True, call=publish)
    assert error.details["phase"] == "answer"
    assert f"through the proxy {proxy.url} was lost" in error.message
