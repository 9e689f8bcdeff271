"""The base64 text of a chunk, made slice by slice while it is sent and never held whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pybase64

__all__ = ["Base64Text", "Segment"]

Segment = bytes | memoryview

# A multiple of 3, so that only the last slice is padded; its base64 text has 1 MiB. pybase64 is
# fastest on slices that stay in the processor's cache, and the event loop is held for about 0.1 ms
# by each.
SLICE_BYTES = 768 * 1024


class Base64Text:
    """A replayable base64 text over segments that are never copied together.

    ``len()`` is the number of characters, known before the first slice is made; every iteration
    starts afresh, so a body can be sent again with identical bytes; ``readings`` counts them.
    """

    __slots__ = ("_segments", "_size", "readings")

    def __init__(self, segments: Sequence[Segment]) -> None:
        self._segments = segments
        self.readings = 0
        self._size = sum(map(len, segments))

    def __len__(self) -> int:
        return (self._size + 2) // 3 * 4

    def __iter__(self) -> Iterator[bytes]:
        """Yields slices of at most 1 MiB of text."""
        self.readings += 1
        gathered = bytearray(min(SLICE_BYTES, self._size))
        room = memoryview(gathered)
        filled = 0
        for segment in self._segments:
            rest = memoryview(segment)
            while rest:
                take = min(len(rest), SLICE_BYTES - filled)
                room[filled : filled + take] = rest[:take]
                filled += take
                rest = rest[take:]
                if filled == SLICE_BYTES:
                    yield pybase64.b64encode(gathered)
                    filled = 0
        if filled:
            yield pybase64.b64encode(room[:filled])
