"""How late the event loop runs while a load is under way: what a callback due now has to wait.

Moments are due every 5 ms, whether or not the loop came back in between: a stall counts for all the
moments that it swallowed, so percentiles are shares of the time, not of the samples.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics

import uvloop

import loader
from loader.emulator.process import EmulatorProcess

INTERVAL = 0.005


async def measure(url: str, source: str, orientation: str) -> tuple[list[float], loader.Result]:
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
        result = await loader.push(source, connection=connection, orientation=orientation)
    finally:
        sampler.cancel()
    return lags, result


def main() -> None:
    """Prints the percentiles."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source")
    parser.add_argument("--orientation", default="column", choices=["column", "row"])
    arguments = parser.parse_args()
    with EmulatorProcess("--ingest", "sink") as server:
        lags, result = uvloop.run(measure(server.url, arguments.source, arguments.orientation))
    cuts = statistics.quantiles(lags, n=100)
    print(
        f"{result.rows:,} rows in {result.seconds:.1f} s, {len(lags)} samples: lag "
        f"p50 {cuts[49] * 1e3:.1f} ms, p99 {cuts[98] * 1e3:.1f} ms, max {max(lags) * 1e3:.1f} ms"
    )


if __name__ == "__main__":
    main()
