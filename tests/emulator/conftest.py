"""A real server on loopback for each test."""

from __future__ import annotations

import contextlib
from typing import Any

import aiohttp
import pytest

from loader.emulator import EmulatorOptions
from loader.emulator.core import Emulator
from loader.emulator.server import Listener
from tests.emulator.harness import Api


@pytest.fixture
async def emulate():
    """Starts servers; settings are those of EmulatorOptions."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(*, clock: Any = None, archive: Any = None, **settings: Any) -> Api:
            options = EmulatorOptions(port=0, **settings)
            emulator = Emulator(options, clock=clock, archive=archive and (lambda: archive))
            listener = await stack.enter_async_context(Listener(options, emulator))
            http = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
            return Api(listener, await stack.enter_async_context(http))

        yield start


@pytest.fixture
async def api(emulate) -> Api:
    """A server with defaults, logged in."""
    started = await emulate()
    await started.login()
    return started


@pytest.fixture
async def light(emulate):
    """Starts servers that keep no data (``--ingest check``), logged in."""

    async def start(**settings: Any) -> Api:
        started = await emulate(**{"ingest": "check", **settings})
        await started.login()
        return started

    return start
