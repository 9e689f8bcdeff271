"""Writes a Parquet file whose single row group holds about 2 GB of data."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 10_000_000
BATCH = 500_000


def batch(start: int, generator: np.random.Generator) -> pa.RecordBatch:
    """About 200 bytes a row, little of which compresses."""
    size = BATCH
    texts = [f"{value:0168x}" for value in generator.integers(0, 2**62, size)]
    return pa.RecordBatch.from_pydict(
        {
            "id": np.arange(start, start + size),
            "value": generator.random(size),
            "amount": generator.integers(0, 10**9, size),
            "day": generator.integers(0, 20_000, size).astype("datetime64[D]"),
            "text": texts,
        }
    )


def main() -> None:
    """Writes the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    path = parser.parse_args().file
    generator = np.random.default_rng(1)
    whole = pa.Table.from_batches([batch(start, generator) for start in range(0, ROWS, BATCH)])
    pq.write_table(whole, path, row_group_size=ROWS, use_dictionary=False)
    group = pq.ParquetFile(path).metadata.row_group(0)
    print(f"{path}: {group.num_rows:,} rows, {group.total_byte_size / 1e9:.2f} GB in 1 row group")


if __name__ == "__main__":
    main()
