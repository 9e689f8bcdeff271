"""Joins of Arrow texts with constant texts, which are turned into Arrow's own only once."""

from __future__ import annotations

import functools

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["concat", "constant", "join"]


@functools.cache
def constant(text: str) -> pa.Scalar:
    """Returns a text as an Arrow scalar.

    Given a Python value, pyarrow looks for pandas each time: 50 µs that hold the interpreter lock.
    """
    return pa.scalar(text)


def concat(*parts: pa.Array | str) -> pa.Array:
    """Puts texts together row by row; a null in any array makes the row null."""
    arrays = (constant(part) if isinstance(part, str) else part for part in parts)
    return pc.binary_join_element_wise(*arrays, constant(""))


def join(array: pa.Array, separator: str, around: tuple[str, str] | None = None) -> memoryview:
    """Puts all texts of an array together, and two more around them.

    The bytes stay in Arrow's memory pool, which gives back what is freed: megabytes that live as
    long as their chunk would fragment the heap of each thread.
    """
    whole = pa.ListArray.from_arrays(pa.array([0, len(array)], pa.int32()), array)
    joined = pc.binary_join(whole, constant(separator))
    if around is not None:
        joined = concat(around[0], joined, around[1])
    # Arrow calls its octets signed; everything downstream wants plain bytes.
    return memoryview(joined[0].as_buffer()).cast("B")
