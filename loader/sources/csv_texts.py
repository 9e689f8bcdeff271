"""A batch of texts as one run of bytes, so that numpy looks at all of them at once."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

__all__ = ["Texts", "present", "swapped"]

_NOTHING: Final = pa.array(["-"]).slice(1)  # no rows, but with offsets
_NINE: Final = ord("9")
_SWAP: Final = bytes.maketrans(b",.", b".,")


class Texts:
    """The values of a batch that are there, as one run of bytes: numpy looks at all at once."""

    __slots__ = ("array", "data", "ends", "lengths", "starts")

    def __init__(self, array: pa.StringArray) -> None:
        if not len(array):
            array = _NOTHING
        self.array = array
        _, offsets, data = array.buffers()
        edges = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1]
        first, last = int(edges[0]), int(edges[-1])
        empty = np.empty(0, np.uint8)
        self.data = empty if data is None else np.frombuffer(data, np.uint8)[first:last]
        self.starts = edges[:-1] - first
        self.ends = edges[1:] - first
        self.lengths = self.ends - self.starts

    def __len__(self) -> int:
        return len(self.array)

    @property
    def has_letters(self) -> bool:
        """Whether there is a byte beyond the digits: a letter, or part of one."""
        return bool(len(self.data)) and int(self.data.max()) > _NINE

    def at(self, position: int) -> npt.NDArray[np.uint8]:
        """Returns that byte of every value; all values must be longer."""
        return self.data[self.starts + position]

    def owners(self, positions: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        """Returns the values in which these bytes are, sorted as the bytes are."""
        if len(positions) == len(self) and bool(
            ((positions >= self.starts) & (positions < self.ends)).all()
        ):
            return np.arange(len(self))  # one each, as the points of prices are
        return np.searchsorted(self.starts, positions, side="right") - 1


def present(column: pa.StringArray) -> Texts:
    """Returns the texts that are there: neither null nor empty."""
    texts = Texts(column.drop_null() if column.null_count else column)
    if len(texts) and int(texts.lengths.min()) == 0:
        texts = Texts(texts.array.filter(pa.array(texts.lengths > 0)))
    return texts


def swapped(array: pa.StringArray) -> pa.StringArray:
    """Returns the texts with points for commas and commas for points.

    Numbers with a decimal comma become numbers with a point, and those with a point, which may
    group their digits, become none.
    """
    validity, offsets, data = array.buffers()
    if data is None:
        return array
    view = memoryview(data)
    # In UTF-8 these two bytes are nothing but these two characters.
    data = pa.py_buffer(bytes(view).translate(_SWAP))
    return pa.StringArray.from_buffers(
        len(array), offsets, data, validity, array.null_count, array.offset
    )
