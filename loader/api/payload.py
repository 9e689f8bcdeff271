"""The body of a request: written in slices, replayable, of known length, never whole in memory."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import orjson
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

__all__ = ["Base64Data", "OnSlice", "SlicedPayload", "body_parts"]

SLICE_BYTES = 1 << 20
"""How much goes to the transport at once: large enough to cost nothing, small enough that the event
loop turns between two of them (a body given whole stalls it for a quarter of a second)."""

OnSlice = Callable[[int], Awaitable[None]]
"""Awaited with the number of base64 bytes after each slice was handed to the transport."""


class Base64Data(Protocol):
    """A chunk's base64 text, encoded while it is sent."""

    def __len__(self) -> int:
        """Returns the exact number of bytes that iterating yields."""
        ...

    def __iter__(self) -> Iterator[bytes]:
        """Returns a fresh iterator over the same bytes, in slices of about 1 MiB."""
        ...


def body_parts(body: Mapping[str, Any]) -> list[bytes | Base64Data]:
    """Serialises a body to JSON, leaving out the ``Base64Data`` among its values.

    Returns:
        The body in order: JSON text as bytes, and each ``Base64Data`` where its text belongs. The
        quotes around it are in the JSON text; base64 needs no escaping.
    """
    found: list[Base64Data] = []
    mark = secrets.token_hex(16)

    def placeholder(value: Any) -> str:
        if isinstance(value, (bytes, bytearray, memoryview)):
            raise TypeError("bytes are no JSON value; base64 text is str or Base64Data")
        found.append(value)
        return mark

    # The mark is random, so no name or value of the body can be taken for it.
    texts = orjson.dumps(body, default=placeholder).split(mark.encode())
    parts: list[bytes | Base64Data] = [texts[0]]
    for data, text in zip(found, texts[1:], strict=True):
        parts += [data, text]
    return parts


class _CallerFailed(Exception):
    """Stands for what the data or ``on_slice`` raised, which is no failure of the connection."""


class SlicedPayload(Payload):
    """An aiohttp payload that writes parts slice by slice and knows how far it came.

    It is sent once: whether a request is repeated is not for the transport to decide.

    Attributes:
        sent: Bytes handed to the transport.
        complete: Whether the last byte was.
        failure: What the data or ``on_slice`` raised, or None; aiohttp hides it in an error of its
            own, so the sender has to look here first.
    """

    _autoclose = True  # nothing to close: aiohttp needs no reminder

    def __init__(
        self,
        parts: Sequence[bytes | Base64Data],
        *,
        on_slice: OnSlice | None = None,
        stall_timeout: float | None = None,
    ) -> None:
        """Sets up the body; nothing is encoded yet.

        Args:
            parts: The body in order.
            on_slice: Awaited after each slice of a ``Base64Data``; its counts add up to the
                lengths of the data. It may wait, to limit the rate.
            stall_timeout: Seconds in which the transport must take a slice, else ``TimeoutError``.
        """
        super().__init__(parts, content_type="application/json")
        self._size = sum(map(len, parts))
        self._on_slice = on_slice
        self._stall_timeout = stall_timeout
        self.sent = 0
        self.complete = False
        self.failure: Exception | None = None

    @property
    def consumed(self) -> bool:
        """Always true: else aiohttp repeats a PUT by itself, and nobody counts that."""
        return True

    @property
    def length(self) -> int:
        """The whole body's bytes."""
        assert self._size is not None
        return self._size

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Returns the whole body as text: aiohttp's contract, used by tests; requests never do."""
        return b"".join(b"".join(_pieces(part)) for part in self._value).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Writes the whole body."""
        for part in self._value:
            await self._write_part(writer, part)
        self.complete = True

    async def _write_part(self, writer: AbstractStreamWriter, part: bytes | Base64Data) -> None:
        missing = len(part)
        pieces = _pieces(part)
        counted = None if isinstance(part, bytes) else self._on_slice
        while True:
            with self._blaming_the_caller():
                piece = next(pieces, None)
                missing -= len(piece or b"")
                # More bytes than Content-Length says would be read as the next request; fewer
                # would make the server wait for ever.
                if missing < 0 or (piece is None and missing):
                    raise ValueError(f"the data's length is wrong by {abs(missing)} bytes or more")
            if piece is None:
                return
            # A turn of the loop, so that an answer that came early is read before the connection's
            # end is noticed by writing to it.
            await asyncio.sleep(0)
            async with asyncio.timeout(self._stall_timeout):
                await writer.write(piece)
            self.sent += len(piece)
            if counted is not None:
                with self._blaming_the_caller():
                    await counted(len(piece))

    @contextmanager
    def _blaming_the_caller(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001  # kept for the sender, whatever it is
            self.failure = error
            raise _CallerFailed from None


def _pieces(part: bytes | Base64Data) -> Iterator[bytes]:
    if isinstance(part, bytes):
        return (part[at : at + SLICE_BYTES] for at in range(0, len(part), SLICE_BYTES))
    return iter(part)
