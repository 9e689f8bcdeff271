"""Runs a sweep: every setting several times, in random order, into a dataset that is deleted."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from loader.api import Connection
from loader.bench.environment import PATIENCE, environment_of, look_at_server
from loader.bench.grid import choose, warm_up_setting
from loader.bench.keeping import Keeper
from loader.bench.measured import grouped, measured
from loader.bench.messages import Beat, Ended, Task
from loader.bench.process import Died, follow
from loader.bench.records import RecordFile, Run, Setting, Skipped
from loader.bench.schedule import Planned, Schedule
from loader.bench.scratch import Scratch, close_session, discard, new_name
from loader.bench.sources import named, read_once
from loader.bench.stopping import Stopper, stoppable
from loader.errors import Interrupted, LoaderError, SourceError, UsageError
from loader.job import LoadOptions, Prepared, Progress, Sources, interpret, prepare_in_thread
from loader.job.prepare import share_out
from loader.job.retry import Trouble, trouble_of
from loader.job.settings import default_memory
from loader.plain import plain
from loader.planning import MemoryPlan

__all__ = ["Sweep", "Watcher"]

_OVERTIME: Final = 0.1
"""The share of the budget by which a run may exceed it: an estimate may be a little off."""

_FAILURES: Final = 3
"""So many failures in a row are no property of the settings any more."""

_AT_ONCE: Final = 2
"""The wish to stop that waits for nothing."""

_NO_RIGHTS: Final = 4
"""The exit code of errors that no other setting mends."""

_TOLD: Final = (
    *("memory", "ordering", "window", "max_rate", "limit", "where", "columns"),
    *("mapping", "attributes", "metrics", "types"),
)
"""Options of a load that matter to who reads the figures."""


class Watcher(Protocol):
    """Is told how a sweep goes, in the thread that runs it."""

    def note(self, text: str) -> None:
        """Says something once."""

    def begins(self, setting: Setting, *, number: int, left: int | None) -> None:
        """A run begins: the ``number``-th, 0 is the warm-up; so many follow, None: unknown."""

    def beat(self, beat: Beat) -> None:
        """The run is so far; told about twice a second."""

    def ends(self, run: Run, *, left: int, seconds_left: float | None) -> None:
        """The run has ended; so many are to follow, and are expected to take so long."""


class Sweep:
    """One sweep.

    Attributes:
        kept: What it has measured; None: nothing yet.
    """

    kept: Keeper | None = None

    def __init__(
        self,
        sources: Sources,
        connection: Connection,
        settings: tuple[Setting, ...],
        options: LoadOptions,
        *,
        repeat: int,
        time_budget: float | None,
        seed: int,
        command: Sequence[str],
        watcher: Watcher,
        stopper: Stopper,
        clock: Callable[[], float],
    ) -> None:
        self._sources = sources
        self._connection = connection
        self._settings = settings
        self._options = options
        self._repeat = repeat
        self._budget = time_budget
        self._seed = seed
        self._command = command
        self._watcher = watcher
        self._stopper = stopper
        self._clock = clock
        self._began = clock()
        self._scratch = Scratch(new_name())
        self._number = 0
        self._failures: list[Setting] = []
        self._last_failure: LoaderError | None = None
        self._sizes: tuple[int, ...] | None = None

    @property
    def _elapsed(self) -> float:
        return self._clock() - self._began

    @property
    def _kept(self) -> Keeper:
        assert self.kept is not None
        return self.kept

    def run(self, out: str | os.PathLike[str] | None) -> None:
        """Runs it to its end, whatever the end is; nothing is left on the server."""
        prepared = self._prepared()
        server = stoppable(lambda: look_at_server(self._connection), self._stopper, 1)
        environment = environment_of(
            secrets.token_hex(8),
            self._connection,
            server,
            prepared,
            sources=named(self._sources),
            settings=self._told(),
        )
        with contextlib.nullcontext() if out is None else RecordFile(out) as file:
            self.kept = Keeper(environment, file, self._watcher.note)
            self._measure()

    def _prepared(self) -> Prepared:
        """Looks at the sources: what is wrong with them is known before anything is sent.

        Raises:
            LoaderError: They cannot be loaded, or not more than once.
        """
        if (once := read_once(self._sources)) is not None:
            raise _only_once(once)
        settings, source_options = interpret(self._load_options(self._possible()))
        prepared = stoppable(
            lambda: prepare_in_thread(self._sources, settings, source_options, Progress()),
            self._stopper,
            1,
        )
        for table, source in prepared.tables:
            if not source.rereadable:
                raise _only_once(f"table {table.name!r}")
        self._scratch.folder_id = prepared.settings.folder_id
        return prepared

    def _possible(self) -> Setting:
        """Returns a setting that can be run; where there is none, one that says why."""
        fitting = (one for one in self._settings if not isinstance(self._plan(one), str))
        return next(fitting, min(self._settings, key=lambda one: (one.chunk_size, one.concurrency)))

    def _told(self) -> dict[str, Any]:
        """Returns the settings of all runs for the records."""
        given: Mapping[str, Any] = self._options
        return {
            "repeat": self._repeat,
            "seed": self._seed,
            "time_budget": self._budget,
            "memory": given.get("memory") or default_memory(),
            **{
                name: plain(value)
                for name in _TOLD
                if (value := given.get(name)) and name != "memory"
            },
        }

    def _measure(self) -> None:
        failure: LoaderError | None = None
        try:
            self._run_all()
        except LoaderError as error:
            failure = error
            # What was measured until then is worth as much as before.
            self._recommend(cut_short=True)
        finally:
            lost = self._discard()
        if failure is not None:
            if lost is not None:
                failure.add(lost.message)
                failure.hint = "; ".join(filter(None, (failure.hint, lost.hint)))
                failure.details.update(lost.details)
            raise failure
        if lost is not None:
            raise lost
        if self._kept.unwritten is not None:
            raise self._kept.unwritten

    def _discard(self) -> LoaderError | None:
        """Takes the dataset away; returns what is to be said where that fails."""
        scratch = self._scratch
        try:
            stoppable(
                lambda: discard(self._connection, scratch),
                self._stopper,
                # Whoever stopped the sweep wants it gone; one more wish says that it can stay.
                max(_AT_ONCE, self._stopper.wishes + 1),
            )
        except LoaderError as error:
            where = f" (id {scratch.dataset_id})" if scratch.dataset_id else ""
            error.message = (
                f"the scratch dataset {scratch.name!r}{where} may still be on the server: it could "
                f"not be deleted: {error.message.removesuffix('.')}"
            )
            error.args = (error.message,)
            error.hint = f"delete the dataset {scratch.name!r} by hand"
            error.details.update(dataset=scratch.name, dataset_id=scratch.dataset_id)
            return error
        return None

    # -- the runs ----------------------------------------------------------------------------------

    def _run_all(self) -> None:
        schedule = self._warmed_up()
        while (planned := schedule.next(self._elapsed)) is not None:
            self._note_skipped(schedule.skipped())
            began = self._elapsed
            run = self._run(planned, left=schedule.left)
            schedule.took(planned.setting, self._elapsed - began)
            if run is None:
                continue
            self._watcher.ends(run, left=schedule.left, seconds_left=schedule.seconds_left())
            if run.error is not None:
                schedule.give_up(planned.setting, f"it failed before: {run.error.message}")
        self._note_skipped(schedule.skipped())
        if not self._recommend():
            raise self._last_failure or UsageError(
                "the time budget ended before anything was measured",
                hint="raise --time-budget, or load less with --limit",
            )

    def _recommend(self, *, cut_short: bool = False) -> bool:
        return self._kept.recommend(self._settings, self._command, cut_short=cut_short)

    def _warmed_up(self) -> Schedule:
        """Makes the first run, and decides what is worth another one by what it showed."""
        setting = warm_up_setting(self._settings, self._plan)
        if isinstance(setting, str):
            raise UsageError(
                f"no setting can be run: {setting}", hint="raise --memory, or choose smaller chunks"
            )
        began = self._elapsed
        run = self._run(Planned(setting, repeat=0, order=0), left=None)
        seconds = self._elapsed - began
        if run is None:
            raise UsageError(
                "the first run took longer than the whole time budget",
                hint="raise --time-budget, or load less with --limit",
            )
        grid = choose(self._settings, self._plan, self._sizes)
        if not grid.settings:
            raise UsageError(
                f"no setting can be run: {grid.skipped[0].reason}",
                hint="raise --memory, or choose smaller chunks",
            )
        self._note_skipped(grid.skipped)
        schedule = Schedule(grid.settings, repeat=self._repeat, seed=self._seed, limit=self._budget)
        schedule.took(setting, seconds)
        self._watcher.ends(run, left=schedule.left, seconds_left=schedule.seconds_left())
        return schedule

    def _run(self, planned: Planned, *, left: int | None) -> Run | None:
        """Makes a run, and writes it down; returns None where the time budget ended before it did.

        Raises:
            LoaderError: It failed for a reason that ends the sweep.
        """
        setting, began = planned.setting, self._elapsed
        number, self._number = self._number, self._number + 1
        self._stop_if_wished(number)
        self._watcher.begins(setting, number=number, left=left)
        ended = follow(
            Task(
                self._sources,
                self._load_options(setting),
                self._connection,
                self._scratch.name,
                self._scratch.folder_id,
            ),
            self._scratch,
            self._stopper,
            on_beat=self._watcher.beat,
            seconds=self._seconds(),
            clock=self._clock,
        )
        self._stop_if_wished(number)
        error = ended if isinstance(ended, Died) else ended.error
        gone = error is not None and trouble_of(error) is Trouble.SERVER and not self._is_there()
        if not gone:
            self._clear_the_way(died=isinstance(ended, Died))
        if isinstance(error, Interrupted):
            took = f"stopped after {self._elapsed - began:.0f} s: the time budget was used up"
            self._note_skipped([Skipped.of(setting, planned.repeat or None, took)])
            return None
        run = measured(ended, planned, number=number, began=began)
        self._kept.add(run)
        if error is not None:
            self._judge(error, setting, gone=gone)
        else:
            self._failures = []
        if isinstance(ended, Ended) and error is None:
            self._sizes = ended.table_bytes
        return run

    def _is_there(self) -> bool:
        """Whether the server answers: else a run failed for a reason that all others share."""
        try:
            stoppable(lambda: look_at_server(self._connection), self._stopper, 1)
        except Interrupted:
            raise
        except LoaderError:
            return False
        return True

    def _clear_the_way(self, *, died: bool) -> None:
        """Takes away what a run has left that keeps the next one out: it may have been killed.

        That is the upload session; where the run died before it told of one, the dataset, since a
        session may be open that nobody knows. The next run then makes another dataset.
        """
        scratch = self._scratch
        if scratch.session_id is not None:
            left = f"upload session {scratch.session_id} that the run left open"
            delete = close_session
        elif died:
            left, delete = f"dataset of the run that died, {scratch.name!r},", discard
        else:
            return
        try:
            stoppable(lambda: delete(self._connection, scratch), self._stopper, 1)
        except Interrupted:
            raise
        except LoaderError as error:
            # The next run may get on all the same, or says what is in its way.
            self._watcher.note(f"the {left} could not be deleted: {error.message}")
        else:
            if delete is discard:
                # A server may list the old one for a while.
                scratch.name = new_name()

    def _stop_if_wished(self, number: int) -> None:
        if not self._stopper.wishes:
            return
        kept = (
            "; what was measured until then is kept"
            if self._kept.records.counted
            else ": nothing was measured yet"
        )
        raise Interrupted(f"stopped in {f'run {number}' if number else 'the warm-up'}{kept}")

    def _seconds(self) -> float | None:
        """Returns how long the next run may take."""
        if self._budget is None:
            return None
        return max(0.0, self._budget * (1 + _OVERTIME) - self._elapsed)

    def _judge(self, error: LoaderError, setting: Setting, *, gone: bool) -> None:
        """Gives up where no other setting would fare better.

        Raises:
            LoaderError: That is so.
        """
        self._last_failure = error
        if gone:
            error.add("the sweep ends here, since the server does not answer any more")
            # It did answer: what is to be said where nobody ever did, of proxies and such, is not.
            error.hint = "see whether the server runs"
            raise error
        if isinstance(error, UsageError | SourceError) or error.exit_code == _NO_RIGHTS:
            raise error
        self._failures.append(setting)
        if len(self._failures) >= _FAILURES:
            error.add(f"so ended {_FAILURES} runs in a row")
            raise error

    def _plan(self, setting: Setting) -> MemoryPlan | str:
        try:
            settings, _ = interpret(self._load_options(setting))
            return share_out(settings)[1]
        except UsageError as error:
            return f"{error.message} ({error.hint})" if error.hint else error.message

    def _load_options(self, setting: Setting) -> LoadOptions:
        """Returns the options of a load with a setting."""
        scratch = self._scratch
        options: LoadOptions = {
            "retries": PATIENCE.retries,
            "retry_deadline": PATIENCE.deadline,
            **self._options,
        }
        if scratch.dataset_id is None:
            options["dataset"] = scratch.name
        else:
            # Not by its name: a server may list it only after a while.
            options["dataset_id"] = scratch.dataset_id
            options["folder_id"] = None
        options["orientation"] = setting.orientation  # type: ignore[typeddict-item] # checked
        options["chunk_size"] = setting.chunk_size
        options["concurrency"] = setting.concurrency
        return options

    # -- records -----------------------------------------------------------------------------------

    def _note_skipped(self, found: Sequence[Skipped]) -> None:
        for one in found:
            self._kept.add(one)
        for reason, settings in grouped(found):
            self._watcher.note(f"left out: {settings}: {reason}")


def _only_once(what: str) -> UsageError:
    return UsageError(
        f"{what} can be read only once, and a sweep reads its sources often",
        hint="write it to a file, and name that",
    )
