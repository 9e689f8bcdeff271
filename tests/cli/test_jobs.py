"""``mstr-loader jobs``: what real loads leave in the list, shown and removed."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import sqlite3
import stat
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import loader
from loader.job.journal import Journal
from loader.job.journal.lock import JobLock
from loader.job.journal.tables import FORMAT
from tests.cli.ends import Left
from tests.cli.harness import PASSWORD, PROJECT, USER
from tests.job.journals import FakeTarget, chunk, description


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "t.parquet"
    table = pa.table({"k": [f"key{n:06}" for n in range(20_000)], "v": list(range(20_000))})
    pq.write_table(table, path, row_group_size=500)
    return path


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "state" / "jobs"


@pytest.fixture
def jobs(command):
    """Runs ``jobs --json``."""

    def run(*arguments):
        return command("jobs", *arguments, "--json").succeeded().json

    return run


def is_chunk(verb, path):
    return verb == "PUT" and "/uploadSessions/" in path


def stopped(directory, state="uploading"):
    """Makes a job that its process has left in a state."""

    async def make():
        journal = await Journal.create(description(), directory=directory)
        if state != "created":
            await journal.dataset_known(FakeTarget(), None)
            await journal.session_opened("S1", 100)
            await journal.planned(one := chunk(1))
            await journal.planned(chunk(2))
            await journal.accepted(one)
        if state in {"publishing", "published"}:
            await journal.uploaded()
            await journal.publishing({})
        if state == "published":
            await journal.published()
        await journal.close()
        return journal.job

    return asyncio.run(make())


# -- of loads --------------------------------------------------------------------------------------


def test_a_load_that_ended_well(push, jobs, file, server, directory):
    outcome = push(file, "--chunk-size", "50kB").succeeded()
    (job,) = jobs()["jobs"]
    assert job["job"] == outcome.json["job"]
    assert (job["state"], job["stage"]) == ("closed", "published")
    assert (job["rows"], job["chunks"]) == (20_000, outcome.json["chunks"])
    assert job["chunks_planned"] == job["chunks"] > 1
    assert (job["dataset"], job["dataset_id"]) == ("t", outcome.json["dataset_id"])
    assert (job["url"], job["project"]) == (server.url, PROJECT)
    assert (job["finished"], job["driver"], job["session"], job["hint"]) == (True, None, None, "")
    assert job["end"]["exit_code"] == 0
    assert [path.suffix for path in directory.iterdir()] == [".sqlite"]


def test_what_is_shown_of_a_load(push, jobs, command, file, server):
    push(f"sales={file}", "--chunk-size", "50kB", "--dataset", "D").succeeded()
    outcome = push(f"sales={file}", "--chunk-size", "50kB", "--dataset", "D", "--policy", "add")
    job = outcome.succeeded().json["job"]
    shown = jobs("show", job[:-1])
    chunks = shown["chunk_list"]
    assert [one["index"] for one in chunks] == [*range(1, len(chunks) + 1)]
    assert sum(one["rows"] for one in chunks) == 20_000
    ends = [one["first_row"] + one["rows"] for one in chunks]
    assert [one["first_row"] for one in chunks] == [0, *ends[:-1]]
    assert len({one["digest"] for one in chunks}) == len(chunks)
    assert shown["description"]["sources"][0]["text"] == f"sales={file}"
    assert shown["description"]["options"]["policy"] == "add"
    assert shown["model"]["definition"]["name"] == "D"
    assert shown["rows_before"] == {"sales": 20_000}
    assert [step["to"] for step in shown["transitions"]] == [
        *("created", "uploading", "uploaded", "publishing", "published", "closed")
    ]
    lines = command("jobs", "show", job).succeeded().out
    assert str(file) in lines
    assert server.url in lines


def test_a_load_that_failed(push, jobs, file, server):
    server.emulator.inject("put:nth=3:status=400")
    outcome = push(file, "--chunk-size", "50kB", "--concurrency", "1")
    assert outcome.code == 5
    (job,) = jobs()["jobs"]
    assert job["job"] == outcome.json["job"]
    assert (job["state"], job["chunks"], job["session"]) == ("failed", 2, None)
    assert job["dataset_id"] is None
    assert job["end"]["message"] == outcome.error["message"]
    assert job["finished"]


def test_a_lost_session_gets_a_new_generation(push, jobs, file, server):
    server.emulator.inject("put:nth=3:end-session")
    outcome = push(file, "--chunk-size", "50kB", "--concurrency", "1").succeeded()
    shown = jobs("show", outcome.json["job"])
    assert [one["generation"] for one in shown["sessions"]] == [1, 2]
    assert {one["generation"] for one in shown["chunk_list"]} == {2}
    assert shown["rows"] == 20_000


def test_an_upload_that_was_not_to_be_published(push, jobs, command, file):
    outcome = push(file, "--no-publish").succeeded()
    (job,) = jobs()["jobs"]
    assert job["job"] == outcome.json["job"]
    assert (job["state"], job["stage"]) == ("uploaded", "uploaded")
    assert (job["finished"], job["driver"], job["end"]["exit_code"]) == (False, None, 0)
    assert job["session"] is not None
    assert f"mstr-loader resume {job['job']} publishes it" in job["hint"]
    assert f"mstr-loader cancel {job['job']}" in job["hint"]
    command("resume", "--json").succeeded()
    (job,) = jobs()["jobs"]
    assert (job["state"], job["stage"], job["session"]) == ("closed", "published", None)


def test_a_load_that_can_go_on(push, jobs, command, file, server):
    server.emulator.inject("put:index=3:status=503")
    outcome = push(file, "--chunk-size", "50kB", "--concurrency", "1", "--retries", "0")
    Left.by(outcome, server)
    (job,) = jobs()["jobs"]
    assert (job["state"], job["stage"], job["chunks"]) == ("interrupted", "uploading", 2)
    assert (job["finished"], job["driver"]) == (False, None)
    assert job["end"]["message"] == outcome.error["message"]
    assert f"mstr-loader resume {job['job']} goes on" in job["hint"]
    assert jobs("clean")["removed"] == []
    server.emulator.faults.clear()
    command("resume", "--json").succeeded()
    (job,) = jobs()["jobs"]
    assert (job["state"], job["rows"], job["hint"]) == ("closed", 20_000, "")


def test_a_failed_publish(push, jobs, file, server):
    server.emulator.inject("publish:outcome=18")
    assert push(file).code == 5
    (job,) = jobs()["jobs"]
    assert (job["state"], job["stage"]) == ("failed", "publishing")


def test_one_request_has_no_journal(push, jobs, file):
    assert push(file, "--workflow", "one-request").succeeded().json["job"] is None
    assert jobs() == {"jobs": []}


def test_a_source_that_cannot_be_read_has_no_journal(push, jobs, tmp_path):
    assert push(tmp_path / "absent.parquet").code == 3
    assert jobs() == {"jobs": []}


def test_a_load_from_python(jobs, file, server):
    connection = loader.Connection(server.url, username=USER, password=PASSWORD, project=PROJECT)
    result = loader.push_sync(pa.table({"k": ["a"]}), dataset="memory", connection=connection)
    (job,) = jobs()["jobs"]
    assert job["job"] == result.job
    assert "memory" in jobs("show", result.job)["description"]["tables"][0]["once"]


def test_no_secret_is_in_the_state_directory(push, file, tmp_path, command, server):
    push(file).succeeded()
    server.emulator.inject("put:status=400")
    push(file)
    found = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    tokens = [login.token for login in server.emulator.logins._by_token.values()]
    for path in found:
        content = path.read_bytes()
        assert PASSWORD.encode() not in content
        assert not any(token.encode() in content for token in tokens)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(found) == 2


def test_a_state_directory_that_cannot_be_written(push, file, tmp_path, monkeypatch, server):
    tmp_path.joinpath("none").write_text("")
    monkeypatch.setenv("MSTR_LOADER_STATE", str(tmp_path / "none"))
    outcome = push(file)
    assert outcome.code == 2
    assert outcome.error["kind"] == "journal"
    assert "MSTR_LOADER_STATE" in outcome.error["hint"]
    assert server.requests == []


def test_a_journal_that_is_full_ends_the_load_before_the_next_chunk(  # noqa: PLR0917 - fixtures
    push, command, file, server, monkeypatch, jobs
):
    planned = Journal.planned

    async def full(self, chunk):
        if chunk.index == 3:
            await self._step(
                lambda tables: tables._database.execute("PRAGMA max_page_count = 1").fetchall()
            )
            # What is written has to be more than is free on the pages that there are.
            chunk = dataclasses.replace(chunk, table="x" * 100_000)
        await planned(self, chunk)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "planned", full)
        outcome = push(file, "--chunk-size", "50kB", "--concurrency", "1")
    assert outcome.code == 2
    assert outcome.json["status"] == "interrupted"
    assert outcome.error["resume"] == f"mstr-loader resume {outcome.json['job']}"
    assert outcome.error["hint"].startswith(outcome.error["resume"])
    assert outcome.error["kind"] == "journal"
    assert "full" in outcome.error["message"]
    assert len([path for verb, path, _ in server.requests if is_chunk(verb, path)]) == 2
    assert server.sessions == 1

    # When there is room again: what the journal has is right, if not complete.
    (job,) = jobs()["jobs"]
    assert (job["finished"], job["chunks"]) == (False, 2)
    result = command("resume", "--json").succeeded().json
    assert result["rows"] == 20_000
    sent = len([path for verb, path, _ in server.requests if is_chunk(verb, path)])
    assert sent == result["chunks"]
    assert server.sql("SELECT count(*), count(DISTINCT k) FROM t.t") == [(20_000, 20_000)]
    assert server.sessions == 0


def test_what_is_published_stays_so_though_the_journal_cannot_say_it(push, file, monkeypatch, jobs):
    async def broken(self):
        raise loader.LoaderError("the journal is broken")

    monkeypatch.setattr(Journal, "published", broken)
    outcome = push(file).succeeded()
    assert outcome.json["status"] == "published"
    assert any("journal is broken" in warning for warning in outcome.json["warnings"])
    assert jobs()["jobs"][0]["state"] == "closed"


# -- the list --------------------------------------------------------------------------------------


def test_no_jobs(command):
    assert command("jobs").succeeded().out == "no jobs\n"


def test_a_list_for_people(command, directory):
    stopped(directory)
    (directory / "20990101-0000-bbbb.sqlite").write_bytes(b"?" * 5000)
    head, *rows = command("jobs").succeeded().out.splitlines()
    assert head.split() == ["JOB", "BEGUN", "STATE", "DATASET", "ROWS", "CHUNKS"]
    (job,) = [row for row in rows if "uploading" in row]
    assert "1 of 2" in job
    assert "Sales" in job
    assert "mstr-loader cancel" in job
    (damaged,) = [row for row in rows if "bbbb" in row]
    assert "damaged" in damaged


def test_a_file_of_another_version_is_said_to_be(jobs, directory):
    job = stopped(directory)
    with contextlib.closing(sqlite3.connect(directory / f"{job}.sqlite")) as database:
        database.execute(f"PRAGMA user_version = {FORMAT + 1}")
    (listed,) = jobs()["jobs"]
    assert "newer version" in listed["problem"]


def test_show_needs_one_job(command, directory):
    stopped(directory)
    stopped(directory)
    outcome = command("jobs", "show", "20", "--json")
    assert outcome.code == 2
    assert len(outcome.error["jobs"]) == 2
    assert command("jobs", "show", "19", "--json").error["kind"] == "unknown_job"


# -- clean -----------------------------------------------------------------------------------------


def test_only_finished_jobs_are_removed(push, jobs, file, directory):
    done = push(file).succeeded().json["job"]
    unfinished = stopped(directory)
    answer = jobs("clean")
    assert answer["removed"] == [done]
    assert unfinished in answer["kept"]
    assert [path.stem for path in directory.iterdir()] == [unfinished]
    assert jobs("clean", "--all")["removed"] == [unfinished]
    assert list(directory.iterdir()) == []


def test_young_jobs_are_kept(push, jobs, file):
    job = push(file).succeeded().json["job"]
    assert jobs("clean", "--older-than", "7d") == {"removed": [], "kept": {job: "it is younger"}}
    assert jobs("clean", "--older-than", "0s")["removed"] == [job]


def test_a_job_that_is_driven_is_kept(jobs, directory):
    job = stopped(directory)
    lock = JobLock(directory / f"{job}.lock")
    answer = jobs("clean", "--all")
    lock.release()
    assert answer["removed"] == []
    assert f"process {os.getpid()}" in answer["kept"][job]


def test_what_cannot_be_read_is_removed_with_all_only(jobs, directory):
    directory.mkdir(parents=True)
    damaged, empty = (directory / f"20260101-0000-{name}.sqlite" for name in ("aaaa", "bbbb"))
    damaged.write_bytes(b"?" * 5000)
    empty.write_bytes(b"")
    assert jobs("clean")["removed"] == [empty.stem]
    assert jobs("clean", "--all")["removed"] == [damaged.stem]


def test_a_time_that_is_none(command):
    assert command("jobs", "clean", "--older-than", "soon", "--json").code == 2


def test_what_belongs_to_a_killed_job_is_removed_too(jobs, directory):
    job = stopped(directory)
    for suffix in ("-wal", "-shm"):
        Path(f"{directory / job}.sqlite{suffix}").write_bytes(b"")
    (directory / f"{job}.lock").write_text("")
    assert jobs("clean", "--all")["removed"] == [job]
    assert list(directory.iterdir()) == []
