"""Whether a call that failed may have been carried out: then it must not simply be repeated."""

from __future__ import annotations

from loader.errors import (
    LoaderError,
    ProtocolViolation,
    SessionExpired,
    Unavailable,
    Unreachable,
)

__all__ = ["may_have_happened"]

# The server saw nothing, or not the whole body: it cannot have done what was asked.
_NOT_SEEN = frozenset({"tls", "connect", "send"})
_UNAUTHORISED = 401
# "Unwilling to process a request" and "too many requests" (RFC 8470, 5.2; RFC 6585, 4).
_UNWILLING = frozenset({425, 429})
_TIMEOUTS = frozenset({408, 504})
# "Server unreachable": the REST server lost the Intelligence Server, perhaps in mid-work. "General"
# and "server error" are what is said of anything that goes wrong, at the end of the work too.
_SAYS_NOTHING = frozenset({"ERR013", "ERR0013", "ERR001", "ERR0001", "ERR002", "ERR0002"})


def may_have_happened(error: LoaderError) -> bool:
    """Returns whether the server may have done, or may still do, what the failed call asked for.

    A refusal is an answer. What is no answer of the API at all may come from a gateway in front of
    a server that is at work, and so may a timeout, whoever reports it.
    """
    if isinstance(error, ProtocolViolation):
        return True
    if isinstance(error, Unreachable):
        return error.details.get("phase") not in _NOT_SEEN
    if isinstance(error, SessionExpired):
        # Else the Intelligence Server says so, perhaps of a session that ended in mid-work.
        return error.status != _UNAUTHORISED
    if not isinstance(error, Unavailable) or error.status in _UNWILLING:
        return False
    if "proxy" in error.details:
        # It refused to make a connection to the server, which is another thing than its own answer
        # to a call that it may have passed on: loader.api.failures.proxy_refusal.
        return False
    said_no = error.code is not None and error.iserver_code is None
    return not said_no or error.status in _TIMEOUTS or error.code in _SAYS_NOTHING
