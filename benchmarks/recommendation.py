"""How good the recommendation of a sweep is: its throughput against the best on a finer grid.

    python benchmarks/recommendation.py FILE.parquet -- --ingest sink --latency 0.5 …

What follows ``--`` are options of the emulator, which models a slow server. A first sweep tries the
usual grid and recommends a setting. A second one, in an order of its own, tries a finer grid that
the first one did not see, and the recommended setting once more: both sides of the ratio are then
measured in the same hour. The best of many medians is a little better than it really is, so the
share that is printed is a little too small.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
from collections.abc import Sequence

from loader.api import Connection
from loader.bench import Records, sweep
from loader.bench.messages import Beat
from loader.bench.recommend import describe
from loader.bench.records import Recommendation, Run, Setting
from loader.emulator.process import EmulatorProcess
from loader.units import MB

MODEL = (
    *("--ingest", "sink", "--latency", "0.4", "--stream-rate", "60", "--ingest-rate", "220"),
    *("--overload", "6"),
)
"""PUTs that wait, are taken in at 60 MB/s each and 220 MB/s together, and get slower beyond six."""

COARSE_SIZES, COARSE_PUTS = "25,50,100,200", "1,2,4,8"
FINE_SIZES, FINE_PUTS = "35,70,100,140", "1,2,3,4,5,6,7,8,10,12"
LEAST = 0.9


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


def finer(
    file: str, connection: Connection, given: argparse.Namespace, best: Recommendation
) -> Records:
    """Runs the second sweep."""
    sizes, puts = megabytes(given.fine_sizes), numbers(given.fine_puts)
    return sweep(
        file,
        connection=connection,
        orientations=[best.orientation],
        chunk_sizes=[*sizes, best.chunk_size],
        concurrencies=[*puts, best.concurrency],
        repeat=given.repeat,
        memory=given.memory * MB,
        seed=given.seed + 1,
        watcher=Lines("fine"),
    )


def main(arguments: Sequence[str]) -> int:
    """Measures, prints the share, and fails where it is too small."""
    own = list(itertools.takewhile(lambda word: word != "--", arguments))
    model = list(arguments[len(own) + 1 :]) or list(MODEL)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--memory", type=int, default=4000, help="MB")
    parser.add_argument("--orientation", default="column", help="column,row")
    parser.add_argument("--coarse-sizes", default=COARSE_SIZES, help="MB,...")
    parser.add_argument("--coarse-puts", default=COARSE_PUTS, help="N,...")
    parser.add_argument("--fine-sizes", default=FINE_SIZES, help="MB,...")
    parser.add_argument("--fine-puts", default=FINE_PUTS, help="N,...")
    given = parser.parse_args(own)
    with EmulatorProcess(*model) as server:
        connection = Connection(
            server.url, username="administrator", project="MicroStrategy Tutorial"
        )
        coarse = sweep(
            given.file,
            connection=connection,
            orientations=given.orientation.split(","),
            chunk_sizes=megabytes(given.coarse_sizes),
            concurrencies=numbers(given.coarse_puts),
            repeat=given.repeat,
            memory=given.memory * MB,
            seed=given.seed,
            watcher=Lines("coarse"),
        )
        recommended = coarse.recommendation
        assert recommended is not None
        found = medians(finer(given.file, connection, given, recommended))
    # Where it sends the same as a cheaper setting, that one stands for it.
    reached = found.get(recommended.setting, recommended.rows_per_second)
    fastest = max(found, key=lambda setting: found[setting])
    share = reached / found[fastest]
    print(f"server: {' '.join(model)}")
    print(f"recommended: {recommended.reason}")
    print(f"best of {len(found)} settings on the finer grid: {describe(fastest)}")
    print(f"{reached:,.0f} of {found[fastest]:,.0f} rows/s: {100 * share:.1f} %")
    return 0 if share >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
