"""Loads whose chunks are too large for the server: smaller ones are made of them."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from tests.job.retrying import *  # noqa: F403 - its fixtures are among it

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
