"""The model of a slow server, on a clock of the test's own."""

from __future__ import annotations

import json

from loader.emulator.slow import Pacer, SystemClock
from tests.emulator.harness import ManualClock, chunk
from tests.emulator.test_uploads import ROW, table1


async def test_no_rate_is_no_wait():
    await Pacer(None, SystemClock()).passage(10**12)


async def test_the_system_clock_does_not_stand_still():
    clock = SystemClock()
    before = clock.now()
    await clock.sleep(0.001)
    assert clock.now() - before >= 0.001


async def test_a_rate_is_shared_and_never_saved_up():
    clock = ManualClock()
    pacer = Pacer(2.0, clock)
    await pacer.passage(1_000_000)
    await pacer.passage(3_000_000)
    assert clock.naps == [0.5, 1.5]
    clock.time += 100
    await pacer.passage(2_000_000)
    assert clock.naps[2:] == [1.0]


async def test_passages_asked_for_at_once_queue_up():
    class Frozen(ManualClock):
        async def sleep(self, seconds):
            self.naps.append(seconds)

    clock = Frozen()
    pacer = Pacer(1.0, clock)
    for _ in range(3):
        await pacer.passage(1_000_000)
    assert clock.naps == [1.0, 2.0, 3.0]


async def test_latency_counts_for_each_put_and_nothing_else(light):
    clock = ManualClock()
    api = await light(clock=clock, latency=0.25)
    session = await api.session(await api.dataset(), table1())
    assert clock.naps == []
    await api.put(session, [ROW])
    await api.put(session, [ROW], index=2)
    assert clock.naps == [0.25, 0.25]


async def test_the_ingest_rate_counts_decoded_json(light):
    clock = ManualClock()
    api = await light(clock=clock, ingest_rate=0.001)
    session = await api.session(await api.dataset(), table1())
    await api.put(session, [ROW])
    assert round(sum(clock.naps) * 1000, 6) == len(json.dumps([ROW]))


async def test_the_bandwidth_counts_bytes_on_the_wire(light):
    clock = ManualClock()
    api = await light(clock=clock, bandwidth=1.0)
    session = await api.session(await api.dataset(), table1())
    before = sum(clock.naps)
    await api.put(session, [ROW])
    sent = len(json.dumps(chunk([ROW])))
    assert round((sum(clock.naps) - before) * 1e6) == sent


async def test_a_publish_takes_its_time(light):
    clock = ManualClock()
    api = await light(clock=clock, publish_time=5)
    session = await api.session(await api.dataset(), table1())
    assert (await api.publish(session))["status"] == 1
    assert clock.naps == [5]
