"""CSV files as one source: types decided over all files, then rows converted as they are read."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import PurePath
from threading import Lock
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loader.badrow import BadRow
from loader.sources.base import Batch, SourceOptions, pieces
from loader.sources.csv_dialect import check
from loader.sources.csv_fits import misfits
from loader.sources.csv_guess import settle
from loader.sources.csv_parse import MOST_REJECTED
from loader.sources.csv_reading import Count, read
from loader.sources.csv_text import CsvFile, CsvHead
from loader.sources.csv_types import Guess, convert
from loader.sources.files import changed, check_all
from loader.sources.skipping import whole_parts, without_first
from loader.sources.unify import Unifier

__all__ = ["CsvSource"]

_SAMPLE_ROWS: Final = 10_000


class CsvSource:
    """CSV files with the same columns, read one after another.

    With ``CsvOptions(types="scan")`` creating it reads every file once. ``rows`` is known then, but
    not with ``sample``, nor when every column is text anyway and nothing is scanned.

    Raises:
        UsageError: The options contradict each other.
        SourceUnreadable: A file cannot be read as CSV; found while scanning, or in a header.
        BadValue: A row is malformed, found while scanning, bad rows are not kept, and no column
            was asked for as text.
        NameRefused: A file has two columns of one name.
        SourceError: The files' columns are not the same.
    """

    rereadable = True

    def __init__(self, paths: Sequence[str], table: str, options: SourceOptions) -> None:
        self._table = table
        csv = options.csv
        check(csv)
        self._comma = csv.decimal == ","
        self._files = _opened([CsvHead.read(path, csv) for path in paths])
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
        self._guesses = {name: Guess(comma=self._comma) for name in names if name not in texts}
        self._sampled = csv.types == "sample"
        self._counts: Sequence[Count] | None = None
        if self._guesses and self._sampled:
            self._sample()
        elif self._guesses:
            # In a column that is to have another type than text there may be an earlier bad row,
            # and only the reading finds it; else there is no sense in scanning on.
            ends = not options.keep_bad_rows and not texts
            self._counts = self._scan(options.watch, ends=ends)
        self.schema = pa.schema([(name, self._type(name)) for name in names])
        self.notes: Sequence[str] = tuple(self._noted())

    @property
    def rows(self) -> int | None:
        """The rows of all files without the malformed ones, if they were scanned."""
        return None if self._counts is None else sum(count.rows for count in self._counts)

    @property
    def origins(self) -> Sequence[str]:
        """The files in reading order."""
        return [file.stamp.path for file in self._files]

    def batches(
        self, batch_bytes: int, columns: Sequence[str] | None = None, skip: int = 0
    ) -> Generator[Batch, None, None]:
        """Reads file after file, each opened only when its turn comes.

        Args:
            batch_bytes: Arrow memory of a batch.
            columns: The columns to read, in the order wanted; None: all of the schema.
            skip: How many rows to leave out; of files that were scanned, whole ones are not read.

        Raises:
            SourceUnreadable: A file cannot be read as CSV, or changed.
        """
        names = self.schema.names if columns is None else columns
        schema = pa.schema([self.schema.field(name) for name in names])
        counts = self._counts or ()
        unread, skip = whole_parts((count.rows + count.rejected for count in counts), skip)
        check_all([file.stamp for file in self._files[:unread]])
        expected = iter(counts[unread:])

        def ended(file: CsvFile, count: Count) -> None:
            if count != next(expected, count):
                raise changed(file.stamp.path)

        rows = read(
            self._files[unread:], lambda: names, lambda texts: self._typed(texts, schema), ended
        )
        with closing(without_first(rows, skip)) as batches:
            for batch in batches:
                yield from _cut(batch, batch_bytes)

    def _type(self, name: str) -> pa.DataType:
        if name not in self._guesses:
            return pa.string()
        kind = self._guesses[name].data_type
        # What a sample has no value of may have some later.
        return pa.string() if self._sampled and pa.types.is_null(kind) else kind

    def _scan(self, watch: Callable[[int], None], *, ends: bool) -> Sequence[Count]:
        """Shows every row to the guesses, and counts them; a malformed one may end it."""
        counts: list[Count] = []
        lock = Lock()

        def undecided() -> Sequence[str]:
            names = [name for name, guess in self._guesses.items() if not guess.is_text]
            return names or list(self._guesses)[:1]  # rows are counted all the same

        def see(texts: Batch) -> Iterator[Batch]:
            for name in texts.data.schema.names:
                with lock:
                    seen = replace(self._guesses[name])
                seen.see(texts.data.column(name))
                with lock:
                    self._guesses[name].join(seen)
            yield texts

        def ended(_file: CsvFile, count: Count) -> None:
            counts.append(count)

        with closing(read(self._files, undecided, see, ended)) as batches:
            for batch in batches:
                if ends and batch.rejected:
                    raise batch.rejected[0].error(self._table)
                watch(batch.count)
        return counts

    def _sample(self) -> None:
        for file in self._files:
            found = file.sample(tuple(self._guesses))
            if found is not None:
                # Of a piece (a mebibyte) at most: where rows are wide it has fewer.
                texts = found.data.slice(0, _SAMPLE_ROWS)
                for name, guess in self._guesses.items():
                    guess.see(texts.column(name))

    def _typed(self, texts: Batch, schema: pa.Schema) -> Iterator[Batch]:
        """Converts the texts; rows with one that is not of its column's type are rejected."""
        if not self._sampled:
            yield self._converted(texts, schema)
            return
        wrong = self._misfits(texts, schema)
        count = np.count_nonzero(np.logical_or.reduce(list(wrong.values()))) if wrong else 0
        if count <= MOST_REJECTED:
            yield self._fitting(texts, schema, wrong)
            return
        for start in range(0, texts.data.num_rows, MOST_REJECTED):
            part = texts.slice(start, min(MOST_REJECTED, texts.data.num_rows - start))
            masks = {name: mask[start : start + MOST_REJECTED] for name, mask in wrong.items()}
            yield self._fitting(part, schema, masks)

    def _misfits(self, texts: Batch, schema: pa.Schema) -> dict[str, npt.NDArray[np.bool_]]:
        """Returns, for each column that has some, which of its texts are not of its type."""
        found = {}
        for field in schema:
            guess = self._guesses.get(field.name)
            if guess is not None:
                mask = misfits(guess, texts.data.column(field.name), field.type)
                if mask is not None:
                    found[field.name] = mask
        return found

    def _fitting(
        self,
        texts: Batch,
        schema: pa.Schema,
        wrong: dict[str, npt.NDArray[np.bool_]],
    ) -> Batch:
        good = np.ones(texts.data.num_rows, np.bool_)
        rejected = []
        for name, mask in wrong.items():
            rows = np.flatnonzero(mask & good)
            good[rows] = False
            values = texts.data.column(name).take(pa.array(rows)).to_pylist()
            kind = schema.field(name).type
            for row, value in zip(rows.tolist(), values, strict=True):
                rejected.append(
                    BadRow(
                        origin=texts.origin,
                        row=texts.position(row) + 1,
                        column=name,
                        value=value,
                        reason=f"is not {kind}, the type of the first rows",
                        hint="Use --csv-types scan, which looks at every value first, or say "
                        f"--type {name}=STRING",
                    )
                )
        return self._converted(texts.keep(good, rejected), schema)

    def _converted(self, texts: Batch, schema: pa.Schema) -> Batch:
        columns = [
            convert(column, kind, comma=self._comma)
            for column, kind in zip(texts.data.columns, schema.types, strict=True)
        ]
        return texts.with_data(pa.RecordBatch.from_arrays(columns, schema=schema))

    def _noted(self) -> Iterator[str]:
        """Joins what is to be said about several files in the same words."""
        said: dict[str, list[str]] = {}
        for file in self._files:
            about = list(file.notes)
            if about:
                said.setdefault(", ".join(about), []).append(PurePath(file.stamp.path).name)
            for column in file.decimal_commas:
                # Where other values are in the column it is no column of numbers.
                if column in self._guesses and pa.types.is_string(self.schema.field(column).type):
                    said.setdefault(
                        f"column {column!r} has texts like 1,5; if they are numbers, use "
                        "--csv-decimal ,",
                        [],
                    ).append(PurePath(file.stamp.path).name)
        for words, files in said.items():
            others = f" and {len(files) - 1} more" if len(files) > 1 else ""
            yield f"{files[0]}{others}: {words}"


def _opened(heads: Sequence[CsvHead]) -> list[CsvFile]:
    """Settles the delimiters of all files.

    An empty file among others is one without rows, if no header is expected of it.
    """
    if any(not head.empty for head in heads):
        heads = [head for head in heads if head.options.header or not head.empty]
    looks = settle([head.look for head in heads])
    return [CsvFile.of(head, look) for head, look in zip(heads, looks, strict=True)]


def _cut(batch: Batch, batch_bytes: int) -> Iterator[Batch]:
    if not batch.data.num_rows:
        yield batch  # of nothing but rejected rows
        return
    for offset, part in pieces(batch.data, batch_bytes):
        yield batch.slice(offset, part.num_rows)
