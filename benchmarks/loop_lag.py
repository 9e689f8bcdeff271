"""How late the event loop runs while a load is under way: what a callback due now has to wait."""

from __future__ import annotations

import argparse
import asyncio
import statistics

import uvloop

import loader
from loader.emulator.process import EmulatorProcess

INTERVAL = 0.005


async def measure(url: str, source: str, orientation: str) -> tuple[list[float], loader.Result]:
    """Loads a file and samples, every 5 ms, how much later than asked the loop came back."""
    lags: list[float] = []
    now = asyncio.get_running_loop().time

    async def sample() -> None:
        while True:
            due = now() + INTERVAL
            await asyncio.sleep(INTERVAL)
            lags.append(now() - due)

    sampler = asyncio.create_task(sample())
    connection = loader.Connection(url, username="administrator", project="MicroStrategy Tutorial")
    try:
        result = await loader.push(source, connection=connection, orientation=orientation)
    finally:
        sampler.cancel()
    return lags, result


def main() -> None:
    """Prints the percentiles."""
    parser = argparse.ArgumentParser(description=__doc__)
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
