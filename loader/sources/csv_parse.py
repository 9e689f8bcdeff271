"""Pieces of CSV as record batches of texts, without the rows that are no rows of the table."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv

from loader.badrow import BadRow
from loader.sources.base import Batch
from loader.sources.csv_dialect import Dialect
from loader.sources.csv_encoding import Marked, is_utf8
from loader.sources.csv_rows import first_row, whole_rows
from loader.sources.files import file_errors

__all__ = ["MOST_REJECTED", "Parser"]

MOST_REJECTED: Final = 8192
"""Rejected rows of one batch: each one is an object of some hundred bytes."""

# Pieces with broken text are cut down to this, so that what is marked is mostly near a broken place
# and seldom turns out to have too many of them.
_MOST_BROKEN: Final = 1 << 16
_FIELDS_HINT: Final = "Quote fields that contain the delimiter, a quote or a line end"


@dataclass(frozen=True, slots=True)
class Parser:
    """Splits complete rows of one file into fields.

    Attributes:
        path: The file, for messages.
        names: Its columns.
        dialect: The characters that mean something.
        nulls: Spellings of null in fields that are not quoted.
        header: Whether its columns were named in its first line.
        encoding: The file's encoding, in lower case.
        encoding_given: Whether the user named it.
    """

    path: str
    names: tuple[str, ...]
    dialect: Dialect
    nulls: tuple[str, ...]
    header: bool
    encoding: str
    encoding_given: bool

    def batches(self, rows: bytes, columns: Sequence[str]) -> Iterator[Batch]:
        """Splits rows; those that cannot be split are rejected.

        Args:
            rows: Complete rows without comments, as UTF-8.
            columns: The columns wanted, in order.

        Yields:
            The rows, counted from the first one of them; mostly in a single batch, but if many are
            rejected, in several, each split only when it is asked for.
        """
        todo = [rows] if rows else []
        del rows  # once parsed, no longer needed
        before = 0
        while todo:
            part = todo.pop()
            parsed = self._parsed(part, before, columns)
            if parsed is not None:
                del part
                before += parsed.count
                if parsed.count:
                    yield parsed
                continue
            half = whole_rows(part[: len(part) // 2], self.dialect, final=False)
            half = half or first_row(part, self.dialect) or len(part)
            todo += [part[half:], part[:half]]

    def _parsed(self, rows: bytes, before: int, columns: Sequence[str]) -> Batch | None:
        """Returns the rows as a batch; None if it is to be tried with fewer of them."""
        marked = None
        read: Sequence[str] = columns
        if not is_utf8(rows):
            if len(rows) > _MOST_BROKEN and first_row(rows, self.dialect) not in {None, len(rows)}:
                return None
            marked = Marked(rows)
            rows = marked.data
            read = self.names  # broken text makes a row bad in whichever column it is
        table, ragged = self._read(rows, read)
        if len(ragged) > MOST_REJECTED:
            return None
        count = table.num_rows + len(ragged)
        # Of one block pyarrow makes one chunk; joining it would copy it.
        (data,) = table.to_batches() or [_no_rows(read)]
        batch = Batch(data, self.path, before)
        if ragged:
            good = np.ones(count, np.bool_)
            good[np.array([row.number for row in ragged]) - 1] = False
            positions = np.flatnonzero(good).astype(np.int64) + before
            batch = Batch(
                data,
                self.path,
                int(positions[0]) if len(positions) else before,
                positions,
                tuple(self._ragged(row, before, marked) for row in ragged),
            )
        if marked is not None:
            checked = self._without_broken(batch, marked)
            if checked is None:
                return None
            batch = checked.with_data(checked.data.select(list(columns)))
        return batch

    def _read(self, rows: bytes, columns: Sequence[str]) -> tuple[pa.Table, list[pv.InvalidRow]]:
        ragged: list[pv.InvalidRow] = []

        def handle(row: pv.InvalidRow) -> str:
            ragged.append(row)
            return "skip" if len(ragged) <= MOST_REJECTED else "error"

        nulls = list(self.nulls)
        dialect = self.dialect
        if any(null.encode() in rows for null in self._escaped_nulls):
            rows, spelled = self._nulls_respelled(rows)
            nulls.append(spelled)
        with file_errors(self.path, hint="Is it a CSV file, and complete?"):
            try:
                # Not pyarrow's streaming reader: dropped before its end (an error, a closed
                # generator), it can leave a thread waiting for itself, and the process never exits.
                table = pv.read_csv(
                    pa.BufferReader(rows),
                    # Without threads rows are numbered, and nothing is read ahead.
                    pv.ReadOptions(
                        column_names=self.names, block_size=len(rows) + 1, use_threads=False
                    ),
                    pv.ParseOptions(
                        delimiter=dialect.delimiter.decode(),
                        quote_char=dialect.quote.decode() or False,
                        escape_char=dialect.escape.decode() or False,
                        newlines_in_values=any(
                            character and character in rows
                            for character in (dialect.quote, dialect.escape)
                        ),
                        ignore_empty_lines=len(self.names) > 1,
                        invalid_row_handler=handle,
                    ),
                    pv.ConvertOptions(
                        column_types=dict.fromkeys(self.names, pa.string()),
                        null_values=nulls,
                        strings_can_be_null=True,
                        quoted_strings_can_be_null=False,
                        check_utf8=False,  # the whole piece was
                        include_columns=list(columns),
                    ),
                )
            except pa.ArrowInvalid:
                if len(ragged) <= MOST_REJECTED:
                    raise
                table = pa.table({})
        return table, ragged

    def _ragged(self, row: pv.InvalidRow, before: int, marked: Marked | None) -> BadRow:
        return BadRow(
            origin=self.path,
            row=before + row.number,
            column=None,
            value=row.text if marked is None else self._shown(row.text, marked),
            reason=_fields_reason(row.actual_columns, row.expected_columns, header=self.header),
            hint=_FIELDS_HINT,
        )

    def _without_broken(self, batch: Batch, marked: Marked) -> Batch | None:
        """Takes out the rows with text that is not of its encoding; None if they are too many."""
        good = np.ones(batch.data.num_rows, np.bool_)
        rejected: list[BadRow] = []
        for name, column in zip(batch.data.schema.names, batch.data.columns, strict=True):
            found = pc.match_substring_regex(column, marked.pattern).fill_null(False)
            broken = np.flatnonzero(found.to_numpy(zero_copy_only=False) & good)
            if len(rejected) + len(broken) > MOST_REJECTED:
                return None
            good[broken] = False
            rejected += [
                BadRow(
                    origin=self.path,
                    row=batch.position(int(index)) + 1,
                    column=name,
                    value=self._shown(text, marked),
                    reason=f"is not valid {self.encoding.upper()}",
                    hint=self._encoding_hint,
                )
                for index, text in zip(
                    broken, column.take(pa.array(broken)).to_pylist(), strict=True
                )
            ]
        return batch.keep(good, rejected)

    def _shown(self, text: str, marked: Marked) -> str:
        # Where the file was decoded its own bytes are no longer known.
        return marked.shown(text, None if self.encoding == "utf-8" else "\ufffd")

    @property
    def _encoding_hint(self) -> str:
        if self.encoding_given:
            return "Check --csv-encoding"
        return "Name the encoding of the file, for example --csv-encoding cp1252 or latin-1"

    @property
    def _escaped_nulls(self) -> Sequence[str]:
        """The nulls with an escape in them, as MySQL's, of which the parser sees only an N."""
        escape = self.dialect.escape.decode()
        return [null for null in self.nulls if escape and escape in null]

    def _nulls_respelled(self, rows: bytes) -> tuple[bytes, str]:
        """Returns the rows with a spelling of null that has no escape and is nowhere else."""
        spelled = "\ufdd0"  # for internal use, says Unicode
        while spelled.encode() in rows:
            spelled += "\ufdd0"
        pattern = _escaped_null(self.dialect, tuple(self._escaped_nulls))
        token = spelled.encode()
        return pattern.sub(
            lambda found: found["before"] + token if found["null"] else found[0], rows
        ), spelled


@functools.cache
def _escaped_null(dialect: Dialect, nulls: tuple[str, ...]) -> re.Pattern[bytes]:
    """Returns a pattern of fields that are null, and of what might look like one and is none."""
    delimiter, escape = re.escape(dialect.delimiter), re.escape(dialect.escape)
    spellings = b"|".join(re.escape(null.encode()) for null in nulls)
    quoted = b"(?!)"
    if dialect.quote:
        quote = re.escape(dialect.quote)
        quoted = rb"%b(?:[^%b%b]|%b.|%b%b)*+%b" % (
            *(quote, quote, escape, escape),
            *(quote, quote, quote),
        )
    return re.compile(
        rb"(?P<before>\A|[%b\r\n])(?:(?P<null>%b)(?=[%b\r\n]|\Z)|%b)|%b."
        % (delimiter, spellings, delimiter, quoted, escape),
        re.DOTALL,
    )


def _no_rows(names: Sequence[str]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], pa.string()) for _ in names], list(names))


def _fields_reason(found: int, expected: int, *, header: bool) -> str:
    fields = f"has {found} field{'' if found == 1 else 's'}"
    if header:
        return f"{fields} where the header has {expected} column{'' if expected == 1 else 's'}"
    return f"{fields} where the first row has {expected}"
