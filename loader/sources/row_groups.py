"""What the footer of a Parquet file tells about reading it: how many rows at a time, and how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from loader.model.types import is_text
from loader.sources.dictionary_pages import largest, longest

__all__ = ["Pace", "Run", "flat_texts", "leaf_count", "repeating", "runs"]

# Hardly anything is faster with more rows at once than _MANY. The fewer, the smaller is a batch in
# which rows suddenly become wide: hence _FEW at first, and where there is room for surprises.
_FEW: Final = 8_192
_MANY: Final = 32_768

# All that is encoded in a run of so many batches may be in one of them.
_NO_SURPRISE: Final = 8
# Its rows are so many times as wide as those before, in encoded bytes.
_WIDER: Final = 2

# A text that is read as a dictionary costs a third of one that is copied for every row, as long as
# the dictionary is far smaller than a batch: each batch has a copy of it, and each block of rows
# encodes the entries it shows once more. The indices of so few entries take a byte or two a value;
# more means that there are texts besides, and these would be looked up in the dictionary one by
# one.
_LARGEST_DICTIONARY: Final = 16 << 10
_MOST_BYTES_A_VALUE: Final = 2

# Shorter texts are copied for every row, however small a batch may be.
_LONG: Final = 1 << 10


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
        shown: The most memory of the values in a row that dictionary pages have once; 0 where it is
            no danger. The encoded size tells nothing of it.
        folded: Columns that are to be read as dictionaries, because of their longest texts: these
            would leave room for hardly any rows at once, and may be shown in few of them.
    """

    groups: list[int]
    first: int
    rows: int
    size: int
    stored: int
    shown: int = 0
    folded: frozenset[str] = frozenset()

    @property
    def row_bytes(self) -> int:
        """Encoded bytes of a row, rounded up."""
        return -(-self.size // max(self.rows, 1))


class Pace:
    """Decides how many rows are decoded at once, by the footer and by the rows before.

    The memory of the first batch of a run is at most that of 8,192 rows, whatever they are like, or
    ``8 * batch_bytes``. No batch takes more than that for what dictionary pages have once, even if
    the longest of their entries are shown in every row.

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
    foldable: Collection[str] = (),
    read_at: Callable[[int, int], bytes],
) -> Iterator[Run]:
    """Joins small row groups until they fill a batch; a large one stays alone.

    Args:
        file: The file.
        wanted: The row groups that are read.
        names: The columns that are read.
        batch_bytes: The memory of a batch.
        texts: Those of the columns that are read as dictionaries.
        foldable: Those that can be, where a run needs it.
        read_at: Reads so many bytes of the file at a place in it: dictionary pages of texts.
    """
    metadata = file.metadata
    chosen, read = frozenset(wanted), frozenset(names)
    spans = [(name, span) for name, span in _leaves(file) if name in read]
    leaves = [leaf for _, span in spans for leaf in span]
    expanded = {
        leaf: name if name in foldable else None
        for name, span in spans
        if name not in texts
        for leaf in span
        if metadata.schema.column(leaf).physical_type == "BYTE_ARRAY"
    }
    shown = _Shown(metadata, expanded, batch_bytes, read_at)
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
            yield Run(groups, first, rows, size, stored, *shown.of(groups))
            groups, rows, size, stored = [], 0, 0, 0
        at += group.num_rows
    if groups:
        yield Run(groups, first, rows, size, stored, *shown.of(groups))


class _Shown:
    """What the entries of dictionary pages take in memory, where they are shown in every row.

    Args:
        metadata: The footer of the file.
        leaves: The columns of the file that are looked at, each with its name where it can be read
            as a dictionary.
        batch_bytes: The memory of a batch.
        read_at: Reads so many bytes of the file at a place in it.
    """

    def __init__(
        self,
        metadata: pq.FileMetaData,
        leaves: Mapping[int, str | None],
        batch_bytes: int,
        read_at: Callable[[int, int], bytes],
    ) -> None:
        self._metadata = metadata
        self._leaves = leaves
        self._most = _NO_SURPRISE * batch_bytes
        self._read_at = read_at

    def of(self, groups: Sequence[int]) -> tuple[int, frozenset[str]]:
        """Returns ``Run.shown`` and ``Run.folded`` of row groups."""
        found: list[tuple[int, int, pq.ColumnChunkMetaData]] = []
        worst = 0
        for index in groups:
            group = self._metadata.row_group(index)
            for leaf in self._leaves:
                chunk = group.column(leaf)
                if chunk.has_dictionary_page:
                    # Of a list there are several in a row.
                    found.append((leaf, -(-chunk.num_values // max(group.num_rows, 1)), chunk))
                    worst += min(chunk.num_values, _MANY) * largest(chunk)
        if worst <= self._most:
            return 0, frozenset()
        harmless = self._most // _MANY // len(self._leaves)
        widths: dict[int, int] = {}
        for leaf, values, chunk in found:
            if values:
                width = values * longest(chunk, harmless // values, self._read_at)
                widths[leaf] = max(width, widths.get(leaf, 0))
        return self._folded(widths)

    def _folded(self, widths: Mapping[int, int]) -> tuple[int, frozenset[str]]:
        """Chooses the widest columns until the others leave room for some rows at once."""
        shown = sum(widths.values())
        folded = set()
        for leaf in sorted(widths, key=lambda leaf: widths[leaf], reverse=True):
            if shown <= self._most // _FEW or widths[leaf] <= _LONG:
                break
            name = self._leaves[leaf]
            if name is not None:
                folded.add(name)
                shown -= widths[leaf]
        return shown, frozenset(folded)


def flat_texts(file: pq.ParquetFile, names: Iterable[str]) -> dict[str, int]:
    """Returns the columns of text that can be read as dictionaries, as they may be stored.

    Args:
        file: The file.
        names: The columns to choose from.

    Returns:
        For each name its place among the columns of the file.
    """
    metadata, schema = file.metadata, file.schema_arrow
    spans = {name: span for name, span in _leaves(file) if is_text(schema.field(name).type)}
    paths = [metadata.schema.column(leaf).path for leaf in range(metadata.num_columns)]
    times = Counter(paths)
    found = {}
    for name in names:
        span = spans.get(name)
        # pyarrow finds columns by their paths, and "a.b" may also be the b of a struct a.
        if span is not None and times[name] == 1 and paths[span.start] == name:
            found[name] = span.start
    return found


def repeating(
    file: pq.ParquetFile, groups: Sequence[int], columns: Mapping[str, int]
) -> Sequence[str]:
    """Returns the columns of text that are best read as dictionaries, as they are stored.

    Args:
        file: The file.
        groups: The row groups that are read.
        columns: What ``flat_texts`` returns of those to choose from.
    """
    metadata = file.metadata
    return [
        name
        for name, leaf in columns.items()
        if _repeat(metadata.row_group(group).column(leaf) for group in groups)
    ]


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
