"""What the server needs of a place that keeps data, and the one that only counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from loader.emulator.definitions import Policy
from loader.emulator.names import DATABASE
from loader.emulator.options import EmulatorOptions, Ingest

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import pyarrow as pa

    from loader.emulator.definitions import Table

__all__ = ["Archive", "Counts", "open_archive"]


class Archive(Protocol):
    """Keeps staged chunks, published tables and the catalogue's documents.

    All calls block. One thread makes the changes; only a publish may run in another meanwhile, and
    rows may be counted at any time.
    """

    def define(self, dataset_id: str, schema: str, tables: Sequence[Table]) -> None:
        """Makes a dataset's empty tables."""

    def drop(self, dataset_id: str) -> None:
        """Forgets a dataset's tables."""

    def stage(
        self, session_id: str, table: Table, index: int, data: Any, *, append: bool = False
    ) -> None:
        """Keeps a chunk under its index."""

    def publish(
        self, dataset_id: str, session_id: str, policies: Mapping[str, Policy]
    ) -> Mapping[str, int | None]:
        """Applies a session's chunks; returns the rows now in each table."""

    def interrupt(self) -> None:
        """Makes a running publish fail soon, unless it is over; may be called from any thread."""

    def discard(self, session_id: str) -> None:
        """Forgets a session's chunks."""

    def staged(self, session_id: str) -> Collection[tuple[str, int]]:
        """Returns the tables and indices of a session's chunks."""

    def row_count(self, dataset_id: str, table: str) -> int | None:
        """Returns the published rows of a table; None where nobody counted."""

    def save(self, key: str, document: Mapping[str, Any]) -> None:
        """Keeps a document of the catalogue."""

    def documents(self, prefix: str) -> Mapping[str, dict[str, Any]]:
        """Returns the documents whose keys begin like that."""

    def forget(self, key: str) -> None:
        """Removes a document."""

    def close(self) -> None:
        """Lets go of everything."""


class Counts:
    """Keeps no data (``--ingest check`` and ``sink``), only how many rows there would be.

    Counts are those of rows sent: what a policy makes of equal keys would need the data. A chunk
    without data (``sink``) makes its table's count unknown.
    """

    def __init__(self) -> None:
        self._tables: dict[str, dict[str, int | None]] = {}
        self._staged: dict[str, dict[tuple[str, int], int | None]] = {}

    def define(self, dataset_id: str, schema: str, tables: Sequence[Table]) -> None:
        """Makes a dataset's empty tables."""
        del schema
        self._tables[dataset_id] = {table.name: 0 for table in tables}

    def drop(self, dataset_id: str) -> None:
        """Forgets a dataset's tables."""
        self._tables.pop(dataset_id, None)

    def stage(
        self,
        session_id: str,
        table: Table,
        index: int,
        data: pa.Table | None,
        *,
        append: bool = False,
    ) -> None:
        """Counts a chunk."""
        staged = self._staged.setdefault(session_id, {})
        rows = None if data is None else data.num_rows
        before = staged.get((table.name, index), 0) if append else 0
        staged[table.name, index] = None if rows is None or before is None else before + rows

    def publish(
        self, dataset_id: str, session_id: str, policies: Mapping[str, Policy]
    ) -> Mapping[str, int | None]:
        """Adds up a session's chunks."""
        counts = self._tables[dataset_id]
        for table, policy in policies.items():
            total: int | None = 0 if policy is Policy.REPLACE else counts[table]
            for (name, _), rows in self._staged.get(session_id, {}).items():
                if name == table and policy is not Policy.UPDATE:
                    total = None if total is None or rows is None else total + rows
            counts[table] = total
        self.discard(session_id)
        return dict(counts)

    def interrupt(self) -> None:
        """Has nothing to interrupt: adding up takes no time."""

    def discard(self, session_id: str) -> None:
        """Forgets a session's chunks."""
        self._staged.pop(session_id, None)

    def staged(self, session_id: str) -> Collection[tuple[str, int]]:
        """Returns the tables and indices of a session's chunks."""
        return self._staged.get(session_id, {}).keys()

    def row_count(self, dataset_id: str, table: str) -> int | None:
        """Returns the rows sent to a table."""
        return self._tables[dataset_id][table]

    def save(self, key: str, document: Mapping[str, Any]) -> None:
        """Keeps nothing: what has no data need not be found again."""

    def documents(self, prefix: str) -> Mapping[str, dict[str, Any]]:
        """Returns nothing."""
        del prefix
        return {}

    def forget(self, key: str) -> None:
        """Has nothing to remove."""

    def close(self) -> None:
        """Has nothing to let go of."""


def open_archive(options: EmulatorOptions) -> Archive:
    """Opens the place that keeps the data. Blocks."""
    if options.ingest is not Ingest.STORE:
        return Counts()
    # Here and not above: a server that keeps nothing needs no database.
    from loader.emulator.store import Store  # noqa: PLC0415

    if options.data is None:
        return Store(None)
    options.data.mkdir(parents=True, exist_ok=True)
    return Store(options.data / DATABASE)
