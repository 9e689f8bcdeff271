"""Measures loads against the vendor's client and the limits of the machine: ``make bench``.

Contenders that are compared with each other take their turns in every round, so a machine that
slows down slows all of them. All figures go to benchmarks/results.json, medians to the tables of
benchmarks/README.md. Only ratios mean something on a shared machine.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.groups import (
    cap,
    csv_files,
    encoder,
    growth,
    lag,
    latency,
    memory,
    pushes,
    startup,
    tls,
)
from benchmarks.machine import circumstances
from benchmarks.measure import ROUNDS, Failed, take_turns
from benchmarks.report import Report, marks_table, table
from benchmarks.setting import FULL, ROOT, TRIAL, Files, Setting

_MODULES = (pushes, encoder, csv_files, latency, cap, memory, growth, tls, startup, lag)
GROUPS = {module.GROUP.name: module.GROUP for module in _MODULES}

_DATA = ROOT / "data"
_DEFAULTS = Files(
    lineitem=_DATA / "tpch/sf1/lineitem.parquet",
    csv=_DATA / "tpch/sf1/lineitem.csv",
    large=_DATA / "tpch/sf10/lineitem.parquet",
    wide=_DATA / "wide.parquet",
)


def main() -> None:
    """Runs the groups and keeps what each measures as soon as it is done."""
    arguments = _arguments()
    files = Files(**{name: getattr(arguments, name) for name in _file_names()})
    _require(files, arguments.only)
    report = None if arguments.trial else Report(list(GROUPS.values()))
    # Once: the figures that are written change the checkout.
    loader = circumstances()["loader"]
    for name in arguments.only:
        group = GROUPS[name]
        began = time.perf_counter()
        rounds = arguments.rounds or (1 if arguments.trial else ROUNDS)
        found = circumstances() | {"loader": loader}
        with tempfile.TemporaryDirectory() as scratch:
            amounts = TRIAL if arguments.trial else FULL
            setting = Setting(files, amounts, Path(scratch), arguments.trial)
            try:
                measured = take_turns(group, setting, rounds, _tell)
            except Failed as failure:
                raise SystemExit(f"{name}: {failure}") from failure
        gc.collect()  # a group may have held gigabytes, and the next one starts processes
        if report:
            report.keep(group, measured, found)
        results = {one.name: one for one in measured}
        print(f"\n{table(group, results)}\n", flush=True)
        if group.comparisons:
            print(f"{marks_table([group], {name: results})}\n", flush=True)
        _tell(f"{name}: {time.perf_counter() - began:.0f} s in all")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only",
        type=_group_names,
        default=list(GROUPS),
        metavar="GROUP,…",
        help=f"these groups alone; there are {', '.join(GROUPS)}",
    )
    parser.add_argument("--rounds", type=int, help=f"default: {ROUNDS}")
    parser.add_argument(
        "--trial",
        action="store_true",
        help="tiny amounts, one round, nothing is written: shows that everything runs",
    )
    for name in _file_names():
        default = getattr(_DEFAULTS, name)
        shown = default.relative_to(ROOT)
        parser.add_argument(f"--{name}", type=Path, default=default, help=f"default: {shown}")
    return parser.parse_args()


def _file_names() -> list[str]:
    return [field.name for field in dataclasses.fields(Files)]


def _group_names(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in GROUPS]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(GROUPS)}")
    return names


def _require(files: Files, names: list[str]) -> None:
    """Finds out now, and not after a quarter of an hour, that a file is not there."""
    for name in names:
        for needed in GROUPS[name].needs:
            if not getattr(files, needed).exists():
                raise SystemExit(f"{getattr(files, needed)} is not there: make bench-data")


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
