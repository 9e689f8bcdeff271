"""``--report``: what a report needs beside the result, gathered before the load begins."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loader.errors import LoaderError

if TYPE_CHECKING:
    from loader.api import Connection
    from loader.job import Result

__all__ = ["LoadReport", "ReportFile", "given"]

ReportFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write what the load spent its time on, and the way of each chunk, as an HTML page; "
        "an older file is replaced.",
        rich_help_panel="Output",
    ),
]


def given(context: typer.Context, *groups: Any) -> dict[str, Any]:
    """Returns the options of some groups that the user has named, by their names."""
    return {
        field.name: getattr(group, field.name)
        for group in groups
        for field in dataclasses.fields(group)
        if (source := context.get_parameter_source(field.name)) is not None
        and source.name == "COMMANDLINE"
    }


class LoadReport:
    """The report of one load, from before it begins until it has ended."""

    def __init__(self, path: Path, sources: Sequence[str], options: Mapping[str, Any]) -> None:
        """Begins a report.

        Args:
            path: The HTML file.
            sources: As the user named them.
            options: Those the user named.

        Raises:
            UsageError: It could not be written: an extra is missing, or the file cannot be made.
        """
        from loader.bench.report import check_report  # noqa: PLC0415 - only --report needs it

        check_report(path)
        self.path = path
        self._sources = sources
        self._options = options
        self._started = datetime.now(UTC).isoformat(timespec="seconds")

    def write(self, result: Result, connection: Connection) -> bool:
        """Writes it, and says whether it could: if not, that is a warning of the load's."""
        from loader.bench.host import this_host  # noqa: PLC0415 - only --report needs it
        from loader.bench.report import LoadFacts, write_load_report  # noqa: PLC0415 - the same
        from loader.sources import redacted  # noqa: PLC0415 - the same

        try:
            facts = LoadFacts(
                started=self._started,
                sources=tuple(map(redacted, self._sources)),
                server=connection.url,
                project=connection.project,
                settings=self._options,
                host=this_host(),
            )
            write_load_report(result, facts, self.path)
        except LoaderError as error:
            result.warnings.append(error.message)
        except Exception as error:  # noqa: BLE001 - a report never hides how the load ended
            result.warnings.append(f"no report was written: {type(error).__name__}: {error}")
        else:
            return True
        return False
