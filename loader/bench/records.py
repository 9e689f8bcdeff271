"""The records of a sweep: what is kept of each run, one JSON object a line."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, get_type_hints

import msgspec

from loader.errors import UsageError

if TYPE_CHECKING:
    from loader.job.timing import ChunkTimes

__all__ = [
    "SIZES",
    "TIMELINE_LIMIT",
    "Environment",
    "Failure",
    "Recommendation",
    "Record",
    "RecordFile",
    "Records",
    "Run",
    "Setting",
    "Skipped",
    "SourceTable",
    "read_records",
    "to_line",
]

TIMELINE_LIMIT: Final = 500
"""The most chunks of a run whose times are kept: more than a chart can show."""


SIZES: Final = frozenset({"memory", "max_rate"})
"""Settings of an environment that are bytes."""

_MOST: Final = 10**20
"""More than any figure of a record: bytes, rows, seconds, or how many of them in a second."""


@dataclass(frozen=True, slots=True, order=True)
class Setting:
    """What a sweep varies.

    Attributes:
        orientation: ``column`` or ``row``.
        chunk_size: Bytes of JSON wanted in a chunk.
        concurrency: Most PUTs at once.
    """

    orientation: str
    chunk_size: int
    concurrency: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTable:
    """One table of the source.

    Attributes:
        name: The table.
        rows: Its rows; None: unknown until they are read.
        columns: Number of its columns.
    """

    name: str
    rows: int | None
    columns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What a sweep ran on, with and against; the first record of a file.

    Attributes:
        sweep: Id of the sweep, unique.
        started: When it began: ISO 8601, UTC.
        loader: Version of the loader.
        python: Version of Python.
        pyarrow: Version of pyarrow.
        orjson: Version of orjson.
        aiohttp: Version of aiohttp.
        compiled: Whether the compiled encoder was used.
        platform: Operating system and machine.
        cores: Processors that the loader may use.
        memory: The host's (or its cgroup's) memory in bytes; None: unknown.
        server: The server's address without secrets.
        server_version: What the server says of its version; None: nothing.
        round_trip: Median of several small calls in seconds; None: not measured.
        sources: The sources as they were named, without secrets.
        tables: The tables that they are.
        settings: What was the same in all runs: ``repeat``, ``seed``, ``limit``, ``time_budget``
            (seconds) and the options of a load that were given.
    """

    sweep: str
    started: str
    loader: str
    python: str
    pyarrow: str
    orjson: str
    aiohttp: str
    compiled: bool
    platform: str
    cores: int
    memory: int | None
    server: str
    server_version: str | None
    round_trip: float | None
    sources: tuple[str, ...]
    tables: tuple[SourceTable, ...]
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a run failed.

    Attributes:
        kind: The class of the error.
        message: What, where and why.
    """

    kind: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One load with one setting; of a failed one what is known, the rest is 0.

    Attributes:
        number: Its place in the order of running, from 0: the warm-up run.
        order: Its place in its repetition's order, from 1; 0: the warm-up run.
        orientation: ``column`` or ``row``.
        chunk_size: Bytes of JSON wanted in a chunk.
        concurrency: Most PUTs at once.
        repeat: Which repetition it belongs to, from 1; 0: the warm-up run.
        warm_up: Whether it does not count.
        rows: Rows accepted by the server.
        chunks: Chunks accepted by the server.
        json_bytes: Their decoded JSON.
        wire_bytes: Bytes of PUT bodies, repeats included.
        retries: PUTs sent again.
        upload_seconds: From the first read to the last 2xx.
        publish_seconds: From the publish call to status 1.
        rows_per_second: ``rows / upload_seconds``.
        json_rate: ``json_bytes / upload_seconds``.
        wire_rate: ``wire_bytes / upload_seconds``.
        put_p50: Median of the PUTs in seconds.
        put_p95: Their 95th percentile.
        put_p99: Their 99th percentile.
        stages: The fields of ``loader.job.timing.StageTimes`` by their names; seconds, but for
            ``encoders`` and ``senders``.
        cpu_seconds: User and system time of the run's process, its start included.
        peak_memory: Most resident memory of the run's process in bytes.
        timeline: The way of each chunk, thinned to at most 500.
        error: Why it failed; None: it did not.
        began: Seconds since the sweep's start.
    """

    number: int
    order: int
    orientation: str
    chunk_size: int
    concurrency: int
    repeat: int
    warm_up: bool
    began: float
    rows: int = 0
    chunks: int = 0
    json_bytes: int = 0
    wire_bytes: int = 0
    retries: int = 0
    upload_seconds: float = 0.0
    publish_seconds: float = 0.0
    rows_per_second: float = 0.0
    json_rate: float = 0.0
    wire_rate: float = 0.0
    put_p50: float = 0.0
    put_p95: float = 0.0
    put_p99: float = 0.0
    stages: Mapping[str, float] = field(default_factory=dict)
    cpu_seconds: float = 0.0
    peak_memory: int = 0
    timeline: tuple[ChunkTimes, ...] = ()
    error: Failure | None = None

    @property
    def setting(self) -> Setting:
        """What it was run with."""
        return Setting(self.orientation, self.chunk_size, self.concurrency)


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A setting that was not run, in one repetition.

    Attributes:
        orientation: ``column`` or ``row``.
        chunk_size: Bytes of JSON wanted in a chunk.
        concurrency: Most PUTs at once.
        repeat: The repetition that it is missing from, from 1; None: from all of them.
        reason: Why, in words.
    """

    orientation: str
    chunk_size: int
    concurrency: int
    repeat: int | None
    reason: str

    @classmethod
    def of(cls, setting: Setting, repeat: int | None, reason: str) -> Self:
        """Returns the record of a setting."""
        return cls(
            orientation=setting.orientation,
            chunk_size=setting.chunk_size,
            concurrency=setting.concurrency,
            repeat=repeat,
            reason=reason,
        )

    @property
    def setting(self) -> Setting:
        """What was not run."""
        return Setting(self.orientation, self.chunk_size, self.concurrency)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """The setting to load with.

    Attributes:
        orientation: ``column`` or ``row``.
        chunk_size: Bytes of JSON wanted in a chunk.
        concurrency: Most PUTs at once.
        rows_per_second: Its median.
        reason: Why this one, in words.
        command: A ``mstr-loader push`` command line to copy, without secrets.
    """

    orientation: str
    chunk_size: int
    concurrency: int
    rows_per_second: float
    reason: str
    command: str

    @property
    def setting(self) -> Setting:
        """What is recommended."""
        return Setting(self.orientation, self.chunk_size, self.concurrency)


Record = Environment | Run | Skipped | Recommendation
"""A line of a file."""

_KINDS: Final[Mapping[str, type[Record]]] = {
    "environment": Environment,
    "run": Run,
    "skipped": Skipped,
    "recommendation": Recommendation,
}
_NAMES: Final = {kind: name for name, kind in _KINDS.items()}


@dataclass(frozen=True, slots=True)
class Records:
    """All records of a sweep.

    Attributes:
        environment: What it ran on.
        runs: In the order of running, failed ones and the warm-up run too.
        skipped: What was not run.
        recommendation: None: the sweep was killed, or no setting ran without a failure.
    """

    environment: Environment
    runs: tuple[Run, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    recommendation: Recommendation | None = None

    @property
    def counted(self) -> tuple[Run, ...]:
        """The runs to draw conclusions from: neither warm-up nor failed."""
        return tuple(run for run in self.runs if not run.warm_up and run.error is None)


class RecordFile:
    """Writes records to a new file, each of them at once: a killed sweep keeps what it measured.

    A file into which nothing could be written is taken away again.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Creates the file.

        Raises:
            UsageError: There is such a file already, or it cannot be created.
        """
        self.path = Path(path)
        try:
            # Without a buffer: what a full disk refused must not be tried again when it is closed.
            self._file = self.path.open("xb", buffering=0)
        except FileExistsError:
            raise UsageError(
                f"--out: {self.path} exists already, and measurements are not overwritten",
                hint="name a new file, or take the old one away",
            ) from None
        except OSError as error:
            raise UsageError(
                f"--out: {self.path} cannot be written: {error.strerror}",
                hint="name a file in a directory that can be written to",
            ) from error
        self._size = 0

    def append(self, record: Record) -> None:
        """Writes a record, all of it or nothing.

        Raises:
            UsageError: It cannot be written; the file is closed.
        """
        line = memoryview(to_line(record).encode("ascii"))
        try:
            while line:
                line = line[self._file.write(line) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(self._size)
            with contextlib.suppress(OSError):
                self._close()
            raise self._unwritable(error) from error
        self._size = self._file.tell()

    def _unwritable(self, error: OSError) -> UsageError:
        return UsageError(
            f"the records cannot be written to {self.path}: {error.strerror}",
            hint="make room, or name a file elsewhere with --out",
            records=str(self.path),
        )

    def _close(self) -> None:
        if not self._file.closed and not self._size:
            self.path.unlink(missing_ok=True)
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        try:
            self._close()
        except OSError as failure:  # some network file systems find out only now
            if error is None:
                raise self._unwritable(failure) from failure


def to_line(record: Record) -> str:
    """Returns a record as a line of JSON, in ASCII: names of files may be no valid Unicode."""
    members = {item.name: getattr(record, item.name) for item in fields(record)}
    return json.dumps(msgspec.to_builtins({"kind": _NAMES[type(record)], **members})) + "\n"


def read_records(path: str | os.PathLike[str]) -> Records:
    """Returns the records of a file that ``bench --out`` wrote.

    A torn last line is passed over: the sweep was killed while it wrote it. So are kinds of records
    and members that a later version may add.

    Raises:
        UsageError: There is no such file, or it is none of that kind.
    """
    try:
        lines = Path(path).read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}",
            hint="name a file that mstr-loader bench --out wrote",
        ) from error
    found: list[Record] = []
    for number, line in enumerate(lines, 1):
        try:
            record = _record(line)
        except (ValueError, RecursionError, msgspec.ValidationError) as error:
            if number == len(lines) and not line.endswith(b"\n"):
                break
            raise UsageError(
                f"{path}, line {number} is no record of a sweep: {error}",
                hint="name a file that mstr-loader bench --out wrote",
            ) from error
        if record is not None:
            found.append(record)
    return _collected(found, path)


def _record(line: bytes) -> Record | None:
    given = json.loads(line, parse_float=_finite, parse_constant=_finite)
    if not isinstance(given, dict) or not isinstance(given.get("kind"), str):
        raise ValueError("it has no kind")  # noqa: TRY004 - as of any other wrong line
    kind = _KINDS.get(given["kind"])
    if kind is None:
        return None
    members = {
        name: msgspec.convert(given[name], hint)
        for name, hint in _hints(kind).items()
        if name in given
    }
    try:
        record = kind(**members)
    except TypeError as error:
        raise ValueError(str(error)) from error
    _check(record)
    return record


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no figure of a run")
    return number


def _check(record: Record) -> None:
    """Makes sure of the figures: what is told of them is worked out, and must not overflow.

    Raises:
        ValueError: One of them cannot have been measured.
    """
    for item in fields(record):
        figure = getattr(record, item.name)
        if isinstance(figure, int | float) and not 0 <= figure <= _MOST:
            raise ValueError(f"its {item.name} is none that is measured")
    if isinstance(record, Run) and 0 < record.rows_per_second < 1 / _MOST:
        raise ValueError("its rows_per_second is none that is measured")


def _hints(kind: type[Record]) -> dict[str, Any]:
    # Not above: building and writing records must not need the loads' modules.
    from loader.job.timing import ChunkTimes  # noqa: PLC0415

    return get_type_hints(kind, localns={"ChunkTimes": ChunkTimes})


def _collected(found: list[Record], path: str | os.PathLike[str]) -> Records:
    environments = [record for record in found if isinstance(record, Environment)]
    if len(environments) != 1:
        raise UsageError(
            f"{path} has the records of {len(environments)} sweeps, not of one",
            hint="name a file that mstr-loader bench --out wrote",
        )
    recommendations = [record for record in found if isinstance(record, Recommendation)]
    return Records(
        environment=environments[0],
        runs=tuple(record for record in found if isinstance(record, Run)),
        skipped=tuple(record for record in found if isinstance(record, Skipped)),
        recommendation=recommendations[-1] if recommendations else None,
    )
