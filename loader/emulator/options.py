"""Every setting of the emulator, checked once."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field
from pathlib import Path

from loader.emulator.faulttext import parse_rule
from loader.errors import UsageError

__all__ = [
    "DEFAULT_PORT",
    "EmulatorOptions",
    "Ingest",
    "Order",
    "RepeatIndex",
    "SessionScope",
    "StatusType",
]

DEFAULT_PORT = 34952
"""The Intelligence Server's own port, 34952: a machine that runs a real one says so at once."""

_MAX_PORT = 65535


class Ingest(enum.StrEnum):
    """What becomes of uploaded data.

    ``STORE`` checks and keeps it, ``CHECK`` checks everything but keeps nothing, ``SINK`` looks at
    the envelope and the length only, for measuring a client.
    """

    STORE = "store"
    CHECK = "check"
    SINK = "sink"


class Order(enum.StrEnum):
    """In which order the indices of a table may arrive (no document says)."""

    FREE = "free"
    WINDOW = "window"
    STRICT = "strict"


class RepeatIndex(enum.StrEnum):
    """What an index that was accepted before means when it comes again (no document says)."""

    REPLACE = "replace"
    IGNORE = "ignore"
    APPEND = "append"
    REJECT = "reject"


class SessionScope(enum.StrEnum):
    """Within what there may be only one open upload session (the documentation names no scope)."""

    DATASET = "dataset"
    LOGIN = "login"


class StatusType(enum.StrEnum):
    """How the publish status is written: ``1`` (mstrio-py needs it) or ``"1"`` (the documents)."""

    NUMBER = "number"
    STRING = "string"


_CHOICES: dict[str, type[enum.StrEnum]] = {
    "ingest": Ingest,
    "order": Order,
    "repeat_index": RepeatIndex,
    "session_scope": SessionScope,
    "status_type": StatusType,
}


_MODEL = (
    *("latency", "bandwidth", "stream_rate", "ingest_rate", "overload", "pool", "answer_limit"),
    *("publish_time", "publish_rate"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorOptions:
    """Where the emulator listens, whom it lets in, what it keeps, how it behaves.

    Attributes:
        host: The address to listen on.
        port: The port; 0 takes a free one.
        username: The one user; compared without regard to case, as MicroStrategy does.
        password: That user's password; empty as in the documents' samples by default.
        api_token: Accepted with ``loginMode`` 4096; None refuses that mode.
        identity_token: Accepted by ``POST /api/auth/delegate``; None refuses all of them.
        anonymous: Lets everybody in with ``loginMode`` 8.
        data: Directory of the DuckDB file and the catalogue; None keeps both in memory.
        keep_sessions: Upload sessions and their chunks survive the end of the server as datasets
            do; needs ``data``.
        ingest: What becomes of uploaded data.
        order: In which order indices may arrive.
        window: With ``Order.WINDOW``: how far an index may be ahead of the lowest missing one;
            None is 16.
        repeat_index: What a repeated index means.
        parallel: False refuses a PUT while another one of its upload session is under way.
        session_scope: Within what there may be only one open upload session.
        status_type: How the publish status is written.
        session_timeout: Seconds without a call after which a login ends.
        max_body: Largest request body in MB (10**6 bytes); larger ones get 413.
        tls_cert: Certificate chain (PEM); with it the server speaks https.
        tls_key: Its key (PEM); None when the certificate's file holds it too.
        latency: Seconds that each PUT takes besides what depends on its size.
        bandwidth: Request bodies in MB/s that the wire carries, all together; None is unlimited.
        stream_rate: JSON in MB/s that the server takes in of one PUT; None is as fast as it can.
        ingest_rate: JSON in MB/s that the server takes in, all PUTs together; None is as fast as it
            can.
        overload: PUTs at once that it takes in without getting slower; needs a rate. None is any
            number.
        pool: Connections that answer calls: who gets none in 10 s is refused. None is no limit.
        answer_limit: Seconds after which a PUT is answered with 504, though the work on it goes on;
            None is never.
        publish_time: Seconds that a publish takes besides what depends on its size.
        publish_rate: JSON in MB/s that a publish gets through; None is as fast as it can.
        faults: Rules of fault injection, in their text form.
        fault_seed: What the rules' rates are drawn with.
        fault_control: Rules may be added at run time, from this machine, at ``/emulator/faults``.

    Raises:
        UsageError: A value that cannot work.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    username: str = "administrator"
    password: str = field(default="", repr=False)
    api_token: str | None = field(default=None, repr=False)
    identity_token: str | None = field(default=None, repr=False)
    anonymous: bool = False
    data: Path | None = None
    keep_sessions: bool = False
    ingest: Ingest = Ingest.STORE
    order: Order = Order.FREE
    window: int | None = None
    repeat_index: RepeatIndex = RepeatIndex.REPLACE
    parallel: bool = True
    session_scope: SessionScope = SessionScope.DATASET
    status_type: StatusType = StatusType.NUMBER
    session_timeout: float = 1800.0
    max_body: float = 1000.0
    tls_cert: Path | None = None
    tls_key: Path | None = None
    latency: float = 0.0
    bandwidth: float | None = None
    stream_rate: float | None = None
    ingest_rate: float | None = None
    overload: int | None = None
    pool: int | None = None
    answer_limit: float | None = None
    publish_time: float = 0.0
    publish_rate: float | None = None
    faults: tuple[str, ...] = ()
    fault_seed: int = 0
    fault_control: bool = False

    def __post_init__(self) -> None:
        self._resolve_choices()
        self._check_amounts()
        if not 0 <= self.port <= _MAX_PORT:
            raise UsageError(f"--port {self.port} is no port.", hint="Choose 0 to 65535.")
        if not self.username:
            raise UsageError("--username is empty.", hint="Name the user that may log in.")
        if self.window is not None and self.window < 1:
            raise UsageError(f"--window {self.window} admits no index.", hint="Choose 1 or more.")
        if self.window is not None and self.order is not Order.WINDOW:
            raise UsageError(
                f"--window {self.window} has no meaning with --order {self.order}.",
                hint="Add --order window, or leave it out.",
            )
        if self.tls_key is not None and self.tls_cert is None:
            raise UsageError("--tls-key needs --tls-cert.", hint="Name the certificate's file too.")
        if self.keep_sessions and self.data is None:
            raise UsageError(
                "--keep-sessions needs --data: what is in memory is gone when the server stops.",
                hint="Name a directory with --data, or leave out --keep-sessions.",
            )
        for text in self.faults:
            parse_rule(text)
        if self.data is not None and self.ingest is not Ingest.STORE:
            raise UsageError(
                f"--ingest {self.ingest} keeps nothing, so --data {self.data} would stay empty.",
                hint="Leave out --data, or use --ingest store.",
            )

    def _resolve_choices(self) -> None:
        # A plain string would compare equal to an enum's member, but not be it.
        for name, kind in _CHOICES.items():
            value = getattr(self, name)
            try:
                object.__setattr__(self, name, kind(value))
            except ValueError:
                raise UsageError(
                    f"--{name.replace('_', '-')} {value!r} is unknown.",
                    hint=f"There are {', '.join(kind)}.",
                ) from None

    def _check_amounts(self) -> None:
        for option, value in (("latency", self.latency), ("publish-time", self.publish_time)):
            if not (math.isfinite(value) and value >= 0):
                raise UsageError(
                    f"--{option} {value} is no time.", hint="Choose 0 or more seconds."
                )
        for option, rate in (
            ("bandwidth", self.bandwidth),
            ("stream-rate", self.stream_rate),
            ("ingest-rate", self.ingest_rate),
            ("publish-rate", self.publish_rate),
            ("answer-limit", self.answer_limit),
            ("session-timeout", self.session_timeout),
            ("max-body", self.max_body),
        ):
            if rate is not None and not (math.isfinite(rate) and rate > 0):
                raise UsageError(f"--{option} {rate} must be above 0.", hint="Leave it out.")
        for option, count in (("pool", self.pool), ("overload", self.overload)):
            if count is not None and count < 1:
                raise UsageError(f"--{option} {count} serves nobody.", hint="Choose 1 or more.")
        if self.overload is not None and self.ingest_rate is None and self.stream_rate is None:
            raise UsageError(
                f"--overload {self.overload} slows down what has no rate.",
                hint="Add --ingest-rate or --stream-rate.",
            )

    def model(self) -> dict[str, float]:
        """Returns the settings of the model of a slow server that are in force, by name."""
        return {name: value for name in _MODEL if (value := getattr(self, name))}
