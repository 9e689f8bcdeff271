"""Runs a command and prints what it took, as a last line of JSON; a program of its own.

Usage: launcher.py COMMAND… . A process begins with the peak memory of the one that it was forked
from, so a peak is only right when the parent is small; this one imports next to nothing.
"""

import json
import os
import sys
import time


def main() -> None:
    """Prints seconds, CPU seconds, peak memory in bytes and the exit code."""
    began = time.perf_counter()
    pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - began
    report = {
        "seconds": seconds,
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        "code": os.waitstatus_to_exitcode(status),
    }
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
