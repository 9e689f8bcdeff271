"""The compiled encoder, where the package was built with one: the same bytes, several times faster.

It takes record batches through the Arrow C Data Interface and leaves the interpreter lock free.
What it does not take, a type or a value that has to be refused, it leaves to Arrow's kernels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import orjson
import pyarrow as pa

from loader.encode.base64 import Segment
from loader.encode.finite import non_finite
from loader.encode.kernels import KernelWriter, Written
from loader.encode.orientation import Orientation
from loader.model import DataType, Table

try:
    # Not from the package, which is still being imported.
    import loader.encode._native as _native  # noqa: PLR0402
except ModuleNotFoundError:
    _MISSING: str | None = "no C++ compiler was at hand when it was installed"
except ImportError as error:
    _MISSING = str(error)
else:
    _MISSING = None

__all__ = ["NativeWriter", "compiled_widths", "native_available", "native_missing"]

# The bits of Mode in cpp/source.h.
_QUOTED: Final = 1
_AS_STRING: Final = 2
_AS_NUMBER: Final = 4
_EXTENDED: Final = 8
_FOREIGN: Final = 32

_AS_TOLD = {DataType.STRING: _AS_STRING, DataType.BIGDECIMAL: _AS_NUMBER}


def native_available() -> bool:
    """Whether blocks are encoded by compiled code."""
    return _MISSING is None


def native_missing() -> str | None:
    """Returns why they are not, for a person to read; None if they are."""
    if _MISSING is None:
        return None
    return f"there is no compiled encoder, so encoding is several times slower: {_MISSING}"


def compiled_widths(batch: pa.RecordBatch) -> tuple[bytearray, list[int]] | None:
    """Returns what rows take by the rules of ``row_widths``, as far as compiled code tells.

    Returns:
        The bytes of each row, as int64, and the columns that are left out of it; None if it tells
        nothing.
    """
    return _native.widths(batch) if native_available() else None


class NativeWriter:
    """Writes the columns or the rows of one table, with the help of Arrow's kernels.

    Args:
        table: The columns.
        orientation: How values are arranged.
        kernels: Writes what compiled code does not take.
    """

    def __init__(self, table: Table, orientation: Orientation, kernels: KernelWriter) -> None:
        self._kernels = kernels
        self._by_column = orientation is Orientation.COLUMN
        self._modes = tuple(
            _AS_TOLD.get(column.data_type, 0)
            | (_QUOTED if column.as_text else 0)
            | _modes_of(column.arrow_type)
            for column in table.columns
        )
        self._openings, self._closing = _frame(table.column_names, orientation)

    def write_alone(self, batches: Sequence[pa.RecordBatch]) -> Written | None:
        """Returns what the rows of some batches become, or None if that needs the kernels."""
        if not self._by_column:
            rows = self._rows(batches, {})
            return None if isinstance(rows, list) else Written([rows[0]], rows[1])
        columns = _native.columns(batches, self._modes)
        whole = [column for column in columns if column is not None]
        if len(whole) < len(columns):
            return None
        return Written([segments for segments, _ in whole], [lost for _, lost in whole])

    def write(self, data: pa.RecordBatch) -> Written:
        """Returns what the rows become.

        Raises:
            ValueRefused: A value has no text under the rules of the type table.
        """
        return self._write_columns(data) if self._by_column else self._write_rows(data)

    def _write_columns(self, data: pa.RecordBatch) -> Written:
        lanes: list[Sequence[Segment]] = []
        losses: list[int] = []
        for place, written in enumerate(_native.columns([data], self._modes)):
            if written is None:
                array = data.column(place)
                lanes.append([self._kernels.column(place, array)])
                losses.append(non_finite(array))
            else:
                lanes.append(written[0])
                losses.append(written[1])
        return Written(lanes, losses)

    def _write_rows(self, data: pa.RecordBatch) -> Written:
        """Writes the rows around the columns whose texts the kernels have to make."""
        texts: dict[int, pa.Array] = {}
        while isinstance(rows := self._rows([data], texts), list):
            for place in rows:
                texts[place] = self._kernels.texts(place, data.column(place))
        segments, losses = rows
        for place in texts:
            losses[place] = non_finite(data.column(place))
        return Written([segments], losses)

    def _rows(
        self, batches: Sequence[pa.RecordBatch], texts: Mapping[int, pa.Array]
    ) -> tuple[tuple[memoryview, ...], list[int]] | list[int]:
        return _native.rows(batches, self._modes, self._openings, self._closing, texts)


def _frame(names: Iterable[str], orientation: Orientation) -> tuple[list[bytes], bytes]:
    """Returns what stands before each value of a row, and at its end."""
    if orientation is Orientation.RECORDS:
        keys = [orjson.dumps(name) + b":" for name in names]
        return [b"{" + keys[0], *(b"," + key for key in keys[1:])], b"}"
    commas = [b","] * (len(list(names)) - 1)
    return [b"[", *commas], b"]"


def _modes_of(arrow: pa.DataType) -> int:
    """Returns what the type itself asks for, at any depth."""
    if isinstance(arrow, pa.BaseExtensionType):
        return _EXTENDED | _modes_of(arrow.storage_type)
    if pa.types.is_dictionary(arrow) or pa.types.is_run_end_encoded(arrow):
        return _modes_of(arrow.value_type)
    modes = 0
    for place in range(arrow.num_fields):
        field = arrow.field(place)
        modes |= _modes_of(field.type)
        if "\0" in field.name:  # where a name of C ends
            modes |= _FOREIGN
    return modes
