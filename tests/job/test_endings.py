"""How a load ends when it is stopped at the very end."""

from __future__ import annotations

import asyncio

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiohttp import web

import loader
from loader.errors import Defect
from loader.job import Load, LoadSettings, Progress, begun, prepare, resume
from loader.job.journal.list import list_jobs
from loader.job.journal.states import JobState
from loader.sources import SourceOptions
from tests.cli.harness import PASSWORD, PROJECT, USER

TABLE = pa.table({"k": ["a", "b"], "v": [1, 2]})


@pytest.fixture
def connection(server):
    return loader.Connection(server.url, username=USER, password=PASSWORD, project=PROJECT)


@pytest.fixture
def load(connection):
    """A load that keeps no journal."""
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


async def stopped_in_mid_publish(server, load, *, deletes: bool = True) -> None:
    """Runs a load, and cancels it while the server is asked what became of the publish."""
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
    server.fault = None
    assert load.result.status is loader.Status.INTERRUPTED
    assert "while the data was being published" in load.result.error.message


@pytest.mark.parametrize("deletes", [True, False])
async def test_stopped_in_mid_publish_and_nobody_can_go_on(server, load, deletes):
    await stopped_in_mid_publish(server, load, deletes=deletes)
    assert "check the dataset before loading again" in load.result.error.hint
    assert load.result.resume is None
    assert "resume" not in load.result.error.details
    assert load.result.exit_code == 130
    # What may have been published is never deleted.
    assert load.result.dataset_id == server.datasets["t"]
    told = any("could not delete the upload session" in one for one in load.result.warnings)
    assert told is not deletes
    assert server.sessions == (0 if deletes else 1)
    assert len(server.emulator.logins) == 0


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(TABLE, path)
    return path


async def test_stopped_in_mid_publish_and_another_process_goes_on(server, connection, file):
    progress = Progress()
    async with begun(str(file), {}, connection, progress) as load:
        await stopped_in_mid_publish(server, load)
        result = load.result
    line = f"mstr-loader resume {result.job}"
    assert result.resume == result.error.details["resume"] == line
    assert result.error.hint.startswith(line)
    assert result.exit_code == 130
    assert result.dataset_id == server.datasets["t"]
    assert server.called("DELETE", "") == []
    assert server.called("POST", "/logout") == []
    assert server.sessions == 1
    (job,) = list_jobs()
    assert (job.id, job.record.state, job.record.stage) == (
        *(result.job, JobState.INTERRUPTED, JobState.PUBLISHING),
    )

    again = await resume(result.job, connection=connection)
    assert again.status is loader.Status.PUBLISHED
    assert server.sql("SELECT * FROM t.t ORDER BY k") == [("a", 1), ("b", 2)]
    assert server.called("POST", "/publish") == [200]
    assert server.sessions == 0


async def test_a_defect_leaves_nothing_to_go_on_with(server, connection, file, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("loader.job.pipeline.BlockEncoder.encode", broken)
    async with begun(str(file), {}, connection, Progress()) as load:
        result = await load.run()
    assert isinstance(result.error, Defect)
    assert result.resume is None
    (job,) = list_jobs()
    assert job.record.state is JobState.FAILED
    assert server.datasets == {}
    server.left_nothing()


async def test_an_overwrite_that_can_go_on_says_what_fills_the_dataset(server, connection, file):
    async with begun(str(file), {}, connection, Progress()) as load:
        assert (await load.run()).error is None
    server.emulator.inject("put:status=503")
    options = {"overwrite": True, "retries": 0}
    async with begun(str(file), options, connection, Progress()) as load:
        result = await load.run()
    assert result.exit_code == 6
    (warning,) = [one for one in result.warnings if "the dataset is empty" in one]
    assert f"{result.resume} fills it" in warning
    server.emulator.faults.clear()
    again = await resume(connection=connection)
    assert again.status is loader.Status.PUBLISHED
    assert not any("is empty" in one for one in again.warnings)
    assert server.sql("SELECT * FROM t.t ORDER BY k") == [("a", 1), ("b", 2)]
    assert server.sessions == 0


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
