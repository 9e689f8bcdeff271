"""Prints sweeps and comparisons: progress on stderr, tables or one JSON object on stdout."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from shutil import get_terminal_size
from typing import Any

from loader.bench.comparison import Comparison
from loader.bench.intervals import Ratio, Verdict
from loader.bench.messages import Beat
from loader.bench.recommend import describe
from loader.bench.records import Recommendation, Records, Run, Setting, to_line
from loader.cli.printers import clock_time, listened_to, print_error
from loader.errors import LoaderError
from loader.units import size

__all__ = ["BenchPrinter", "failed_sweep", "print_comparison", "print_sweep"]


class BenchPrinter:
    """Says on stderr how a sweep goes: a line a run, and on a terminal the run under way too."""

    INTERVAL = 15.0
    """Seconds between lines about a run under way that no terminal shows."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._terminal = sys.stderr.isatty()
        self._what = ""
        self._began = self._due = 0.0
        self._troubled = False

    def clear(self) -> None:
        """Takes the line of the run under way off the terminal."""
        if self._terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    @listened_to()
    def note(self, text: str) -> None:
        """Says something once."""
        self.clear()
        print(text, file=sys.stderr, flush=True)

    @listened_to()
    def begins(self, setting: Setting, *, number: int, left: int | None) -> None:
        """A run begins."""
        place = "warm-up" if left is None else f"run {number} of {number + left}"
        self._what = f"{place}: {describe(setting)}"
        self._troubled = False
        self._began = self._clock()
        self._due = self._began + self.INTERVAL
        if self._terminal:
            print(self._what, end="", file=sys.stderr, flush=True)

    @listened_to()
    def beat(self, beat: Beat) -> None:
        """A run goes on."""
        now = self._clock()
        # Trouble is told as soon as there is some: the run may end by it.
        begins, self._troubled = beat.trouble is not None and not self._troubled, bool(beat.trouble)
        if not self._terminal and now < self._due and not begins:
            return
        self._due = now + self.INTERVAL
        parts = [f"{self._what}: {beat.phase}"]
        if beat.accepted_rows and beat.total_rows:
            parts.append(f"{100 * beat.accepted_rows / beat.total_rows:.0f} %")
        parts.append(f"{now - self._began:.0f} s")
        if beat.trouble:
            parts.append(f"still trying: {beat.trouble}")
        self.clear()
        line = ", ".join(parts)
        if self._terminal:
            # What wraps is more than one line, and cannot be taken off again.
            print(line[: get_terminal_size().columns - 1], end="", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)

    @listened_to()
    def ends(self, run: Run, *, left: int, seconds_left: float | None) -> None:
        """A run has ended."""
        if run.error is not None:
            said = f"failed: {run.error.message}"
        else:
            said = f"{run.rows_per_second:,.0f} rows/s, {size(run.json_rate)}/s of JSON"
        if left and seconds_left is not None:
            said += f"; about {clock_time(seconds_left)} left"
        self.clear()
        print(f"{self._what}: {said}", file=sys.stderr, flush=True)


# -- the result of a sweep -------------------------------------------------------------------------


@listened_to()
def print_sweep(
    records: Records | None,
    error: LoaderError | None,
    *,
    out: Path | None,
    report: Path | None,
    warnings: Sequence[str],
    as_json: bool,
) -> None:
    """Prints what came of a sweep, however it ended.

    Args:
        records: What was measured; None: nothing.
        error: Why it ended early; None: it did not.
        out: Where the records are.
        report: Where the report is.
        warnings: What the user should know besides.
        as_json: As one JSON object.
    """
    if as_json:
        found = _as_dict(records, error, out, report, warnings)
        print(json.dumps(found), flush=True)
        return
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if records is not None:
        best = records.recommendation
        if records.counted:
            _print_columns([_HEADER, *(_row(*item, best) for item in _by_setting(records))])
        for line in _failed(records):
            print(line)
        if best is not None:
            print(f"\nrecommended (*): {best.reason}\n{best.command}")
    if out is not None:
        print(f"records: {out}")
    if report is not None and records is not None:
        print(f"report: {report}")
    sys.stdout.flush()
    if error is not None:
        print_error(error)


def _by_setting(records: Records) -> list[tuple[Setting, list[Run]]]:
    """Returns the runs that count of each setting."""
    found: dict[Setting, list[Run]] = {}
    for run in records.counted:
        found.setdefault(run.setting, []).append(run)
    return sorted(found.items())


def _failed(records: Records) -> Iterable[str]:
    """Yields a line for each way in which a setting failed, to go below those that did not.

    The warm-up is none of the runs that are counted.
    """
    ran = Counter(run.setting for run in records.runs if not run.warm_up)
    found = Counter(
        (run.setting, run.error.message, run.warm_up)
        for run in records.runs
        if run.error is not None
    )
    for (setting, message, warm_up), times in sorted(found.items()):
        of = ran[setting]
        which = "the warm-up" if warm_up else f"{times} of {of} run{'s' * (of > 1)}"
        yield f"failed: {describe(setting)}, {which}: {message}"


_HEADER = (
    *("", "ORIENTATION", "CHUNK", "PUTS", "RUNS", "ROWS/S", "SPREAD", "JSON/S", "WIRE/S"),
    *("PUT p50", "p95", "p99", "PUBLISH", "CPU", "MEMORY", "RETRIES"),
)


def _row(setting: Setting, runs: Sequence[Run], best: Recommendation | None) -> tuple[str, ...]:
    middle = _medians(runs)
    rates = [run.rows_per_second for run in runs]
    spread = (max(rates) - min(rates)) / 2 / middle["rows_per_second"]
    return (
        "*" if best is not None and best.setting == setting else "",
        setting.orientation,
        size(setting.chunk_size),
        str(setting.concurrency),
        str(len(runs)),
        f"{middle['rows_per_second']:,.0f}",
        f"±{100 * spread:.0f} %" if len(runs) > 1 else "",
        f"{size(middle['json_rate'])}/s",
        f"{size(middle['wire_rate'])}/s",
        *(f"{middle[name]:.2f} s" for name in ("put_p50", "put_p95", "put_p99")),
        f"{middle['publish_seconds']:.2f} s",
        f"{middle['cpu_seconds']:.1f} s",
        size(middle["peak_memory"]),
        str(sum(run.retries for run in runs)),
    )


_FIGURES = (
    *("rows_per_second", "json_rate", "wire_rate", "put_p50", "put_p95", "put_p99"),
    *("upload_seconds", "publish_seconds", "cpu_seconds", "peak_memory"),
)


def _medians(runs: Sequence[Run]) -> dict[str, float]:
    return {name: statistics.median(getattr(run, name) for run in runs) for name in _FIGURES}


def failed_sweep(error: LoaderError) -> dict[str, Any]:
    """Returns the object that ``bench --json`` prints where nothing was begun."""
    return _as_dict(None, error, None, None, ())


def _as_dict(
    records: Records | None,
    error: LoaderError | None,
    out: Path | None,
    report: Path | None,
    warnings: Sequence[str],
) -> dict[str, Any]:
    """Returns the object that ``bench --json`` prints."""
    best = None if records is None else records.recommendation
    return {
        "environment": None if records is None else _object(records.environment),
        "settings": [
            {
                **_named(setting),
                "runs": len(runs),
                "retries": sum(run.retries for run in runs),
                **_medians(runs),
            }
            for setting, runs in ([] if records is None else _by_setting(records))
        ],
        "failed": [
            {**_named(run.setting), "repeat": run.repeat, "kind": run.error.kind}
            | {"message": run.error.message}
            for run in (() if records is None else records.runs)
            if run.error is not None
        ],
        "skipped": [_object(one) for one in (() if records is None else records.skipped)],
        "recommendation": None if best is None else _object(best),
        "records": None if out is None else str(out),
        "report": None if report is None or records is None else str(report),
        "warnings": list(warnings),
        "error": None if error is None else error.as_dict(),
    }


def _object(record: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(to_line(record))
    del found["kind"]
    return found


def _named(setting: Setting) -> dict[str, Any]:
    return {
        "orientation": setting.orientation,
        "chunk_size": setting.chunk_size,
        "concurrency": setting.concurrency,
    }


# -- a comparison ----------------------------------------------------------------------------------


@listened_to()
def print_comparison(found: Comparison, *, as_json: bool) -> None:
    """Prints how two sweeps compare: what else differs comes first."""
    if as_json:
        print(json.dumps(found.as_dict()), flush=True)
        return
    if found.same_sweep:
        print("A and B are the same sweep, which does not differ from itself\n")
    for one in found.differences:
        print(f"different {one.what}: {one.a} in A, {one.b} in B")
    if found.differences:
        print("what follows may come of that\n")
    for name, only in (("A", found.only_a), ("B", found.only_b)):
        if only:
            print(f"only in {name}: {'; '.join(map(describe, only))}")
    _print_columns(
        [
            ("ORIENTATION", "CHUNK", "PUTS", "A ROWS/S", "B ROWS/S", "B/A", "95 %", ""),
            *(
                (
                    one.setting.orientation,
                    size(one.setting.chunk_size),
                    str(one.setting.concurrency),
                    f"{statistics.median(one.a):,.0f}",
                    f"{statistics.median(one.b):,.0f}",
                    f"{one.ratio.value:.3f}",
                    _interval(one.ratio),
                    str(one.ratio.verdict),
                )
                for one in found.settings
            ),
        ]
    )
    print(f"overall: {_overall(found.overall)}")
    print(_COVERED, flush=True)


_COVERED = """
95 %: so often all settings together are within their intervals, as far as the noise of the runs
goes. What changed on the server or the network between the two sweeps is in no interval: run each
side again, in turns (A, B, A, B), and see whether A differs from A."""


def _interval(ratio: Ratio) -> str:
    return "" if ratio.low is None or ratio.high is None else f"{ratio.low:.3f}-{ratio.high:.3f}"


def _overall(ratio: Ratio) -> str:
    interval = _interval(ratio)
    figures = f"B/A {ratio.value:.3f}" + (f", 95 % within {interval}" if interval else "")
    if ratio.verdict in {Verdict.FASTER, Verdict.SLOWER}:
        return f"B is {ratio.verdict} ({figures})"
    return f"{ratio.verdict} ({figures})"


def _print_columns(rows: Iterable[Sequence[str]]) -> None:
    """Prints rows, each column as wide as its widest text; figures to the right."""
    lines = list(rows)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [
            text.rjust(width) if lines[-1][place][:1].isdigit() else text.ljust(width)
            for place, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
