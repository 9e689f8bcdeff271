"""The rules of fault injection: where something goes wrong, when, and what."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import TypeAlias

__all__ = [
    "OF_BODIES",
    "Answer",
    "Crash",
    "DiskFull",
    "Effect",
    "EndLogin",
    "EndSession",
    "ErrorBody",
    "Moment",
    "Outcome",
    "Reset",
    "Rule",
    "Slow",
    "Span",
    "Spoiled",
    "Stall",
    "Status",
    "Where",
]


class Where(enum.StrEnum):
    """The endpoints, as rules call them."""

    LOGIN = "login"
    LOGOUT = "logout"
    LOGIN_INFO = "login-info"
    KEEP_ALIVE = "keep-alive"
    VERSION = "version"
    LOOK = "look"
    DELETE_DATASET = "delete-dataset"
    ONE_REQUEST = "one-request"
    PATCH = "patch"
    CREATE = "create"
    DATASET = "dataset"
    OPEN_SESSION = "open-session"
    PUT = "put"
    PUBLISH = "publish"
    STATUS = "status"
    DELETE = "delete"
    CUBES = "cubes"


class Moment(enum.StrEnum):
    """When on its way a request meets a fault.

    ``AFTER_STORE`` is when the call has taken effect, whatever it is (a chunk stored, a publish
    started, a session opened), and nothing but the answer is missing.
    """

    BEFORE = "before"
    MID_BODY = "mid-body"
    AFTER_BODY = "after-body"
    AFTER_STORE = "after-store"


OF_BODIES = frozenset({Moment.MID_BODY, Moment.AFTER_BODY})
"""Moments that only requests with a body have."""


class ErrorBody(enum.StrEnum):
    """The forms that the body of an error is known to come in."""

    API = "api"
    ERRORS = "errors"
    HTML = "html"
    EMPTY = "empty"


class Spoiled(enum.StrEnum):
    """What may be wrong with the answer to a call that succeeded.

    ``HALF`` is the first half of the JSON, ``SHORT`` has a ``Content-Length`` beyond its end,
    ``GARBAGE`` is no text at all, ``HTML`` a page in its place, ``EMPTY`` has no body.
    """

    HALF = "half"
    SHORT = "short"
    GARBAGE = "garbage"
    HTML = "html"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class Status:
    """An error status in place of the answer.

    Attributes:
        status: 400 to 599.
        at: When; the call has its effect only with ``AFTER_STORE``.
        body: The form of the body.
        code: The API's code in it.
        iserver_code: The Intelligence Server's code in it, or None.
        message: The message in it.
        retry_after: Seconds in the header ``Retry-After``, or None for no header.
        retry_date: Whether the header has them as a date.
    """

    status: int
    at: Moment
    body: ErrorBody
    code: str
    iserver_code: int | None
    message: str
    retry_after: float | None
    retry_date: bool


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset (RST).

    Attributes:
        at: When.
        share: How much of the body was read by then, from 0 to 1, with ``MID_BODY``.
    """

    at: Moment
    share: float


@dataclass(frozen=True, slots=True)
class Stall:
    """Nothing happens any more; in mid-body the server stops reading as well.

    Attributes:
        at: From when.
        share: How much of the body was read by then, from 0 to 1, with ``MID_BODY``.
        seconds: How long, then it goes on; None is until the client goes away.
    """

    at: Moment
    share: float
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Crash:
    """The server's process is killed (SIGKILL).

    Attributes:
        at: When.
        share: How much of the body was read by then, from 0 to 1, with ``MID_BODY``.
    """

    at: Moment
    share: float


@dataclass(frozen=True, slots=True)
class Slow:
    """The body is read slowly.

    Attributes:
        rate: Bytes a second.
    """

    rate: float


@dataclass(frozen=True, slots=True)
class Answer:
    """The call succeeds, but its answer is spoiled."""

    how: Spoiled


@dataclass(frozen=True, slots=True)
class EndLogin:
    """The login of the request ends before the request is looked at.

    Attributes:
        keep_sessions: As after a time-out its upload sessions live on; False: they end with it, as
            after a logout elsewhere.
    """

    keep_sessions: bool


@dataclass(frozen=True, slots=True)
class EndSession:
    """The upload session that the request names is gone before the request is looked at."""


@dataclass(frozen=True, slots=True)
class DiskFull:
    """The chunk does not fit on the server's disk any more."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of a publish.

    Attributes:
        code: What publishStatus reports.
        seconds: For how long; then the publish goes on as usual. None is for ever.
        published: Whether the data is published all the same, while the code says otherwise.
        message: What publishStatus says beside the code.
    """

    code: int
    seconds: float | None
    published: bool
    message: str


Effect: TypeAlias = (
    Status | Reset | Stall | Crash | Slow | Answer | EndLogin | EndSession | DiskFull | Outcome
)


@dataclass(frozen=True, slots=True)
class Span:
    """Whole numbers from ``first`` to ``last``, None being without an end."""

    first: int
    last: int | None

    def __contains__(self, number: int) -> bool:
        return self.first <= number and (self.last is None or number <= self.last)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: where, when and what.

    Attributes:
        text: As it was written.
        reach: The endpoints whose requests it matches.
        effect: What happens.
        table: Matches PUTs of this table only.
        index: Matches PUTs of these chunk indices only.
        after: Matches requests from so many seconds after the rule was made.
        until: Matches requests until so many seconds after the rule was made.
        nth: Which of the matching requests, counted from 1.
        every: Of the matching requests every so many.
        rate: The share of the matching requests, drawn with the plan's seed.
        times: How often it fires at most.
    """

    text: str
    reach: frozenset[Where]
    effect: Effect
    table: str | None = None
    index: Span | None = None
    after: float = 0.0
    until: float = math.inf
    nth: Span = Span(1, None)
    every: int = 1
    rate: float = 1.0
    times: int | None = None

    @property
    def of_chunk(self) -> bool:
        """Whether it asks for what only the body of a PUT tells."""
        return self.table is not None or self.index is not None

    @property
    def needs_body(self) -> bool:
        """Whether it happens while a body is read."""
        return isinstance(self.effect, Slow) or getattr(self.effect, "at", None) in OF_BODIES
