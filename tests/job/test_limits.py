from __future__ import annotations

import asyncio

import pytest

from loader.job.limits import ByteBudget, SendWindow, Slots, Throttle


async def settle() -> None:
    """Lets every task that can run do so."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_bytes_wait_while_others_are_being_sent():
    budget = ByteBudget(100)
    await budget.reserve(60)
    budget.hand_over(60)
    waiting = asyncio.create_task(budget.reserve(50))
    await settle()
    assert not waiting.done()
    budget.free(60)
    await waiting
    assert budget.used == 50


async def test_nothing_waits_while_nothing_is_being_sent():
    budget = ByteBudget(100)
    for _ in range(5):
        await budget.reserve(60)
    assert budget.used == 300


async def test_bytes_are_given_first_come_first_served():
    budget = ByteBudget(100)
    await budget.reserve(90)
    budget.hand_over(90)
    order: list[int] = []

    async def take(amount: int) -> None:
        await budget.reserve(amount)
        order.append(amount)

    tasks = [asyncio.create_task(take(amount)) for amount in (50, 5)]
    await settle()
    assert order == []
    budget.free(90)
    await asyncio.gather(*tasks)
    assert order == [50, 5]


async def test_a_cancelled_waiter_takes_nothing():
    budget = ByteBudget(100)
    await budget.reserve(100)
    budget.hand_over(100)
    waiting = asyncio.create_task(budget.reserve(50))
    await settle()
    waiting.cancel()
    await settle()
    budget.free(100)
    assert budget.used == 0


async def test_an_estimate_is_corrected():
    budget = ByteBudget(100)
    await budget.reserve(40)
    budget.correct(40, 70)
    assert budget.used == 70
    assert "70 of 100 bytes" in repr(budget)


async def test_the_window_moves_with_the_lowest_chunk():
    window = SendWindow(2)
    entered = {number: asyncio.create_task(window.enter(number)) for number in range(4)}
    await settle()
    assert [task.done() for task in entered.values()] == [True, True, False, False]
    await window.accepted(1)
    await settle()
    assert not entered[2].done()
    await window.accepted(0)
    await asyncio.gather(*entered.values())


async def test_without_a_window_everything_goes():
    window = SendWindow(None)
    await window.enter(1_000_000)


@pytest.mark.parametrize("amounts", [[100] * 10, [10, 500, 490]])
async def test_the_rate_is_kept(amounts):
    now = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    throttle = Throttle(100.0, clock=lambda: now, sleep=sleep)
    for amount in amounts:
        await throttle.spend(amount)
    # The last bytes may go out at once; all before them have taken their time.
    assert now == pytest.approx((sum(amounts) - amounts[-1]) / 100.0)


class Told:
    """A tuner that does as it is told, and keeps what it hears."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.heard: list[tuple[float, float, int, bool]] = []

    def accepted(self, now: float, size: int, *, began: float, starved: bool) -> None:
        self.heard.append((began, now, size, starved))


async def test_as_many_slots_are_taken_as_the_tuner_says_also_when_it_changes_its_mind():
    tuner = Told(2)
    slots = Slots(4, tuner, clock=lambda: 0.0)
    leave = [asyncio.Event() for _ in range(6)]
    inside: set[int] = set()

    async def work(number: int) -> None:
        async with slots.turn(number):
            inside.add(number)
            await leave[number].wait()
            inside.remove(number)

    tasks = [asyncio.create_task(work(number)) for number in range(6)]
    await settle()
    assert inside == {0, 1}
    tuner.limit = 3
    leave[0].set()
    await settle()
    assert inside == {1, 2, 3}
    tuner.limit = 1
    leave[1].set()
    leave[2].set()
    await settle()
    assert inside == {3}
    for one in leave:
        one.set()
    await asyncio.gather(*tasks)
    assert not inside


async def test_who_leaves_a_slot_takes_none_before_the_lower_chunks_that_wait():
    slots = Slots(8, Told(3), clock=lambda: 0.0)
    chunks = iter(range(40))
    begun: list[int] = []

    async def work() -> None:
        for number in chunks:
            async with slots.turn(number):
                begun.append(number)
                await asyncio.sleep(0)

    await asyncio.gather(*(work() for _ in range(8)))
    assert begun == list(range(40))


async def test_a_cancelled_task_takes_no_slot_and_keeps_nobody_from_one():
    tuner = Told(1)
    slots = Slots(3, tuner, clock=lambda: 0.0)
    leave, inside = asyncio.Event(), []

    async def work(number: int) -> None:
        async with slots.turn(number):
            inside.append(number)
            await leave.wait()

    tasks = [asyncio.create_task(work(number)) for number in range(3)]
    await settle()
    tuner.limit = 2  # of which nobody has heard when the first one of those that wait leaves
    tasks[1].cancel()
    await settle()
    assert inside == [0, 2]
    leave.set()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_the_tuner_hears_of_each_put_and_of_missing_chunks_since_the_last():
    tuner = Told(2)
    times = iter(range(100))
    slots = Slots(3, tuner, clock=lambda: float(next(times)))
    with slots.idle():  # two others have chunks, which are as many as may be sent
        with slots.busy(50):
            pass
        with slots.idle():
            pass
        with slots.busy(60):
            pass
        with slots.busy(70):
            pass
    assert [(size, starved) for _, _, size, starved in tuner.heard] == [
        *((50, False), (60, True)),
        (70, False),
    ]
    assert [(began, now) for began, now, _, _ in tuner.heard[:2]] == [(0.0, 1.0), (2.0, 3.0)]


def test_the_tuner_hears_nothing_of_a_put_that_failed():
    tuner = Told(1)
    slots = Slots(1, tuner, clock=lambda: 0.0)
    with pytest.raises(OSError, match="gone"), slots.busy(50):
        raise OSError("gone")
    assert tuner.heard == []
