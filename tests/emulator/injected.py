"""Servers with faults, and what came of them."""

from __future__ import annotations

import errno
import json

import aiohttp
import pytest

from tests.emulator.harness import chunk
from tests.emulator.test_uploads import ROW, table1

__all__ = ["BIG", "faulty", "fired", "indices", "no_resend", "reset"]

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
