"""pandas lives in the vendor's environment: imported in ours, it would slow every pyarrow call."""

from __future__ import annotations

import json
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-vendor/bin/python"
# What the vendor's environment lacks of our dependencies comes from ours, after its own.
SCRIPT = f"""
import json, sys
sys.path[:0] = [{str(ROOT)!r}]
sys.path.append({sysconfig.get_path("purelib")!r})
import pandas as pd
from loader.sources import SourceOptions, open_tables

frame = pd.DataFrame({{
    "n": [1, 2, 3],
    "s": ["x", None, "z" * 50],
    "t": pd.to_datetime(["2024-01-01", None, "2024-01-03"]),
    "c": pd.Categorical(["a", "b", "a"]),
}})
source = open_tables(frame, SourceOptions(where="n <> 2"))["table"]
rows = [
    [row for batch in source.batches(1 << 20) for row in batch.data.to_pylist()] for _ in range(2)
]
chunks = open_tables({{"t": (frame[at : at + 1] for at in range(3))}})["t"]
numbers = [n for batch in chunks.batches(1 << 20, ["n"]) for n in batch.data["n"].to_pylist()]
print(json.dumps([source.rereadable, source.schema.names, rows, numbers], default=str))
"""


@pytest.mark.slow
def test_a_data_frame():
    done = subprocess.run(
        [PYTHON, "-c", SCRIPT], check=True, capture_output=True, text=True, timeout=60
    )
    rereadable, names, (once, again), numbers = json.loads(done.stdout)
    assert rereadable
    assert names == ["n", "s", "t", "c"]
    assert once == again
    assert once == [
        {"n": 1, "s": "x", "t": "2024-01-01 00:00:00", "c": "a"},
        {"n": 3, "s": "z" * 50, "t": "2024-01-03 00:00:00", "c": "a"},
    ]
    assert numbers == [1, 2, 3]
