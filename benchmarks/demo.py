"""The demo: a real file into a local server, published, and compared value by value."""

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
        quoted = str(file).replace("'", "''")
        stored = f'FROM "{schema}"."{table}"'
        source = f"FROM read_parquet('{quoted}')"
        counts = []
        for left, right in ((source, stored), (stored, source)):
            row = connection.execute(
                f"SELECT count(*) FROM ({left} EXCEPT ALL {right})"  # noqa: S608 - our own names
            ).fetchone()
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
    size, seconds = result["json_bytes"] / 1e6, result["seconds"]
    print(
        f"{result['status']}: {result['rows']:,} rows, {result['chunks']} chunks, "
        f"{size:,.0f} MB of JSON in {seconds:.1f} s, {size / seconds:.0f} MB/s"
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
