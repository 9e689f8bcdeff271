"""Arbitrary tables through the stages of a load, cut anywhere, read back and compared exactly."""

from __future__ import annotations

import io
import itertools

import pyarrow as pa
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from loader.encode import BlockEncoder, Chunk, Orientation, assemble, chunk_overhead
from loader.job.blocks import blocks
from loader.model import data_type_of
from loader.planning import ChunkRules, Cutter
from loader.sources import Batch
from tests.encode.reading import check_values, compacting, read_columns, table_of
from tests.encode.tables import SCALARS, arrays, columns


@st.composite
def tables(draw: st.DrawFn) -> pa.RecordBatch:
    """Columns of any types, some of them nested, as a slice of longer ones."""
    rows, offset = draw(st.integers(1, 20)), draw(st.integers(0, 3))
    size = rows + offset
    drawn = [
        *(draw(arrays(scalar, size)) for scalar in draw(st.lists(st.sampled_from(SCALARS)))[:4]),
        *(draw(columns(size)) for _ in range(draw(st.integers(0, 2)))),
    ] or [pa.nulls(size)]
    names = [f'c{number}"\u2028' for number in range(len(drawn))]
    return pa.RecordBatch.from_arrays(drawn, names).slice(offset)


def batches(data: pa.RecordBatch, ends: list[int]) -> list[Batch]:
    """The rows in batches as a reader may deliver them: some of them slices of longer arrays."""
    cuts = sorted({0, data.num_rows, *(end for end in ends if end < data.num_rows)})
    parts = [data.slice(start, stop - start) for start, stop in itertools.pairwise(cuts)]
    return [
        Batch(data=part, origin="f", row=start) for start, part in zip(cuts, parts, strict=False)
    ]


def chunks_of(
    source: list[Batch], orientation: Orientation, rules: ChunkRules, block: int, as_text: set[str]
) -> list[Chunk]:
    """What a load makes of the batches of one table."""
    schema = source[0].data.schema
    encoder = BlockEncoder(table_of(schema, as_text=as_text), orientation)
    cutter = Cutter(rules, chunk_overhead(orientation, len(schema)))
    held, chunks = [], []

    def cut(count: int) -> None:
        first = sum(chunk.rows for chunk in chunks)
        taken, held[:] = held[:count], held[count:]
        rows = range(first, first + sum(block.rows for block in taken))
        chunks.append(assemble("t", len(chunks) + 1, rows, taken, orientation))

    for piece in blocks(source, lambda batch: [batch], block):
        held.append(encoder.encode(piece.parts))
        for count in cutter.feed(held[-1].size):
            cut(count)
    for count in cutter.finish():
        cut(count)
    assert not held
    return chunks


@given(
    data=tables(),
    orientation=st.sampled_from(Orientation),
    ends=st.lists(st.integers(1, 20), max_size=4),
    target=st.integers(2, 400),
    block=st.integers(1, 200),
    quoted=st.booleans(),
    least=st.sampled_from((1, 2048)),
)
@settings(max_examples=200, deadline=None)
def test_every_value_of_every_type_survives_any_cut(  # noqa: PLR0917 - what hypothesis draws
    data, orientation, ends, target, block, quoted, least
):
    numbers = {field.name for field in data.schema if data_type_of(field.type).is_number}
    as_text = numbers if quoted else set()
    rules = ChunkRules.of(target)
    with compacting(least):
        chunks = chunks_of(batches(data, ends), orientation, rules, block, as_text)
    assert [chunk.index for chunk in chunks] == list(range(1, len(chunks) + 1))
    assert sum(chunk.rows for chunk in chunks) == data.num_rows
    row = 0
    for chunk in chunks:
        text = b"".join(chunk.segments)
        assert (chunk.first_row, chunk.json_bytes) == (row, len(text))
        part = data.slice(row, chunk.rows)
        check_values(read_columns(text, orientation, data.schema.names), part, as_text)
        row += chunk.rows


def _nests_dictionaries(arrow: pa.DataType) -> bool:
    """Whether a type has dictionaries that pyarrow reads as others than it wrote."""
    told = str(arrow)
    return told.count("dictionary<") > 1 or "dictionary<values=extension" in told


@given(
    data=tables(),
    ends=st.lists(st.integers(1, 20), max_size=4),
    orientation=st.sampled_from(Orientation),
)
def test_arrays_that_came_through_a_file_give_the_same_bytes(data, ends, orientation):
    """A file's arrays begin at offset 0, and have no validity bits where none is null."""
    assume(not any(map(_nests_dictionaries, data.schema.types)))
    written = io.BytesIO()
    try:
        with pa.ipc.new_stream(written, data.schema) as stream:
            for batch in batches(data, ends):
                stream.write_batch(batch.data)
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid, pa.ArrowTypeError):
        return  # not every array that can be made can be written
    stored = pa.ipc.open_stream(written.getvalue()).read_all()
    assume(stored.schema == data.schema)
    parts = stored.to_batches()
    rows = itertools.accumulate((part.num_rows for part in parts), initial=0)
    read = [Batch(data=part, origin="f", row=row) for part, row in zip(parts, rows, strict=False)]
    rules = ChunkRules.of(10**6)
    (ours,) = chunks_of([Batch(data=data, origin="f", row=0)], orientation, rules, 10**6, set())
    (theirs,) = chunks_of(read, orientation, rules, 10**6, set())
    assert b"".join(theirs.segments) == b"".join(ours.segments)
