"""The command line: one typer application, whose commands only parse and print."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from loader import __version__
from loader.cli.cancel import cancel
from loader.cli.emulator import emulator
from loader.cli.jobs import jobs
from loader.cli.plan import plan
from loader.cli.printers import listened_to, print_error
from loader.cli.push import push
from loader.cli.resume import resume
from loader.cli.run_signals import STOP_SIGNALS
from loader.errors import Defect, Interrupted, LoaderError, UsageError

__all__ = ["app", "main"]

# typer carries a copy of click of its own and exports only some of its exceptions.
_ClickError: Any = next(
    base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException"
)

app = typer.Typer(
    name="mstr-loader",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(push)
app.command()(plan)
app.add_typer(jobs)
app.command()(resume)
app.command()(cancel)
app.command()(emulator)


def _version(wanted: bool) -> None:
    if wanted:
        print(
            f"mstr-loader {__version__} ({'compiled' if _is_compiled() else 'no compiled'} encoder)"
        )
        raise typer.Exit


def _is_compiled() -> bool:
    """Looks for the compiled encoder without loading it: its package takes half a second."""
    return PathFinder.find_spec("_native", [str(Path(__file__).parents[1] / "encode")]) is not None


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """Load very large Parquet and CSV files into MicroStrategy (Strategy) datasets."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and ends the process with the exit code of the contract."""
    _occupy_standard_files()
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    if debug:
        logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
        # Ours alone: other libraries log URIs with the secrets in them.
        logging.getLogger("loader").setLevel(logging.DEBUG)
    # Until a load has its own handlers, each of these ends with a message and a result.
    for number in STOP_SIGNALS:
        # nohup's wish to go on after a hang-up is respected.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)
    try:
        code = app(given, prog_name="mstr-loader", standalone_mode=False)
    except LoaderError as error:
        code = _report(error, as_json="--json" in given, debug=debug)
    except _ClickError as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "mstr-loader"
        wrong = UsageError(str(error.format_message()), hint=f"see: {command} --help")
        code = _report(wrong, as_json="--json" in given, debug=debug)
    except (typer.Abort, KeyboardInterrupt):
        code = _report(Interrupted("stopped"), as_json="--json" in given, debug=debug)
    except Exception as error:  # noqa: BLE001 - the last resort: a message instead of a traceback
        defect = Defect(
            f"a defect in mstr-loader: {type(error).__name__}: {error}",
            hint="--debug shows the traceback, which belongs into a bug report",
        )
        code = _report(defect, as_json="--json" in given, debug=debug)
    sys.exit(code if isinstance(code, int) else 0)


def _stop(_number: int, _frame: object) -> None:
    # Not KeyboardInterrupt, which typer would turn into a silent exit.
    raise Interrupted("stopped", hint="run the same command again")


def _occupy_standard_files() -> None:
    """Opens what the caller has closed: sockets must not get the numbers of standard files."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is this one.
            os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def _report(error: LoaderError, *, as_json: bool, debug: bool) -> int:
    """Prints an error that came before there was a result."""
    if debug:
        traceback.print_exc()
    with listened_to():
        if as_json:
            print(json.dumps(_failed(error)), flush=True)
        else:
            print_error(error)
    return error.exit_code


def _failed(error: LoaderError) -> dict[str, Any]:
    from loader.job import Result, status_of  # noqa: PLC0415 - slow to import, needed only here

    return Result(status=status_of(error), error=error).as_dict()
