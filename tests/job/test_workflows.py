"""Stops, and what blocks, in the workflow of one request and while rows are counted."""

from __future__ import annotations

import asyncio
from unittest import mock

import pyarrow as pa
import pytest
from blockbuster import BlockBuster
from hypothesis import given
from hypothesis import strategies as st

import loader
from loader.errors import UsageError
from loader.job import Load, LoadSettings, Progress, prepare
from loader.job.settings import Workflow
from loader.planning import ChunkRules, Cutter
from loader.sources import SourceOptions
from tests.cli.harness import PASSWORD, PROJECT, USER

TABLE = pa.table({"k": ["a", "b"], "v": [1, 2]})


@pytest.fixture
def connection(server):
    return loader.Connection(server.url, username=USER, password=PASSWORD, project=PROJECT)


def load_of(connection, workflow) -> Load:
    prepared = prepare(TABLE, LoadSettings(workflow=workflow), SourceOptions(table="t"))
    return Load(prepared, connection, Progress())


async def stopped(server, load, where) -> None:
    """Cancels the load when the server sees a request that ``where`` picks."""
    loop = asyncio.get_running_loop()
    reached = asyncio.Event()

    async def hold(request):
        if where(request):
            await request.read()
            loop.call_soon_threadsafe(reached.set)
            await asyncio.sleep(30)

    server.fault = hold
    task = asyncio.create_task(load.run())
    await asyncio.wait_for(reached.wait(), 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("workflow", Workflow)
async def test_stopped_while_rows_are_counted_it_is_published(server, connection, workflow):
    load = load_of(connection, workflow)
    await stopped(server, load, lambda request: request.path.endswith("/instances"))
    assert load.result.status is loader.Status.PUBLISHED
    assert load.result.error is None
    assert load.result.warnings == ["stopped before the rows on the server were counted"]
    server.left_nothing()


async def test_one_request_counts_the_time_of_the_request_as_the_servers(server, connection):
    prepared = prepare(TABLE, LoadSettings(workflow=Workflow.ONE_REQUEST), SourceOptions(table="t"))
    now = 0.0

    async def answer_late(request):
        nonlocal now
        if request.method == "POST" and request.path.endswith("/datasets"):
            now += 7.0

    server.fault = answer_late
    load = Load(prepared, connection, Progress(), clock=lambda: now, timeline=True)
    result = await load.run()
    assert result.error is None
    assert result.times.server == result.times.seconds == result.times.put_busy == 7.0
    assert result.latencies.quantile(0.5) == pytest.approx(7.0, rel=0.01)
    assert [chunk.put.seconds for chunk in result.timeline] == [7.0]
    assert result.concurrency == "1 PUT at once: --workflow one-request"
    assert "waiting for the server 100 %" in result.time_spent


async def test_stopped_before_the_request_nothing_was_published(server, connection):
    load = load_of(connection, Workflow.ONE_REQUEST)
    await stopped(server, load, lambda request: "/folders/" in request.path)
    assert load.result.status is loader.Status.INTERRUPTED
    assert "before anything was published" in load.result.error.message
    assert server.datasets == {}
    server.left_nothing()


async def test_stopped_when_the_request_was_sent_it_may_be_published(server, connection):
    load = load_of(connection, Workflow.ONE_REQUEST)
    await stopped(server, load, lambda request: request.path.endswith("/api/datasets"))
    assert load.result.status is loader.Status.INTERRUPTED
    assert "before the server answered" in load.result.error.message
    assert "may go on" in load.result.error.hint
    server.left_nothing()


def test_records_are_no_orientation_of_an_upload_session():
    with pytest.raises(UsageError, match="not records") as caught:
        LoadSettings(orientation=loader.Orientation.RECORDS)
    assert "--workflow one-request" in caught.value.hint


@given(st.lists(st.integers(1, 30), min_size=1, max_size=20), st.integers(0, 3))
def test_one_request_is_one_chunk_or_none(sizes, overhead):
    """A cut before the end means too much, and nothing else does."""
    with mock.patch("loader.planning.ONE_REQUEST", 100):
        cutter = Cutter(ChunkRules.one_request(), overhead)
    early = [count for size in sizes for count in cutter.feed(size)]
    chunks = [*early, *cutter.finish()]
    assert sum(chunks) == len(sizes)
    assert (chunks == [len(sizes)]) == (sum(sizes) + overhead <= 100 or len(sizes) == 1)


async def test_one_request_makes_no_blocking_call(server, connection):
    # Only the loader: the server of these tests is in this process, too, with a loop of its own.
    blockbuster = BlockBuster(
        scanned_modules=["loader"], excluded_modules=["loader.emulator", "tests.cli.harness"]
    )
    blockbuster.activate()
    try:
        for _ in range(2):  # creates, then updates by the table's id that was remembered
            result = await loader.push({"t": TABLE}, connection=connection, workflow="one-request")
            assert result.warnings == []
            assert result.tables[0].table_id
    finally:
        blockbuster.deactivate()
