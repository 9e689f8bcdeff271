"""Loads whose upload session is lost, or can hardly be opened or deleted."""

from __future__ import annotations

import gc
import json

import pyarrow as pa
import pytest

import loader
from loader.api import Client
from loader.encode import Chunk
from loader.job import OnBadRow, UpdatePolicy
from loader.job.settings import BadRowLimit
from tests.cli.harness import PASSWORD, PROJECT, USER
from tests.job.retrying import *  # noqa: F403 - its fixtures are among it
from tests.job.retrying import ROWS, SOURCE, TABLE, arrived, fired

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
