"""A CSV file as texts: its header, and its rows as record batches of strings, whatever they mean.

Rules: comma, or tab for ``.tsv``; UTF-8, with or without a byte order mark; fields may be quoted
with ``"``, doubled inside quotes, and may then contain line ends; a compressed file is told by its
extension. An empty unquoted field is null. Blank lines are skipped, except in a file with one
column, where a blank line is a row with a null.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.csv as pv

from loader.errors import NameRefused, SourceUnreadable
from loader.sources.csv_rows import QuoteError, first_row, whole_rows
from loader.sources.files import Stamp, file_errors

__all__ = ["CsvFile"]

_BOM: Final = b"\xef\xbb\xbf"
_MAX_HEADER: Final = 1 << 20
_BLOCK: Final = 1 << 20  # larger ones are no faster, and memory grows with them
_MAX_BLOCK: Final = 64 << 20  # no chunk should hold a longer row
_COMPRESSION: Final = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
_UTF8_ERROR: Final = re.compile(r"CSV column #(\d+): Row #(\d+): .*invalid UTF8", re.DOTALL)
_QUOTE_HINT: Final = "Quotes inside a quoted field must be doubled, and every quote closed."
_DAMAGED_HINT: Final = "Check that the file is complete and not damaged."
_ENCODING_HINT: Final = "Convert the file to UTF-8, for example with iconv."


@dataclass(frozen=True, slots=True)
class CsvFile:
    """One file, after its header was read.

    Attributes:
        stamp: The file as it was then.
        names: The columns, in the file's order.
    """

    stamp: Stamp
    names: tuple[str, ...]

    @classmethod
    def open(cls, path: str) -> CsvFile:
        """Reads the header.

        Raises:
            SourceNotFound: The file does not exist.
            SourceUnreadable: It has no header, is not UTF-8, or is not of its compression.
            NameRefused: A column has no name, or the name of another one.
        """
        stamp = Stamp.of(path)
        with _text(path) as raw:
            header, _ = _read_header(raw, path)
        try:
            text = header.decode()
        except UnicodeDecodeError as error:
            raise SourceUnreadable(
                f"The first line of {path} is not UTF-8 text: {error.reason} at byte {error.start}",
                hint=f"Is it a CSV file? {_ENCODING_HINT}",
                file=path,
            ) from error
        names = next(csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(path).decode()))
        for number, name in enumerate(names, 1):
            if not name:
                raise NameRefused(
                    f"The header of {path} has no name for column {number}",
                    hint="Name every column in the first line. pandas writes a column without a "
                    "name for its index: use to_csv(…, index=False).",
                    file=path,
                )
        return cls(stamp, tuple(names))

    def batches(self) -> Generator[pa.RecordBatch, None, None]:
        """Reads the rows, all columns as strings, about a mebibyte of the file at a time.

        Raises:
            SourceUnreadable: A row has too many or too few fields, a text is not UTF-8, quotes do
                not match up, the compressed data is damaged, or the file changed.
        """
        path = self.stamp.path
        delimiter = _delimiter(path)
        self.stamp.check()
        row = 0
        with _text(path) as raw:
            _, data = _read_header(raw, path)
            size = _BLOCK
            final = False
            while not final:
                with file_errors(path, hint=_DAMAGED_HINT):
                    more = raw.read(size)
                final = not more
                data += more
                try:
                    end = whole_rows(data, delimiter, final=final)
                except QuoteError as error:
                    raise self._unreadable(row + error.row + 1, error.reason, _QUOTE_HINT) from None
                if end:
                    batch = self._parsed(data[:end], row)
                    data = data[end:]
                    size = _BLOCK
                    row += batch.num_rows
                    if batch.num_rows:
                        yield batch
                elif len(data) > _MAX_BLOCK:
                    reason = f"the row has more than {_MAX_BLOCK >> 20} MiB"
                    raise self._unreadable(row + 1, reason, _QUOTE_HINT)
                else:
                    size = max(_BLOCK, len(data))  # doubles what is looked at
        self.stamp.check()

    def _parsed(self, rows: bytes, before: int) -> pa.RecordBatch:
        """Splits complete rows into fields; ``before`` rows of the file came before them."""
        bad_rows: list[pv.InvalidRow] = []

        def keep(row: pv.InvalidRow) -> str:
            bad_rows.append(row)
            return "error"

        with self._errors(bad_rows, before):
            # Not pyarrow's streaming reader: dropped before its end (an error, a closed
            # generator), it can leave a thread waiting for itself, and the process never exits.
            table = pv.read_csv(
                pa.BufferReader(rows),
                # Without threads errors tell the row, and nothing is read ahead.
                pv.ReadOptions(
                    column_names=self.names, block_size=len(rows) + 1, use_threads=False
                ),
                pv.ParseOptions(
                    delimiter=_delimiter(self.stamp.path).decode(),
                    newlines_in_values=b'"' in rows,
                    ignore_empty_lines=len(self.names) > 1,
                    invalid_row_handler=keep,
                ),
                pv.ConvertOptions(
                    column_types=dict.fromkeys(self.names, pa.string()),
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                ),
            )
        columns = [column.combine_chunks() for column in table.columns]
        return pa.RecordBatch.from_arrays(columns, names=list(self.names))

    def _unreadable(
        self, row: int, reason: str, hint: str, **details: int | str
    ) -> SourceUnreadable:
        path = self.stamp.path
        message = f"{path}, data row {row}: {reason}"
        return SourceUnreadable(message, hint=hint, file=path, row=row, **details)

    @contextmanager
    def _errors(self, bad_rows: list[pv.InvalidRow], before: int) -> Iterator[None]:
        """Says what pyarrow's CSV reader complains about, with file, row and column."""
        with file_errors(self.stamp.path, hint="Is it a CSV file, and complete?"):
            try:
                yield
            except pa.ArrowInvalid as error:
                if bad_rows:
                    bad = bad_rows[0]
                    raise self._unreadable(
                        before + bad.number,
                        f"{bad.actual_columns} fields where the header has "
                        f"{bad.expected_columns} columns",
                        "Quote fields that contain the delimiter, a quote or a line end.",
                        expected=bad.expected_columns,
                        found=bad.actual_columns,
                        text=bad.text[:200],
                    ) from error
                if found := _UTF8_ERROR.search(str(error)):
                    name = self.names[int(found[1])]
                    raise self._unreadable(
                        before + int(found[2]),
                        f"the text in column {name!r} is not UTF-8",
                        _ENCODING_HINT,
                        column=name,
                    ) from error
                raise


@contextmanager
def _text(path: str) -> Iterator[pa.NativeFile]:
    """Opens the file for reading its decompressed bytes."""
    compression = next(
        (name for end, name in _COMPRESSION.items() if path.lower().endswith(end)), None
    )
    with file_errors(path):
        file = pa.OSFile(path)
    with file:
        if compression is None:
            yield file
            return
        with file_errors(path):
            unpacked = pa.CompressedInputStream(file, compression)
        with unpacked:
            yield unpacked


def _delimiter(path: str) -> bytes:
    name = path.lower()
    for end in _COMPRESSION:
        name = name.removesuffix(end)
    return b"\t" if name.endswith(".tsv") else b","


def _read_header(raw: pa.NativeFile, path: str) -> tuple[bytes, bytes]:
    """Reads the first row that is not blank; returns it and what was read beyond it."""
    data = b""
    while True:
        with file_errors(path, hint=_DAMAGED_HINT):
            more = raw.read(1 << 16)
        data = (data + more).removeprefix(_BOM).lstrip(b"\r\n")
        if end := first_row(data, _delimiter(path)):
            return data[:end].rstrip(b"\r\n"), data[end:]
        if not more:
            break
        if len(data) > _MAX_HEADER:
            raise SourceUnreadable(
                f"{path} has no header: its first line has more than {_MAX_HEADER >> 20} MiB",
                hint="Is it a CSV file? Look for a quote that is never closed in its first line.",
                file=path,
            )
    data = data.rstrip(b"\r\n")
    if not data:
        raise SourceUnreadable(
            f"{path} is empty: not even a header is in it",
            hint="A CSV file needs a first line with the names of its columns.",
            file=path,
        )
    return data, b""
