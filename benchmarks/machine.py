"""What figures were measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import loader
from benchmarks.setting import ROOT
from loader.encode import native_missing

__all__ = ["circumstances"]

_PACKAGES = ("pyarrow", "orjson", "aiohttp", "uvloop", "numpy")


def circumstances() -> dict[str, Any]:
    """Returns the machine, in words that stay the same, and what differs from run to run."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    packages = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    missing = native_missing()
    return {
        "machine": (
            f"{os.cpu_count()} cores ({_processor()}), {memory:.0f} GB, {platform.system()}, "
            f"Python {platform.python_version()}, {packages}"
        ),
        "loader": f"{loader.__version__}, commit {_commit()}" + (f", {missing}" if missing else ""),
        "date": time.strftime("%Y-%m-%d %H:%M"),
        # Above the number of cores the figures belong to whoever else was at work.
        "load": round(os.getloadavg()[0], 2),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # no Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _commit() -> str:
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--exclude", "*"],  # noqa: S607 - wherever it is
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):  # no git, or no checkout
        return "unknown"
    return done.stdout.strip()
