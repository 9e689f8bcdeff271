"""``sweep``: everything that ``mstr-loader bench`` can do, as a typed function."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Sequence
from typing import Final, Unpack

from loader.api import Connection
from loader.bench.grid import all_settings
from loader.bench.messages import Beat
from loader.bench.records import Records, Run, Setting
from loader.bench.sources import push_command
from loader.bench.stopping import Stopper
from loader.bench.sweeping import Sweep, Watcher
from loader.errors import LoaderError, UsageError
from loader.job import LoadOptions, Sources
from loader.units import MB

__all__ = ["CHUNK_SIZES", "CONCURRENCIES", "ORIENTATIONS", "REPEAT", "sweep"]

ORIENTATIONS: Final = ("column", "row")
CHUNK_SIZES: Final = (25 * MB, 50 * MB, 100 * MB, 200 * MB)
CONCURRENCIES: Final = (1, 2, 4, 8)
REPEAT: Final = 3

_OWN: Final = frozenset(
    {
        *("dataset", "dataset_id", "overwrite", "policy", "table_policies", "publish", "workflow"),
        *("table_id", "orientation", "chunk_size", "concurrency", "verify"),
    }
)
"""Options of a load that a sweep decides itself."""


class _Silent:
    def note(self, text: str) -> None:
        pass

    def begins(self, setting: Setting, *, number: int, left: int | None) -> None:
        pass

    def beat(self, beat: Beat) -> None:
        pass

    def ends(self, run: Run, *, left: int, seconds_left: float | None) -> None:
        pass


def sweep(
    sources: Sources,
    *,
    connection: Connection,
    orientations: Sequence[str] = ORIENTATIONS,
    chunk_sizes: Sequence[int] = CHUNK_SIZES,
    concurrencies: Sequence[int] = CONCURRENCIES,
    repeat: int = REPEAT,
    time_budget: float | None = None,
    seed: int | None = None,
    out: str | os.PathLike[str] | None = None,
    command: Sequence[str] | None = None,
    watcher: Watcher | None = None,
    stopper: Stopper | None = None,
    clock: Callable[[], float] = time.monotonic,
    **options: Unpack[LoadOptions],
) -> Records:
    """Measures how fast a server takes data, with every combination of settings.

    Each run is a whole load, published and verified, in a process of its own; all of them go into
    one dataset with a name of its own, which is deleted at the end, also after a failure or a stop.
    A first run warms up caches and connections and does not count. Blocks until all is done.

    Args:
        sources: As for ``push``, but what can be read only once cannot be measured twice. What is
            in memory is copied to each run; name files where it is large.
        connection: The server, the user and the project.
        orientations: ``column``, ``row`` or both.
        chunk_sizes: JSON bytes wanted in a chunk.
        concurrencies: PUTs at once.
        repeat: How often each combination is run.
        time_budget: Seconds that all of it may take; None: as long as it takes.
        seed: Of the order of the runs; None: any, which the records tell.
        out: A new file for the records; each run is in it as soon as it has ended.
        command: The ``mstr-loader push`` command line that the recommendation adds its settings
            to; None: made of the sources and the connection.
        watcher: Is told how it goes.
        stopper: Ends it early; its second wish waits for nothing.
        clock: Monotonic seconds.
        **options: Those of a load that are the same in all runs (``LoadOptions``).

    Returns:
        What was measured, and the settings to load with.

    Raises:
        LoaderError: Nothing could be measured, most runs failed, the server went away, it was
            stopped, the dataset could not be deleted, or ``out`` does not hold all records; its
            ``result`` holds the records so far, with a recommendation if there were any runs to
            draw it from, or is None.
    """
    _check(orientations, chunk_sizes, concurrencies, repeat, options)
    settings = all_settings(orientations, chunk_sizes, concurrencies)
    one = Sweep(
        sources,
        connection,
        settings,
        options,
        repeat=repeat,
        time_budget=time_budget,
        seed=random.randrange(2**31) if seed is None else seed,  # noqa: S311 - an order
        command=push_command(sources, connection) if command is None else command,
        watcher=watcher or _Silent(),
        stopper=stopper or Stopper(),
        clock=clock,
    )
    try:
        one.run(out)
    except LoaderError as error:
        error.result = one.kept and one.kept.records
        raise
    assert one.kept is not None
    return one.kept.records


def _check(
    orientations: Sequence[str],
    chunk_sizes: Sequence[int],
    concurrencies: Sequence[int],
    repeat: int,
    options: LoadOptions,
) -> None:
    for name in sorted(_OWN & options.keys()):
        raise UsageError(
            f"--{name.replace('_', '-')} is decided by the sweep itself", hint="leave it out"
        )
    for option, values in (
        ("--orientation", orientations),
        ("--chunk-size", chunk_sizes),
        ("--concurrency", concurrencies),
    ):
        if not values:
            raise UsageError(f"{option} names nothing to try", hint=f"leave out {option}")
    for option, number in (
        ("--chunk-size", min(chunk_sizes)),
        ("--concurrency", min(concurrencies)),
        ("--repeat", repeat),
    ):
        if number < 1:
            raise UsageError(f"{option} must be above 0, and is {number}", hint="choose 1 or more")
    for orientation in orientations:
        if orientation not in ORIENTATIONS:
            raise UsageError(
                f"--orientation: {orientation!r} is none that is known",
                hint=f"choose of {', '.join(ORIENTATIONS)}",
            )
