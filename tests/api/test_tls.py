"""TLS: unknown authorities are refused with a hint, known ones accepted, insecure is loud."""

from __future__ import annotations

import logging
import ssl

import pytest
import trustme
from aiohttp import web

from loader.api import Client, Connection
from loader.errors import Unreachable


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
