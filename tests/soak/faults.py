"""The faults of a server that scenarios draw from, and what each of them may excuse."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

__all__ = ["Fault", "draw_fault", "draw_sure_fault"]


@dataclass(frozen=True, slots=True)
class Fault:
    """A rule of ``docs/emulator.md`` and what the loader may rightly make of it.

    Attributes:
        rule: The rule.
        kind: What it is counted as.
        hides: Whether it can hide what became of a publish.
        fatal: Whether it may end a load for good.
        loses: Whether it may take the upload session with it.
    """

    rule: str
    kind: str
    hides: bool = False
    fatal: bool = False
    loses: bool = False


_MOMENTS: Final = ("before", "mid-body", "after-body", "after-store")
# What a client repeats, with the bodies of the API, of another service, of a proxy, of nobody.
_PASSING: Final = (
    "503",
    "503,body=html",
    "503,body=errors,code=ERR016",
    "503,retry-after=1",
    "502,body=html",
    "504,body=empty",
    "429,body=empty,retry-after=1",
    "408,body=empty",
    "500,body=empty",
    "425,body=empty",
)
# What no repetition mends.
_LASTING: Final = ("400,code=ERR006", "403,code=ERR017", "500,code=ERR001,iserver=-2147205488")
_AROUND: Final = ("login", "login-info", "look", "dataset", "create", "open-session")
_PUBLISHING: Final = ("publish", "status")

# A call without a body has no moment after it.
_BODILESS: Final = frozenset({"login-info", "look", "dataset", "publish", "status"})
# Of an answer that is empty anyway nothing can be missing.
_BROKEN: Final = ("half", "empty", "short", "garbage", "html")
_BROKEN_EMPTY: Final = _BROKEN[2:]

Make = Callable[[random.Random], Fault]


def _nth(draw: random.Random, most: int = 16) -> str:
    first = draw.randrange(1, most)
    return f"nth={first}" if draw.random() < 0.6 else f"nth={first}-{first + draw.randrange(1, 5)}"


def _moment(draw: random.Random, where: str) -> str:
    moments = ["before", "after-store"] + ["after-body"] * (where not in _BODILESS)
    return draw.choice(moments)


def _put(effect: str, kind: str, *, fatal: bool = False, loses: bool = False) -> Make:
    return lambda draw: Fault(f"put:{_nth(draw)}:{effect}", kind, fatal=fatal, loses=loses)


def _put_status(draw: random.Random) -> Fault:
    at = _moment(draw, "put")
    return Fault(f"put:{_nth(draw)}:status={draw.choice(_PASSING)},at={at}", "put status")


def _put_rate(draw: random.Random) -> Fault:
    status = draw.choice(_PASSING[:5])
    return Fault(f"put:rate=0.3:times=6:status={status}", "put status")


def _put_lasting(draw: random.Random) -> Fault:
    return Fault(f"put:{_nth(draw)}:status={draw.choice(_LASTING)}", "put refused", fatal=True)


def _put_reset(draw: random.Random) -> Fault:
    moment = draw.choice(_MOMENTS)
    share = f",share={draw.choice(['0.1', '0.9'])}" if moment == "mid-body" else ""
    return Fault(f"put:{_nth(draw)}:reset={moment}{share}", f"put reset {moment}")


def _put_stall(draw: random.Random) -> Fault:
    moment, seconds = draw.choice(_MOMENTS), draw.choice(["0.2", "0.6"])
    return Fault(f"put:{_nth(draw)}:stall={moment},seconds={seconds}", f"put stall {moment}")


def _put_answer(draw: random.Random) -> Fault:
    answer = draw.choice(_BROKEN_EMPTY)
    return Fault(f"put:{_nth(draw)}:answer={answer}", "put answer", fatal=True)


def _end_login(draw: random.Random) -> Fault:
    sessions = draw.choice(["keep", "lose"])
    return Fault(
        f"put:{_nth(draw)}:end-login,sessions={sessions}",
        f"login ended, sessions {sessions}",
        loses=sessions == "lose",
    )


def _crash(draw: random.Random) -> Fault:
    return Fault(f"put:nth={draw.randrange(1, 12)}:crash={draw.choice(_MOMENTS)}", "server: crash")


def _around_status(draw: random.Random) -> Fault:
    where, status = draw.choice(_AROUND), draw.choice(_PASSING)
    at = _moment(draw, where)
    return Fault(f"{where}:times=1:status={status},at={at}", f"{where} status")


def _around_reset(draw: random.Random) -> Fault:
    where = draw.choice(_AROUND)
    moment = _moment(draw, where)
    return Fault(f"{where}:times=1:reset={moment}", f"{where} reset")


def _around_crash(draw: random.Random) -> Fault:
    where = draw.choice(["create", "open-session"])
    moment = _moment(draw, where)
    return Fault(f"{where}:times=1:crash={moment}", "server: crash")


def _publishing_status(draw: random.Random) -> Fault:
    where, status = draw.choice(_PUBLISHING), draw.choice(_PASSING)
    at = _moment(draw, where)
    times = draw.randrange(1, 3)
    return Fault(f"{where}:times={times}:status={status},at={at}", f"{where} status", hides=True)


def _publishing_reset(draw: random.Random) -> Fault:
    where = draw.choice(_PUBLISHING)
    moment = _moment(draw, where)
    times = draw.randrange(1, 3)
    return Fault(f"{where}:times={times}:reset={moment}", f"{where} reset", hides=True)


def _publishing_stall(draw: random.Random) -> Fault:
    where = draw.choice(_PUBLISHING)
    moment = _moment(draw, where)
    return Fault(f"{where}:times=1:stall={moment},seconds=0.6", f"{where} stall", hides=True)


def _publishing_answer(draw: random.Random) -> Fault:
    where = draw.choice(_PUBLISHING)
    answer = draw.choice(_BROKEN if where == "status" else _BROKEN_EMPTY)
    return Fault(f"{where}:times=1:answer={answer}", f"{where} answer", hides=True)


def _publishing_crash(draw: random.Random) -> Fault:
    where = draw.choice(_PUBLISHING)
    moment = _moment(draw, where)
    return Fault(f"{where}:times=1:crash={moment}", "server: crash", hides=True)


def _publishing_login(draw: random.Random) -> Fault:
    where, sessions = draw.choice(_PUBLISHING), draw.choice(["keep", "lose"])
    return Fault(
        f"{where}:times=1:end-login,sessions={sessions}",
        f"login ended, sessions {sessions}",
        hides=True,
        loses=sessions == "lose",
    )


def _publishing_session(draw: random.Random) -> Fault:
    where = draw.choice(_PUBLISHING)
    return Fault(f"{where}:times=1:end-session", "session ended", hides=True, loses=True)


def _outcome(draw: random.Random) -> Fault:
    code = draw.choice([3, 18])
    return Fault(f"publish:times=1:outcome={code}", f"outcome {code}", fatal=True)


def _hanging(draw: random.Random) -> Fault:
    code = draw.choice([6, 2, 17, 99])
    return Fault(f"publish:times=1:outcome={code},seconds=0.7", "outcome late", hides=True)


def _end_status(draw: random.Random) -> Fault:
    where = draw.choice(["delete", "logout", "cubes"])
    return Fault(f"{where}:times=2:status={draw.choice(_PASSING)}", f"{where} status")


def _end_reset(draw: random.Random) -> Fault:
    where = draw.choice(["delete", "logout", "cubes"])
    return Fault(f"{where}:times=1:reset=after-store", f"{where} reset")


_MAKERS: Final[tuple[tuple[int, Make], ...]] = (
    (6, _put_status),
    (3, _put_rate),
    (1, _put_lasting),
    (6, _put_reset),
    (2, _put_stall),
    (1, _put("slow=100k", "put slow")),
    (1, _put_answer),
    (3, _end_login),
    (3, _put("end-session", "session ended", loses=True)),
    (2, _put("disk-full", "put disk full", fatal=True)),
    (4, _crash),
    (2, _around_status),
    (2, _around_reset),
    (2, _around_crash),
    (3, _publishing_status),
    (4, _publishing_reset),
    (1, _publishing_stall),
    (1, _publishing_answer),
    (3, _publishing_crash),
    (2, _publishing_login),
    (2, _publishing_session),
    (1, _outcome),
    (2, _hanging),
    (1, _end_status),
    (1, _end_reset),
)


def draw_fault(draw: random.Random) -> Fault:
    """Draws one of the faults."""
    (make,) = draw.choices([make for _, make in _MAKERS], weights=[weight for weight, _ in _MAKERS])
    return make(draw)


def draw_sure_fault(draw: random.Random) -> Fault:
    """Draws one that fires in every load that comes to its fourth chunk."""
    where = _nth(draw, 4)
    effects = (
        ("status=503", "put status"),
        ("status=504,at=after-store,body=empty", "put status"),
        ("reset=mid-body,share=0.5", "put reset mid-body"),
        ("reset=after-store", "put reset after-store"),
        ("stall=after-body,seconds=0.2", "put stall after-body"),
        ("end-login", "login ended, sessions keep"),
        ("end-session", "session ended"),
    )
    effect, kind = draw.choice(effects)
    return Fault(f"put:{where}:{effect}", kind, loses=effect == "end-session")
