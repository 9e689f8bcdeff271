"""What a user may set for one load, with the defaults and the reason for each."""

from __future__ import annotations

import enum
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from loader.encode import Orientation
from loader.errors import UsageError
from loader.model import Wishes
from loader.units import MB

__all__ = [
    "BadRowLimit",
    "LoadSettings",
    "MatchColumns",
    "OnBadRow",
    "Ordering",
    "UpdatePolicy",
    "Workflow",
    "default_memory",
]


class UpdatePolicy(enum.StrEnum):
    """How uploaded rows meet the rows that are there (many-requests document, upload session)."""

    REPLACE = "replace"
    ADD = "add"
    UPDATE = "update"
    UPSERT = "upsert"


class Ordering(enum.StrEnum):
    """In which order chunks may reach the server; no document says what it needs."""

    WINDOWED = "windowed"
    FREE = "free"
    STRICT = "strict"


class Workflow(enum.StrEnum):
    """Which of the two documents a load follows."""

    SESSION = "session"
    ONE_REQUEST = "one-request"


class MatchColumns(enum.StrEnum):
    """How the columns of a source find those of an existing dataset."""

    NAME = "name"
    POSITION = "position"


class OnBadRow(enum.StrEnum):
    """What becomes of a row that cannot be loaded."""

    FAIL = "fail"
    SKIP = "skip"
    QUARANTINE = "quarantine"


_LIMIT = re.compile(r"(\d+)|(\d+(?:\.\d+)?)\s*%")


@dataclass(frozen=True, slots=True)
class BadRowLimit:
    """How many bad rows a load may leave out: a number, or a share of all rows that it reads.

    Attributes:
        rows: The number; None: a share is meant.
        percent: The share, from 0 to 100.
    """

    rows: int | None = None
    percent: float = 100.0

    @classmethod
    def parse(cls, text: int | str) -> BadRowLimit:
        """Returns the limit that ``100``, ``"100"`` or ``"0.5%"`` means.

        Raises:
            UsageError: It is none.
        """
        found = _LIMIT.fullmatch(str(text).strip())
        if not found or float(found[2] or 0) > 100:  # noqa: PLR2004 - per cent
            raise UsageError(
                f"--max-bad-rows: {text!r} is neither a number of rows nor a share of them",
                hint="write it as 100 or 0.5%",
            )
        return cls(rows=int(found[1])) if found[1] else cls(percent=float(found[2]))

    def __str__(self) -> str:
        return f"{self.percent:g}%" if self.rows is None else f"{self.rows}"


# Settings that say how an upload session goes, and their options.
_SESSION_ONLY = {
    "overwrite": "--overwrite",
    "orientation": "--orientation",
    "chunk_size": "--chunk-size",
    "concurrency": "--concurrency",
    "ordering": "--ordering",
    "window": "--window",
    "publish": "--no-publish",
    "publish_timeout": "--publish-timeout",
    "retries": "--retries",
    "retry_deadline": "--retry-deadline",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSettings:
    """Settings of one load.

    Attributes:
        dataset: Name of the dataset to create or update; None: the first table's name.
        dataset_id: Id of an existing dataset, in place of a name.
        overwrite: Re-create the definition of an existing dataset of that name.
        folder_id: Folder of the dataset; None: the user's My Reports.
        policy: Update policy of every table without one of its own.
        table_policies: Update policies by table.
        wishes: What is said of single columns, by options and in the mapping file.
        orientation: Columns are smaller and faster; rows are what the documents default to.
        chunk_size: Bytes of JSON wanted in a chunk; None: as the documents recommend.
        concurrency: PUTs at once; None: as many as the memory keeps busy, at most 8.
        memory: Budget for the whole process in bytes; None: 1 GB, less in a smaller container.
        ordering: Which chunks may overtake others.
        window: With windowed ordering, how many indices may run ahead of the lowest one not
            accepted;
            None: twice the concurrency.
        max_rate: Limit of bytes a second on the wire; None: none.
        publish: Publish after the upload.
        publish_timeout: Seconds to wait for the publish.
        retries: How often one call is repeated that may yet succeed.
        retry_deadline: Seconds after the first failure of a call in which it is repeated, and for
            which a server that has gone away is waited for.
        allow_empty: Load a source without rows, which under ``replace`` empties the dataset.
        match_columns: How columns find those of an existing dataset.
        check_keys: Look for rows with the same key before anything is sent.
        on_bad_row: What becomes of a row that cannot be loaded.
        max_bad_rows: The most bad rows that may be left out; None: any number.
        rejects_file: Where quarantined rows go; None: a new file in the state directory.
        workflow: An upload session, or one request for small data.
        table_id: With one request into an existing dataset, the id of its table.
        verify: Compare the row counts of the server with the rows sent.
    """

    dataset: str | None = None
    dataset_id: str | None = None
    overwrite: bool = False
    folder_id: str | None = None
    policy: UpdatePolicy = UpdatePolicy.REPLACE
    table_policies: Mapping[str, UpdatePolicy] = field(default_factory=dict)
    wishes: Wishes = field(default_factory=Wishes)
    orientation: Orientation = Orientation.COLUMN
    chunk_size: int | None = None
    concurrency: int | None = None
    memory: int | None = None
    ordering: Ordering = Ordering.WINDOWED
    window: int | None = None
    max_rate: float | None = None
    publish: bool = True
    publish_timeout: float = 3600.0
    retries: int = 8
    retry_deadline: float = 300.0
    allow_empty: bool = False
    match_columns: MatchColumns = MatchColumns.NAME
    check_keys: bool = False
    on_bad_row: OnBadRow = OnBadRow.FAIL
    max_bad_rows: BadRowLimit | None = None
    rejects_file: Path | None = None
    workflow: Workflow = Workflow.SESSION
    table_id: str | None = None
    verify: bool = True

    def __post_init__(self) -> None:
        self._check_values()
        for conflict, message, hint in self._conflicts():
            if conflict:
                raise UsageError(message, hint=hint)

    def _check_values(self) -> None:
        for name in (
            *("chunk_size", "concurrency", "memory", "window", "max_rate"),
            *("publish_timeout", "retry_deadline"),
        ):
            value = getattr(self, name)
            if value is not None and value <= 0:
                option = f"--{name.replace('_', '-')}"
                raise UsageError(
                    f"{option} must be above 0, and is {value:g}",
                    hint=f"leave out {option} for its default",
                )
        if self.retries < 0:
            raise UsageError(
                f"--retries must not be below 0, and is {self.retries}",
                hint="0 lets the first failure end the load",
            )
        for name in ("dataset", "dataset_id", "folder_id", "table_id"):
            text = getattr(self, name)
            # What an unset variable of a script becomes must not mean the default.
            if text is not None and not text.strip():
                option = f"--{name.replace('_', '-')}"
                raise UsageError(f"{option} is empty", hint=f"give a value, or leave out {option}")

    def _conflicts(self) -> tuple[tuple[bool, str, str], ...]:
        """Returns what cannot be wanted together: whether it is, what to say, and a hint."""
        by_id = self.dataset_id is not None
        return (
            (
                by_id and self.dataset is not None,
                "--dataset and --dataset-id name the dataset twice",
                "give one of them",
            ),
            (
                by_id and self.overwrite,
                "--overwrite re-creates a definition by its name, which --dataset-id does not give",
                "name the dataset with --dataset",
            ),
            (
                by_id and self.folder_id is not None,
                "--folder-id is of no use with --dataset-id, which finds a dataset in any folder",
                "leave one of them out",
            ),
            (
                self.overwrite and not self.publish,
                "--overwrite takes the old data away, and --no-publish brings no new data",
                "leave one of them out",
            ),
            (
                self.ordering is Ordering.STRICT and (self.concurrency or 1) > 1,
                f"--ordering strict sends one chunk at a time, not {self.concurrency}",
                "leave out --concurrency, or choose --ordering windowed",
            ),
            (
                self.window is not None and self.ordering is not Ordering.WINDOWED,
                f"--window belongs to --ordering windowed, not to {self.ordering}",
                "leave one of them out",
            ),
            (
                self.max_bad_rows is not None and self.on_bad_row is OnBadRow.FAIL,
                "--max-bad-rows is of no use while the first bad row ends the load",
                "add --on-bad-row skip or --on-bad-row quarantine",
            ),
            (
                self.rejects_file is not None and self.on_bad_row is not OnBadRow.QUARANTINE,
                "--rejects-file is written with --on-bad-row quarantine only",
                "add --on-bad-row quarantine, or leave out --rejects-file",
            ),
            (
                self.orientation is Orientation.RECORDS,
                "--orientation: an upload session takes columns or rows, not records",
                "choose column or row, or --workflow one-request, which sends records by itself",
            ),
            (
                self.table_id is not None and self.workflow is Workflow.SESSION,
                "--table-id is of no use with an upload session, which finds tables by their names",
                "leave it out, or add --workflow one-request",
            ),
            *self._session_only(),
        )

    def _session_only(self) -> Iterator[tuple[bool, str, str]]:
        """Yields what has no meaning in one request, where it was changed from its default."""
        defaults = {field.name: field.default for field in fields(self)}
        for name, option in _SESSION_ONLY.items():
            yield (
                self.workflow is Workflow.ONE_REQUEST and getattr(self, name) != defaults[name],
                f"{option} belongs to an upload session, not to --workflow one-request",
                f"leave out {option}, or choose --workflow session",
            )

    def policy_of(self, table: str) -> UpdatePolicy:
        """Returns the update policy of a table."""
        return self.table_policies.get(table, self.policy)


DEFAULT_MEMORY = 1000 * MB
_CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
# The rest of a container is left to the page cache and to what else runs there.
_SHARE_OF_CGROUP = 0.8


def default_memory(limits: tuple[Path, ...] = _CGROUP_LIMITS) -> int:
    """Returns the memory budget in bytes: 1 GB, or 80 % of a smaller cgroup."""
    for path in limits:
        try:
            limit = int(path.read_text())
        except (OSError, ValueError):  # no such cgroup version, or "max"
            continue
        return min(DEFAULT_MEMORY, int(limit * _SHARE_OF_CGROUP))
    return DEFAULT_MEMORY


def encoder_threads() -> int:
    """Returns how many threads encode: one a core; beyond four, sending is what limits."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(4, available or 1))
