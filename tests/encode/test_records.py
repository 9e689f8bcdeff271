"""Rows as JSON objects: names and values against Python's own reading and writing of JSON."""

from __future__ import annotations

import json

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from loader.encode import Orientation
from loader.encode.records import record_writer
from tests.encode.reading import encode, read
from tests.encode.tables import columns

TEXTS = st.text(st.characters(exclude_categories=("Cs",)))


@given(st.lists(TEXTS, min_size=1, unique=True))
def test_any_name_is_escaped(names):
    texts = [pa.array([str(number), "null"]) for number in range(len(names))]
    written = json.loads(b"[" + bytes(record_writer(names)(texts)) + b"]")
    assert written == [
        {name: number for number, name in enumerate(names)},
        dict.fromkeys(names),
    ]


@given(st.data(), st.integers(1, 9), st.lists(st.integers(1, 8), max_size=3))
def test_values_are_written_as_in_rows(data, rows, cuts):
    count = data.draw(st.integers(1, 4))
    arrays = [data.draw(columns(rows, 1)) for _ in range(count)]
    batch = pa.RecordBatch.from_arrays(arrays, names=["a", "b.c", "é", "d e"][:count])
    cuts = [cut for cut in cuts if cut < rows]
    records = read(encode(batch, Orientation.RECORDS, cuts))
    assert [[name for name, _ in row] for row in records] == [batch.schema.names] * rows
    assert [[value for _, value in row] for row in records] == read(encode(batch, Orientation.ROW))


@given(st.lists(st.tuples(st.integers(-9, 9) | st.none(), TEXTS | st.none()), min_size=1))
def test_python_reads_the_rows_that_were_written(rows):
    given = [{"n": number, "text, or not": text} for number, text in rows]
    schema = pa.schema([("n", pa.int64()), ("text, or not", pa.string())])
    batch = pa.RecordBatch.from_pylist(given, schema)
    assert json.loads(encode(batch, Orientation.RECORDS)) == given


def test_no_byte_is_wasted():
    batch = pa.RecordBatch.from_pydict({"a": [1, 2], "é": ["x", None]})
    expected = '[{"a":1,"é":"x"},{"a":2,"é":null}]'
    assert encode(batch, Orientation.RECORDS).decode() == expected
