"""From what the caller names to the tables of a dataset: finds, opens and wraps their sources."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from loader.errors import UsageError
from loader.sources.arrow import is_arrow, open_arrow, open_batches
from loader.sources.base import CsvOptions, Format, Source, SourceOptions
from loader.sources.files import file_errors
from loader.sources.locate import Files, locate, split
from loader.sources.pipes import Pipe, attach, copied
from loader.sources.selecting import FilteredSource, JoinedSource, LimitedSource, NotedSource

# Formats and conditions are imported where a load has them: all of them take a tenth of a second.
if TYPE_CHECKING:
    from loader.sources.hive import Partitions
    from loader.sources.where import Condition
    from loader.sources.where.tree import Node

__all__ = ["open_tables"]


def open_tables(
    sources: Sequence[str] | Mapping[str, Any] | Any, options: SourceOptions | None = None
) -> dict[str, Source]:
    """Opens the tables of a dataset: finds their files, reads footers, decides CSV types.

    Args:
        sources: ``PATH`` or ``TABLE=PATH`` strings (one or several), where PATH is a file, a
            directory, a glob, a URI of these, or ``-`` for standard input; or a mapping of table to
            path, paths or Arrow object; or one Arrow object, or a list or iterator of record
            batches, whose table gets ``options.table`` as its name. Without TABLE a table is named
            after its file, without extension, or directory; a glob that matches several files after
            the last directory before its first wildcard. Strings with the same TABLE are one table.
        options: What is known about the sources; by default nothing.

    Returns:
        The tables in the order in which they were first named. It blocks for as long as a scan of
        CSV files takes.

    Raises:
        UsageError: A source that is none of the above, mixes formats, or has a file twice; or the
            condition does not fit the columns of a table.
        SourceNotFound: A path or glob matches nothing.
        SourceUnreadable: A file is not of its format.
        NameRefused: Columns of one name.
        SourceError: Files of one table do not have the same columns, or have types that do not
            unify.
    """
    opener = _Opener(options or SourceOptions())
    if isinstance(sources, Mapping):
        tables = {table: opener.value(table, thing) for table, thing in sources.items()}
    elif (source := opener.arrow(opener.options.table, sources)) is not None:
        tables = {opener.options.table: source}
    else:
        specs = [split(source) for source in _paths(sources)]
        found = locate(specs, opener.options.format)
        tables = {table: opener.files(table, files) for table, files in found.items()}
    if not tables:
        raise UsageError("There is no source to load", hint="Name at least one PATH or TABLE=PATH.")
    opener.check_csv_options()
    return tables


def _paths(sources: object) -> Iterator[str]:
    if isinstance(sources, str | os.PathLike):
        sources = [sources]
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
                hint="Pass paths, or Arrow objects, or a mapping that names a table for each.",
            )
        yield os.fspath(source)


class _Opener:
    """Opens table after table with the same options."""

    def __init__(self, options: SourceOptions) -> None:
        self.options = options
        self._where = None if options.where is None else _parsed(options.where)
        self._reads_csv = False
        if options.limit is not None and options.limit < 1:
            raise UsageError("--limit takes a number of rows from 1", hint="Leave it out for all.")

    def check_csv_options(self) -> None:
        """Refuses options of CSV files that no file was read with."""
        if not self._reads_csv and self.options.csv != CsvOptions():
            raise UsageError(
                "There is a --csv-… option, but no CSV file among the sources",
                hint="Leave the option out, or say --format csv if the files are CSV.",
            )

    def value(self, table: str, thing: Any) -> Source:
        """Opens what a mapping gives for a table."""
        source = self.arrow(table, thing)
        if source is not None:
            return source
        found = locate(((table, path) for path in _paths(thing)), self.options.format)
        if not found:
            raise UsageError(f"Table {table!r} has no files", hint="Name at least one path.")
        return self.files(table, found[table])

    def arrow(self, table: str, thing: Any) -> Source | None:
        """Opens one or several Arrow objects; None for anything else, from which nothing is lost.

        An iterator of paths is none; to find out, its first item is looked at.
        """
        if is_arrow(thing):
            return self._selected(open_arrow(thing), table)
        if isinstance(thing, list | tuple) and thing and is_arrow(thing[0]):
            rest = iter(thing[1:])
            return self._selected(open_batches(thing, thing[0], rest), table)
        if not isinstance(thing, Iterator):
            return None
        first = next(thing, None)
        if first is None:
            raise UsageError(
                "The iterator gave nothing, so its columns are not known",
                hint="Give it at least one record batch, which may have no rows.",
            )
        if not is_arrow(first):
            raise UsageError(
                f"The iterator gave a {type(first).__name__}, which is no Arrow object",
                hint="Give record batches or tables; pass paths as a list.",
            )
        return self._selected(open_batches(thing, first, thing), table)

    def files(self, table: str, files: Files) -> Source:
        """Opens the files of a table."""
        pipe = files.paths[0]
        if files.format == "arrow" and len(files.paths) == 1 and isinstance(pipe, Pipe):
            return self._selected(self._piped(pipe), table)
        notes: list[str] = []
        paths = [self._copied(path, notes) for path in files.paths]
        partitions: Partitions | None = None
        if any(files.directories):
            from loader.sources.hive import Partitions  # noqa: PLC0415 - as above

            partitions = Partitions.of(paths, files.directories)
        return self._opened(table, files.format, partitions, paths, notes)

    def _piped(self, pipe: Pipe) -> Source:
        """Opens Arrow data of a pipe: a stream is read as it comes, a file has to be copied."""
        from loader.sources.ipc import MAGIC, IpcSource, PipeSource  # noqa: PLC0415 - as above

        with file_errors(pipe):
            reader = attach(pipe)
            if not reader.peek(len(MAGIC)).startswith(MAGIC):
                return PipeSource(pipe, reader)
        with reader:
            path, note = copied(pipe, reader, self.options.watch)
        return NotedSource(IpcSource([path]), [note] if note else [])

    def _copied(self, path: str, notes: list[str]) -> str:
        """Returns a path, or for a pipe that of its copy."""
        if not isinstance(path, Pipe):
            return path
        with file_errors(path):
            reader = attach(path)
        with reader:
            path, note = copied(path, reader, self.options.watch)
        if note:
            notes.append(note)
        return path

    def _opened(
        self,
        table: str,
        form: Format,
        partitions: Partitions | None,
        paths: Sequence[str],
        notes: Sequence[str],
    ) -> Source:
        if partitions is None:
            source = self._reader(form, paths, table)
            return self._selected(NotedSource(source, notes) if notes else source, table)
        from loader.sources.hive import PartitionedSource  # noqa: PLC0415 - as above

        kept = partitions
        if self._where is not None:
            kept = partitions.take(_possible(self._where, partitions))
        opened = PartitionedSource(self._reader(form, kept.paths, table), kept)
        condition = self._condition(opened, table)
        if condition and len(kept.paths) < len(paths) and opened.doubled & {*condition.columns}:
            # The files have the column too, maybe of another type: it decides.
            opened = PartitionedSource(self._reader(form, paths, table), partitions)
        return self._selected(NotedSource(opened, notes) if notes else opened, table)

    def _reader(self, form: Format, paths: Sequence[str], table: str) -> Source:
        if form == "parquet":
            from loader.sources.parquet import ParquetSource  # noqa: PLC0415 - as above

            return ParquetSource(paths)
        if form == "arrow":
            from loader.sources.ipc import IpcSource  # noqa: PLC0415 - as above

            return IpcSource(paths)
        from loader.sources.csv_files import CsvSource  # noqa: PLC0415 - as above

        self._reads_csv = True
        return CsvSource(paths, table, self.options)

    def _condition(self, source: Source, table: str) -> Condition | None:
        if self._where is None:
            return None
        from loader.sources.where import Condition  # noqa: PLC0415 - as above

        return Condition.of(self._where, source.schema, table)

    def _selected(self, source: Source, table: str) -> Source:
        """Returns the rows of a source that the options ask for."""
        condition = self._condition(source, table)
        if condition is not None:
            source = FilteredSource(source, condition)
        if self.options.limit is not None:
            source = LimitedSource(source, self.options.limit)
        # Joined last: a limit is then reached as soon as its last row is found.
        return source if condition is None else JoinedSource(source)


def _parsed(where: str) -> Node:
    from loader.sources.where import parse  # noqa: PLC0415 - as above

    return parse(where)


def _possible(where: Node, partitions: Partitions) -> list[int]:
    """Returns the files whose directories may have rows that are wanted; the first one at least.

    Without any file the columns would not be known.
    """
    from loader.sources.where import possible  # noqa: PLC0415 - as above

    kept = [int(at) for at in np.flatnonzero(possible(where, partitions.values))]
    return kept or [0]
