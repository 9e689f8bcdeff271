"""``mstr-loader bench``: sweeps over settings, and comparisons of sweeps."""

from __future__ import annotations

import contextlib
import os
import signal
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from loader.cli.connection import connect
from loader.cli.garbage import collect_as_usual
from loader.cli.load_options import Ordering, Window
from loader.cli.model_options import ModelFlags
from loader.cli.run_signals import STOP_SIGNALS
from loader.cli.server_options import ServerFlags
from loader.cli.source_options import SourceFlags, Sources
from loader.cli.spread import spread
from loader.cli.values import parse_count, parse_duration, parse_names, parse_size
from loader.errors import EmptySource, LoaderError, UsageError

if TYPE_CHECKING:
    from loader.api import Connection
    from loader.bench import Records, Stopper
    from loader.job import LoadOptions

__all__ = ["bench", "failed"]

_SWEEP, _LOAD, _OUTPUT = "Sweep", "Load", "Output"


class _Command(TyperCommand):
    """``bench SOURCE...``, and ``bench compare``, which is a command of its own."""

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **more: Any) -> Any:
        if args[:1] == ["compare"]:
            other = typer.main.get_command(_compare)
            return other.make_context(f"{info_name} compare", args[1:], *rest, **more)
        return super().make_context(info_name, args, *rest, **more)


bench = typer.Typer(add_completion=False)
_compare = typer.Typer(add_completion=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepFlags:
    """What to try, and how often, as typed by the user."""

    orientation: Annotated[
        str,
        typer.Option(
            metavar="A,B", help="How chunks arrange values: column, row.", rich_help_panel=_SWEEP
        ),
    ] = "column,row"
    chunk_size: Annotated[
        str,
        typer.Option(
            metavar="SIZE,...", help="JSON bytes wanted in a chunk.", rich_help_panel=_SWEEP
        ),
    ] = "25MB,50MB,100MB,200MB"
    concurrency: Annotated[
        str, typer.Option(metavar="N,...", help="PUTs at once.", rich_help_panel=_SWEEP)
    ] = "1,2,4,8"
    repeat: Annotated[
        int,
        typer.Option(min=1, help="How often each combination is run.", rich_help_panel=_SWEEP),
    ] = 3
    time_budget: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="How long all of it may take: 90s, 30m, 8h; what it cannot afford is left out.",
            rich_help_panel=_SWEEP,
        ),
    ] = "30m"
    seed: Annotated[
        int | None,
        typer.Option(help="Of the order of the runs; default: any.", rich_help_panel=_SWEEP),
    ] = None

    def options(self) -> dict[str, Any]:
        """Returns the arguments of ``sweep`` that the texts mean.

        Raises:
            UsageError: A text means nothing.
        """
        budget = parse_duration("--time-budget", self.time_budget)
        if not budget:
            raise UsageError("--time-budget must be above 0", hint="write it as 90s, 30m or 8h")
        sizes = parse_names("--chunk-size", self.chunk_size)
        counts = parse_names("--concurrency", self.concurrency)
        return {
            "orientations": parse_names("--orientation", self.orientation),
            "chunk_sizes": [parse_size("--chunk-size", text) for text in sizes],
            "concurrencies": [_puts(text) for text in counts],
            "repeat": self.repeat,
            "time_budget": budget,
            "seed": self.seed,
        }


def _puts(text: str) -> int:
    try:
        return parse_count("--concurrency", text)
    except UsageError as error:
        # A load takes auto as well; here it would not say which setting was measured.
        raise UsageError(
            f"--concurrency: {text!r} is not a number above 0; bench tries the numbers that are "
            "named",
            hint="write it as 4, or several as 1,2,4,8",
        ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedFlags:
    """What is the same in all runs, as typed by the user."""

    memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Memory of the process of a run; default: 1GB, or 80 % of a smaller container. "
            "Combinations that it does not hold are left out.",
            rich_help_panel=_LOAD,
        ),
    ] = None
    ordering: Ordering = "windowed"
    window: Window = None
    folder_id: Annotated[
        str | None,
        typer.Option(
            help="Folder of the scratch dataset; default: My Reports.", rich_help_panel=_LOAD
        ),
    ] = None

    def options(self) -> LoadOptions:
        """Returns the options of a load that the texts mean.

        Raises:
            UsageError: A text means nothing.
        """
        memory = self.memory
        options: LoadOptions = {
            "memory": None if memory is None else parse_size("--memory", memory),
            "ordering": self.ordering,
            "window": self.window,
            "folder_id": self.folder_id,
        }
        return options


@bench.command("bench", cls=_Command)
@spread
def sweep(
    *,
    context: typer.Context,
    sources: Sources,
    server: ServerFlags,
    source: SourceFlags,
    varied: SweepFlags,
    fixed: FixedFlags,
    model: ModelFlags,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="New file for the records (JSON lines); default: one in the state directory.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the report, an HTML page; an older one is replaced.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print the result as one JSON object.", rich_help_panel=_OUTPUT
        ),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug",
            help="Show tracebacks, and log the requests before and after the runs, not theirs.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
) -> int:
    """Measure how fast the server takes data, and with which settings.

    Every combination of --orientation, --chunk-size and --concurrency loads the sources several
    times, in random order, into a dataset of its own, which is deleted at the end.

    mstr-loader bench compare A B compares the records of two such sweeps.
    """
    from loader import bench as room  # noqa: PLC0415 - keeps --help fast: pyarrow, aiohttp
    from loader.cli.bench_printer import BenchPrinter, print_sweep  # noqa: PLC0415 - the same
    from loader.cli.bench_words import command_words, new_file  # noqa: PLC0415 - the same

    collect_as_usual()
    arguments = varied.options()
    options: LoadOptions = {**source.options(), **fixed.options(), **model.options()}
    if report is not None:
        from loader.bench.report import check_report  # noqa: PLC0415 - only --report needs it

        if out is not None and os.path.realpath(out) == os.path.realpath(report):
            raise UsageError(
                f"--out and --report both name {out}", hint="the report is another file: name one"
            )
        check_report(report)
    error: LoaderError | None = None
    stopper = room.Stopper()
    with _server(context, server) as connection, _stopped_by_signals(stopper):
        records_file = out or new_file()
        printer = BenchPrinter()
        try:
            records: Records | None = room.sweep(
                sources,
                connection=connection,
                out=records_file,
                command=command_words(context),
                watcher=printer,
                stopper=stopper,
                **arguments,
                **options,
            )
        except LoaderError as failure:
            error, records = failure, failure.result
            if isinstance(error, EmptySource):
                # A load can be told to take it, which measures nothing.
                error.hint = "name sources with rows"
        printer.clear()
    if debug and error is not None:
        traceback.print_exception(error)
    warnings = [] if report is None or records is None else _write_report(records, report, error)
    print_sweep(
        records,
        error,
        out=records_file if records is not None and records_file.exists() else None,
        report=None if warnings else report,
        warnings=warnings,
        as_json=as_json,
    )
    return 0 if error is None else error.exit_code


@_compare.command("compare")
def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="Records of a sweep (bench --out).")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Records that are compared with them.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,  # noqa: ARG001 - read by main()
) -> None:
    """Compare two sweeps: is B faster than A, and may one say so?

    The intervals are of the noise of the runs (bootstrap over repetitions): where nothing differs
    but that, no setting seems to in 95 of 100 comparisons, however many settings there are.

    They cannot know what changed on the server or the network between the two sweeps. Run each
    side more than once, in turns (A, B, A, B), and compare A with A too: what differs there is no
    difference between A and B.

    What else differs, such as the server, the source or the host, is named first.
    """
    from loader import bench as room  # noqa: PLC0415 - keeps --help fast: numpy
    from loader.cli.bench_printer import print_comparison  # noqa: PLC0415 - the same

    print_comparison(room.compare(room.read_records(a), room.read_records(b)), as_json=as_json)


def failed(error: LoaderError, arguments: Sequence[str]) -> dict[str, Any]:
    """Returns what ``--json`` prints where the command line came to no result."""
    if arguments[:1] == ["compare"]:
        from loader.bench import comparison  # noqa: PLC0415 - keeps --help fast: numpy

        return comparison.failed_comparison(error)
    from loader.cli.bench_printer import failed_sweep  # noqa: PLC0415 - the same

    return failed_sweep(error)


def _write_report(records: Records, path: Path, ended_by: LoaderError | None) -> list[str]:
    """Writes the report; returns what went wrong, which hides nothing of what was measured."""
    from loader.bench.report import write_report  # noqa: PLC0415 - only --report needs it

    try:
        write_report(records, path, ended_by)
    except LoaderError as error:
        return [error.message]
    except Exception as error:  # noqa: BLE001 - an hour's measurements must not end in a traceback
        return [f"no report was written: {type(error).__name__}: {error}"]
    return []


@contextlib.contextmanager
def _server(context: typer.Context, flags: ServerFlags) -> Iterator[Connection]:
    """Gives the connection; with ``--local`` to a server that keeps nothing."""
    if not flags.local:
        yield connect(flags)
        return
    source = context.get_parameter_source("url")
    if source is not None and source.name == "COMMANDLINE":
        raise UsageError(
            "--url is for another server than that of --local", hint="leave one of them out"
        )
    from loader.api import Connection  # noqa: PLC0415 - only --local needs them here
    from loader.emulator.process import EmulatorProcess  # noqa: PLC0415 - the same

    with EmulatorProcess() as server:
        project = flags.project or "MicroStrategy Tutorial"
        yield Connection(server.url, username="administrator", project=project)


@contextlib.contextmanager
def _stopped_by_signals(stopper: Stopper) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM ends the run under way in order, the second waits no more."""
    said = iter(
        (
            b"\nstopping, and deleting the scratch dataset; again to wait no more\n",
            b"\nwaiting no more; what stays on the server is named at the end\n",
        )
    )

    def stop(_number: int, _frame: object) -> None:
        stopper.wish()
        # Not print: the signal may have come in the middle of one.
        with contextlib.suppress(OSError):
            os.write(2, next(said, b""))

    numbers = [one for one in STOP_SIGNALS if signal.getsignal(one) is not signal.SIG_IGN]
    for number in numbers:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in numbers:
            # All that is left is to say what happened, which a signal must not keep it from.
            signal.signal(number, _too_late)


def _too_late(_number: int, _frame: object) -> None:
    """Does nothing: the sweep has ended."""
