"""From SOURCE arguments to tables and their files; nothing is opened here."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from loader.errors import SourceError, SourceNotFound, SourceUnreadable, UsageError
from loader.sources.base import Format
from loader.sources.files import file_errors

__all__ = ["Files", "locate", "split"]

_COMPRESSED: Final = (".gz", ".bz2", ".zst")
_EXTENSIONS: Final[dict[str, Format]] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    **{text + packed: "csv" for text in (".csv", ".tsv") for packed in ("", *_COMPRESSED)},
}
_KNOWN: Final = ", ".join(extension for extension in _EXTENSIONS if extension.count(".") == 1)
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
# Their directories also hold the files of older versions: listing them would load dead rows.
_TABLE_FORMATS: Final = {"_delta_log": "a Delta Lake", ".hoodie": "a Hudi"}


@dataclass(slots=True)
class Files:
    """The files of one table.

    Attributes:
        format: Of all of them.
        paths: In reading order.
        partitions: Columns that directories below the one that was named hold (``year=2024`` holds
            ``year``), each with the first file found in such a directory.
    """

    format: Format
    paths: list[str] = field(default_factory=list)
    partitions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Found:
    """What one path stands for; ``root`` is the part of each file's path that was named."""

    name: str
    files: list[str]
    root: str


def split(source: str) -> tuple[str | None, str]:
    """Splits ``TABLE=PATH`` or ``PATH`` into table and path.

    A string that exists as a path, or matches as a glob, is a path, so that ``year=2024/a.parquet``
    is not read as a table ``year``. Otherwise what stands before the first ``=`` is the table if it
    has no path separator and no wildcard.
    """
    table, equals, path = source.partition("=")
    if not equals or not table or not path or os.sep in table or glob.has_magic(table):
        return None, source
    if os.path.lexists(source) or (glob.has_magic(source) and _matches(source)):
        return None, source
    return table, path


def locate(sources: Iterable[tuple[str | None, str]], form: Format | None) -> dict[str, Files]:
    """Finds the files of every table.

    Args:
        sources: Pairs of table (None: named after the path) and path: a file, a directory
            (walked, files of a known extension, names with a leading ``.`` or ``_`` left out), or a
            glob (``**`` too). Pairs with the same table add up.
        form: The format of every file, None to tell it from the extension.

    Returns:
        The tables in the order in which they were first named. Files come in the order of
        ``sources``, those of a directory or glob sorted by name.

    Raises:
        SourceNotFound: A path or glob matches nothing.
        SourceUnreadable: A path is neither a file nor a directory, or may not be listed.
        UsageError: A URI, an unknown extension, two formats in a table, or a file twice in it.
        SourceError: A directory is a table format's, whose files are not simply its rows.
    """
    tables: dict[str, Files] = {}
    seen: set[tuple[str, str]] = set()
    for table, path in sources:
        found = _find(path, form)
        name = table or found.name
        for file in found.files:
            kind = form or _format_of(file)
            if kind is None:
                raise UsageError(
                    f"The format of {file} cannot be told from its name",
                    hint=f"Say which it is with --format parquet or csv (known: {_KNOWN}).",
                    file=file,
                )
            files = tables.setdefault(name, Files(kind))
            if files.format != kind:
                raise UsageError(
                    f"Table {name!r} mixes formats: {files.paths[0]} is {files.format}, "
                    f"{file} is {kind}",
                    hint="Load each format as a table of its own (TABLE=PATH).",
                    table=name,
                    file=file,
                )
            real = (name, os.path.realpath(file))
            if real in seen:
                raise UsageError(
                    f"{file} is in table {name!r} twice, so its rows would be loaded twice",
                    hint="Name each file once; look for overlapping globs and directories.",
                    table=name,
                    file=file,
                )
            seen.add(real)
            files.paths.append(file)
            for column in _partitions(file, found.root):
                files.partitions.setdefault(column, file)
    return tables


def _find(path: str, form: Format | None) -> _Found:
    if path == "-":
        raise UsageError(
            "Standard input cannot be a source", hint="Write the data to a file and name that file."
        )
    if _URI.match(path):
        raise UsageError(
            f"{path} is a URI; only files of this machine can be loaded",
            hint="Copy the data to a local disk, or mount it, and name its path.",
        )
    path = os.path.expanduser(path)  # noqa: PTH111 - the shell leaves the ~ of TABLE=~/x alone
    if os.path.isdir(path):  # noqa: PTH112 - str paths throughout, as errors and origins are
        return _found_directory(path, form)
    if os.path.lexists(path):
        return _Found(_stem(path), [_regular(path)], os.path.dirname(path))  # noqa: PTH120
    if glob.has_magic(path):
        return _found_glob(path, form)
    raise SourceNotFound(
        f"{path} does not exist",
        hint="Check the path. A source is PATH or TABLE=PATH; quote a glob.",
        file=path,
    )


def _found_directory(path: str, form: Format | None) -> _Found:
    files = [file for file in _walk(path, ()) if form or _format_of(file)]
    if not files:
        raise SourceNotFound(
            f"The directory {path} holds no file to load",
            hint=f"Files are found by their extension: {_KNOWN}; --format takes every file.",
            file=path,
        )
    return _Found(_stem(os.path.abspath(path)), files, path)  # noqa: PTH100 - "." has a name too


def _found_glob(pattern: str, form: Format | None) -> _Found:
    matched = _matches(pattern)
    files = [path for path in matched if not os.path.isdir(path)]  # noqa: PTH112
    if not files:  # "year=*" names directories; "**" names both, and then means the files
        files = [file for path in matched for file in _walk(path, ())]
    chosen = [file for file in files if form or _format_of(file)]
    if not chosen:
        raise SourceNotFound(
            f"No file matches {pattern}"
            if not files
            else f"Of the {len(files)} files that match {pattern}, none has a known extension",
            hint=f"Known extensions: {_KNOWN}; --format takes every file.",
            file=pattern,
        )
    root = _literal(pattern)
    named_after = chosen[0] if len(chosen) == 1 else os.path.abspath(root or os.curdir)  # noqa: PTH100
    return _Found(_stem(named_after), [_regular(file) for file in chosen], root)


def _matches(pattern: str) -> list[str]:
    paths = sorted(set(glob.glob(pattern, recursive=True)))  # noqa: PTH207 - str in, str out
    return [path for path in paths if not _hidden(path)]


def _literal(pattern: str) -> str:
    """Returns the directories of a glob before its first wildcard: ``a/b`` of ``a/b/*/c*``."""
    head = pattern
    while glob.has_magic(head):
        head = os.path.dirname(head)  # noqa: PTH120
    return head


def _hidden(path: str) -> bool:
    # "_year=2024" is a partition, not a writer's leftover.
    name = os.path.basename(path)  # noqa: PTH119
    return name.startswith((".", "_")) and "=" not in name


def _walk(directory: str, above: tuple[str, ...]) -> Iterator[str]:
    """Yields the visible files below a directory, links followed, sorted level by level."""
    here = os.path.realpath(directory)
    if here in above:
        return  # a link to a directory above it
    with file_errors(directory):
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    for entry in entries:
        if entry.name in _TABLE_FORMATS:
            raise SourceError(
                f"{directory} is {_TABLE_FORMATS[entry.name]} table: its directory also holds "
                "files of older versions, whose rows are no longer in it",
                hint="Export the table to plain Parquet, or pass it as an Arrow stream in Python.",
                file=directory,
            )
        if _hidden(entry.path):
            continue
        if entry.is_dir():
            yield from _walk(entry.path, (*above, here))
        else:
            yield _regular(entry.path)


def _regular(path: str) -> str:
    if not os.path.exists(path):  # noqa: PTH110
        raise SourceNotFound(
            f"{path} is a link to {os.readlink(path)}, which does not exist",  # noqa: PTH115
            hint="Mend the link, or name the file itself.",
            file=path,
        )
    if not os.path.isfile(path):  # noqa: PTH113
        raise SourceUnreadable(
            f"{path} is not a regular file",
            hint="Pipes and devices cannot be read twice; write the data to a file.",
            file=path,
        )
    return path


def _format_of(path: str) -> Format | None:
    extension = _extension(path)
    return _EXTENSIONS[extension] if extension else None


def _extension(path: str) -> str:
    """Returns the known extension of a file, in lower case, or nothing."""
    name = path.lower()
    return max((end for end in _EXTENSIONS if name.endswith(end)), key=len, default="")


def _stem(path: str) -> str:
    """Returns the name without directories and without a known extension."""
    name = os.path.basename(path.rstrip(os.sep)) or path  # noqa: PTH119
    return name[: len(name) - len(_extension(name))] or name


def _partitions(file: str, root: str) -> Iterator[str]:
    """Yields the columns that the directories between ``root`` and the file hold."""
    for part in Path(os.path.dirname(file)[len(root) :]).parts:  # noqa: PTH120
        column, equals, _ = part.partition("=")
        if equals and column:
            yield column
