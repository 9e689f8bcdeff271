"""What an answer that is no success means: bodies of every known shape become the error tree."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import orjson

from loader.api.answer import Answer, is_page
from loader.errors import (
    ApiError,
    LoginFailed,
    NotAllowed,
    NotFound,
    Refused,
    SessionExpired,
    Unavailable,
)

__all__ = ["ErrorBody", "classify", "failure", "proxy_refusal", "read_error_body"]


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """The parts of an error body that were there; the API may leave out any of them."""

    code: str | None = None
    message: str | None = None
    iserver_code: int | None = None
    ticket_id: str | None = None


# The Intelligence Server's codes that mean the same whatever the HTTP status is, as public clients
# know them; the documents list none.
_ROW_LIMIT = -2147205488
_REQUEST_TIMEOUT = -2147206497
_BY_ISERVER_CODE: dict[int, type[ApiError]] = {
    -2147206925: SessionExpired,
    -2147206924: SessionExpired,
    -2147209051: SessionExpired,
    -2147467261: SessionExpired,
    -2147216959: LoginFailed,  # wrong user or password
    -2147216960: LoginFailed,  # a new password is required
    -2147216963: LoginFailed,  # the password has expired
    -2147216965: LoginFailed,  # the account is disabled
    -2147024891: NotAllowed,  # access denied
    -2147214578: NotAllowed,  # no access to the project
    -2147214579: NotAllowed,  # access denied
    -2147216373: NotFound,  # not in the metadata
    _ROW_LIMIT: Refused,
    _REQUEST_TIMEOUT: Unavailable,
    -2147206923: Unavailable,  # the Intelligence Server is not found
    -2147207419: Unavailable,  # the connection to the Intelligence Server broke
    -2147209192: Unavailable,  # the project is idle
}

# ERR001 (general) and ERR002 (server error) say nothing: the iServerCode or the status decides.
_BY_CODE: dict[int, type[ApiError]] = {
    3: SessionExpired,
    4: NotFound,
    5: Refused,
    6: Refused,
    7: Refused,
    9: SessionExpired,
    10: Refused,
    13: Unavailable,
    14: NotAllowed,
    15: Refused,
    16: Unavailable,
    17: NotAllowed,
}

_BY_STATUS: dict[int, type[ApiError]] = {
    401: SessionExpired,
    403: NotAllowed,
    404: NotFound,
    408: Unavailable,
    425: Unavailable,
    429: Unavailable,
    501: Refused,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
    505: Refused,
}

_LIBRARY_HINT = "Is the path /MicroStrategyLibrary in the server's URL?"
_CHUNK_HINT = "Lower --chunk-size."
_SHORT = 300
_PROXY_AUTHENTICATION = 407
# Shorter secrets would black out parts of ordinary words, and thereby show what they are.
_REDACTED_FROM = 3


def failure(
    aim: str,
    answer: Answer,
    *,
    login: bool = False,
    login_hint: str | None = None,
    secrets: Sequence[str] = (),
    proxy: str | None = None,
) -> ApiError:
    """Returns the error that an answer without success stands for.

    Args:
        aim: What the call was to do ("open an upload session").
        answer: The answer; its status is not 2xx.
        login: Whether the call was the login itself, where 401 means wrong credentials.
        login_hint: What to change when the credentials are wrong.
        secrets: Texts that no message may show.
        proxy: The address of the proxy that the answer came through, or None. What does not look
            like an answer of the API may be the proxy's own, so messages name it.
    """
    body = read_error_body(answer)
    if answer.status == _PROXY_AUTHENTICATION:
        return proxy_refusal(aim, answer.status, proxy)
    kind = classify(answer.status, body, login=login)
    hint: str | None
    said = body.message or _page_title(answer) or answer.reason or "no reason given"
    facts = [f"HTTP {answer.status}"]
    if body.code is not None:
        facts.append(body.code)
    if body.iserver_code is not None:
        facts.append(f"iServerCode {body.iserver_code}")
    if body.ticket_id is not None:
        facts.append(f"ticket {body.ticket_id}")
    if 300 <= answer.status < 400:  # noqa: PLR2004  # the class of redirections
        said, hint = _redirection(answer)
    else:
        hint = login_hint if kind is LoginFailed else None
        hint = hint or _hint(kind, answer, body, login=login)
        if proxy is not None and body == ErrorBody():
            hint = f"This may be an answer of the proxy {proxy}. {hint or ''}".rstrip()
    if body.iserver_code == _ROW_LIMIT:
        said = f"the server's row limit was reached and the data was cut: {said}"
    message = f"{_OPENING[kind].format(aim=aim)}: {said.rstrip('.')} ({', '.join(facts)})."
    for secret in secrets:
        if len(secret) >= _REDACTED_FROM:
            message = message.replace(secret, "***")
    return kind(
        message,
        hint=hint,
        status=answer.status,
        code=body.code,
        iserver_code=body.iserver_code,
        ticket_id=body.ticket_id,
        retry_after=_retry_after(answer),
        call=aim,
    )


def proxy_refusal(aim: str, status: int, proxy: str | None) -> ApiError:
    """Returns the error of a request that a proxy kept from the server: nothing was done there.

    Args:
        aim: What the call was to do.
        status: The proxy's answer.
        proxy: Its address; None where nobody named one, and one is in the way all the same.
    """
    who = f"the proxy {proxy}" if proxy else "a proxy between here and the server"
    kind: type[ApiError] = Refused
    if status == _PROXY_AUTHENTICATION:
        why = f"{who} asks for a user and a password, or does not accept those it was given"
        hint = "Put them into the proxy's URL (http://user:password@host:port) in MSTR_PROXY."
    elif status >= 500 or status == 429:  # noqa: PLR2004  # a server error, or too many requests
        kind = Unavailable
        why = f"{who} has no way to the server now"
        hint = "Is the host in the server's URL right, and can the proxy reach it?"
    else:
        why = f"{who} does not let this connection through"
        hint = "Ask who runs the proxy to allow host and port; --proxy none goes without it."
    return kind(
        f"Cannot {aim}: {why} (HTTP {status}).", hint=hint, status=status, call=aim, proxy=proxy
    )


_OPENING: dict[type[ApiError], str] = {
    LoginFailed: "The server does not accept this login",
    NotAllowed: "The user may not {aim}",
    NotFound: "Cannot {aim}, because the server found nothing there",
    SessionExpired: "Cannot {aim}, because the login has ended",
    Refused: "The server refused to {aim}",
    Unavailable: "The server cannot {aim} now",
}


def classify(status: int, body: ErrorBody, *, login: bool) -> type[ApiError]:
    """Decides what kind of failure it is.

    The Intelligence Server's code is the most exact, then the API's, then the HTTP status. A 500
    with an iServerCode that is not known to be passing is permanent: servers hide refusals so.
    """
    kind = _kind(status, body)
    if login and kind is SessionExpired:
        return LoginFailed
    return kind


def _kind(status: int, body: ErrorBody) -> type[ApiError]:
    if body.iserver_code in _BY_ISERVER_CODE:
        return _BY_ISERVER_CODE[body.iserver_code]
    number = _number_of(body.code)
    if number in _BY_CODE:
        return _BY_CODE[number]
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    unexplained = body.iserver_code is None
    if status >= 500 and unexplained:  # noqa: PLR2004  # the class of server errors
        return Unavailable
    return Refused


def _number_of(code: str | None) -> int | None:
    """Returns the number of an ``ERR…`` code, which comes with three or four digits."""
    match = re.fullmatch(r"ERR(\d{3,4})", code or "", re.IGNORECASE)
    return int(match[1]) if match else None


def read_error_body(answer: Answer) -> ErrorBody:
    """Reads ``{"code", "message", …}`` or ``{"errors": [{…}]}``; anything else is an empty body."""
    try:
        document = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return ErrorBody()
    if not isinstance(document, dict):
        return ErrorBody()
    several = _objects(document.get("errors"))
    first = several[0] if several else document
    messages = [_text(item.get("message")) for item in several or [document]]
    messages += [_text(item.get("message")) for item in _objects(document.get("subErrors"))]
    # The same sentence often comes twice, as the error and as its only sub-error.
    said = "; ".join(dict.fromkeys(text for text in messages if text))
    return ErrorBody(
        code=_text(first.get("code")),
        message=_shortened(said) or None,
        iserver_code=_integer(first.get("iServerCode")),
        ticket_id=_text(first.get("ticketId")) or _text(document.get("ticketId")),
    )


def _objects(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: object) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def _integer(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    try:
        return int(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 1]}…"


def _page_title(answer: Answer) -> str | None:
    """Returns what a proxy's error page says, for people who have to find the proxy."""
    if not is_page(answer):
        return None
    page = answer.body[:65536].decode("utf-8", "replace")
    match = re.search(r"<title[^>]*>(.*?)</title>", page, re.IGNORECASE | re.DOTALL)
    title = _shortened(unescape(match[1])) if match else ""
    return f"a web page with the title {title!r}" if title else "a web page without a title"


def _redirection(answer: Answer) -> tuple[str, str]:
    """Names scheme and host of the target only: the rest may hold a sign-on ticket."""
    target = answer.headers.get("location", "")
    try:
        parts = urlsplit(target)
        host = parts.hostname
        where = f"{parts.scheme or 'http'}://{host}" + (f":{parts.port}" if parts.port else "")
    except ValueError:
        host, where = None, ""
    if host is None:
        return "it redirects to another path of the same host", _LIBRARY_HINT
    return (
        f"it redirects to {where}, and data is not sent where nobody asked for",
        f"If {where} is the right server, name it in the URL.",
    )


def _hint(kind: type[ApiError], answer: Answer, body: ErrorBody, *, login: bool) -> str | None:
    if body.iserver_code == _ROW_LIMIT:
        return "Ask the administrator to raise the row limit of the project, then load again."
    if answer.status == 413:  # noqa: PLR2004  # Content Too Large
        return f"The body is larger than the server, or a proxy before it, accepts. {_CHUNK_HINT}"
    if answer.status in {408, 504} or body.iserver_code == _REQUEST_TIMEOUT:
        return f"A call has to be answered within 120 seconds. {_CHUNK_HINT}"
    if kind is LoginFailed:
        return "Check user, password and login mode."
    if kind is NotAllowed:
        return "Ask the administrator for the rights to create and publish datasets there."
    if answer.status in {404, 405} and (login or body.code is None):
        return _LIBRARY_HINT
    return None


def _retry_after(answer: Answer) -> float | None:
    """Returns the seconds of a ``Retry-After``; a date counts from the answer's own ``Date``."""
    value = answer.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    then, now = _date(value), _date(answer.headers.get("date", ""))
    if then is None or now is None:
        return None
    return max(0.0, (then - now).total_seconds())


def _date(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    # "-0000" gives a naive time, which cannot be subtracted from the others.
    return moment if moment.tzinfo is not None else None
