"""Drives a load from its first process to its end, and holds it to the one invariant after each.

What is published equals the source exactly once; or nothing is published, and the job says that it
can go on, or that it failed and why; or the outcome is unknown, where a fault hid the publish.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.soak.dying import Death
from tests.soak.processes import PROJECT, USER, Ended, Host, Stop
from tests.soak.server import Server
from tests.soak.tables import Standing, TableCase, standing

__all__ = ["UNKNOWN", "Excuses", "Play", "Violation"]

_OK: Final = 0
_OUT_OF_RETRIES: Final = 6
_STOPPED: Final = 130
UNKNOWN: Final = 8
_FAILED: Final = frozenset({4, 5})
# The journal has been told that the publish is about to be asked for.
_ASKED: Final = frozenset({"publishing", "published"})
_CONFLICT: Final = 409


class Violation(AssertionError):
    """The invariant does not hold.

    Attributes:
        lost: Rows that are not published, though they should be.
        doubled: Rows that are published and should not be, or not so often.
    """

    def __init__(self, message: str, *, lost: int = 0, doubled: int = 0) -> None:
        super().__init__(message)
        self.lost = lost
        self.doubled = doubled


@dataclass(frozen=True, slots=True)
class Excuses:
    """What the faults that have fired may account for.

    Attributes:
        hides: One, now or before, may have hidden what became of the publish.
        fatal: One may have ended this process, and the job, for good.
        any: There was one: the process may not have come to its upload session.
    """

    hides: bool = False
    fatal: bool = False
    any: bool = False


@dataclass
class Play:
    """One load and its server.

    Attributes:
        host: Where its processes run.
        server: What it loads into.
        directory: Where the sources are; snapshots of the server's data go there as well.
        dataset: Its name.
        cases: Its tables.
        options: Of ``push``.
        excuses: Tells what the faults account for; asked after each process.
        port: Where the server is reached, through a wire; None: where it listens.
        session_timeout: Seconds after which the server forgets a login nobody uses.
        history: What happened, in words.
        resumes: Processes of ``resume``.
        kills: Processes that were killed.
        stops: Processes that were asked to stop.
    """

    host: Host
    server: Server
    directory: Path
    dataset: str
    cases: list[TableCase]
    options: tuple[str, ...] = ()
    excuses: Callable[[], Excuses] = Excuses
    port: int | None = None
    session_timeout: float = 0.0
    history: list[str] = field(default_factory=list)
    resumes: int = 0
    kills: int = 0
    stops: int = 0
    _known: set[str] = field(default_factory=set)
    _job: str | None = None
    _published: bool = False
    _looks: int = 0

    @property
    def rows(self) -> int:
        """Rows of all sources."""
        return sum(case.rows for case in self.cases)

    def prepare(self) -> None:
        """Writes the sources, and loads what the dataset is to have before."""
        for case in self.cases:
            case.write(self.directory)
        if any(case.before for case in self.cases):
            files = [f"{case.name}={case.old(self.directory)}" for case in self.cases]
            ended = self.host.run("push", *files, *self._connection, *self.options, "--json")
            if ended.code != _OK:
                raise Violation(f"the dataset could not be made: {ended}")

    @property
    def _connection(self) -> tuple[str, ...]:
        url = self.server.url.replace(f":{self.server.port}", f":{self.port or self.server.port}")
        return (
            *("--url", url, "--username", USER),
            *("--project", PROJECT, "--dataset", self.dataset),
        )

    # -- steps -------------------------------------------------------------------------------------

    def push(self, *, stop: Stop | None = None, death: Death | None = None) -> Ended:
        """Begins a new job."""
        self._known |= self.host.journals()
        self._job = None
        files = [f"{case.name}={case.source(self.directory)}" for case in self.cases]
        policies = [f"--policy={case.name}={case.policy}" for case in self.cases]
        arguments = ("push", *files, *self._connection, *policies, *self.options, "--json")
        return self._step(arguments, stop, death)

    def resume(
        self, *, stop: Stop | None = None, death: Death | None = None, by_name: bool = False
    ) -> Ended:
        """Goes on with the job; ``by_name``: by its id, else as the latest one."""
        assert self._job is not None
        self.resumes += 1
        named = (self._job,) if by_name else ()
        return self._step(("resume", *named, "--json"), stop, death)

    def cancel(self) -> None:
        """Gives the job up, which frees its dataset."""
        assert self._job is not None
        ended = self.host.run("cancel", self._job, "--json")
        self.history.append(f"cancel {self._job}: {ended}")

    def wait_for_logins(self) -> None:
        """Waits until the server has forgotten the logins of killed processes.

        Their upload sessions keep others out until then; nobody can make it shorter.
        """
        time.sleep(self.session_timeout)

    def _step(self, arguments: tuple[str, ...], stop: Stop | None, death: Death | None) -> Ended:
        ended = self.host.run(*arguments, stop=stop, death=death)
        self.kills += ended.killed
        self.stops += ended.stopped and not ended.killed
        if self._job is None:
            # None at all where it ended before it came to write one.
            self._job = next(iter(self.host.journals() - self._known), None)
        how = " ".join(str(one) for one in (stop, death) if one)
        self.history.append(f"{' '.join(arguments)} [{how}]\n  {ended}")
        self._check(ended)
        return ended

    # -- the invariant -----------------------------------------------------------------------------

    def look(self) -> Standing:
        """Returns what the dataset holds now."""
        self._looks += 1
        database = self.server.snapshot(self.directory / f"look-{self._looks}")
        return standing(database, self.dataset, self.directory, self.cases)

    @property
    def state(self) -> str | None:
        """Where the journal of the job stands; None: it has none, or nothing is written to it."""
        return self.host.state_of(self._job)[0] if self._job else None

    @property
    def is_unfinished(self) -> bool:
        """Whether the job can go on."""
        return self.state not in {None, "closed", "failed", "cancelled"}

    def _check(self, ended: Ended) -> None:
        now = self.look()
        state, stage = self.host.state_of(self._job) if self._job else (None, None)
        self.history.append(f"  {state} ({stage}), {now}")
        self._check_data(now, stage)
        result = ended.json
        if ended.died:
            self._check_killed(state, now)
        elif ended.code == _OK:
            self._check_published(result, state, now)
        elif ended.code in {_OUT_OF_RETRIES, _STOPPED}:
            if ended.arguments[0] == "resume" and result["job"] is None:
                # Stopped before it took the job over, which is as it was.
                return
            self._check_resumable(result, state, stage)
        elif ended.code == UNKNOWN:
            self._check_unknown(result, state, stage)
        elif ended.code in _FAILED:
            self._check_failed(result, state, stage, now)
        else:
            raise Violation(f"exit {ended.code} has no reason here")
        error = result.get("error")
        if error and not (error["message"] and error.get("hint")):
            raise Violation(f"an error without message or hint: {error}")

    def _check_data(self, now: Standing, stage: str | None) -> None:
        """It is there exactly once or not at all, and once there it stays."""
        if not now.before and not now.after:
            raise Violation("published wrongly", lost=now.lost, doubled=now.extra)
        if self._published and not now.after:
            raise Violation("what was published is gone", lost=now.lost)
        if now.after and not now.before:
            self._published = True
            if stage not in _ASKED:
                raise Violation("published, and the journal does not know that it was asked for")

    def _check_killed(self, state: str | None, now: Standing) -> None:
        """It is listed, nobody drives it, and it is finished only if it is."""
        if self._job is None:
            if not now.before:
                raise Violation("published without a journal")
            return
        job = self.host.summary_of(self._job)
        if job.driver is not None:
            raise Violation(f"a killed process is said to drive the job: {job}")
        # Nothing was written to it: nothing was sent.
        if job.is_finished != (state in {None, "closed", "failed"}):
            raise Violation(f"a killed job is listed wrongly: {job}")
        if state == "closed" and not now.after:
            raise Violation("closed, and not published")

    def _check_published(self, result: dict[str, Any], state: str | None, now: Standing) -> None:
        if not now.after:
            raise Violation("exit 0, and not published", lost=now.lost)
        if result["status"] != "published" or result["error"] is not None:
            raise Violation(f"exit 0, but status {result['status']}, error {result['error']}")
        if result["rows"] != self.rows:
            raise Violation(f"published {self.rows} rows, and says {result['rows']}")
        if state != "closed" and not any("journal" in one for one in result["warnings"]):
            raise Violation(f"exit 0 leaves the job {state}")

    def _check_resumable(
        self, result: dict[str, Any], state: str | None, stage: str | None
    ) -> None:
        if result["status"] != "interrupted":
            raise Violation(f"a resumable exit code, but status {result['status']}")
        if state is None or (state == "failed" and stage == "created"):
            # Stopped before it came to its dataset: there is nothing to be resumed.
            if "resume" in result["error"]:
                raise Violation(f"says how to resume what has not begun: {result['error']}")
            return
        if not self.is_unfinished:
            raise Violation(f"a resumable exit code, but the job is {state}")
        if str(self._job) not in str(result["error"].get("resume")):
            raise Violation(f"a resumable error that does not say how: {result['error']}")

    def _check_unknown(self, result: dict[str, Any], state: str | None, stage: str | None) -> None:
        if result["status"] != "unknown" or state != "unknown":
            raise Violation(f"exit 8, but status {result['status']} and state {state}")
        if stage not in _ASKED or not self.excuses().hides:
            raise Violation("unknown, though no fault can have hidden the publish")

    def _check_failed(
        self,
        result: dict[str, Any],
        state: str | None,
        stage: str | None,
        now: Standing,
    ) -> None:
        if result["status"] != "failed":
            raise Violation(f"a final exit code, but status {result['status']}")
        if not now.before:
            raise Violation("failed, and published all the same")
        if state not in {None, "failed"}:
            raise Violation(f"failed, but the job is {state}")
        excuses = self.excuses()
        early = stage in {None, "created"} and excuses.any
        if not (early or excuses.fatal or self.is_blocked(result)):
            raise Violation(f"failed without a reason for it: {result['error']}")

    @staticmethod
    def is_blocked(result: dict[str, Any]) -> bool:
        """Whether an upload session that a killed process left on the server keeps it out."""
        error = result.get("error") or {}
        return error.get("status") == _CONFLICT and "upload session" in error["message"]
