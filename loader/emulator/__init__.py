"""A local server that speaks MicroStrategy's Push Data REST API and stores it all in DuckDB.

It is written from the API's documents and shares nothing with the loader but the error tree, so
that a mistake in the loader cannot hide in both. ``docs/emulator.md`` tells what it checks and what
it guesses.

Importing this package costs nothing: the server's own dependencies are imported when it starts.
"""

from __future__ import annotations

from loader.emulator.options import (
    DEFAULT_PORT,
    EmulatorOptions,
    Ingest,
    Order,
    RepeatIndex,
    SessionScope,
    StatusType,
)
from loader.emulator.process import EmulatorProcess

__all__ = [
    "DEFAULT_PORT",
    "EmulatorOptions",
    "EmulatorProcess",
    "Ingest",
    "Order",
    "RepeatIndex",
    "SessionScope",
    "StatusType",
]
