"""Measures how fast a server takes data: sweeps over settings, their records, comparisons."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loader.bench.comparison import Comparison, compare
    from loader.bench.entry import sweep
    from loader.bench.records import Records, read_records
    from loader.bench.stopping import Stopper
    from loader.bench.sweeping import Watcher

__all__ = [
    "Comparison",
    "Records",
    "Stopper",
    "Watcher",
    "compare",
    "read_records",
    "sweep",
]

# Imported when first used: who reads records needs no aiohttp, and who loads needs none of it.
_HOMES = {
    "Comparison": "comparison",
    "Records": "records",
    "Stopper": "stopping",
    "Watcher": "sweeping",
    "compare": "comparison",
    "read_records": "records",
    "sweep": "entry",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"loader.bench.{_HOMES[name]}"), name)
