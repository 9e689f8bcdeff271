"""Runs a load for the command line: signals, progress, the result and its exit code."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from loader.api import Connection
from loader.cli.printers import make_printer, print_result
from loader.cli.run_signals import STOP_SIGNALS
from loader.errors import Interrupted, LoaderError
from loader.eventloop import loop_factory
from loader.job import (
    Load,
    LoadOptions,
    Prepared,
    Progress,
    Result,
    Status,
    Steps,
    Workflow,
    interpret,
    journalled,
    prepare_in_thread,
    reporting,
    status_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["run_push"]


class _Run:
    """One push, whose state a signal handler can see at any time."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._result = Result()
        self._signals = 0
        self._reading = True
        self._one_request = False
        self._printer = make_printer()

    def push(
        self, sources: Sequence[str], connection: Connection, options: LoadOptions, *, local: bool
    ) -> Result:
        settings, source_options = interpret(options)
        self._one_request = settings.workflow is Workflow.ONE_REQUEST
        with (
            # A load that was cancelled says so in its result.
            contextlib.suppress(asyncio.CancelledError),
            asyncio.Runner(loop_factory=loop_factory()) as runner,
        ):
            runner.run(
                self._push(
                    lambda progress: prepare_in_thread(sources, settings, source_options, progress),
                    lambda prepared: journalled(
                        sources, options, connection, prepared, local=local
                    ),
                    connection,
                )
            )
        return self._result

    async def _push(
        self,
        prepare: Callable[[Progress], Awaitable[Prepared]],
        begin: Callable[[Prepared], AbstractAsyncContextManager[Steps]],
        connection: Connection,
    ) -> None:
        progress = Progress()
        with self._signals_cancel(), self._printer:
            async with reporting(progress, self._printer), contextlib.AsyncExitStack() as closing:
                try:
                    prepared = await prepare(progress)
                    journal = await closing.enter_async_context(begin(prepared))
                except LoaderError as error:
                    self._result.status, self._result.error = status_of(error), error
                    return
                self._reading = False
                for table, source in prepared.tables:
                    for note in source.notes:
                        self._printer.note(f"{table.name}: {note}")
                load = Load(prepared, connection, progress, journal=journal)
                self._result = load.result
                await load.run()

    @contextlib.contextmanager
    def _signals_cancel(self) -> Iterator[None]:
        """The first Ctrl-C or SIGTERM stops cleanly, the second at once.

        While the source is looked at there is nothing to clean up, and the first one does.
        """
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None

        def stop() -> None:
            self._signals += 1
            if self._signals == 1 and not self._reading:
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

    def _stop_at_once(self) -> None:
        """Notes what the sudden end means; what was published stays published."""
        if self._result.status in {Status.PUBLISHED, Status.UPLOADED}:
            self._result.warnings.append("stopped while the session was being closed")
            return
        self._result.status = Status.INTERRUPTED
        if self._reading:
            self._result.error = Interrupted(
                "stopped before anything was sent", hint="run the same command again to start over"
            )
            return
        if self._one_request:
            self._result.error = Interrupted(
                "stopped at once",
                hint="a request that had been sent whole may still be carried out: check the "
                "dataset before loading again",
            )
            return
        self._result.error = Interrupted(
            "stopped at once: the upload session is left to the server",
            hint="it ends when its login times out; until then the server may refuse another "
            "load into this dataset",
        )


def run_push(
    sources: Sequence[str],
    connection: Connection,
    options: LoadOptions,
    *,
    as_json: bool,
    local: bool = False,
) -> Result:
    """Runs a push to its end, whatever the end is; ``local``: into a server of its own."""
    return _Run(as_json).push(sources, connection, options, local=local)
