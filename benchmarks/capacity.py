"""Checks the formula of docs/capacity.md against real loads: ``make capacity``.

Every setting is a model of a server (docs/emulator.md, "A slow server") in a process of its own
and a load of TPC-H lineitem into it. Its rates are low, so that the server is the limit and not
this machine; what the host itself takes, all in all and for each PUT, is measured first, with a
server that only takes bodies. Where the host is to be the limit, the rows come at a given rate.
What is predicted is upload and publish; it fails where a median is off by more than 15 %.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import loader
from benchmarks.capacity_page import PAGE, example_tables, markdown, put
from benchmarks.machine import circumstances
from benchmarks.prediction import Load, Prediction, Rates, predict
from benchmarks.running import require_all, sink
from benchmarks.setting import ROOT
from loader.job.settings import encoder_threads
from loader.planning import BASE, ENCODER, READER
from loader.units import MB

__all__ = ["SETTINGS", "main"]

_WITHIN = 0.15
_ROUNDS = 3

_ROW = 144.6
"""Bytes of JSON a row of lineitem, for choosing how many rows to load."""

_ENCODERS = encoder_threads()
_NO_LIMIT = 2000.0
"""MB of memory with which it never holds back loads of this size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A server and a load.

    Attributes:
        name: What it shows.
        server: The server's rates; the host's is the pace of the rows, or infinite: as measured.
        json: MB of JSON, about.
        chunk: MB.
        concurrency: PUTs at once.
        memory: MB.
    """

    name: str
    server: Rates
    json: float = 65.0
    chunk: float = 2.0
    concurrency: int = 4
    memory: float = _NO_LIMIT

    @property
    def paced(self) -> bool:
        """Whether the rows come at a given rate."""
        return math.isfinite(self.server.host)

    @property
    def modelled(self) -> str:
        """The server and the load in words."""
        rates = self.server
        shown = {
            "host {:g}": rates.host,
            "network {:g}": rates.bandwidth,
            "server {:g}": rates.ingest,
            "per PUT {:g}": rates.stream,
            "publish {:g}": rates.publish_rate,
        }
        parts = [form.format(rate) for form, rate in shown.items() if math.isfinite(rate)]
        if rates.latency:
            parts.append(f"latency {rates.latency:g} s")
        if self.memory < _NO_LIMIT:
            parts.append("little memory")
        return ", ".join(parts)

    @property
    def options(self) -> Iterator[str]:
        """The server's options."""
        rates = self.server
        for option, rate in (
            ("--bandwidth", rates.bandwidth),
            ("--ingest-rate", rates.ingest),
            ("--stream-rate", rates.stream),
            ("--publish-rate", rates.publish_rate),
        ):
            if math.isfinite(rate):
                yield from (option, str(rate))
        yield from ("--latency", str(rates.latency), "--publish-time", str(rates.publish_time))


def _server(*, host: float = math.inf, **rates: float) -> Rates:
    return Rates(host=host, **rates)


_TIGHT = 8.0
"""MB of a chunk where memory is short."""

SETTINGS = (
    Setting(name="latency", server=_server(latency=1.5)),
    Setting(
        name="latency, a last wave of one",
        server=_server(latency=1.5),
        json=50.0,
        concurrency=8,
    ),
    Setting(name="network", server=_server(bandwidth=8.0)),
    Setting(name="network and latency", server=_server(bandwidth=16.0, latency=0.6)),
    Setting(name="server in all", server=_server(ingest=6.0)),
    Setting(
        name="server in all, one by one", server=_server(ingest=8.0, latency=0.1), concurrency=1
    ),
    Setting(name="server per PUT", server=_server(stream=1.5)),
    Setting(
        name="everything a little",
        server=_server(bandwidth=30.0, ingest=12.0, stream=2.0, latency=0.3),
    ),
    Setting(name="host", server=_server(host=6.0, latency=0.2)),
    Setting(name="few chunks", server=_server(stream=3.0), json=34.0, chunk=10.0),
    Setting(name="one chunk", server=_server(bandwidth=12.0, stream=6.0), json=30.0, chunk=25.0),
    Setting(name="many chunks", server=_server(latency=0.8), json=100.0, chunk=1.0, concurrency=8),
    Setting(
        name="memory",
        server=_server(host=40.0, latency=1.2),
        json=80.0,
        chunk=_TIGHT,
        concurrency=8,
        memory=(BASE + READER + ENCODER * _ENCODERS) / MB + 3.8 * _TIGHT,
    ),
    Setting(
        name="publish",
        server=_server(ingest=40.0, publish_time=2.0, publish_rate=10.0),
        concurrency=2,
    ),
)


@dataclass(frozen=True, slots=True)
class Run:
    """What a load took: MB and seconds."""

    json: float
    chunks: int
    upload: float
    publish: float

    @property
    def seconds(self) -> float:
        """Upload and publish."""
        return self.upload + self.publish


@dataclass(frozen=True, slots=True)
class Host:
    """What this machine takes where nothing is waited for.

    Attributes:
        rate: MB of JSON a second.
        put: Seconds of a PUT, one at a time: the journal, the event loop, the way to the server.
    """

    rate: float
    put: float

    @property
    def words(self) -> str:
        """Both figures."""
        return f"the host makes {self.rate:.0f} MB/s of JSON, and needs {self.put:.3f} s a PUT"


def main() -> None:
    """Runs every setting in every round, and writes the table if all are as predicted."""
    arguments = _arguments()
    table = _rows(arguments.lineitem, max(one.json for one in SETTINGS))
    found = circumstances()  # now: nobody knows which commit it is at the end
    hosts: list[Host] = []
    runs: dict[str, list[Run]] = {one.name: [] for one in SETTINGS}
    with tempfile.TemporaryDirectory() as state:
        os.environ["MSTR_LOADER_STATE"] = state
        for number in range(1, arguments.rounds + 1):
            hosts.append(_host(arguments.lineitem))
            _tell(f"round {number}: {hosts[-1].words}")
            for setting in SETTINGS:
                run = _run(setting, arguments.lineitem, table)
                runs[setting.name].append(run)
                _tell(f"{setting.name}: {run.upload:.2f} s and {run.publish:.2f} s to publish")
    host = Host(
        statistics.median(one.rate for one in hosts), statistics.median(one.put for one in hosts)
    )
    checks = [_check(one, runs[one.name], host) for one in SETTINGS]
    shown = _checks_table(checks)
    print(shown)
    if arguments.write:
        rounds = f"{arguments.rounds} rounds" if arguments.rounds > 1 else "one round"
        below = (
            f"Medians of {rounds}, the shortest and the longest in brackets; {host.words}. "
            f"{found['machine']}; loader {found['loader']}; {found['date']}."
        )
        text = put(PAGE.read_text("utf-8"), "checks", f"{shown}\n\n{below}")
        for name, lines in example_tables().items():
            text = put(text, name, lines)
        PAGE.write_text(text, "utf-8")
    # Written all the same: that it does not hold is a finding too.
    wrong = [check.setting.name for check in checks if check.wrong]
    if wrong:
        raise SystemExit(f"off by more than {_WITHIN:.0%}: {', '.join(wrong)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.capacity",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help=f"default: {_ROUNDS}")
    parser.add_argument("--lineitem", type=Path, default=ROOT / "data/tpch/sf1/lineitem.parquet")
    parser.add_argument(
        "--write", action="store_true", help="write the tables into docs/capacity.md"
    )
    arguments = parser.parse_args()
    if not arguments.lineitem.exists():
        raise SystemExit(f"{arguments.lineitem} is not there: make bench-data")
    return arguments


# -- the loads -------------------------------------------------------------------------------------


def _rows(lineitem: Path, json: float) -> pa.Table:
    """Returns the rows that paced loads take theirs from: in memory, to be on time."""
    batches: list[pa.RecordBatch] = []
    wanted = _limit(json)
    with pq.ParquetFile(lineitem) as file:
        for batch in file.iter_batches(8192):
            batches.append(batch)
            wanted -= batch.num_rows
            if wanted <= 0:
                break
    return pa.Table.from_batches(batches)


def _limit(json: float) -> int:
    return round(json * MB / _ROW)


def _host(lineitem: Path) -> Host:
    """Loads into a server which is never waited for."""
    with sink() as server:
        _push(server.url, str(lineitem), limit=_limit(32.0))
        whole = _push(server.url, str(lineitem), limit=_limit(256.0))
        single = _push(
            server.url, str(lineitem), limit=_limit(65.0), chunk_size=2 * MB, concurrency=1
        )
    return Host(whole.json / whole.upload, single.upload / single.chunks)


def _run(setting: Setting, lineitem: Path, table: pa.Table) -> Run:
    """Loads once as the setting says."""
    limit = _limit(setting.json)
    with sink(*setting.options) as server:
        return _push(
            server.url,
            _paced(table.slice(0, limit), setting.server.host) if setting.paced else str(lineitem),
            limit=limit,
            chunk_size=round(setting.chunk * MB),
            concurrency=setting.concurrency,
            memory=round(setting.memory * MB),
        )


def _push(url: str, source: Any, *, limit: int, **options: Any) -> Run:
    connection = loader.Connection(
        url, username="administrator", project="MicroStrategy Tutorial", proxy="none"
    )
    result = loader.push_sync(
        {"lineitem": source}, connection=connection, dataset="capacity", limit=limit, **options
    )
    require_all(result.as_dict(), limit)
    times = result.times
    assert times is not None
    return Run(result.json_bytes / MB, result.chunks, times.seconds, times.publishing)


def _paced(table: pa.Table, rate: float) -> pa.RecordBatchReader:
    """Returns rows that come at so many MB of JSON a second: what a slow source is like."""

    def rows() -> Iterator[pa.RecordBatch]:
        began = time.monotonic()
        done = 0
        for batch in table.to_batches(1024):
            done += batch.num_rows
            time.sleep(max(0.0, began + done * _ROW / (rate * MB) - time.monotonic()))
            yield batch

    return pa.RecordBatchReader.from_batches(table.schema, rows())


# -- what came of them -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Check:
    setting: Setting
    predicted: Prediction
    runs: Sequence[Run]

    @property
    def measured(self) -> float:
        """The median."""
        return statistics.median(run.seconds for run in self.runs)

    @property
    def spread(self) -> str:
        """The shortest and the longest."""
        seconds = sorted(run.seconds for run in self.runs)
        return f"{seconds[0]:.2f}-{seconds[-1]:.2f}"

    @property
    def wrong(self) -> bool:
        """Whether it is off by more than it may be."""
        return abs(self.error) > _WITHIN

    @property
    def error(self) -> float:
        """How much more was predicted than measured, as a share of what was measured."""
        return self.predicted.seconds / self.measured - 1


def _check(setting: Setting, runs: Sequence[Run], host: Host) -> _Check:
    load = Load(
        json=runs[0].json,
        chunk=setting.chunk,
        concurrency=setting.concurrency,
        memory=setting.memory,
        encoders=_ENCODERS,
    )
    server = setting.server
    rates = replace(
        server,
        host=server.host if setting.paced else host.rate,
        latency=server.latency + host.put,
    )
    return _Check(setting, predict(load, rates), runs)


def _checks_table(checks: Sequence[_Check]) -> str:
    return markdown(
        [
            "what",
            "modelled, MB/s",
            "chunks",
            "sent",
            "at once",
            "predicted s",
            "measured s",
            "error",
        ],
        [
            [
                check.setting.name,
                check.setting.modelled,
                f"{check.predicted.chunks} of {check.setting.chunk:g} MB",
                f"{check.runs[0].chunks}",
                f"{check.predicted.at_once}",
                f"{check.predicted.seconds:.2f}",
                f"{check.measured:.2f} ({check.spread})",
                f"**{check.error:+.1%}**" if check.wrong else f"{check.error:+.1%}",
            ]
            for check in checks
        ],
    )


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
