"""The loads themselves: plan one, run one, from Python or for the command line."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from loader.job.entry import (
    LoadOptions,
    begun,
    interpret,
    plan,
    prepare_in_thread,
    push,
    push_sync,
    reporting,
)
from loader.job.journal import Steps, journalled
from loader.job.load import Load
from loader.job.prepare import Prepared, Sources, prepare
from loader.job.progress import Phase, Progress
from loader.job.result import Result, Status, TableResult, status_of
from loader.job.settings import (
    LoadSettings,
    MatchColumns,
    OnBadRow,
    Ordering,
    UpdatePolicy,
    Workflow,
)

if TYPE_CHECKING:
    from loader.job.preview import LoadPlan, TablePlan, plan_load
    from loader.job.resuming import ResumeOptions, resume, resume_sync

# Imported when first used, since a push needs none of them.
_HOMES = {
    "LoadPlan": "loader.job.preview",
    "ResumeOptions": "loader.job.resuming",
    "TablePlan": "loader.job.preview",
    "plan_load": "loader.job.preview",
    "resume": "loader.job.resuming",
    "resume_sync": "loader.job.resuming",
}

__all__ = [
    "Load",
    "LoadOptions",
    "LoadPlan",
    "LoadSettings",
    "MatchColumns",
    "OnBadRow",
    "Ordering",
    "Phase",
    "Prepared",
    "Progress",
    "Result",
    "ResumeOptions",
    "Sources",
    "Status",
    "Steps",
    "TablePlan",
    "TableResult",
    "UpdatePolicy",
    "Workflow",
    "begun",
    "interpret",
    "journalled",
    "plan",
    "plan_load",
    "prepare",
    "prepare_in_thread",
    "push",
    "push_sync",
    "reporting",
    "resume",
    "resume_sync",
    "status_of",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
