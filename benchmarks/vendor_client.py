"""Times the vendor's client, mstrio-py, on a Parquet file; runs in an environment of its own.

Usage: vendor_client.py URL PARQUET ROWS. Prints one JSON line. What it does is what its users do:
read the file to pandas, convert what the client refuses, create().
"""

import json
import logging
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq
from mstrio import config
from mstrio.connection import Connection
from mstrio.project_objects.datasets import SuperCube

config.verbose = False
logging.disable(logging.WARNING)


def read(path, rows):
    """The first rows as the client takes them: floats for decimals, text for dates."""
    batches, have = [], 0
    for batch in pq.ParquetFile(path).iter_batches(batch_size=100_000):
        batches.append(batch.slice(0, rows - have))
        have += len(batches[-1])
        if have >= rows:
            break
    frame = pa.Table.from_batches(batches).to_pandas()
    for name, values in frame.items():
        kind = type(values.iloc[0]).__name__
        if kind == "Decimal":
            frame[name] = values.astype("float64")
        elif kind == "date":
            frame[name] = values.astype(str)
        elif str(values.dtype) in {"int32", "string", "str"}:
            frame[name] = values.astype("int64" if str(values.dtype) == "int32" else "object")
    return frame


def main():
    """Logs in, then measures reading, and creating with upload and publish."""
    url, path, rows = sys.argv[1], sys.argv[2], int(sys.argv[3])
    connection = Connection(
        base_url=url,
        username="administrator",
        password="",
        project_name="MicroStrategy Tutorial",
        verbose=False,
    )
    began = time.perf_counter()
    frame = read(path, rows)
    read_at = time.perf_counter()
    cube = SuperCube(connection, name="vendor_bench", progress_bar=False)
    cube.add_table("lineitem", frame, "replace")
    cube.create(force=True)
    ended = time.perf_counter()
    connection.close()
    print(json.dumps({"rows": len(frame), "read": read_at - began, "create": ended - read_at}))


if __name__ == "__main__":
    main()
