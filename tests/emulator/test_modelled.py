"""The model of a slow server: what rates it holds, for whom, and how exactly."""

from __future__ import annotations

import asyncio
import json

import pytest

from loader.emulator.slow import Intake, Pacer, Wire
from tests.emulator.harness import ManualClock, until
from tests.emulator.stepped import SteppedClock
from tests.emulator.test_page import _status
from tests.emulator.test_uploads import ROW, table1

MB = 1_000_000
JSON = len(json.dumps([ROW]))


async def elapsed(clock, *works):
    """Seconds that pass until all of them are done."""
    begin = clock.time
    tasks = [asyncio.create_task(work) for work in works]
    for _ in range(1000):
        # Who is late catches up without sleeping, while the clock believes that all is over.
        await clock.run()
        if all(task.done() for task in tasks):
            break
    for task in tasks:
        task.result()
    return clock.time - begin


async def sender(clock, intake, chunks, size, gap):
    """Sends one chunk after the other, as one of a loader's connections does."""
    for _ in range(chunks):
        await clock.sleep(gap)
        await intake.passage(size)


# -- how exactly a rate is held --------------------------------------------------------------------


@pytest.mark.parametrize("lag", [0.0, 0.003])
async def test_a_gigabyte_through_a_rate_takes_what_it_should(lag):
    """Two connections keep it busy; late timers do not add up over forty chunks."""
    clock = SteppedClock(lag)
    intake = Intake(50, clock)
    took = await elapsed(clock, *[sender(clock, intake, 20, 25 * MB, gap=0.04) for _ in range(2)])
    # The first chunk's way to the server, and the last timer.
    assert took == pytest.approx(20.0 + 0.04, abs=2 * lag + 1e-6)


@pytest.mark.parametrize("lag", [0.001, 0.005, 0.03])
@pytest.mark.parametrize("rate", [10, 1000])
async def test_a_body_in_small_pieces_takes_what_it_should(rate, lag):
    """Timers that are late, perhaps by more than a piece takes, do not add up over 250 pieces."""
    clock = SteppedClock(lag)
    wire = Wire(rate, clock)

    async def body():
        for piece in range(250):
            await wire.passage(rate * 4000, begins=not piece)
            clock.time += 0.002  # the server is busy with it

    assert await elapsed(clock, body()) == pytest.approx(1.0, abs=lag + 0.003)


async def test_a_body_that_stalls_saves_nothing_up():
    clock = SteppedClock()
    wire = Wire(1.0, clock)
    assert await elapsed(clock, wire.passage(MB, begins=True)) == pytest.approx(1.0)
    await clock.run(10)
    # But a moment, which the server itself might have been busy for.
    assert await elapsed(clock, wire.passage(MB, begins=False)) == pytest.approx(0.9)
    await clock.run(10)
    assert await elapsed(clock, wire.passage(MB, begins=True)) == pytest.approx(1.0)


async def test_a_late_timer_is_made_good_once():
    clock = SteppedClock(lag=0.25)
    pacer = Pacer(1.0, clock)
    assert await elapsed(clock, pacer.passage(MB)) == pytest.approx(1.25)
    # It was free at 1.0: what follows at once begins there, and its own timer is late again.
    assert await elapsed(clock, pacer.passage(MB)) == pytest.approx(1.0)
    # But idle time is idle time.
    await clock.run(100)
    assert await elapsed(clock, pacer.passage(MB)) == pytest.approx(1.0)
    await clock.run(100)
    assert await elapsed(clock, pacer.passage(2 * MB)) == pytest.approx(2.0)


# -- for whom --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("puts", "rate"), [(1, 20), (2, 40), (3, 50), (4, 50), (8, 50)], ids=str)
async def test_more_puts_help_up_to_the_servers_rate(puts, rate):
    clock = SteppedClock()
    intake = Intake(50, clock, stream_rate=20)
    took = await elapsed(clock, *[sender(clock, intake, 12, 10 * MB, gap=0.0) for _ in range(puts)])
    assert puts * 120 / took == pytest.approx(rate)


async def test_a_put_has_its_own_rate_where_the_server_has_none():
    clock = SteppedClock()
    intake = Intake(None, clock, stream_rate=20)
    took = await elapsed(clock, *[intake.passage(10 * MB) for _ in range(9)])
    assert took == pytest.approx(0.5)


@pytest.mark.parametrize(("puts", "rate"), [(2, 40), (4, 50), (8, 25), (16, 12.5)], ids=str)
async def test_too_many_puts_slow_it_down(puts, rate):
    clock = SteppedClock()
    intake = Intake(50, clock, stream_rate=20, overload=4)
    took = await elapsed(clock, *[sender(clock, intake, 40, 10 * MB, gap=0.0) for _ in range(puts)])
    # The first ones came when few were there, and at the end there are few again.
    assert puts * 400 / took == pytest.approx(rate, rel=0.04)


async def test_the_wire_is_shared_fairly():
    """Beside three bodies of 20 MB a small one does not wait for all of them."""
    clock = SteppedClock()
    wire = Wire(10, clock)
    large = [asyncio.create_task(wire.passage(20 * MB, begins=True)) for _ in range(3)]
    await clock.run(1.0)
    small = asyncio.create_task(wire.passage(1000, begins=True))
    await clock.run(0.1)
    assert small.done()
    await clock.run()
    assert [task.done() for task in large] == [True] * 3
    assert clock.time - 1000 == pytest.approx(6.0001)


async def test_equal_bodies_end_together():
    clock = SteppedClock()
    wire = Wire(10, clock)
    ends = []

    async def body():
        await wire.passage(20 * MB, begins=True)
        ends.append(clock.time - 1000)

    await elapsed(clock, *[body() for _ in range(4)])
    assert ends == pytest.approx([8.0] * 4, abs=0.1)


async def test_what_the_wire_has_no_rate_for_passes():
    clock = ManualClock()
    await Wire(None, clock).passage(10**12, begins=True)
    await Intake(None, clock).passage(10**12)
    assert clock.naps == []


# -- in a server ----------------------------------------------------------------------------------


async def test_a_put_waits_for_what_takes_longest(light):
    clock = ManualClock()
    api = await light(
        clock=clock, latency=0.25, stream_rate=0.0001, ingest_rate=0.001, bandwidth=1.0
    )
    session = await api.session(await api.dataset(), table1())
    before = clock.time
    await api.put(session, [ROW])
    # The wire's and the stream's time and the latency add up; the server's own rate is faster.
    assert clock.time - before == pytest.approx(0.25 + JSON / 100, rel=0.01)


async def test_a_publish_takes_as_long_as_its_data(light):
    clock = SteppedClock()
    api = await light(clock=clock, publish_time=5, publish_rate=0.00001)
    session = await api.session(await api.dataset(), table1())
    for index in (1, 2, 2):  # the one that came twice is published once
        await api.put(session, [ROW], index=index)
    await api.ok("POST", f"{session}/publish")
    await until(lambda: clock.asleep == 1)
    await clock.run(5 + 2 * JSON / 10 - 0.01)
    answer = (await api.ok("GET", f"{session}/publishStatus")).body
    assert (answer["status"], answer["message"]) == (6, "sql execution")
    await clock.run(0.01)
    assert (await api.outcome(session))["status"] == 1


async def test_what_is_appended_to_a_chunk_counts(light):
    clock = ManualClock()
    api = await light(clock=clock, publish_rate=0.00001, repeat_index="append")
    session = await api.session(await api.dataset(), table1())
    for _ in range(2):
        await api.put(session, [ROW])
    assert (await api.publish(session))["status"] == 1
    assert clock.naps == pytest.approx([2 * JSON / 10])


async def test_the_page_shows_the_model(light):
    api = await light(clock=ManualClock(), ingest_rate=50, answer_limit=120, pool=4)
    status = await _status(api)
    assert status["model"] == {"ingest_rate": 50, "answer_limit": 120, "pool": 4}
    assert status["pool"] == {"busy": 0, "waiting": 0}
