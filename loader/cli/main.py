"""The command line: one typer application, whose commands only parse and print."""

from __future__ import annotations

import json
import logging
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer

from loader import __version__
from loader.cli.emulator import emulator
from loader.cli.plan import plan
from loader.cli.push import push
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
app.command()(emulator)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"mstr-loader {__version__}")
        raise typer.Exit


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
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    if debug:
        logging.basicConfig(
            level=logging.DEBUG, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s"
        )
    # Until a load has its own handlers, SIGTERM ends like Ctrl-C: with a message and a result.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
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


def _report(error: LoaderError, *, as_json: bool, debug: bool) -> int:
    """Prints an error that came before there was a result."""
    if debug:
        traceback.print_exc()
    if as_json:
        print(json.dumps(_failed(error)), flush=True)
    else:
        print(f"error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
    return error.exit_code


def _failed(error: LoaderError) -> dict[str, Any]:
    from loader.job import Result, status_of  # noqa: PLC0415 - slow to import, needed only here

    return Result(status=status_of(error), error=error).as_dict()
