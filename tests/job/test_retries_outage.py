"""Loads whose whole server is away for a while, or for good."""

from __future__ import annotations

import asyncio
import time as real_time

import pytest
from aiohttp import web

import loader
from loader.emulator import EmulatorProcess
from tests.cli.harness import PASSWORD, USER
from tests.job.retrying import *  # noqa: F403 - its fixtures are among it
from tests.job.retrying import ROWS, SOURCE, arrived

# -- the whole server ----------------------------------------------------------------------------


class Outage:
    """From the ``after``-th chunk on every request is cut, until ``requests`` of them were."""

    def __init__(self, after: int, requests: int) -> None:
        self.after = after
        self.left = requests
        self.puts = 0
        self.cut: list[str] = []

    async def __call__(self, request):
        if request.method == "PUT" and "/uploadSessions/" in request.path:
            self.puts += 1
        if self.puts < self.after or not self.left:
            return None
        self.left -= 1
        self.cut.append(request.method)
        request.transport.abort()
        return web.Response()


async def test_an_outage_costs_each_chunk_one_attempt(server, load_of, time):
    outage = server.fault = Outage(after=4, requests=12)
    load = load_of(retries=1, concurrency=3)
    troubles = set()

    async def sleep(seconds):
        troubles.add(load.progress.trouble)
        await time.sleep(seconds)

    load._running.sleep = sleep
    result = await load.run()
    arrived(server, result)
    # Everybody found out once; all further requests were one worker's looks.
    assert 1 <= outage.cut.count("PUT") <= 3
    assert outage.cut.count("GET") >= 9
    assert result.retries == outage.cut.count("PUT")
    assert load.progress.trouble is None
    assert any(trouble and "was lost" in trouble for trouble in troubles)


async def test_an_outage_that_does_not_end(server, load_of, time):
    server.fault = Outage(after=4, requests=10**9)
    result = await load_of(retry_deadline=60.0).run()
    error = result.error
    assert error.kind == "unreachable"
    assert error.exit_code == 5
    assert "the server was away for" in error.message
    assert error.details["seconds"] == pytest.approx(60.0, abs=1)
    assert error.hint
    assert 0 < result.rows < ROWS


async def test_stopping_does_not_wait_for_a_pause(server, load_of):
    reached = asyncio.Event()
    server.emulator.inject("put:index=2-:status=503,retry-after=250")

    async def sleep(seconds):
        if seconds > 200:
            reached.set()
        await asyncio.sleep(seconds)

    load = load_of(sleep=sleep, clock=real_time.monotonic)
    task = asyncio.create_task(load.run())
    await asyncio.wait_for(reached.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 60)  # the pause would take more than four minutes
    assert load.result.status is loader.Status.INTERRUPTED
    assert server.datasets == {}
    server.left_nothing()


# -- a real process ------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("keep", [True, False], ids=["sessions kept", "sessions lost"])
async def test_a_server_that_is_restarted(load_of, tmp_path, keep):
    options = ["--data", str(tmp_path / "data"), "--fault-control", "--username", USER]
    options += ["--keep-sessions"] if keep else []
    with EmulatorProcess(*options, env={"MSTR_EMULATOR_PASSWORD": PASSWORD}) as server:
        server.inject("put:nth=6:crash=after-store")
        away = asyncio.Event()

        async def sleep(seconds):
            away.set()
            await asyncio.sleep(seconds)

        load = load_of(url=server.url, sleep=sleep, clock=real_time.monotonic)
        task = asyncio.create_task(load.run())
        assert await asyncio.to_thread(server.wait, 30) == -9
        # Until somebody has looked for it.
        await asyncio.wait_for(away.wait(), 20)
        await asyncio.to_thread(server.start)
        result = await task
        assert result.error is None, result.error
        assert result.rows == ROWS
        assert any("the login ended 1 times" in warning for warning in result.warnings)
        lost = any("lost the upload session" in warning for warning in result.warnings)
        assert lost is not keep
        assert result.retries >= 1
        server.close()
        rows = await asyncio.to_thread(stored, tmp_path / "data")
    assert rows == SOURCE


def stored(directory):
    import duckdb  # noqa: PLC0415 - in a thread of its own, after the server has let go of the file

    with duckdb.connect(directory / "emulator.duckdb", read_only=True) as connection:
        return connection.execute("SELECT k, v FROM t.t ORDER BY k").fetchall()
