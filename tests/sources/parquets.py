"""Parquet files for tests, and columns of texts that repeat."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

MB = 1_000_000
TEXTS = pa.dictionary(pa.int32(), pa.string())
FEW = 4_000


def write(path: Path, columns: dict | pa.Table, **options) -> str:
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    pq.write_table(table, path, **options)
    return str(path)


def read(source, batch_bytes: int = 1 << 20) -> pa.Table:
    return pa.Table.from_batches([b.data for b in source.batches(batch_bytes)], source.schema)


def few_texts(kind: pa.DataType, start: int = 0) -> pa.Array:
    """Hundreds of rows for each text; some are null."""
    texts = [None if i % 11 == 0 else f"tëxt {i % 7}" for i in range(start, start + FEW)]
    return pa.array(texts, kind)
