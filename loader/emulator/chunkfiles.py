"""Keeps the chunks of upload sessions in files until they are published."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

__all__ = ["POSITION", "ChunkFiles", "column_name"]

#: The column of a chunk that is read back which holds each row's position in the chunk.
POSITION = "position"

# Rows that are in memory at once while a chunk is read.
_BATCH_ROWS = 1 << 16


def column_name(number: int) -> str:
    """Returns what the column of this position is called in a chunk that is read back.

    The names of the model would not do: they may differ by case alone, or be ``position``.
    """
    return f"c{number}"


class ChunkFiles:
    """A directory of Arrow files, one for each chunk.

    LZ4 takes a tenth of the time that decoding the JSON does, and less than half as much goes to
    the disk. A file gets its name when it is complete: a killed server leaves no half chunk behind
    under a name that anybody knows.

    Args:
        directory: Where they live, created when missing; None for a temporary one that ``close``
            removes.
    """

    def __init__(self, directory: Path | None) -> None:
        self._temporary = directory is None
        self._directory = directory or Path(tempfile.mkdtemp(prefix="mstr-emulator-"))
        self._directory.mkdir(parents=True, exist_ok=True)

    def write(self, data: pa.Table) -> str:
        """Keeps a chunk and returns the name to read it by."""
        name = f"{uuid.uuid4().hex}.arrow"
        unfinished = self._directory / f"{name}.part"
        table = data.rename_columns([column_name(number) for number in range(data.num_columns)])
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        try:
            with (
                pa.OSFile(str(unfinished), "wb") as sink,
                pa.ipc.new_file(sink, table.schema, options=options) as writer,
            ):
                writer.write_table(table, _BATCH_ROWS)
            unfinished.rename(self._directory / name)
        finally:
            unfinished.unlink(missing_ok=True)
        return name

    def read(self, name: str) -> pa.RecordBatchReader:
        """Returns a chunk as a stream: columns called by ``column_name``, and ``POSITION``."""
        file = pa.ipc.open_file(pa.memory_map(str(self._directory / name)))
        schema = file.schema.append(pa.field(POSITION, pa.int64()))

        def batches() -> Iterator[pa.RecordBatch]:
            position = 0
            for number in range(file.num_record_batches):
                batch = file.get_batch(number)
                rows = pa.array(np.arange(position, position + len(batch)))
                yield pa.RecordBatch.from_arrays([*batch.columns, rows], schema=schema)
                position += len(batch)

        return pa.RecordBatchReader.from_batches(schema, batches())

    def remove(self, name: str) -> None:
        """Forgets a chunk."""
        (self._directory / name).unlink(missing_ok=True)

    def sweep(self, known: Collection[str]) -> None:
        """Removes what a killed server left: files of which the catalogue does not know."""
        for file in self._directory.iterdir():
            if file.suffix in {".arrow", ".part"} and file.name not in known:
                file.unlink()

    def close(self) -> None:
        """Removes the directory if it was temporary."""
        if self._temporary:
            shutil.rmtree(self._directory, ignore_errors=True)
