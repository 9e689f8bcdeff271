"""Sizes in bytes as people write them."""

from __future__ import annotations

__all__ = ["MB", "exact_size", "size"]

MB = 1_000_000

_UNITS = ("B", "kB", "MB", "GB", "TB")
# Half a unit less than 1000: what would be printed with four digits takes the next unit.
_STEP = 999.5


def size(count: float) -> str:
    """Returns bytes with three digits and a unit: ``1.23 GB``."""
    unit = 0
    while count >= _STEP and unit < len(_UNITS) - 1:
        count /= 1000
        unit += 1
    return f"{count:.0f} {_UNITS[unit]}" if unit == 0 else f"{count:.3g} {_UNITS[unit]}"


def exact_size(count: int) -> str:
    """Returns bytes as options take them, none rounded away: ``1GB``, ``25MB``, ``1234``."""
    for unit in reversed(range(1, len(_UNITS))):
        if count and count % 1000**unit == 0:
            return f"{count // 1000**unit}{_UNITS[unit]}"
    return str(count)
