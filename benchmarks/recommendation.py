"""How good the recommendation of a sweep is: ``make recommendation``.

    python -m benchmarks.recommendation [FILE.parquet] [-- --ingest sink --latency 0.5 …]

What follows ``--`` are options of the emulator, which models a slow server. A first sweep tries a
coarse grid and recommends a setting. A second one, in an order of its own, tries a finer grid that
the first one did not see, and the recommended setting once more: both sides of the share are then
measured in the same minutes. The best of many medians is a little better than it really is, so the
share that is printed is a little too small. It fails where that is below 90 %.

Few rows, small chunks and low rates keep it short, and this machine out of it: what decides are
the numbers of chunks and PUTs. ``--minutes`` is the time of both sweeps: whole repetitions are left
out first.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.capacity_page import markdown, put
from benchmarks.machine import circumstances
from benchmarks.setting import HERE, ROOT
from loader.api import Connection
from loader.bench import Records, sweep
from loader.bench.messages import Beat
from loader.bench.recommend import describe
from loader.bench.records import Recommendation, Run, Setting
from loader.emulator.process import EmulatorProcess
from loader.units import MB

MODEL = (
    *("--ingest", "sink", "--latency", "0.2", "--stream-rate", "10", "--ingest-rate", "37"),
    *("--overload", "6"),
)
"""PUTs that wait, are taken in at 10 MB/s each and 37 MB/s together, and get slower beyond six."""

COARSE_SIZES, COARSE_PUTS = "2,4,8,16", "1,2,4,8"
FINE_SIZES, FINE_PUTS = "3,6,12", "3,5,6,10"
LEAST = 0.9

_COARSE_SHARE = 0.45
"""Of the time: the coarse grid has fewer settings, but those of one PUT at once."""


class Lines:
    """One line a run, on stderr."""

    def __init__(self, name: str) -> None:
        self._name = name

    def note(self, text: str) -> None:
        """Says something once."""
        print(f"{self._name}: {text}", file=sys.stderr)

    def begins(self, setting: Setting, *, number: int, left: int | None) -> None:
        """Does nothing."""

    def beat(self, beat: Beat) -> None:
        """Does nothing."""

    def ends(self, run: Run, *, left: int, seconds_left: float | None) -> None:
        """Says what came of a run."""
        said = run.error.message if run.error else f"{run.rows_per_second:,.0f} rows/s"
        print(
            f"{self._name}: {describe(run.setting)}: {said}; {left} to go, "
            f"{seconds_left or 0:.0f} s",
            file=sys.stderr,
        )


def medians(records: Records) -> dict[Setting, float]:
    """Returns the median rows a second of each setting."""
    rates: dict[Setting, list[float]] = {}
    for run in records.counted:
        rates.setdefault(run.setting, []).append(run.rows_per_second)
    return {setting: statistics.median(found) for setting, found in rates.items()}


def megabytes(text: str) -> list[int]:
    """Returns the bytes of sizes in MB."""
    return [round(float(one) * MB) for one in text.split(",")]


def numbers(text: str) -> list[int]:
    """Returns whole numbers."""
    return [int(one) for one in text.split(",")]


@dataclass(frozen=True, slots=True)
class Found:
    """What came of both sweeps.

    Attributes:
        recommended: What the first one recommends.
        reached: Its median rows a second in the second one.
        best: The fastest setting of the second one.
        fastest: Its median rows a second.
        settings: How many settings the second one has measured.
    """

    recommended: Recommendation
    reached: float
    best: Setting
    fastest: float
    settings: int

    @property
    def share(self) -> float:
        """How much of the best throughput the recommendation reaches."""
        return self.reached / self.fastest

    def as_dict(self) -> dict[str, Any]:
        """Returns what is kept."""
        return {
            "recommended": describe(self.recommended.setting),
            "reached_rows_per_second": self.reached,
            "best": describe(self.best),
            "best_rows_per_second": self.fastest,
            "fine_settings": self.settings,
            "share": self.share,
        }


def measure(connection: Connection, given: argparse.Namespace) -> Found:
    """Runs both sweeps."""
    seconds = 60 * given.minutes
    same: dict[str, Any] = {
        "connection": connection,
        "repeat": given.repeat,
        "memory": given.memory * MB,
        "limit": given.rows,
    }
    coarse = sweep(
        str(given.file),
        orientations=given.orientation.split(","),
        chunk_sizes=megabytes(given.coarse_sizes),
        concurrencies=numbers(given.coarse_puts),
        seed=given.seed,
        time_budget=_COARSE_SHARE * seconds,
        watcher=Lines("coarse"),
        **same,
    )
    best = coarse.recommendation
    if best is None:
        raise SystemExit("the coarse sweep recommends nothing")
    fine = sweep(
        str(given.file),
        orientations=[best.orientation],
        chunk_sizes=[*megabytes(given.fine_sizes), best.chunk_size],
        concurrencies=[*numbers(given.fine_puts), best.concurrency],
        seed=given.seed + 1,
        time_budget=(1 - _COARSE_SHARE) * seconds,
        watcher=Lines("fine"),
        **same,
    )
    found = medians(fine)
    fastest = max(found, key=lambda setting: found[setting])
    # Where it sends the same as a cheaper setting, that one stands for it.
    reached = found.get(best.setting, best.rows_per_second)
    return Found(best, reached, fastest, found[fastest], len(found))


def write(found: Found, model: str, given: argparse.Namespace, measured_on: dict[str, Any]) -> None:
    """Keeps the figures, and renews the page."""
    kept = {**measured_on, "server": model, "rows": given.rows, **found.as_dict()}
    (HERE / "recommendation.json").write_text(json.dumps(kept, indent=1) + "\n", "utf-8")
    share = f"{found.share:.1%}"
    lines = markdown(
        ["what", "setting", "rows/s", "share"],
        [
            [
                "recommended by the coarse sweep",
                describe(found.recommended.setting),
                f"{found.reached:,.0f}",
                share if found.share >= LEAST else f"**{share}**",
            ],
            [
                f"best of {found.settings} settings of the finer sweep",
                describe(found.best),
                f"{found.fastest:,.0f}",
                "100.0%",
            ],
        ],
    )
    below = (
        f"{given.rows:,} rows; server: `{model}`. {measured_on['machine']}. {measured_on['date']}; "
        f"loader {measured_on['loader']}"
    )
    page = HERE / "README.md"
    text = put(page.read_text("utf-8"), "recommendation", f"{lines}\n\n{below}")
    page.write_text(text, "utf-8")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Returns what the words mean."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.recommendation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    lineitem = ROOT / "data/tpch/sf1/lineitem.parquet"
    parser.add_argument("file", type=Path, nargs="?", default=lineitem)
    parser.add_argument("--rows", type=int, default=500_000, help="default: 500000")
    parser.add_argument("--minutes", type=float, default=9.0, help="default: 9")
    parser.add_argument("--repeat", type=int, default=3, help="at most; default: 3")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--memory", type=int, default=4000, help="MB")
    parser.add_argument("--orientation", default="column", help="column,row")
    parser.add_argument("--coarse-sizes", default=COARSE_SIZES, help="MB,...")
    parser.add_argument("--coarse-puts", default=COARSE_PUTS, help="N,...")
    parser.add_argument("--fine-sizes", default=FINE_SIZES, help="MB,...")
    parser.add_argument("--fine-puts", default=FINE_PUTS, help="N,...")
    parser.add_argument(
        "--write", action="store_true", help="write recommendation.json and README.md's table"
    )
    given = parser.parse_args(arguments)
    if not given.file.exists():
        raise SystemExit(f"{given.file} is not there: make bench-data")
    return given


def main(arguments: Sequence[str]) -> int:
    """Measures, prints the share, and fails where it is too small."""
    own = list(itertools.takewhile(lambda word: word != "--", arguments))
    model = list(arguments[len(own) + 1 :]) or list(MODEL)
    given = parse(own)
    measured_on = circumstances()  # now: nobody knows which commit it is at the end
    with tempfile.TemporaryDirectory() as state, EmulatorProcess(*model) as server:
        os.environ["MSTR_LOADER_STATE"] = state
        connection = Connection(
            server.url, username="administrator", project="MicroStrategy Tutorial", proxy="none"
        )
        found = measure(connection, given)
    if given.write:
        # Written all the same: that it is too small is a finding too.
        write(found, " ".join(model), given, measured_on)
    print(f"server: {' '.join(model)}")
    print(f"recommended: {found.recommended.reason}")
    print(f"best of {found.settings} settings on the finer grid: {describe(found.best)}")
    print(f"{found.reached:,.0f} of {found.fastest:,.0f} rows/s: {found.share:.1%}")
    return 0 if found.share >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
