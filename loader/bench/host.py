"""What this process runs on and with."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version

from loader.encode import native_available
from loader.version import __version__

__all__ = ["Host", "this_host"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A host and what is installed on it.

    Attributes:
        loader: Version of the loader.
        python: Version of Python.
        pyarrow: Version of pyarrow.
        orjson: Version of orjson.
        aiohttp: Version of aiohttp.
        compiled: Whether the loader has its compiled encoder.
        platform: Operating system and machine.
        cores: Processors that the loader may use.
        memory: Bytes; None: unknown.
    """

    loader: str
    python: str
    pyarrow: str
    orjson: str
    aiohttp: str
    compiled: bool
    platform: str
    cores: int
    memory: int | None


def this_host() -> Host:
    """Returns what this process runs on and with."""
    return Host(
        loader=__version__,
        python=platform.python_version(),
        pyarrow=version("pyarrow"),
        orjson=version("orjson"),
        aiohttp=version("aiohttp"),
        compiled=native_available(),
        platform=f"{platform.system()} {platform.release()} {platform.machine()}",
        cores=_cores(),
        memory=_memory(),
    )


def _cores() -> int:
    # macOS has no affinity to ask for.
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return available or 1


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):  # not on every platform
        return None
