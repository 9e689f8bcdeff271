"""What it means when no whole answer came: foreign exceptions become Unreachable."""

from __future__ import annotations

import errno
import ssl
from dataclasses import dataclass

import aiohttp

from loader.errors import LoaderError, ProtocolViolation, Unreachable

__all__ = ["Attempt", "outage"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is known about the request that got no answer.

    Attributes:
        aim: What the call was to do.
        server: Scheme, host and port.
        sent: Bytes of the body handed to the transport.
        size: Bytes of the whole body.
        connect_timeout: Seconds allowed for connecting.
        answer_timeout: Seconds allowed for silence.
    """

    aim: str
    server: str
    sent: int
    size: int
    connect_timeout: float
    answer_timeout: float

    @property
    def phase(self) -> str:
        """``send`` while bytes of the body were missing, then ``answer``."""
        return "send" if self.sent < self.size else "answer"


def outage(error: Exception, attempt: Attempt) -> LoaderError:
    """Returns the error that a failed exchange stands for.

    The detail ``phase`` tells what may have happened: ``tls`` and ``connect``: the server saw
    nothing; ``send``: it did not see the whole body; ``answer``: it may have done what was asked.
    The exception's own text is used only where it can hold no header: aiohttp puts requests, with
    their tokens, into some of them.
    """
    if isinstance(error, aiohttp.ClientConnectorError):
        return _not_connected(error, attempt)
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return _unreachable(
            attempt,
            "connect",
            f"no connection to {attempt.server} within {attempt.connect_timeout:g} seconds",
            hint="Is the host right, and is it reachable from here (VPN, firewall)?",
        )
    if isinstance(error, aiohttp.ClientResponseError):
        # Not HTTP at all; the exception's arguments hold the request's headers.
        return ProtocolViolation(
            f"Cannot {attempt.aim}: {attempt.server} answered something that is not HTTP.",
            hint="Does the URL say http where the server speaks https?",
            call=attempt.aim,
        )
    if isinstance(error, TimeoutError):
        return _timed_out(attempt)
    reason = _system_reason(error)
    so_far = (
        f"after {attempt.sent:,} of {attempt.size:,} bytes were sent"
        if attempt.phase == "send"
        else "before the answer was complete"
    )
    hint = "A proxy or load balancer may limit how long or how large a call may be."
    if attempt.server.startswith("http:"):
        hint = f"Is it a server that wants https? {hint}"
    return _unreachable(
        attempt,
        attempt.phase,
        f"the connection to {attempt.server} was lost {so_far}{reason}",
        hint=hint,
    )


def _timed_out(attempt: Attempt) -> Unreachable:
    if attempt.phase == "send":
        what = (
            f"{attempt.server} stopped reading after {attempt.sent:,} of {attempt.size:,} bytes, "
            f"for {attempt.answer_timeout:g} seconds"
        )
    else:
        what = f"{attempt.server} sent no answer within {attempt.answer_timeout:g} seconds"
    return _unreachable(
        attempt,
        attempt.phase,
        what,
        hint="A smaller --chunk-size or a lower --concurrency makes each call shorter.",
    )


def _not_connected(error: aiohttp.ClientConnectorError, attempt: Attempt) -> Unreachable:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
        why = getattr(cause, "verify_message", "") or str(cause)
        return _unreachable(
            attempt,
            "tls",
            f"the certificate of {attempt.server} cannot be verified ({why})",
            hint="Name the certificate authority's file with --ca-bundle FILE; "
            "--insecure switches the check off.",
        )
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        why = (error.os_error.strerror if error.os_error else None) or "handshake failed"
        return _unreachable(
            attempt,
            "tls",
            f"no TLS with {attempt.server} ({why})",
            hint="Does the URL say https where the server speaks http?",
        )
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return _unreachable(
            attempt,
            "connect",
            f"the host of {attempt.server} has no address",
            hint="Is the host's name right, and can it be resolved here (VPN)?",
        )
    if error.errno == errno.ECONNREFUSED:
        return _unreachable(
            attempt,
            "connect",
            f"nothing listens at {attempt.server}",
            hint="Are host and port right, and is the server running?",
        )
    return _unreachable(
        attempt,
        "connect",
        f"no connection to {attempt.server}{_system_reason(error)}",
        hint="Is the host right, and is it reachable from here (VPN, firewall)?",
    )


def _unreachable(attempt: Attempt, phase: str, what: str, *, hint: str) -> Unreachable:
    return Unreachable(
        f"Cannot {attempt.aim}: {what}.",
        hint=hint,
        phase=phase,
        server=attempt.server,
        call=attempt.aim,
    )


def _system_reason(error: Exception) -> str:
    """Returns the operating system's words in brackets; other texts may quote a request."""
    if (
        isinstance(error, OSError)
        and error.errno is not None
        and not isinstance(error, ssl.SSLError)
    ):
        return f" ({errno.errorcode.get(error.errno, error.errno)})"
    return ""
