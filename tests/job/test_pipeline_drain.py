"""The first Ctrl-C: what is being sent comes to its end, nothing else begins, a resume goes on."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.encode import Chunk
from loader.errors import Interrupted, Refused, SourceUnreadable
from loader.eventloop import run_anywhere
from loader.job.draining import Drain
from loader.job.restart import StartOver
from loader.planning import ChunkRules
from tests.job.lines import Run, cuts_of, lines, numbers

RULES = ChunkRules.of(400)
ROWS = 2_000


class Held(Run):
    """Sends nothing to its end before it is told to."""

    def __init__(
        self, rows: int = ROWS, rules: ChunkRules = RULES, *, table: str = "t", **sizes: int
    ) -> None:
        super().__init__({table: lines("g" * rows, 100)}, rules, **sizes)
        (self.source,) = self.sources.values()
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.go_on = asyncio.Event()
        self.fails: dict[int, Exception] = {}

    async def send(self, chunk: Chunk) -> None:
        self.begun.append(chunk.index)
        try:
            await self.go_on.wait()
            if chunk.index in self.fails:
                raise self.fails[chunk.index]
            self.sent.append(chunk)
        finally:
            self.ended.append(chunk.index)

    async def until(self, begun: int) -> asyncio.Task[Run]:
        """Starts; returns when so many chunks are being sent, and no other one can be."""
        running = asyncio.create_task(self(50))
        while len(self.begun) < begun:
            await asyncio.to_thread(int)
        await self.rest()
        assert len(self.begun) == begun
        return running

    async def rest(self) -> None:
        """Lets everything go as far as it can: the reader comes to rest where a stage waits."""
        before = -1
        while before != self.source.read:
            before = self.source.read
            for _ in range(50):
                await asyncio.to_thread(int)


async def test_chunks_under_way_end_and_no_other_begins():
    run = Held(senders=3)
    running = await run.until(3)
    assert run.pipeline.drain()
    await run.source.left()  # the reader's thread closes it in its own time
    assert not running.done()
    assert run.pipeline.drain()  # once more changes nothing
    run.go_on.set()
    with pytest.raises(Interrupted, match="stopped before anything was published"):
        await running
    assert sorted(run.begun) == sorted(run.ended) == [1, 2, 3]
    assert [chunk.index for chunk in run.chunks()] == [1, 2, 3]
    assert run.progress.chunks_accepted == 3
    assert run.progress.rows_accepted == sum(chunk.rows for chunk in run.sent)
    assert run.source.read < ROWS


async def test_a_chunk_that_waits_for_its_turn_does_not_begin():
    run = Held(senders=4, window=2)
    running = await run.until(2)
    assert run.pipeline.drain()
    run.go_on.set()
    with pytest.raises(Interrupted):
        await running
    assert sorted(run.begun) == sorted(run.ended) == [1, 2]


async def test_a_resume_sends_the_rest():
    run = Held(senders=3)
    running = await run.until(3)
    run.pipeline.drain()
    run.fails = {2: Refused("no", status=400)}
    run.go_on.set()
    with pytest.raises(Interrupted):
        await running
    assert [chunk.index for chunk in run.chunks()] == [1, 3]
    whole = await Run({"t": lines("g" * ROWS)}, RULES)(50)
    cuts = cuts_of(whole.chunks()[:3], accepted={1, 3})
    again = await Run({"t": lines("g" * ROWS)}, RULES, {"t": cuts})(50)
    together = sorted([*run.sent, *again.sent], key=lambda chunk: chunk.index)
    assert numbers(together) == list(range(ROWS))


async def test_nothing_under_way_ends_at_once():
    run = Held(rules=ChunkRules.of(1_000_000))  # one chunk, which is sent when all is read
    running = asyncio.create_task(run(50))
    while not run.source.read:
        await asyncio.to_thread(int)
    assert not run.begun
    assert not run.pipeline.drain()
    with pytest.raises(Interrupted):
        await running
    assert not run.begun
    assert run.source.closed


async def test_what_has_not_begun_or_has_ended_has_nothing_to_drain():
    run = Held(200)
    assert not run.pipeline.drain()
    with pytest.raises(Interrupted):
        await run(50)
    assert not run.source.skips
    ended = Run({"t": lines("g" * 200)}, RULES)
    await ended(50)
    assert not ended.pipeline.drain()


async def test_a_second_call_disturbs_nothing_that_is_being_closed():
    drain = Drain()
    task = asyncio.create_task(asyncio.Event().wait())
    drain.watch([task])
    assert not drain.open()
    assert not drain.open()
    assert task.cancelling() == 1
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    "failure", [Refused("no", status=400), StartOver("lost"), ValueError("a defect")]
)
async def test_a_failure_while_draining_stops_no_other_chunk(failure, caplog):
    run = Held(senders=3)
    running = await run.until(3)
    run.pipeline.drain()
    run.fails = {run.begun[0]: failure}
    run.go_on.set()
    with caplog.at_level(logging.INFO, "loader.job"), pytest.raises(Interrupted):
        await running
    assert sorted(run.ended) == [1, 2, 3]
    assert len(run.sent) == 2
    assert f"could not be sent any more: {failure}" in caplog.text


async def test_a_failure_before_is_told_though_a_stop_follows():
    both = asyncio.Barrier(2)

    class Stopped(Held):
        async def send(self, chunk: Chunk) -> None:
            await both.wait()
            if chunk.index == 1:
                raise Refused("no", status=400)
            try:
                await super().send(chunk)
            except asyncio.CancelledError:
                self.pipeline.drain()
                raise

    run = Stopped(senders=2)
    with pytest.raises(Refused):
        await run(50)
    with pytest.raises(Interrupted):  # the stop has come, and is no news
        await run(50)


async def test_a_second_stop_ends_what_is_under_way():
    run = Held(senders=3)
    running = await run.until(3)
    assert run.pipeline.drain()
    await run.rest()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert sorted(run.ended) == [1, 2, 3]
    assert run.sent == []


@pytest.mark.parametrize("drained", [False, True])
async def test_a_source_that_cannot_be_closed_holds_nobody_up(drained):
    run = Held(senders=2)
    read = run.source.batches

    def batches(*args):
        try:
            yield from read(*args)
        finally:
            raise SourceUnreadable("it cannot be closed")

    run.source.batches = batches
    # The queues are full: whoever puts something into them waits for ever.
    running = await run.until(2)
    if drained:
        assert run.pipeline.drain()
        run.go_on.set()
    else:
        run.fails = {1: Refused("no", status=400)}
        run.go_on.set()
    with pytest.raises(Interrupted if drained else Refused):
        await running
    assert run.source.closed


async def test_what_was_drained_is_gone():
    """Chunks have slots and cannot be referred to weakly: this looks for those that are left."""
    run = Held(senders=2, table="drained")  # other tests may have kept chunks of other names
    running = await run.until(2)
    assert run.pipeline.drain()
    run.go_on.set()
    with pytest.raises(Interrupted):
        await running
    left = [one for one in gc.get_objects() if isinstance(one, Chunk) and one.table == "drained"]
    assert sorted(chunk.index for chunk in left) == [1, 2]
    assert run.progress.chunks_cut > len(run.sent) == 2


@given(st.integers(0, 400), st.integers(1, 4), st.sampled_from([None, 1, 2]))
@settings(max_examples=25)
def test_whenever_it_is_stopped_a_resume_makes_it_whole(turns, senders, window):
    """Stopped after any number of turns of the event loop."""
    begun: list[Chunk] = []

    class Noting(Run):
        async def send(self, chunk: Chunk) -> None:
            begun.append(chunk)
            await super().send(chunk)

    source = {"t": lines("g" * 300, 40), "u": lines("g" * 90)}
    run = Noting(source, RULES, senders=senders, window=window)

    async def stopped() -> bool:
        running = asyncio.create_task(run(60))
        for _ in range(turns):
            await asyncio.sleep(0)
        was_running = not running.done()
        run.pipeline.drain()
        try:
            await running
        except Interrupted:
            return True
        assert not was_running
        return False

    interrupted = run_anywhere(stopped)
    # Whatever has begun has come to its end.
    assert {id(chunk) for chunk in begun} == {id(chunk) for chunk in run.sent}
    assert run.progress.chunks_accepted == len(run.sent)
    whole = Run(source, RULES)
    run_anywhere(lambda: whole(60))
    accepted = {name: {chunk.index for chunk in run.chunks(name)} for name in source}
    cuts = {
        name: cuts_of(whole.chunks(name)[: max(accepted[name], default=0)], accepted[name])
        for name in source
    }
    again = Run(source, RULES, cuts)
    run_anywhere(lambda: again(45))
    for name, rows in (("t", 300), ("u", 90)):
        together = [*run.chunks(name), *again.chunks(name)]
        assert numbers(sorted(together, key=lambda one: one.index)) == list(range(rows))
    assert interrupted or not again.sent
