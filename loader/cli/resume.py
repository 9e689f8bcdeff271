"""``mstr-loader resume``: goes on with a load that stopped."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from loader.cli.recorded import recorded_server
from loader.cli.reporting import LoadReport, ReportFile, given
from loader.cli.server_options import ServerFlags
from loader.cli.spread import spread
from loader.cli.values import parse_count, parse_duration, parse_size

if TYPE_CHECKING:
    from loader.job import ResumeOptions

__all__ = ["resume"]

_REST, _OUTPUT = "The rest of the load", "Output"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestFlags:
    """How the rest is loaded, as typed by the user; None: as before."""

    chunk_size: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Other chunks from now on: everything is sent again, unless all of it was.",
            rich_help_panel=_REST,
        ),
    ] = None
    concurrency: Annotated[
        str | None,
        typer.Option(metavar="auto|N", help="PUTs at once.", rich_help_panel=_REST),
    ] = None
    memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Memory of the whole process.", rich_help_panel=_REST),
    ] = None
    ordering: Annotated[
        Literal["windowed", "free", "strict"] | None,
        typer.Option(help="Which chunks may overtake others.", rich_help_panel=_REST),
    ] = None
    window: Annotated[
        int | None,
        typer.Option(
            help="How many chunks may run ahead of the lowest one not accepted.",
            rich_help_panel=_REST,
        ),
    ] = None
    max_rate: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE/s", help="Limit of what goes over the network.", rich_help_panel=_REST
        ),
    ] = None
    retries: Annotated[
        int | None,
        typer.Option(help="How often one call is repeated.", rich_help_panel=_REST),
    ] = None
    retry_deadline: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="For how long after its first failure.", rich_help_panel=_REST
        ),
    ] = None
    publish_timeout: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="How long a publish may take.", rich_help_panel=_REST),
    ] = None
    verify: Annotated[
        bool | None,
        typer.Option(
            "--verify/--no-verify",
            help="Compare the server's row counts with the rows sent.",
            rich_help_panel=_REST,
        ),
    ] = None

    def options(self) -> ResumeOptions:
        """Returns the options that were typed.

        Raises:
            UsageError: A text means nothing.
        """
        rate, count = self.max_rate, self.concurrency
        given: dict[str, Any] = {
            "chunk_size": self.chunk_size and parse_size("--chunk-size", self.chunk_size),
            "memory": self.memory and parse_size("--memory", self.memory),
            "ordering": self.ordering,
            "window": self.window,
            "max_rate": rate and parse_size("--max-rate", rate.removesuffix("/s")),
            "retries": self.retries,
            "retry_deadline": self.retry_deadline
            and parse_duration("--retry-deadline", self.retry_deadline),
            "publish_timeout": self.publish_timeout
            and parse_duration("--publish-timeout", self.publish_timeout),
            "verify": self.verify,
        }
        options: ResumeOptions = {  # type: ignore[assignment]  # the keys are those of the class
            name: value for name, value in given.items() if value is not None
        }
        if count is not None:
            options["concurrency"] = (
                None if count == "auto" else parse_count("--concurrency", count)
            )
        return options


@spread
def resume(
    *,
    context: typer.Context,
    job: Annotated[
        str | None,
        typer.Argument(
            metavar="JOB",
            help="Id of the job, or its beginning; default: the latest unfinished one.",
            show_default=False,
        ),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE",
            help="A source as it was named the first time, where its URI has secrets; all of "
            "them, then.",
        ),
    ] = None,
    server: ServerFlags,
    rest: RestFlags,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print the result as one JSON object.", rich_help_panel=_OUTPUT
        ),
    ] = False,
    report: ReportFile = None,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug", help="Log every request; show tracebacks.", rich_help_panel=_OUTPUT
        ),
    ] = False,
) -> int:
    """Go on with a load that stopped, or publish one that was only uploaded.

    Only what the server does not have is sent. Server, user, project and all settings are those of
    the job; only secrets are asked again.
    """
    from loader.cli.printers import print_result  # noqa: PLC0415 - keeps --help fast
    from loader.cli.run import run_load  # noqa: PLC0415 - the same: pyarrow, aiohttp
    from loader.job.journal.files import in_use, lock_of  # noqa: PLC0415 - the same
    from loader.job.journal.list import read_job  # noqa: PLC0415 - the same
    from loader.job.journal.lock import driver_of  # noqa: PLC0415 - the same
    from loader.job.resuming import (  # noqa: PLC0415 - the same
        check_resumable,
        find_resumable,
        taken_up,
    )

    path = find_resumable(job)
    record = read_job(path)
    check_resumable(record)
    if (driver := driver_of(lock_of(path))) is not None:
        # Before a password is asked for.
        raise in_use(path.stem, driver)
    options = rest.options()
    sources = source or [str(one) for one in record.description.sources]
    wanted = None if report is None else LoadReport(report, sources, given(context, rest))
    with recorded_server(context, server, record.description.server) as connection:
        result = run_load(
            lambda progress: taken_up(
                path,
                connection,
                progress,
                sources=source,
                timeline=wanted is not None,
                **options,
            ),
            as_json=as_json,
        )
        reported = wanted is not None and wanted.write(result, connection)
        if debug and result.error is not None:
            traceback.print_exception(result.error)
        print_result(result, as_json=as_json)
        if reported and not as_json:
            print(f"report: {report}")
    return result.exit_code
