"""What the footer of a Parquet file tells about reading it: how many rows at a time, and how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from loader.model.types import is_text

__all__ = ["Pace", "Run", "leaf_count", "repeating", "runs"]

# Hardly anything is faster with more rows at once than _MANY. The fewer, the smaller is a batch in
# which rows suddenly become wide: hence _FEW at first, and where there is room for surprises.
_FEW: Final = 8_192
_MANY: Final = 32_768

# All that is encoded in a run of so many batches may be in one of them.
_NO_SURPRISE: Final = 8
# Its rows are so many times as wide as those before, in encoded bytes.
_WIDER: Final = 2

# Indices as wide as this are none: the dictionary was full, and the values themselves follow.
_INDEX_BITS: Final = 32
# More than the header of a dictionary page has, as long as it has no statistics.
_HEADER: Final = 128

# A text that is read as a dictionary costs a third of one that is copied for every row, as long as
# the dictionary is far smaller than a batch: each batch has a copy of it, and each block of rows
# encodes the entries it shows once more. The indices of so few entries take a byte or two a value;
# more means that there are texts besides, and these would be looked up in the dictionary one by
# one.
_LARGEST_DICTIONARY: Final = 16 << 10
_MOST_BYTES_A_VALUE: Final = 2


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive row groups that are read as one stream: one large or many small ones.

    Attributes:
        groups: Their positions in the file.
        first: The position of its first row in the file.
        rows: How many it has.
        size: Encoded bytes of the columns that are read: less than their memory where values
            repeat.
        stored: Bytes of these columns in the file.
        shown: Memory of the values in a row that dictionary pages have once, were all their entries
            shown equally often; 0 where these are no danger. The encoded size tells nothing of it.
    """

    groups: list[int]
    first: int
    rows: int
    size: int
    stored: int
    shown: int = 0

    @property
    def row_bytes(self) -> int:
        """Encoded bytes of a row, rounded up."""
        return -(-self.size // max(self.rows, 1))


class Pace:
    """Decides how many rows are decoded at once, by the footer and by the rows before.

    The memory of the first batch of a run is at most that of 8,192 rows, whatever they are like, or
    ``8 * batch_bytes``. It has no more rows than take ``8 * batch_bytes`` as its dictionary pages
    are on average: more is taken only where the longest of their entries are shown in row after
    row.

    Args:
        batch_bytes: The memory that a batch may take.
    """

    def __init__(self, batch_bytes: int) -> None:
        self._batch_bytes = batch_bytes
        self._before: Run | None = None
        self._row_bytes = 0  # memory of a row, in the widest batch of the run before

    def begin(self, run: Run) -> int:
        """Returns the rows of the first batch of a run."""
        before, row_bytes = self._before, max(run.row_bytes, self._row_bytes)
        self._before, self._row_bytes = run, 0
        is_like_before = before is not None and run.row_bytes <= _WIDER * before.row_bytes
        surely = is_like_before and run.size <= _NO_SURPRISE * self._batch_bytes
        rows = self._rows(row_bytes, _MANY if surely else _FEW)
        # For the whole run: that its rows were narrow so far says nothing of those to come.
        return max(1, min(rows, _NO_SURPRISE * self._batch_bytes // max(run.shown, 1)))

    def note(self, rows: int, size: int) -> int:
        """Takes the memory of a batch of the run; returns how many rows like these make a batch."""
        row_bytes = -(-size // rows)
        self._row_bytes = max(self._row_bytes, row_bytes)
        return self._rows(row_bytes, _MANY)

    def _rows(self, row_bytes: int, most: int) -> int:
        return max(1, min(most, self._batch_bytes // max(row_bytes, 1)))


def runs(
    file: pq.ParquetFile,
    wanted: Iterable[int],
    names: Iterable[str],
    batch_bytes: int,
    *,
    texts: Collection[str] = (),
    read_at: Callable[[int, int], bytes],
) -> Iterator[Run]:
    """Joins small row groups until they fill a batch; a large one stays alone.

    Args:
        file: The file.
        wanted: The row groups that are read.
        names: The columns that are read.
        batch_bytes: The memory of a batch.
        texts: Those of the columns that are read as dictionaries.
        read_at: Reads so many bytes of the file at a place in it: rarely, and only a few.
    """
    metadata = file.metadata
    chosen, read = frozenset(wanted), frozenset(names)
    leaves = [leaf for name, span in _leaves(file) if name in read for leaf in span]
    expanded = [
        leaf
        for name, span in _leaves(file)
        if name in read and name not in texts
        for leaf in span
        if metadata.schema.column(leaf).physical_type == "BYTE_ARRAY"
    ]
    entries = _Entries(metadata.schema, read_at)
    groups: list[int] = []
    at = first = rows = size = stored = 0
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        if index in chosen:
            if not groups:
                first = at
            groups.append(index)
            rows += group.num_rows
            chunks = [group.column(leaf) for leaf in leaves]
            size += sum(chunk.total_uncompressed_size for chunk in chunks)
            stored += sum(chunk.total_compressed_size for chunk in chunks)
        if groups and (size >= batch_bytes or index not in chosen):
            shown = _shown(metadata, groups, expanded, entries, batch_bytes)
            yield Run(groups, first, rows, size, stored, shown)
            groups, rows, size, stored = [], 0, 0, 0
        at += group.num_rows
    if groups:
        shown = _shown(metadata, groups, expanded, entries, batch_bytes)
        yield Run(groups, first, rows, size, stored, shown)


def _shown(
    metadata: pq.FileMetaData,
    groups: Sequence[int],
    leaves: Sequence[int],
    entries: _Entries,
    batch_bytes: int,
) -> int:
    """Returns ``Run.shown`` of row groups, for the columns of the file that are expanded."""
    harmless = _NO_SURPRISE * batch_bytes // _MANY
    found: list[tuple[int, list[tuple[int, pq.ColumnChunkMetaData]]]] = []
    worst = 0
    for index in groups:
        group = metadata.row_group(index)
        chunks = [(leaf, group.column(leaf)) for leaf in leaves]
        chunks = [(leaf, chunk) for leaf, chunk in chunks if chunk.has_dictionary_page]
        found.append((group.num_rows, chunks))
        worst += sum(min(chunk.num_values, _MANY) * _most(chunk) for _, chunk in chunks)
    if worst <= _NO_SURPRISE * batch_bytes:
        return 0
    most = 0
    for rows, chunks in found:
        shown = 0
        for leaf, chunk in chunks:
            values = -(-chunk.num_values // max(rows, 1))  # of a list there are several in a row
            shown += values * entries.average(leaf, chunk, harmless // values if values else 0)
        most = max(most, shown)
    return most


class _Entries:
    """How long the entries of dictionary pages are.

    Args:
        schema: The schema of the file.
        read_at: Reads so many bytes of the file at a place in it.
    """

    def __init__(self, schema: pq.ParquetSchema, read_at: Callable[[int, int], bytes]) -> None:
        self._schema = schema
        self._read_at = read_at
        self._full: dict[int, int] = {}  # by column

    def average(self, leaf: int, chunk: pq.ColumnChunkMetaData, harmless: int) -> int:
        """Returns the bytes of an entry; exactly only where they may be more than ``harmless``."""
        most = _most(chunk)
        bits = 8 * (chunk.total_uncompressed_size - most) // max(chunk.num_values, 1)
        full = bits > _INDEX_BITS
        column = self._schema.column(leaf)
        levels = (column.max_definition_level, column.max_repetition_level)
        bits -= sum(level.bit_length() for level in levels)  # they tell nulls and lists
        # Wide indices are a proof of many entries. There may be as many with narrow ones, where
        # rows are sorted or null.
        least = 0 if full else most >> max(bits - 1, 0)
        if not full and least <= harmless:
            return least
        # Full dictionaries of a column are alike: over a network each look is a request.
        if full and leaf in self._full:
            return self._full[leaf]
        size, count = _dictionary(self._read_at(chunk.dictionary_page_offset, _HEADER)) or (most, 1)
        average = -(-size // max(count, 1))
        if full:
            self._full[leaf] = average
        return average


def _most(chunk: pq.ColumnChunkMetaData) -> int:
    """Returns a bound of the bytes of a dictionary page: what follows may not be compressible."""
    stored = chunk.data_page_offset - chunk.dictionary_page_offset
    others = chunk.total_compressed_size - max(stored, 0)
    return int(max(chunk.total_uncompressed_size - max(others, 0), stored, 0))


def _dictionary(header: bytes) -> tuple[int, int] | None:
    """Returns the bytes and the number of entries that the header of a dictionary page tells.

    It is a struct in Thrift's compact protocol (``PageHeader`` in parquet.thrift), of which field 2
    is the uncompressed size, and field 7 a struct that begins with the number of values; before
    that are only other 32-bit integers.
    """
    integer, struct = 5, 12  # types
    uncompressed, dictionary = 2, 7  # fields
    data = iter(header)
    field = size = 0
    try:
        while True:
            mark = next(data)
            if not mark >> 4:
                return None
            field += mark >> 4
            if field == dictionary and mark & 15 == struct:
                return (size, _integer(data)) if next(data) == 1 << 4 | integer else None
            if mark & 15 != integer:
                return None
            value = _integer(data)
            if field == uncompressed:
                size = value
    except StopIteration:
        return None


def _integer(data: Iterator[int]) -> int:
    """Takes an integer: seven bits a byte, the lowest first, and the sign in the very lowest."""
    value = shift = 0
    while True:
        byte = next(data)
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value >> 1 ^ -(value & 1)


def repeating(file: pq.ParquetFile, groups: Sequence[int], names: Iterable[str]) -> list[str]:
    """Returns the columns of text that are best read as dictionaries, as they are stored.

    Args:
        file: The file.
        groups: The row groups that are read.
        names: The columns to choose from.
    """
    metadata, schema = file.metadata, file.schema_arrow
    spans = {name: span for name, span in _leaves(file) if is_text(schema.field(name).type)}
    paths = [metadata.schema.column(leaf).path for leaf in range(metadata.num_columns)]
    times = Counter(paths)
    found = []
    for name in names:
        span = spans.get(name)
        # pyarrow finds columns by their paths, and "a.b" may also be the b of a struct a.
        if span is None or times[name] != 1 or paths[span.start] != name:
            continue
        chunks = (metadata.row_group(group).column(span.start) for group in groups)
        if _repeat(chunks):
            found.append(name)
    return found


def _repeat(chunks: Iterable[pq.ColumnChunkMetaData]) -> bool:
    """Whether column chunks show few texts again and again, apart from some that hardly count."""
    repeating = small = 0
    for chunk in chunks:
        if not chunk.num_values:
            continue
        if _repeats(chunk):
            repeating += chunk.total_uncompressed_size
        elif chunk.total_uncompressed_size <= _LARGEST_DICTIONARY:
            # Such as the last rows of a file: their dictionary is small, whatever they are.
            small += chunk.total_uncompressed_size
        else:
            return False
    return small < repeating


def _repeats(chunk: pq.ColumnChunkMetaData) -> bool:
    """Whether a column chunk shows few texts again and again."""
    if not chunk.has_dictionary_page or not chunk.total_compressed_size:
        return False
    # It comes first. That it is as well compressible as the rest is a guess.
    stored = chunk.data_page_offset - chunk.dictionary_page_offset
    dictionary = stored * chunk.total_uncompressed_size // chunk.total_compressed_size
    small = 0 < dictionary <= _LARGEST_DICTIONARY
    return bool(small and chunk.total_uncompressed_size <= _MOST_BYTES_A_VALUE * chunk.num_values)


def leaf_count(kind: pa.DataType) -> int:
    """Returns how many columns of a Parquet file a column is kept in."""
    if isinstance(kind, pa.BaseExtensionType):
        return leaf_count(kind.storage_type)
    if pt.is_nested(kind) and not pt.is_dictionary(kind):
        return max(1, sum(leaf_count(kind.field(at).type) for at in range(kind.num_fields)))
    return 1


def _leaves(file: pq.ParquetFile) -> Iterator[tuple[str, range]]:
    """Yields each column with those of the file, in its own numbering, that it is kept in."""
    start = 0
    for field in file.schema_arrow:
        stop = start + leaf_count(field.type)
        yield field.name, range(start, min(stop, len(file.schema)))
        start = stop
