"""Keeps the book of bad rows: what is to become of them, where they are written, how many may be.

Rows come in the order of the source, so the first one here is the first one there.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import orjson

from loader.badrow import BadRow
from loader.errors import EmptySource, RejectsUnwritable, TooManyBadRows
from loader.job.settings import BadRowLimit, LoadSettings, OnBadRow
from loader.job.state import state_directory

__all__ = ["Rejects", "check_rejects_file", "remove_rejects"]


@dataclass(slots=True)
class _Share:
    """What was found in one table.

    Attributes:
        rows: Rows read, bad ones included.
        rejected: Bad rows.
        first: The first of these.
    """

    rows: int = 0
    rejected: int = 0
    first: BadRow | None = None


class Rejects:
    """Decides about the bad rows of one load, counts them and writes them down."""

    def __init__(
        self,
        settings: LoadSettings,
        dataset: str,
        *,
        rows: int | None = None,
        job: str | None = None,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        """Opens the book; no file is made before the first bad row.

        Args:
            settings: The policy, the limit and where the file is wanted.
            dataset: The dataset's name, for the name of the file.
            rows: How many rows will be read, where that is known; whether bad ones are among them
                does not matter.
            job: The job's id, for the name of the file.
            now: The time, for the name of the file where there is no job.
        """
        self._policy = settings.on_bad_row
        self._limit = settings.max_bad_rows
        self._rows = rows
        self._shares: dict[str, _Share] = {}
        self._file = _RejectsFile(
            settings.rejects_file,
            lambda: _path_of_job(job) if job else _path_of_load(dataset, now()),
            replaces=settings.rejects_file is None and job is not None,
        )

    def __repr__(self) -> str:
        return f"<Rejects {self.rejected} of {self.read} rows, {self._policy}, {self._file.path}>"

    @property
    def rejected(self) -> int:
        """Bad rows of all tables so far."""
        return sum(share.rejected for share in self._shares.values())

    @property
    def read(self) -> int:
        """Rows read of all tables so far, bad ones included."""
        return sum(share.rows for share in self._shares.values())

    def rejected_of(self, table: str) -> int:
        """Returns the bad rows of a table so far."""
        return self._shares[table].rejected if table in self._shares else 0

    async def take(self, table: str, rows: int, bad: Sequence[BadRow]) -> None:
        """Takes note of the next rows of a table.

        Args:
            table: Its name.
            rows: How many there are, bad ones included.
            bad: The bad ones, in the order of the source.

        Raises:
            BadValue: There is one, and the first one ends the load.
            TooManyBadRows: There are more than the load may leave out, whatever follows.
            RejectsUnwritable: They cannot be written down.
        """
        share = self._shares.setdefault(table, _Share())
        share.rows += rows
        if not bad:
            return
        if self._policy is OnBadRow.FAIL:
            raise bad[0].error(table)
        share.rejected += len(bad)
        share.first = share.first or bad[0]
        if self._policy is OnBadRow.QUARANTINE:
            await asyncio.to_thread(self._file.write, table, bad)
        self._check(None if self._rows is None else self._rows + self.rejected)

    async def finish(self) -> None:
        """Judges all rows, of which none is left to come, and makes sure that the file is on disk.

        Raises:
            TooManyBadRows: There are more than the load may leave out.
            RejectsUnwritable: They cannot be written down.
        """
        self._check(self.read)
        await asyncio.to_thread(self._file.sync)

    async def close(self) -> None:
        """Closes the file, however the load ended."""
        await asyncio.to_thread(self._file.close)

    async def discard(self) -> None:
        """Takes the file away: its rows will be read, and judged, once more.

        Raises:
            RejectsUnwritable: It cannot be removed.
        """
        await asyncio.to_thread(self._file.discard)

    def _check(self, rows: int | None) -> None:
        """Compares with the limit; ``rows`` is the least number of which a share is to be taken.

        The more bad rows, the larger their share of one and the same number of good ones: what is
        too many now stays too many.
        """
        limit = self._limit
        if limit is None or not _exceeds(limit, self.rejected, rows):
            return
        table, first = self._first()
        raise TooManyBadRows(
            f"{self.rejected:,} of the {self.read:,} rows that were read cannot be loaded, and "
            f"--max-bad-rows allows {limit}; the first is {first.error(table).message}",
            hint=self._where_to_look(
                "nothing was published; correct the source, or raise --max-bad-rows"
            ),
            rejected=self.rejected,
            limit=str(limit),
            first=first.as_dict(table),
            rejects_file=self._file.path and str(self._file.path),
        )

    def _first(self) -> tuple[str, BadRow]:
        return next((table, share.first) for table, share in self._shares.items() if share.first)

    def _where_to_look(self, hint: str) -> str:
        return f"{hint}; the rows are in {self._file.path}" if self._file.path else hint

    def all_rejected(self, table: str) -> EmptySource | None:
        """Returns the error for a table that has rows, but no good one."""
        share = self._shares.get(table)
        if share is None or share.first is None or share.rejected < share.rows:
            return None
        return EmptySource(
            f"table {table!r}: all {share.rejected:,} rows were rejected; "
            f"the first is {share.first.error(table).message}",
            hint=self._where_to_look("correct the source, or how it is read"),
            table=table,
            rejected=share.rejected,
            rejects_file=self._file.path and str(self._file.path),
        )

    def warnings(self) -> list[str]:
        """Returns what the user should know about the rows that were left out."""
        path = self._file.path
        written = ""
        if path is not None:
            written = f"; not all of them are in {path}" if self._file.torn else f"; see {path}"
        return [
            f"table {table!r}: {share.rejected:,} of {share.rows:,} rows were left out{written}; "
            f"the first is {share.first.error(table).message}"
            for table, share in self._shares.items()
            if share.first is not None
        ]


def _exceeds(limit: BadRowLimit, rejected: int, rows: int | None) -> bool:
    if limit.rows is not None:
        return rejected > limit.rows
    # As a decimal: the double next to 0.1 % is a little more than that.
    return rows is not None and rejected * 100 > Decimal(str(limit.percent)) * rows


def check_rejects_file(settings: LoadSettings) -> None:
    """Looks, before anything is sent, whether the rejects file that the user named can be made.

    Raises:
        RejectsUnwritable: It is there already, or its directory is not.
    """
    path = settings.rejects_file
    if path is None:
        return
    if os.path.lexists(path):
        raise _exists(path)
    if not path.absolute().parent.is_dir():
        raise RejectsUnwritable(
            f"--rejects-file {path}: there is no directory {path.absolute().parent}",
            hint="make it, or name another file",
            rejects_file=str(path),
        )


def _exists(path: Path) -> RejectsUnwritable:
    return RejectsUnwritable(
        f"the rejects file {path} exists already, and is not overwritten",
        hint="move it away, or name another one with --rejects-file",
        rejects_file=str(path),
    )


def remove_rejects(path: Path, began: dt.datetime) -> None:
    """Takes away the file that an earlier process of a job wrote where the user had wished it.

    Its rows will be judged once more. It was not there when the job began; what is older is not
    the job's.

    Args:
        path: The file.
        began: When the job began.

    Raises:
        RejectsUnwritable: It cannot be removed.
    """
    try:
        if path.stat().st_mtime >= began.timestamp():
            path.unlink()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise RejectsUnwritable(
            f"the rejects file {path}, which this job has written before, cannot be begun anew: "
            f"{error.strerror or error}",
            hint="see to the rights of its directory",
            rejects_file=str(path),
        ) from error


def _path_of_job(job: str) -> Path:
    """Returns where the rejects of a job go: a file that every process of it finds again."""
    return state_directory() / "rejects" / f"{job}.ndjson"


def _path_of_load(dataset: str, now: dt.datetime) -> Path:
    """Returns where those of a load without a job go: a new file for each."""
    name = re.sub(r"[^\w.-]+", "_", dataset).strip("._")[:_LONGEST_NAME] or "dataset"
    return state_directory() / "rejects" / f"{name}-{now:%Y%m%dT%H%M%S.%fZ}.ndjson"


# File names end at 255 bytes, and a character may take four of them.
_LONGEST_NAME = 50


class _RejectsFile:
    """Newline-delimited JSON, one line a row, made with the first one.

    A load that is cancelled closes it while a thread may still write, or be about to.

    Attributes:
        path: Where it is; None before the first row.
        torn: Whether rows are missing in it, because it could not be written.
    """

    def __init__(
        self, wanted: Path | None, default: Callable[[], Path], *, replaces: bool = False
    ) -> None:
        self._wanted = wanted
        self._default = default
        # By its name it belongs to the job: an earlier process of it has begun it.
        self._replaces = replaces
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._closed = False
        self._made = False
        self.path: Path | None = None
        self.torn = False

    def write(self, table: str, rows: Sequence[BadRow]) -> None:
        """Appends rows."""
        lines = memoryview(b"".join(_line(row, table) for row in rows))
        with self._lock:
            if self._closed:
                return
            descriptor = self._open()
            try:
                while lines:
                    lines = lines[os.write(descriptor, lines) :]
            except OSError as error:
                self.torn = True
                raise self._unwritable(error) from error

    def sync(self) -> None:
        """Makes sure that what was written survives a crash of the host."""
        with self._lock:
            if self._descriptor is not None:
                try:
                    os.fsync(self._descriptor)
                except OSError as error:
                    self.torn = True
                    raise self._unwritable(error) from error

    def close(self) -> None:
        """Closes the file, if there is one."""
        with self._lock:
            self._closed = True
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def discard(self) -> None:
        """Closes the file and removes it, if there is one of this load's own making."""
        self.close()
        with self._lock:
            if self._made and self.path is not None:
                try:
                    self.path.unlink(missing_ok=True)
                except OSError as error:
                    raise self._unwritable(error) from error
                self._made = False

    def _open(self) -> int:
        if self._descriptor is None:
            path = (self._wanted or self._default()).absolute()
            try:
                if self._wanted is None:
                    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                if self._replaces:
                    path.unlink(missing_ok=True)
                # Only the user's own eyes: it holds data.
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
                self._descriptor = os.open(path, flags, 0o600)
            except FileExistsError:
                raise _exists(path) from None
            except OSError as error:
                self.path = path
                self.torn = True
                raise self._unwritable(error) from error
            self.path = path
            self._made = True
        return self._descriptor

    def _unwritable(self, error: OSError) -> RejectsUnwritable:
        return RejectsUnwritable(
            f"bad rows could not be written to {self.path}: {error.strerror or error}",
            hint="nothing was published; make room or name another file with --rejects-file, or "
            "leave bad rows out unwritten with --on-bad-row skip",
            rejects_file=str(self.path),
        )


def _line(row: BadRow, table: str) -> bytes:
    written = row.as_dict(table)
    try:
        return orjson.dumps(written, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # half a surrogate pair, which UTF-8 has no bytes for
        return json.dumps(written).encode() + b"\n"
