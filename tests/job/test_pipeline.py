"""The stages on real Arrow data, with a sender that the test controls."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Iterator

import pyarrow as pa
import pytest

from loader.encode import Chunk, Orientation
from loader.errors import BadValue, EmptySource, Refused
from loader.job.pipeline import Pipeline, Stages
from loader.job.progress import Progress
from loader.job.rejects import Rejects
from loader.job.settings import LoadSettings, OnBadRow
from loader.model import Wishes, build_model
from loader.planning import ChunkRules
from loader.sources import Batch

ROWS = 3000


class Rows:
    """A source of ``count`` rows that knows how far it was read and whether it was closed."""

    rereadable = True
    origins = ("rows",)

    def __init__(self, count: int, *, bad: int | None = None, name: str = "n") -> None:
        self.schema = pa.schema([(name, pa.int64()), ("day", pa.date32())])
        self.rows = count
        self.read = 0
        self.closed = False
        self._bad = bad

    def batches(self, batch_bytes: int, columns=None, skip: int = 0) -> Iterator[Batch]:
        try:
            for start in range(skip, self.rows, 100):
                numbers = list(range(start, min(start + 100, self.rows)))
                # A day in the year 25,000 has no ISO 8601 text.
                days = [9_000_000 if number == self._bad else number for number in numbers]
                columns = [pa.array(numbers), pa.array(days, pa.int32()).view(pa.date32())]
                self.read = numbers[-1] + 1
                yield Batch(pa.RecordBatch.from_arrays(columns, schema=self.schema), "rows", start)
        finally:
            self.closed = True


def stages(**changes) -> Stages:
    settings = {
        "orientation": Orientation.ROW,
        "rules": ChunkRules(20_000, 10_000, 40_000),
        "json_budget": 100_000,
        "batch_bytes": 1000,
        "encoders": 2,
        "senders": 3,
        "window": 6,
        "allow_empty": False,
    }
    return Stages(**{**settings, **changes})


async def run(
    sources: dict[str, Rows], send, *, on_bad_row=OnBadRow.FAIL, **changes
) -> tuple[Pipeline, Progress]:
    model = build_model("d", {name: source.schema for name, source in sources.items()}, Wishes())
    progress = Progress()
    settings = LoadSettings(on_bad_row=on_bad_row)
    pipeline = Pipeline(stages(**changes), progress, send, Rejects(settings, "d"))
    await pipeline.run([(table, sources[table.name]) for table in model.tables])
    return pipeline, progress


class Sender:
    """Keeps what it is sent; gives the loop a turn while it does."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.chunks: list[Chunk] = []
        self._fail_at = fail_at

    async def __call__(self, chunk: Chunk) -> None:
        for _ in range(3):
            await asyncio.sleep(0)
        if chunk.index == self._fail_at:
            raise Refused("no", status=400)
        self.chunks.append(chunk)

    def values(self, table: str) -> list:
        mine = sorted((one for one in self.chunks if one.table == table), key=lambda one: one.index)
        return [row for one in mine for row in json.loads(b"".join(one.segments))]


async def test_every_row_arrives_once_and_in_order():
    send = Sender()
    _, progress = await run({"t": Rows(ROWS)}, send)
    assert [row[0] for row in send.values("t")] == list(range(ROWS))
    assert progress.rows_encoded == progress.rows_accepted == ROWS
    assert progress.chunks_cut == progress.chunks_accepted == len(send.chunks) > 2
    assert progress.accepted_bytes == sum(chunk.json_bytes for chunk in send.chunks)


async def test_indices_count_from_1_for_each_table():
    send = Sender()
    await run({"t": Rows(ROWS), "u": Rows(ROWS, name="m")}, send)
    for table in ("t", "u"):
        mine = sorted(chunk.index for chunk in send.chunks if chunk.table == table)
        assert mine == list(range(1, len(mine) + 1))
        assert [row[0] for row in send.values(table)] == list(range(ROWS))


async def test_chunks_know_their_rows():
    send = Sender()
    await run({"t": Rows(ROWS)}, send)
    chunks = sorted(send.chunks, key=lambda chunk: chunk.index)
    ends = [chunk.first_row + chunk.rows for chunk in chunks]
    assert [chunk.first_row for chunk in chunks] == [0, *ends[:-1]]
    assert [chunk.end_row for chunk in chunks] == ends
    assert ends[-1] == ROWS


@pytest.mark.parametrize("senders", [1, 3])
async def test_as_many_chunks_are_sent_at_once_as_there_are_senders(senders):
    all_in = asyncio.Barrier(senders)
    inside = most = 0

    async def send(chunk: Chunk) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        if chunk.index <= senders:
            await all_in.wait()
        inside -= 1

    await run({"t": Rows(20_000)}, send, senders=senders)
    assert most == senders


async def test_a_slow_server_stops_the_reader():
    gate = asyncio.Event()
    started = asyncio.Event()
    source = Rows(100_000)
    budget = 100_000

    async def send(chunk: Chunk) -> None:
        started.set()
        await gate.wait()

    task = asyncio.create_task(run({"t": source}, send, json_budget=budget, senders=1))
    await started.wait()
    before = -1
    while before != source.read:  # until the reader has come to rest
        before = source.read
        for _ in range(200):
            await asyncio.sleep(0)
            await asyncio.to_thread(int)
    # 17 bytes a row and more: what was read is little more than what may be alive.
    assert source.read * 17 < 3 * budget
    gate.set()
    await task
    assert source.read == 100_000


async def test_the_window_holds_chunks_back():
    blocked = asyncio.Event()
    seen: list[int] = []

    async def send(chunk: Chunk) -> None:
        seen.append(chunk.index)
        if chunk.index == 1:
            await blocked.wait()

    task = asyncio.create_task(run({"t": Rows(ROWS)}, send, window=2, senders=3))
    while 2 not in seen:
        await asyncio.to_thread(int)
    for _ in range(200):
        await asyncio.to_thread(int)
    assert sorted(seen) == [1, 2]
    blocked.set()
    await task
    assert sorted(seen) == list(range(1, len(seen) + 1))


async def test_a_refused_chunk_ends_everything():
    send = Sender(fail_at=2)
    source = Rows(1_000_000)
    with pytest.raises(Refused):
        await run({"t": source}, send)
    assert source.closed
    assert source.read < 1_000_000


async def test_a_bad_value_ends_everything():
    send = Sender()
    source = Rows(100_000, bad=50_000)
    with pytest.raises(BadValue) as caught:
        await run({"t": source}, send)
    assert caught.value.details["row"] == 50_001
    assert source.closed


async def test_cancelling_closes_the_source():
    started = asyncio.Event()

    async def send(chunk: Chunk) -> None:
        started.set()
        await asyncio.Event().wait()

    source = Rows(1_000_000)
    task = asyncio.create_task(run({"t": source}, send))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert source.closed


async def test_a_table_without_rows_is_refused_unless_allowed():
    with pytest.raises(EmptySource, match="table 't' has no rows"):
        await run({"t": Rows(0)}, Sender())
    send = Sender()
    await run({"t": Rows(0)}, send, allow_empty=True)
    assert send.chunks == []


async def test_a_row_too_wide_goes_alone_with_a_warning():
    class Wide(Rows):
        def __init__(self) -> None:
            super().__init__(3)
            self.schema = pa.schema([("s", pa.string())])

        def batches(self, batch_bytes: int, columns=None, skip: int = 0) -> Iterator[Batch]:
            assert not skip
            texts = pa.array(["a" * 9_000, "b" * 100_000, "c" * 9_000])
            yield Batch(pa.RecordBatch.from_arrays([texts], schema=self.schema), "rows", 0)

    send = Sender()
    pipeline, _ = await run({"t": Wide()}, send, json_budget=200_000)
    assert [chunk.rows for chunk in sorted(send.chunks, key=lambda one: one.index)] == [1, 1, 1]
    (warning,) = pipeline.warnings()
    assert "1 chunks hold a single row, of up to 100 kB" in warning


async def test_an_accepted_chunk_is_gone():
    """A chunk has slots and cannot be referred to weakly: this looks for those that are left."""

    def left() -> set[int]:
        # Other tests may have kept chunks, of tables of other names.
        chunks = [one for one in gc.get_objects() if isinstance(one, Chunk)]
        return {one.index for one in chunks if one.table == "gone"}

    accepted: set[int] = set()

    async def send(chunk: Chunk) -> None:
        assert left() & accepted <= {chunk.index - 1}
        accepted.add(chunk.index)

    await run({"gone": Rows(ROWS)}, send, senders=1)
    assert len(accepted) > 2
    assert not left()
