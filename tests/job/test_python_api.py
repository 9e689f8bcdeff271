"""The typed functions: the same loads as on the command line, from Python."""

from __future__ import annotations

import asyncio
import concurrent.futures
import pickle
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiohttp import web

import loader
from loader.errors import (
    BadValue,
    LoaderError,
    LoginFailed,
    OutcomeUnknown,
    Unavailable,
    UnknownJob,
    UsageError,
)
from loader.job import LoadSettings, Progress, prepare_in_thread, resume
from loader.job.limits import Throttle
from loader.sources import SourceOptions
from tests.cli.harness import PASSWORD, PROJECT, USER

TABLE = pa.table({"k": ["a", "b", "c"], "v": [1, 2, 3]})


@pytest.fixture
def connection(server):
    return loader.Connection(server.url, username=USER, password=PASSWORD, project=PROJECT)


class Frame:
    """What polars, pandas and duckdb look like from here."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


@pytest.mark.parametrize(
    "make",
    [
        lambda: TABLE,
        lambda: TABLE.to_batches()[0],
        lambda: TABLE.to_reader(max_chunksize=1),
        lambda: Frame(TABLE),
        lambda: {"table": TABLE},
        lambda: {"table": Frame(TABLE)},
    ],
    ids=["table", "batch", "reader", "frame", "mapping", "mapping of frame"],
)
async def test_arrow_objects(connection, server, make):
    result = await loader.push(make(), connection=connection)
    assert isinstance(result, loader.Result)
    assert result.status is loader.Status.PUBLISHED
    assert (result.rows, result.chunks, result.error) == (3, 1, None)
    assert server.sql('SELECT * FROM "table"."table"') == [("a", 1), ("b", 2), ("c", 3)]
    server.left_nothing()


async def test_a_mapping_of_tables_to_paths_and_objects(connection, server, tmp_path):
    for name in ("1", "2"):
        pq.write_table(TABLE, tmp_path / f"{name}.parquet")
    result = await loader.push(
        {
            "one": tmp_path / "1.parquet",
            "many": [str(tmp_path / "1.parquet"), str(tmp_path / "2.parquet")],
            "arrow": TABLE,
        },
        connection=connection,
        dataset="All",
        policy="upsert",
        table_policies={"arrow": loader.UpdatePolicy.ADD},
        orientation=loader.Orientation.ROW,
        ordering="strict",
        types={"arrow.v": loader.DataType.BIGINTEGER},
    )
    assert {table.name: table.rows for table in result.tables} == {"one": 3, "many": 6, "arrow": 3}
    assert server.sql('SELECT count(*) FROM "All".many') == [(3,)]


async def test_a_path_alone(connection, tmp_path):
    pq.write_table(TABLE, tmp_path / "t.parquet")
    result = await loader.push(str(tmp_path / "t.parquet"), connection=connection)
    assert result.dataset == "t"
    result = await loader.push([f"t={tmp_path}/t.parquet"], connection=connection)
    assert result.dataset == "t"


def test_push_sync_in_a_script(connection, server):
    result = loader.push_sync(TABLE, connection=connection, dataset="Sync")
    assert result.status == "published"
    server.left_nothing()


async def test_push_sync_where_a_loop_is_running(connection, server):
    # As in a notebook, where it holds the loop up: the server has a thread of its own.
    result = loader.push_sync(TABLE, connection=connection)
    assert result.rows == 3
    server.left_nothing()


async def test_an_error_tells_how_far_the_load_came(connection, server):
    several = threading.Event()

    async def count(request):
        if request.method == "PUT" and "/uploadSessions/" in request.path:
            count.seen += 1
            if count.seen > 3:
                several.set()

    count.seen = 0
    server.fault = count
    schema = pa.schema({"k": pa.string(), "v": pa.string()})

    def batches():
        for number in range(60):
            if number == 59:
                assert several.wait(20)
            texts = [f"{number * 1000 + row}" for row in range(1000)]
            yield pa.record_batch([texts, texts], schema=schema)
        yield pa.record_batch([["last"], ["not a number"]], schema=schema)

    reader = pa.RecordBatchReader.from_batches(schema, batches())
    with pytest.raises(BadValue) as caught:
        await loader.push(
            {"t": reader},
            connection=connection,
            types={"v": "BIGINTEGER"},
            chunk_size=40_000,
            concurrency=1,
        )
    result = caught.value.result
    assert isinstance(result, loader.Result)
    assert result.status is loader.Status.FAILED
    assert result.error is caught.value
    assert result.chunks > 2
    assert result.rows > 0
    assert server.datasets == {}
    server.left_nothing()


async def test_errors_before_the_load_have_a_result_too(connection, tmp_path):
    for sources, options in (
        (str(tmp_path / "absent.parquet"), {}),
        (TABLE, {"chunk_size": -1}),
        (TABLE, {"policy": "merge"}),
        (TABLE.slice(0, 0), {}),
    ):
        with pytest.raises(LoaderError) as caught:
            await loader.push(sources, connection=connection, **options)
        assert caught.value.result.status is loader.Status.FAILED
        assert caught.value.result.error is caught.value


async def test_errors_keep_what_they_know_when_they_are_pickled(server):
    wrong = loader.Connection(server.url, username=USER, password="wrong", project=PROJECT)
    with pytest.raises(LoginFailed) as caught:
        await loader.push(TABLE, connection=wrong)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.message, again.hint, again.status) == (
        caught.value.message,
        caught.value.hint,
        401,
    )
    assert "wrong'" not in repr(wrong)
    assert "password='wrong'" not in repr(wrong)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"orientation": "diagonal"}, "orientation"),
        ({"ordering": "none"}, "ordering"),
        ({"types": {"v": "NUMBER"}}, "NUMBER"),
        ({"concurrency": 0}, "concurrency"),
        ({"max_rate": -1.0}, "max-rate"),
        ({"publish_timeout": 0.0}, "publish-timeout"),
        ({"csv_types": "guess"}, "csv"),
        ({"format": "orc"}, "orc"),
    ],
)
async def test_options_that_cannot_work(connection, server, options, says):
    with pytest.raises(UsageError, match=says):
        await loader.push(TABLE, connection=connection, **options)
    assert server.requests == []


async def test_an_option_that_does_not_exist_is_a_type_error(connection):
    with pytest.raises(TypeError, match="colour"):
        await loader.push(TABLE, connection=connection, colour="red")


async def test_progress_is_reported_up_to_its_end(connection):
    seen = []

    def note(progress):
        seen.append((progress.phase, progress.rows_accepted, progress.accepted_bytes))

    result = await loader.push(TABLE, connection=connection, on_progress=note)
    assert seen[0][1] == 0
    assert seen[-1] == (seen[-1][0], 3, result.json_bytes)
    accepted = [rows for _, rows, _ in seen]
    assert accepted == sorted(accepted)


async def test_a_progress_function_that_fails_leaves_nothing_behind(connection, server):
    def broken(_):
        raise ValueError("a mistake of the caller's")

    with pytest.raises(ValueError, match="mistake"):
        await loader.push(TABLE, connection=connection, on_progress=broken)
    server.left_nothing()


class Hold:
    """Says that a PUT has come, and does not answer it."""

    def __init__(self) -> None:
        self.reached = threading.Event()

    async def __call__(self, request):
        if request.method == "PUT" and "/uploadSessions/" in request.path:
            self.reached.set()
            await asyncio.sleep(30)


async def cancelled_in_mid_load(server, load) -> None:
    server.fault = hold = Hold()
    task = asyncio.create_task(load)
    assert await asyncio.to_thread(hold.reached.wait, 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    server.fault = None


async def test_a_cancelled_task_cleans_up(connection, server):
    """Nobody else has what is in the memory of this process."""
    await cancelled_in_mid_load(server, loader.push(TABLE, connection=connection))
    assert server.datasets == {}
    server.left_nothing()
    with pytest.raises(UnknownJob):
        await resume(connection=connection)


async def test_a_cancelled_task_can_go_on_from_a_file(connection, server, file):
    await cancelled_in_mid_load(server, loader.push(str(file), connection=connection))
    assert server.sessions == 1
    result = await resume(connection=connection)
    assert result.status is loader.Status.PUBLISHED
    assert (result.rows, result.chunks) == (3, 1)
    assert server.sql("SELECT * FROM t.t ORDER BY k") == [("a", 1), ("b", 2), ("c", 3)]
    assert server.sessions == 0


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(TABLE, path)
    return path


async def test_an_error_that_may_pass_says_how_to_go_on(connection, server, file):
    server.emulator.inject("put:status=503,body=html")
    with pytest.raises(Unavailable) as caught:
        await loader.push(str(file), connection=connection, retries=0)
    error = caught.value
    result = error.result
    assert result.status is loader.Status.INTERRUPTED
    assert result.exit_code == 6
    assert result.error is error
    assert result.resume == error.details["resume"] == f"mstr-loader resume {result.job}"
    assert error.hint.startswith(result.resume)
    again = pickle.loads(pickle.dumps(error))
    assert again.details["resume"] == result.resume
    assert server.sessions == 1

    server.emulator.faults.clear()
    done = await resume(result.job, connection=connection)
    assert (done.job, done.status) == (result.job, loader.Status.PUBLISHED)
    assert server.sql("SELECT * FROM t.t ORDER BY k") == [("a", 1), ("b", 2), ("c", 3)]
    assert server.sessions == 0


async def test_an_error_that_may_pass_and_a_source_that_nobody_else_has(connection, server):
    server.emulator.inject("put:status=503,body=html")
    with pytest.raises(Unavailable) as caught:
        await loader.push({"t": TABLE}, connection=connection, retries=0)
    result = caught.value.result
    assert result.status is loader.Status.FAILED
    assert result.exit_code == 5
    assert result.resume is None
    assert "resume" not in caught.value.details
    assert server.datasets == {}
    server.left_nothing()


async def test_what_is_uploaded_whole_needs_no_source(connection, server):
    """Not even one that was in the memory of a process."""
    result = await loader.push({"t": TABLE}, connection=connection, publish=False)
    assert result.status is loader.Status.UPLOADED
    assert result.exit_code == 0
    assert result.resume == f"mstr-loader resume {result.job}"
    assert server.sessions == 1
    done = await resume(connection=connection)
    assert (done.job, done.rows) == (result.job, 3)
    assert server.sql("SELECT * FROM t.t ORDER BY k") == [("a", 1), ("b", 2), ("c", 3)]
    assert server.sessions == 0


async def test_a_publish_of_a_stream_can_still_be_looked_at(connection, server):
    """A stream is uploaded whole by then."""

    async def publishing(request):
        if request.path.endswith("/publishStatus"):
            return web.json_response({"uploadSessionId": "x", "status": 6, "message": "Building"})
        return None

    server.fault = publishing
    with pytest.raises(OutcomeUnknown) as caught:
        await loader.push({"t": TABLE.to_reader()}, connection=connection, publish_timeout=0.1)
    result = caught.value.result
    assert (result.status, result.exit_code) == (loader.Status.UNKNOWN, 8)
    assert caught.value.hint.startswith(f"mstr-loader resume {result.job}")
    assert server.sessions == 1
    server.fault = None
    done = await resume(result.job, connection=connection, publish_timeout=30)
    assert (done.status, done.rows) == (loader.Status.PUBLISHED, 3)
    assert server.called("POST", "/publish") == [200]
    assert server.sql("SELECT * FROM t.t ORDER BY k") == [("a", 1), ("b", 2), ("c", 3)]
    assert server.sessions == 0


async def test_push_sync_in_a_notebook_can_be_interrupted(connection, server, monkeypatch):
    """Ctrl-C reaches the waiting thread as KeyboardInterrupt; the load must end before it does."""
    waited = concurrent.futures.Future.result

    def interrupted(self, timeout=None):
        if threading.current_thread() is not threading.main_thread():
            return waited(self, timeout)
        if not reached.wait(20):
            raise AssertionError("no PUT came")
        monkeypatch.setattr(concurrent.futures.Future, "result", waited)
        raise KeyboardInterrupt

    reached = threading.Event()

    async def hold(request):
        if request.method == "PUT" and "/uploadSessions/" in request.path:
            reached.set()
            await asyncio.sleep(30)

    server.fault = hold
    monkeypatch.setattr(concurrent.futures.Future, "result", interrupted)
    with pytest.raises(KeyboardInterrupt):
        loader.push_sync(TABLE, connection=connection)
    assert server.datasets == {}
    server.left_nothing()


def test_plan_talks_to_nobody_and_leaves_streams_alone():
    plan = loader.plan({"t": TABLE}, dataset="D", chunk_size=60_000_000)
    assert isinstance(plan, loader.LoadPlan)
    assert plan.model.name == "D"
    assert plan.tables[0].rows == 3
    reader = TABLE.to_reader()
    plan = loader.plan({"t": reader})
    assert (plan.tables[0].rows, plan.tables[0].rereadable) == (None, False)
    assert reader.read_all().num_rows == 3


def test_everything_exported_exists():
    for name in loader.__all__:
        assert getattr(loader, name) is not None
    with pytest.raises(AttributeError, match="no_such"):
        loader.no_such  # noqa: B018 - the access is the test


async def test_the_rate_is_obeyed():
    now = [0.0]
    naps = []

    async def sleep(seconds):
        naps.append(seconds)
        now[0] += seconds

    throttle = Throttle(1000.0, clock=lambda: now[0], sleep=sleep)
    for _ in range(5):
        await throttle.spend(500)
    # Five halves of a second: the last of them is still under way when spend() returns.
    assert now[0] == pytest.approx(2.0)
    assert len(naps) == 4


async def test_max_rate_slows_a_load_down(connection):
    table = pa.table({"k": [f"{number:020}" for number in range(8000)]})
    result = await loader.push(
        table, connection=connection, max_rate=1_000_000.0, chunk_size=40_000, concurrency=4
    )
    # All but the last slice of each worker have been paid for.
    slack = 4 * 80_000
    assert result.seconds >= (result.wire_bytes - slack) / 1_000_000


async def test_a_cancelled_scan_ends(tmp_path):
    path = tmp_path / "long.csv"
    rows = 2_000_000
    path.write_text("n,t\n" + "12345,abcdef\n" * rows)
    progress = Progress()
    task = asyncio.create_task(
        prepare_in_thread(str(path), LoadSettings(), SourceOptions(), progress)
    )
    while not progress.rows_scanned:
        await asyncio.to_thread(int)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # Waits for the thread, which would otherwise go on to the end of the file.
    await asyncio.get_running_loop().shutdown_default_executor()
    assert 0 < progress.rows_scanned < rows
