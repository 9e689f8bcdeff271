"""Puts the blocks of one row range together into the JSON of a chunk, without copying them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from loader.encode.base64 import Base64Text, Segment
from loader.encode.block import Encoded
from loader.encode.orientation import Orientation

__all__ = ["Chunk", "assemble", "chunk_overhead", "row_overhead"]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A row range of one table, encoded and ready to be sent as often as it takes.

    Attributes:
        table: The table's name.
        index: 1..N, contiguous within the table.
        first_row: Where its rows begin among all that the source delivers, rejected ones too; the
            first is 0.
        rows: How many rows.
        end_row: Where the rows that it covers end, counted in the same way; that one is no part of
            it. Rejected ones may be among them. Between two chunks there may be some that belong
            to neither.
        segments: The JSON, in order.
        json_bytes: Its size: what the chunk rules call the size of a chunk.
    """

    table: str
    index: int
    first_row: int
    rows: int
    end_row: int
    segments: tuple[Segment, ...]
    json_bytes: int

    @property
    def data(self) -> Base64Text:
        """The ``data`` of a PUT (many-requests document, "Add data to the upload session").

        Or of a table that is sent with one request (one-request document, "Create a dataset").
        """
        return Base64Text(self.segments)


def chunk_overhead(orientation: Orientation, columns: int) -> int:
    """Returns the bytes of a chunk beyond the sizes of its blocks: brackets, less commas."""
    return 1 + 2 * columns if orientation is Orientation.COLUMN else 1


def row_overhead(orientation: Orientation, columns: Sequence[str]) -> int:
    """Returns the bytes of a row beyond its values and their commas: the names in a record."""
    if orientation is not Orientation.RECORDS:
        return 0
    return sum(len(orjson.dumps(name)) + len(":") for name in columns) + len("{}")


def assemble(
    table: str,
    index: int,
    covered: range,
    blocks: Sequence[Encoded],
    orientation: Orientation,
) -> Chunk:
    """Returns the chunk that the blocks make, in their order.

    ``covered`` are the positions of their rows among all that the source delivers, rejected ones
    among them.

    Column orientation: ``[[a1,a2,…],[b1,b2,…]]``; row orientation: ``[[a1,b1],[a2,b2],…]``
    (many-requests document, "Orientation"); records: ``[{"a":a1,"b":b1},{"a":a2,"b":b2},…]``
    (one-request document, "Create a dataset").
    """
    segments: list[Segment] = []
    separator = b"[[" if orientation is Orientation.COLUMN else b"["
    for lane in range(len(blocks[0].lanes)):
        for block in blocks:
            for segment in block.lanes[lane]:
                segments += (separator, segment)
                separator = b","
        separator = b"],["
    segments.append(b"]]" if orientation is Orientation.COLUMN else b"]")
    return Chunk(
        table=table,
        index=index,
        first_row=covered.start,
        rows=sum(block.rows for block in blocks),
        end_row=covered.stop,
        segments=tuple(segments),
        json_bytes=sum(map(len, segments)),
    )
