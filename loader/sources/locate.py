"""From SOURCE arguments to tables and their files; nothing is opened here."""

from __future__ import annotations

import glob
import os
import stat
import urllib.parse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from loader.errors import SourceError, SourceNotFound, SourceUnreadable, UsageError
from loader.sources.base import Format
from loader.sources.files import Store, StoredFile, file_errors
from loader.sources.names import KNOWN, TABLE_FORMATS, format_of, hidden, stem
from loader.sources.pipes import STDIN, Pipe
from loader.sources.remote import Location, is_uri

__all__ = ["Files", "locate", "rooted", "split"]

_STDIN_NAMES = ("/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")


@dataclass(slots=True)
class Files:
    """The files of one table.

    Attributes:
        format: Of all of them.
        paths: In reading order: local paths, ``StoredFile`` and ``Pipe``.
        directories: For each, the directories it is in below the one that was named, from
            ``year=2024/month=1`` down; empty for most.
    """

    format: Format
    paths: list[str] = field(default_factory=list)
    directories: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Found:
    """What one path stands for: a table's name, and files with the directories they are in."""

    name: str
    files: list[tuple[str, str]]


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


def rooted(source: str, *, names_table: bool = True) -> str:
    """Returns a source such that it means the same files in whatever directory it is read.

    Args:
        source: ``PATH`` or ``TABLE=PATH``.
        names_table: Whether ``TABLE=`` is possible.
    """
    table, path = split(source) if names_table else (None, source)
    if path == "-" or is_uri(path) or path.lower().startswith("file://"):
        return source
    path = os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111 - str in, str out
    return path if table is None else f"{table}={path}"


def locate(sources: Iterable[tuple[str | None, str]], form: Format | None) -> dict[str, Files]:
    """Finds the files of every table.

    Args:
        sources: Pairs of table (None: named after the path) and path: a file, a directory
            (walked, files of a known extension, names with a leading ``.`` or ``_`` left out), a
            glob (``**`` too), a URI of these, or ``-`` for standard input. Pairs with the same
            table add up.
        form: The format of every file, None to tell it from the extension.

    Returns:
        The tables in the order in which they were first named. Files come in the order of
        ``sources``, those of a directory or glob sorted by name.

    Raises:
        SourceNotFound: A path or glob matches nothing.
        SourceUnreadable: A path is neither a file nor a directory, or may not be listed.
        UsageError: An unknown extension, two formats in a table, or a file twice in it.
        SourceError: A directory is a table format's, whose files are not simply its rows.
    """
    tables: dict[str, Files] = {}
    seen: dict[tuple[str, ...], list[Store | None]] = {}
    for table, path in sources:
        found = _find(path, form)
        name = table or found.name
        for file, directory in found.files:
            kind = form or format_of(file)
            if kind is None:
                raise UsageError(
                    f"The format of {file} cannot be told from its name",
                    hint=f"Say which it is with --format parquet, csv or arrow (known: {KNOWN}).",
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
            stores = seen.setdefault(_identity(file, name), [])
            # Two hosts or accounts may have files of one name.
            store = file.store if isinstance(file, StoredFile) else None
            if store in stores:
                raise _twice(file, name)
            stores.append(store)
            files.paths.append(file)
            files.directories.append(directory)
    return tables


def _identity(file: str, table: str) -> tuple[str, ...]:
    """Returns what is the same for the same file: once in a table, or for a pipe at all."""
    if isinstance(file, Pipe):
        return (file,)
    return table, file.key if isinstance(file, StoredFile) else os.path.realpath(file)


def _twice(file: str, table: str) -> UsageError:
    if isinstance(file, Pipe):
        return UsageError(
            f"{file} is a source twice, but can be read only once",
            hint="Write the data to a file and name that.",
            table=table,
            file=file,
        )
    return UsageError(
        f"{file} is in table {table!r} twice, so its rows would be loaded twice",
        hint="Name each file once; look for overlapping globs and directories.",
        table=table,
        file=file,
    )


def _find(path: str, form: Format | None) -> _Found:
    if path == "-" or path in _STDIN_NAMES:
        return _Found("stdin", [(STDIN, "")])
    if path.lower().startswith("file://"):
        path = _local(path)
    if is_uri(path):
        return _found_uri(path, form)
    path = os.path.expanduser(path)  # noqa: PTH111 - the shell leaves the ~ of TABLE=~/x alone
    if os.path.isdir(path):  # noqa: PTH112 - str paths throughout, as errors and origins are
        return _found_directory(path, form)
    if os.path.lexists(path):
        if os.path.exists(path) and stat.S_ISFIFO(os.stat(path).st_mode):  # noqa: PTH110, PTH116
            return _Found(stem(path), [(Pipe(path), "")])
        return _Found(stem(path), [(_regular(path), "")])
    if glob.has_magic(path):
        return _found_glob(path, form)
    raise SourceNotFound(
        f"{path} does not exist",
        hint="Check the path. A source is PATH or TABLE=PATH; quote a glob.",
        file=path,
    )


def _local(uri: str) -> str:
    """Returns the path of a ``file://`` URI (RFC 8089)."""
    host, slash, path = uri[len("file://") :].partition("/")
    if host not in {"", "localhost"}:
        raise UsageError(
            f"{uri} names a file of the host {host!r}",
            hint="A local file is file:///PATH, with three slashes, or simply its path.",
        )
    return urllib.parse.unquote(slash + path)


def _found_uri(uri: str, form: Format | None) -> _Found:
    location = Location.of(uri)
    with file_errors(location.file()):
        kind = location.kind()
        if kind == "file":
            return _Found(stem(location.path), [(location.file(), "")])
        if kind == "directory":
            files = list(_walk_store(location, ""))
            name = stem(location.path or location.shown.rstrip("/"))
            return _Found(name, _stored(location, files, location.shown, form))
        if not glob.has_magic(location.path):
            raise FileNotFoundError(location.shown)
        base, pattern = location.fixed()
        matched = list(base.matches(pattern))
        files = [name for name, directory in matched if not directory and not _any_hidden(name)]
        if not files:
            directories = [
                name for name, directory in matched if directory and not _any_hidden(name)
            ]
            files = [file for name in directories for file in _walk_store(base, name)]
    chosen = _stored(base, files, location.shown, form)
    alone = len(chosen) == 1
    return _Found(stem(chosen[0][0] if alone else base.path or base.shown.rstrip("/")), chosen)


def _walk_store(base: Location, name: str) -> Iterator[str]:
    """Yields the visible files below a directory of a store, by their names from ``base``."""
    directory = base.child(name) if name else base
    for file, is_directory in directory.entries(recursive=True):
        parts = file.split("/")
        for part in parts:
            if part in TABLE_FORMATS:
                raise _of_table_format(directory.shown, part)
        if not is_directory and not _any_hidden(file):
            yield f"{name}/{file}" if name else file


def _stored(
    base: Location, names: list[str], uri: str, form: Format | None
) -> list[tuple[str, str]]:
    chosen = [name for name in names if form or format_of(name)]
    if not chosen:
        raise _nothing(uri, len(names))
    return [(base.child(name).file(), os.path.dirname(name)) for name in chosen]  # noqa: PTH120


def _nothing(named: str, unknown: int) -> SourceNotFound:
    return SourceNotFound(
        f"Of the {unknown} files in {named}, none has a known extension"
        if unknown
        else f"{named} holds no file to load",
        hint=f"Files are found by their extension: {KNOWN}; --format takes every file.",
        file=named,
    )


def _of_table_format(directory: str, marker: str) -> SourceError:
    return SourceError(
        f"{directory} is {TABLE_FORMATS[marker]} table: its directory also holds "
        "files of older versions, whose rows are no longer in it",
        hint="Export the table to plain Parquet, or pass it as an Arrow stream in Python.",
        file=directory,
    )


def _found_directory(path: str, form: Format | None) -> _Found:
    files = list(_walk(path, ()))
    chosen = [(file, _below(file, path)) for file in files if form or format_of(file)]
    if not chosen:
        raise _nothing(path, len(files))
    return _Found(stem(os.path.abspath(path)), chosen)  # noqa: PTH100 - "." has a name too


def _found_glob(pattern: str, form: Format | None) -> _Found:
    matched = _matches(pattern)
    files = [path for path in matched if not os.path.isdir(path)]  # noqa: PTH112
    if not files:  # "year=*" names directories; "**" names both, and then means the files
        files = [file for path in matched for file in _walk(path, ())]
    chosen = [_regular(file) for file in files if form or format_of(file)]
    if not chosen:
        if files:
            raise _nothing(pattern, len(files))
        raise SourceNotFound(
            f"No file matches {pattern}",
            hint="Check the pattern, and quote it so that the shell leaves it alone.",
            file=pattern,
        )
    root = _literal(pattern)
    named_after = chosen[0] if len(chosen) == 1 else os.path.abspath(root or os.curdir)  # noqa: PTH100
    return _Found(stem(named_after), [(file, _below(file, root)) for file in chosen])


def _below(file: str, root: str) -> str:
    """Returns the directories between one that was named and a file in it."""
    return os.path.dirname(file)[len(root) :].strip(os.sep)  # noqa: PTH120


def _matches(pattern: str) -> list[str]:
    paths = sorted(set(glob.glob(pattern, recursive=True)))  # noqa: PTH207 - str in, str out
    root = _literal(pattern)
    return [path for path in paths if not _any_hidden(path[len(root) :])]


def _any_hidden(below: str) -> bool:
    """Whether a file, or a directory that it is in below what was named, is left out."""
    return any(map(hidden, Path(below).parts))


def _literal(pattern: str) -> str:
    """Returns the directories of a glob before its first wildcard: ``a/b`` of ``a/b/*/c*``."""
    head = pattern
    while glob.has_magic(head):
        head = os.path.dirname(head)  # noqa: PTH120
    return head


def _walk(directory: str, above: tuple[str, ...]) -> Iterator[str]:
    """Yields the visible files below a directory, links followed, sorted level by level."""
    here = os.path.realpath(directory)
    if here in above:
        return  # a link to a directory above it
    with file_errors(directory):
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    for entry in entries:
        if entry.name in TABLE_FORMATS:
            raise _of_table_format(directory, entry.name)
        if hidden(entry.path):
            continue
        with file_errors(entry.path):
            is_directory = entry.is_dir()
        if is_directory:
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
            hint="Of what is no file, only pipes and standard input can be loaded, by their names.",
            file=path,
        )
    return path
