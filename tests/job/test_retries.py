"""Loads against a server that fails: every row arrives exactly once, or the error says why not.

Time is the tests' own: pauses pass at once, and are looked at afterwards.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import json
import random
import time as real_time

import pyarrow as pa
import pytest
from aiohttp import web

import loader
from loader.api import Client
from loader.emulator import EmulatorProcess
from loader.encode import Chunk
from loader.job import Load, LoadSettings, OnBadRow, Progress, UpdatePolicy, prepare
from loader.job.settings import BadRowLimit
from loader.sources import SourceOptions
from tests.cli.harness import PASSWORD, PROJECT, USER

ROWS = 30_000
KEYS = [f"key{n:06}" for n in range(ROWS)]
VALUES = [n * 7 % 100_003 for n in range(ROWS)]
TABLE = pa.table({"k": KEYS, "v": VALUES})
SOURCE = list(zip(KEYS, VALUES, strict=True))


class Time:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sleeps: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        if seconds:
            self.sleeps.append(seconds)
        self.now += seconds
        # A moment, so that what is asked again and again is not asked thousands of times.
        await asyncio.sleep(min(seconds, 0.002))


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def load_of(server, time):
    """Makes loads of the table into the server."""

    def make(source=TABLE, *, url=None, sleep=time.sleep, clock=time.clock, **settings) -> Load:
        connection = loader.Connection(
            url or server.url, username=USER, password=PASSWORD, project=PROJECT
        )
        settings = {"chunk_size": 20_000, "concurrency": 3, **settings}
        prepared = prepare(source, LoadSettings(**settings), SourceOptions(table="t"))
        return Load(prepared, connection, Progress(), clock=clock, sleep=sleep)

    return make


@pytest.fixture
def impatient(monkeypatch):
    """Lets a client wait for half a second where it would wait for 150."""
    short = functools.partial(Client, answer_timeout=0.5)
    monkeypatch.setattr("loader.job.load.Client", short)


def fired(server) -> int:
    return sum(rule["fired"] for rule in server.emulator.faults.report())


def arrived(server, result, source=SOURCE) -> None:
    """Checks that what is published is the source, once, and that the result counts that."""
    assert result.error is None, result.error
    assert result.status is loader.Status.PUBLISHED
    assert server.sql("SELECT k, v FROM t.t ORDER BY k") == source
    assert result.rows == len(source)
    (table,) = result.tables
    assert table.chunks == len({index for _, index, _ in server.chunks}) > 3
    server.left_nothing()


# -- one request that fails ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "doubtful"),
    [
        ("put:nth=2:status=503,retry-after=1", False),
        ("put:nth=2:status=503,retry-after=date+1", False),
        ("put:nth=2:status=503,body=html", True),
        ("put:nth=2:status=502,body=html", True),
        ("put:nth=2:status=504,body=empty", True),
        ("put:nth=2:status=504,at=after-store", True),
        ("put:nth=2:status=408", True),
        ("put:nth=2:status=425", False),
        ("put:nth=2:status=429,retry-after=2", False),
        ("put:nth=2:status=500,code=ERR001", True),
        ("put:nth=2:status=500,code=ERR002,at=after-store", True),
        ("put:nth=2:status=500,body=errors", True),
        ("put:nth=2:status=404,body=html", False),
        ("put:nth=2:disk-full", True),
        ("put:nth=2:reset=before", None),
        ("put:nth=2:reset=mid-body,share=0.5", None),
        ("put:nth=2:reset=after-body", True),
        ("put:nth=2:reset=after-store", True),
        ("put:nth=1:answer=short", None),
        ("put:nth=3-7:status=500", True),
        ("put:nth=3-7:reset=after-store", True),
    ],
)
async def test_a_chunk_that_fails_is_sent_again(server, load_of, time, rule, doubtful):
    """``doubtful`` None: whether a body of this size had arrived whole is the network's affair."""
    server.emulator.inject(rule)
    load = load_of()
    result = await load.run()
    arrived(server, result)
    assert result.retries == fired(server) == (5 if "3-7" in rule else 1)
    assert time.sleeps
    assert result.wire_bytes >= result.json_bytes * 4 / 3
    said = any("may have arrived before" in warning for warning in result.warnings)
    assert doubtful is None or said is doubtful
    assert load.progress.trouble is None


async def test_retry_after_is_waited(server, load_of, time):
    server.emulator.inject("put:nth=2:status=429,retry-after=20")
    arrived(server, await load_of().run())
    assert max(time.sleeps) == pytest.approx(20.0, abs=0.1)


async def test_the_same_index_has_the_same_bytes(server, load_of, monkeypatch):
    sent: list[tuple[int, bytes]] = []

    class Watched(Client):
        async def put_chunk(self, dataset_id, session_id, *, data, index, **rest):
            sent.append((index, b"".join(data)))
            await super().put_chunk(dataset_id, session_id, data=data, index=index, **rest)

    monkeypatch.setattr("loader.job.load.Client", Watched)
    server.emulator.inject("put:rate=0.3:status=500")
    result = await load_of().run()
    arrived(server, result)
    assert len(set(sent)) == result.chunks
    assert len(sent) == result.chunks + fired(server)
    assert fired(server) > 3


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ordering", ["windowed", "free", "strict"])
async def test_many_faults_at_once(serve, time, load_of, seed, ordering):
    server = serve(fault_seed=seed)
    server.emulator.inject(
        "put:rate=0.1:status=503,retry-after=3",
        "put:rate=0.1:reset=after-store",
        "put:rate=0.1:reset=mid-body",
        "put:rate=0.1:status=502,body=html",
    )
    result = await load_of(
        url=server.url,
        ordering=loader.job.Ordering(ordering),
        concurrency=1 if ordering == "strict" else 4,
    ).run()
    arrived(server, result)
    assert result.retries == fired(server) > 2


@pytest.mark.parametrize("moment", ["before", "mid-body", "after-store"])
async def test_a_server_that_falls_silent(server, load_of, impatient, moment):
    server.emulator.inject(f"put:nth=2:stall={moment}")
    result = await load_of().run()
    arrived(server, result)
    assert result.retries == fired(server) == 1


@pytest.mark.parametrize(
    ("rule", "kind", "says"),
    [
        ("put:status=400,code=ERR006", "refused", "--ordering strict"),
        ("put:status=403,code=ERR014", "rights", "administrator"),
        ("put:status=500,code=ERR001,iserver=-2147205488", "refused", "row limit"),
        ("put:status=500,code=ERR002,iserver=-2147217000", "refused", ""),
    ],
)
async def test_a_refusal_is_not_repeated(  # noqa: PLR0917 - fixtures and cases
    server, load_of, time, rule, kind, says
):
    server.emulator.inject(rule)
    result = await load_of().run()
    assert result.error.kind == kind
    assert says in result.error.hint
    assert result.retries == 0
    assert not time.sleeps
    assert result.error.details["table"] == "t"
    assert result.error.details["chunk"] >= 1
    assert server.datasets == {}
    server.left_nothing()


async def test_a_server_that_adds_repetitions_is_found_out(serve, load_of):
    server = serve(repeat_index="append")
    server.emulator.inject("put:nth=2:reset=after-store")
    result = await load_of(url=server.url).run()
    assert fired(server) == 1
    assert result.exit_code == 8
    assert result.error.details["counted"] > result.error.details["sent"] == ROWS
    assert any("may have arrived before: 1." in warning for warning in result.warnings)


# -- budgets -------------------------------------------------------------------------------------


async def test_attempts_used_up(server, load_of, time):
    server.emulator.inject("put:index=3:status=500,code=ERR002,message=disk full")
    result = await load_of(retries=4).run()
    error = result.error
    assert error.exit_code == 5
    assert result.status is loader.Status.FAILED
    assert "disk full" in error.message
    assert "it was tried 5 times" in error.message
    assert error.details["attempts"] == fired(server) == 5
    assert (error.details["table"], error.details["chunk"]) == ("t", 3)
    assert error.details["seconds"] <= 0.5 + 1 + 2 + 4
    assert error.details["ticket_id"]
    assert error.hint
    assert result.retries == 4
    assert server.datasets == {}
    server.left_nothing()


async def test_time_used_up(server, load_of, time):
    server.emulator.inject("put:index=3:status=500,retry-after=40")
    result = await load_of(retries=100, retry_deadline=100.0).run()
    assert result.error.details["attempts"] == fired(server) == 4  # at 0, 40, 80 and 100 seconds
    assert result.error.details["seconds"] == pytest.approx(100.0)


async def test_a_gateway_that_gives_up_names_the_size_of_chunks(server, load_of):
    server.emulator.inject("put:index=2:status=504,body=html")
    result = await load_of().run()
    assert result.error.details["attempts"] == fired(server) == 9
    assert "--chunk-size" in result.error.hint


async def test_no_retries(server, load_of, time):
    server.emulator.inject("put:nth=2:status=503")
    result = await load_of(retries=0).run()
    assert result.error.kind == "unavailable"
    assert "attempts" not in result.error.details
    assert fired(server) == 1
    assert not time.sleeps


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


# -- upload sessions that are lost ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "times"),
    [
        ("put:nth=5:end-session", 1),
        ("put:nth=1:end-session", 1),
        ("put:index=4:times=3:end-session", 3),
        ("publish:nth=1:end-session", 1),
        ("publish:times=3:end-session", 3),
    ],
)
@pytest.mark.parametrize("policy", [UpdatePolicy.REPLACE, UpdatePolicy.ADD])
async def test_a_lost_session_is_replaced(server, load_of, rule, times, policy):
    server.emulator.inject(rule)
    load = load_of(policy=policy)
    result = await load.run()
    arrived(server, result)
    assert fired(server) == times
    assert len(server.called("POST", "/uploadSessions")) == times + 1
    assert result.retries == 0
    (warning,) = [one for one in result.warnings if "lost the upload session" in one]
    assert ("once" if times == 1 else f"{times} times") in warning
    # Everything that went over the network counts; the rest is that of the last session.
    assert result.json_bytes * 4 / 3 <= result.wire_bytes
    progress = load.progress
    assert (progress.rows_accepted, progress.rows_encoded) == (ROWS, ROWS)
    assert progress.chunks_cut == progress.chunks_accepted == result.chunks
    assert progress.accepted_bytes == result.json_bytes


@pytest.mark.parametrize("rule", ["put:index=3:end-session", "publish:end-session"])
async def test_sessions_that_are_lost_again_and_again(server, load_of, rule):
    server.emulator.inject(rule)
    result = await load_of().run()
    assert result.error.kind == "not_found"
    assert result.error.exit_code == 5
    assert "has lost 4 upload sessions" in result.error.message
    assert fired(server) == 4
    assert server.datasets == {}
    server.left_nothing()
    assert not any("could not delete" in warning for warning in result.warnings)


def once() -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(TABLE.schema, TABLE.to_batches(max_chunksize=500))


@pytest.mark.parametrize("rule", ["put:nth=5:end-session", "publish:end-session"])
async def test_a_source_that_is_read_once_cannot_be_sent_again(server, load_of, rule):
    server.emulator.inject(rule)
    result = await load_of(once()).run()
    assert fired(server) == 1
    assert result.error.exit_code == 5
    assert "the source cannot be read a second time" in result.error.message
    assert result.error.hint
    assert server.datasets == {}
    assert not any("could not delete" in warning for warning in result.warnings)


async def test_a_source_that_is_read_once_survives_what_a_retry_mends(server, load_of):
    server.emulator.inject("put:rate=0.3:reset=after-store")
    arrived(server, await load_of(once()).run())
    assert fired(server) > 2


@pytest.mark.parametrize("fault", ["put:nth=6:end-session", "publish:nth=1:end-session"])
@pytest.mark.parametrize("named", [False, True])
async def test_bad_rows_are_told_once(server, load_of, tmp_path, fault, named):
    bad = {100, 5_000, ROWS - 1}
    # A day in the year 25,000 has no ISO 8601 text.
    days = [9_000_000 if n in bad else n for n in range(ROWS)]
    source = TABLE.append_column("d", pa.array(days, pa.int32()).view(pa.date32()))
    server.emulator.inject(fault)
    file = tmp_path / "rejects.ndjson" if named else None
    result = await load_of(
        source, on_bad_row=OnBadRow.QUARANTINE, rejects_file=file, max_bad_rows=BadRowLimit(3)
    ).run()
    assert fired(server) == 1
    assert result.exit_code == 7
    arrived(server, result, [row for n, row in enumerate(SOURCE) if n not in bad])
    assert result.tables[0].rejected == 3
    (told,) = [one for one in result.warnings if "were left out" in one]
    assert "3 of 30,000 rows" in told
    written = [file] if named else list((tmp_path / "state" / "rejects").iterdir())
    (lines,) = [path.read_text().splitlines() for path in written]
    assert [json.loads(line)["row"] for line in lines] == [n + 1 for n in sorted(bad)]


async def test_a_login_that_ended_with_its_sessions(server, load_of):
    """A new login, and then a new upload session."""
    server.emulator.inject("put:nth=5:end-login,sessions=lose")
    result = await load_of().run()
    arrived(server, result)
    assert fired(server) == 1
    assert any("the login ended 1 times" in warning for warning in result.warnings)
    assert any("lost the upload session" in warning for warning in result.warnings)


async def test_beginning_again_keeps_no_chunk_of_the_pass_before(server, load_of):
    server.emulator.inject("put:nth=5:end-session", "put:nth=9:status=503")
    load = load_of(concurrency=1)
    left: list[int] = []
    accepted = load._running.accepted

    def look(chunk):
        left.append(sum(isinstance(one, Chunk) for one in gc.get_objects()))
        accepted(chunk)

    load._running.accepted = look
    gc.collect()
    before = sum(isinstance(one, Chunk) for one in gc.get_objects())
    result = await load.run()
    assert result.error is None
    assert fired(server) == 2
    # The one that was accepted, one in the queue, one about to be put there.
    assert max(left) - before <= 3, left


# -- publishing ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rule", ["publish:nth=1-3:status=503", "publish:nth=1:status=429,retry-after=5"]
)
async def test_a_publish_that_was_not_started_is_repeated(server, load_of, time, rule):
    server.emulator.inject(rule)
    arrived(server, await load_of().run())
    assert server.called("POST", "/publish")[-1] == 200
    assert len(server.called("POST", "/publish")) == fired(server) + 1 > 1
    assert time.sleeps


@pytest.mark.parametrize(
    "rule",
    ["publish:nth=1:status=504,at=after-store,body=html", "publish:nth=1:reset=after-store"],
)
async def test_a_publish_that_may_have_started_is_not_repeated(server, load_of, rule):
    server.emulator.inject(rule)
    arrived(server, await load_of(policy=UpdatePolicy.ADD).run())
    assert fired(server) == len(server.called("POST", "/publish")) == 1


# -- opening and deleting ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rule",
    [
        "open-session:nth=1:status=503,retry-after=1",
        "open-session:nth=1-3:status=429",
        "open-session:nth=1:reset=before",
        "open-session:nth=1:reset=after-body",
    ],
)
async def test_a_session_that_could_not_be_opened_at_once(server, load_of, time, rule):
    server.emulator.inject(rule)
    result = await load_of().run()
    arrived(server, result)
    assert fired(server) >= 1
    assert time.sleeps
    assert result.retries == 0  # those are PUTs
    assert result.warnings == load_of().result.warnings


@pytest.mark.parametrize("moment", ["reset=after-store", "status=504,at=after-store,body=html"])
async def test_a_session_whose_id_was_lost_is_got_rid_of(server, load_of, moment):
    server.emulator.inject(f"open-session:nth=1:{moment}")
    result = await load_of().run()
    assert fired(server) == 1
    arrived(server, result)
    # Opened, refused because of that one, opened after a new login.
    assert server.called("POST", "/uploadSessions")[1:] == [409, 200]
    assert len(server.called("POST", "/login")) == 2
    assert not any("the login ended" in warning for warning in result.warnings)


async def test_a_session_of_somebody_else_is_left_alone(server, load_of):
    assert (await load_of().run()).error is None
    (dataset,) = server.datasets.values()
    url = loader.Connection(server.url, username=USER, password=PASSWORD, project=PROJECT)
    async with Client(url) as other:
        await other.login()
        await other.select_project(PROJECT)
        table = loader.api.UploadTable("t", "replace", "COLUMN", ["k", "v"])
        await other.open_upload_session(dataset, [table])
        result = await load_of().run()
        assert "another load may be running" in result.error.hint
        assert server.sessions == 1
        # Not even where an answer was lost.
        server.emulator.inject("open-session:nth=1:status=504,body=html")
        result = await load_of().run()
        assert "an earlier attempt of this load was lost" in result.error.hint
        assert server.sessions == 1
        await other.logout()


@pytest.mark.parametrize(
    "rule", ["delete:nth=1-2:status=503", "delete:nth=1:reset=before", "delete:nth=1:status=502"]
)
async def test_deleting_the_session_is_repeated(server, load_of, rule):
    server.emulator.inject(rule)
    arrived(server, await load_of().run())
    assert fired(server) >= 1


async def test_a_session_that_is_gone_when_deleting_is_repeated(server, load_of):
    server.emulator.inject("delete:nth=1:status=504,at=after-store")
    result = await load_of().run()
    arrived(server, result)
    assert fired(server) == 1
    assert not any("could not delete" in warning for warning in result.warnings)


# -- bodies that are too large -------------------------------------------------------------------

WIDE_ROWS = 6_000
WIDE = pa.table(
    {
        "k": [f"key{n:06}" for n in range(WIDE_ROWS)],
        "v": [random.Random(n).randbytes(500).hex() for n in range(WIDE_ROWS)],
    }
)


@pytest.fixture
def narrow(serve):
    """A server that takes bodies of 2.5 MB."""
    return serve(max_body=2.5)


async def test_chunks_that_are_too_large_become_smaller(narrow, load_of):
    result = await load_of(WIDE, url=narrow.url, chunk_size=4_000_000).run()
    assert result.error is None, result.error
    assert narrow.sql("SELECT k, v FROM t.t ORDER BY k") == list(
        zip(*WIDE.to_pydict().values(), strict=True)
    )
    assert 413 in {status for method, _, status in narrow.requests if method == "PUT"}
    (warning,) = [one for one in result.warnings if "413" in one]
    assert "--chunk-size 1MB" in warning
    assert result.rows == WIDE_ROWS
    assert result.chunks >= 4
    narrow.left_nothing()


async def test_of_smaller_chunks_more_go_at_once_and_the_tuner_goes_on(narrow, load_of):
    sizes = {"chunk_size": 4_000_000, "memory": 468_000_000, "concurrency": None}
    load = load_of(WIDE, url=narrow.url, **sizes)
    running = load._running
    before, tuner = running.prepared.stages.senders, running.tuner
    result = await load.run()
    assert result.error is None, result.error
    assert running.prepared.stages.senders > before
    assert running.prepared.memory.concurrency == running.prepared.stages.senders
    # The first one has seen the end of a pass, after which it learns nothing.
    assert running.tuner is not tuner
    assert result.times.senders >= running.tuner.limit


@pytest.mark.parametrize(
    ("rows", "size", "read_once", "says"),
    [
        (WIDE_ROWS, 4_000_000, True, "--chunk-size 2"),
        (1, 4_000_000, False, "a single row is too large"),
        (WIDE_ROWS, 900_000, False, "Lower --chunk-size"),
    ],
    ids=["read once", "one row", "small already"],
)
async def test_bodies_that_stay_too_large(serve, load_of, rows, size, read_once, says):  # noqa: PLR0917 - cases
    server = serve(max_body=0.5)
    source = WIDE.slice(0, rows)
    if rows == 1:
        source = pa.table({"k": ["k"], "v": ["x" * 1_000_000]})
    if read_once:
        source = pa.RecordBatchReader.from_batches(source.schema, source.to_batches(100))
    # One after the other: what is advised is half of the chunk that was refused first.
    result = await load_of(source, url=server.url, chunk_size=size, concurrency=1).run()
    assert result.error.details["status"] == 413
    assert result.error.exit_code == 5
    assert says in result.error.hint
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
