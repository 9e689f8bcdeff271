"""Checks the formula of docs/capacity.md against real loads: ``make capacity``.

Every setting is a model of a server (docs/emulator.md, "A slow server") in a process of its own
and a load of TPC-H lineitem into it. Its rates are low, so that the server is the limit and not
this machine; the host's own rate is measured first, with a server that only takes bodies. Where
the host is to be the limit, the rows come at a given rate. What is predicted is upload and publish;
it fails where a median is off by more than 15 %.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import loader
from benchmarks.machine import circumstances
from benchmarks.measure import Failed
from benchmarks.prediction import WIRE, Load, Prediction, Rates, predict
from benchmarks.running import require_all, sink
from benchmarks.setting import ROOT
from loader.job.settings import encoder_threads
from loader.planning import BASE, ENCODER, READER
from loader.units import MB

__all__ = ["PAGE", "example_tables", "main", "put"]

PAGE = ROOT / "docs" / "capacity.md"

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
    Setting(name="network shared in step", server=_server(bandwidth=16.0, latency=0.6)),
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


def main() -> None:
    """Runs every setting in every round, and writes the table if all are as predicted."""
    arguments = _arguments()
    table = _rows(arguments.lineitem, max(one.json for one in SETTINGS))
    hosts: list[float] = []
    runs: dict[str, list[Run]] = {one.name: [] for one in SETTINGS}
    with tempfile.TemporaryDirectory() as state:
        os.environ["MSTR_LOADER_STATE"] = state
        for number in range(1, arguments.rounds + 1):
            hosts.append(_host_rate(arguments.lineitem))
            _tell(f"round {number}: the host makes {hosts[-1]:.0f} MB/s of JSON")
            for setting in SETTINGS:
                run = _run(setting, arguments.lineitem, table)
                runs[setting.name].append(run)
                _tell(f"{setting.name}: {run.upload:.2f} s and {run.publish:.2f} s to publish")
    checks = [_check(one, runs[one.name], statistics.median(hosts)) for one in SETTINGS]
    shown = _checks_table(checks)
    print(shown)
    wrong = [check.setting.name for check in checks if abs(check.error) > _WITHIN]
    if wrong:
        raise SystemExit(f"off by more than {_WITHIN:.0%}: {', '.join(wrong)}")
    if arguments.write:
        found = circumstances()
        rounds = f"{arguments.rounds} rounds" if arguments.rounds > 1 else "one round"
        below = (
            f"Medians of {rounds}; the host makes {statistics.median(hosts):.0f} MB/s of JSON "
            f"({', '.join(f'{host:.0f}' for host in hosts)}). {found['machine']}; "
            f"loader {found['loader']}; {found['date']}."
        )
        text = put(PAGE.read_text("utf-8"), "checks", f"{shown}\n\n{below}")
        for name, lines in example_tables().items():
            text = put(text, name, lines)
        PAGE.write_text(text, "utf-8")


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


def _host_rate(lineitem: Path) -> float:
    """Returns the MB of JSON a second that go into a server which is never waited for."""
    with sink() as server:
        _push(server.url, str(lineitem), limit=_limit(32.0))
        run = _push(server.url, str(lineitem), limit=_limit(256.0))
    return run.json / run.upload


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
    chunks: int
    measured: float

    @property
    def error(self) -> float:
        """How much more was predicted than measured, as a share of what was measured."""
        return self.predicted.seconds / self.measured - 1


def _check(setting: Setting, runs: Sequence[Run], host: float) -> _Check:
    load = Load(
        json=runs[0].json,
        chunk=setting.chunk,
        concurrency=setting.concurrency,
        memory=setting.memory,
        encoders=_ENCODERS,
    )
    rates = setting.server if setting.paced else replace(setting.server, host=host)
    measured = statistics.median(run.seconds for run in runs)
    return _Check(setting, predict(load, rates), runs[0].chunks, measured)


def _checks_table(checks: Sequence[_Check]) -> str:
    return _table(
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
                f"{check.chunks}",
                f"{check.predicted.at_once}",
                f"{check.predicted.seconds:.2f}",
                f"{check.measured:.2f}",
                f"{check.error:+.1%}",
            ]
            for check in checks
        ],
    )


# -- worked examples -------------------------------------------------------------------------------

_JSON_OF_PARQUET = 867.9 / 231.7
"""JSON for each byte of Parquet: lineitem in columns."""

_SIZES = {"100 GB": 100_000.0, "1 TB": 1_000_000.0}

_PLAIN = Rates(
    host=250.0,
    bandwidth=115.0,
    ingest=60.0,
    stream=12.0,
    latency=0.5,
    publish_time=5.0,
    publish_rate=150.0,
)
_FAST = replace(_PLAIN, bandwidth=1150.0, ingest=400.0, stream=60.0, publish_rate=600.0)

_STEPS: Sequence[tuple[str, Rates, Load]] = (
    ("as it comes: 1 GB of memory", _PLAIN, Load(json=0)),
    ("`--memory 1.5GB`", _PLAIN, Load(json=0, memory=1500.0)),
    (
        "and a server twice as fast in all",
        replace(_PLAIN, ingest=120.0),
        Load(json=0, memory=1500.0),
    ),
    ("10 Gbit/s and a fast server, 1 GB of memory", _FAST, Load(json=0)),
    ("the same, `--memory 1.5GB`", _FAST, Load(json=0, memory=1500.0)),
)


def example_tables() -> Mapping[str, str]:
    """Returns the tables of examples by the names of their places."""
    return {"sizes": _sizes_table(), "examples": _examples_table()}


def _sizes_table() -> str:
    ratios = {"Parquet": 1.0, "JSON": _JSON_OF_PARQUET, "on the wire": _JSON_OF_PARQUET * WIRE}
    return _table(
        ["given", *ratios],
        [
            [f"{size} {kind}", *(_amount(mb * ratio / ratios[kind]) for ratio in ratios.values())]
            for size, mb in _SIZES.items()
            for kind in ratios
        ],
    )


def _examples_table() -> str:
    lines = []
    for name, rates, load in _STEPS:
        cells = []
        for mb in _SIZES.values():
            found = predict(replace(load, json=mb * _JSON_OF_PARQUET), rates)
            cells += [_duration(found.upload), _duration(found.publish)]
        rate = mb * _JSON_OF_PARQUET / found.upload
        lines.append([name, f"{found.at_once}", f"{found.limit}", f"{rate:.0f}", *cells])
    titles = [f"{size}: {what}" for size in _SIZES for what in ("upload", "publish")]
    return _table(["setting", "at once", "limit", "MB/s of JSON", *titles], lines)


def _amount(mb: float) -> str:
    return f"{mb / 1000:.0f} GB" if mb < MB else f"{mb / MB:.2f} TB"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02}" if minutes >= 60 else f"{minutes} min"


# -- the page --------------------------------------------------------------------------------------


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rules = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rules, *rows))


def put(text: str, name: str, body: str) -> str:
    """Returns a page with another body between the marks of a place.

    Raises:
        Failed: It has no such place.
    """
    place = re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", re.DOTALL)
    if not place.search(text):
        raise Failed(f"the page has no <!-- {name} --> … <!-- /{name} -->")
    return place.sub(lambda _: f"\n{body}\n\n", text)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
