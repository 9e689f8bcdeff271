"""Runs a load for the command line: signals, progress, the result and its exit code."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager

from loader.cli.garbage import collect_as_usual
from loader.cli.printers import make_printer, print_result
from loader.cli.run_signals import STOP_SIGNALS
from loader.errors import Interrupted, LoaderError
from loader.eventloop import loop_factory
from loader.job import Load, Phase, Progress, Result, Status, reporting, status_of

__all__ = ["Ready", "run_load"]

Ready = Callable[[Progress], AbstractAsyncContextManager[Load]]
"""Gives a load that is ready to run; until then it reads the source and nothing else."""


class _Run:
    """One load, whose state a signal handler can see at any time."""

    def __init__(self, *, as_json: bool, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = clock()
        self._as_json = as_json
        self._result = Result()
        self._signals = 0
        self._load: Load | None = None
        self._progress = Progress()
        self._printer = make_printer()

    def run(self, ready: Ready) -> Result:
        with (
            # A load that was cancelled says so in its result.
            contextlib.suppress(asyncio.CancelledError),
            asyncio.Runner(loop_factory=loop_factory()) as runner,
        ):
            runner.run(self._run(ready))
        return self._result

    async def _run(self, ready: Ready) -> None:
        progress = self._progress
        with self._signals_cancel(), self._printer:
            async with reporting(progress, self._printer), contextlib.AsyncExitStack() as closing:
                try:
                    load = await closing.enter_async_context(ready(progress))
                except LoaderError as error:
                    self._result.status, self._result.error = status_of(error), error
                    self._result.seconds = self._clock() - self._began
                    return
                except asyncio.CancelledError:
                    self._stopped_early()
                    raise
                self._load, self._result = load, load.result
                for note in load.notes:
                    self._printer.note(note)
                await load.run()

    @contextlib.contextmanager
    def _signals_cancel(self) -> Iterator[None]:
        """The first Ctrl-C or SIGTERM lets what is under way end, the second stops at once.

        While the source is looked at there is nothing to clean up, and the first one does.
        """
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None

        def stop() -> None:
            self._signals += 1
            if self._signals == 1 and self._progress.phase is not Phase.READING:
                if self._load is not None and self._load.drain():
                    self._printer.note("stopping after the PUTs under way; again to stop at once")
                else:
                    self._printer.note("stopping; again to stop at once")
                    task.cancel()
                return
            self._stop_at_once()
            # Gives the terminal its cursor back.
            self._printer.__exit__(None, None, None)
            print_result(self._result, as_json=self._as_json)
            # Threads in the middle of a read cannot be waited for.
            os._exit(self._result.exit_code)

        numbers = [one for one in STOP_SIGNALS if signal.getsignal(one) is not signal.SIG_IGN]
        for number in numbers:
            loop.add_signal_handler(number, stop)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)
                # All that is left is to say what happened, which a signal must not keep it from.
                signal.signal(number, _too_late)

    def _stop_at_once(self) -> None:
        """Notes what the sudden end means; what was published stays published."""
        if self._load is not None:
            self._load.stopped_at_once()
        else:
            self._stopped_early()
        self._result.seconds = self._clock() - self._began

    def _stopped_early(self) -> None:
        self._result.status = Status.INTERRUPTED
        self._result.error = Interrupted(
            "stopped before anything was sent", hint="run the same command again to start over"
        )


def _too_late(_number: int, _frame: object) -> None:
    """Does nothing: the load has ended."""


def run_load(ready: Ready, *, as_json: bool, clock: Callable[[], float] = time.monotonic) -> Result:
    """Runs a load to its end, whatever the end is."""
    collect_as_usual()
    return _Run(as_json=as_json, clock=clock).run(ready)
