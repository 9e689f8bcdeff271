"""Listening: TLS, addresses, and an event loop that nothing blocks."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import ssl

import pytest
import trustme
from blockbuster import BlockBuster

from loader.emulator import EmulatorOptions
from loader.emulator.server import Listener
from loader.errors import UsageError
from tests.emulator.test_uploads import ROW, table1


async def test_https(emulate, tmp_path):
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.cert_chain_pems[0].write_to_path(cert)
    certificate.private_key_pem.write_to_path(key)
    api = await emulate(ingest="check", tls_cert=cert, tls_key=key)
    assert api.listener.url.startswith("https://127.0.0.1:")
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    url = f"{api.listener.url}/api/auth/login"
    async with api.http.post(url, json={"username": "administrator"}, ssl=trust) as answer:
        assert answer.status == 204
        assert "Secure" in answer.headers["Set-Cookie"]


async def test_a_certificate_that_cannot_be_used(tmp_path):
    file = tmp_path / "cert.pem"
    file.write_text("nothing")
    with pytest.raises(UsageError, match=r"cert\.pem cannot be used"):
        async with Listener(EmulatorOptions(port=0, ingest="sink", tls_cert=file)):
            pass


async def test_a_port_in_use(light):
    api = await light()
    port = int(api.listener.url.split(":")[2].split("/")[0])
    with pytest.raises(UsageError, match=f"Cannot listen on 127.0.0.1:{port}"):
        async with Listener(EmulatorOptions(port=port, ingest="sink")):
            pass


async def test_an_ipv6_address(emulate):
    api = await emulate(ingest="sink", host="::1")
    assert api.listener.url.startswith("http://[::1]:")
    await api.login()


async def test_nothing_blocks_the_loop(emulate):
    api = await emulate()
    await api.login()
    blocker = BlockBuster("loader.emulator")
    blocker.activate()
    try:
        dataset = await api.dataset()
        session = await api.session(dataset, table1())
        await api.put(session, [ROW])
        assert (await api.publish(session))["status"] == 1
        await api.ok("DELETE", session)
        await api.ok("DELETE", f"/objects/{dataset.rsplit('/', 1)[1]}?type=3")
    finally:
        blocker.deactivate()


async def _stream(api, session, body):
    headers = {**api.headers, "Content-Type": "application/json"}
    url = f"{api.listener.url}/api{session}"
    async with api.http.put(url, data=io.BytesIO(body), headers=headers) as answer:
        return answer.status


@pytest.mark.slow
async def test_large_chunks_hold_the_loop_only_briefly(api):
    """Other calls are answered while 30 MB of JSON are received, decoded and stored."""
    session = await api.session(await api.dataset(), table1())
    data = base64.b64encode(json.dumps([ROW] * 600_000).encode()).decode()
    body = f'{{"tableName": "table1", "index": 1, "data": "{data}"}}'.encode()
    upload = asyncio.create_task(_stream(api, session, body))
    answered = 0
    while not upload.done():
        await api.ok("GET", "/status")
        answered += 1
    assert await upload == 200
    assert answered > 20
    assert (await api.publish(session))["status"] == 1
