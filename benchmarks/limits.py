"""The limits of the machine that loads are held against: reading alone, sending alone."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.parquet as pq
import uvloop

from benchmarks.measure import Failed, Sample
from benchmarks.setting import HERE
from loader.api import Client, Connection, UploadTable

__all__ = ["Certificate", "put", "read_csv", "read_parquet", "send"]

SLICE = 1 << 20


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a local server needs to speak TLS, and its clients to believe it.

    Attributes:
        authority: Who has signed it (PEM).
        chain: The certificate of 127.0.0.1 (PEM).
        key: Its key (PEM).
    """

    authority: Path
    chain: Path
    key: Path


def read_parquet(file: Path) -> Sample:
    """Reads a Parquet file on one thread and lets the rows go."""
    began = time.perf_counter()
    with _one_thread():
        batches = pq.ParquetFile(file).iter_batches(batch_size=65_536, use_threads=False)
        rows = sum(batch.num_rows for batch in batches)
    return Sample(time.perf_counter() - began, rows)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = pa.cpu_count()
    pa.set_cpu_count(1)
    try:
        yield
    finally:
        pa.set_cpu_count(before)


def read_csv(file: Path, types: dict[str, pa.DataType], rows: int) -> Sample:
    """Reads a CSV file with pyarrow's streaming reader, as it comes, and lets the rows go.

    Raises:
        Failed: They are not as many as they should be.
    """
    began = time.perf_counter()
    options = pv.ConvertOptions(column_types=types)
    with pv.open_csv(file, convert_options=options) as reader:
        found = sum(batch.num_rows for batch in reader)
    seconds = time.perf_counter() - began
    if found != rows:
        raise Failed(f"{file} has {found} rows, not {rows}")
    return Sample(seconds, rows)


def send(size: int, certificate: Certificate | None = None) -> Sample:
    """Sends slices of 1 MiB over loopback to a reader in another process.

    Args:
        size: Bytes, a multiple of 1 MiB.
        certificate: The reader's, for TLS; None: plain.
    """
    command = [sys.executable, str(HERE / "receiver.py"), str(size)]
    if certificate:
        command += [str(certificate.chain), str(certificate.key)]
    piece = memoryview(bytes(SLICE))
    with subprocess.Popen(command, stdout=subprocess.PIPE) as receiver:
        assert receiver.stdout is not None
        port = int(receiver.stdout.readline())
        connection = socket.create_connection(("127.0.0.1", port))
        if certificate:
            context = ssl.create_default_context(cafile=certificate.authority)
            connection = context.wrap_socket(connection, server_hostname="127.0.0.1")
        with connection:
            began = time.perf_counter()
            for _ in range(size // SLICE):
                connection.sendall(piece)
            if connection.recv(1) != b".":
                raise Failed("the reader did not take all bytes")
            seconds = time.perf_counter() - began
    return Sample(seconds, wire_bytes=size)


class _Letters:
    """Base64 that costs nothing to make: a chunk for measuring the way alone."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        piece = b"A" * SLICE
        return (piece for _ in range(self._size // SLICE))


def put(url: str, size: int, certificate: Certificate | None = None) -> Sample:
    """Sends one PUT of base64 that is ready to a server: nothing is read or encoded.

    Args:
        url: The server.
        size: Bytes of base64, a multiple of 1 MiB.
        certificate: The server's, for TLS.
    """
    authority = certificate.authority if certificate else None
    connection = Connection(url, username="administrator", ca_bundle=authority, proxy="none")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return Sample(runner.run(_put(connection, size)), wire_bytes=size)


async def _put(connection: Connection, size: int) -> float:
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
        await client.put_chunk(dataset, session, table="t", index=1, data=_Letters(size))
        seconds = time.perf_counter() - began
        await client.delete_upload_session(dataset, session)
        await client.logout()
    return seconds
