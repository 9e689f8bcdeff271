"""The comparison of the demo: it must find a single flipped value."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from benchmarks.demo import differences, push
from loader.emulator.process import EmulatorProcess

pytestmark = pytest.mark.slow

TPCHGEN = Path(sys.executable).parent / "tpchgen-cli"


@pytest.fixture
def lineitem(tmp_path):
    subprocess.run(
        [TPCHGEN, "parquet", "-s", "0.001", "--tables", "lineitem", "--output-dir", tmp_path],
        check=True,
        capture_output=True,
    )
    return tmp_path / "lineitem.parquet"


def test_a_flipped_value_is_seen(lineitem, tmp_path):
    data = tmp_path / "server"
    data.mkdir()
    with EmulatorProcess("--data", str(data)) as server:
        result = push(server.url, lineitem)
    assert result["status"] == "published"
    assert result["rows"] == 6005
    database = data / "emulator.duckdb"
    assert differences(database, "lineitem", "lineitem", lineitem) == (0, 0)

    with duckdb.connect(str(database)) as connection:
        connection.execute(
            "UPDATE lineitem.lineitem SET l_discount = l_discount + 0.01 "
            "WHERE l_orderkey = 1 AND l_linenumber = 1"
        )
    assert differences(database, "lineitem", "lineitem", lineitem) == (1, 1)

    with duckdb.connect(str(database)) as connection:
        connection.execute(
            "DELETE FROM lineitem.lineitem WHERE l_orderkey = 1 AND l_linenumber = 1"
        )
    assert differences(database, "lineitem", "lineitem", lineitem) == (1, 0)
