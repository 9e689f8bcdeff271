"""Measures whole pushes against the vendor's client and against the limits of the machine.

One run, side by side: every contender takes its turn in every round, so a machine that slows down
slows all of them. Medians of the rounds after a warm-up go to benchmarks/README.md, all figures to
benchmarks/results.json. Only ratios mean something on a shared machine.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import uvloop

from loader.api import Client, Connection, UploadTable
from loader.emulator.process import EmulatorProcess

HERE = Path(__file__).parent
VENDOR = HERE.parent / ".venv-vendor" / "bin" / "python"
VENDOR_ROWS = 1_000_000
READY_ROWS = 200_000
SEND_BYTES = 1_000_000_000
SLICE = 1 << 20


@dataclass
class Contender:
    """Something that is measured once a round.

    Attributes:
        name: Its row in the table.
        run: Returns rows and bytes (None where there are none) and the seconds they took.
        seconds: What each round took.
    """

    name: str
    run: Callable[[], tuple[int | None, int | None, float]]
    rows: int | None = None
    size: int | None = None
    seconds: list[float] = field(default_factory=list)

    def turn(self, *, counts: bool) -> None:
        """Runs once; the warm-up does not count."""
        self.rows, self.size, seconds = self.run()
        if counts:
            self.seconds.append(seconds)

    @property
    def median(self) -> float:
        """Median seconds."""
        return statistics.median(self.seconds)

    @property
    def row_rate(self) -> float | None:
        """Rows a second."""
        return self.rows / self.median if self.rows else None

    @property
    def byte_rate(self) -> float | None:
        """Bytes a second."""
        return self.size / self.median if self.size else None


def vendor(url: str, file: Path) -> tuple[int, None, float]:
    """The vendor's client: read to pandas, convert, create()."""
    done = subprocess.run(
        [str(VENDOR), str(HERE / "vendor_client.py"), url, str(file), str(VENDOR_ROWS)],
        stdout=subprocess.PIPE,
        check=True,
    )
    line = json.loads(done.stdout.splitlines()[-1])
    return line["rows"], None, line["read"] + line["create"]


def ours(url: str, file: Path, orientation: str, concurrency: int) -> tuple[int, int, float]:
    """A whole push; the seconds are the command's own, from reading the footer to logging out."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "loader", "push", f"lineitem={file}", "--json"),
            *("--url", url, "--username", "administrator", "--project", "MicroStrategy Tutorial"),
            *("--orientation", orientation, "--concurrency", str(concurrency)),
            *("--dataset", f"bench_{orientation}"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "MSTR_PASSWORD": ""},
        check=True,
    )
    result = json.loads(done.stdout)
    return result["rows"], result["json_bytes"], result["seconds"]


def reading(file: Path) -> tuple[int, None, float]:
    """The limit of the source: reading the Parquet alone, on one thread."""
    pa.set_cpu_count(1)
    began = time.perf_counter()
    batches = pq.ParquetFile(file).iter_batches(batch_size=65_536, use_threads=False)
    rows = sum(batch.num_rows for batch in batches)
    return rows, None, time.perf_counter() - began


def ready_rows(file: Path) -> Callable[[], tuple[int, int, float]]:
    """The limit of a Python serialiser: orjson on rows that are Python objects already."""
    table = next(pq.ParquetFile(file).iter_batches(batch_size=READY_ROWS))
    columns = [
        [str(value) if pa.types.is_decimal(column.type) else value for value in column.to_pylist()]
        for column in table.columns
    ]
    rows = [list(row) for row in zip(*columns, strict=True)]

    def run() -> tuple[int, int, float]:
        began = time.perf_counter()
        size = len(orjson.dumps(rows))
        return len(rows), size, time.perf_counter() - began

    return run


def raw_send() -> tuple[None, int, float]:
    """The limit of the wire: a socket on loopback, slices of 1 MiB, a reader in another process."""
    code = (
        "import socket,sys\n"
        "s=socket.create_server(('127.0.0.1',0)); print(s.getsockname()[1],flush=True)\n"
        "c,_=s.accept(); b=bytearray(1<<20); n=1\n"
        "while n: n=c.recv_into(b)\n"
        "c.sendall(b'.')\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as reader:
        assert reader.stdout is not None
        port = int(reader.stdout.readline())
        piece = memoryview(bytes(SLICE))
        with socket.create_connection(("127.0.0.1", port)) as connection:
            began = time.perf_counter()
            for _ in range(SEND_BYTES // SLICE):
                connection.sendall(piece)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)
            seconds = time.perf_counter() - began
    return None, SEND_BYTES // SLICE * SLICE, seconds


class Letters:
    """Base64 that costs nothing to make: a chunk for measuring the way alone."""

    def __len__(self) -> int:
        return SEND_BYTES // SLICE * SLICE

    def __iter__(self) -> Iterator[bytes]:
        piece = b"A" * SLICE
        return (piece for _ in range(SEND_BYTES // SLICE))


async def put(url: str) -> tuple[None, int, float]:
    """The limit of the way: one PUT into the sink without reading or encoding anything."""
    connection = Connection(url, username="administrator")
    async with Client(connection) as client:
        await client.login()
        await client.select_project("MicroStrategy Tutorial")
        columns = [{"name": "s", "dataType": "STRING"}]
        metric = {"name": "s", "expressions": [{"tableName": "t", "columnName": "s"}]}
        tables = [{"name": "t", "columnHeaders": columns}]
        dataset = await client.create_model(
            {"name": "bench_put", "tables": tables, "metrics": [metric], "attributes": []}
        )
        session = await client.open_upload_session(
            dataset, [UploadTable("t", "replace", "ROW", ["s"])]
        )
        began = time.perf_counter()
        await client.put_chunk(dataset, session, table="t", index=1, data=Letters())
        seconds = time.perf_counter() - began
        await client.delete_upload_session(dataset, session)
        await client.logout()
    return None, len(Letters()), seconds


def contenders(url: str, file: Path) -> list[Contender]:
    """Everything that is measured, limits last."""
    found = [Contender("mstrio-py, first million rows", lambda: vendor(url, file))]
    for orientation in ("column", "row"):
        found += [
            Contender(
                f"push, {orientation}s, concurrency {concurrency}",
                functools.partial(ours, url, file, orientation, concurrency),
            )
            for concurrency in (1, 2, 4)
        ]
    found += [
        Contender("reading the Parquet alone, one thread", lambda: reading(file)),
        Contender("orjson alone on ready rows", ready_rows(file)),
        Contender("one PUT into the sink, base64 ready", lambda: uvloop.run(put(url))),
        Contender("raw loopback send", raw_send),
    ]
    return found


def table(found: list[Contender]) -> str:
    """The Markdown table; ratios against the vendor's client and against reading."""
    first, reads = found[0], next(one for one in found if one.name.startswith("reading"))
    lines = [
        "| what | Mrows/s | MB/s | min-max s | x mstrio-py | x reading |",
        "|---|---|---|---|---|---|",
    ]
    for one in found:
        row_rate, byte_rate = one.row_rate, one.byte_rate
        cells = [
            one.name,
            f"{row_rate / 1e6:.3f}" if row_rate else "",
            f"{byte_rate / 1e6:,.0f}" if byte_rate else "",
            f"{min(one.seconds):.2f}-{max(one.seconds):.2f}",
            f"{row_rate / first.row_rate:.1f}" if row_rate and first.row_rate else "",
            f"{row_rate / reads.row_rate:.2f}" if row_rate and reads.row_rate else "",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def machine() -> str:
    """What the figures were measured on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    return (
        f"{os.cpu_count()} cores ({model}), Linux, Python {platform.python_version()}, "
        f"pyarrow {pa.__version__}, orjson {orjson.__version__}; {time.strftime('%Y-%m-%d')}"
    )


def write(found: list[Contender], rounds: int) -> None:
    """Puts the table between the marks of benchmarks/README.md, and all figures into JSON."""
    begin, end = "<!-- table -->", "<!-- /table -->"
    readme = HERE / "README.md"
    text = readme.read_text()
    head, _, rest = text.partition(begin)
    _, _, tail = rest.partition(end)
    body = f"\n{machine()}; medians of {rounds} after a warm-up.\n\n{table(found)}\n"
    readme.write_text(f"{head}{begin}\n{body}\n{end}{tail}")
    figures = [
        {"name": one.name, "rows": one.rows, "bytes": one.size, "seconds": one.seconds}
        for one in found
    ]
    document = {"machine": machine(), "contenders": figures}
    (HERE / "results.json").write_text(json.dumps(document, indent=1) + "\n")


def main() -> None:
    """Runs the rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with EmulatorProcess("--ingest", "sink") as server:
        found = contenders(server.url, arguments.file)
        for number in range(arguments.rounds + 1):
            for one in found:
                one.turn(counts=number > 0)
                shown = f"{one.seconds[-1]:.2f} s" if one.seconds else "warm-up"
                print(f"round {number}: {one.name}: {shown}", flush=True)
    write(found, arguments.rounds)
    print(table(found))


if __name__ == "__main__":
    main()
