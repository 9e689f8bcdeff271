"""Streams very large Parquet and CSV files into MicroStrategy datasets (Push Data API)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from loader.version import __version__

if TYPE_CHECKING:
    from loader.api import Connection, LoginMode
    from loader.bench import sweep
    from loader.encode import Orientation
    from loader.errors import LoaderError
    from loader.job import (
        LoadPlan,
        MatchColumns,
        OnBadRow,
        Ordering,
        Phase,
        Progress,
        Result,
        ResumeOptions,
        Status,
        TableResult,
        UpdatePolicy,
        Workflow,
        plan,
        push,
        push_sync,
        resume,
        resume_sync,
    )
    from loader.model import DataType

# Imported when first used: pyarrow and aiohttp take a third of a second that `--version` does not
# need.
_HOMES = {
    "Connection": "loader.api",
    "DataType": "loader.model",
    "LoadPlan": "loader.job",
    "LoaderError": "loader.errors",
    "LoginMode": "loader.api",
    "MatchColumns": "loader.job",
    "OnBadRow": "loader.job",
    "Ordering": "loader.job",
    "Orientation": "loader.encode",
    "Phase": "loader.job",
    "Progress": "loader.job",
    "Result": "loader.job",
    "ResumeOptions": "loader.job",
    "Status": "loader.job",
    "TableResult": "loader.job",
    "UpdatePolicy": "loader.job",
    "Workflow": "loader.job",
    "plan": "loader.job",
    "push": "loader.job",
    "push_sync": "loader.job",
    "resume": "loader.job",
    "resume_sync": "loader.job",
    "sweep": "loader.bench",
}

__all__ = [
    "Connection",
    "DataType",
    "LoadPlan",
    "LoaderError",
    "LoginMode",
    "MatchColumns",
    "OnBadRow",
    "Ordering",
    "Orientation",
    "Phase",
    "Progress",
    "Result",
    "ResumeOptions",
    "Status",
    "TableResult",
    "UpdatePolicy",
    "Workflow",
    "__version__",
    "plan",
    "push",
    "push_sync",
    "resume",
    "resume_sync",
    "sweep",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
