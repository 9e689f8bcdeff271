"""Which reader reads the JSON values of a column, by its data type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa

from loader.emulator.definitions import DataType
from loader.emulator.kinds import Kind, Misfit
from loader.emulator.moments import Date, DateTime, Time
from loader.emulator.numerals import BigDecimal, Double, Integer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loader.emulator.definitions import Column

__all__ = ["kind_of"]

_TEXT = msgspec.json.Decoder(str)


class Bool(Kind):
    element = bool | None
    type = pa.bool_()


class String(Kind):
    """Text. Numbers and booleans count as the text that they are written with.

    The documents only say that the column is a STRING. The vendor's own client sends bare numbers
    for columns of decimals or of mixed objects, which it declares as STRING.
    """

    element = str | None
    type = pa.string()

    def loose(self, tokens: Sequence[Any]) -> list[Any]:
        """Takes every scalar."""
        values: list[Any] = []
        for index, token in enumerate(map(bytes, tokens)):
            if token[:1] == b'"':
                values.append(_TEXT.decode(token))
            elif token[:1] in b"[{":
                raise Misfit(index, token)
            else:
                values.append(None if token == b"null" else token.decode())
        return values


_KINDS: dict[DataType, Callable[[Column], Kind]] = {
    DataType.STRING: lambda _: String(),
    DataType.INTEGER: lambda _: Integer(32),
    DataType.BIGINTEGER: lambda _: Integer(64),
    DataType.BOOL: lambda _: Bool(),
    DataType.DOUBLE: lambda _: Double(),
    DataType.BIGDECIMAL: lambda _: BigDecimal(),
    DataType.DATE: lambda column: Date(column.date_format),
    DataType.TIME: lambda column: Time(column.date_format),
    DataType.DATETIME: lambda column: DateTime(column.date_format),
}


def kind_of(column: Column) -> Kind:
    """Returns a fresh reader of this column's values.

    A ``dateFormat`` counts in columns of dates and times only, the documents' own default means
    ISO 8601.

    Raises:
        ValueError: The column's ``date_format`` is none that can be read.
    """
    return _KINDS[column.data_type](column)
