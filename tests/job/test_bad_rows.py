"""Bad rows of every stage on their way through the pipeline: told in order, and never lost."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.badrow import BadRow
from loader.encode import BlockEncoder, Chunk, Orientation
from loader.errors import BadValue, EmptySource, SourceUnreadable, TooManyBadRows
from loader.eventloop import run_anywhere
from loader.job.pipeline import Pipeline, Stages
from loader.job.progress import Progress
from loader.job.rejects import Rejects
from loader.job.settings import BadRowLimit, LoadSettings, OnBadRow
from loader.model import Column, DataType, Role, Table
from loader.planning import ChunkRules
from loader.sources import Batch
from tests.encode.reading import read

FAR = 9_000_000  # a day in the year 26,611, which has no ISO 8601 text

TABLE = Table(
    "t",
    (
        Column("n", pa.string(), pa.int64(), DataType.BIGINTEGER, Role.METRIC, "n"),
        Column("day", pa.date32(), pa.date32(), DataType.DATE, Role.ATTRIBUTE, "day"),
    ),
)


class Source:
    """Rows that are good, or rejected by the reader, while shaping, or by the encoder."""

    rereadable = True
    origins = ("f",)
    notes = ()
    schema = pa.schema([("n", pa.string()), ("day", pa.date32())])

    def __init__(self, kinds: str, batch: int = 7, *, broken: bool = False) -> None:
        self.kinds = kinds
        self.rows = len(kinds)
        self._batch = batch
        self._broken = broken

    def batches(self, batch_bytes: int, columns=None, skip: int = 0) -> Iterator[Batch]:
        for start in range(skip, len(self.kinds), self._batch):
            rows = range(start, min(start + self._batch, len(self.kinds)))
            shown = [row for row in rows if self.kinds[row] != "r"]
            numbers = [f"x{row}" if self.kinds[row] == "s" else str(row) for row in shown]
            days = [FAR if self.kinds[row] == "e" else row for row in shown]
            yield Batch(
                data=pa.RecordBatch.from_arrays(
                    [pa.array(numbers, pa.string()), pa.array(days, pa.int32()).view(pa.date32())],
                    schema=self.schema,
                ),
                origin="f",
                row=start,
                positions=np.array(shown, np.int64),
                rejected=tuple(
                    BadRow("f", row + 1, None, "", "has too few fields", "mend it")
                    for row in rows
                    if self.kinds[row] == "r"
                ),
            )
        if self._broken:
            raise SourceUnreadable("the file is damaged", hint="mend it")

    def good(self) -> list[int]:
        return [row for row, kind in enumerate(self.kinds) if kind == "g"]

    def bad(self) -> list[int]:
        return [row + 1 for row, kind in enumerate(self.kinds) if kind != "g"]


class Run:
    """A pipeline over some sources, and what came out of it."""

    def __init__(
        self, policy: str = "skip", *, orientation=Orientation.ROW, limit=None, **changes
    ) -> None:
        self.chunks: list[Chunk] = []
        self.rejects = Rejects(
            LoadSettings(
                on_bad_row=OnBadRow(policy),
                max_bad_rows=None if limit is None else BadRowLimit.parse(limit),
            ),
            "d",
        )
        sizes = {
            "orientation": orientation,
            "rules": ChunkRules(30_000, 15_000, 60_000),
            "json_budget": 100_000,
            "batch_bytes": 1000,
            "encoders": 2,
            "senders": 2,
            "window": 6,
            "allow_empty": False,
        }
        self.progress = Progress()
        self.pipeline = Pipeline(
            Stages(**{**sizes, **changes}), self.progress, self._send, self.rejects
        )

    async def _send(self, chunk: Chunk) -> None:
        self.chunks.append(chunk)

    async def __call__(self, **sources: Source) -> Run:
        await self.pipeline.run(
            [(Table(name, TABLE.columns), source) for name, source in sources.items()]
        )
        self.chunks.sort(key=lambda chunk: (chunk.table, chunk.index))
        return self

    def numbers(self, table: str = "t") -> list[int]:
        whole = [
            json.loads(b"".join(map(bytes, one.segments)))
            for one in self.chunks
            if one.table == table
        ]
        return [row[0] for rows in whole for row in rows]


MIXED = st.lists(
    st.sampled_from([("g", 40), ("g", 1), ("r", 1), ("r", 80), ("s", 1), ("e", 1), ("e", 40)]),
    max_size=12,
).map(lambda runs: "".join(kind * count for kind, count in runs) + "g")


@given(MIXED, st.integers(1, 60))
@settings(max_examples=25)
def test_good_rows_arrive_and_bad_ones_are_told(kinds, batch):
    source = Source(kinds, batch)
    told: list[BadRow] = []

    async def load() -> Run:
        run = Run(json_budget=3_000, rules=ChunkRules(600, 300, 1200))
        take = run.rejects.take

        async def noting(table, rows, bad):
            told.extend(bad)
            await take(table, rows, bad)

        run.rejects.take = noting
        return await run(t=source)

    run = run_anywhere(load)
    assert run.numbers() == source.good()
    assert [bad.row for bad in told] == source.bad()
    assert run.rejects.read == len(kinds)
    assert run.progress.rows_accepted == len(source.good())


@pytest.mark.parametrize("batch", [1, 13, 10_000])
async def test_chunks_begin_where_they_did_however_the_reader_batches(batch):
    kinds = ("g" * 900 + "r" * 50 + "s" * 30 + "e" * 20) * 6
    run = await Run()(t=Source(kinds, batch))
    whole = await Run()(t=Source(kinds, 77))
    assert len(run.chunks) > 3

    def places(one: Run) -> list[tuple[int, int]]:
        return [(chunk.first_row, chunk.rows) for chunk in one.chunks]

    assert places(run) == places(whole)
    ends = [chunk.first_row for chunk in run.chunks[1:]] + [len(kinds)]
    for chunk, end in zip(run.chunks, ends, strict=True):
        assert kinds[chunk.first_row : end].count("g") == chunk.rows


@pytest.mark.parametrize(
    ("kinds", "row", "says"),
    [
        ("g" * 50 + "e" + "g" * 50 + "s" * 3, 51, "the years 1 to 9999"),
        ("g" * 50 + "s" + "e" + "r", 51, "does not fit BIGINTEGER"),
        ("g" * 3000 + "re" + "s" * 3000, 3001, "too few fields"),
        ("e" + "r" * 5000, 1, "the years 1 to 9999"),
    ],
)
@pytest.mark.parametrize("broken", [False, True])
async def test_the_first_problem_in_the_source_is_the_one_named(kinds, row, says, broken):
    """An earlier row, though an encoder is slower than the reader that fails after it."""
    with pytest.raises(BadValue) as caught:
        await Run("fail")(t=Source(kinds, broken=broken))
    assert caught.value.details["row"] == row
    assert says in caught.value.message


async def test_what_cannot_be_read_is_told_after_the_rows_before_it():
    run = Run("skip")
    with pytest.raises(SourceUnreadable):
        await run(t=Source("ge" * 100, broken=True))
    assert run.rejects.rejected == 100


async def test_an_error_of_the_first_table_is_told_before_one_of_the_second():
    with pytest.raises(BadValue) as caught:
        await Run("fail")(a=Source("g" * 300 + "e"), b=Source("s", broken=True))
    assert caught.value.details["table"] == "a"


@pytest.mark.parametrize("kind", "rse")
@pytest.mark.parametrize("allow_empty", [False, True])
async def test_a_table_of_bad_rows_is_empty_whatever_is_allowed(kind, allow_empty):
    run = Run(allow_empty=allow_empty)
    with pytest.raises(EmptySource, match="table 'b': all 5,000 rows were rejected") as caught:
        await run(a=Source("g"), b=Source(kind * 5_000))
    assert caught.value.details["table"] == "b"
    assert not [chunk for chunk in run.chunks if chunk.table == "b"]


async def test_blocks_without_a_good_row_are_no_chunks():
    run = await Run(rules=ChunkRules(2_000, 1_000, 4_000))(
        t=Source("g" + "e" * 5_000 + "g" + "r" * 5_000 + "s" * 5_000 + "g")
    )
    assert run.numbers() == [0, 5_001, 15_002]
    assert all(chunk.rows for chunk in run.chunks)


async def test_too_many_end_the_load_early():
    run = Run(limit="10")
    source = Source("g" * 100 + "s" * 11 + "g" * 100_000)
    with pytest.raises(TooManyBadRows):
        await run(t=source)
    assert sum(chunk.rows for chunk in run.chunks) < 100_000


# -- what the encoder refuses ----------------------------------------------------------------------


def encoded(kinds: str, orientation: Orientation, batch: int):
    (block,) = [list(Source(kinds, batch).batches(0))]
    columns = (
        Column("n", pa.string(), pa.string(), DataType.STRING, Role.ATTRIBUTE, "n"),
        Column("day", pa.date32(), pa.date32(), DataType.DATE, Role.ATTRIBUTE, "day"),
    )
    return BlockEncoder(Table("t", columns), orientation).encode(block)


@pytest.mark.parametrize("orientation", Orientation)
@given(kinds=st.text("gre", min_size=1, max_size=40), batch=st.integers(1, 40))
def test_the_json_is_what_it_would_be_without_the_bad_rows(orientation, kinds, batch):
    with_bad = encoded(kinds, orientation, batch)
    positions = [row for row, kind in enumerate(kinds) if kind == "g"]
    assert with_bad.rows == len(positions)
    assert [bad.row for bad in with_bad.rejected] == [
        row + 1 for row, kind in enumerate(kinds) if kind != "g"
    ]
    lanes = [b",".join(map(bytes, lane)) for lane in with_bad.lanes]
    if orientation is Orientation.ROW and positions:
        values = read(b"[" + lanes[0] + b"]")
        assert [row[0] for row in values] == [str(row) for row in positions]
    # The good rows alone, in their places, from one batch.
    alone = encoded("".join(kind if kind == "g" else "r" for kind in kinds), orientation, 1000)
    assert lanes == [b",".join(map(bytes, lane)) for lane in alone.lanes]
    assert with_bad.size == sum(len(lane) + 1 for lane in lanes if lane)


def test_what_several_columns_refuse_is_in_the_order_of_the_rows():
    columns = (
        Column("day", pa.date32(), pa.date32(), DataType.DATE, Role.ATTRIBUTE, "Tag"),
        Column("n", pa.string(), pa.string(), DataType.BIGDECIMAL, Role.METRIC, "n"),
    )
    days = pa.array([0, 1, FAR, FAR, 4], pa.int32()).view(pa.date32())
    data = pa.RecordBatch.from_arrays([days, pa.array(["x", "1", "y", "2", "z"])], ["day", "n"])
    parts = [Batch(data.slice(0, 2), "a", 0), Batch(data.slice(2), "a", 2), Batch(data, "b", 0)]
    block = BlockEncoder(Table("t", columns), Orientation.ROW).encode(parts)
    assert [(bad.origin, bad.row, bad.column) for bad in block.rejected] == [
        (file, row, column)
        for file in "ab"
        for row, column in ((1, "n"), (3, "Tag"), (4, "Tag"), (5, "n"))
    ]
    assert block.rows == 2
    assert block.rejected[0].value == "x"
    assert block.rejected[0].reason == "does not fit BIGDECIMAL: not a number"


@given(st.lists(st.sampled_from([1.0, float("nan"), float("inf"), None]), max_size=30), st.data())
def test_lost_floats_are_those_of_the_rows_that_are_sent(values, data):
    kinds = data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))
    batch = pa.RecordBatch.from_pydict(
        {
            "f": pa.array(values, pa.float64()),
            "n": pa.array(["1" if good else "x" for good in kinds], pa.string()),
        }
    )
    columns = (
        Column("f", pa.float64(), pa.float64(), DataType.DOUBLE, Role.METRIC, "f"),
        Column("n", pa.string(), pa.string(), DataType.BIGDECIMAL, Role.METRIC, "n"),
    )
    block = BlockEncoder(Table("t", columns), Orientation.COLUMN).encode([Batch(batch, "f", 0)])
    sent = [value for value, good in zip(values, kinds, strict=True) if good]
    lost = sum(value is not None and value != 1.0 for value in sent)
    assert block.non_finite == ({"f": lost} if lost else {})
