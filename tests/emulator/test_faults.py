"""Faults by status, a full disk, and rules that choose; each test asserts that its fault fired."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import time
from email.utils import parsedate_to_datetime

import aiohttp
import pytest

from tests.emulator.harness import chunk, encoded, until
from tests.emulator.injected import *  # noqa: F403 - its fixture is among it
from tests.emulator.injected import BIG, fired, indices, no_resend, reset
from tests.emulator.test_uploads import ROW

# -- statuses --------------------------------------------------------------------------------------


async def test_a_status_with_the_api_s_body(faulty):
    api, session = await faulty(
        "put:nth=2:status=500,code=ERR001,iserver=-2147205488,message=cut%2C off"
    )
    assert (await api.put(session, [ROW])).status == 200
    answer = await api.put(session, [ROW], index=2)
    assert answer.status == 500
    assert answer.headers["Content-Type"].startswith("application/json")
    ticket = answer.body.pop("ticketId")
    assert len(ticket) == 32
    assert json.loads(answer.text) | {"ticketId": ""} == {
        "code": "ERR001",
        "iServerCode": -2147205488,
        "message": "cut, off",
        "ticketId": "",
    }
    assert fired(api) == [(2, 1)]
    assert indices(api) == [1]


async def test_a_status_with_other_bodies(faulty):
    api, session = await faulty(
        "put:nth=1:status=502,body=html",
        "put:nth=2:status=503,body=empty,retry-after=7",
        "put:nth=3:status=429,body=errors,code=ERR0014,retry-after=date+60",
        "put:nth=4:status=599,body=html",
    )
    html = await api.put(session, [ROW])
    assert (html.status, html.headers["Content-Type"]) == (502, "text/html")
    assert "502 Bad Gateway" in html.text
    none = await api.put(session, [ROW])
    assert (none.status, none.text, none.headers["Retry-After"]) == (503, "", "7")
    errors = await api.put(session, [ROW])
    assert errors.status == 429
    assert errors.body == {"errors": [{"code": "ERR0014", "message": "An injected fault."}]}
    ahead = parsedate_to_datetime(errors.headers["Retry-After"]).timestamp() - time.time()
    assert 50 < ahead <= 61
    assert (await api.put(session, [ROW])).status == 599
    assert (await api.put(session, [ROW])).status == 200
    assert fired(api) == [(5, 1)] * 4


@pytest.mark.parametrize(("at", "kept"), [("after-body", []), ("after-store", [1])])
async def test_a_status_after_the_body(faulty, at, kept):
    api, session = await faulty(f"put:status=503,at={at}")
    assert (await api.call("PUT", session, BIG)).status == 503
    assert indices(api) == kept
    assert fired(api) == [(1, 1)]


async def test_an_early_status_while_the_body_is_on_its_way(faulty):
    api, session = await faulty("put:times=1:status=413")
    assert (await api.call("PUT", session, BIG)).status == 413
    assert (await api.put(session, [ROW])).status == 200
    assert fired(api) == [(2, 1)]


@pytest.mark.parametrize(
    ("where", "method", "path", "body"),
    [
        ("login", "POST", "/auth/login", {"username": "administrator"}),
        ("logout", "POST", "/auth/logout", None),
        ("login-info", "GET", "/sessions", None),
        ("keep-alive", "PUT", "/sessions", None),
        ("version", "GET", "/status", None),
        ("look", "GET", "/projects", None),
        ("look", "GET", "/searches/results?name=x", None),
        ("delete-dataset", "DELETE", "/objects/1?type=3", None),
        ("one-request", "POST", "/datasets", {}),
        ("patch", "PATCH", "/datasets/1/tables/2", {}),
        ("create", "POST", "/datasets/models", {}),
        ("dataset", "GET", "/datasets/1", None),
        ("open-session", "POST", "/datasets/1/uploadSessions", {}),
        ("put", "PUT", "/datasets/1/uploadSessions/2", {}),
        ("publish", "POST", "/datasets/1/uploadSessions/2/publish", None),
        ("status", "GET", "/datasets/1/uploadSessions/2/publishStatus", None),
        ("status", "POST", "/datasets/1/uploadSessions/2/publishStatus", None),
        ("delete", "DELETE", "/datasets/1/uploadSessions/2", None),
        ("cubes", "GET", "/v2/cubes/1", None),
        ("cubes", "POST", "/v2/cubes/1/instances", {}),
    ],
)
async def test_every_endpoint_has_a_name(light, where, method, path, body):
    api = await light()
    api.emulator.inject(f"{where}:status=504", "any:status=505")
    assert (await api.call(method, path, body)).status == 504
    assert fired(api) == [(1, 1), (1, 0)]  # the first one ends the request


# -- the disk, and rules for single chunks ---------------------------------------------------------


@pytest.mark.parametrize("ingest", ["store", "check", "sink"])
async def test_a_full_disk(faulty, ingest):
    api, session = await faulty("put:nth=1:disk-full", ingest=ingest)
    says = "disk is full"
    answer = await api.refused(500, "ERR002", says, "PUT", session, chunk([ROW]))
    assert "iServerCode" not in answer.body
    assert indices(api) == []
    await api.ok("PUT", session, chunk([ROW]))
    assert (await api.publish(session))["status"] == 1
    assert fired(api) == [(2, 1)]


@pytest.mark.parametrize("ingest", ["store", "sink"])
@pytest.mark.parametrize("effect", ["reset=before", "reset=mid-body", "status=503,at=after-store"])
async def test_a_rule_for_one_chunk(faulty, ingest, effect):
    api, session = await faulty(f"put:table=table1:index=2-3:times=1:{effect}", ingest=ingest)
    await api.ok("PUT", session, chunk([ROW]))
    body = json.dumps({"index": "3", "tableName": "table1", "data": encoded([ROW] * 100_000)})
    if "status" in effect:
        assert (await api.call("PUT", session, body)).status == 503
    else:
        await reset(api, "PUT", session, body)
    # Read piece by piece like any other: what was looked into is not lost.
    await api.ok("PUT", session, body)
    await api.ok("PUT", session, chunk([ROW], index=2))
    assert indices(api) == [1, 2, 3]
    assert fired(api) == [(3, 1)]
    assert (await api.publish(session))["status"] == 1


@pytest.mark.parametrize(
    "body",
    [
        '{"data": "W10=", "tableName": "table1", "index": 1}',
        '{"tableName": "table2", "index": 1, "data": "W10="}',
        '{"tableName": "\\ud800\\q", "index": 1, "data": "W10="}',
        "no json at all",
        "",
    ],
)
async def test_a_chunk_that_is_not_the_one(faulty, body):
    api, session = await faulty("put:table=table1:reset=before")
    assert (await api.call("PUT", session, body)).status in (200, 400)
    assert fired(api) == [(0, 0)]


async def test_a_table_with_any_name(faulty):
    api, session = await faulty("put:table=a%22%2C %C3%BC:reset=before")
    body = {"tableName": 'a", ü', "index": 1, "data": base64.b64encode(b"[]").decode()}
    for ascii_only in (True, False):
        await reset(api, "PUT", session, json.dumps(body, ensure_ascii=ascii_only))
    assert fired(api) == [(2, 2)]


# -- the whole -------------------------------------------------------------------------------------


async def test_a_seed_reproduces_a_run(faulty):
    async def run(seed: int) -> list[int]:
        api, session = await faulty("put:rate=0.4:status=503", fault_seed=seed, ingest="check")
        return [(await api.put(session, [ROW], index=n)).status for n in range(1, 31)]

    first = await run(1)
    assert await run(1) == first
    assert await run(2) != first
    assert {200, 503} == set(first)


async def test_over_tls(emulate, tmp_path):
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        str(tmp_path / "server.pem")
    )
    api = await emulate(
        tls_cert=tmp_path / "server.pem",
        faults=("version:nth=1:reset=before", "version:stall=before"),
    )
    context = ssl.create_default_context()
    authority.configure_trust(context)
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(connector=connector) as http:
        no_resend(http)
        url = f"{api.listener.url}/api/status"
        with pytest.raises(aiohttp.ClientConnectionError):
            await http.get(url)
        call = asyncio.create_task(http.get(url))
        await until(lambda: fired(api) == [(2, 1), (2, 1)])
        call.cancel()
        await asyncio.wait([call])
        await until(lambda: api.emulator.traffic.last()[0]["status"] == 444)
