# The compiled part of the encoder (cpp/module.cpp). `modes` are bits for each column, which `Mode`
# in cpp/source.h explains; the interpreter lock is free while values are written.

from collections.abc import Mapping, Sequence
from typing import Protocol

class _Arrays(Protocol):
    def __arrow_c_array__(
        self, requested_schema: object | None = None, /
    ) -> tuple[object, object]: ...

# Encodes each column of batches that have the same columns. Returns for each its segments, joined
# by commas, and how many NaN and infinities became null; None where its type or one of its values
# is for the Python path.
def columns(
    batches: Sequence[_Arrays], modes: Sequence[int], /
) -> list[tuple[tuple[memoryview, ...], int] | None]: ...

# Encodes all rows: before each value its column's opening, at the end the closing. `texts` has JSON
# texts, a `string` array without nulls, in the place of columns; then there is one batch. Returns
# the segments, joined by commas, and for each column how many NaN and infinities became null; or a
# list of columns whose texts the Python path has to make, because of their types or of a value.
def rows(
    batches: Sequence[_Arrays],
    modes: Sequence[int],
    openings: Sequence[bytes],
    closing: bytes,
    texts: Mapping[int, _Arrays],
    /,
) -> tuple[tuple[memoryview, ...], list[int]] | list[int]: ...

# Returns what each row of a batch takes, by the rules of width.py, as int64 in the machine's order;
# and a list of columns that are left out of that. None if an index names no entry of a dictionary.
def widths(batch: _Arrays, /) -> tuple[bytearray, list[int]] | None: ...

# Returns how many slabs of 2 MiB hold segments, and how many are kept for later ones.
def slabs() -> tuple[int, int]: ...
