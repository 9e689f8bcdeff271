"""The demo: a real file into a local server of its own process, published, compared value by value."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import duckdb

from loader.emulator.process import EmulatorProcess

TABLE = "lineitem"


def push(url: str, file: Path) -> dict:
    """Runs the command line as a user would and returns its result."""
    command = [
        *(sys.executable, "-m", "loader", "push", f"{TABLE}={file}", "--json"),
        *("--url", url, "--username", "administrator", "--project", "MicroStrategy Tutorial"),
    ]
    print("$ mstr-loader", " ".join(command[3:]), flush=True)
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        env={**os.environ, "MSTR_PASSWORD": ""},
        check=False,
    )
    result: dict = json.loads(done.stdout)
    if done.returncode:
        raise SystemExit(f"the push ended with {done.returncode}: {result['error']}")
    return result


def differences(database: Path, schema: str, table: str, file: Path) -> tuple[int, int]:
    """Counts the rows of the file that are not stored, and the stored rows not in the file.

    DuckDB reads the Parquet file itself: nothing of the loader has a part in it. EXCEPT ALL minds
    how often a row occurs.
    """
    with duckdb.connect(str(database), read_only=True) as connection:
        stored = f'SELECT * FROM "{schema}"."{table}"'
        source = f"SELECT * FROM read_parquet('{str(file).replace(chr(39), chr(39) * 2)}')"
        counts = []
        for left, right in ((source, stored), (stored, source)):
            query = f"SELECT count(*) FROM ({left} EXCEPT ALL {right})"  # noqa: S608 - our own names
            row = connection.execute(query).fetchone()
            assert row is not None
            counts.append(row[0])
    return counts[0], counts[1]


def main() -> None:
    """Loads, compares, and says "identical" or fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="directory of the local server")
    arguments = parser.parse_args()
    shutil.rmtree(arguments.data, ignore_errors=True)
    arguments.data.mkdir(parents=True)
    with EmulatorProcess("--data", str(arguments.data)) as server:
        print(f"local server: {server.url} (process {server.pid})")
        result = push(server.url, arguments.file)
    rate = result["json_bytes"] / result["seconds"] / 1e6
    print(
        f"{result['status']}: {result['rows']:,} rows, {result['chunks']} chunks, "
        f"{result['json_bytes'] / 1e6:,.0f} MB of JSON in {result['seconds']:.1f} s, {rate:.0f} MB/s"
    )
    database = arguments.data / "emulator.duckdb"
    print(f"comparing {database} with {arguments.file}, both ways …", flush=True)
    began = time.perf_counter()
    missing, extra = differences(database, TABLE, TABLE, arguments.file)
    if missing or extra:
        raise SystemExit(
            f"different: {missing:,} rows missing, {extra:,} rows that are not in the file"
        )
    print(f"identical ({time.perf_counter() - began:.1f} s)")


if __name__ == "__main__":
    main()
