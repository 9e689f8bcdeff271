"""The journal: what is acknowledged is on the disk, and only one process writes it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading

import pytest
import xxhash

from loader.errors import Defect, Interrupted, JobInUse, JournalUnusable, UnknownJob, UsageError
from loader.job.journal import Journal
from loader.job.journal.list import list_jobs, read_job, remove_job, summary_of
from loader.job.journal.states import JobState
from loader.job.journal.tables import OtherChunk
from loader.job.result import Result, Status, TableResult
from tests.job.journals import FakeTarget, chunk, description


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "jobs"


@contextlib.asynccontextmanager
async def begun(directory):
    journal = await Journal.create(description(), directory=directory)
    try:
        yield journal
    finally:
        await journal.close()


async def fill(journal, chunks=3, accepted=2):
    await journal.dataset_known(FakeTarget(), None)
    await journal.session_opened("S1", 100)
    sent = [chunk(index + 1) for index in range(chunks)]
    for one in sent:
        await journal.planned(one)
    for one in sent[:accepted]:
        await journal.accepted(one)
    return sent


async def test_a_whole_load(directory):
    async with begun(directory) as journal:
        sent = await fill(journal, 3, 3)
        await journal.uploaded()
        await journal.publishing({"t": 5, "u": None})
        await journal.published()
        await journal.session_ended()
        result = Result(status=Status.PUBLISHED, tables=[TableResult("t", 30, 3)])
        await journal.ended(result)
        record = await journal.read()
    assert record == read_job(journal.path)
    assert record.state is JobState.CLOSED
    assert record.stage is JobState.PUBLISHED
    assert record.description == description()
    assert (record.dataset.id, record.dataset.created) == ("D1", True)
    assert record.session is None
    assert [one.id for one in record.sessions] == ["S1"]
    assert record.before == {"t": 5, "u": None}
    assert [step.new for step in record.transitions] == [
        *(JobState.CREATED, JobState.UPLOADING, JobState.UPLOADED),
        *(JobState.PUBLISHING, JobState.PUBLISHED, JobState.CLOSED),
    ]
    assert record.end.exit_code == 0
    for one, kept in zip(sent, record.chunks, strict=True):
        assert kept.accepted
        assert (kept.first_row, kept.rows, kept.json_bytes) == (one.first_row, 10, one.json_bytes)
        # Of the bytes in one piece, by another function of the library.
        assert kept.digest == xxhash.xxh3_128_digest(b"".join(one.segments))
    assert record.rows == 30


async def test_a_new_session_begins_with_no_chunks(directory):
    async with begun(directory) as journal:
        await fill(journal)
        await journal.session_opened("S2", 50)
        other = chunk(1, 500)
        await journal.planned(other)
        record = await journal.read()
    assert [(one.id, one.open, one.chunk_bytes) for one in record.sessions] == [
        ("S1", False, 100),
        ("S2", True, 50),
    ]
    assert record.session.generation == 2
    assert [one.json_bytes for one in record.chunks] == [other.json_bytes]


async def test_a_chunk_is_planned_once_or_the_same(directory):
    async with begun(directory) as journal:
        sent = await fill(journal)
        await journal.planned(sent[0])
        with pytest.raises(OtherChunk):
            await journal.planned(chunk(1))
        with pytest.raises(Defect, match="unplanned"):
            await journal.accepted(chunk(9))
        record = await journal.read()
    assert [one.accepted for one in record.chunks] == [True, True, False]


async def test_a_refused_step_leaves_nothing(directory):
    async with begun(directory) as journal:
        with pytest.raises(Defect):
            await journal.publishing({"t": 1})
        record = await journal.read()
        assert record.before is None
        assert record.state is JobState.CREATED
        await journal.session_opened("S1", 1)


async def test_an_interrupted_job_goes_on_where_it_was(directory):
    async with begun(directory) as journal:
        await fill(journal)
        error = Interrupted("stopped", hint="go on")
        await journal.ended(
            Result(status=Status.INTERRUPTED, error=error, resume="mstr-loader resume J")
        )
    assert summary_of(journal.path).record.state is JobState.INTERRUPTED
    again = await Journal.open(journal.job, directory=directory)
    record = await again.resumed()
    await again.close()
    assert record.state is record.stage is JobState.UPLOADING
    assert record.session.id == "S1"
    assert (record.end.kind, record.end.hint) == ("interrupted", "go on")
    assert "resumed" in record.transitions[-1].note


async def test_a_publish_that_never_began_is_done_again(directory):
    async with begun(directory) as journal:
        await fill(journal)
        await journal.uploaded()
        await journal.publishing({})
        await journal.publishing({})
        assert (await journal.read()).state is JobState.PUBLISHING


async def test_only_the_user_may_read_it(directory):
    directory.mkdir(mode=0o755)
    async with begun(directory) as journal:
        await fill(journal)
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        files = list(directory.iterdir())
        assert {file.suffix for file in files} >= {".sqlite", ".lock", ".sqlite-wal"}
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert [file.name for file in directory.iterdir()] == [f"{journal.job}.sqlite"]


async def test_every_step_waits_for_the_disk(directory):
    async with begun(directory) as journal:
        ask = journal._tables._value
        settings = await journal._step(
            lambda _: [ask(f"PRAGMA {name}") for name in ("journal_mode", "synchronous")]
        )
    assert settings == ["wal", 2]  # 2: FULL


async def test_two_in_one_process_do_not_share_a_job(directory):
    async with begun(directory) as journal:
        with pytest.raises(JobInUse, match=f"process {os.getpid()}"):
            await Journal.open(journal.job, directory=directory)
        assert summary_of(journal.path).driver.pid == os.getpid()
        with pytest.raises(JobInUse):
            remove_job(journal.path)
    assert summary_of(journal.path).driver is None
    again = await Journal.open(journal.job, directory=directory)
    await again.close()


async def test_a_job_that_is_not_there(directory):
    with pytest.raises(UnknownJob):
        await Journal.open("20260101-0000-aaaa", directory=directory)


async def test_steps_of_many_tasks_at_once(directory):
    async with begun(directory) as journal:
        await journal.session_opened("S", 1)

        async def send(index):
            one = chunk(index)
            await journal.planned(one)
            await journal.accepted(one)

        await asyncio.gather(*map(send, range(1, 51)))
        record = await journal.read()
    assert sorted(one.index for one in record.accepted) == [*range(1, 51)]


async def test_a_cancelled_step_leaves_a_journal_that_goes_on(directory):
    async with begun(directory) as journal:
        await journal.session_opened("S", 1)
        started, release = threading.Event(), threading.Event()

        def slow(_):
            started.set()
            release.wait(10)

        holding = asyncio.create_task(journal._step(slow))
        await asyncio.to_thread(started.wait, 10)
        waiting = asyncio.create_task(journal.planned(chunk(1)))
        await asyncio.sleep(0)
        for task in (holding, waiting):
            task.cancel()
        for task in (holding, waiting):
            with pytest.raises(asyncio.CancelledError):
                await task
        release.set()
        await journal.planned(chunk(2))
        assert [one.index for one in (await journal.read()).chunks] == [2]


async def test_a_cancelled_creation_leaves_nothing(directory, monkeypatch):
    made, go_on = threading.Event(), threading.Event()
    create = Journal._made.__func__

    async def slowly(cls, make, give_up):
        def slow():
            done = make()
            made.set()
            go_on.wait(10)
            return done

        return await create(cls, slow, give_up)

    monkeypatch.setattr(Journal, "_made", classmethod(slowly))
    creating = asyncio.create_task(Journal.create(description(), directory=directory))
    await asyncio.to_thread(made.wait, 10)
    creating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await creating
    threads = [one for one in threading.enumerate() if "mstr-loader-journal" in one.name]
    go_on.set()
    for thread in threads:
        await asyncio.to_thread(thread.join, 10)
    assert list_jobs(directory) == []


async def test_a_directory_that_is_none(tmp_path):
    tmp_path.joinpath("file").write_text("")
    with pytest.raises(JournalUnusable) as raised:
        await Journal.create(description(), directory=tmp_path / "file" / "jobs")
    assert "MSTR_LOADER_STATE" in raised.value.hint
    assert isinstance(raised.value, UsageError)
    assert raised.value.exit_code == 2


async def test_a_full_disk_in_mid_load(directory):
    async with begun(directory) as journal:
        await fill(journal)

        def no_more_room(_):
            journal._tables._database.execute("PRAGMA max_page_count = 1")

        await journal._step(no_more_room)

        async def go_on():
            for index in range(4, 400):
                await journal.planned(chunk(index))

        with pytest.raises(JournalUnusable, match="full") as raised:
            await go_on()
        assert "free space" in raised.value.hint
        record = await journal.read()
    assert [one.accepted for one in record.chunks[:3]] == [True, True, False]


# -- files that are not as they should be ----------------------------------------------------------


async def made(directory) -> str:
    async with begun(directory) as journal:
        await fill(journal)
    return journal.path


async def test_a_file_of_another_version(directory):
    path = await made(directory)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")
    (job,) = list_jobs(directory)
    assert "newer version" in job.problem
    assert not job.is_finished
    with pytest.raises(JournalUnusable, match="newer version"):
        await Journal.open(job.id, directory=directory)
    with pytest.raises(JournalUnusable, match="newer version"):
        read_job(path)
    assert list(directory.glob("*.lock")) == []


@pytest.mark.parametrize("content", [b"not a database" * 100, b"SQLite format 3\0" + b"\7" * 5000])
async def test_a_damaged_file(directory, content):
    path = await made(directory)
    other = await made(directory)
    path.write_bytes(content)
    jobs = {job.id: job for job in list_jobs(directory)}
    assert "damaged" in jobs[path.stem].problem
    assert jobs[other.stem].problem is None
    with pytest.raises(JournalUnusable):
        await Journal.open(path.stem, directory=directory)


async def test_a_description_that_is_none(directory):
    path = await made(directory)
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE job SET description = '{}'")
    (job,) = list_jobs(directory)
    assert "damaged" in job.problem


async def test_a_file_that_was_only_made(directory):
    path = await made(directory)
    path.write_bytes(b"")
    (job,) = list_jobs(directory)
    assert "before anything was sent" in job.problem
    assert job.is_finished


async def test_a_journal_is_read_while_it_is_written(directory):
    async with begun(directory) as journal:
        await fill(journal)
        job = summary_of(journal.path)
        assert (job.chunks, job.chunks_planned, job.rows) == (2, 3, 20)
        assert f"process {os.getpid()}" in job.hint


# -- kill -9 ---------------------------------------------------------------------------------------

WRITER = """
import asyncio, os, sys
from pathlib import Path
from loader.job.journal import Journal
from tests.job.journals import FakeTarget, chunk, description

async def main():
    journal = await Journal.create(description(), directory=Path(sys.argv[1]))
    say("job", journal.job)
    await journal.dataset_known(FakeTarget(), None)
    await journal.session_opened("S1", 100)
    say("session", "S1")
    for index in range(1, 100_000):
        one = chunk(index)
        await journal.planned(one)
        say("planned", str(index))
        await journal.accepted(one)
        say("accepted", str(index))

def say(*words):
    os.write(1, (" ".join(words) + "\\n").encode())

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("lines", [1, 2, 3, 4, 7, 40, 41, 90])
def test_what_was_acknowledged_survives_kill_9(directory, lines):
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(directory)], stdout=subprocess.PIPE, text=True
    )
    with process:
        said = [process.stdout.readline().split() for _ in range(lines)]
        in_use = summary_of(directory / f"{said[0][1]}.sqlite")
        process.send_signal(signal.SIGKILL)
        said += [line.split() for line in process.stdout]
    assert process.returncode == -signal.SIGKILL
    assert in_use.driver.pid == process.pid
    (job,) = list_jobs(directory)
    assert job.driver is None
    record = read_job(directory / f"{job.id}.sqlite")
    last = said[-1][0]
    if last == "job":
        assert record.state in {JobState.CREATED, JobState.UPLOADING}
        return
    assert record.state is JobState.UPLOADING
    for word, kept in (("planned", record.chunks), ("accepted", record.accepted)):
        told = sum(line[0] == word for line in said)
        # At most the step that was under way is there too.
        assert told <= len(kept) <= told + 1
        assert [one.index for one in kept] == [*range(1, len(kept) + 1)]
    assert all(len(one.digest) == 16 for one in record.chunks)

    async def take_over():
        journal = await Journal.open(job.id, directory=directory)
        again = await journal.resumed()
        await journal.planned(chunk(len(record.chunks) + 1))
        await journal.close()
        return again

    assert asyncio.run(take_over()).chunks == record.chunks
    with contextlib.closing(sqlite3.connect(directory / f"{job.id}.sqlite")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_description_is_json_of_the_standard(directory):
    path = asyncio.run(made(directory))
    with contextlib.closing(sqlite3.connect(path)) as database:
        (text,) = database.execute("SELECT description FROM job").fetchone()
    assert json.loads(text)["server"]["url"] == "https://example.com/Library"
