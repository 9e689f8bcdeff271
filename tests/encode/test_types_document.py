"""docs/types.md against the loader: every example encoded and compared, no type left out."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import pyarrow as pa
import pytest

from loader.encode import Orientation
from loader.model import data_type_of
from tests.encode.reading import encode
from tests.encode.typedoc import TYPES, value_of

DOCUMENT = Path(__file__).parents[2] / "docs" / "types.md"
ROW = re.compile(
    r"\| `(?P<type>.+?)` \| (?P<data>[A-Z]+) \| `(?P<value>.+?)` \| `(?P<json>.+?)` \| "
)
ROWS = [ROW.match(line) for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")]


def test_the_document_has_every_type():
    assert None not in ROWS
    assert list(dict.fromkeys(row["type"] for row in ROWS)) == list(TYPES)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['type']} {row['value']}")
def test_the_document_is_what_the_loader_does(row):
    array = value_of(TYPES[row["type"]], row["value"])
    assert data_type_of(array.type) == row["data"]
    batch = pa.RecordBatch.from_arrays([array], ["c"])
    sent = row["json"].encode()
    assert encode(batch, Orientation.COLUMN) == b"[[%b]]" % sent
    assert encode(batch, Orientation.ROW) == b"[[%b]]" % sent
    assert encode(batch, Orientation.RECORDS) == b'[{"c":%b}]' % sent


class _Schema(ctypes.Structure):
    """Arrow's C data interface: the only way to a type that pyarrow has no function for."""


_RELEASE = ctypes.CFUNCTYPE(None, ctypes.POINTER(_Schema))
_Schema._fields_ = [
    *((name, ctypes.c_char_p) for name in ("format", "name", "metadata")),
    *((name, ctypes.c_int64) for name in ("flags", "n_children")),
    *((name, ctypes.c_void_p) for name in ("children", "dictionary")),
    ("release", _RELEASE),
    ("private_data", ctypes.c_void_p),
]


@_RELEASE
def _release(schema):
    schema.contents.release = _RELEASE()


@pytest.mark.parametrize("name", ["month_interval", "day_time_interval", "month_day_nano_interval"])
def test_intervals_have_no_data_type_wherever_they_are(name):
    code = {"month_interval": b"tiM", "day_time_interval": b"tiD"}.get(name, b"tin")
    schema = _Schema(format=code, name=b"", release=_release)
    arrow = pa.DataType._import_from_c(ctypes.addressof(schema))
    assert str(arrow) == name
    assert f"`{name}`" in DOCUMENT.read_text()
    for kept in (
        arrow,
        pa.list_(arrow),
        pa.list_(arrow, 2),
        pa.struct([("a", pa.int8()), ("b", pa.list_view(arrow))]),
        pa.map_(pa.string(), arrow),
        pa.dictionary(pa.int8(), arrow),
        pa.run_end_encoded(pa.int16(), arrow),
        pa.dense_union([pa.field("a", arrow)]),
        pa.opaque(arrow, "t", "v"),
        pa.list_(pa.opaque(pa.struct([("a", arrow)]), "t", "v")),
    ):
        assert data_type_of(kept) is None, kept
