"""What bounds the memory that uploads hold together."""

from __future__ import annotations

import asyncio
import json

import pytest

from loader.emulator.room import Room
from tests.emulator.harness import chunk, until
from tests.emulator.test_uploads import ROW, table1


class Guest:
    """Holds some of the room until it is told to leave."""

    def __init__(self, room, size):
        self.inside, self.leave = asyncio.Event(), asyncio.Event()
        self.task = asyncio.create_task(self._stay(room, size))

    async def _stay(self, room, size):
        async with room.hold(size):
            self.inside.set()
            await self.leave.wait()

    async def goes(self):
        self.leave.set()
        await self.task


async def turns():
    """Lets everything happen that can happen without anything else happening first."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_together_they_hold_no_more_than_there_is():
    room = Room(10)
    first, second, third = Guest(room, 6), Guest(room, 4), Guest(room, 1)
    await turns()
    assert (first.inside.is_set(), second.inside.is_set()) == (True, True)
    assert not third.inside.is_set()
    await second.goes()
    await third.inside.wait()
    for guest in (first, third):
        await guest.goes()


async def test_a_large_one_is_not_overtaken():
    room = Room(10)
    first, large, small = Guest(room, 6), Guest(room, 7), Guest(room, 1)
    await turns()
    assert not small.inside.is_set()
    await first.goes()
    await large.inside.wait()
    await small.inside.wait()
    for guest in (large, small):
        await guest.goes()


async def test_one_larger_than_the_room_is_alone_in_it():
    room = Room(10)
    first, large = Guest(room, 1), Guest(room, 1000)
    await turns()
    assert not large.inside.is_set()
    await first.goes()
    await large.inside.wait()
    after = Guest(room, 1)
    await turns()
    assert not after.inside.is_set()
    for guest in (large, after):
        await guest.goes()


@pytest.mark.parametrize("waits", [True, False], ids=["while it waits", "while it holds"])
async def test_who_gives_up_leaves_the_room_to_the_others(waits):
    room = Room(10)
    first = Guest(room, 10)
    await first.inside.wait()
    second, third = Guest(room, 10), Guest(room, 10)
    await turns()
    given_up = second if waits else first
    given_up.task.cancel()
    await asyncio.wait([given_up.task])
    if waits:
        await first.goes()
    else:
        await second.inside.wait()
        await second.goes()
    await third.inside.wait()
    await third.goes()


class Wire:
    """Counts the bytes that the server has taken off the wire."""

    def __init__(self):
        self.taken = 0

    async def passage(self, size, *, begins):
        self.taken += size


async def test_a_body_stays_unread_until_there_is_room(light):
    api = await light()
    session = await api.session(await api.dataset(), table1())
    api.emulator.room, api.emulator.wire = Room(1000), Wire()
    texts = [json.dumps(chunk([ROW] * 12, index=index)).encode() for index in (1, 2)]
    assert all(500 < len(text) < 1000 for text in texts)
    rest = asyncio.Event()

    async def pieces():
        yield texts[0][:9]
        await rest.wait()
        yield texts[0][9:]

    headers = {
        **api.headers,
        "Content-Type": "application/json",
        "Content-Length": str(len(texts[0])),
    }

    async def put_first():
        url = f"{api.listener.url}/api{session}"
        async with api.http.put(url, data=pieces(), headers=headers) as answer:
            return answer.status

    first = asyncio.create_task(put_first())
    await until(lambda: api.emulator.wire.taken)
    second = asyncio.create_task(api.ok("PUT", session, texts[1]))
    (upload,) = api.emulator.uploads
    await until(lambda: upload.puts == 2)
    for _ in range(5):
        await api.ok("GET", "/status")  # it is the bodies that wait, not the server
    assert api.emulator.wire.taken == 9
    rest.set()
    assert await first == 200
    await second
    assert api.emulator.wire.taken == sum(map(len, texts))
    assert (await api.publish(session))["status"] == 1
