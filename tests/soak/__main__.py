"""``python -m tests.soak``: many scenarios, two at a time, and the figures of all of them."""

from __future__ import annotations

import argparse
import json
import pprint
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from tests.soak.drawing import Scenario
from tests.soak.scenario import Figures, run

_SUMS = ("processes", "resumes", "kills", "stops", "rows", "lost", "doubled")


def main(arguments: Sequence[str]) -> int:
    """Runs what the arguments ask for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many scenarios")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--jobs", type=int, default=2, help="how many at once")
    parser.add_argument("--json", type=Path, help="where the figures go as JSON")
    parser.add_argument("--replay", type=int, metavar="SEED", help="one scenario, and all about it")
    options = parser.parse_args(arguments)
    if options.replay is not None:
        _say(pprint.pformat(Scenario.of(options.replay), width=100))
        figures = run(options.replay)
        _say("\n".join([*figures.history, _line(figures)]))
        return _report([figures], None)
    seeds = range(options.first, options.first + options.seeds)
    return _report(list(_all(seeds, options.jobs)), options.json)


def _all(seeds: Iterable[int], jobs: int) -> Iterable[Figures]:
    # Threads are enough: what works are processes of their own.
    with ThreadPoolExecutor(jobs) as pool:
        for done in as_completed([pool.submit(run, seed) for seed in seeds]):
            figures = done.result()
            _say(_line(figures))
            yield figures


def _line(figures: Figures) -> str:
    if figures.problem is not None:
        return figures.problem
    return (
        f"seed {figures.seed}: {figures.end} in {figures.seconds:.1f} s, "
        f"{figures.processes} processes, {figures.kills} killed, "
        f"faults {figures.fired.total()}"
    )


def _report(found: Sequence[Figures], file: Path | None) -> int:
    """Tells the figures; returns 1 where one scenario was not as it should be."""
    sums = summary(found)
    _say("")
    for name, value in sums.items():
        if isinstance(value, dict):
            _say(name)
            for kind, times in value.items():
                _say(f"  {kind:<34}{times:>10,}")
        elif isinstance(value, list):
            _say(f"{name:<36}{len(value):>10,}" + (f"  seeds {value}" if value else ""))
        else:
            _say(f"{name:<36}{value:>10,}")
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(sums, indent=2) + "\n")
    return 1 if sums["violations"] else 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def summary(found: Sequence[Figures]) -> dict[str, Any]:
    """Returns the figures of all scenarios together."""
    fired: Counter[str] = Counter()
    for one in found:
        fired += one.fired
    return {
        "scenarios": len(found),
        **{end: sum(one.end == end for one in found) for end in ("published", "unknown")},
        "violations": [one.seed for one in found if one.problem is not None],
        **{name: sum(getattr(one, name) for one in found) for name in _SUMS},
        "seconds": round(sum(one.seconds for one in found)),
        "faults": fired.total(),
        "faults by kind": dict(sorted(fired.items())),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
