"""Loads one foreign file into an emulator and compares what is stored with another reading."""

from __future__ import annotations

import dataclasses
import enum
import os
import resource
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa

import loader
from loader.emulator import EmulatorOptions
from loader.emulator.archive import Counts
from loader.errors import LoaderError
from tests.cli.harness import PASSWORD, PROJECT, USER, Server
from tests.encode.reading import Number, expected, same, same_text
from tests.foreign.readings import Kind, Reading, Unread, canonical, read, told_as_text

_MEMORY = 6 << 30


class End(enum.StrEnum):
    """How the load of a file ended; of these only the first three are fine."""

    EQUAL = "equal"
    REFUSED = "refused"
    UNCHECKED = "unchecked"  # loaded, but no other reader can say whether rightly
    DIFFERS = "differs"
    DEFECT = "defect"
    CRASHED = "crashed"
    HUNG = "hung"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of one file.

    Attributes:
        end: How the load ended.
        rows: How many rows arrived.
        detail: Who read the file as well; the error; or the first difference.
        others: Whether an independent reader can read what was refused.
    """

    end: End
    rows: int
    detail: str
    others: str = ""


class _Kept(Counts):
    """Keeps the chunks as the emulator has decoded them."""

    def __init__(self) -> None:
        super().__init__()
        self.chunks: dict[int, list[pa.Table]] = {}

    def stage(
        self, session_id: str, table: Any, index: int, data: Any, *, append: bool = False
    ) -> None:
        super().stage(session_id, table, index, data, append=append)
        self.chunks[index] = [*(self.chunks.get(index, ()) if append else ()), data]

    def columns(self) -> dict[str, list[Any]]:
        """The stored values of each column, canonical."""
        columns: dict[str, list[Any]] = {}
        for index in sorted(self.chunks):
            for part in self.chunks[index]:
                for name, column in zip(part.column_names, part.columns, strict=True):
                    values = columns.setdefault(name, [])
                    for chunk in column.chunks:
                        values += expected(chunk)
        return columns


def confined(path: str, kind: str, answer: Any) -> None:
    """Loads one file within a bounded address space, in a process that may die of it."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answer.send(load(Path(path), Kind(kind)))
    answer.close()
    os._exit(0)  # nothing of what a damaged file left behind is worth an orderly end


def load(path: Path, kind: Kind) -> Outcome:
    """Loads one file and compares."""
    kept = _Kept()
    try:
        with tempfile.TemporaryDirectory() as state:
            os.environ["MSTR_LOADER_STATE"] = state
            options = EmulatorOptions(port=0, password=PASSWORD, ingest="check")
            with Server(options, archive=kept) as server:
                connection = loader.Connection(
                    server.url, username=USER, password=PASSWORD, project=PROJECT
                )
                result = loader.push_sync(
                    {"t": str(path)},
                    connection=connection,
                    dataset="d",
                    format=kind.value,
                    allow_empty=True,
                )
    except LoaderError as error:
        defect = error.kind == "defect"
        told = f"{error.kind}: {error.message.replace(str(path), path.name)}"
        return Outcome(End.DEFECT if defect else End.REFUSED, 0, told, _others(path, kind))
    except Exception as error:  # noqa: BLE001 - any other is a bug to report, whatever it is
        return Outcome(End.DEFECT, 0, f"{type(error).__name__}: {error}", _others(path, kind))
    try:
        reading = read(path, kind)
    except Unread as error:
        return Outcome(End.UNCHECKED, result.rows, str(error))
    different = difference(kept.columns(), reading, result.rows)
    end = End.DIFFERS if different else End.EQUAL
    return Outcome(end, result.rows, different or reading.by)


def _others(path: Path, kind: Kind) -> str:
    try:
        reading = read(path, kind)
    except Unread:
        return "no other reader can"
    return f"{reading.by} reads {reading.rows} rows"


def difference(stored: dict[str, list[Any]], reading: Reading, rows: int) -> str:
    """Returns what differs first, in words; nothing if all is equal."""
    if rows != reading.rows:
        return f"{rows} rows, {reading.by} reads {reading.rows}"
    if not rows:
        return ""
    if list(stored) != list(reading.columns):
        return f"columns {list(stored)}, {reading.by} reads {list(reading.columns)}"
    for name, values in stored.items():
        agrees = _agrees
        if reading.only_text:
            agrees = told_as_text
        elif name in reading.nested:
            agrees = same_text
        for row, (got, want) in enumerate(zip(values, reading.columns[name], strict=True)):
            if not agrees(got, want):
                return f"row {row + 1}, column {name!r}: {got!r}, {reading.by} reads {want!r}"
    return ""


def _agrees(stored: Any, want: Any) -> bool:
    """Whether a stored value is the expected one, whatever type the server keeps it in."""
    if isinstance(want, bool) or want is None or stored is None or isinstance(stored, bool):
        return want is stored
    if isinstance(want, str):
        return isinstance(stored, str) and (stored == want or canonical(stored) == canonical(want))
    return same(Number(stored), want)
