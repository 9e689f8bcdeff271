"""Logins, upload sessions and publishes that fail; each test asserts that its fault fired."""

from __future__ import annotations

import asyncio

import pytest

from tests.emulator.harness import ManualClock, chunk, until
from tests.emulator.injected import *  # noqa: F403 - its fixture is among it
from tests.emulator.injected import fired
from tests.emulator.test_uploads import ROW, table1

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
