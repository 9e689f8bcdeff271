"""Runs coroutines on the fastest event loop there is, also where another one is running."""

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
    return _run_in_thread(work)


def _run_in_thread(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Runs a coroutine beside a running loop, which cannot wait for itself.

    Interrupted (Ctrl-C in a notebook), it cancels the coroutine and waits for its clean-up.
    """
    started: concurrent.futures.Future[Callable[[], object]] = concurrent.futures.Future()

    async def cancellable() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        started.set_result(lambda: loop.call_soon_threadsafe(task.cancel))
        return await work()

    def run() -> T:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(cancellable())

    with concurrent.futures.ThreadPoolExecutor(1, "mstr-loader-sync") as pool:
        running = pool.submit(run)
        try:
            return running.result()
        except BaseException:
            if not running.done():
                started.result()()
            raise
