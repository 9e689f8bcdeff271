"""The pool of connections and the limit for answers, on a clock of the test's own."""

from __future__ import annotations

import asyncio
import json

import pytest

from loader.emulator.gateway import Pool
from loader.emulator.refusals import Refusal
from loader.emulator.slow import Wire
from tests.emulator.harness import until
from tests.emulator.stepped import SteppedClock
from tests.emulator.test_page import _status
from tests.emulator.test_uploads import ROW, table1

JSON = len(json.dumps([ROW]))


class Caller:
    """Holds a connection until it is told to leave."""

    def __init__(self, pool):
        self.inside, self.leave = False, asyncio.Event()
        self.task = asyncio.create_task(self._stay(pool))

    async def _stay(self, pool):
        async with pool.place():
            self.inside = True
            await self.leave.wait()

    async def goes(self):
        self.leave.set()
        await self.task


async def test_no_limit_is_no_wait():
    pool = Pool(None, SteppedClock())
    callers = [Caller(pool) for _ in range(50)]
    await until(lambda: all(caller.inside for caller in callers))
    for caller in callers:
        await caller.goes()


async def test_a_place_that_becomes_free_goes_to_who_waits_longest():
    clock = SteppedClock()
    pool = Pool(2, clock)
    first, second, third, fourth = (Caller(pool) for _ in range(4))
    await clock.run(9.9)
    assert (pool.busy, pool.waiting) == (2, 2)
    await second.goes()
    await until(lambda: third.inside)
    assert not fourth.inside
    await first.goes()
    await until(lambda: fourth.inside)
    assert (pool.busy, pool.waiting) == (2, 0)
    await clock.run(100)  # whoever has a place keeps it
    await third.goes()
    await fourth.goes()
    assert (pool.busy, pool.waiting, clock.asleep) == (0, 0, 0)


async def test_who_waits_ten_seconds_is_refused():
    clock = SteppedClock()
    pool = Pool(1, clock)
    first, second = Caller(pool), Caller(pool)
    await clock.run(9.99)
    assert not second.task.done()
    await clock.run(0.01)
    await asyncio.wait([second.task])
    refusal = second.task.exception()
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.code) == (503, "ERR016")
    assert "None of the 1 connections" in refusal.message
    await first.goes()
    assert (pool.busy, pool.waiting) == (0, 0)


@pytest.mark.parametrize("handed", [False, True], ids=["waiting", "as it gets one"])
async def test_who_gives_up_leaves_the_place_to_the_others(handed):
    clock = SteppedClock()
    pool = Pool(1, clock)
    first, second, third = (Caller(pool) for _ in range(3))
    await clock.run(1)
    if handed:
        await first.goes()  # the second has it now, but has not been told
        assert pool.waiting == 1
    second.task.cancel()
    await asyncio.wait([second.task])
    assert second.task.cancelled()
    if not handed:
        await first.goes()
    await until(lambda: third.inside)
    await third.goes()
    assert (pool.busy, pool.waiting) == (0, 0)


# -- in a server ----------------------------------------------------------------------------------


async def test_calls_share_the_pool_with_puts(light):
    clock = SteppedClock()
    api = await light(clock=clock, pool=1, latency=30)
    session = await api.session(await api.dataset(), table1())
    put = asyncio.create_task(api.put(session, [ROW]))
    await until(lambda: clock.asleep == 1)
    other = asyncio.create_task(api.call("GET", "/projects"))
    await until(lambda: clock.asleep == 2)
    assert (await _status(api))["pool"] == {"busy": 1, "waiting": 1}
    await clock.run(10)
    answer = await other
    assert (answer.status, answer.body["code"]) == (503, "ERR016")
    await clock.run(20)
    assert (await put).status == 200
    await api.ok("GET", "/projects")


async def test_a_put_that_gets_no_place_keeps_nothing(light):
    clock = SteppedClock()
    api = await light(clock=clock, pool=1, latency=15)
    session = await api.session(await api.dataset(), table1())
    puts = [asyncio.create_task(api.put(session, [ROW], index=index)) for index in (1, 2)]
    await until(lambda: clock.asleep == 2)
    await clock.run(15)
    assert sorted([(await put).status for put in puts]) == [200, 503]
    (upload,) = api.emulator.uploads
    assert (upload.chunks, upload.puts) == (1, 0)


@pytest.mark.parametrize("ingest", ["check", "sink"])
async def test_a_body_that_is_under_way_takes_no_place(light, ingest):
    """A slow network must not use the server's connections up."""
    clock = SteppedClock()
    api = await light(clock=clock, pool=1, ingest=ingest)
    session = await api.session(await api.dataset(), table1())
    api.emulator.wire = Wire(0.00001, clock)  # what came before needed a faster one
    put = asyncio.create_task(api.put(session, [ROW]))
    await until(lambda: clock.asleep == 1)
    assert api.emulator.pool.busy == 0
    await api.ok("GET", "/projects")
    await clock.run(100)
    assert (await put).status == 200


async def _late(light, **settings):
    """A server that answers a PUT after 200 s, but gives up after 120 s; and a PUT under way."""
    clock = SteppedClock()
    api = await light(
        clock=clock, ingest_rate=JSON / 200 / 1e6, answer_limit=120, pool=2, **settings
    )
    session = await api.session(await api.dataset(), table1())
    put = asyncio.create_task(api.put(session, [ROW]))
    await until(lambda: clock.asleep == 2)
    return clock, api, session, put


@pytest.mark.parametrize("ingest", ["check", "sink"])
async def test_a_late_answer_is_none_though_the_chunk_is_kept(light, ingest):
    clock, api, session, put = await _late(light, ingest=ingest)
    await clock.run(119.9)
    assert not put.done()
    await clock.run(0.1)
    answer = await put
    assert (answer.status, answer.body["iServerCode"]) == (504, -2147206497)
    assert "--answer-limit" in answer.message
    (upload,) = api.emulator.uploads
    assert (upload.chunks, upload.puts, api.emulator.pool.busy) == (0, 0, 1)
    await clock.run(80)
    await until(lambda: upload.chunks == 1 and not api.emulator.pool.busy)
    assert (await api.publish(session))["status"] == 1


async def test_a_chunk_sent_again_meanwhile_waits_for_the_first(light):
    clock, api, session, put = await _late(light)
    await clock.run(120)
    assert (await put).status == 504
    (upload,) = api.emulator.uploads
    again = asyncio.create_task(api.put(session, [ROW]))
    await until(lambda: clock.asleep == 3)
    await clock.run(120)
    assert (await again).status == 504
    await until(lambda: upload.chunks == 1)  # the first one is in since 40 s
    await clock.run(160)
    await until(lambda: not api.emulator.pool.busy)
    assert upload.tables["table1"].json_bytes == 2 * JSON
    assert upload.kept_bytes == JSON


async def test_an_answer_in_time_is_an_answer(light):
    clock = SteppedClock()
    api = await light(clock=clock, latency=119, answer_limit=120)
    session = await api.session(await api.dataset(), table1())
    put = asyncio.create_task(api.put(session, [ROW]))
    await until(lambda: clock.asleep == 2)
    await clock.run(119)
    assert (await put).status == 200
    assert clock.asleep == 0


async def test_refusals_come_through_the_limit(light):
    api = await light(clock=SteppedClock(), answer_limit=120)
    session = await api.session(await api.dataset(), table1())
    assert (await api.put(session, [ROW], table="nobody")).status == 400
    assert (await api.call("PUT", session, "{")).status == 400


async def test_what_nobody_waits_for_may_fail(light, caplog):
    clock, api, session, put = await _late(light)
    await clock.run(120)
    assert (await put).status == 504
    await api.ok("DELETE", session)
    await clock.run(80)
    await until(lambda: not api.emulator.pool.busy)
    assert "nobody waited for" in caplog.text


async def test_the_server_stops_with_work_that_nobody_waits_for(light):
    clock, _, _, put = await _late(light)
    await clock.run(120)
    assert (await put).status == 504
    assert clock.asleep == 1  # the fixture stops it


async def test_a_client_that_hangs_up_takes_nothing_along(light):
    clock, api, _, put = await _late(light)
    put.cancel()
    await asyncio.wait([put])
    await clock.run(200)
    await until(lambda: not api.emulator.pool.busy)
    (upload,) = api.emulator.uploads
    assert (upload.chunks, upload.puts) == (1, 0)
