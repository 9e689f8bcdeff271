"""Reads the text form of fault rules, ``put:nth=3:reset=after-store``, and says what is wrong."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import unquote

from loader.emulator.faultrules import (
    OF_BODIES,
    Answer,
    Crash,
    DiskFull,
    Effect,
    EndLogin,
    EndSession,
    ErrorBody,
    Moment,
    Outcome,
    Reset,
    Rule,
    Slow,
    Span,
    Spoiled,
    Stall,
    Status,
    Where,
)
from loader.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EFFECTS", "parse_rule"]

_ANY = "any"
_EVERYWHERE = frozenset(Where)
_WITH_SESSION = frozenset({Where.PUT, Where.PUBLISH, Where.STATUS, Where.DELETE})
_WITH_BODY = frozenset(
    {
        Where.LOGIN,
        Where.ONE_REQUEST,
        Where.PATCH,
        Where.CREATE,
        Where.OPEN_SESSION,
        Where.PUT,
        Where.CUBES,
    }
)
_ANSWERING_204 = frozenset(
    {Where.LOGIN, Where.LOGOUT, Where.KEEP_ALIVE, Where.PATCH, Where.DELETE_DATASET}
)
_ANSWERING_NOTHING = frozenset({Where.PUT, Where.PUBLISH, Where.DELETE})

_SHAPE = "write it as WHERE[:CONDITION…]:EFFECT, such as put:nth=3:reset=after-store"
_SPAN = re.compile(r"(\d{1,9})(?:(-)(\d{1,9})?)?")
_NUMBER = re.compile(r"\d{1,9}(?:\.\d{1,9})?")
_RATE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([kM]?)")
_POWERS = {"": 1, "k": 1_000, "M": 1_000_000}
_CODE = re.compile(r"ERR\d{3,4}")
_INTEGER = re.compile(r"-?\d{1,10}")
_DATE = "date+"

_API_CODES = {
    400: "ERR006",
    401: "ERR009",
    403: "ERR017",
    404: "ERR004",
    409: "ERR015",
    413: "ERR006",
    415: "ERR006",
    500: "ERR002",
    503: "ERR016",
}
"""The API's code that goes with a status, unless the rule says another; ERR001 for the rest."""


class _Wrong(Exception):
    """Why a text is no rule, and what would be right."""

    def __init__(self, reason: str, hint: str) -> None:
        super().__init__(reason, hint)
        self.reason = reason
        self.hint = hint


class _Values:
    """``NAME=VALUE`` pairs, read by name; what nobody read is unknown."""

    def __init__(self, what: str, texts: list[str]) -> None:
        self._what = what
        self._known: list[str] = []
        self._values: dict[str, str] = {}
        for text in texts:
            name, separator, value = text.partition("=")
            if not separator or not value:
                raise _Wrong(f"{what}: {text!r} is not NAME=VALUE", _SHAPE)
            if name in self._values:
                raise _Wrong(f"{what}: {name} is there twice", "leave one of them out")
            # Decoded last: so a table may be called a:b,c=d (a%3Ab%2Cc=d).
            self._values[name] = unquote(value)

    def text(self, name: str) -> str | None:
        """Returns a value as it is, None when it is not there."""
        self._known.append(name)
        return self._values.pop(name, None)

    def match(self, name: str, pattern: re.Pattern[str], example: str) -> re.Match[str] | None:
        """Returns what a pattern finds in a value."""
        text = self.text(name)
        if text is None:
            return None
        found = pattern.fullmatch(text)
        if found is None:
            raise _Wrong(f"{name}={text} cannot be read", f"write it as {example}")
        return found

    def number(self, name: str, example: str) -> float | None:
        """Returns a number from 0."""
        found = self.match(name, _NUMBER, example)
        return None if found is None else float(found[0])

    def share(self, name: str) -> float | None:
        """Returns a number from 0 to 1."""
        value = self.number(name, f"{name}=0.5")
        if value is not None and value > 1:
            raise _Wrong(f"{name}={value:g} is above 1", f"write it as {name}=0.5")
        return value

    def count(self, name: str) -> int | None:
        """Returns a whole number from 1."""
        span = self.span(name, f"{name}=3")
        if span is None:
            return None
        if span.last != span.first:
            raise _Wrong(f"{name} is one number", f"write it as {name}=3")
        return span.first

    def span(self, name: str, example: str) -> Span | None:
        """Returns ``3``, ``3-5`` or ``3-``."""
        found = self.match(name, _SPAN, example)
        if found is None:
            return None
        first, dash, last = found.groups()
        span = Span(int(first), int(last) if last else None if dash else int(first))
        if span.first < 1 or (span.last is not None and span.last < span.first):
            raise _Wrong(f"{name}={found[0]} holds no number from 1", f"write it as {example}")
        return span

    def choice(self, name: str, *choices: str) -> str | None:
        """Returns one of the choices."""
        text = self.text(name)
        if text is not None and text not in choices:
            raise _Wrong(f"{name}={text} is unknown", f"there are {', '.join(choices)}")
        return text

    def end(self) -> None:
        """Checks that every value was read."""
        for name in self._values:
            known = f"it takes {', '.join(self._known)}" if self._known else "it takes nothing"
            raise _Wrong(f"{self._what} takes no {name}", known)


def parse_rule(text: str) -> Rule:
    """Reads a rule; docs/emulator.md has the grammar.

    Raises:
        UsageError: It is none, or what it says cannot happen.
    """
    try:
        return _parse(text)
    except _Wrong as wrong:
        raise UsageError(f"Fault {text!r}: {wrong.reason}.", hint=wrong.hint) from None


def _parse(text: str) -> Rule:
    where, *conditions = text.split(":")
    if where != _ANY and where not in _EVERYWHERE:
        known = ", ".join([_ANY, *Where])
        raise _Wrong(f"{where!r} is no endpoint", f"there are {known}")
    if not conditions:
        raise _Wrong("it says nowhere what happens", _SHAPE)
    effect, possible = _effect(conditions.pop())
    reach = possible if where == _ANY else possible & {Where(where)}
    if not reach:
        raise _Wrong(
            f"{_named(effect)} cannot happen to {where}",
            f"it can to {', '.join(sorted(possible))}",
        )
    values = _Values("a condition", conditions)
    rule = Rule(
        text=text,
        reach=reach,
        effect=effect,
        table=values.text("table"),
        index=values.span("index", "index=3, index=3-5 or index=3-"),
        after=values.number("after", "after=30") or 0.0,
        until=_or(values.number("until", "until=60"), math.inf),
        nth=values.span("nth", "nth=3, nth=3-5 or nth=3-") or Span(1, None),
        every=values.count("every") or 1,
        rate=_or(values.share("rate"), 1.0),
        times=values.count("times"),
    )
    values.end()
    if rule.of_chunk and reach != {Where.PUT}:
        raise _Wrong(f"{where} has neither table nor index", "use them with put")
    if rule.until <= rule.after:
        raise _Wrong(f"until={rule.until:g} is not after after={rule.after:g}", "swap them")
    return rule


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def _named(effect: Effect) -> str:
    """Names an effect in messages."""
    at = getattr(effect, "at", None)
    name = next(name for name, (kind, _) in EFFECTS.items() if kind is type(effect))
    return name if at is None else f"{name} at {at}"


def _effect(text: str) -> tuple[Effect, frozenset[Where]]:
    """Reads the effect; also returns to which endpoints it can happen."""
    head, *texts = text.split(",")
    name, _, value = head.partition("=")
    if name not in EFFECTS:
        raise _Wrong(f"{name!r} is no effect", f"there are {', '.join(EFFECTS)}")
    # Its own value is one more pair, by the effect's name.
    takes_value = name not in _BARE
    if bool(value) is not takes_value:
        wanted = f"{name}=…" if takes_value else name
        raise _Wrong(f"{head!r} is no {name}", f"write it as {wanted}")
    values = _Values(name, [head, *texts] if takes_value else texts)
    effect, possible = EFFECTS[name][1](values)
    values.end()
    return effect, possible


def _moment(values: _Values, name: str, *but: Moment) -> Moment | None:
    moments = [moment for moment in Moment if moment not in but]
    text = values.choice(name, *moments)
    return None if text is None else Moment(text)


def _reachable(at: Moment) -> frozenset[Where]:
    return _WITH_BODY if at in OF_BODIES else _EVERYWHERE


def _status(values: _Values) -> tuple[Effect, frozenset[Where]]:
    found = values.match("status", re.compile(r"[45]\d\d"), "status=503 (400 to 599)")
    assert found is not None
    status = int(found[0])
    at = _moment(values, "at", Moment.MID_BODY) or Moment.BEFORE
    body = ErrorBody(values.choice("body", *ErrorBody) or ErrorBody.API)
    code = values.match("code", _CODE, "code=ERR001")
    iserver = values.match("iserver", _INTEGER, "iserver=-2147206497")
    retry = values.match(
        "retry-after",
        re.compile(rf"({re.escape(_DATE)})?(\d{{1,6}})"),
        "retry-after=2 (seconds) or retry-after=date+2 (a date so many seconds ahead)",
    )
    effect = Status(
        status=status,
        at=at,
        body=body,
        code=code[0] if code else _API_CODES.get(status, "ERR001"),
        iserver_code=int(iserver[0]) if iserver else None,
        message=values.text("message") or "An injected fault.",
        retry_after=float(retry[2]) if retry else None,
        retry_date=bool(retry and retry[1]),
    )
    return effect, _reachable(at)


def _at_and_share(values: _Values, name: str) -> tuple[Moment, float]:
    at = _moment(values, name)
    assert at is not None
    share = values.share("share")
    if share is not None and at is not Moment.MID_BODY:
        raise _Wrong(f"share has no meaning {at}", f"use it with {name}=mid-body")
    return at, _or(share, 0.5)


def _reset(values: _Values) -> tuple[Effect, frozenset[Where]]:
    at, share = _at_and_share(values, "reset")
    return Reset(at, share), _reachable(at)


def _stall(values: _Values) -> tuple[Effect, frozenset[Where]]:
    at, share = _at_and_share(values, "stall")
    return Stall(at, share, values.number("seconds", "seconds=30")), _reachable(at)


def _crash(values: _Values) -> tuple[Effect, frozenset[Where]]:
    at, share = _at_and_share(values, "crash")
    return Crash(at, share), _reachable(at)


def _slow(values: _Values) -> tuple[Effect, frozenset[Where]]:
    found = values.match("slow", _RATE, "slow=64k (bytes a second)")
    assert found is not None
    rate = float(found[1]) * _POWERS[found[2]]
    if not rate:
        raise _Wrong("slow=0 would never end", "use stall=mid-body")
    return Slow(rate), _WITH_BODY


def _answer(values: _Values) -> tuple[Effect, frozenset[Where]]:
    how = Spoiled(values.choice("answer", *Spoiled) or Spoiled.EMPTY)
    possible = _EVERYWHERE - _ANSWERING_204
    # What is empty anyway cannot be halved or emptied.
    if how in (Spoiled.HALF, Spoiled.EMPTY):
        possible -= _ANSWERING_NOTHING
    return Answer(how), possible


def _end_login(values: _Values) -> tuple[Effect, frozenset[Where]]:
    keep = values.choice("sessions", "keep", "lose") != "lose"
    return EndLogin(keep), _EVERYWHERE - {Where.LOGIN}


def _end_session(values: _Values) -> tuple[Effect, frozenset[Where]]:
    del values
    return EndSession(), _WITH_SESSION


def _disk_full(values: _Values) -> tuple[Effect, frozenset[Where]]:
    del values
    return DiskFull(), frozenset({Where.PUT})


def _outcome(values: _Values) -> tuple[Effect, frozenset[Where]]:
    code = values.match("outcome", _INTEGER, "outcome=3 or outcome=-1")
    assert code is not None
    seconds = values.number("seconds", "seconds=30")
    published = values.choice("data", "published") is not None
    if published and seconds is not None:
        raise _Wrong("with seconds the data is published anyway", "leave out data=published")
    message = values.text("message") or "an injected outcome"
    return Outcome(int(code[0]), seconds, published, message), frozenset({Where.PUBLISH})


_BARE = ("end-login", "end-session", "disk-full")
"""Effects that have no value of their own."""

_Reader: TypeAlias = "Callable[[_Values], tuple[Effect, frozenset[Where]]]"

EFFECTS: dict[str, tuple[type[Effect], _Reader]] = {
    "status": (Status, _status),
    "reset": (Reset, _reset),
    "stall": (Stall, _stall),
    "slow": (Slow, _slow),
    "answer": (Answer, _answer),
    "crash": (Crash, _crash),
    "end-login": (EndLogin, _end_login),
    "end-session": (EndSession, _end_session),
    "disk-full": (DiskFull, _disk_full),
    "outcome": (Outcome, _outcome),
}
