"""Values as JSON has them, of whatever kind they were."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

__all__ = ["plain"]


def plain(value: Any) -> Any:
    """Returns a value as JSON has it: of an option, or a detail of an error."""
    if isinstance(value, str):
        return str(value)  # of a kind of its own, too
    if isinstance(value, int | float) or value is None:
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, AbstractSet):
        return sorted(map(plain, value))
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)
