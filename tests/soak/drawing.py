"""What one scenario of the soak is, drawn from its seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from tests.soak.dying import Death, Moment
from tests.soak.faults import Fault, draw_fault, draw_sure_fault
from tests.soak.processes import Stop, StopKind
from tests.soak.tables import Format, Policy, TableCase
from tests.soak.wire import Weather

__all__ = ["SESSION_TIMEOUT", "Round", "Scenario"]

SESSION_TIMEOUT: Final = 2.0
"""Seconds until the server forgets a login: a killed process's keeps others out for so long."""

_BYTES: Final = {True: 95, False: 27}
"""JSON of a row with and without a key, roughly."""


@dataclass(frozen=True, slots=True)
class Round:
    """What goes wrong while one process runs.

    Attributes:
        faults: Of the server.
        weather: Of the network.
        stop: Of the process, from outside.
        death: Of the process, by its own hand.
        by_name: Whether a resume names the job.
    """

    faults: tuple[Fault, ...] = ()
    weather: Weather | None = None
    stop: Stop | None = None
    death: Death | None = None
    by_name: bool = False


@dataclass(frozen=True, slots=True)
class Scenario:
    """One load, its server, and what goes wrong.

    Attributes:
        seed: What all of it was drawn with.
        cases: The tables.
        options: Of ``push``.
        server: Of ``mstr-loader emulator``.
        rounds: Of the first processes; those after them meet nothing of the kind.
    """

    seed: int
    cases: tuple[TableCase, ...]
    options: tuple[str, ...]
    server: tuple[str, ...]
    rounds: tuple[Round, ...]

    @classmethod
    def of(cls, seed: int, *, scale: float = 1.0) -> Scenario:
        """Draws one; ``scale``: of the numbers of rows."""
        draw = random.Random(seed)
        cases = _cases(draw, scale)
        concurrency = draw.randrange(1, 5)
        order, ordering = _orders(draw, concurrency)
        if "strict" in ordering:
            concurrency = 1
        size = sum(case.rows * _BYTES[case.keyed] for case in cases)
        chunk = size // draw.randrange(5, 30)
        return cls(
            seed=seed,
            cases=cases,
            options=(
                *("--chunk-size", f"{max(chunk, 20_000)}", "--concurrency", str(concurrency)),
                *("--retries", str(draw.randrange(2, 5)), "--retry-deadline", "3s"),
                *("--orientation", draw.choice(["row", "column"])),
                *ordering,
            ),
            server=(
                *("--session-timeout", str(SESSION_TIMEOUT), *order),
                *("--publish-time", draw.choice(["0", "0.1", "0.4"])),
                *("--latency", draw.choice(["0", "0.01", "0.03"])),
                *("--repeat-index", draw.choice(["replace", "replace", "ignore", "reject"])),
                *("--session-scope", draw.choice(["dataset", "dataset", "login"])),
                *("--status-type", draw.choice(["number", "string"])),
                *draw.choice([(), ("--keep-sessions",)]),
                *("--fault-seed", str(seed)),
            ),
            rounds=tuple(_round(draw, first=not number) for number in range(draw.randrange(1, 5))),
        )


def _cases(draw: random.Random, scale: float) -> tuple[TableCase, ...]:
    existing = draw.random() < 0.6
    format_ = draw.choices(list(Format), weights=[4, 1])[0]
    tables = draw.choices([1, 2, 3], weights=[6, 3, 1])[0]
    found = []
    for number in range(tables):
        rows = int(draw.randrange(20_000, 60_000) * scale / tables)
        before = int(draw.randrange(1, 30_000) * scale) if existing else 0
        common = draw.randrange(min(before, rows) + 1)
        keyed = draw.random() < 0.6
        policies = [Policy.REPLACE, Policy.ADD]
        if keyed:
            policies.append(Policy.UPSERT)
            # Into an empty table it loads nothing, which proves nothing.
            policies += [Policy.UPDATE] if common else []
        policy = draw.choice(policies) if keyed else draw.choice([Policy.ADD, *policies])
        found.append(TableCase(f"t{number}", rows, before, common, keyed, policy, format_))
    return tuple(found)


def _orders(draw: random.Random, concurrency: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns what the server wants, and what the loader does, which suits it."""
    ordering = draw.choice(["windowed", "windowed", "free", "strict"])
    wanted: tuple[str, ...] = ()
    if ordering == "strict":
        wanted = draw.choice([(), ("--order", "strict"), ("--order", "strict", "--no-parallel")])
    elif ordering == "windowed":
        wanted = draw.choice([(), ("--order", "window", "--window", str(2 * concurrency))])
    return wanted, ("--ordering", ordering)


def _round(draw: random.Random, *, first: bool) -> Round:
    faults = tuple(draw_fault(draw) for _ in range(draw.choice([0, 1, 1, 2, 3])))
    if first:
        # A load in which nothing goes wrong would prove nothing.
        faults += (draw_sure_fault(draw),)
    weather = None
    if draw.random() < 0.35:
        weather = Weather(
            seed=draw.randrange(1 << 30),
            cut=draw.choice([0.0, 0.2, 0.5]),
            slow=draw.choice([0.0, 0.3]),
            refuse=draw.choice([0.0, 0.1]),
        )
    stop = death = None
    how = draw.random()
    if how < 0.45:
        stop = _stop(draw)
    elif how < 0.85:
        death = _death(draw, first=first)
    return Round(faults, weather, stop, death, by_name=draw.random() < 0.5)


def _stop(draw: random.Random) -> Stop:
    kind = draw.choices(list(StopKind), weights=[5, 2, 1, 1])[0]
    later = draw.choice([0.0, 0.02, 0.1, 0.3])
    stage = draw.choice([None, None, None, "created", "publishing"])
    return Stop(kind, chunks=draw.randrange(12), stage=stage, later=later)


def _death(draw: random.Random, *, first: bool) -> Death:
    kinds = ["planned", "accepted", "uploaded", "publishing", "published", "session_ended", "ended"]
    kinds += ["created", "dataset_known", "session_opened"] if first else ["resumed"]
    kind = draw.choice(kinds)
    nth = draw.randrange(1, 12) if kind in {"planned", "accepted"} else 1
    return Death(kind, draw.choice(list(Moment)), nth)
