"""``loader.resume``: what can be done from the command line, from Python."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import loader
from loader.errors import (
    JobInUse,
    SourceChanged,
    SourceNotFound,
    Unavailable,
    UnknownJob,
    UsageError,
)
from loader.job.journal import Journal
from loader.job.journal.list import list_jobs
from loader.job.progress import Phase
from tests.cli.harness import PASSWORD, PROJECT, USER
from tests.cli.processes import (
    ROWS,
    delete_dataset,
    expired,
    fired,
    lose_sessions,
    table,
    whole,
    write,
)
from tests.cli.processes import file as file  # noqa: PLC0414 - a fixture

CHUNKY = {"chunk_size": 12_000, "concurrency": 1}


@pytest.fixture
def connection(server):
    return loader.Connection(server.url, username=USER, password=PASSWORD, project=PROJECT)


@pytest.fixture
def stopped(server, connection):
    """Begins a load that runs out of retries; returns its error."""

    async def run(sources, rule="put:nth=4-:status=503", **options):
        server.emulator.inject(rule)
        with pytest.raises(Unavailable) as caught:
            await loader.push(sources, connection=connection, retries=0, **CHUNKY, **options)
        assert fired(server)[-1] > 0
        server.emulator.faults.clear()
        return caught.value

    return run


async def test_resume(server, connection, stopped, file):
    error = await stopped(str(file))
    job = error.result.job
    assert error.result.status is loader.Status.INTERRUPTED
    assert error.result.exit_code == 6
    assert error.result.resume == error.details["resume"] == f"mstr-loader resume {job}"
    assert error.hint.startswith(error.result.resume)
    result = await loader.resume(job, connection=connection)
    assert isinstance(result, loader.Result)
    assert result.status is loader.Status.PUBLISHED
    assert (result.job, result.rows, result.resume) == (job, ROWS, None)
    assert whole(server)
    expired(server)
    server.left_nothing()


async def test_the_latest_job(connection, stopped, file, server):
    await stopped(str(file))
    assert (await loader.resume(connection=connection)).rows == ROWS
    with pytest.raises(UnknownJob):
        await loader.resume(connection=connection)


async def test_in_a_script_and_in_a_notebook(connection, stopped, file, server):
    await stopped(str(file))
    # A running loop, as here, is no obstacle.
    assert loader.resume_sync(connection=connection, concurrency=2, verify=False).rows == ROWS
    assert whole(server)


async def test_progress(connection, stopped, file, server):
    accepted = (await stopped(str(file))).result.rows
    seen = []

    def look(progress):
        seen.append(
            (
                progress.phase,
                progress.rows_total,
                progress.rows_accepted,
                progress.chunks_accepted,
                progress.accepted_bytes,
                progress.earlier_bytes,
                progress.sent_bytes,
                progress.rows_encoded,
            )
        )

    result = await loader.resume(connection=connection, on_progress=look)
    phase, total, rows, chunks, size, earlier, sent, encoded = seen[-1]
    assert phase is Phase.CLOSING
    assert (total, rows, chunks, size) == (ROWS, ROWS, result.chunks, result.json_bytes)
    assert encoded == ROWS - accepted
    assert 0 < earlier < size
    # What was handed to the network is what earlier processes have not sent.
    assert size - earlier <= sent < 1.2 * (size - earlier)
    for one in seen:
        assert one[2] <= ROWS
        assert one[5] in {0, earlier}


@pytest.mark.parametrize(
    "sources",
    [
        table,
        lambda: {"t": table()},
        lambda: table().to_reader(max_chunksize=500),
        lambda: {"t": table().to_reader(max_chunksize=500)},
    ],
    ids=["table", "mapping", "reader", "mapping of reader"],
)
async def test_what_was_in_memory_cannot_be_gone_on_with(server, connection, stopped, sources):
    error = await stopped(sources())
    assert error.result.status is loader.Status.FAILED
    assert error.result.exit_code == 5
    assert error.result.resume is None
    assert "resume" not in error.details
    server.left_nothing()
    assert server.datasets == {}
    with pytest.raises(UsageError, match="failed for good"):
        await loader.resume(error.result.job, connection=connection)


async def test_what_was_in_memory_and_is_uploaded_can_be_published(server, connection):
    result = await loader.push({"t": table()}, connection=connection, publish=False, **CHUNKY)
    assert result.resume == f"mstr-loader resume {result.job}"
    again = await loader.resume(connection=connection)
    assert (again.status, again.rows) == (loader.Status.PUBLISHED, ROWS)
    assert whole(server, name='"Table"."t"' if "Table" in server.datasets else "t.t")


async def test_what_was_in_memory_and_is_lost(server, connection):
    await loader.push({"t": table()}, connection=connection, publish=False, **CHUNKY)
    lose_sessions(server)
    with pytest.raises(loader.LoaderError) as caught:
        await loader.resume(connection=connection)
    assert caught.value.exit_code == 5
    assert caught.value.hint
    assert server.called("POST", "/publish") == [404]
    assert server.datasets == {}


async def test_a_mapping_of_tables_to_paths(server, connection, stopped, tmp_path):
    one, two = write(tmp_path / "1.parquet", 3000), write(tmp_path / "2.parquet", 3000, 3000)
    await stopped({"t": [one, two], "u": str(one)}, dataset="D")
    result = await loader.resume(connection=connection)
    assert [share.rows for share in result.tables] == [ROWS, 3000]
    assert whole(server, name="D.t")
    assert whole(server, 3000, "D.u")


async def test_sources_once_more(connection, stopped, file, tmp_path, server):
    error = await stopped({"t": file})
    with pytest.raises(SourceChanged) as caught:
        await loader.resume(connection=connection, sources=[f"t={write(tmp_path / 'x.parquet')}"])
    assert caught.value.details["changes"]
    with pytest.raises(SourceNotFound):
        await loader.resume(connection=connection, sources=[str(tmp_path / "none.parquet")])
    result = await loader.resume(
        error.result.job, connection=connection, sources=[f"t={file}"], chunk_size=30_000
    )
    assert result.rows == ROWS
    assert whole(server)


async def test_one_at_a_time(connection, stopped, file):
    job = (await stopped(str(file))).result.job
    (path,) = [one for one in list_jobs() if one.id == job]
    journal = await Journal.open(path.id)
    try:
        for named in (job, None):
            with pytest.raises(JobInUse):
                await loader.resume(named, connection=connection)
    finally:
        await journal.close()
    assert (await loader.resume(connection=connection)).rows == ROWS


@pytest.mark.parametrize(
    "options",
    [
        {"chunk_size": -1},
        {"memory": 1000},
        {"ordering": "sideways"},
        {"retries": -1},
    ],
)
async def test_options_that_mean_nothing_leave_the_job_as_it_is(connection, stopped, file, options):
    await stopped(str(file))
    with pytest.raises(UsageError) as caught:
        await loader.resume(connection=connection, **options)
    assert caught.value.exit_code == 2
    assert list_jobs()[0].record.state == "interrupted"
    assert (await loader.resume(connection=connection)).rows == ROWS


async def test_another_dataset_in_its_place(server, connection, stopped, file):
    """Created by the job, deleted, and made by somebody else, with other columns."""
    job = (await stopped(str(file))).result.job
    lose_sessions(server)
    delete_dataset(server, server.datasets["t"])
    other = pa.table({"x": [1]})
    await loader.push({"t": other}, connection=connection, dataset="t")
    with pytest.raises(loader.LoaderError) as caught:
        await loader.resume(job, connection=connection)
    assert caught.value.exit_code == 3
    assert server.sql("SELECT * FROM t.t") == [(1,)]


async def test_a_dataset_that_was_there_and_has_other_columns_now(
    server, connection, stopped, file, tmp_path
):
    await loader.push(str(file), connection=connection)
    job = (await stopped(str(file))).result.job
    lose_sessions(server)
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"x": [1]}), other)
    await loader.push({"t": str(other)}, connection=connection, dataset="t", overwrite=True)
    with pytest.raises(loader.LoaderError) as caught:
        await loader.resume(job, connection=connection)
    assert caught.value.exit_code in {2, 3}
    assert caught.value.hint
    assert server.sql("SELECT * FROM t.t") == [(1,)]


def test_the_public_names():
    for name in ("resume", "resume_sync", "ResumeOptions"):
        assert name in loader.__all__
        assert getattr(loader, name)
