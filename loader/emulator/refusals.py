"""The one way to say no: an HTTP status and the API's error body, with exactly what was wrong."""

from __future__ import annotations

import enum
import uuid
from typing import Any

__all__ = [
    "Code",
    "Refusal",
    "conflict",
    "forbidden_now",
    "invalid",
    "missing",
    "not_found",
    "session_invalid",
    "unsupported",
]

_SESSION_TIMED_OUT = -2147206925
"""The Intelligence Server's code for a login that is unknown or has timed out."""


class Code(enum.StrEnum):
    """The API's error codes that this server uses."""

    GENERAL = "ERR001"
    SERVER = "ERR002"
    AUTHENTICATION = "ERR003"
    NOT_FOUND = "ERR004"
    INVALID = "ERR006"
    MISSING = "ERR007"
    SESSION = "ERR009"
    UNSUPPORTED = "ERR010"
    EXISTS = "ERR015"
    UNAVAILABLE = "ERR016"


class Refusal(Exception):
    """An answer that is not a success.

    Attributes:
        status: The HTTP status.
        code: The API's code.
        message: What was wrong, where, and what would have been right.
        iserver_code: The Intelligence Server's code where one is known; the API may leave it out.
    """

    def __init__(
        self, status: int, code: Code, message: str, *, iserver_code: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.iserver_code = iserver_code

    def body(self) -> dict[str, Any]:
        """Returns the API's error body; every call draws a new ticket."""
        body: dict[str, Any] = {
            "code": str(self.code),
            "message": self.message,
            "ticketId": uuid.uuid4().hex,
        }
        if self.iserver_code is not None:
            body["iServerCode"] = self.iserver_code
        return body


def invalid(message: str) -> Refusal:
    """A request that the API does not allow: 400, ERR006."""
    return Refusal(400, Code.INVALID, message)


def missing(message: str) -> Refusal:
    """A field or header that must be there: 400, ERR007."""
    return Refusal(400, Code.MISSING, message)


def not_found(message: str) -> Refusal:
    """An object or endpoint that does not exist: 404, ERR004."""
    return Refusal(404, Code.NOT_FOUND, message)


def conflict(message: str) -> Refusal:
    """Something that exists already and may exist only once: 409, ERR015."""
    return Refusal(409, Code.EXISTS, message)


def forbidden_now(message: str) -> Refusal:
    """A request that the state of an upload session does not allow: 409, ERR006."""
    return Refusal(409, Code.INVALID, message)


def unsupported(message: str) -> Refusal:
    """A request that makes sense, but that the API does not offer: 400, ERR010."""
    return Refusal(400, Code.UNSUPPORTED, message)


def session_invalid(message: str) -> Refusal:
    """A login that is missing, unknown or timed out: 401, ERR009."""
    return Refusal(401, Code.SESSION, message, iserver_code=_SESSION_TIMED_OUT)
