"""A real server, real files and the real command line."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import loader
from tests.cli.fixtures import *  # noqa: F403 - what it exports are fixtures
from tests.cli.harness import PASSWORD, PROJECT, USER

ROWS = 20_000


@pytest.fixture
def file(tmp_path):
    """20,000 rows, about 0.5 MB of JSON."""
    table = pa.table({"k": [f"key{row:07}" for row in range(ROWS)], "v": list(range(ROWS))})
    path = tmp_path / "t.parquet"
    pq.write_table(table, path)
    return path


@pytest.fixture
def connection(server):
    return loader.Connection(server.url, username=USER, password=PASSWORD, project=PROJECT)
