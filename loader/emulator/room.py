"""Bounds what uploads hold in memory together, however many clients send however much at once."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["Room"]


class Room:
    """So many bytes of memory, given out first come, first served.

    A large request is not overtaken for ever by small ones: who comes after it waits as well.

    Args:
        size: In bytes.
    """

    def __init__(self, size: int) -> None:
        self._size = self._free = size
        self._turn = asyncio.Lock()
        self._released = asyncio.Event()

    @asynccontextmanager
    async def hold(self, size: int) -> AsyncIterator[None]:
        """Waits until so many bytes are free, and holds them; more than there are is all of them.

        Args:
            size: In bytes.
        """
        size = min(size, self._size)
        async with self._turn:
            while self._free < size:
                self._released.clear()
                await self._released.wait()
            self._free -= size
        try:
            yield
        finally:
            self._free += size
            self._released.set()
