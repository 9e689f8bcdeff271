"""Texts that a row group has once and shows in many rows: what they take does not follow them."""

from __future__ import annotations

import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loader.encode import BlockEncoder, Orientation
from loader.job.blocks import blocks
from loader.layouts import decoded
from loader.model import Wishes, build_model
from loader.sources.dictionary_pages import longest
from loader.sources.parquet import ParquetSource
from tests.sources.parquets import MB

ROWS, SHOWN, WIDE = 40_000, 10_000, 20_000
"""Of the second of two row groups, so many rows show a text of 20 kB: 200 MB in all."""
WIDE_TEXT = 'wide "' + "w" * WIDE
ROOM = 8 * MB
"""What a batch may take that is read in pieces of 1 MB."""


def column(kind: str, *, wide: bool) -> pa.Array:
    """Thousands of short texts, and maybe a wide one in the middle."""
    chance = random.Random(7)
    entries = [chance.randbytes(8).hex() for _ in range(3_000)] + [WIDE_TEXT]
    places = [chance.randrange(3_000) for _ in range(ROWS)]
    if wide:
        places[ROWS // 2 : ROWS // 2 + SHOWN] = [3_000] * SHOWN
    texts = pa.array(entries if wide else entries[:-1])
    if kind == "binary":
        texts = texts.cast(pa.binary())
    array = pa.DictionaryArray.from_arrays(pa.array(places, pa.int32()), texts)
    if kind == "list":
        array = pa.ListArray.from_arrays(pa.array(range(ROWS + 1), pa.int32()), array)
    return pa.StructArray.from_arrays([array], ["x"]) if kind == "struct" else array


def write(path, kind: str, **options) -> str:
    """Two row groups, the second of which has the wide text."""
    parts = [
        pa.table({"id": pa.array(range(ROWS)), "text": column(kind, wide=wide)})
        for wide in (False, True)
    ]
    with pq.ParquetWriter(path, parts[0].schema, store_schema=False, **options) as writer:
        for part in parts:
            writer.write_table(part)
    return str(path)


@pytest.fixture
def decoded_bytes(monkeypatch):
    """The bytes of each batch that pyarrow has decoded."""
    sizes = []
    plain = pq.ParquetFile.iter_batches

    def iter_batches(self, **options):
        for batch in plain(self, **options):
            sizes.append(batch.get_total_buffer_size())
            yield batch

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", iter_batches)
    return sizes


@pytest.mark.parametrize("kind", ["text", "binary", "list", "struct"])
@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "lz4"])
def test_what_is_decoded_at_once_is_bounded(tmp_path, decoded_bytes, kind, compression):
    path = write(tmp_path / "t.parquet", kind, compression=compression)
    rows = 0
    for batch in ParquetSource([path]).batches(MB):
        data = batch.data
        assert data.column("id").to_pylist() == [
            place % ROWS for place in range(rows, rows + data.num_rows)
        ]
        rows += data.num_rows
        # Whoever casts or copies the texts takes no more than a batch for it either.
        text = data.column("text")
        assert decoded(text).nbytes <= MB + 20 * data.num_rows
    assert rows == 2 * ROWS
    assert max(decoded_bytes) <= ROOM


def test_a_text_among_values_that_follow_a_full_dictionary(tmp_path, decoded_bytes):
    """The rest of the row group has its values themselves: those are read as what they are."""
    chance = random.Random(8)
    texts = [WIDE_TEXT] * SHOWN + [chance.randbytes(20).hex() for _ in range(ROWS)]
    path = str(tmp_path / "t.parquet")
    pq.write_table(pa.table({"text": texts}), path, dictionary_pagesize_limit=100_000)
    chunk = pq.ParquetFile(path).metadata.row_group(0).column(0)
    assert chunk.total_uncompressed_size > ROWS * 40  # not in the dictionary
    read = [
        text
        for batch in ParquetSource([path]).batches(MB)
        for text in batch.data.column("text").to_pylist()
    ]
    assert read == texts
    assert max(decoded_bytes) <= ROOM


@pytest.mark.parametrize("orientation", [Orientation.COLUMN, Orientation.ROW])
def test_blocks_are_bounded_and_the_same_whatever_encodes_them(tmp_path, orientation):
    path = write(tmp_path / "t.parquet", "text")
    source = ParquetSource([path])
    (table,) = build_model("d", {"t": source.schema}, Wishes()).tables
    encoders = [BlockEncoder(table, orientation, native=native) for native in (True, False)]
    rows = 0
    for block in blocks(source.batches(MB), lambda batch: [batch], MB):
        assert block.width <= MB + len(WIDE_TEXT) + 20
        compiled, other = (encoder.encode(block.parts) for encoder in encoders)
        assert compiled.size <= block.width + 20 * compiled.rows  # the estimate counts no escapes
        assert json_of(compiled) == json_of(other)
        rows += compiled.rows
    assert rows == 2 * ROWS


def json_of(encoded) -> list[bytes]:
    """The JSON of each lane."""
    return [b",".join(map(bytes, lane)) for lane in encoded.lanes]


TEXTS = {
    "short": [f"text {i}" for i in range(2_000)],
    "one is long": [*(f"text {i}" for i in range(2_000)), "x" * 3_000],
    "the first is long": ["x" * 70_000, *(f"text {i}" for i in range(2_000))],
    "one is empty": ["", *(f"text {i}" for i in range(2_000))],
    "zeros inside": ["\0\0" * 20_000, "\0a" * 5_000, "a\0\0" * 9_000, "\0", "\0\0\0", ""],
    "zeros in a long one": [*("ab" * (i + 1) for i in range(300)), ("y" * 99 + "\0\0") * 900],
    "lengths with zeros": ["x" * n for n in (256, 512, 1_024, 65_536, 131_072, 16_384)],
    "all lengths": ["z" * n for n in range(700)],
}


@pytest.mark.parametrize("texts", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "brotli", "zstd", "lz4"])
def test_the_longest_entry_is_known(tmp_path, texts, compression):
    path = str(tmp_path / "t.parquet")
    table = pa.table({"a": [*texts, *texts]})
    limit = {"dictionary_pagesize_limit": 16 << 20}
    pq.write_table(table, path, compression=compression, **limit)
    content = (tmp_path / "t.parquet").read_bytes()
    chunk = pq.ParquetFile(path).metadata.row_group(0).column(0)
    found = longest(chunk, 0, lambda at, size: content[at : at + size])
    most = max(map(len, texts))
    assert most <= found
    assert found <= (max(128, 16 * most) if most < 8_192 else most)


@pytest.mark.parametrize("cut", [0, 1, 5, 30, 1_000])
def test_a_page_that_makes_no_sense_counts_as_one_entry(tmp_path, cut):
    path = str(tmp_path / "t.parquet")
    pq.write_table(pa.table({"a": ["x" * 10_000, "y"] * 9}), path, compression="none")
    content = (tmp_path / "t.parquet").read_bytes()
    chunk = pq.ParquetFile(path).metadata.row_group(0).column(0)
    found = longest(chunk, 10, lambda at, size: content[at : at + min(size, cut)])
    assert 10_000 <= found <= chunk.total_uncompressed_size
