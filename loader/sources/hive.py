"""Hive partitions: columns that are kept in the names of directories, ``year=2024/month=1``.

Their types come from all directories: whole numbers without leading zeros are int64, dates
(``YYYY-MM-DD``) date32, everything else text, so that no value changes. Values are URL-decoded;
``__HIVE_DEFAULT_PARTITION__`` is null.
"""

from __future__ import annotations

import datetime as dt
import re
import urllib.parse
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loader.errors import BadValue, SourceError
from loader.model.types import storage_type
from loader.sources.base import Batch, Source
from loader.sources.selecting import pruned
from loader.sources.unify import projected

if TYPE_CHECKING:  # most loads have no condition
    from loader.sources.where import Condition

__all__ = ["PartitionedSource", "Partitions"]

_FALSE: Final = pa.scalar(value=False)
_NULL: Final = "__HIVE_DEFAULT_PARTITION__"
_INTEGER: Final = re.compile(r"0|-?[1-9]\d{0,18}", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@dataclass(frozen=True, slots=True)
class Partitions:
    """The columns that the directories of a table hold.

    Attributes:
        paths: The files, in reading order.
        values: One row for each file; their types are those of the columns.
        texts: The values of each file as its directories spell them, decoded; None is null.
    """

    paths: Sequence[str]
    values: pa.RecordBatch
    texts: Sequence[Mapping[str, str | None]]

    @classmethod
    def of(cls, paths: Sequence[str], directories: Sequence[str]) -> Partitions | None:
        """Reads the names of directories; None where they hold no columns.

        Args:
            paths: The files.
            directories: For each, the directories it is in below the one that was named.

        Raises:
            SourceError: Some files are in directories of a column, others are not.
        """
        texts = [dict(_pairs(directory)) for directory in directories]
        names = list(dict.fromkeys(name for text in texts for name in text))
        if not names:
            return None
        for path, text in zip(paths, texts, strict=True):
            missing = [name for name in names if name not in text]
            if missing:
                raise _uneven(path, missing[0], paths, texts)
        columns = [_column([text[name] for text in texts]) for name in names]
        return cls(paths, pa.RecordBatch.from_arrays(columns, names=names), texts)

    def take(self, kept: Sequence[int]) -> Partitions:
        """Returns those of some of the files."""
        return Partitions(
            [self.paths[at] for at in kept],
            self.values.take(pa.array(kept, pa.int64())),
            [self.texts[at] for at in kept],
        )


def _pairs(directory: str) -> Iterable[tuple[str, str | None]]:
    for part in directory.split("/"):
        name, equals, value = part.partition("=")
        if equals and name:
            decoded = _decoded(value)
            yield _decoded(name), None if decoded == _NULL else decoded


def _decoded(text: str) -> str:
    try:
        return urllib.parse.unquote(text, errors="strict")
    except UnicodeDecodeError:
        return text  # as it stands: nothing that Hive or Spark wrote


def _uneven(
    path: str, column: str, paths: Sequence[str], texts: Sequence[Mapping[str, str | None]]
) -> SourceError:
    other = next(one for one, text in zip(paths, texts, strict=True) if column in text)
    return SourceError(
        f"{path} is in no directory {column}=…, but {other}, a file of the same table, is",
        hint=f"Name the directories that have {column}=… only, or load the others as a table of "
        "their own.",
        file=path,
        other_file=other,
        column=column,
    )


def _column(texts: Sequence[str | None]) -> pa.Array:
    known = {text for text in texts if text is not None}
    if known and all(map(_is_integer, known)):
        return pa.array([None if text is None else int(text) for text in texts], pa.int64())
    if known and all(map(_is_date, known)):
        dates = [None if text is None else dt.date.fromisoformat(text) for text in texts]
        return pa.array(dates, pa.date32())
    return pa.array(texts, pa.string())


def _is_integer(text: str) -> bool:
    return _INTEGER.fullmatch(text) is not None and -(2**63) <= int(text) < 2**63


def _is_date(text: str) -> bool:
    if _DATE.fullmatch(text) is None:
        return False
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return True


class PartitionedSource:
    """Files with the columns that their directories hold after their own.

    A column that is in the files too is read from there, and must say in every row what the
    directory says: whichever of them were believed, rows would be filed wrongly in silence.

    Args:
        files: The source of the files, one origin for each.
        partitions: What their directories hold.

    Attributes:
        doubled: The columns that are in the files and in the directories.
    """

    def __init__(self, files: Source, partitions: Partitions) -> None:
        self._files = files
        values = partitions.values
        own = set(files.schema.names)
        self._added = [name for name in values.schema.names if name not in own]
        self.doubled = frozenset(name for name in values.schema.names if name in own)
        self._rows_of = {path: at for at, path in enumerate(partitions.paths)}
        self._partitions = partitions
        # A dictionary of one value: a byte a row, whatever the value.
        added = [
            pa.field(name, pa.dictionary(pa.int8(), values.schema.field(name).type))
            for name in self._added
        ]
        self.schema = pa.schema([*files.schema, *added])
        self.notes: Sequence[str] = (*files.notes, *self._told())

    @property
    def rows(self) -> int | None:
        """The rows of the files."""
        return self._files.rows

    @property
    def rereadable(self) -> bool:
        """Whether the files are."""
        return self._files.rereadable

    @property
    def origins(self) -> Sequence[str]:
        """The files in reading order."""
        return self._files.origins

    def pruned(self, condition: Condition) -> PartitionedSource:
        """Returns the source without what of the files cannot meet a condition."""
        return PartitionedSource(pruned(self._files, condition), self._partitions)

    def _told(self) -> Sequence[str]:
        if not self._added:
            return ()
        told = ", ".join(
            f"{name} ({self.schema.field(name).type.value_type})" for name in self._added
        )
        return (f"from the names of the directories: {told}",)

    def batches(
        self, batch_bytes: int, columns: Sequence[str] | None = None, skip: int = 0
    ) -> Generator[Batch, None, None]:
        """Reads the files and adds what their directories say.

        Raises:
            SourceUnreadable: A file is damaged or changed.
            BadValue: A file's column says something else than its directory.
        """
        schema = projected(self.schema, columns)
        own = [name for name in schema.names if name not in self._added]
        # Rows are counted by some column, whichever is least to read.
        read = own or [min(self._files.schema, key=lambda field: _width(field.type)).name]
        checked = [name for name in own if name in self.doubled]
        origin, constants = "", {}
        for batch in self._files.batches(batch_bytes, read, skip):
            if batch.origin != origin:
                origin = batch.origin
                constants = self._constants(origin)
            for name in checked:
                self._check(batch, name)
            rows = batch.data.num_rows
            data = [
                _repeated(constants[name], rows) if name in self._added else batch.data.column(name)
                for name in schema.names
            ]
            yield batch.with_data(pa.RecordBatch.from_arrays(data, names=schema.names))

    def _constants(self, origin: str) -> dict[str, pa.Array]:
        at = self._rows_of[origin]
        values = self._partitions.values
        return {name: values.column(name).slice(at, 1) for name in self._added}

    def _check(self, batch: Batch, name: str) -> None:
        text = self._partitions.texts[self._rows_of[batch.origin]][name]
        column = batch.data.column(name)
        wrong = _differing(column, text)
        if wrong is None:
            return
        value = column[wrong].as_py()
        raise BadValue(
            f"{batch.origin}, row {batch.position(wrong) + 1}: column {name!r} is {value!r}, but "
            f"the directory is {name}={_NULL if text is None else text}",
            hint="Move the file to the directory of its rows, or rename the column in the files.",
            file=batch.origin,
            row=batch.position(wrong) + 1,
            column=name,
            value=str(value)[:1000],
        )


def _differing(column: pa.Array, text: str | None) -> int | None:
    """Returns the first row that does not say what the directory says; None if all do."""
    if not len(column):
        return None
    if text is None:
        agrees = pc.is_null(column)
    else:
        kind = storage_type(column.type)
        try:
            plain = column.cast(kind)
            agrees = pc.fill_null(pc.equal(plain, pa.scalar(text).cast(kind)), _FALSE)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return 0  # no value of such a column can be what the directory says
    at = pc.index(agrees, _FALSE).as_py()
    return None if at < 0 else int(at)


def _repeated(value: pa.Array, rows: int) -> pa.Array:
    """Returns a column that has one value in every row."""
    if value.null_count:
        return pa.nulls(rows, pa.dictionary(pa.int8(), value.type))
    return pa.DictionaryArray.from_arrays(np.zeros(rows, np.int8), value)


def _width(kind: pa.DataType) -> int:
    try:
        return int(kind.bit_width)
    except ValueError:
        return 1 << 16
