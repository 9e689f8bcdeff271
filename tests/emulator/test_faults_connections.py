"""Resets, stalls and broken answers on real connections; each test asserts that its fault fired."""

from __future__ import annotations

import asyncio
import json
import socket
import struct

import aiohttp
import pytest

from loader.emulator import server
from tests.emulator.harness import ManualClock, chunk, until
from tests.emulator.injected import *  # noqa: F403 - its fixture is among it
from tests.emulator.injected import BIG, fired, indices, reset
from tests.emulator.test_uploads import ROW

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
