"""Progress on stderr, results on stdout: bars for people, lines for logs, JSON for machines."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from loader.units import size

if TYPE_CHECKING:
    from loader.errors import LoaderError
    from loader.job import Progress, Result

__all__ = ["Printer", "count", "listened_to", "make_printer", "print_error", "print_result"]


def count(number: int, noun: str) -> str:
    """Returns 1 row, 2,000 rows."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def clock_time(seconds: float) -> str:
    """Returns a duration as h:mm:ss, without hours where there are none."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


# Everything is accepted by then.
_AFTER_THE_UPLOAD = {"publishing", "verifying", "closing"}


class Forecast:
    """Rate and remaining time of an upload, from what the server has accepted so far."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began: float | None = None
        self._rate = 0.0
        self._over = False

    def read(self, progress: Progress) -> tuple[float, float | None]:
        """Returns accepted JSON bytes a second, and the seconds left where they are known.

        After the upload the rate stays as it was, and nothing is left.
        """
        was_over, self._over = self._over, progress.phase in _AFTER_THE_UPLOAD
        if was_over and self._over:
            return self._rate, None
        self._rate = self._rate_until(self._clock(), progress)
        total = expected_bytes(progress)
        if not self._rate or total is None or self._over:
            return self._rate, None
        return self._rate, max(0.0, total - progress.accepted_bytes) / self._rate

    def _rate_until(self, now: float, progress: Progress) -> float:
        if not progress.encoded_bytes:
            # Not yet, or not any more: everything has to be sent again.
            self._began = None
        elif self._began is None:
            self._began = now
        if self._began is None or now <= self._began:
            return 0.0
        return (progress.accepted_bytes - progress.earlier_bytes) / (now - self._began)


def expected_bytes(progress: Progress) -> float | None:
    """Returns the JSON bytes of the whole load, as far as the rows encoded so far tell."""
    if not progress.rows_total or not progress.rows_encoded:
        return None
    seen = progress.rows_encoded + progress.rows_rejected
    expected = progress.encoded_bytes * max(1.0, progress.rows_total / seen)
    # Chunks add their brackets to the rows: a small load would end at 140 %.
    return max(expected, progress.accepted_bytes)


def doing(progress: Progress) -> str:
    """Returns what a load is doing, with the rows of a scan under way."""
    scanning = progress.phase in {"reading the source", "looking for duplicate keys"}
    if scanning and progress.rows_scanned:
        return f"{progress.phase}, {count(progress.rows_scanned, 'row')} scanned"
    if progress.trouble:
        return f"{progress.phase}, still trying: {progress.trouble}"
    return str(progress.phase)


@contextlib.contextmanager
def listened_to() -> Iterator[None]:
    """Forgives a reader that went away, or a full disk: neither changes what became of a load."""
    for_whom = (sys.stdout, sys.stderr)
    try:
        yield
        for stream in for_whom:
            stream.flush()
    except OSError:
        # What is still buffered would be written, and fail, once more at the end.
        nothing = os.open(os.devnull, os.O_WRONLY)
        for stream in for_whom:
            try:
                stream.flush()
            except OSError:
                os.dup2(nothing, stream.fileno())


class Printer(Protocol):
    """Shows a progress, called about ten times a second."""

    def __enter__(self) -> Self:
        """Starts showing."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def __call__(self, progress: Progress) -> None:
        """Shows how far the load is."""
        ...

    def note(self, text: str) -> None:
        """Says something once."""
        ...


class LinePrinter:
    """One plain line at every change of phase and every few seconds: for logs."""

    INTERVAL = 5.0

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._forecast = Forecast(clock)
        self._phase: object = None
        self._due = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @listened_to()
    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    @listened_to()
    def __call__(self, progress: Progress) -> None:
        now = self._clock()
        rate, left = self._forecast.read(progress)
        if progress.phase is self._phase and now < self._due:
            return
        self._phase = progress.phase
        self._due = now + self.INTERVAL
        parts = [doing(progress)]
        if progress.encoded_bytes:
            total = expected_bytes(progress)
            parts += [
                *([f"{100 * progress.accepted_bytes / total:.0f} %"] if total else []),
                f"encoded {size(progress.encoded_bytes)}",
                f"sent {size(progress.sent_bytes)}",
                f"accepted {size(progress.accepted_bytes)}",
                *([f"{size(rate)}/s"] if rate else []),
            ]
            if left is not None:
                parts.append(f"ETA {clock_time(left)}")
        print(", ".join(parts), file=sys.stderr, flush=True)


class BarPrinter:
    """Three bars on a terminal: encoded, sent and accepted."""

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415 - takes 50 ms that --help does not need
        from rich.progress import BarColumn, TextColumn  # noqa: PLC0415 - the same
        from rich.progress import Progress as Bars  # noqa: PLC0415 - the same

        self._forecast = Forecast()
        self._bars = Bars(
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=32),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
            auto_refresh=False,
        )
        self._tasks = [
            self._bars.add_task(name, total=None, note="")
            for name in ("encoded", "sent", "accepted")
        ]

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    @listened_to()
    def note(self, text: str) -> None:
        self._bars.console.print(text, markup=False, highlight=False)

    @listened_to()
    def __call__(self, progress: Progress) -> None:
        rate, left = self._forecast.read(progress)
        total = expected_bytes(progress)
        counts = (progress.encoded_bytes, progress.sent_bytes, progress.accepted_bytes)
        notes = [size(count) for count in counts]
        if rate:
            notes[-1] += f", {size(rate)}/s"
        if left is not None and progress.phase == "loading":
            notes[-1] += f", ETA {clock_time(left)}"
        notes[-1] += f", {doing(progress)}"
        for task, count, note in zip(self._tasks, counts, notes, strict=True):
            self._bars.update(task, completed=count, total=total, note=note)
        self._bars.refresh()


def make_printer() -> Printer:
    """Returns bars where stderr is a terminal, else lines."""
    return BarPrinter() if sys.stderr.isatty() else LinePrinter()


@listened_to()
def print_result(result: Result, *, as_json: bool) -> None:
    """Prints a result: one JSON object, or a few lines and the error."""
    if as_json:
        print(json.dumps(result.as_dict()), flush=True)
        return
    for warning in result.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if result.time_spent is not None:
        print(f"time: {result.time_spent}", file=sys.stderr)
    if result.time_spent is not None and result.concurrency is not None:
        print(f"concurrency: {result.concurrency}", file=sys.stderr)
    if result.retries and result.error is None:
        print(
            f"retries: {count(result.retries, 'PUT')} sent again, "
            f"{size(result.vain_bytes)} in vain",
            file=sys.stderr,
        )
    if result.advice is not None:
        print(f"advice: {result.advice}", file=sys.stderr)
    if result.error is not None:
        print_error(result.error)
        return
    rate = result.own.json_bytes / result.seconds if result.seconds else 0.0
    print(
        f"{result.status}: {count(result.rows, 'row')} in {count(result.chunks, 'chunk')}, "
        f"{size(result.json_bytes)} of JSON in {result.seconds:.1f} s ({size(rate)}/s)"
    )
    print(f"dataset: {result.dataset} ({result.dataset_id})", flush=True)


def print_error(error: LoaderError) -> None:
    """Prints one message and its hint."""
    print(f"error: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)
