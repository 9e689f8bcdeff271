"""What it means when no whole answer came: foreign exceptions become Unreachable."""

from __future__ import annotations

import errno
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

from loader.api.failures import proxy_refusal
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
        login: Whether it was the login, the first that a server sees of us.
        client_cert: Whether a client certificate could be shown.
        proxy: The address of the proxy, or None.
        connected: Whether there was a connection to the server; known where there is a proxy.
    """

    aim: str
    server: str
    sent: int
    size: int
    connect_timeout: float
    answer_timeout: float
    login: bool = False
    client_cert: bool = False
    proxy: str | None = None
    connected: bool = True

    @property
    def phase(self) -> str:
        """``connect``, ``send`` while bytes of the body were missing, then ``answer``."""
        if not self.connected:
            return "connect"
        return "send" if self.sent < self.size else "answer"

    @property
    def there(self) -> str:
        """The server and the way to it."""
        return f"{self.server} through the proxy {self.proxy}" if self.proxy else self.server

    @property
    def tls(self) -> bool:
        """Whether the server was to be talked to over TLS."""
        return self.server.startswith("https:")


_FIREWALL_HINT = "Is the host right, and is it reachable from here (VPN, firewall)?"
_PROXY_HINT = (
    "Check --proxy, MSTR_PROXY or HTTPS_PROXY and HTTP_PROXY; --proxy none goes without a proxy."
)


def outage(error: Exception, attempt: Attempt) -> LoaderError:
    """Returns the error that a failed exchange stands for.

    The detail ``phase`` tells what may have happened: ``tls`` and ``connect``: the server saw
    nothing; ``send``: it did not see the whole body; ``answer``: it may have done what was asked.
    ``tls`` is what the next attempt meets again: certificates, versions, a side that speaks no TLS.
    A handshake that was cut is ``connect``: load balancers drop connections so while they restart.
    The exception's own text is used only where it can hold no header: aiohttp puts requests, with
    their tokens, into some of them.
    """
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return proxy_refusal(attempt.aim, error.status, attempt.proxy)
    if isinstance(error, aiohttp.ClientConnectorError):
        return _not_connected(error, attempt)
    alert = _alert(error)
    if alert and (alert in _LATE_REFUSALS or not attempt.connected):
        # TLS 1.3 lets a client speak before the server has looked at its certificate.
        return _handshake_refused(alert, attempt.server, attempt)
    if not attempt.connected:
        return _lost_at_the_proxy(error, attempt)
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return _unreachable(
            attempt,
            "connect",
            f"no connection to {attempt.there} within {attempt.connect_timeout:g} seconds",
            hint=_FIREWALL_HINT,
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
    return _lost(error, attempt)


def _lost(error: Exception, attempt: Attempt) -> Unreachable:
    so_far = (
        f"after {attempt.sent:,} of {attempt.size:,} bytes were sent"
        if attempt.phase == "send"
        else "before the answer was complete"
    )
    hint = "A proxy or load balancer may limit how long or how large a call may be."
    if not attempt.tls:
        hint = f"Is it a server that wants https? {hint}"
    elif attempt.login:
        # The alert that says why gets lost when data and the end of the connection cross.
        hint = f"{_certificate_hint(attempt)} {hint}"
    return _unreachable(
        attempt,
        attempt.phase,
        f"the connection to {attempt.there} was lost {so_far}{_system_reason(error)}",
        hint=hint,
    )


def _timed_out(attempt: Attempt) -> Unreachable:
    if attempt.phase == "send":
        what = (
            f"{attempt.there} stopped reading after {attempt.sent:,} of {attempt.size:,} bytes, "
            f"for {attempt.answer_timeout:g} seconds"
        )
    else:
        what = f"{attempt.there} sent no answer within {attempt.answer_timeout:g} seconds"
    return _unreachable(
        attempt,
        attempt.phase,
        what,
        hint="A smaller --chunk-size or a lower --concurrency makes each call shorter.",
    )


def _lost_at_the_proxy(error: Exception, attempt: Attempt) -> LoaderError:
    if isinstance(error, aiohttp.ClientResponseError):
        return ProtocolViolation(
            f"Cannot {attempt.aim}: the proxy {attempt.proxy} answered something that is not HTTP.",
            hint=_PROXY_HINT,
            call=attempt.aim,
            proxy=attempt.proxy,
        )
    if isinstance(error, TimeoutError):
        what = f"no connection to {attempt.there} within {attempt.connect_timeout:g} seconds"
    else:
        what = (
            f"the proxy {attempt.proxy} broke off before there was a connection to "
            f"{attempt.server}{_system_reason(error)}"
        )
    return _unreachable(attempt, "connect", what, hint=_PROXY_HINT)


def _not_connected(error: aiohttp.ClientConnectorError, attempt: Attempt) -> Unreachable:
    at_proxy = _is_of_proxy(error, attempt)
    there = f"the proxy {attempt.proxy}" if at_proxy else attempt.server
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
        why = getattr(cause, "verify_message", "") or str(cause)
        return _unreachable(
            attempt,
            "tls",
            f"the certificate of {there} cannot be verified ({why})",
            hint="Name the certificate authority's file with --ca-bundle FILE; "
            "--insecure switches the check off.",
        )
    alert = _alert(error.os_error)
    if alert:
        return _handshake_refused(alert, there, attempt)
    if attempt.tls and not at_proxy and isinstance(error.os_error, _CUT):
        return _unreachable(
            attempt,
            "connect",
            f"{there} broke off the TLS handshake{_system_reason(error.os_error)}",
            hint=_certificate_hint(attempt),
        )
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        why = (error.os_error.strerror if error.os_error else None) or "handshake failed"
        what = "the proxy's" if at_proxy else "the"
        return _unreachable(
            attempt,
            "tls",
            f"no TLS with {there} ({why})",
            hint=f"Does {what} URL say https where the {'proxy' if at_proxy else 'server'} "
            "speaks http?",
        )
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return _unreachable(
            attempt,
            "connect",
            f"the host of {there} has no address",
            hint=_PROXY_HINT
            if at_proxy
            else "Is the host's name right, and can it be resolved here (VPN)?",
        )
    if error.errno == errno.ECONNREFUSED:
        return _unreachable(
            attempt,
            "connect",
            f"nothing listens at {there}",
            hint=_PROXY_HINT if at_proxy else "Are host and port right, and is the server running?",
        )
    return _unreachable(
        attempt,
        "connect",
        f"no connection to {there}{_system_reason(error)}",
        hint=_PROXY_HINT if at_proxy else _FIREWALL_HINT,
    )


# The ways in which a connection ends in mid-handshake without a word of TLS.
_CUT = (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError, ssl.SSLZeroReturnError)


def _is_of_proxy(error: aiohttp.ClientConnectorError, attempt: Attempt) -> bool:
    """Whether it is the proxy that could not be connected to, not the server behind it."""
    if attempt.proxy is None:
        return False
    proxy = urlsplit(attempt.proxy)
    return (error.host, error.port) == (proxy.hostname, proxy.port)


def _alert(error: BaseException | None) -> str | None:
    """Returns the TLS alert with which the other side ended a connection, as words."""
    for found in (error, error and error.__cause__):
        reason = getattr(found, "reason", None) if isinstance(found, ssl.SSLError) else None
        if isinstance(reason, str) and "_ALERT_" in reason:
            return reason.split("_ALERT_", 1)[1].replace("_", " ").lower()
    return None


# Alerts with which the other side speaks of the certificate that it was shown, or was not.
_OF_CERTIFICATES = frozenset(
    {
        "bad certificate",
        "unsupported certificate",
        "certificate revoked",
        "certificate expired",
        "certificate unknown",
        "unknown ca",
        "access denied",
    }
)

# Alerts of a handshake that may come when the client's part of it is over. Any other one ends a
# connection that was made, and says nothing of what the server has seen by then.
_LATE_REFUSALS = _OF_CERTIFICATES | {"certificate required", "handshake failure", "decrypt error"}
# "Unrelated to the peer or the correctness of the protocol", and "unrelated to a protocol failure":
# RFC 8446, 6.2 and 6.1.
_PASSING = frozenset({"internal error", "user cancelled"})


def _handshake_refused(alert: str, there: str, attempt: Attempt) -> Unreachable:
    if alert == "certificate required":
        what = f"{there} demands a client certificate"
    elif alert in _OF_CERTIFICATES and attempt.client_cert:
        what = f"{there} does not accept the client certificate ({alert})"
    else:
        what = f"{there} refused the TLS handshake ({alert})"
    phase = "connect" if alert in _PASSING else "tls"
    return _unreachable(attempt, phase, what, hint=_certificate_hint(attempt))


def _certificate_hint(attempt: Attempt) -> str:
    if attempt.client_cert:
        return (
            "Is the client certificate the right one, is it still valid, and does its file hold "
            "the authorities between it and its root?"
        )
    return "A server that demands a client certificate does so: name it with --client-cert FILE."


def _unreachable(attempt: Attempt, phase: str, what: str, *, hint: str) -> Unreachable:
    return Unreachable(
        f"Cannot {attempt.aim}: {what}.",
        hint=hint,
        phase=phase,
        server=attempt.server,
        proxy=attempt.proxy,
        call=attempt.aim,
    )


def _system_reason(error: Exception) -> str:
    """Returns the operating system's words in brackets; other texts may quote a request."""
    # An ssl.SSLError counts its errors differently; aiohttp passes its number on.
    of_tls = isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError)
    if isinstance(error, OSError) and error.errno is not None and not of_tls:
        return f" ({errno.errorcode.get(error.errno, error.errno)})"
    return ""
