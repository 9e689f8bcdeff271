"""Exceptions of aiohttp and the system: each becomes one error with the right phase and a hint."""

from __future__ import annotations

import errno
import socket
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from loader.api.outages import Attempt, outage
from loader.errors import ProtocolViolation, Recovery, Unreachable

KEY = ConnectionKey("host", 443, True, True, None, None, None)


def attempt(sent=10, size=10):
    return Attempt(
        aim="publish dataset D1",
        server="https://host",
        sent=sent,
        size=size,
        connect_timeout=30.0,
        answer_timeout=150.0,
    )


def told(alert: str) -> ssl.SSLError:
    """What OpenSSL raises for an alert of the other side."""
    error = ssl.SSLError(1, "alert")
    error.reason = f"TLSV1_ALERT_{alert}"
    return error


CERTIFICATE = ssl.SSLCertVerificationError(1, "certificate verify failed")


@pytest.mark.parametrize(
    ("error", "phase", "says", "hint"),
    [
        (
            aiohttp.ClientConnectorError(KEY, OSError(errno.ECONNREFUSED, "refused")),
            "connect",
            "nothing listens at https://host",
            "port",
        ),
        (
            aiohttp.ClientConnectorError(KEY, OSError(errno.EHOSTUNREACH, "no route")),
            "connect",
            "no connection to https://host (EHOSTUNREACH)",
            "firewall",
        ),
        (
            aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(-2, "unknown")),
            "connect",
            "has no address",
            "resolved",
        ),
        (aiohttp.ConnectionTimeoutError("x"), "connect", "within 30 seconds", "firewall"),
        (
            aiohttp.ClientConnectorCertificateError(KEY, CERTIFICATE),
            "tls",
            "cannot be verified",
            "--ca-bundle",
        ),
        (
            aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "wrong version number")),
            "tls",
            "no TLS with https://host (wrong version number)",
            "http",
        ),
        (
            aiohttp.ClientConnectorError(KEY, ConnectionResetError()),
            "connect",
            "broke off the TLS handshake.",
            "--client-cert",
        ),
        (
            aiohttp.ClientConnectorError(KEY, BrokenPipeError(errno.EPIPE, "pipe")),
            "connect",
            "broke off the TLS handshake (EPIPE)",
            "--client-cert",
        ),
        (
            aiohttp.ClientConnectorSSLError(
                KEY, ssl.SSLEOFError(8, "EOF in violation of protocol")
            ),
            "connect",
            "broke off the TLS handshake.",
            "--client-cert",
        ),
        (
            aiohttp.ClientConnectorSSLError(KEY, told("INTERNAL_ERROR")),
            "connect",
            "refused the TLS handshake (internal error)",
            "--client-cert",
        ),
        (
            aiohttp.ClientConnectorSSLError(KEY, told("PROTOCOL_VERSION")),
            "tls",
            "refused the TLS handshake (protocol version)",
            "--client-cert",
        ),
        (told("UNKNOWN_CA"), "tls", "refused the TLS handshake (unknown ca)", "--client-cert"),
        (told("INTERNAL_ERROR"), "answer", "before the answer was complete.", "proxy"),
        (aiohttp.SocketTimeoutError("x"), "answer", "no answer within 150 seconds", "chunk-size"),
        (TimeoutError(), "answer", "no answer within 150 seconds", "chunk-size"),
        (aiohttp.ServerDisconnectedError(), "answer", "before the answer was complete", "proxy"),
        (aiohttp.ClientPayloadError("x"), "answer", "before the answer was complete", "proxy"),
        (
            aiohttp.ClientOSError(errno.ECONNRESET, "reset"),
            "answer",
            "before the answer was complete (ECONNRESET)",
            "proxy",
        ),
        (ConnectionResetError(), "answer", "before the answer was complete.", "proxy"),
    ],
)
def test_exception_becomes_unreachable(error, phase, says, hint):
    fault = outage(error, attempt())
    assert type(fault) is Unreachable
    assert fault.recovery is Recovery.RETRY
    assert str(fault).startswith("Cannot publish dataset D1: ")
    assert says in str(fault)
    assert hint in fault.hint
    assert fault.details == {
        "phase": phase,
        "server": "https://host",
        "call": "publish dataset D1",
    }


def test_reset_in_mid_body_says_how_far_it_came():
    fault = outage(aiohttp.ClientOSError(errno.EPIPE, "pipe"), attempt(2_500_000, 10_000_000))
    assert "after 2,500,000 of 10,000,000 bytes were sent (EPIPE)" in str(fault)
    assert fault.details["phase"] == "send"


def test_server_that_stops_reading_is_not_one_that_does_not_answer():
    fault = outage(TimeoutError(), attempt(2_500_000, 10_000_000))
    assert "stopped reading after 2,500,000 of 10,000,000 bytes" in str(fault)
    assert fault.details["phase"] == "send"


def test_answer_that_is_no_http_shows_no_request_header():
    info = aiohttp.RequestInfo(
        url="https://host", method="PUT", headers={"X-MSTR-AuthToken": "hidden-text"}, real_url="x"
    )
    fault = outage(aiohttp.ClientResponseError(info, (), status=400, message="bad"), attempt())
    assert type(fault) is ProtocolViolation
    assert "not HTTP" in str(fault)
    assert "hidden-text" not in repr(fault.args) + repr(fault.as_dict())
