"""Sources: Parquet and CSV files and Arrow objects as bounded streams of Arrow record batches."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from loader.errors import SourceError, UsageError
from loader.sources.arrow import is_arrow, open_arrow
from loader.sources.base import Batch, CsvOptions, CsvTypes, Format, Source, SourceOptions
from loader.sources.csv_files import CsvSource
from loader.sources.csv_types import exact_doubles
from loader.sources.locate import Files, locate, split
from loader.sources.parquet import ParquetSource

__all__ = [
    "Batch",
    "CsvOptions",
    "CsvTypes",
    "Format",
    "Source",
    "SourceOptions",
    "exact_doubles",
    "open_tables",
]


def open_tables(
    sources: Sequence[str] | Mapping[str, Any] | Any, options: SourceOptions | None = None
) -> dict[str, Source]:
    """Opens the tables of a dataset: finds their files, reads footers, decides CSV types.

    Args:
        sources: ``PATH`` or ``TABLE=PATH`` strings (one or several), where PATH is a file, a
            directory or a glob; or a mapping of table to path, paths or Arrow object; or one Arrow
            object, whose table gets ``options.table`` as its name. Without TABLE a table is named
            after its file, without extension, or directory; a glob that matches several files
            after the last directory before its first wildcard. Strings with the same TABLE are one
            table.
        options: What is known about the sources; by default nothing.

    Returns:
        The tables in the order in which they were first named. It blocks for as long as a scan of
        CSV files takes.

    Raises:
        UsageError: A source that is none of the above, mixes formats, or has a file twice.
        SourceNotFound: A path or glob matches nothing.
        SourceUnreadable: A file is not of its format.
        NameRefused: Columns of one name.
        SourceError: Files of one table do not have the same columns, or have types that do not
            unify; or directories hold columns (``year=2024``) that the files do not.
    """
    options = options or SourceOptions()
    if is_arrow(sources):
        return {options.table: open_arrow(sources)}
    if isinstance(sources, Mapping):
        opened: dict[str, Source] = {}
        for table, thing in sources.items():
            opened[table] = _open_value(table, thing, options)
        return _some(opened)
    if isinstance(sources, str | os.PathLike):
        sources = [sources]
    specs = [split(source) for source in _paths(sources)]
    return _some(
        {
            table: _open_files(table, files, options)
            for table, files in locate(specs, options.format).items()
        }
    )


def _open_value(table: str, thing: Any, options: SourceOptions) -> Source:
    if is_arrow(thing):
        return open_arrow(thing)
    paths = [thing] if isinstance(thing, str | os.PathLike) else thing
    found = locate(((table, path) for path in _paths(paths)), options.format)
    if not found:
        raise UsageError(f"Table {table!r} has no files", hint="Name at least one path.")
    return _open_files(table, found[table], options)


def _paths(sources: object) -> Iterator[str]:
    if not isinstance(sources, Iterable):
        raise UsageError(
            f"A {type(sources).__name__} is no source",
            hint="Pass paths, a mapping of tables to paths, or an Arrow object; several Arrow "
            "objects need a mapping that names their tables.",
        )
    for source in sources:
        if not isinstance(source, str | os.PathLike):
            raise UsageError(
                f"A {type(source).__name__} is no path",
                hint="Several Arrow objects need a mapping that names their tables.",
            )
        yield os.fspath(source)


def _some(tables: dict[str, Source]) -> dict[str, Source]:
    if not tables:
        raise UsageError("There is no source to load", hint="Name at least one PATH or TABLE=PATH.")
    return tables


def _open_files(table: str, files: Files, options: SourceOptions) -> Source:
    source: Source
    if files.format == "parquet":
        source = ParquetSource(files.paths)
    else:
        source = CsvSource(files.paths, table, options)
    held = {
        column: file
        for column, file in files.partitions.items()
        if column not in source.schema.names
    }
    if held:
        columns = ", ".join(repr(column) for column in held)
        raise SourceError(
            f"Table {table!r} keeps {columns} in the names of its directories, not in its files "
            f"({next(iter(held.values()))}), so the load would lose it",
            hint="Write the column into the files, or load each partition by its own path "
            f"({table}=…/{next(iter(held))}=…) if the column is not wanted.",
            table=table,
            columns=list(held),
        )
    return source
