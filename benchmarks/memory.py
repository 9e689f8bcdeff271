"""Peak memory of whole pushes with default settings, one process for each file."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys

from loader.emulator.process import EmulatorProcess


def peak(url: str, source: str, options: list[str]) -> tuple[int, dict]:
    """Returns the peak resident memory of one push in bytes, and its result."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "loader", "push", source, "--json", *options),
            *("--url", url, "--username", "administrator", "--project", "MicroStrategy Tutorial"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "MSTR_PASSWORD": ""},
    )
    assert process.stdout is not None
    output = process.stdout.read()
    # wait4 tells the peak of this child alone.
    _, _, usage = os.wait4(process.pid, 0)
    scale = 1 if sys.platform == "darwin" else 1024
    return usage.ru_maxrss * scale, json.loads(output)


def main() -> None:
    """Prints one line a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", nargs="+", help="PATH or TABLE=PATH")
    parser.add_argument("--orientation", default="column", choices=["column", "row"])
    parser.add_argument("--latency", default="0", help="seconds the server adds to each PUT")
    arguments = parser.parse_args()
    with EmulatorProcess("--ingest", "sink", "--latency", arguments.latency) as server:
        for source in arguments.source:
            options = ["--orientation", arguments.orientation]
            memory, result = peak(server.url, source, options)
            print(
                f"{source}: peak {memory / 1e6:,.0f} MB, {result['status']}, "
                f"{result['rows']:,} rows, {result['json_bytes'] / 1e6:,.0f} MB of JSON, "
                f"{result['chunks']} chunks, {result['seconds']:.1f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
