"""``mstr-loader emulator``: runs the local server."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loader.cli.garbage import collect_as_usual
from loader.cli.values import parse_duration, parse_size
from loader.emulator.options import (
    DEFAULT_PORT,
    EmulatorOptions,
    Ingest,
    Order,
    RepeatIndex,
    SessionScope,
    StatusType,
)
from loader.errors import LoaderError, UsageError
from loader.eventloop import loop_factory

if TYPE_CHECKING:
    from collections.abc import Callable

    from loader.emulator.server import Listener

__all__ = ["emulator"]

_EXTRA = ("duckdb", "msgspec")
"""What ``mstr-loader[emulator]`` installs besides the core."""

_LISTEN, _KEEP = "Listening and access", "Data"
_UNKNOWN, _SLOW = "Where nobody knows the real server", "A model of a slow server"
_FAULTS = "Fault injection"

_MB = 1_000_000


def _plain(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _time(option: str) -> Callable[[str], float]:
    """Returns what reads the seconds of an option: ``0.25``, ``120s``, ``2m``."""

    def parse(text: str) -> float:
        number = _plain(text)
        return parse_duration(option, text) if number is None else number

    return parse


def _rate(option: str) -> Callable[[str], float]:
    """Returns what reads the MB/s of an option: ``50``, ``50MB/s``, ``1GB/s``."""

    def parse(text: str) -> float:
        number = _plain(text)
        return parse_size(option, text.removesuffix("/s")) / _MB if number is None else number

    return parse


def emulator(  # noqa: PLR0917 - every parameter is an option; typer takes none by position
    host: Annotated[
        str, typer.Option(help="Address to listen on.", rich_help_panel=_LISTEN)
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port to listen on; 0 takes a free one.", rich_help_panel=_LISTEN)
    ] = DEFAULT_PORT,
    username: Annotated[
        str, typer.Option(help="The one user that may log in.", rich_help_panel=_LISTEN)
    ] = "administrator",
    password_file: Annotated[
        Path | None,
        typer.Option(
            help="File whose first line is the user's password. Or set MSTR_EMULATOR_PASSWORD. "
            "Empty by default, as in the API documents' samples.",
            rich_help_panel=_LISTEN,
        ),
    ] = None,
    anonymous: Annotated[
        bool,
        typer.Option(
            "--anonymous", help="Let everybody in with loginMode 8.", rich_help_panel=_LISTEN
        ),
    ] = False,
    tls_cert: Annotated[
        Path | None,
        typer.Option(
            help="Certificate (PEM); the server then speaks https.", rich_help_panel=_LISTEN
        ),
    ] = None,
    tls_key: Annotated[
        Path | None,
        typer.Option(help="Its key (PEM), if not in the same file.", rich_help_panel=_LISTEN),
    ] = None,
    session_timeout: Annotated[
        float,
        typer.Option(
            help="Seconds without a call after which a login ends.", rich_help_panel=_LISTEN
        ),
    ] = 1800.0,
    max_body: Annotated[
        float,
        typer.Option(
            help="Largest request body in MB; larger ones get 413.", rich_help_panel=_LISTEN
        ),
    ] = 1000.0,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Directory for the DuckDB file with the datasets, kept across restarts; in memory "
            "if not given.",
            rich_help_panel=_KEEP,
        ),
    ] = None,
    keep_sessions: Annotated[
        bool,
        typer.Option(
            "--keep-sessions",
            help="With --data: upload sessions and their chunks survive a restart as well.",
            rich_help_panel=_UNKNOWN,
        ),
    ] = False,
    ingest: Annotated[
        Ingest,
        typer.Option(
            help="store: check and keep. check: check everything, keep nothing. sink: look at each "
            "upload's envelope and length only, for measuring a client.",
            rich_help_panel=_KEEP,
        ),
    ] = Ingest.STORE,
    order: Annotated[
        Order,
        typer.Option(
            help="In which order chunk indices may arrive: any; at most --window ahead of the "
            "lowest missing one; one after the other.",
            rich_help_panel=_UNKNOWN,
        ),
    ] = Order.FREE,
    window: Annotated[
        int | None,
        typer.Option(
            help="With --order window: how far an index may run ahead; default: 16.",
            rich_help_panel=_UNKNOWN,
        ),
    ] = None,
    repeat_index: Annotated[
        RepeatIndex,
        typer.Option(
            help="A chunk index that comes again replaces the first one, is ignored, is added to "
            "it, or is refused.",
            rich_help_panel=_UNKNOWN,
        ),
    ] = RepeatIndex.REPLACE,
    parallel: Annotated[
        bool,
        typer.Option(
            " /--no-parallel",
            help="Refuse a PUT while another one of the same upload session is under way.",
            rich_help_panel=_UNKNOWN,
        ),
    ] = True,
    session_scope: Annotated[
        SessionScope,
        typer.Option(
            help="One open upload session for each dataset, or for each login.",
            rich_help_panel=_UNKNOWN,
        ),
    ] = SessionScope.DATASET,
    status_type: Annotated[
        StatusType,
        typer.Option(
            help="The publish status as the number 1 (the vendor's client needs it) or the string "
            "'1' (the API documents).",
            rich_help_panel=_UNKNOWN,
        ),
    ] = StatusType.NUMBER,
    latency: Annotated[
        float,
        typer.Option(
            help="What each PUT takes besides what depends on its size.",
            parser=_time("--latency"),
            metavar="TIME",
            rich_help_panel=_SLOW,
        ),
    ] = 0.0,
    bandwidth: Annotated[
        float | None,
        typer.Option(
            help="Bytes of request bodies that the wire carries, all connections together: 100MB/s "
            "(a plain number is in MB/s).",
            parser=_rate("--bandwidth"),
            metavar="SIZE/s",
            rich_help_panel=_SLOW,
        ),
    ] = None,
    stream_rate: Annotated[
        float | None,
        typer.Option(
            help="Decoded JSON of one PUT that the server takes in; more PUTs at once are faster, "
            "up to --ingest-rate.",
            parser=_rate("--stream-rate"),
            metavar="SIZE/s",
            rich_help_panel=_SLOW,
        ),
    ] = None,
    ingest_rate: Annotated[
        float | None,
        typer.Option(
            help="Decoded JSON that the server takes in, all PUTs together.",
            parser=_rate("--ingest-rate"),
            metavar="SIZE/s",
            rich_help_panel=_SLOW,
        ),
    ] = None,
    overload: Annotated[
        int | None,
        typer.Option(
            help="PUTs at once that it takes in without getting slower; twice as many halve its "
            "rates.",
            rich_help_panel=_SLOW,
        ),
    ] = None,
    pool: Annotated[
        int | None,
        typer.Option(
            help="Connections that calls are answered with; a call that gets none in 10 s is "
            "answered with 503.",
            rich_help_panel=_SLOW,
        ),
    ] = None,
    answer_limit: Annotated[
        float | None,
        typer.Option(
            help="After so long without an answer a PUT is answered with 504, though the chunk may "
            "be kept later: 120s is what servers have.",
            parser=_time("--answer-limit"),
            metavar="TIME",
            rich_help_panel=_SLOW,
        ),
    ] = None,
    publish_time: Annotated[
        float,
        typer.Option(
            help="What a publish takes besides what depends on its size.",
            parser=_time("--publish-time"),
            metavar="TIME",
            rich_help_panel=_SLOW,
        ),
    ] = 0.0,
    publish_rate: Annotated[
        float | None,
        typer.Option(
            help="Decoded JSON that a publish gets through.",
            parser=_rate("--publish-rate"),
            metavar="SIZE/s",
            rich_help_panel=_SLOW,
        ),
    ] = None,
    faults: Annotated[
        list[str],
        typer.Option(
            "--fault",
            help="What goes wrong, and when: put:nth=3:reset=after-store, "
            "put:rate=0.05:status=503,retry-after=1, publish:outcome=18 (docs/emulator.md). "
            "Repeat it for more.",
            metavar="WHERE[:CONDITION...]:EFFECT",
            rich_help_panel=_FAULTS,
        ),
    ] = (),  # type: ignore[assignment] # typer makes a list of it
    fault_seed: Annotated[
        int, typer.Option(help="What the rates of --fault are drawn with.", rich_help_panel=_FAULTS)
    ] = 0,
    fault_control: Annotated[
        bool,
        typer.Option(
            "--fault-control",
            help="Let programs on this machine add faults at run time: GET, POST and DELETE "
            "/emulator/faults.",
            rich_help_panel=_FAULTS,
        ),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Write a line for each request to standard error.")
    ] = False,
    ready: Annotated[
        bool,
        typer.Option(
            "--ready",
            help="For programs: print one JSON line with url and pid once the server listens, and "
            "end when standard input does.",
        ),
    ] = False,
) -> None:
    """Run a local server that speaks the Push Data API and stores what it is sent in DuckDB.

    It is strict: what it refuses, it refuses with the API's error body and the exact reason. A page
    at its root shows datasets, upload sessions and the last requests. Stop it with Ctrl-C.
    """
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(message)s")
    try:
        _require_extra()
        options = EmulatorOptions(
            host=host,
            port=port,
            username=username,
            password=_password(password_file),
            api_token=os.environ.get("MSTR_EMULATOR_API_TOKEN") or None,
            identity_token=os.environ.get("MSTR_EMULATOR_IDENTITY_TOKEN") or None,
            anonymous=anonymous,
            data=data,
            keep_sessions=keep_sessions,
            ingest=ingest,
            order=order,
            window=window,
            repeat_index=repeat_index,
            parallel=parallel,
            session_scope=session_scope,
            status_type=status_type,
            session_timeout=session_timeout,
            max_body=max_body,
            tls_cert=tls_cert,
            tls_key=tls_key,
            latency=latency,
            bandwidth=bandwidth,
            stream_rate=stream_rate,
            ingest_rate=ingest_rate,
            overload=overload,
            pool=pool,
            answer_limit=answer_limit,
            publish_time=publish_time,
            publish_rate=publish_rate,
            faults=tuple(faults),
            fault_seed=fault_seed,
            fault_control=fault_control,
        )
        _run(options, ready=ready)
    except LoaderError as error:
        if ready:
            _print_line({"error": error.as_dict()})
        raise


def _require_extra() -> None:
    absent = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if absent:
        raise UsageError(
            f"The emulator needs {' and '.join(absent)}, which this installation does not have.",
            hint="pip install 'mstr-loader[emulator]'",
        )


def _password(file: Path | None) -> str:
    if file is None:
        return os.environ.get("MSTR_EMULATOR_PASSWORD", "")
    try:
        return (file.read_text("utf-8").splitlines() or [""])[0]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"The password file {file} cannot be read: {error}.",
            hint="--password-file names a text file whose first line is the password.",
        ) from error


def _run(options: EmulatorOptions, *, ready: bool) -> None:
    # Here and not above: `mstr-loader --help` needs no web server.
    from loader.emulator.server import serve  # noqa: PLC0415

    collect_as_usual()

    def started(listener: Listener) -> None:
        if ready:
            _print_line({"url": listener.url, "pid": os.getpid()})
        else:
            typer.echo(_welcome(listener.url, options))

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve(options, started=started, until_stdin_closes=ready))


def _print_line(value: dict[str, Any]) -> None:
    print(json.dumps(value), flush=True)


def _welcome(url: str, options: EmulatorOptions) -> str:
    root = url.rsplit("/", 1)[0]
    where = f"in {options.data}" if options.data else "in memory: it is gone when the server stops"
    kept = {
        Ingest.STORE: f"Data is kept {where}.",
        Ingest.CHECK: "Data is checked and not kept (--ingest check).",
        Ingest.SINK: "Data is neither checked nor kept (--ingest sink).",
    }[options.ingest]
    return (
        f"Push Data API at  {url}\n"
        f"Status page at    {root}/\n"
        f"Load into it      mstr-loader push FILE.parquet --url {url} \\\n"
        f"                    --username {options.username} --project 'MicroStrategy Tutorial'\n"
        f"{kept} Stop with Ctrl-C."
    )
