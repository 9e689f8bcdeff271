"""Answers without success: every known shape of body, code and status becomes the right error."""

from __future__ import annotations

import orjson
import pytest

from loader.api.answer import Answer
from loader.api.failures import ErrorBody, classify, failure, read_error_body
from loader.errors import (
    LoginFailed,
    NotAllowed,
    NotFound,
    Recovery,
    Refused,
    SessionExpired,
    Unavailable,
)


def answer(status, body=b"", reason="", **headers):
    document = body if isinstance(body, bytes) else orjson.dumps(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status=status, reason=reason, headers=named, body=document)


@pytest.mark.parametrize(
    ("status", "code", "iserver_code", "expected"),
    [
        # the API's code, with three and with four digits
        (401, "ERR009", None, SessionExpired),
        (401, "ERR0009", None, SessionExpired),
        (401, "ERR003", None, SessionExpired),
        (403, "ERR014", None, NotAllowed),
        (403, "ERR0014", None, NotAllowed),
        (403, "ERR017", None, NotAllowed),
        (404, "ERR004", None, NotFound),
        (400, "ERR005", None, Refused),
        (400, "ERR006", None, Refused),
        (400, "ERR007", None, Refused),
        (400, "ERR010", None, Refused),
        (409, "ERR015", None, Refused),
        (503, "ERR016", None, Unavailable),
        (500, "ERR013", None, Unavailable),
        # the code tells more than a wrong status
        (500, "ERR009", None, SessionExpired),
        (500, "ERR006", None, Refused),
        (500, "ERR014", None, NotAllowed),
        (400, "ERR004", None, NotFound),
        # the iServerCode tells more than both
        (500, "ERR001", -2147206925, SessionExpired),
        (500, "ERR001", -2147206924, SessionExpired),
        (500, "ERR002", -2147209051, SessionExpired),
        (500, "ERR002", -2147467261, SessionExpired),
        (500, "ERR002", -2147206497, Unavailable),
        (500, "ERR002", -2147205488, Refused),
        (200 + 300, "ERR001", -2147072488, Refused),
        (403, "ERR002", -2147214578, NotAllowed),
        (500, "ERR002", -2147216373, NotFound),
        # permanent, hidden as a general error of the server
        (500, "ERR001", -2147217373, Refused),
        (500, "ERR002", -2147217373, Refused),
        # unexplained
        (500, "ERR001", None, Unavailable),
        (500, "ERR002", None, Unavailable),
        (500, None, None, Unavailable),
        (599, None, None, Unavailable),
        # by status alone
        (400, None, None, Refused),
        (401, None, None, SessionExpired),
        (403, None, None, NotAllowed),
        (404, None, None, NotFound),
        (405, "ERR001", None, Refused),
        (408, None, None, Unavailable),
        (413, None, None, Refused),
        (425, None, None, Unavailable),
        (429, None, None, Unavailable),
        (501, None, None, Refused),
        (502, None, None, Unavailable),
        (503, "ERR001", -2147217373, Unavailable),
        (504, None, None, Unavailable),
        # codes of other services are no ERR codes
        (400, "8004cb0a", None, Refused),
    ],
)
def test_code_iserver_code_and_status_decide_the_kind(status, code, iserver_code, expected):
    body = ErrorBody(code=code, iserver_code=iserver_code)
    assert classify(status, body, login=False) is expected


@pytest.mark.parametrize(
    ("status", "code", "iserver_code", "expected"),
    [
        (401, "ERR003", -2147216959, LoginFailed),
        (401, None, None, LoginFailed),
        (401, "ERR009", None, LoginFailed),
        (500, "ERR002", -2147216963, LoginFailed),
        (404, None, None, NotFound),
        (503, None, None, Unavailable),
    ],
)
def test_a_refused_login_is_not_an_expired_session(status, code, iserver_code, expected):
    body = ErrorBody(code=code, iserver_code=iserver_code)
    assert classify(status, body, login=True) is expected


def test_full_error_body_keeps_code_iserver_code_and_ticket():
    error = failure(
        "publish dataset D1",
        answer(
            500,
            {
                "code": "ERR002",
                "iServerCode": -2147072488,
                "message": "The cube is not published.",
                "ticketId": "abc-123",
                "subErrors": [{"code": "ERR001", "message": "Publish it first"}],
                "additionalProperties": {},
            },
        ),
    )
    assert type(error) is Refused
    assert str(error) == (
        "The server refused to publish dataset D1: The cube is not published.; Publish it first "
        "(HTTP 500, ERR002, iServerCode -2147072488, ticket abc-123)."
    )
    assert (error.status, error.code) == (500, "ERR002")
    assert (error.iserver_code, error.ticket_id) == (-2147072488, "abc-123")
    assert error.details["call"] == "publish dataset D1"


def test_iserver_code_and_ticket_may_be_absent():
    error = failure("log out", answer(400, {"code": "ERR006", "message": "no"}))
    assert error.details == {"status": 400, "code": "ERR006", "call": "log out"}


def test_list_of_errors_is_read():
    body = read_error_body(
        answer(
            400,
            {
                "errors": [
                    {"code": "ERR0006", "message": "bad name", "iServerCode": "-5"},
                    {"code": "ERR0007", "message": "no table"},
                ]
            },
        )
    )
    assert body == ErrorBody("ERR0006", "bad name; no table", -5, None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b'"text"',
        b"null",
        b"\xff\xfe",
        {"errors": []},
        {"errors": "x"},
        {"code": 7, "message": None, "iServerCode": True, "ticketId": 5},
        {"code": "", "message": "  ", "iServerCode": "x"},
    ],
)
def test_bodies_without_the_known_parts_are_empty_error_bodies(body):
    assert read_error_body(answer(500, body)) == ErrorBody()


def test_page_of_a_proxy_is_named_by_its_title():
    page = b"<html><head><title>\n 502 Bad &amp; Gateway </title></head><body>..."
    error = failure("list the projects", answer(502, page, content_type="text/html"))
    assert type(error) is Unavailable
    assert "a web page with the title '502 Bad & Gateway'" in str(error)


def test_page_without_a_title_and_empty_body():
    assert "a web page without a title" in str(failure("log in", answer(503, b" <p>x")))
    assert ": Bad Gateway (HTTP 502)." in str(failure("log in", answer(502, reason="Bad Gateway")))
    assert ": no reason given (HTTP 502)." in str(failure("log in", answer(502)))


def test_long_messages_are_cut_and_set_on_one_line():
    error = failure("log in", answer(400, {"message": "a\n b" + "x" * 5000}))
    assert len(str(error)) < 400
    assert "a b" in str(error)


def test_row_limit_says_that_data_was_cut():
    error = failure(
        "publish dataset D1",
        answer(500, {"code": "ERR002", "iServerCode": -2147205488, "message": "Max rows"}),
    )
    assert type(error) is Refused
    assert error.recovery is Recovery.NONE
    assert "row limit was reached and the data was cut: Max rows" in str(error)
    assert "row limit" in error.hint


@pytest.mark.parametrize(("status", "hint"), [(413, "--chunk-size"), (504, "--chunk-size")])
def test_too_large_and_too_slow_name_the_setting(status, hint):
    assert hint in failure("upload chunk 1 of table 't'", answer(status)).hint


def test_wrong_path_hints_at_the_library():
    assert "MicroStrategyLibrary" in failure("log in", answer(404), login=True).hint
    assert "MicroStrategyLibrary" in failure("list the projects", answer(404, b"<html>")).hint
    known = failure("read", answer(404, {"code": "ERR004", "message": "no such object"}))
    assert known.hint is None


@pytest.mark.parametrize(
    ("header", "date", "expected"),
    [
        ("7", None, 7.0),
        ("0", None, 0.0),
        ("Wed, 21 Oct 2026 07:28:30 GMT", "Wed, 21 Oct 2026 07:28:00 GMT", 30.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:28:30 GMT", 0.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None, None),
        ("Wed, 21 Oct 2026 07:28:00 -0000", "Wed, 21 Oct 2026 07:28:30 GMT", None),
        ("soon", None, None),
        ("-1", None, None),
        ("²", None, None),
    ],
)
def test_retry_after_becomes_seconds(header, date, expected):
    headers = {"retry_after": header} | ({"date": date} if date else {})
    error = failure("log in", answer(503, **headers))
    assert error.details.get("retry_after") == expected


def test_redirection_names_the_host_and_nothing_more_of_the_target():
    error = failure(
        "upload chunk 1 of table 't'",
        answer(302, location="https://sso.example.com:8443/login?ticket=hidden-text"),
    )
    assert type(error) is Refused
    assert "https://sso.example.com:8443" in str(error)
    assert "hidden-text" not in repr(error.as_dict())
    assert "/login" not in repr(error.as_dict())


@pytest.mark.parametrize("target", ["/MicroStrategyLibrary/app", "", "https://[broken", "//"])
def test_redirection_without_a_host_hints_at_the_path(target):
    error = failure("log in", answer(301, location=target), login=True)
    assert "another path" in str(error)
    assert "MicroStrategyLibrary" in error.hint


def test_secrets_that_the_server_quotes_are_blacked_out():
    error = failure(
        "log in",
        answer(401, {"code": "ERR009", "message": "Session tok-123 for pw-456 is gone"}),
        secrets=["tok-123", "pw-456", "o"],
    )
    assert "Session *** for *** is gone" in str(error)
    assert "tok-123" not in repr(error.args) + repr(error.details)


def test_answer_shows_no_header_in_its_repr():
    assert repr(answer(204, x_mstr_authtoken="hidden-text")) == "<Answer 204, 0 bytes>"


@pytest.mark.parametrize(
    ("error", "recovery"),
    [
        (answer(503), Recovery.RETRY),
        (answer(401), Recovery.LOGIN),
        (answer(403), Recovery.NONE),
        (answer(400), Recovery.NONE),
    ],
)
def test_what_can_cure_an_error_belongs_to_the_error(error, recovery):
    assert failure("publish", error).recovery is recovery
