"""The one way an encoder says no: which row of an array, why, and what the value was."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

_NONE: Mapping[int, Any] = MappingProxyType({})


class ValueRefused(ValueError):
    """A value that its data type cannot hold.

    Attributes:
        row: Position of the value in the array that was encoded.
        reason: Why, as the end of the sentence "row N, column C: …".
        value: The raw value, for a person to recognise.
        others: Later rows that are known to be refused for the same reason, with their values, in
            their order. There may be more than are known.
    """

    def __init__(
        self, row: int, reason: str, value: Any, *, others: Mapping[int, Any] = _NONE
    ) -> None:
        super().__init__(f"row {row}: {reason}: {value!r}")
        self.row = row
        self.reason = reason
        self.value = value
        self.others = others
