from __future__ import annotations

import pytest

from loader.errors import (
    NotAllowed,
    NotFound,
    ProtocolViolation,
    Refused,
    SessionExpired,
    Unavailable,
    Unreachable,
)
from loader.job.outcome import may_have_happened


@pytest.mark.parametrize(
    "error",
    [
        Unreachable("reset", phase="answer"),
        Unavailable("a gateway's page", status=502),
        Unavailable("a gateway's page", status=503),
        Unavailable("no reason given", status=500),
        Unavailable("timed out", status=504, code="ERR001"),
        Unavailable("timed out", status=500, code="ERR002", iserver_code=-2147206497),
        Unavailable("the server behind is lost", status=500, code="ERR013"),
        SessionExpired("ended", status=500, code="ERR002", iserver_code=-2147206924),
        ProtocolViolation("200 with a web page"),
    ],
)
def test_what_may_have_happened(error):
    assert may_have_happened(error)


@pytest.mark.parametrize(
    "error",
    [
        Unreachable("nothing listens", phase="connect"),
        Unreachable("unknown certificate", phase="tls"),
        Unreachable("cut in the body", phase="send"),
        Unavailable("too many requests", status=429),
        Unavailable("not now", status=503, code="ERR016"),
        Unavailable("general error", status=500, code="ERR001"),
        Refused("bad data", status=400, code="ERR006"),
        NotFound("no such table", status=404),
        NotAllowed("no rights", status=403),
        SessionExpired("log in", status=401),
    ],
)
def test_what_cannot_have_happened(error):
    assert not may_have_happened(error)
