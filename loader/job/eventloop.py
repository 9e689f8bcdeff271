"""Runs coroutines on the fastest event loop there is."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["loop_factory", "run_anywhere"]

T = TypeVar("T")


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Returns uvloop's factory, or None for asyncio's own where uvloop does not exist (Windows)."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop


def run_anywhere(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Runs a coroutine to its end, also where a loop is already running (notebooks)."""

    def run() -> T:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(work())

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return run()
    # A running loop cannot wait for itself: a thread of its own gets a loop of its own.
    with concurrent.futures.ThreadPoolExecutor(1, "mstr-loader-sync") as pool:
        return pool.submit(run).result()
