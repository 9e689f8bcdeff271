"""Gives the rows of a source the columns of the model, and takes out those that do not fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loader.badrow import BadRow
from loader.encode.misfits import Refusals, misfits
from loader.job.conversion import ConversionRefused, convert, surely_refused
from loader.layouts import decoded
from loader.model import Column, Table
from loader.model.dateformat import DateFormat, is_default, parse_dates, parse_format
from loader.sources import Batch

__all__ = ["Shaper"]

# Bad rows are Python objects: so many are alive at once where a whole batch is bad.
_PIECE = 8192


class Shaper:
    """Turns batches of one table's source into batches of its model: the stage after reading.

    Attributes:
        columns: What to ask of ``Source.batches``; several columns of the model may be made of one.
    """

    def __init__(self, table: Table) -> None:
        self.columns = tuple(dict.fromkeys(column.source for column in table.columns))
        self._names = table.column_names
        self._places = [self.columns.index(column.source) for column in table.columns]
        self._conversions = {
            place: _Conversion.of(column)
            for place, column in enumerate(table.columns)
            if column.arrow_type != column.source_type
        }
        self._as_they_are = not self._conversions and list(self.columns) == self._names

    def __call__(self, batch: Batch) -> Iterator[Batch]:
        """Yields the rows with every column selected, named and typed as the model wants it.

        A row with a value that does not fit is left out and told in ``rejected``. A batch that has
        any comes in several pieces.
        """
        if self._as_they_are:
            yield batch
            return
        try:
            whole = self._shaped(batch.data)
        except ConversionRefused:
            for start in range(0, batch.data.num_rows, _PIECE):
                yield self._sorted_out(batch.slice(start, _PIECE))
        else:
            yield batch.with_data(whole)

    def _shaped(self, data: pa.RecordBatch) -> pa.RecordBatch:
        columns = [data.column(place) for place in self._places]
        for place, conversion in self._conversions.items():
            columns[place] = conversion(columns[place])
        return pa.RecordBatch.from_arrays(columns, names=self._names)

    def _sorted_out(self, batch: Batch) -> Batch:
        """Returns the rows that fit, and tells of each other one its first value that does not."""
        bad: dict[int, BadRow] = {}
        for place, conversion in self._conversions.items():
            column = conversion.column
            reason = f"does not fit {column.data_type}{conversion.wanted}"
            hint = f"correct the value, or choose another type: --type {column.source}=STRING"
            values = batch.data.column(self._places[place])
            for misfit in misfits(values, conversion.refusals):
                if misfit.row not in bad:
                    bad[misfit.row] = BadRow(
                        origin=batch.origin,
                        row=batch.position(misfit.row) + 1,
                        column=column.source,
                        value=misfit.value,
                        reason=reason,
                        hint=hint,
                    )
        mask = np.ones(batch.data.num_rows, np.bool_)
        mask[list(bad)] = False
        kept = batch.keep(mask, [bad[row] for row in sorted(bad)])
        return kept.with_data(self._shaped(kept.data))


@dataclass(frozen=True, slots=True)
class _Conversion:
    """What is done to the values of one column.

    Attributes:
        column: The column.
        date_format: What its texts follow, where that is not ISO 8601.
    """

    column: Column
    date_format: DateFormat | None

    @classmethod
    def of(cls, column: Column) -> _Conversion:
        """Returns what a column of the model asks for."""
        text = column.date_format
        return cls(column, None if text is None or is_default(text) else parse_format(text))

    @property
    def wanted(self) -> str:
        """What a value would have to be like, for messages."""
        return "" if self.date_format is None else f" written as {self.column.date_format}"

    def __call__(self, array: pa.Array) -> pa.Array:
        """Converts the values.

        Raises:
            pa.ArrowInvalid, pa.ArrowNotImplementedError: One of them does not fit.
        """
        if self.date_format is None:
            return convert(array, self.column.arrow_type)
        array = decoded(array)
        parsed = parse_dates(array, self.date_format, self.column.arrow_type)
        if parsed.null_count > array.null_count:
            raise pa.ArrowInvalid(f"not written as {self.column.date_format}")
        return parsed

    def refusals(self, array: pa.Array) -> Refusals | None:
        """Tells values that do not fit: with a date format all, else as far as a kernel knows."""
        try:
            self(array)
        except ConversionRefused:
            array = decoded(array)
            refused = self._surely_refused(array) if len(array) > 1 else [0]
            return Refusals(refused, "", _as_texts(array.take(pa.array(refused, pa.int64()))))
        return None

    def _surely_refused(self, array: pa.Array) -> list[int]:
        if self.date_format is None:
            return np.flatnonzero(surely_refused(array, self.column.arrow_type)).tolist()
        parsed = parse_dates(array, self.date_format, self.column.arrow_type)
        missing = pc.and_(parsed.is_null(), array.is_valid())
        return np.flatnonzero(missing.to_numpy(zero_copy_only=False)).tolist()


def _as_texts(array: pa.Array) -> list[str]:
    try:
        texts: list[str] = array.cast(pa.string()).to_pylist()
    except pa.ArrowNotImplementedError:
        return [str(value) for value in array.to_pylist()]
    return texts
