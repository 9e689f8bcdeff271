"""One run of a sweep, in a process of its own: its CPU and its peak memory are nobody else's.

``python -m loader.bench.run N`` takes its task from file descriptor N, a pipe that only the sweep
holds the other end of, and tells how it goes. Where that end closes, the sweep has died: the run
then ends, and takes the scratch dataset away, since nobody else will.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import logging
import resource
import signal
import sys
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Final

from loader.bench.messages import (
    Beat,
    DatasetGone,
    DatasetKnown,
    Ended,
    Message,
    SessionGone,
    SessionOpened,
    Task,
)
from loader.bench.records import TIMELINE_LIMIT
from loader.bench.scratch import Scratch, discard
from loader.errors import Interrupted, LoaderError
from loader.eventloop import loop_factory
from loader.job import Load, Progress, Result, interpret, prepare_in_thread, reporting
from loader.job.dataset import Target
from loader.job.journal import Unjournalled
from loader.job.timing import ChunkTimes

__all__ = ["main", "run", "thinned"]

_BEATS: Final = 5
"""A report of this number is passed on: two a second."""


class _Told(Unjournalled):
    """Tells the sweep what there is on the server: it has to take away what a dead run left."""

    def __init__(self, ears: _Ears) -> None:
        self._ears = ears

    async def dataset_known(self, target: Target, folder_id: str | None) -> None:
        """Tells the dataset's id."""
        del folder_id
        self._ears.dataset_id = target.id
        self._ears.tell(DatasetKnown(target.id))

    async def session_opened(self, session_id: str, chunk_bytes: int) -> None:
        """Tells the upload session's id."""
        del chunk_bytes
        self._ears.tell(SessionOpened(session_id))

    async def session_ended(self) -> None:
        """Tells that it is gone."""
        self._ears.tell(SessionGone())

    async def dataset_deleted(self) -> None:
        """Tells that the load has deleted the dataset itself."""
        self._ears.dataset_id = None
        self._ears.tell(DatasetGone())


class _Ears:
    """The pipe to the sweep, which may be gone.

    Attributes:
        orphaned: Whether it is.
        dataset_id: The scratch dataset.
    """

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self.orphaned = False
        self.dataset_id: str | None = None

    def tell(self, message: Message) -> None:
        with contextlib.suppress(OSError):
            self._pipe.send(message)

    def listen(self, loop: asyncio.AbstractEventLoop, work: asyncio.Task[None]) -> None:
        """Ends the work when the sweep says so, or has died."""
        try:
            self._pipe.recv()
        except (EOFError, OSError):
            self.orphaned = True
        with contextlib.suppress(RuntimeError):  # all is over, and the loop is closed
            loop.call_soon_threadsafe(work.cancel)


async def run(task: Task, pipe: Pipe) -> None:
    """Runs a task to its end, and tells the sweep about it."""
    ears = _Ears(pipe)
    result = Result()
    beats = itertools.count()
    progress = Progress()

    def beat(progress: Progress) -> None:
        if next(beats) % _BEATS == 0:
            ears.tell(
                Beat(
                    str(progress.phase),
                    progress.rows_accepted,
                    progress.rows_total,
                    progress.accepted_bytes,
                    progress.trouble,
                )
            )

    async def load() -> None:
        nonlocal result
        settings, source_options = interpret(task.options)
        prepared = await prepare_in_thread(task.sources, settings, source_options, progress)
        one = Load(prepared, task.connection, progress, journal=_Told(ears), timeline=True)
        result = one.result
        async with reporting(progress, beat):
            await one.run()

    work = asyncio.create_task(load())
    loop = asyncio.get_running_loop()
    threading.Thread(target=ears.listen, args=(loop, work), daemon=True).start()
    try:
        await work
    except asyncio.CancelledError:
        result.error = result.error or Interrupted("stopped before anything was sent")
    except LoaderError as error:
        result.error = error
    if ears.orphaned:
        with contextlib.suppress(LoaderError):
            scratch = Scratch(task.name, task.folder_id, ears.dataset_id)
            await discard(task.connection, scratch)
    ears.tell(_ended(result))


def _ended(result: Result) -> Ended:
    latencies = result.latencies
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return Ended(
        error=result.error,
        rows=result.rows,
        chunks=result.chunks,
        table_bytes=tuple(table.json_bytes for table in result.tables),
        wire_bytes=result.wire_bytes,
        retries=result.retries,
        times=result.times,
        quantiles=(
            latencies.quantile(0.5),
            latencies.quantile(0.95),
            latencies.quantile(0.99),
        ),
        timeline=thinned(result.timeline or []),
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_memory=_peak_memory(usage.ru_maxrss),
    )


def thinned(chunks: list[ChunkTimes]) -> tuple[ChunkTimes, ...]:
    """Returns as many chunks as are kept, evenly chosen; the first and the last are among them."""
    if len(chunks) <= TIMELINE_LIMIT:
        return tuple(chunks)
    step = (len(chunks) - 1) / (TIMELINE_LIMIT - 1)
    return tuple(chunks[round(place * step)] for place in range(TIMELINE_LIMIT))


def _peak_memory(maximum: int) -> int:
    """Returns the most resident memory of this process in bytes.

    What ``getrusage`` tells on Linux includes the peak of the process that this one came from.
    """
    for line in _status():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return maximum * (1 if sys.platform == "darwin" else 1024)


def _status() -> Iterator[str]:
    try:
        with Path("/proc/self/status").open(encoding="ascii", errors="replace") as file:
            yield from file
    except OSError:  # not on Linux
        return


def main() -> None:
    """Is the process of a run."""
    # Its terminal's Ctrl-C is for the sweep, which says what is to be done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What has to be said is part of the result; the sweep would show it once for each run.
    logging.getLogger("loader").addHandler(logging.NullHandler())
    # Imports make some 10^5 objects that live to the end: a push does not look at them either.
    gc.freeze()
    pipe = Pipe(int(sys.argv[1]))
    task = pipe.recv()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(run(task, pipe))


if __name__ == "__main__":
    main()
