"""How a load ends when it is stopped at the very end."""

from __future__ import annotations

import asyncio

import pyarrow as pa
import pytest
from aiohttp import web

import loader
from loader.errors import Defect
from loader.job import Load, LoadSettings, Progress, prepare
from loader.sources import SourceOptions
from tests.cli.harness import PASSWORD, PROJECT, USER

TABLE = pa.table({"k": ["a", "b"], "v": [1, 2]})


@pytest.fixture
def load(server):
    connection = loader.Connection(server.url, username=USER, password=PASSWORD, project=PROJECT)
    prepared = prepare(TABLE, LoadSettings(), SourceOptions(table="t"))
    return Load(prepared, connection, Progress())


async def test_what_was_published_stays_published_when_stopped_while_closing(server, load):
    loop = asyncio.get_running_loop()
    reached = asyncio.Event()

    async def hold(request):
        if request.method == "DELETE":
            loop.call_soon_threadsafe(reached.set)
            await asyncio.sleep(30)

    server.fault = hold
    task = asyncio.create_task(load.run())
    await asyncio.wait_for(reached.wait(), 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert load.result.status is loader.Status.PUBLISHED
    assert load.result.error is None
    assert load.result.warnings == ["stopped while the session was being closed"]


@pytest.mark.parametrize(
    ("deletes", "says"),
    [
        (True, "the upload session was deleted"),
        (False, "could not be deleted, and the publish may"),
    ],
)
async def test_stopped_in_mid_publish_says_what_became_of_it(server, load, deletes, says):
    loop = asyncio.get_running_loop()
    reached = asyncio.Event()

    async def hold(request):
        if request.path.endswith("/publishStatus"):
            loop.call_soon_threadsafe(reached.set)
            await asyncio.sleep(30)
        if request.method == "DELETE" and not deletes:
            return web.json_response({"code": "ERR001", "message": "not now"}, status=500)
        return None

    server.fault = hold
    task = asyncio.create_task(load.run())
    await asyncio.wait_for(reached.wait(), 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert load.result.status is loader.Status.INTERRUPTED
    assert says in load.result.error.hint


async def test_a_defect_while_closing_hides_no_publish(server, load, monkeypatch):
    async def broken(*_):
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("loader.api.Client.delete_upload_session", broken)
    result = await load.run()
    assert result.status is loader.Status.PUBLISHED
    assert result.error is None
    assert any("delete the upload session: ZeroDivisionError" in one for one in result.warnings)


async def test_a_failure_after_an_overwrite_says_that_the_data_is_gone(server, load):
    assert (await load.run()).error is None
    # A refusal has a hint of its own, which must not hide the loss.
    overwrite = prepare(TABLE, LoadSettings(overwrite=True), SourceOptions(table="t"))
    again = Load(overwrite, load._connection, Progress())

    async def refuse(request):
        if request.method == "PUT" and "/uploadSessions/" in request.path:
            return web.json_response({"code": "ERR006", "message": "no"}, status=400)
        return None

    server.fault = refuse
    result = await again.run()
    assert result.status is loader.Status.FAILED
    assert "--ordering strict" in result.error.hint
    assert any("the dataset is empty" in warning for warning in result.warnings)


async def test_a_defect_cleans_up_and_has_a_result(server, load, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("loader.job.pipeline.BlockEncoder.encode", broken)
    result = await load.run()
    assert result.status is loader.Status.FAILED
    assert isinstance(result.error, Defect)
    assert "ZeroDivisionError: oops" in result.error.message
    server.left_nothing()
    assert server.datasets == {}
