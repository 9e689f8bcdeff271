from collections.abc import Mapping, Sequence
from typing import Protocol

class _Arrays(Protocol):
    """An Arrow array or record batch of any implementation."""

    def __arrow_c_array__(
        self, requested_schema: object | None = None, /
    ) -> tuple[object, object]: ...

def columns(
    batches: Sequence[_Arrays], modes: Sequence[int], /
) -> list[tuple[tuple[memoryview, ...], int] | None]:
    """Encodes each column of the batches, which have the same columns.

    ``modes`` are bits for each column, as ``Mode`` in ``cpp/source.h`` explains them. Returns for
    each its segments, joined by commas, and how many NaN and infinities became null; ``None`` where
    its type or one of its values is for the Python path. The interpreter lock is free meanwhile.
    """

def rows(
    batches: Sequence[_Arrays],
    modes: Sequence[int],
    openings: Sequence[bytes],
    closing: bytes,
    texts: Mapping[int, _Arrays],
    /,
) -> tuple[tuple[memoryview, ...], list[int]] | list[int]:
    """Encodes all rows: before each value its column's opening, at the end the closing.

    ``texts`` has JSON texts, a ``string`` array without nulls, in the place of columns; then there
    is one batch. Returns the segments, joined by commas, and for each column how many NaN and
    infinities became null; or a list of columns whose texts the Python path has to make, because of
    their types or a value.
    """

def slabs() -> tuple[int, int]:
    """Returns how many slabs of 2 MiB hold segments, and how many are kept for later ones."""
