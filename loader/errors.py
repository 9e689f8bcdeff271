"""The error tree: what went wrong, where, why and what to change, with its exit code and its cure.

    LoaderError
    ├── UsageError                  2   options or configuration
    │   ├── UnknownProject          2
    │   ├── UnknownDataset          2
    │   ├── AmbiguousDataset        2
    │   ├── RejectsUnwritable       2
    │   ├── JournalUnusable         2   the books of a job cannot be kept or read
    │   ├── UnknownJob              2
    │   └── JobInUse                2   another process drives it
    ├── SourceError                 3   the data, before or while it is read
    │   ├── SourceNotFound          3
    │   ├── SourceUnreadable        3
    │   ├── SourceChanged           3
    │   ├── EmptySource             3
    │   ├── NameRefused             3
    │   ├── UnmappableColumn        3
    │   ├── BadValue                3
    │   ├── TooManyBadRows          3
    │   ├── DuplicateKeys           3
    │   ├── TooLarge                3
    │   └── ModelMismatch           3
    ├── ApiError                    5   an answer of the server that is not a success
    │   ├── LoginFailed             4
    │   ├── NotAllowed              4
    │   ├── NotFound                5
    │   ├── SessionExpired          5
    │   ├── Refused                 5
    │   │   └── Blocked             5   by somebody else's upload session
    │   └── Unavailable             5
    ├── Unreachable                 5   no answer at all
    ├── ProtocolViolation           5   an answer that the API documents do not allow
    ├── PublishFailed               5
    ├── OutcomeUnknown              8
    ├── VerificationFailed          8   published, but not the rows that were sent
    ├── Interrupted               130
    └── Defect                      1   a bug of this project

Foreign exceptions (aiohttp, pyarrow, OSError) are mapped to this tree at the edge where they occur.
Whether an error may be cured by trying again is a property of the error (``recovery``), never of a
list at the place that calls.
"""

from __future__ import annotations

import enum
from typing import Any, ClassVar

from loader.plain import plain

__all__ = [
    "AmbiguousDataset",
    "ApiError",
    "BadValue",
    "Blocked",
    "Defect",
    "DuplicateKeys",
    "EmptySource",
    "Interrupted",
    "JobInUse",
    "JournalUnusable",
    "LoaderError",
    "LoginFailed",
    "ModelMismatch",
    "NameRefused",
    "NotAllowed",
    "NotFound",
    "OutcomeUnknown",
    "ProtocolViolation",
    "PublishFailed",
    "Recovery",
    "Refused",
    "RejectsUnwritable",
    "SessionExpired",
    "SourceChanged",
    "SourceError",
    "SourceNotFound",
    "SourceUnreadable",
    "TooLarge",
    "TooManyBadRows",
    "Unavailable",
    "UnknownDataset",
    "UnknownJob",
    "UnknownProject",
    "UnmappableColumn",
    "Unreachable",
    "UsageError",
    "VerificationFailed",
]


class Recovery(enum.Enum):
    """What can cure an error: nothing, a new login, or the same request again."""

    NONE = "none"
    LOGIN = "login"
    RETRY = "retry"


class LoaderError(Exception):
    """Base of every error this project raises.

    Attributes:
        message: One sentence: what went wrong, where and why.
        hint: What to change, or None when nothing helps.
        details: Machine-readable facts (file, row, column, table, chunk, …), printed by ``--json``:
            values as JSON has them, whatever they were given as.
        result: How far the load had come; set by ``loader.push``.
    """

    kind: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 5
    recovery: ClassVar[Recovery] = Recovery.NONE

    result: Any = None

    def __init__(self, message: str, *, hint: str | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        # The name of a file may be a text that knows the way to it: open files, locks, secrets.
        self.details = {key: plain(value) for key, value in details.items() if value is not None}

    def __reduce__(self) -> tuple[Any, ...]:
        # Who is given a copy adds details of its own: those who wait for one login, for example.
        return type(self), self.args, {**self.__dict__, "details": {**self.details}}

    def add(self, more: str) -> None:
        """Continues the message."""
        self.message = f"{self.message.removesuffix('.')}; {more}."
        self.args = (self.message,)

    def as_dict(self) -> dict[str, Any]:
        """Returns the ``error`` object of a ``--json`` result."""
        return {**self.details, "kind": self.kind, "message": self.message, "hint": self.hint}


class UsageError(LoaderError):
    """Options or configuration that cannot work."""

    kind = "usage"
    exit_code = 2


class UnknownProject(UsageError):
    """The server shows this user no project of that name or id."""

    kind = "unknown_project"


class UnknownDataset(UsageError):
    """No dataset has that id, or it is not one that the Push Data API can update."""

    kind = "unknown_dataset"


class AmbiguousDataset(UsageError):
    """Several datasets of the folder have that name."""

    kind = "ambiguous_dataset"


class RejectsUnwritable(UsageError):
    """The file for bad rows cannot be made or written."""

    kind = "rejects_file"


class JournalUnusable(UsageError):
    """The journal of a job cannot be made, written or read."""

    kind = "journal"


class UnknownJob(UsageError):
    """No job has that id, or several begin with it."""

    kind = "unknown_job"


class JobInUse(UsageError):
    """Another process is driving the job."""

    kind = "job_in_use"


class SourceError(LoaderError):
    """The source cannot be loaded."""

    kind = "source"
    exit_code = 3


class SourceNotFound(SourceError):
    """A path, directory or glob matches nothing."""

    kind = "source_not_found"


class SourceUnreadable(SourceError):
    """A file is not of its format, is truncated, or cannot be opened."""

    kind = "source_unreadable"


class SourceChanged(SourceError):
    """The source is not the one that a job began with."""

    kind = "source_changed"


class EmptySource(SourceError):
    """The source has no row; publishing it under ``replace`` would wipe a live dataset."""

    kind = "empty_source"


class NameRefused(SourceError):
    """A table, column or dataset name that the API does not take, or that occurs twice."""

    kind = "name"


class UnmappableColumn(SourceError):
    """A column whose Arrow type has no data type."""

    kind = "unmappable_column"


class BadValue(SourceError):
    """A value that does not fit its column."""

    kind = "bad_value"


class DuplicateKeys(SourceError):
    """Several rows of a table have the same key; an update policy would keep one of them."""

    kind = "duplicate_keys"


class TooLarge(SourceError):
    """More data than one request takes."""

    kind = "too_large"


class TooManyBadRows(SourceError):
    """More rows cannot be loaded than may be left out; nothing was published."""

    kind = "too_many_bad_rows"


class ModelMismatch(SourceError):
    """The tables or columns of the source are not those of the existing dataset."""

    kind = "model_mismatch"


class ApiError(LoaderError):
    """An answer of the server that is not a success, in any of the shapes it is known to have.

    Attributes:
        status: The HTTP status.
        code: The API's own code (``ERR009``), or None where the body had none.
        iserver_code: The Intelligence Server's code, or None; the API may leave it out.
        ticket_id: What the administrator needs to find the failure in the server's logs.
    """

    kind = "server"

    @property
    def status(self) -> int | None:
        """The HTTP status."""
        return self.details.get("status")

    @property
    def code(self) -> str | None:
        """The API's code, ``ERR`` and three or four digits."""
        return self.details.get("code")

    @property
    def iserver_code(self) -> int | None:
        """The Intelligence Server's code (negative)."""
        return self.details.get("iserver_code")

    @property
    def ticket_id(self) -> str | None:
        """The server's ticket for this failure."""
        return self.details.get("ticket_id")


class LoginFailed(ApiError):
    """The server does not accept these credentials."""

    kind = "login"
    exit_code = 4


class NotAllowed(ApiError):
    """The user may not do this."""

    kind = "rights"
    exit_code = 4


class NotFound(ApiError):
    """The server has no such object, or no such endpoint."""

    kind = "not_found"


class SessionExpired(ApiError):
    """The login has ended; a new one cures it."""

    kind = "session_expired"
    recovery = Recovery.LOGIN


class Refused(ApiError):
    """The server understood and said no; the same request would be refused again."""

    kind = "refused"


class Blocked(Refused):
    """Another upload session keeps this load from opening its own, for as long as it is open."""

    kind = "blocked"


class Unavailable(ApiError):
    """The server, or something in front of it, cannot answer now."""

    kind = "unavailable"
    recovery = Recovery.RETRY


class Unreachable(LoaderError):
    """No connection, or one that died before an answer came."""

    kind = "unreachable"
    recovery = Recovery.RETRY


class ProtocolViolation(LoaderError):
    """An answer with a success status that the API documents do not allow."""

    kind = "protocol"


class PublishFailed(LoaderError):
    """The server reported that the publish failed; the dataset keeps its old data."""

    kind = "publish_failed"


class OutcomeUnknown(LoaderError):
    """Whether the data was published cannot be known from here."""

    kind = "outcome_unknown"
    exit_code = 8


class VerificationFailed(LoaderError):
    """The data was published, but the server counts other rows than it was sent."""

    kind = "verification_failed"
    exit_code = 8


class Interrupted(LoaderError):
    """Stopped by Ctrl-C or SIGTERM."""

    kind = "interrupted"
    exit_code = 130


class Defect(LoaderError):
    """A bug of this project; everything else is mapped to the errors above."""

    kind = "defect"
    exit_code = 1
