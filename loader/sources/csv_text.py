"""A CSV file as texts: its header, and its rows in pieces that can be parsed apart.

Rules, unless the options say otherwise: the delimiter is the one that the first rows show (a tab
for ``.tsv``); UTF-8, or what a byte order mark says; fields may be quoted with ``"``, doubled
inside quotes, and may then contain line ends; a compressed file is told by its extension. An empty
unquoted field is null. Blank lines are skipped, except in a file with one column, where a blank
line is a row with an empty field.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from loader.errors import NameRefused, SourceUnreadable
from loader.sources.base import Batch, CsvOptions
from loader.sources.csv_dialect import Dialect
from loader.sources.csv_encoding import Utf8Reader
from loader.sources.csv_guess import Look, candidates, look, words
from loader.sources.csv_parse import Parser
from loader.sources.csv_rows import QuoteError, skip_blank, take_rows
from loader.sources.csv_window import HEAD, Window, inner_name, open_text
from loader.sources.files import Stamp

__all__ = ["CsvFile", "CsvHead", "Piece", "piece_size"]

_MAX_HEADER: Final = 1 << 20
_BLOCK: Final = 1 << 20  # larger ones are no faster, and memory grows with them
_MAX_BLOCK: Final = 64 << 20  # no chunk should hold a longer row
_QUOTE_HINT: Final = "Quotes inside a quoted field must be doubled, and every quote closed."
_ZEROS: Final = 4  # a file with one byte in four zero is no UTF-8


@dataclass(frozen=True, slots=True)
class CsvHead:
    """What the beginning of a file shows, before its delimiter is settled.

    Attributes:
        stamp: The file as it was then.
        encoding: Its encoding.
        marked: Whether it has a byte order mark.
        look: The delimiters that its first rows may have.
        options: How it is to be read.
    """

    stamp: Stamp
    encoding: str
    marked: bool
    look: Look
    options: CsvOptions

    @classmethod
    def read(cls, path: str, options: CsvOptions) -> CsvHead:
        """Reads the first rows.

        Raises:
            SourceNotFound: The file does not exist.
            SourceUnreadable: It is not of its encoding or of its compression.
            UsageError: The options contradict what the name of the file says.
        """
        stamp = Stamp.of(path)
        dialects = {
            delimiter: Dialect.of(options, delimiter)
            for delimiter in candidates(options, tabs=inner_name(path).endswith(".tsv"))
        }
        with open_text(path) as raw:
            reader = Utf8Reader(raw, path, options.encoding)
            window = Window(reader)
            first = next(iter(dialects.values()))
            window.skip_lines(options.skip_lines)
            window.fill(HEAD)
            while True:
                window.data = window.data[skip_blank(window.data, first) :]
                known = any(window.end_of_row(dialect) for dialect in dialects.values())
                if known or window.final or len(window.data) > _MAX_HEADER:
                    break
                window.fill(2 * len(window.data))
        head = window.data
        if options.encoding is None:
            _check_zeros(head, path)
        found = look(head, dialects, header=options.header, final=window.final)
        if found.best is None and head:
            raise _no_first_row(path, head, first, final=window.final)
        return cls(stamp, reader.encoding, reader.marked, found, options)

    @property
    def empty(self) -> bool:
        """Whether the file has no row at all, not even a header."""
        return self.look.best is None


@dataclass(frozen=True, slots=True)
class CsvFile:
    """One file of which everything is known but its rows.

    Attributes:
        stamp: The file as it was when its header was read.
        names: The columns, in the file's order.
        notes: What was guessed about it, in words.
        decimal_commas: Columns whose first values look like numbers with a decimal comma.
        options: How it is read.
        parser: What makes fields of its rows.
    """

    stamp: Stamp
    names: tuple[str, ...]
    notes: tuple[str, ...]
    decimal_commas: tuple[str, ...]
    options: CsvOptions
    parser: Parser

    @classmethod
    def of(cls, head: CsvHead, look: Look) -> CsvFile:
        """Gives the columns their names.

        Args:
            head: The beginning of the file.
            look: What the first rows say, compared with the other files of the table.

        Raises:
            SourceUnreadable: There is no header, or no first row.
            NameRefused: A column has no name.
        """
        path, options = head.stamp.path, head.options
        choice = look.best
        if choice is None:
            raise _empty(path, header=options.header)
        names = choice.fields
        if options.header:
            _check_names(names, path, options.encoding or head.encoding)
        else:
            names = tuple(f"column{number}" for number in range(1, len(names) + 1))
        parser = Parser(
            path=path,
            names=names,
            dialect=Dialect.of(options, choice.delimiter),
            nulls=tuple(options.nulls),
            header=options.header,
            encoding=head.encoding,
            encoding_given=options.encoding is not None,
        )
        # Where commas are delimiters the option would contradict them.
        commas = choice.decimal_commas if choice.delimiter != "," != options.decimal else ()
        return cls(
            stamp=head.stamp,
            names=names,
            notes=tuple(_notes(head, look)),
            decimal_commas=tuple(names[position] for position in commas),
            options=options,
            parser=parser,
        )

    def pieces(self) -> Generator[Piece, None, None]:
        """Finds the rows, about a mebibyte of the file at a time.

        Raises:
            SourceUnreadable: The compressed data is damaged, or the file has changed.
        """
        dialect = self.parser.dialect
        self.stamp.check()
        with open_text(self.stamp.path) as raw:
            window = Window(Utf8Reader(raw, self.stamp.path, self.options.encoding))
            window.skip_lines(self.options.skip_lines)
            if self.options.header:  # without one a blank line may be a row
                window.skip_row(dialect)
            size = _BLOCK
            done = False
            while not done:
                window.fill(len(window.data) + size)
                wrong = None
                try:
                    rows, end = take_rows(window.data, dialect, final=window.final)
                except QuoteError as error:
                    wrong = error.reason
                    rows, end = take_rows(window.data[: error.position], dialect, final=True)
                else:
                    if not end and len(window.data) > _MAX_BLOCK:
                        wrong = f"the row has more than {_MAX_BLOCK >> 20} MiB"
                window.data = window.data[end:]
                # Without the end of a row in it, what is looked at doubles.
                size = _BLOCK if end else max(_BLOCK, len(window.data))
                done = window.final or wrong is not None
                if rows or done:
                    yield Piece(self, rows, wrong, last=done)
                del rows  # not kept while it is parsed

    def sample(self, columns: Sequence[str]) -> Batch | None:
        """Returns first rows, at most those of a mebibyte; None if there are none.

        Args:
            columns: The columns wanted, in order.

        Raises:
            SourceUnreadable: The file cannot be read, as far as it was looked at.
        """
        row = 0
        with closing(self.pieces()) as pieces:
            for piece in pieces:
                found = None
                for batch in self.parser.batches(piece.rows, columns):
                    row += batch.count
                    found = found or (batch if batch.data.num_rows else None)
                    if found is not None and piece.wrong is None:
                        return found
                if piece.wrong is not None:
                    raise self.unreadable(row + 1, piece.wrong)
        return None

    def unreadable(self, row: int, reason: str) -> SourceUnreadable:
        """Returns the error for a row, counted from 1, after which nobody knows where rows end."""
        path = self.stamp.path
        return SourceUnreadable(
            f"{path}, data row {row}: {reason}", hint=_QUOTE_HINT, file=path, row=row
        )


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive rows of a file.

    Attributes:
        file: The file.
        rows: Complete rows without comments, as UTF-8.
        wrong: What is wrong with the row after them; None: nothing.
        last: Whether there are no rows after them that could be read.
    """

    file: CsvFile
    rows: bytes
    wrong: str | None
    last: bool


def piece_size() -> int:
    """Returns the bytes that a piece mostly has; it has more where a single row has."""
    return _BLOCK


def _check_zeros(head: bytes, path: str) -> None:
    if head.count(0) * _ZEROS > len(head):
        raise SourceUnreadable(
            f"{path} is not UTF-8 text: it is full of zero bytes",
            hint="Is it a CSV file? If it is UTF-16 without a byte order mark, use "
            "--csv-encoding utf-16-le (or utf-16-be).",
            file=path,
        )


def _check_names(names: Sequence[str], path: str, encoding: str) -> None:
    try:
        "".join(names).encode()
    except UnicodeEncodeError as error:
        raise SourceUnreadable(
            f"The header of {path} is not {encoding.upper()} text",
            hint="Is it a CSV file? Name its encoding, for example --csv-encoding cp1252 "
            "or latin-1.",
            file=path,
        ) from error
    seen: set[str] = set()
    for number, name in enumerate(names, 1):
        if not name:
            raise NameRefused(
                f"The header of {path} has no name for column {number}",
                hint="Say --no-csv-header if there is no header, name the column in it, or "
                f"{_NAMING}. pandas writes a column without a name for its index: use "
                "to_csv(…, index=False).",
                file=path,
            )
        if name in seen:
            raise NameRefused(
                f"The header of {path} has more than one column named {name!r}",
                hint=f"Rename one of them in the header, or {_NAMING}.",
                file=path,
                column=name,
            )
        seen.add(name)


_NAMING: Final = (
    "skip the header (--csv-skip-lines 1 --no-csv-header; the columns are then column1, column2, "
    "…) and name the columns in a mapping (--mapping)"
)


def _empty(path: str, *, header: bool) -> SourceUnreadable:
    if header:
        return SourceUnreadable(
            f"{path} is empty: not even a header is in it",
            hint="A CSV file needs a first line with the names of its columns.",
            file=path,
        )
    return SourceUnreadable(
        f"{path} is empty: without a header and without rows it has no columns",
        hint="Leave the file out.",
        file=path,
    )


def _no_first_row(path: str, head: bytes, dialect: Dialect, *, final: bool) -> SourceUnreadable:
    reason = f"it has more than {_MAX_HEADER >> 20} MiB"
    try:
        take_rows(head, dialect, final=final)
    except QuoteError as error:
        reason = error.reason
    return SourceUnreadable(
        f"The first row of {path} cannot be read: {reason}",
        hint=f"Is it a CSV file? {_QUOTE_HINT}",
        file=path,
    )


def _notes(head: CsvHead, look: Look) -> Iterator[str]:
    """Says what was not told but seen; nothing of what every plain file is."""
    if head.options.delimiter is None and not inner_name(head.stamp.path).endswith(".tsv"):
        guess = words(look)
        if guess is not None:
            yield guess
    if head.marked and head.options.encoding is None:
        yield f"{head.encoding.upper()} with BOM"
