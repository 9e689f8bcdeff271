"""Where what outlives a load is kept: the platform's state directory, or one the user names."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

__all__ = ["state_directory"]


def state_directory() -> Path:
    """Returns where a job's files live; ``MSTR_LOADER_STATE`` names another directory."""
    named = os.environ.get("MSTR_LOADER_STATE")
    return Path(named) if named else platformdirs.user_state_path("mstr-loader")
