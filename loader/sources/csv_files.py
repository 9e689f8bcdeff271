"""CSV files as one source: types decided over all files, then rows converted as they are read."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Final

import pyarrow as pa

from loader.errors import BadValue
from loader.sources.base import Batch, SourceOptions, pieces
from loader.sources.csv_text import CsvFile
from loader.sources.csv_types import Guess, convert, first_misfit
from loader.sources.files import changed
from loader.sources.unify import Unifier

__all__ = ["CsvSource"]

_SAMPLE_ROWS: Final = 10_000


class CsvSource:
    """CSV files with the same columns, read one after another.

    With ``CsvOptions(types="scan")`` creating it reads every file once. ``rows`` is known then, but
    not with ``sample``, nor when every column is text anyway and nothing is scanned.

    Raises:
        SourceUnreadable: A file cannot be read as CSV; found while scanning, or in a header.
        NameRefused: A file has two columns of one name.
        SourceError: The files' columns are not the same.
    """

    rereadable = True

    def __init__(self, paths: Sequence[str], table: str, options: SourceOptions) -> None:
        self._files = [CsvFile.open(path) for path in paths]
        unifier = Unifier()
        for file in self._files:
            columns = pa.schema([(name, pa.string()) for name in file.names])
            unifier.add(file.stamp.path, columns)
        names = unifier.schema.names
        texts = {
            name
            for name in names
            if name in options.text_columns or f"{table}.{name}" in options.text_columns
        }
        self._guesses = {name: Guess() for name in names if name not in texts}
        self._sampled = options.csv.types == "sample"
        self._counts: list[int] | None = None
        if self._guesses and self._sampled:
            self._sample()
        elif self._guesses:
            self._counts = [self._scan(file, options.watch) for file in self._files]
        self.schema = pa.schema(
            [
                (name, self._guesses[name].data_type if name in self._guesses else pa.string())
                for name in names
            ]
        )

    @property
    def rows(self) -> int | None:
        """The rows of all files, if they were scanned."""
        return None if self._counts is None else sum(self._counts)

    @property
    def origins(self) -> Sequence[str]:
        """The files in reading order."""
        return [file.stamp.path for file in self._files]

    def batches(self, batch_bytes: int) -> Generator[Batch, None, None]:
        """Reads file after file, each opened only when its turn comes.

        Raises:
            SourceUnreadable: A file cannot be read as CSV, or changed.
            BadValue: A value does not fit the type that the sample showed.
        """
        for position, file in enumerate(self._files):
            row = 0
            for texts in file.batches():
                batch = self._typed(texts, file.stamp.path, row)
                for offset, part in pieces(batch, batch_bytes):
                    yield Batch(part, file.stamp.path, row + offset)
                row += texts.num_rows
            if self._counts is not None and row != self._counts[position]:
                raise changed(file.stamp.path)

    def _scan(self, file: CsvFile, watch: Callable[[int], None]) -> int:
        rows = 0
        for batch in file.batches():
            self._see(batch)
            rows += batch.num_rows
            watch(batch.num_rows)
        return rows

    def _sample(self) -> None:
        for file in self._files:
            with closing(file.batches()) as batches:
                for batch in batches:
                    # Of a block (a mebibyte) at most: where rows are wide it has fewer.
                    self._see(batch.slice(0, _SAMPLE_ROWS))
                    break

    def _see(self, batch: pa.RecordBatch) -> None:
        for name, guess in self._guesses.items():
            guess.see(batch.column(name))

    def _typed(self, texts: pa.RecordBatch, path: str, row: int) -> pa.RecordBatch:
        columns = []
        for field in self.schema:
            column = texts.column(field.name)
            if self._sampled and not pa.types.is_string(field.type):
                _check(replace(self._guesses[field.name]), column, field, path, row)
            columns.append(convert(column, field.type))
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


def _check(guess: Guess, column: pa.StringArray, field: pa.Field, path: str, row: int) -> None:
    """Raises ``BadValue`` for the first text that is not of the column's type."""
    misfit = first_misfit(guess, column, field.type)
    if misfit is None:
        return
    value = column[misfit].as_py()
    raise BadValue(
        f"{path}, data row {row + misfit + 1}, column {field.name!r}: {value[:100]!r} is not "
        f"{field.type}, the type of the first rows",
        hint="Use --csv-types scan, which looks at every value first, or say "
        f"--type {field.name}=STRING.",
        file=path,
        row=row + misfit + 1,
        column=field.name,
        value=value[:1000],
        type=str(field.type),
    )
