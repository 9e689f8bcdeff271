"""The last stage alone: what the tuner hears of it."""

from __future__ import annotations

import asyncio

import pytest

from loader.encode import Chunk
from loader.job.draining import Drain
from loader.job.limits import ByteBudget, SendWindow, Slots
from loader.job.progress import Progress
from loader.job.sending import Sending
from tests.job.test_limits import Told, settle


@pytest.mark.parametrize(("queued", "starved"), [(6, False), (2, True)])
async def test_a_worker_that_finds_a_chunk_ready_was_never_idle(queued, starved):
    tuner = Told(2)
    answers: list[asyncio.Future[None]] = []

    async def send(chunk: Chunk) -> None:
        answers.append(asyncio.get_running_loop().create_future())
        await answers[-1]

    sending = Sending(
        send,
        slots=Slots(2, tuner, clock=lambda: 0.0),
        window=SendWindow(None),
        budget=ByteBudget(1000),
        drain=Drain(),
        progress=Progress(),
    )

    async def fill() -> None:
        for number in range(queued):
            await sending.put(number, Chunk("t", number + 1, number, 1, number + 1, (), 10))

    filling = asyncio.create_task(fill())
    await settle()  # the queue has its chunks before anybody asks for one
    workers = [asyncio.create_task(sending.work()) for _ in range(2)]
    await settle()
    for number in range(min(queued, 3)):
        if number < len(answers):
            answers[number].set_result(None)
        await settle()
    heard = [was_starved for _, _, _, was_starved in tuner.heard]
    assert heard[-1] is starved
    assert any(heard) is starved
    for task in (*workers, filling):
        task.cancel()
    await asyncio.gather(*workers, filling, return_exceptions=True)
