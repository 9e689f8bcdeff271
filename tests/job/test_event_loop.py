"""Nothing blocks the event loop over a whole load."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from blockbuster import BlockBuster, BlockingError

import loader
from tests.cli.harness import PASSWORD, PROJECT, USER


@pytest.fixture
def blockbuster():
    # Only the loader: the server of these tests is in this process, too, with a loop of its own.
    found = BlockBuster(
        scanned_modules=["loader"], excluded_modules=["loader.emulator", "tests.cli.harness"]
    )
    found.activate()
    yield found
    found.deactivate()


@pytest.mark.parametrize("form", ["parquet", "csv"])
async def test_a_whole_load_makes_no_blocking_call(server, blockbuster, tmp_path, form):
    path = tmp_path / f"t.{form}"
    rows = 20_000
    table = pa.table({"k": [f"key{number}" for number in range(rows)], "v": list(range(rows))})
    with_files = {"parquet": pq.write_table, "csv": write_csv}[form]
    with_files(table, path)
    result = await loader.push(
        [str(path)],
        connection=loader.Connection(server.url, username=USER, password=PASSWORD, project=PROJECT),
        chunk_size=50_000,
        concurrency=2,
    )
    assert result.rows == rows
    assert result.chunks > 3


def write_csv(table, path):
    pacsv.write_csv(table, path)


async def test_the_test_sees_what_blocks(blockbuster, tmp_path):
    def block(_):
        (tmp_path / "x").write_text("x")

    with pytest.raises(BlockingError):
        # Called in the loop by the loader itself.
        await loader.push(
            pa.table({"k": [1]}),
            connection=loader.Connection("http://127.0.0.1:9", username=USER, project=PROJECT),
            on_progress=block,
        )
