"""How one CSV file separates its fields: the options, checked, in the form the row finder needs."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass

from loader.errors import UsageError
from loader.sources.base import CsvOptions

__all__ = ["Dialect", "check", "shown"]

_CHARACTERS = {
    "delimiter": "--csv-delimiter",
    "quote": "--csv-quote",
    "escape": "--csv-escape",
    "decimal": "--csv-decimal",
    "comment": "--csv-comment",
}
# Codecs that Python calls text encodings, though no file is written in them.
_NO_FILES = {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape"}
_PROBE = "a,1\r\n"


@dataclass(frozen=True, slots=True)
class Dialect:
    """The characters that mean something, as one byte of UTF-8 each; empty: none has that meaning.

    Attributes:
        delimiter: Between two fields.
        quote: Around fields that contain other characters of these or line ends; doubled inside.
        escape: Before a character that is to be taken as it is, inside quotes and outside.
        comment: At the beginning of a line that is none of a row.
    """

    delimiter: bytes
    quote: bytes = b'"'
    escape: bytes = b""
    comment: bytes = b""

    @classmethod
    def of(cls, options: CsvOptions, delimiter: str) -> Dialect:
        """Returns the dialect of checked options and a delimiter that was given or found.

        Raises:
            UsageError: Another option needs that character, or a null could never be spelled so.
        """
        _distinct(options, delimiter)
        for null in options.nulls:
            if delimiter in null:
                raise UsageError(
                    f"--csv-null {null!r} contains the delimiter {shown(delimiter)}",
                    hint="A null is spelled in one field; leave the delimiter out of it.",
                )
        # An escape that is the quote itself is what doubling means.
        escape = "" if options.escape in {None, options.quote} else str(options.escape)
        return cls(
            delimiter.encode(),
            options.quote.encode(),
            escape.encode(),
            (options.comment or "").encode(),
        )


def check(options: CsvOptions) -> None:
    """Refuses options that mean nothing, or contradict each other.

    Raises:
        UsageError: A value is none that the option allows, or two options contradict each other.
    """
    for name, option in _CHARACTERS.items():
        _one_character(option, getattr(options, name), empty=name == "quote")
    if options.decimal not in {".", ","}:
        raise UsageError(
            f"--csv-decimal {options.decimal!r} is no decimal point",
            hint="Choose '.' or ','.",
        )
    if options.types not in {"scan", "sample"}:
        raise UsageError(
            f"--csv-types {options.types!r} is none that is known",
            hint="Choose scan or sample.",
        )
    if options.skip_lines < 0:
        raise UsageError(
            f"--csv-skip-lines {options.skip_lines} is negative",
            hint="Say how many lines there are before the header; 0 if there are none.",
        )
    for null in options.nulls:
        if "\r" in null or "\n" in null:
            raise UsageError(
                f"--csv-null {null!r} contains a line end",
                hint="A null is spelled in one field of one line.",
            )
    if options.encoding is not None:
        _known_encoding(options.encoding)
    _distinct(options, options.delimiter)


def shown(delimiter: str) -> str:
    """Returns the delimiter in a form for people."""
    return "tab" if delimiter == "\t" else repr(delimiter)


def _one_character(option: str, value: str | None, *, empty: bool) -> None:
    if value is None or (empty and not value):
        return
    if len(value) != 1 or not value.isascii() or value in "\0\r\n":
        tab = r"; for a tab write \t" if option == "--csv-delimiter" else ""
        none = "; an empty one means that nothing is quoted" if empty else ""
        raise UsageError(
            f"{option} {value!r} is not one ASCII character",
            hint=f"Give a single character that is no line end{tab}{none}.",
        )


def _distinct(options: CsvOptions, delimiter: str | None) -> None:
    """Refuses one character in two roles."""
    for one, two in _clashes(options, delimiter):
        raise UsageError(
            f"{_CHARACTERS[one]} and {_CHARACTERS[two]} are the same character, "
            f"{shown(str(delimiter if one == 'delimiter' else getattr(options, one)))}",
            hint="Every character has one meaning; "
            + ("give the delimiter of the file." if one == "delimiter" else "change one of them."),
        )


def _clashes(options: CsvOptions, delimiter: str | None) -> Iterator[tuple[str, str]]:
    values = {name: getattr(options, name) for name in _CHARACTERS} | {"delimiter": delimiter}
    names = [name for name, value in values.items() if value]
    for index, one in enumerate(names):
        for two in names[index + 1 :]:
            if values[one] == values[two] and (one, two) not in _MAY_BE_SAME:
                yield one, two


# A quote that escapes itself is a doubled one; a point may begin a comment.
_MAY_BE_SAME = {("quote", "escape"), ("decimal", "comment")}


def _known_encoding(name: str) -> None:
    try:
        codec = codecs.lookup(name)
        known = (
            _PROBE.encode(name).decode(name) == _PROBE
            and codec.incrementaldecoder is not None
            and codec.name not in _NO_FILES
        )
    except (LookupError, UnicodeError, ValueError):
        known = False
    if not known:
        raise UsageError(
            f"--csv-encoding {name!r} is no text encoding that is known",
            hint="Give a name that Python knows, such as utf-8, utf-16, latin-1, cp1252 or "
            "shift_jis.",
        )
