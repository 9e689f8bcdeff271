"""Pushes a Parquet file and prints how late the event loop ran; a program of its own.

Usage: loop_lag.py URL PARQUET column|row. Moments are due every 5 ms, whether or not the loop came
back in between: a stall counts for all the moments that it swallowed, so percentiles are shares of
the time, not of the samples.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys

import uvloop

import loader

INTERVAL = 0.005


async def measure(
    url: str, file: str, orientation: loader.Orientation
) -> tuple[list[float], loader.Result]:
    """Loads a file and returns, for moments 5 ms apart, how much later the loop came back."""
    lags: list[float] = []
    now = asyncio.get_running_loop().time

    async def sample() -> None:
        due = now()
        while True:
            due += INTERVAL
            if (early := due - now()) > 0:
                await asyncio.sleep(early)
            # asyncio may be early by its clock's resolution. After a stall several are due at once.
            lags.append(max(now() - due, 0.0))

    sampler = asyncio.create_task(sample())
    connection = loader.Connection(url, username="administrator", project="MicroStrategy Tutorial")
    try:
        result = await loader.push(
            {"lineitem": file}, connection=connection, dataset="bench", orientation=orientation
        )
    finally:
        sampler.cancel()
    return lags, result


def main() -> None:
    """Prints the result with the percentiles, in seconds."""
    url, file, orientation = sys.argv[1:]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        lags, result = runner.run(measure(url, file, loader.Orientation(orientation.upper())))
    cuts = statistics.quantiles(lags, n=100, method="inclusive")
    lag = {"p50": cuts[49], "p99": cuts[98], "longest": max(lags)}
    print(json.dumps({**result.as_dict(), "lag": lag}))


if __name__ == "__main__":
    main()
