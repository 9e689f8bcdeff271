"""Remembers table ids, which only ``POST /api/datasets`` tells, for the updates that need them."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from loader.job.state import state_directory

__all__ = ["TableIds"]

# Seconds to wait for another process that is writing; a write takes milliseconds.
_BUSY = 10.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS table_ids (
    server TEXT NOT NULL,
    dataset_id TEXT NOT NULL,
    table_name TEXT NOT NULL,
    table_id TEXT NOT NULL,
    changed TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    PRIMARY KEY (server, dataset_id, table_name)
) WITHOUT ROWID
"""


class TableIds:
    """The table ids known on this host, in a small SQLite file of the state directory.

    What was remembered survives a crash, and several processes may remember at once. Every call
    blocks: call it off the event loop. A file that cannot be used raises ``sqlite3.Error`` or
    ``OSError``.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or state_directory() / "table_ids.sqlite"

    def __repr__(self) -> str:
        return f"<TableIds {self.path}>"

    def find(self, server: str, dataset_id: str, table: str) -> str | None:
        """Returns the id of a dataset's table, or None.

        A server goes by several names (an alias, another port), and a dataset's id is unique in the
        world: an id that was remembered under another name is better than none.
        """
        if not self.path.exists():
            return None
        with self._opened() as database:
            found = database.execute(
                "SELECT table_id FROM table_ids WHERE dataset_id = ? AND table_name = ?"
                " ORDER BY server = ? DESC, changed DESC LIMIT 1",
                (dataset_id, table, server),
            ).fetchone()
        return None if found is None else str(found[0])

    def remember(self, server: str, dataset_id: str, table: str, table_id: str) -> None:
        """Keeps the id of a dataset's table; it is on the disk when this returns."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._opened() as database:
            database.execute(
                "INSERT OR REPLACE INTO table_ids (server, dataset_id, table_name, table_id)"
                " VALUES (?, ?, ?, ?)",
                (server, dataset_id, table, table_id),
            )

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """Gives the database inside one transaction, which nobody else writes in."""
        database = sqlite3.connect(self.path, timeout=_BUSY, isolation_level=None)
        with contextlib.closing(database):
            database.execute("BEGIN IMMEDIATE")
            database.execute(_SCHEMA)
            yield database
            database.execute("COMMIT")
