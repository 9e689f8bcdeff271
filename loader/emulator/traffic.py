"""The last requests, for the status page and the access log: never a header, a query or a body."""

from __future__ import annotations

import datetime as dt
import logging
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Request", "Traffic"]

_LOG = logging.getLogger("loader.emulator.access")
_KEPT = 100


@dataclass(frozen=True, slots=True)
class Request:
    """One request that was answered.

    Attributes:
        method: GET, PUT, …
        path: Without its query.
        status: Of the answer; 499 when the client went away before.
        milliseconds: From its head to its answer.
        bytes: Of its body, as received.
        message: What a refusal said.
        at: When it was answered (ISO 8601, local time).
    """

    method: str
    path: str
    status: int
    milliseconds: float
    bytes: int
    message: str
    at: str


class Traffic:
    """The last requests, and totals since the start."""

    def __init__(self) -> None:
        self._last: deque[Request] = deque(maxlen=_KEPT)
        self.requests = 0
        self.bytes = 0

    def note(
        self, *, method: str, path: str, status: int, milliseconds: float, size: int, message: str
    ) -> None:
        """Takes a request down and writes the access log's line."""
        self.requests += 1
        self.bytes += size
        at = dt.datetime.now().astimezone().isoformat(timespec="milliseconds")
        self._last.appendleft(
            Request(method, path, status, round(milliseconds, 1), size, message, at)
        )
        _LOG.info(
            "%s %s %d %.1f ms %d bytes%s",
            method,
            path,
            status,
            milliseconds,
            size,
            f": {message}" if message else "",
        )

    def last(self) -> list[dict[str, Any]]:
        """Returns the last requests, newest first."""
        return [asdict(request) for request in self._last]
