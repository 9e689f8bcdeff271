"""Writes rows as JSON objects: the array of objects that a dataset of one request is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from loader.encode.base64 import Segment
from loader.encode.joins import constant, join

__all__ = ["record_writer"]


def record_writer(columns: Sequence[str]) -> Callable[[Sequence[pa.Array]], Segment]:
    """Returns the function that turns the texts of all columns into one object for each row.

    The names are escaped here, once; rows are joined by Arrow's kernels (one-request document,
    "Create a dataset", ``data``).

    Args:
        columns: The columns' names, in the order of the texts.
    """
    openings = ("{", *[","] * (len(columns) - 1))
    keys = tuple(
        pa.scalar(f"{opening}{orjson.dumps(name).decode()}:")
        for opening, name in zip(openings, columns, strict=True)
    )

    def write(texts: Sequence[pa.Array]) -> Segment:
        members = (part for pair in zip(keys, texts, strict=True) for part in pair)
        rows = pc.binary_join_element_wise(*members, constant("}"), constant(""))
        return join(rows, ",")

    return write
