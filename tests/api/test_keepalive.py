"""Keeping a session alive: how often, what failures mean, and how it ends. No test waits."""

from __future__ import annotations

import asyncio
import logging

import pytest

from loader.api import Client, Connection, KeepAlive
from loader.emulator import EmulatorOptions
from loader.emulator.core import Emulator
from loader.emulator.server import Listener
from loader.errors import LoginFailed, SessionExpired, Unavailable, Unreachable
from tests.emulator.harness import ManualClock


class Clock:
    """Lets time pass turn by turn, and remembers for how long was slept."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._wake = asyncio.Event()
        self._asleep = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._asleep.set()
        await self._wake.wait()
        self._wake.clear()

    async def pass_on(self, turns: int = 1) -> None:
        """Waits until somebody sleeps and lets the time pass; then until somebody sleeps again."""
        for _ in range(turns):
            await self.asleep()
            self._asleep.clear()
            self._wake.set()
            await self.asleep()

    async def asleep(self) -> None:
        await asyncio.wait_for(self._asleep.wait(), 5)


class Session:
    """Answers as it is told: an exception is raised."""

    def __init__(self, *outcomes, timeout=1800) -> None:
        self.outcomes = list(outcomes)
        self.timeout = timeout
        self.calls = []

    async def session_timeout(self):
        self.calls.append("timeout")
        if isinstance(self.timeout, Exception):
            error, self.timeout = self.timeout, 900
            raise error
        return self.timeout

    async def keep_alive(self):
        self.calls.append("keep")
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if outcome is not None:
            raise outcome


async def test_a_third_of_the_timeout_that_the_server_tells():
    clock, session = Clock(), Session(timeout=1800)
    async with KeepAlive(session, sleep=clock.sleep) as alive:
        await clock.pass_on(3)
        assert "running" in repr(alive)
    assert session.calls == ["timeout", "keep", "keep", "keep"]
    assert clock.slept == [600.0] * 4
    assert (alive.extended, alive.failures) == (3, 0)
    assert "idle" in repr(alive)


async def test_a_failure_is_logged_and_tried_again_sooner(caplog):
    clock, session = Clock(), Session(Unavailable("busy"), Unreachable("gone"), timeout=1200)
    async with KeepAlive(session, sleep=clock.sleep) as alive:
        await clock.pass_on(4)
    assert clock.slept == [400.0, 100.0, 100.0, 400.0, 400.0]
    assert (alive.extended, alive.failures) == (2, 2)
    assert "busy" in caplog.text
    assert "gone" in caplog.text


async def test_a_timeout_that_cannot_be_asked_for_is_asked_for_again():
    clock, session = Clock(), Session(timeout=Unavailable("busy"))
    async with KeepAlive(session, sleep=clock.sleep):
        await clock.pass_on(2)
    assert session.calls == ["timeout", "timeout", "keep"]
    assert clock.slept == [15.0, 300.0, 300.0]


@pytest.mark.parametrize("seconds", [0, -1])
async def test_a_session_without_a_timeout_needs_nothing(seconds):
    session = Session(timeout=seconds)
    async with KeepAlive(session) as alive:
        await asyncio.wait_for(alive._task, 5)
    assert session.calls == ["timeout"]


async def test_a_login_that_has_ended_is_asked_about_again():
    clock = Clock()
    session = Session(SessionExpired("over"))
    async with KeepAlive(session, sleep=clock.sleep) as alive:
        await clock.pass_on(2)
    assert (alive.extended, alive.failures) == (1, 1)


async def test_refused_credentials_end_it():
    """More attempts would lock the account."""
    clock = Clock()
    session = Session(LoginFailed("no"))
    async with KeepAlive(session, sleep=clock.sleep) as alive:
        await clock.asleep()
        clock._wake.set()
        await asyncio.wait_for(alive._task, 5)
    assert (alive.extended, alive.failures) == (0, 1)


async def test_it_ends_with_its_block_in_the_middle_of_a_call():
    started, cancelled = asyncio.Event(), asyncio.Event()

    class Slow(Session):
        async def session_timeout(self):
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

    async with KeepAlive(Slow()):
        await started.wait()
    assert cancelled.is_set()


async def test_what_the_block_raises_comes_out_and_what_it_raises_itself_does_not(caplog):
    class Broken(Session):
        async def session_timeout(self):
            raise ZeroDivisionError

    async def block():
        async with KeepAlive(Broken()) as alive:
            await asyncio.wait([alive._task])
            raise LookupError

    with pytest.raises(LookupError):
        await block()
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info[0] is ZeroDivisionError


async def test_a_real_session_outlives_its_timeout():
    """The emulator's clock and the sleeper's go together."""
    server_clock, clock = ManualClock(), Clock()
    options = EmulatorOptions(port=0, ingest="check", session_timeout=30)
    async with Listener(options, Emulator(options, clock=server_clock)) as listener:
        async with Client(Connection(listener.url, username="administrator")) as client:
            await client.login()
            async with KeepAlive(client, sleep=clock.sleep) as alive:
                await clock.asleep()
                for _ in range(6):
                    server_clock.time += clock.slept[-1]
                    await clock.pass_on()
            assert clock.slept == [10.0] * 7
            assert (alive.extended, alive.failures) == (6, 0)
            # Without it, the login would have ended 30 of the 60 seconds ago.
            assert client.logins == 1
            await client.projects()
            assert client.logins == 1
            await client.logout()
        assert len(listener.emulator.logins) == 0


async def test_a_client_renews_a_login_that_ended_while_nobody_looked():
    server_clock, clock = ManualClock(), Clock()
    options = EmulatorOptions(port=0, ingest="check", session_timeout=30)
    async with (
        Listener(options, Emulator(options, clock=server_clock)) as listener,
        Client(Connection(listener.url, username="administrator")) as client,
    ):
        await client.login()
        async with KeepAlive(client, sleep=clock.sleep) as alive:
            await clock.asleep()
            server_clock.time += 31
            await clock.pass_on()
        assert (alive.extended, client.logins) == (1, 2)
        await client.logout()
