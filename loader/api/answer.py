"""An answer as a plain value, and the checks its body has to pass before anything relies on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

__all__ = [
    "Answer",
    "Malformed",
    "integer_of",
    "is_page",
    "items_of",
    "json_of",
    "nothing",
    "object_of",
    "text_of",
]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server sent back.

    Attributes:
        status: The HTTP status.
        reason: The status line's text; may be empty.
        headers: Their names in lower case. Holds the token after a login, hence ``Answer`` is
            never shown: see ``__repr__``.
        body: The whole body.
    """

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"<Answer {self.status}, {len(self.body)} bytes>"


class Malformed(ValueError):
    """A 2xx answer that lacks what the API documents promise; the message says what."""


def is_page(answer: Answer) -> bool:
    """Whether a web page came: proxies and sign-on gateways answer with one, the API never does."""
    content_type = answer.headers.get("content-type", "").lower()
    return "html" in content_type or answer.body.lstrip()[:1] == b"<"


def nothing(answer: Answer) -> None:
    """Reads an answer whose body does not matter.

    A web page is refused: sign-on gateways answer 200 with one, and a chunk would be lost silently.
    """
    if is_page(answer):
        raise Malformed("with a web page where the API sends nothing")


def json_of(answer: Answer) -> Any:
    """Reads a JSON body."""
    if is_page(answer):
        raise Malformed("with a web page where the API sends JSON")
    try:
        return orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        raise Malformed("its body is not JSON") from None


def object_of(answer: Answer) -> dict[str, Any]:
    """Reads a body that is one JSON object."""
    value = json_of(answer)
    if not isinstance(value, dict):
        raise Malformed("its body is not a JSON object")
    return value


def items_of(value: object, what: str) -> list[dict[str, Any]]:
    """Checks a JSON array of objects; ``what`` names it."""
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise Malformed(f"{what} is not an array of objects")
    return value


def text_of(document: Mapping[str, Any], key: str) -> str:
    """Returns a text that must be there and not be empty."""
    value = document.get(key)
    if not isinstance(value, str) or not value:
        raise Malformed(f"without {key!r}")
    return value


def integer_of(document: Mapping[str, Any], key: str) -> int:
    """Returns a whole number, sent as a number or as its text (the documents show texts)."""
    value = document.get(key)
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            raise Malformed(f"its {key!r} is not a whole number") from None
    # A JSON true is a Python int.
    if not isinstance(value, int) or isinstance(value, bool):
        raise Malformed(f"its {key!r} is missing or not a whole number")
    return value
