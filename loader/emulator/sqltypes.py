"""Which SQL type holds the values of a column exactly: a pure decision, by what the values need."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from loader.emulator.definitions import DataType

__all__ = ["Needs", "needs_of", "sql_type"]

_MAX_DIGITS: Final = 38

# Whole days that 64 bits of nanoseconds since 1970 certainly reach.
_NS_FIRST: Final = dt.datetime(1677, 9, 22)  # noqa: DTZ001 - a DATETIME has no zone
_NS_LAST: Final = dt.datetime(2262, 4, 11)  # noqa: DTZ001 - a DATETIME has no zone

_FIXED: Final = {
    DataType.STRING: "VARCHAR",
    DataType.INTEGER: "INTEGER",
    DataType.BIGINTEGER: "BIGINT",
    DataType.BOOL: "BOOLEAN",
    DataType.DOUBLE: "DOUBLE",
    DataType.DATE: "DATE",
}


@dataclass(frozen=True, slots=True)
class Needs:
    """What the values of a column have needed so far; it only grows until the table is replaced.

    Attributes:
        digits: Most digits before the point (BIGDECIMAL).
        scale: Most digits after the point (BIGDECIMAL).
        nanoseconds: A value is finer than microseconds (TIME, DATETIME).
        far: A value is out of the years 1677 to 2262, which nanoseconds can reach (DATETIME).
        text: A value fits no type but text.
    """

    digits: int = 0
    scale: int = 0
    nanoseconds: bool = False
    far: bool = False
    text: bool = False

    def __or__(self, other: Needs) -> Needs:
        """Returns what the values of both need."""
        return Needs(
            digits=max(self.digits, other.digits),
            scale=max(self.scale, other.scale),
            nanoseconds=self.nanoseconds or other.nanoseconds,
            far=self.far or other.far,
            text=self.text or other.text,
        )


def sql_type(data_type: DataType, needs: Needs) -> str:
    """Returns the DuckDB type that holds values of these needs exactly."""
    if data_type in _FIXED:
        return _FIXED[data_type]
    if needs.text:
        return "VARCHAR"
    if data_type is DataType.BIGDECIMAL:
        fits = needs.digits + needs.scale <= _MAX_DIGITS
        return f"DECIMAL({_MAX_DIGITS},{needs.scale})" if fits else "VARCHAR"
    if data_type is DataType.TIME:
        return "VARCHAR" if needs.nanoseconds else "TIME"
    if needs.nanoseconds:
        return "VARCHAR" if needs.far else "TIMESTAMP_NS"
    return "TIMESTAMP"


def needs_of(data_type: DataType, data: pa.ChunkedArray) -> Needs:
    """Returns what a decoded column needs (``loader.emulator.decode`` lists the Arrow types)."""
    arrow: Any = data.type
    if data_type in _FIXED:
        return Needs()
    if pa.types.is_string(arrow):
        return Needs(text=True)
    if data_type is DataType.BIGDECIMAL:
        if data.null_count == len(data):
            return Needs()
        return Needs(digits=arrow.precision - arrow.scale, scale=arrow.scale)
    if data_type is DataType.TIME:
        return Needs()
    if arrow == pa.timestamp("ns"):
        return Needs(nanoseconds=True)
    ends = pc.min_max(data).as_py()
    return Needs(
        far=ends["min"] is not None and not _NS_FIRST <= ends["min"] <= ends["max"] <= _NS_LAST
    )
