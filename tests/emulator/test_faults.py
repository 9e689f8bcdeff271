"""Each fault against a real server over real connections; each test asserts that it fired."""

from __future__ import annotations

import asyncio
import base64
import errno
import json
import socket
import ssl
import struct
import time
from email.utils import parsedate_to_datetime

import aiohttp
import pytest

from loader.emulator import server
from tests.emulator.harness import ManualClock, chunk, encoded, until
from tests.emulator.test_uploads import ROW, table1

BIG = json.dumps(chunk([ROW] * 200_000))
"""A body of some 10 MB: far more than sockets hold."""


@pytest.fixture
async def faulty(emulate):
    """Starts servers with rules and opens an upload session; the rules come after that."""

    async def start(*rules: str, **settings):
        api = await emulate(**settings)
        no_resend(api.http)
        await api.login()
        api.dataset_path = await api.dataset()
        session = await api.session(api.dataset_path, table1())
        api.emulator.inject(*rules)
        return api, session

    return start


def no_resend(http: aiohttp.ClientSession) -> None:
    """Keeps aiohttp from sending a PUT or GET again by itself when a kept connection breaks."""
    http._retry_connection = False


def fired(api) -> list[tuple[int, int]]:
    """(matched, fired) of every rule."""
    return [(watched.matched, watched.fired) for watched in api.emulator.faults.rules]


def indices(api) -> list[int]:
    """The chunk indices that were accepted."""
    (upload,) = api.emulator.uploads
    return sorted(upload.tables["table1"].indices._accepted)


async def reset(api, method, path, body=None) -> None:
    """Checks that a call is answered by a reset of the connection."""
    with pytest.raises(aiohttp.ClientOSError) as error:
        await api.call(method, path, body)
    told = error.value
    assert isinstance(told, aiohttp.ClientConnectionResetError) or told.errno == errno.ECONNRESET


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


# -- resets ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "kept"),
    [("before", []), ("mid-body", []), ("after-body", []), ("after-store", [1])],
)
@pytest.mark.parametrize("body", [json.dumps(chunk([ROW])), BIG], ids=["small", "big"])
async def test_resets_of_a_put(faulty, at, kept, body):
    api, session = await faulty(f"put:nth=1:reset={at}")
    await reset(api, "PUT", session, body)
    assert indices(api) == kept
    assert fired(api) == [(1, 1)]
    await api.ok("PUT", session, body)
    assert indices(api) == [1]
    last = api.emulator.traffic.last()[1]
    assert last["status"] == 444
    assert last["message"] == f"fault put:nth=1:reset={at}"


@pytest.mark.parametrize("share", [0, 0.1, 0.9, 1])
async def test_a_reset_after_a_share_of_the_body(faulty, share):
    api, session = await faulty(f"put:reset=mid-body,share={share}")
    await reset(api, "PUT", session, BIG)
    read = api.emulator.traffic.last()[0]["bytes"]
    assert read >= share * len(BIG)
    # What aiohttp took in before it was asked to stop comes on top.
    assert read <= share * len(BIG) + 9_000_000
    assert fired(api) == [(1, 1)]


async def test_a_reset_in_mid_body_of_unknown_length(faulty):
    api, session = await faulty("put:reset=mid-body")

    async def pieces():
        for at in range(0, len(BIG), 1 << 20):
            yield BIG[at : at + (1 << 20)].encode()

    with pytest.raises(aiohttp.ClientOSError):
        await api.http.put(
            f"{api.listener.url}/api{session}",
            data=pieces(),
            headers={**api.headers, "Content-Type": "application/json"},
        )
    assert fired(api) == [(1, 1)]
    assert api.emulator.traffic.last()[0]["bytes"] < len(BIG)


async def test_a_reset_of_a_publish_before_it_starts(faulty):
    api, session = await faulty("publish:nth=1:reset=before")
    await api.put(session, [ROW])
    await reset(api, "POST", f"{session}/publish")
    await api.refused(409, "ERR006", "still open", "GET", f"{session}/publishStatus")
    assert (await api.publish(session))["status"] == 1
    assert fired(api) == [(2, 1)]


async def test_a_reset_of_a_publish_after_it_has_started(faulty):
    api, session = await faulty("publish:reset=after-store")
    await api.put(session, [ROW])
    await reset(api, "POST", f"{session}/publish")
    assert (await api.outcome(session))["status"] == 1
    assert fired(api) == [(1, 1)]


async def test_a_reset_after_opening_leaves_the_session_open(faulty):
    api, _ = await faulty("open-session:reset=after-store")
    other = await api.dataset(json.loads(json.dumps(MODEL)))
    await reset(api, "POST", f"{other}/uploadSessions", {"tables": [table("t")]})
    assert len(list(api.emulator.uploads)) == 2
    assert fired(api) == [(1, 1)]


MODEL = {
    "name": "Other",
    "tables": [{"name": "t", "columnHeaders": [{"name": "c", "dataType": "DOUBLE"}]}],
    "metrics": [{"name": "c", "expressions": [{"tableName": "t", "columnName": "c"}]}],
}


def table(name: str) -> dict[str, str]:
    return {"name": name, "updatePolicy": "add"}


async def test_a_refused_call_does_not_meet_what_comes_after_it(faulty):
    api, session = await faulty("put:reset=after-store", "publish:outcome=3")
    assert (await api.put(session, "no rows")).status == 400
    assert (await api.call("POST", f"{session}/publish", without="Cookie")).status == 401
    assert fired(api) == [(1, 0), (1, 0)]


async def test_a_repeated_index_is_appended_after_a_reset(faulty):
    """The server has the chunk, the client does not know, and the server counts it twice."""
    api, session = await faulty("put:nth=1:reset=after-store", repeat_index="append")
    await reset(api, "PUT", session, chunk([ROW]))
    await api.ok("PUT", session, chunk([ROW]))
    assert (await api.publish(session))["status"] == 1
    assert api.sql('SELECT count(*) FROM "testModel"."table1"') == [(2,)]
    assert fired(api) == [(2, 1)]


# -- stalls ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "kept"),
    [("before", []), ("mid-body", []), ("after-body", []), ("after-store", [1])],
)
async def test_a_stalled_put_ends_with_its_client(faulty, at, kept):
    api, session = await faulty(f"put:nth=1:stall={at}")
    call = asyncio.create_task(api.call("PUT", session, BIG))
    await until(lambda: fired(api) == [(1, 1)])
    (upload,) = api.emulator.uploads
    assert not call.done()
    call.cancel()
    await asyncio.wait([call])
    if at != "mid-body":  # with all buffers full it cannot tell that it goes
        await until(lambda: api.emulator.traffic.last()[0]["status"] == 444)
    assert upload.puts == 0
    assert indices(api) == kept
    await api.ok("PUT", session, chunk([ROW]))
    assert (await api.publish(session))["status"] == 1


async def test_in_mid_body_the_server_stops_reading(faulty):
    api, session = await faulty("put:stall=mid-body,share=0.05", ingest="sink")
    reader, writer = await asyncio.open_connection(*api.listener._runner.addresses[0])
    size = 64 << 20
    path = f"/MicroStrategyLibrary/api{session}"
    head = [f"PUT {path} HTTP/1.1", "Host: x", f"Content-Length: {size}"]
    head += [f"{name}: {value}" for name, value in api.headers.items()]
    head += ["Content-Type: application/json", "", ""]
    writer.write("\r\n".join(head).encode())
    writer.write(b"A" * size)
    await until(lambda: fired(api) == [(1, 1)])
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(writer.drain(), 0.2)
    assert writer.transport.get_write_buffer_size() > size // 2
    client = writer.get_extra_info("socket")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    await until(lambda: api.emulator.traffic.last()[0]["status"] == 444)
    del reader


async def test_a_stall_for_a_time_is_a_late_answer(faulty):
    clock = ManualClock()
    rules = ("put:stall=after-body,seconds=7", "put:stall=mid-body,seconds=5")
    api, session = await faulty(*rules, clock=clock)
    assert (await api.call("PUT", session, BIG)).status == 200
    assert sorted(nap for nap in clock.naps if nap in (5.0, 7.0)) == [5.0, 7.0]
    assert fired(api) == [(1, 1), (1, 1)]
    assert indices(api) == [1]


async def test_what_a_client_gave_up_may_be_stored_late(faulty):
    class Waiting(ManualClock):
        gate = asyncio.Event()

        async def sleep(self, seconds):
            await super().sleep(seconds)
            if seconds == 7:
                await self.gate.wait()

    clock = Waiting()
    api, session = await faulty("put:nth=1:stall=after-body,seconds=7", clock=clock)
    call = asyncio.create_task(api.put(session, [ROW]))
    await until(lambda: fired(api) == [(1, 1)])
    call.cancel()
    await asyncio.wait([call])
    assert indices(api) == []
    clock.gate.set()
    await until(lambda: indices(api) == [1])


async def test_a_server_that_stops_ends_stalls(emulate, monkeypatch):
    monkeypatch.setattr(server, "_GRACE", 3600.0)  # what a call under way is left, otherwise
    api = await emulate(faults=("version:stall=before",))
    await api.login()
    call = asyncio.create_task(api.call("GET", "/status"))
    await until(lambda: fired(api) == [(1, 1)])
    await asyncio.wait_for(api.listener.__aexit__(), 60)
    with pytest.raises(aiohttp.ClientError):
        await call


async def test_slow_reading(faulty):
    clock = ManualClock()
    api, session = await faulty("put:slow=1M", clock=clock)
    before = sum(clock.naps)
    assert (await api.call("PUT", session, BIG)).status == 200
    assert round((sum(clock.naps) - before) * 1e6) == len(BIG)
    assert max(clock.naps) < 5  # in many pieces, not in one go
    assert fired(api) == [(1, 1)]
    assert indices(api) == [1]


# -- answers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "path"), [("half", "/sessions"), ("garbage", "/sessions"), ("html", "/sessions")]
)
async def test_answers_that_are_no_json(faulty, how, path):
    api, _ = await faulty(f"login-info:nth=1:answer={how}")
    answer = await api.http.get(f"{api.listener.url}/api{path}", headers=api.headers)
    raw = await answer.read()
    assert answer.status == 200
    with pytest.raises(ValueError, match=r"."):
        json.loads(raw)
    if how == "half":
        whole = await api.ok("GET", path)
        assert raw == whole.text.encode()[: len(whole.text.encode()) // 2]
    assert answer.headers["Content-Type"].startswith(
        "text/html" if how == "html" else "application/json"
    )
    assert fired(api)[0][1] == 1


async def test_an_answer_without_a_body(faulty):
    api, _ = await faulty("login-info:answer=empty")
    answer = await api.call("GET", "/sessions")
    assert (answer.status, answer.text) == (200, "")
    assert fired(api) == [(1, 1)]


@pytest.mark.parametrize("where", ["login-info", "put"])
async def test_an_answer_shorter_than_its_content_length(faulty, where):
    api, session = await faulty(f"{where}:nth=1:answer=short")
    call = api.put(session, [ROW]) if where == "put" else api.call("GET", "/sessions")
    with pytest.raises(aiohttp.ClientPayloadError):
        await call
    assert fired(api) == [(1, 1)]
    assert indices(api) == ([1] if where == "put" else [])
    assert (await api.call("GET", "/sessions")).body["timeout"] == 1800


# -- logins and sessions ---------------------------------------------------------------------------


async def test_a_login_ends_by_count_and_its_session_survives(faulty):
    api, session = await faulty("any:nth=3:end-login")
    assert (await api.put(session, [ROW])).status == 200
    assert (await api.put(session, [ROW], index=2)).status == 200
    body = chunk([ROW], index=3)
    answer = await api.refused(401, "ERR009", "no login", "PUT", session, body)
    assert answer.body["iServerCode"] == -2147206925
    await api.login()
    assert (await api.put(session, [ROW], index=3)).status == 200
    assert (await api.publish(session))["status"] == 1
    assert fired(api)[0][1] == 1


async def test_a_login_ends_by_time(faulty):
    clock = ManualClock()
    api, session = await faulty("any:after=30:times=1:end-login", clock=clock)
    assert (await api.put(session, [ROW])).status == 200
    clock.time += 31
    assert (await api.put(session, [ROW], index=2)).status == 401
    await api.login()
    assert (await api.put(session, [ROW], index=2)).status == 200
    assert fired(api)[0][1] == 1


async def test_a_login_ends_with_its_upload_session(faulty):
    api, session = await faulty("put:nth=2:end-login,sessions=lose")
    assert (await api.put(session, [ROW])).status == 200
    assert (await api.put(session, [ROW], index=2)).status == 401
    await api.login()
    body = chunk([ROW], index=2)
    await api.refused(404, "ERR004", "no upload session", "PUT", session, body)
    assert fired(api) == [(3, 1)]


async def test_there_may_be_no_login_to_end(faulty):
    api, session = await faulty("put:times=1:end-login")
    answer = await api.call("PUT", session, chunk([ROW]), without="X-MSTR-AuthToken")
    assert answer.status == 401
    assert fired(api) == [(1, 0)]
    assert (await api.put(session, [ROW])).status == 401
    assert fired(api) == [(2, 1)]


@pytest.mark.parametrize(
    ("where", "method", "end"),
    [
        ("put", "PUT", ""),
        ("publish", "POST", "/publish"),
        ("status", "GET", "/publishStatus"),
        ("delete", "DELETE", ""),
    ],
)
async def test_an_upload_session_vanishes(faulty, where, method, end):
    api, session = await faulty(f"{where}:end-session")
    body = chunk([ROW]) if where == "put" else None
    await api.refused(404, "ERR004", "no upload session", method, session + end, body)
    assert fired(api) == [(1, 1)]
    assert list(api.emulator.uploads) == []
    await api.session(api.dataset_path, table1())


# -- publishes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [3, 18])
async def test_a_publish_that_fails(faulty, code):
    api, session = await faulty(f"publish:outcome={code},message=no memory")
    await api.put(session, [ROW])
    body = await api.publish(session)
    assert (body["status"], body["message"]) == (code, "no memory")
    await api.refused(409, "ERR006", "it takes no data", "PUT", session, chunk([ROW], index=2))
    await api.ok("DELETE", session)
    assert not next(iter(api.emulator.catalogue)).published
    assert fired(api) == [(1, 1)]


@pytest.mark.parametrize("code", [0, 17, 99, -5])
async def test_a_publish_that_hangs(faulty, code):
    api, session = await faulty(f"publish:outcome={code}")
    await api.put(session, [ROW])
    await api.ok("POST", f"{session}/publish")
    (upload,) = api.emulator.uploads
    await until(lambda: upload.says)
    for _ in range(3):
        body = (await api.ok("GET", f"{session}/publishStatus")).body
        assert body["status"] == code
    await api.ok("DELETE", session)
    assert not next(iter(api.emulator.catalogue)).published
    assert fired(api) == [(1, 1)]


async def test_a_publish_that_hangs_for_a_time(faulty):
    class Waiting(ManualClock):
        gate = asyncio.Event()

        async def sleep(self, seconds):
            await super().sleep(seconds)
            if seconds == 40:
                await self.gate.wait()

    clock = Waiting()
    api, session = await faulty("publish:outcome=14,seconds=40", clock=clock)
    await api.put(session, [ROW])
    assert (await api.publish(session))["status"] == 14
    clock.gate.set()
    (upload,) = api.emulator.uploads
    await until(lambda: upload.state.value == "published")
    assert (await api.outcome(session))["status"] == 1
    assert fired(api) == [(1, 1)]


@pytest.mark.parametrize("code", [3, -1, 6])
async def test_a_publish_that_was_done_though_it_says_otherwise(faulty, code):
    api, session = await faulty(f"publish:outcome={code},data=published", status_type="string")
    await api.put(session, [ROW])
    await api.ok("POST", f"{session}/publish")
    (upload,) = api.emulator.uploads
    await until(lambda: upload.state.value == "published")
    body = (await api.ok("GET", f"{session}/publishStatus")).body
    assert body["status"] == str(code)
    assert next(iter(api.emulator.catalogue)).published
    assert fired(api) == [(1, 1)]


async def test_a_publish_that_says_done_and_was_not(faulty):
    api, session = await faulty("publish:outcome=1")
    await api.put(session, [ROW])
    assert (await api.publish(session))["status"] == 1
    await api.ok("DELETE", session)
    assert not next(iter(api.emulator.catalogue)).published
    assert fired(api) == [(1, 1)]


@pytest.mark.parametrize(("at", "done"), [("before", False), ("after-store", True)])
async def test_a_publish_answered_with_5xx(faulty, at, done):
    api, session = await faulty(f"publish:status=500,code=ERR002,at={at}")
    await api.put(session, [ROW])
    assert (await api.call("POST", f"{session}/publish")).status == 500
    if done:
        assert (await api.outcome(session))["status"] == 1
    else:
        await api.refused(409, "ERR006", "still open", "GET", f"{session}/publishStatus")
    assert fired(api) == [(1, 1)]


async def test_several_faults_of_one_publish(faulty):
    api, session = await faulty("publish:outcome=3", "publish:status=504,at=after-store,body=html")
    await api.put(session, [ROW])
    assert (await api.call("POST", f"{session}/publish")).status == 504
    assert (await api.outcome(session))["status"] == 3
    assert fired(api) == [(1, 1), (1, 1)]
    message = "fault publish:outcome=3; fault publish:status=504,at=after-store,body=html"
    assert message in [item["message"] for item in api.emulator.traffic.last()]


async def test_publish_status_answered_with_5xx(faulty):
    api, session = await faulty("status:nth=1-2:status=502,body=html")
    await api.put(session, [ROW])
    await api.ok("POST", f"{session}/publish")
    for _ in range(2):
        assert (await api.call("GET", f"{session}/publishStatus")).status == 502
    assert (await api.outcome(session))["status"] == 1
    assert fired(api)[0][1] == 2


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
