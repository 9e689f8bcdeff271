"""The time before the first request counts: pipes are copied in it, and CSV files scanned."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys

import pytest

import loader
from loader.cli.run import run_load
from loader.errors import BadValue, Unavailable
from loader.job import Progress, begun
from loader.job.entry import carried_out
from loader.job.journal.list import list_jobs
from loader.job.resuming import find_resumable, taken_up
from tests.cli.harness import PASSWORD, PROJECT, USER

SLOW_WRITER = """
import sys
with open(sys.argv[1], "wb", buffering=0) as pipe:
    pipe.write(b"k,v\\na,1\\n")
    print("half of it is written", flush=True)
    sys.stdin.readline()
    pipe.write(b"b,2\\n")
"""


@pytest.fixture
def connection(server):
    return loader.Connection(server.url, username=USER, password=PASSWORD, project=PROJECT)


class Clock:
    """Stands still, but for what a test adds."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


class ScanClock:
    """Stands still, but for ten seconds in which the source is scanned."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def __call__(self) -> float:
        return 10.0 if self._progress.rows_scanned else 0.0


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("k,v\na,1\nb,2\n")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("csv_types", ["scan", "sample"])
async def test_a_slow_pipe_is_waited_for_before_the_upload(server, connection, tmp_path, csv_types):
    clock, pipe = Clock(), tmp_path / "t.csv"
    os.mkfifo(pipe)
    writer = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SLOW_WRITER, str(pipe)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    ready = begun(str(pipe), {"csv_types": csv_types}, connection, Progress(), clock=clock)
    task = asyncio.create_task(carried_out(ready, Progress(), None))
    # It can be written to since the load has opened it.
    await writer.stdout.readline()
    clock.time += 60.0
    await writer.communicate(b"go on\n")
    result = await task
    assert server.sql("SELECT * FROM t.t ORDER BY k") == [("a", 1), ("b", 2)]
    assert result.seconds == result.times.preparing == 60.0
    assert result.times.seconds == 0.0
    assert result.time_spent.startswith("preparing the source 60.0 s; the upload 0 s: ")
    assert result.advice.startswith("preparing the source took 60.0 s and the upload 0 s: ")
    assert "an Arrow stream is loaded as it comes" in result.advice
    assert ("--csv-types sample" in result.advice) == (csv_types == "scan")


async def test_the_scan_of_a_file_counts(server, connection, file):
    progress = Progress()
    async with begun(str(file), {}, connection, progress, clock=ScanClock(progress)) as load:
        result = await load.run()
    assert result.seconds == result.times.preparing == 10.0
    assert result.as_dict()["seconds"] == 10.0
    assert "--csv-types sample" in result.advice
    assert "copied" not in result.advice


async def test_the_scan_of_a_job_that_goes_on_counts(server, connection, file):
    server.emulator.inject("put:status=503")
    with pytest.raises(Unavailable):
        await loader.push(str(file), connection=connection, retries=0)
    server.emulator.faults.clear()
    (job,) = list_jobs()
    path, progress = find_resumable(job.id), Progress()
    async with taken_up(path, connection, progress, clock=ScanClock(progress)) as load:
        result = await load.run()
    assert result.status == "published"
    assert result.seconds == result.times.preparing == 10.0


async def test_a_source_that_fails_has_taken_its_time_for_python():
    clock = Clock()

    @contextlib.asynccontextmanager
    async def ready():
        clock.time += 30.0
        raise BadValue("no number")
        yield

    with pytest.raises(BadValue) as caught:
        await carried_out(ready(), Progress(), None, clock=clock)
    assert caught.value.result.seconds == 30.0


def test_a_source_that_fails_has_taken_its_time_for_the_command_line():
    clock = Clock()

    @contextlib.asynccontextmanager
    async def ready(_progress):
        clock.time += 30.0
        raise BadValue("no number")
        yield

    assert run_load(ready, as_json=True, clock=clock).seconds == 30.0
