"""Pushes a Parquet file and prints the result with its times as JSON; a program of its own.

Usage: timed_push.py URL PARQUET.
"""

import json
import sys

import loader


def main() -> None:
    """Pushes with defaults."""
    url, file = sys.argv[1:]
    connection = loader.Connection(url, username="administrator", project="MicroStrategy Tutorial")
    result = loader.push_sync({"lineitem": file}, connection=connection, dataset="bench")
    assert result.times is not None
    print(json.dumps({**result.as_dict(), "times": result.times.as_dict()}))


if __name__ == "__main__":
    main()
