"""A call as a plain value, and what its answer means: no socket is needed for either."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from loader.api.answer import Answer, Malformed, is_page
from loader.api.failures import failure
from loader.errors import ProtocolViolation

__all__ = ["Call", "Scope", "interpret"]

T = TypeVar("T")


class Scope(enum.Enum):
    """What a call must carry besides its body."""

    LOGIN = "login"
    """Nothing: it makes the token."""
    USER = "user"
    """The ``X-MSTR-AuthToken``."""
    PROJECT = "project"
    """The token and the ``X-MSTR-ProjectID``."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request, and how its answer is read.

    Attributes:
        aim: What the call does, as a verb phrase that error messages continue ("cannot …").
        method: The HTTP method.
        path: From the Library's root, percent-encoded: ``/api/…``.
        read: Turns the body and headers of a 2xx answer into the result; raises ``Malformed``.
        body: What is sent as JSON; values may be ``Base64Data``. May hold a password: no repr.
        query: The query's parameters, not encoded.
        headers: Headers besides those of the scope.
        scope: What authorises the call.
        hint: What to change where the server does not accept a login.
    """

    aim: str
    method: str
    path: str
    read: Callable[[Answer], T]
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    scope: Scope = Scope.PROJECT
    hint: str | None = None


def interpret(
    call: Call[T], answer: Answer, *, secrets: Sequence[str] = (), proxy: str | None = None
) -> T:
    """Returns the call's result.

    Args:
        call: What was asked.
        answer: What came back.
        secrets: Texts that no message may show (a server may quote the token it refuses).
        proxy: The address of the proxy that the answer came through, or None.

    Raises:
        ApiError: The answer is not a success.
        ProtocolViolation: It is one, but not the one that the documents describe.
    """
    if answer.status // 100 != 2:  # noqa: PLR2004  # the class of success codes
        raise failure(
            call.aim,
            answer,
            login=call.scope is Scope.LOGIN,
            login_hint=call.hint,
            secrets=secrets,
            proxy=proxy,
        )
    try:
        return call.read(answer)
    except Malformed as error:
        hint = None
        if is_page(answer):
            hint = (
                "A proxy or a sign-on page seems to answer in the server's place. "
                "Is the path /MicroStrategyLibrary in the URL, and is the user let through?"
            )
        raise ProtocolViolation(
            f"Asked to {call.aim}, the server answered {answer.status} but {error}.",
            hint=hint,
            status=answer.status,
            call=call.aim,
        ) from None
