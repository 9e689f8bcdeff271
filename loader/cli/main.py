"""The command line: one typer application, whose commands only parse and print."""

from __future__ import annotations

import importlib
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
from typer.core import TyperCommand

from loader.cli.garbage import collect_seldom
from loader.cli.printers import listened_to, print_error
from loader.cli.run_signals import STOP_SIGNALS
from loader.errors import Defect, Interrupted, LoaderError, UsageError
from loader.version import __version__

__all__ = ["COMMANDS", "app", "main", "read_command"]

COMMANDS = {
    "push": "Load Parquet, CSV or Arrow files into a dataset and publish it.",
    "plan": "Show what would be sent: model, example values, sizes, chunks and memory; no network.",
    "resume": "Go on with a load that stopped, or publish one that was only uploaded.",
    "cancel": "Give an unfinished job up: end its upload session on the server.",
    "emulator": "Run a local server that speaks the Push Data API and stores what it is sent in "
    "DuckDB.",
    "bench": "Measure how fast the server takes data, and with which settings.",
    "jobs": "List, show and remove the jobs of this host.",
}
"""What each command does; it is ``loader.cli.NAME.NAME``, which its own help describes in full."""

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


class _Later(TyperCommand):
    """Stands for a command until it is called: no command waits for the imports of another."""

    def make_context(self, info_name: str | None, *arguments: Any, **settings: Any) -> Any:
        assert self.name is not None
        return read_command(self.name).make_context(info_name, *arguments, **settings)


def read_command(name: str) -> Any:
    """Returns one of ``COMMANDS``, imported; what typer calls a Click command."""
    found = getattr(importlib.import_module(f"loader.cli.{name}"), name)
    if not isinstance(found, typer.Typer):
        alone = typer.Typer(add_completion=False)
        alone.command(name)(found)
        found = alone
    return typer.main.get_command(found)


for _name, _summary in COMMANDS.items():
    app.command(_name, cls=_Later, help=_summary)(lambda: None)


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
    if arguments is None:
        _own_process()
    given = list(sys.argv[1:] if arguments is None else arguments)
    if "--debug" in given:
        logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
        # Ours alone: other libraries log URIs with the secrets in them.
        logging.getLogger("loader").setLevel(logging.DEBUG)
    # Until a load has its own handlers, each of these ends with a message and a result.
    for number in STOP_SIGNALS:
        # nohup's wish to go on after a hang-up is respected.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)
    try:
        if hasattr(signal, "pthread_sigmask"):
            # What came while this module was imported is answered here (``loader.__main__``).
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        code = app(given, prog_name="mstr-loader", standalone_mode=False)
    except LoaderError as error:
        code = _report(error, given)
    except _ClickError as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "mstr-loader"
        wrong = UsageError(str(error.format_message()), hint=f"see: {command} --help")
        code = _report(wrong, given)
    except (typer.Abort, KeyboardInterrupt):
        code = _report(Interrupted("stopped"), given)
    except Exception as error:  # noqa: BLE001 - the last resort: a message instead of a traceback
        defect = Defect(
            f"a defect in mstr-loader: {type(error).__name__}: {error}",
            hint="--debug shows the traceback, which belongs into a bug report",
        )
        code = _report(defect, given)
    sys.exit(code if isinstance(code, int) else 0)


def _stop(_number: int, _frame: object) -> None:
    # Not KeyboardInterrupt, which typer would turn into a silent exit.
    raise Interrupted("stopped", hint="run the same command again")


def _own_process() -> None:
    """Spares this process work that is of use to other programs only."""
    # numpy's linear algebra, which no load needs, starts a thread a core when it is imported: 65 ms
    # of CPU with two cores. Children inherit this: the local server does not need it either.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    collect_seldom()


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


def _report(error: LoaderError, given: Sequence[str]) -> int:
    """Prints an error that came before there was a result."""
    if "--debug" in given:
        traceback.print_exc()
    with listened_to():
        if "--json" in given:
            print(json.dumps(_failed(error, given)), flush=True)
        else:
            print_error(error)
    return error.exit_code


def _failed(error: LoaderError, given: Sequence[str]) -> dict[str, Any]:
    """Returns the object of a command that came to no result.

    A command whose object is not that of a load has a function ``failed`` beside it, which makes it
    of the error and of the command's own arguments.
    """
    # Where the import itself has failed, so has whatever the module would say.
    module = sys.modules.get(f"loader.cli.{given[0]}") if given else None
    own = getattr(module, "failed", None)
    if own is not None:
        found: dict[str, Any] = own(error, given[1:])
        return found
    from loader.job import Result, status_of  # noqa: PLC0415 - slow to import, needed only here

    return Result(status=status_of(error), error=error).as_dict()
