"""Finds every value of an array that a check refuses, when the check tells only of some of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from loader.layouts import take, unwrapped

__all__ = ["Check", "Misfit", "Refusals", "misfits"]

Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Refusals:
    """What a check refuses of an array; there may be more than it tells.

    Attributes:
        rows: Positions of values that are refused, ascending; none: there is one somewhere.
        reason: Why they are.
        values: What they are, for a person to recognise.
    """

    rows: Sequence[int]
    reason: str
    values: Sequence[Any]


Check = Callable[[pa.Array], Refusals | None]
"""Looks at an array; None means that every value fits.

Whether a value fits must not depend on the others. Of an array of one value that is refused, a
check has to tell that it is that one.
"""


@dataclass(frozen=True, slots=True)
class Misfit:
    """A value that is refused.

    Attributes:
        row: Its position in the array.
        reason: Why, as the check says it.
        value: What it is.
    """

    row: int
    reason: str
    value: Any


def misfits(array: pa.Array, check: Check) -> list[Misfit]:
    """Returns all values that ``check`` refuses, by position.

    Values that repeat are checked once. What a check tells is set aside, and ranges that are still
    refused are halved: few misfits cost a few looks at the array, and n of them at most 2n + 1
    calls of the check, where it tells of one at a time.
    """
    if check(array) is None:
        return []
    array = unwrapped(array)
    if not pt.is_dictionary(array.type):
        array = _distinct(array)
    if not pt.is_dictionary(array.type):
        return sorted(_search(array, check), key=lambda misfit: misfit.row)
    shown = pc.unique(array.indices.drop_null())  # entries that no row shows refuse nothing
    found = misfits(take(array.dictionary, shown), check)
    refused = shown.take(pa.array([misfit.row for misfit in found], pa.int64()))
    which = pc.index_in(array.indices, value_set=refused)
    rows = np.flatnonzero(which.is_valid().to_numpy(zero_copy_only=False))
    return [
        Misfit(row, found[place].reason, found[place].value)
        for row, place in zip(rows.tolist(), which.drop_null().to_pylist(), strict=True)
    ]


def _distinct(array: pa.Array) -> pa.Array:
    """Returns the array as a dictionary where that leaves less to check."""
    try:
        encoded = array.dictionary_encode()
    except pa.ArrowNotImplementedError:  # nested values, among others
        return array
    return encoded if len(encoded.dictionary) < len(array) else array


def _search(array: pa.Array, check: Check) -> Iterator[Misfit]:
    todo = [(np.arange(len(array)), array)]
    while todo:
        rows, part = todo.pop()
        refused = check(part)
        if refused is None:
            continue
        told = np.asarray(refused.rows, np.int64)
        for row, value in zip(rows[told].tolist(), refused.values, strict=True):
            yield Misfit(row, refused.reason, value)
        if len(told) > 1:
            # Most likely all of them: what is left is one more call.
            left = np.delete(np.arange(len(part)), told)
            ranges = [(rows[left], take(part, pa.array(left)))]
        else:
            ranges = [
                (rows[start:stop], part.slice(start, stop - start))
                for start, stop in _halves(len(part), told.tolist())
            ]
        todo += [(places, values) for places, values in ranges if len(places)]


def _halves(length: int, without: list[int]) -> Iterator[tuple[int, int]]:
    """Yields the ranges that are left of two halves when one row is taken out, or none."""
    ends = sorted({0, length // 2, length, *without, *(row + 1 for row in without)})
    for start, stop in itertools.pairwise(ends):
        if start not in without:
            yield start, stop
