"""Plays a scenario of the soak from its first process to the last one."""

from __future__ import annotations

import pprint
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.soak.drawing import SESSION_TIMEOUT, Round, Scenario
from tests.soak.faults import Fault
from tests.soak.nursery import Nursery
from tests.soak.play import UNKNOWN, Excuses, Play, Violation
from tests.soak.processes import Ended, Host
from tests.soak.server import Server
from tests.soak.wire import CUTS, Kind, Wire, calm

__all__ = ["Figures", "run"]

_DATASET: Final = "soak"
_CALM_ENOUGH: Final = 5
"""So many processes that meet no trouble have to be enough for any load."""
_MOST_LOSSES: Final = 3
"""How often one process begins again because its upload session was lost."""
_CRASHED: Final = Fault("", "server: crash", hides=True, loses=True)


@dataclass(slots=True)
class Figures:
    """What came of a scenario.

    Attributes:
        seed: Its seed.
        seconds: How long it took.
        end: ``published``, or ``unknown`` where a fault has hidden the publish for good.
        processes: That loaded or went on loading.
        resumes: Those that went on.
        kills: Those that were killed.
        stops: Those that were asked to stop.
        fired: Faults by kind.
        rows: Rows published.
        lost: Rows that were not, though the load says so; 0, or it is a violation.
        doubled: Rows that were published twice; the same.
        history: What happened, in words.
        problem: What was wrong; None: nothing.
    """

    seed: int
    seconds: float = 0.0
    end: str = ""
    processes: int = 0
    resumes: int = 0
    kills: int = 0
    stops: int = 0
    fired: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    lost: int = 0
    doubled: int = 0
    history: list[str] = field(default_factory=list)
    problem: str | None = None


def run(seed: int, *, scale: float = 1.0) -> Figures:
    """Plays the scenario of a seed; what is wrong is told in the figures, with all that happened.

    Args:
        seed: Draws everything.
        scale: Of the numbers of rows.
    """
    scenario = Scenario.of(seed, scale=scale)
    figures = Figures(seed)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="soak-") as directory:
        stage = _Stage(scenario, Path(directory), figures)
        try:
            with stage.set_up():
                stage.play_all()
        except Exception as error:  # noqa: BLE001 - whatever it is, its seed has to be told
            figures.problem = stage.report(error)
    figures.seconds = time.monotonic() - began
    return figures


class _Stage:
    """Everything a scenario needs, and how it goes."""

    def __init__(self, scenario: Scenario, directory: Path, figures: Figures) -> None:
        self._scenario = scenario
        self._figures = figures
        self._faults = {fault.rule: fault for one in scenario.rounds for fault in one.faults}
        self._earlier: Counter[Fault] = Counter()
        self._server = Server(directory / "server", *scenario.server, seed=scenario.seed)
        self._nursery = Nursery()
        self._wire: Wire | None = None
        self._play = Play(
            host=Host(directory / "state", self._nursery),
            server=self._server,
            directory=directory,
            dataset=_DATASET,
            cases=list(scenario.cases),
            options=scenario.options,
            excuses=self._excuses,
            session_timeout=SESSION_TIMEOUT,
        )

    @contextmanager
    def set_up(self) -> Iterator[None]:
        """Starts the server and the network."""
        with self._nursery, self._server, Wire(self._server.port) as self._wire:
            self._play.port = self._wire.port
            try:
                yield
            finally:
                self._sum_up()

    def play_all(self) -> None:
        """Goes on until the load is published, or until nobody can know whether it is.

        Raises:
            Violation: The invariant does not hold, or it takes for ever.
        """
        play = self._play
        play.prepare()
        rounds = [*self._scenario.rounds, *[Round()] * _CALM_ENOUGH]
        while rounds:
            round_ = rounds.pop(0)
            ended = self._process(round_)
            hidden = ended.code == UNKNOWN
            if play.state == "closed" or (hidden and round_ == Round()):
                break
            if hidden:
                # One more look, without trouble: what it cannot find out nobody ever will.
                rounds = [Round()]
            if play.state == "failed":
                play.cancel()
            if play.is_blocked(ended.json):
                play.wait_for_logins()
        else:
            raise Violation("it does not end")
        if not (self._fired.total() or play.kills or play.stops):
            raise Violation("nothing went wrong, so nothing was proved")
        if not hidden and not play.look().after:
            raise Violation("closed, and not published")
        self._figures.end = "unknown" if hidden else "published"
        self._figures.rows = 0 if hidden else play.rows

    def _process(self, round_: Round) -> Ended:
        play, wire = self._play, self._wire
        assert wire is not None
        rules = [fault.rule for fault in round_.faults]
        self._server.change(rules)
        wire.change(round_.weather or calm)
        self._earlier = self._fired
        play.history.append(f"--- faults: {rules}; weather: {round_.weather}")
        self._figures.processes += 1
        if play.is_unfinished:
            ended = play.resume(stop=round_.stop, death=round_.death, by_name=round_.by_name)
        else:
            ended = play.push(stop=round_.stop, death=round_.death)
        return ended

    @property
    def _fired(self) -> Counter[Fault]:
        """How often each fault has fired since the beginning."""
        found: Counter[Fault] = Counter()
        for rule, times in self._server.fired.items():
            fault = self._faults[rule]
            # A server that has crashed cannot tell any more that it was to.
            if fault.kind != _CRASHED.kind:
                found[fault] = times
        found[_CRASHED] = self._server.crashes
        assert self._wire is not None
        for kind, times in self._wire.fired.items():
            found[Fault("", f"network: {kind}", hides=Kind(kind) in CUTS)] = times
        return +found

    def _excuses(self) -> Excuses:
        fired = self._fired
        new = fired - self._earlier
        lost = sum(times for fault, times in new.items() if fault.loses)
        # There a chunk that came, and whose answer was lost, can never be sent again.
        rejects = "reject" in self._scenario.server
        return Excuses(
            hides=any(fault.hides for fault in fired),
            fatal=rejects or lost > _MOST_LOSSES or any(fault.fatal for fault in new),
            any=bool(new),
        )

    def report(self, error: Exception) -> str:
        """Returns all there is to know about what went wrong, and how to see it again."""
        if isinstance(error, Violation):
            self._figures.lost, self._figures.doubled = error.lost, error.doubled
            what = str(error)
        else:
            what = "".join(traceback.format_exception(error))
        return "\n".join(
            [
                f"seed {self._scenario.seed}: {what}",
                pprint.pformat(self._scenario, width=100),
                *self._play.history,
                f"seed {self._scenario.seed}: {what}",
                f"once more: python -m tests.soak --replay {self._scenario.seed}",
            ]
        )

    def _sum_up(self) -> None:
        # While the server can still be asked.
        figures, play = self._figures, self._play
        figures.history = play.history
        figures.resumes, figures.kills, figures.stops = play.resumes, play.kills, play.stops
        for fault, times in self._fired.items():
            figures.fired[fault.kind] += times
