"""``mstr-loader jobs``: lists the jobs of this host, shows one, and removes the old ones."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loader.cli.values import parse_duration

if TYPE_CHECKING:
    from loader.job.journal.list import JobSummary
    from loader.job.journal.records import JobRecord

__all__ = ["jobs"]

jobs = typer.Typer(
    name="jobs", help="List, show and remove the jobs of this host.", add_completion=False
)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]


@jobs.callback(invoke_without_command=True)
def list_(context: typer.Context, as_json: AsJson = False, debug: Debug = False) -> None:  # noqa: ARG001 - debug is read by main()
    """List the jobs of this host; also show JOB and clean."""
    if context.invoked_subcommand is not None:
        return
    from loader.job.journal.list import list_jobs  # noqa: PLC0415 - keeps --help fast: pyarrow

    found = list_jobs()
    if as_json:
        print(json.dumps({"jobs": [_listed(job) for job in found]}))
    elif found:
        rows = [("JOB", "BEGUN", "STATE", "DATASET", "ROWS", "CHUNKS", ""), *map(_row, found)]
        _print_columns(rows)
    else:
        print("no jobs")


@jobs.command()
def show(
    job: Annotated[str, typer.Argument(metavar="JOB", help="Id of the job, or its beginning.")],
    as_json: AsJson = False,
    debug: Debug = False,  # noqa: ARG001 - read by main()
) -> None:
    """Show all that the journal of a job holds."""
    from loader.job.journal.list import find_job, read_job, summary_of  # noqa: PLC0415 - as above

    path = find_job(job)
    record, summary = read_job(path), summary_of(path)
    if as_json:
        print(json.dumps({**_listed(summary), **_details(record)}))
        return
    _print_columns([(f"{name}:", text) for name, text in _lines(record, summary)])


@jobs.command()
def clean(
    older_than: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only jobs begun before that time: 12h, 7d."),
    ] = None,
    everything: Annotated[
        bool,
        typer.Option("--all", help="Unfinished jobs too, and those that cannot be read."),
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,  # noqa: ARG001 - read by main()
) -> None:
    """Remove the journals of finished jobs; none of a job that a process is driving."""
    from loader.errors import LoaderError  # noqa: PLC0415 - as above
    from loader.job.journal.files import jobs_directory  # noqa: PLC0415 - as above
    from loader.job.journal.list import list_jobs, remove_job  # noqa: PLC0415 - as above

    age = 0.0 if older_than is None else parse_duration("--older-than", older_than)
    before = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=age)
    removed: list[str] = []
    kept: dict[str, str] = {}
    for job in list_jobs():
        if job.created > before and older_than is not None:
            kept[job.id] = "it is younger"
        elif job.driver is not None:
            kept[job.id] = job.hint
        elif not (everything or job.is_finished):
            kept[job.id] = f"it is unfinished: {job.hint}" if job.record else job.hint
        else:
            try:
                remove_job(jobs_directory() / f"{job.id}.sqlite")
                removed.append(job.id)
            except LoaderError as error:
                kept[job.id] = error.message
    if as_json:
        print(json.dumps({"removed": removed, "kept": kept}))
        return
    for name, why in kept.items():
        print(f"kept {name}: {why}")
    print(f"removed {len(removed)} of {len(removed) + len(kept)} jobs")


def _when(moment: dt.datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"


def _row(job: JobSummary) -> Sequence[str]:
    record = job.record
    if record is None:
        return job.id, _when(job.created), "?", "", "", "", job.hint
    dataset = record.dataset
    return (
        job.id,
        _when(job.created),
        _state(record),
        dataset.name if dataset else str(record.description.model.definition.get("name", "")),
        f"{job.rows:,}",
        _chunks(job),
        job.hint,
    )


def _state(record: JobRecord) -> str:
    """Returns the state; for an end that says little on its own, also what it is the end of."""
    if record.state.is_stage or record.state.is_finished:
        return record.state.value
    return f"{record.state.value} ({record.stage.value})"


def _chunks(job: JobSummary) -> str:
    if job.chunks == job.chunks_planned:
        return f"{job.chunks:,}"
    return f"{job.chunks:,} of {job.chunks_planned:,}"


def _print_columns(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)]
        print("  ".join([*cells, row[-1]]).rstrip())


def _listed(job: JobSummary) -> dict[str, Any]:
    """Returns the JSON of a job in a list."""
    record = job.record
    known: dict[str, Any] = {}
    if record is not None:
        dataset = record.dataset
        known = {
            "state": record.state.value,
            "stage": record.stage.value,
            "url": record.description.server.url,
            "project": record.description.server.project,
            "dataset": dataset.name if dataset else None,
            "dataset_id": dataset.id if dataset and not dataset.deleted else None,
            "session": record.session.id if record.session else None,
            "rows": job.rows,
            "chunks": job.chunks,
            "chunks_planned": job.chunks_planned,
            "end": asdict(record.end) if record.end else None,
        }
    return {
        "job": job.id,
        "created": job.created.isoformat(),
        "finished": job.is_finished,
        "driver": asdict(job.driver) if job.driver else None,
        "problem": job.problem,
        "hint": job.hint,
        **known,
    }


def _details(record: JobRecord) -> dict[str, Any]:
    """Returns the JSON of what a list does not tell."""
    return {
        "version": record.version,
        "encoder": record.encoder,
        "host": record.host,
        "description": asdict(record.description),
        "model": asdict(record.dataset.model) if record.dataset else None,
        "sessions": [asdict(session) for session in record.sessions],
        "chunk_list": [{**asdict(one), "digest": one.digest.hex()} for one in record.chunks],
        "rows_before": record.before,
        "transitions": [
            {"at": step.at, "from": step.old, "to": step.new, "note": step.note}
            for step in record.transitions
        ],
    }


def _lines(record: JobRecord, job: JobSummary) -> Iterator[tuple[str, str]]:
    """Yields what people want to know of a job, by names."""
    description = record.description
    yield "job", record.id
    yield "begun", f"{_when(job.created)} on {record.host}, by version {record.version}"
    yield "state", _state(record)
    for source in description.sources:
        note = "" if source.whole else " (to be named again)"
        yield "source", f"{source}{note}"
    server = description.server
    yield "server", server.url + (f", user {server.username}" if server.username else "")
    if server.project:
        yield "project", server.project
    if record.dataset:
        gone = ", deleted again" if record.dataset.deleted else ""
        made = ", created by this job" if record.dataset.created else ""
        yield "dataset", f"{record.dataset.name} ({record.dataset.id}{made}{gone})"
    for session in record.sessions:
        yield "session", f"{session.id} ({'open' if session.open else 'ended'})"
    yield "rows", f"{job.rows:,}"
    yield "chunks", _chunks(job)
    for step in record.transitions:
        moment = _when(dt.datetime.fromisoformat(step.at))
        yield "step", f"{moment} {step.new.value}" + (f": {step.note}" if step.note else "")
    if record.end and record.end.message:
        yield "error", record.end.message
        if record.end.hint:
            yield "hint", record.end.hint
    if job.hint:
        yield "now", job.hint
