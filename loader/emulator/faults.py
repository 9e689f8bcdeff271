"""Decides which faults a request meets: counted, seeded, and without knowing any HTTP."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loader.emulator.faultrules import Crash, Rule, Where
from loader.emulator.faulttext import parse_rule
from loader.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Facts", "FaultPlan", "Shot", "Watched"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a decision needs to know of a request.

    Attributes:
        where: The endpoint that it calls.
        has_body: Whether it has a body.
        table: The table of the chunk that a PUT brings, if it was looked at.
        index: The index of that chunk.
    """

    where: Where
    has_body: bool = False
    table: str | None = None
    index: int | None = None


@dataclass(slots=True, eq=False)
class Watched:
    """A rule and what has come of it.

    Attributes:
        rule: The rule.
        since: When it was made; its times count from then.
        matched: Requests to which it applied.
        fired: Faults that really happened.
        pending: Faults that were decided and may still happen.
    """

    rule: Rule
    since: float
    matched: int = 0
    fired: int = 0
    pending: int = 0

    def fits(self, facts: Facts, now: float) -> bool:
        """Whether the rule applies to a request."""
        rule = self.rule
        return (
            facts.where in rule.reach
            and (facts.has_body or not rule.needs_body)
            and (rule.table is None or rule.table == facts.table)
            and (rule.index is None or (facts.index is not None and facts.index in rule.index))
            and rule.after <= now - self.since < rule.until
        )

    def due(self, seed: int) -> bool:
        """Whether the rule fires for the request that was matched last.

        Depends on nothing but the seed, the rule and the number of the request among those that
        match, so that a run can be repeated however its requests are interleaved with others.
        """
        rule = self.rule
        return (
            self.matched in rule.nth
            and self.matched % rule.every == 0
            and (rule.rate >= 1 or _draw(f"{seed}/{rule.text}/{self.matched}") < rule.rate)
            and (rule.times is None or self.fired + self.pending < rule.times)
        )

    def report(self) -> dict[str, Any]:
        """Returns what people and tests are shown."""
        return {"rule": self.rule.text, "matched": self.matched, "fired": self.fired}


def _draw(text: str) -> float:
    # Seeded by text: the same on every platform and in every process, unlike hash().
    return random.Random(text).random()  # noqa: S311 - chance, not secrecy


class Shot:
    """A fault that was decided for one request: it happens, or the request ends before it could."""

    def __init__(self, watched: Watched) -> None:
        self.rule = watched.rule
        self.fired = False
        self._watched: Watched | None = watched
        watched.pending += 1

    def fire(self) -> None:
        """Notes that it happens."""
        if self._watched is not None:
            self._watched.fired += 1
            self.fired = True
            self.miss()

    def miss(self) -> None:
        """Gives it up, unless it has happened; ``times`` does not count it."""
        if self._watched is not None:
            self._watched.pending -= 1
            self._watched = None


class FaultPlan:
    """The rules that are in force, in their order.

    Every rule counts on its own. Several may fire for one request: each at its own moment, the
    first of those that end the request ending it.

    Args:
        seed: What the rules' rates are drawn with.
        may_crash: Whether the process is the server's own, so that rules may kill it.
    """

    def __init__(self, seed: int = 0, *, may_crash: bool = False) -> None:
        self.seed = seed
        self._may_crash = may_crash
        self._rules: list[Watched] = []

    def __bool__(self) -> bool:
        return bool(self._rules)

    def __repr__(self) -> str:
        fired = sum(watched.fired for watched in self._rules)
        return f"<FaultPlan seed={self.seed} rules={len(self._rules)} fired={fired}>"

    @property
    def rules(self) -> Sequence[Watched]:
        """The rules and what has come of them."""
        return tuple(self._rules)

    def add(self, texts: Iterable[str], now: float) -> Sequence[Watched]:
        """Puts rules in force after those that are; all of them or, when one is wrong, none.

        Args:
            texts: The rules.
            now: Seconds on the server's clock.

        Returns:
            Those that are new; they go on counting.

        Raises:
            UsageError: One is no rule.
        """
        new = [Watched(parse_rule(text), now) for text in texts]
        for watched in new:
            if isinstance(watched.rule.effect, Crash) and not self._may_crash:
                raise UsageError(
                    f"Fault {watched.rule.text!r} would kill a process that is not the server's "
                    "alone.",
                    hint="Run the server in its own process (EmulatorProcess).",
                )
        self._rules += new
        return new

    def clear(self) -> None:
        """Takes all rules out of force; what they had decided still happens."""
        self._rules.clear()

    def looks_into_chunks(self) -> bool:
        """Whether a rule asks for the table or the index of a chunk."""
        return any(watched.rule.of_chunk for watched in self._rules)

    def decide(self, facts: Facts, now: float) -> list[Shot]:
        """Counts a request and returns what shall happen to it.

        Args:
            facts: Of the request.
            now: Seconds on the server's clock.
        """
        shots = []
        for watched in self._rules:
            if watched.fits(facts, now):
                watched.matched += 1
                if watched.due(self.seed):
                    shots.append(Shot(watched))
        return shots

    def report(self) -> list[dict[str, Any]]:
        """Returns every rule with how often it matched and fired."""
        return [watched.report() for watched in self._rules]
