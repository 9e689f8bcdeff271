"""Reading ahead in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from loader.errors import SourceUnreadable
from loader.job.blocks import Block
from loader.job.reading import reading
from loader.job.timing import Timing


class Source:
    """Hands out blocks of some width, and tells how many were asked for."""

    def __init__(self, widths: list[int], error: Exception | None = None) -> None:
        self.widths = widths
        self.error = error
        self.asked = 0
        self.closed = False
        self.threads: set[int] = set()
        self.moved = threading.Condition()

    def batches(self):
        try:
            yield from range(len(self.widths))
            if self.error is not None:
                raise self.error
        finally:
            self.closed = True

    def blocks(self, batches):
        for number in batches:
            self.threads.add(threading.get_ident())
            with self.moved:
                self.asked += 1
                self.moved.notify()
            yield Block((), range(number, number + 1), self.widths[number])

    def wait_for(self, count: int) -> None:
        with self.moved:
            assert self.moved.wait_for(lambda: self.asked >= count, timeout=20)


@pytest.fixture
def reader():
    with ThreadPoolExecutor(1) as pool:
        yield pool


def ahead(source: Source, reader, most: int):
    return reading(source.batches(), source.blocks, reader, ahead=most, timing=Timing())


async def rest(next_block) -> list[int]:
    found = []
    while (block := (await next_block()).value) is not None:
        found.append(block.covered.start)
    return found


async def test_blocks_come_in_their_order_and_the_source_is_closed(reader):
    source = Source([10] * 50)
    async with ahead(source, reader, 35) as next_block:
        assert await rest(next_block) == list(range(50))
    assert source.closed
    assert len(source.threads) == 1


async def test_it_reads_ahead_without_being_asked_and_no_further_than_the_bytes_allow(reader):
    source = Source([10] * 50)
    async with ahead(source, reader, 35) as next_block:
        await asyncio.to_thread(source.wait_for, 4)
        for taken in range(50):
            # Four blocks have 40 bytes: with them at hand, the reader asks for no other.
            assert source.asked <= taken + 4
            await next_block()
            await asyncio.to_thread(source.wait_for, min(50, taken + 5))


async def test_a_block_wider_than_all_that_is_allowed_comes_alone(reader):
    source = Source([10, 1000, 1000, 10])
    async with ahead(source, reader, 35) as next_block:
        assert await rest(next_block) == [0, 1, 2, 3]


async def test_what_fails_is_told_after_the_blocks_before(reader):
    source = Source([10] * 3, SourceUnreadable("damaged", hint="mend it"))
    async with ahead(source, reader, 35) as next_block:
        found = [(await next_block()).value for _ in range(3)]
        with pytest.raises(SourceUnreadable):
            await next_block()
    assert [block.covered.start for block in found if block] == [0, 1, 2]
    assert source.closed


async def test_who_leaves_early_lets_the_waiting_reader_go(reader):
    source = Source([10] * 50)
    async with ahead(source, reader, 35) as next_block:
        await next_block()
        await asyncio.to_thread(source.wait_for, 5)
    assert source.closed
    assert source.asked < 50
    await asyncio.get_running_loop().run_in_executor(reader, lambda: None)  # its thread is free


async def test_a_cancelled_task_leaves_no_reader_behind(reader):
    source = Source([10] * 50)

    async def run() -> None:
        async with ahead(source, reader, 35):
            await asyncio.Event().wait()

    task = asyncio.create_task(run())
    await asyncio.to_thread(source.wait_for, 4)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert source.closed


async def test_a_second_cancellation_keeps_no_source_open(reader):
    source = Source([10] * 50)
    leave, left = threading.Event(), threading.Event()

    def slowly(batches):
        try:
            for block in source.blocks(batches):
                yield block
                leave.wait(20)
        finally:
            left.set()

    async def run() -> None:
        async with reading(
            source.batches(), slowly, reader, ahead=1000, timing=Timing()
        ) as next_block:
            await next_block()
            await asyncio.Event().wait()

    task = asyncio.create_task(run())
    await asyncio.to_thread(source.wait_for, 1)
    for _ in range(2):
        await asyncio.sleep(0)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    leave.set()
    assert await asyncio.to_thread(left.wait, 20)
    await asyncio.get_running_loop().run_in_executor(reader, lambda: None)
    assert source.closed
