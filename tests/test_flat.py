"""A load of more than a thousand chunks needs no more memory and connections at its end than early.

Real processes, watched from outside through /proc while they run, with faults on the way: what is
sent again must leave nothing behind either.
"""

from __future__ import annotations

import json
import os
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loader.emulator import EmulatorProcess
from tests.cli.harness import PASSWORD, PROJECT, USER

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="watches processes through /proc"),
]

MB = 1_000_000
CHUNK = 1_000_000
"""What every chunk has at least, in bytes of its JSON."""
CHUNKS = 1_000
ROWS, WIDTH = 1_100_000, 1_000
CONCURRENCY = 4
EVERY = 0.1
"""Seconds between two looks."""
LIMIT = 150
"""Seconds after which something hangs; a run takes about 20 where nothing else does."""

MARGIN = 12 * MB
"""How much more memory a process may have late than early, of about 180 MB. The looks compared are
some 600 chunks apart: it is what 20 kB for each chunk would come to, or one chunk in fifty that
nobody lets go. Buffers that come and go make about 10 MB from one look to the next, and 1 MB
between the medians."""
SPARE = 3
"""Connections besides those of chunks: for the small calls meanwhile, for those that must not be
repeated unasked, and one that a fault has just replaced. Of threads and files as much may come and
go."""
WAL = 6 * MB
"""SQLite empties the write-ahead log at 4 MB, when nobody reads."""
JOURNAL_BASE, JOURNAL_OF_A_CHUNK = 100_000, 200
"""Bytes of a journal without chunks, and of each chunk in it."""

FAULTS = ("put:every=50:status=503", "put:every=70:reset=mid-body")


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of a process at one moment.

    Attributes:
        memory: Resident bytes.
        threads: Its threads.
        files: Its open file descriptors, connections that are half closed among them.
        connections: Its TCP connections; not those that the other side has closed already.
    """

    memory: int
    threads: int
    files: int
    connections: int


def look(pid: int) -> Look | None:
    """Looks at a process; None when it is ending."""
    try:
        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        )
        files = [str(entry.readlink()) for entry in _entries(Path(f"/proc/{pid}/fd"))]
        sockets = _sockets(Path(f"/proc/{pid}/net/tcp"))
    except OSError:
        return None
    if "VmRSS" not in status:
        return None
    return Look(
        memory=int(status["VmRSS"].split()[0]) * 1024,
        threads=int(status["Threads"]),
        files=len(files),
        connections=sum(name in sockets for name in files),
    )


def _entries(directory: Path) -> Iterator[Path]:
    """Yields what is in a directory of descriptors, and is still there."""
    for entry in directory.iterdir():
        if entry.is_symlink():
            yield entry


def _sockets(table: Path) -> set[str]:
    """Returns the names that descriptors have which are TCP connections: open, or being opened."""
    states = {"01", "02", "03"}
    rows = (line.split() for line in table.read_text().splitlines()[1:])
    return {f"socket:[{row[9]}]" for row in rows if row[3] in states}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """1.1 GB of JSON in 4 MB of Parquet: fifty words, again and again."""
    path = tmp_path_factory.mktemp("flat") / "t.parquet"
    words = pa.array([f"{number:02}" * (WIDTH // 2) for number in range(50)])
    group = 50_000
    text = words.take(pa.array([row % len(words) for row in range(group)]))
    schema = pa.schema([("id", pa.int64()), ("text", pa.string())])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for first in range(0, ROWS, group):
            ids = pa.array(range(first, first + group))
            writer.write_table(pa.table({"id": ids, "text": text}, schema=schema))
    return path


def thirds(looks: list[Look]) -> tuple[list[Look], list[Look]]:
    """Returns the first and the last third of the load, whose first tenth warms everything up."""
    began = next(number for number, one in enumerate(looks) if one.connections)
    warm = looks[began + (len(looks) - began) // 10 :]
    third = len(warm) // 3
    return warm[:third], warm[-third:]


def growth(looks: list[Look]) -> float:
    """By how many bytes the memory of the last third is above that of the first."""
    first, last = thirds(looks)
    early, late = (statistics.median(one.memory for one in part) for part in (first, last))
    return late - early


@pytest.mark.timeout(LIMIT + 30)
def test_memory_and_connections_are_flat_over_a_thousand_chunks(file, tmp_path):
    state = tmp_path / "state"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MSTR_")},
        "MSTR_PASSWORD": PASSWORD,
        # Arrow's own pool keeps pages that were freed: some 20 MB more of them over the first
        # thousand chunks, and no more in the next three thousand.
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        "MSTR_LOADER_STATE": str(state),
        "MSTR_LOADER_CONFIG": str(tmp_path / "config.toml"),
    }
    rules = [word for rule in FAULTS for word in ("--fault", rule)]
    with (
        EmulatorProcess(
            *("--ingest", "sink", "--fault-control", *rules),
            env={"MSTR_EMULATOR_PASSWORD": PASSWORD},
        ) as server,
        (tmp_path / "out").open("w+") as out,
        (tmp_path / "err").open("w+") as err,
    ):
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "loader", "push", str(file), "--json"),
                *("--url", server.url, "--username", USER, "--project", PROJECT),
                *("--chunk-size", "1100kB", "--concurrency", str(CONCURRENCY)),
            ],
            # Files, as nobody reads pipes while this one looks.
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=environment,
        )
        handle = os.pidfd_open(process.pid)
        ours, theirs, logs = [], [], []
        try:
            latest = time.monotonic() + LIMIT
            while not select.select([handle], [], [], EVERY)[0]:
                assert time.monotonic() < latest, "it hangs"
                if (mine := look(process.pid)) and (other := look(server.pid)):
                    ours.append(mine)
                    theirs.append(other)
                logs.append(sum(_size(one) for one in state.glob("jobs/*-wal")))
        finally:
            os.close(handle)
            process.kill()
            process.wait()
        fired = [rule["fired"] for rule in server.faults()]
        for stream in (out, err):
            stream.seek(0)
        printed, said = out.read(), err.read()
    sys.stdout.write(f"{printed}\n{said}")  # for a failure, and for those who look for secrets

    assert process.returncode == 0, said
    result = json.loads(printed)
    assert result["rows"] == ROWS
    # The faults came, and each of them cost a chunk another attempt.
    assert min(fired) >= 10, fired
    assert result["retries"] >= sum(fired)

    (journal,) = state.glob("jobs/*.sqlite")
    chunks = _job(journal.stem, environment)["chunk_list"]
    sizes = [chunk["json_bytes"] for chunk in chunks]
    assert len(sizes) >= CHUNKS
    assert min(sizes[:-1]) >= CHUNK  # the last one is what was left
    assert sum(sizes) == result["json_bytes"]

    # Enough was seen for a comparison.
    assert len(ours) >= 60
    for looks in (ours, theirs):
        assert growth(looks) <= MARGIN, [one.memory // MB for one in looks]
        most = max(one.connections for one in looks)
        assert 2 <= most <= CONCURRENCY + SPARE
        first, last = thirds(looks)
        for what in ("threads", "files"):
            early, late = (max(getattr(one, what) for one in part) for part in (first, last))
            assert late <= early + SPARE, what
    assert max(logs) <= WAL
    assert journal.stat().st_size <= JOURNAL_BASE + JOURNAL_OF_A_CHUNK * len(sizes)


def _size(path: Path) -> int:
    """The bytes of a file that may just have gone."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _job(name: str, environment: dict[str, str]) -> dict:
    shown = subprocess.run(
        [sys.executable, "-m", "loader", "jobs", "show", name, "--json"],
        check=True,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        env=environment,
    )
    return json.loads(shown.stdout)
