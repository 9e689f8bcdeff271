"""One pause for all: who waits, who looks, when it is given up; time is the test's own."""

from __future__ import annotations

import asyncio
import copy

import pytest

from loader.errors import NotFound, Refused, Unavailable, Unreachable
from loader.job.gate import Gate
from loader.job.progress import Progress
from loader.job.retrier import Retrier
from loader.job.retry import RetryBudget

AWAY = Unreachable("nothing listens", phase="connect")


class Time:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sleeps: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds
        for _ in range(5):
            await asyncio.sleep(0)


class Server:
    """Is away until a moment; everybody who asks is counted."""

    def __init__(self, time: Time, back: float, failure=AWAY) -> None:
        self.time = time
        self.back = back
        self.failure = failure
        self.probes: list[float] = []
        self.calls: list[tuple[str, float]] = []
        self.looked_for = asyncio.Event()

    def _answer(self) -> None:
        if self.time.now < self.back:
            raise copy.copy(self.failure)

    async def probe(self) -> None:
        self.probes.append(self.time.now)
        self.looked_for.set()
        await asyncio.sleep(0)
        self._answer()

    async def call(self, name: str) -> str:
        self.calls.append((name, self.time.now))
        await asyncio.sleep(0)
        self._answer()
        return name


def retrier(
    server: Server,
    progress=None,
    *,
    retries=8,
    deadline=300.0,
    draw=0.0,
    stopping=lambda: False,
) -> Retrier:
    time = server.time
    gate = Gate(server.probe, limit=deadline, clock=time.clock, sleep=time.sleep)
    return Retrier(
        RetryBudget(retries, deadline),
        gate,
        progress or Progress(),
        clock=time.clock,
        sleep=time.sleep,
        draw=lambda: draw,
        stopping=stopping,
    )


async def test_all_workers_share_one_pause():
    time = Time()
    server, progress = Server(time, back=60.0), Progress()
    calls = retrier(server, progress)
    names = [f"chunk {n}" for n in range(8)]
    done = await asyncio.gather(*(calls.call(lambda n=n: server.call(n)) for n in names))
    assert done == names
    # Each found out once, and succeeded once; only one looked meanwhile.
    assert sorted(name for name, _ in server.calls) == sorted(names * 2)
    assert all(at == 0 or at >= 60 for _, at in server.calls)
    assert server.probes[:5] == [0, 0.5, 1.5, 3.5, 7.5]
    assert progress.trouble is None


async def test_who_comes_later_waits_too():
    time = Time()
    server = Server(time, back=20.0)
    calls = retrier(server)
    first = asyncio.create_task(calls.call(lambda: server.call("first")))
    await server.looked_for.wait()
    await calls.call(lambda: server.call("second"))
    await first
    assert [name for name, at in server.calls if at < 20] == ["first"]


async def test_trouble_is_shown_while_it_lasts():
    time = Time()
    server, progress = Server(time, back=5.0), Progress()
    seen = []

    async def probe():
        seen.append(progress.trouble)
        await Server.probe(server)

    server.probe = probe
    await retrier(server, progress).call(lambda: server.call("x"))
    assert set(seen) == {"nothing listens"}
    assert progress.trouble is None


async def test_an_outage_is_given_up_at_the_deadline():
    time = Time()
    server = Server(time, back=1e9)
    calls = retrier(server, deadline=120.0)
    outcomes = await asyncio.gather(
        *(calls.call(lambda n=n: server.call(str(n))) for n in range(4)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [Unreachable] * 4
    assert len(server.calls) == 4
    assert time.now == 120.0
    assert "the server was away for 120 s" in outcomes[0].message
    assert outcomes[0].details["seconds"] == 120.0


async def test_a_call_that_alone_fails_uses_up_its_budget():
    time = Time()
    server = Server(time, back=0.0)
    attempts = 0

    async def cut():
        nonlocal attempts
        attempts += 1
        raise Unreachable("cut", phase="send")

    with pytest.raises(Unreachable, match="it was tried 9 times in") as caught:
        await retrier(server, draw=1.0).call(cut)
    assert attempts == 9
    assert caught.value.details["attempts"] == 9
    # The server was looked at once for each, and answered.
    assert len(server.probes) == 8
    assert time.now == pytest.approx(0.5 + 1 + 2 + 4 + 8 + 16 + 30 + 30)


async def test_what_the_server_asks_for_is_waited_before_the_first_look():
    time = Time()
    server = Server(time, 12.0, Unavailable("busy", status=503, retry_after=12.0))
    await retrier(server).call(lambda: server.call("x"))
    assert server.probes == [12.0]
    assert [at for _, at in server.calls] == [0.0, 12.0]


@pytest.mark.parametrize(
    "answer", [Refused("no", status=400), NotFound("no such call", status=404, code="ERR004")]
)
async def test_any_answer_of_the_api_shows_that_it_is_there(answer):
    time = Time()
    server = Server(time, back=0.0)

    async def probe():
        server.probes.append(time.now)
        raise answer

    server.probe = probe
    failures = iter([Unreachable("cut", phase="answer")])

    async def call():
        if failure := next(failures, None):
            raise failure
        return "done"

    assert await retrier(server).call(call) == "done"
    assert len(server.probes) == 1


async def test_the_pages_of_a_container_that_starts_are_no_answer():
    time = Time()
    server = Server(time, 30.0, NotFound("a page", status=404))
    assert await retrier(server).call(lambda: server.call("x")) == "x"
    assert len(server.probes) > 3
    assert len(server.calls) == 2


async def test_a_look_that_hangs_is_no_answer(monkeypatch):
    monkeypatch.setattr("loader.job.gate.PROBE_TIMEOUT", 0.01)
    time = Time()
    looks = 0

    async def probe():
        nonlocal looks
        looks += 1
        if looks < 3:
            await asyncio.Event().wait()

    gate = Gate(probe, limit=300.0, clock=time.clock, sleep=time.sleep)
    assert await gate.wait_out()
    assert looks == 3


async def test_stopping_who_looks_lets_the_others_go_on():
    time = Time()
    holding = asyncio.Event()
    looks = 0

    async def probe():
        nonlocal looks
        looks += 1
        if looks == 1:
            holding.set()
            await asyncio.Event().wait()

    gate = Gate(probe, limit=300.0, clock=time.clock, sleep=time.sleep)
    first = asyncio.create_task(gate.wait_out())
    await holding.wait()
    assert repr(gate) == "<Gate closed>"
    second = asyncio.create_task(gate.passage())
    await asyncio.sleep(0)
    assert not second.done()
    first.cancel()
    await second
    assert await gate.wait_out()
    assert repr(gate) == "<Gate open>"


async def test_without_retries_the_first_failure_is_the_last():
    time = Time()
    server = Server(time, back=1.0)
    with pytest.raises(Unreachable) as caught:
        await retrier(server, retries=0).call(lambda: server.call("x"))
    assert len(server.calls) == 1
    assert not server.probes
    assert "attempts" not in caught.value.details


# -- stopping ------------------------------------------------------------------------------------


class Stop:
    """Is asked for at a moment of the test's time."""

    def __init__(self, time: Time, at: float) -> None:
        self.time = time
        self.at = at

    def __call__(self) -> bool:
        return self.time.now >= self.at


BUSY = Unavailable("busy", status=503, code="ERR001")


async def test_when_stopping_nothing_that_failed_is_repeated():
    time = Time()
    server = Server(time, 1e9, BUSY)
    with pytest.raises(Unavailable) as caught:
        await retrier(server, stopping=lambda: True).call(lambda: server.call("x"))
    assert len(server.calls) == 1
    assert not time.sleeps
    assert "attempts" not in caught.value.details


async def test_when_stopping_what_succeeds_is_done():
    time = Time()
    server = Server(time, back=0.0)
    assert await retrier(server, stopping=lambda: True).call(lambda: server.call("x")) == "x"


async def test_a_stop_in_a_pause_ends_it_without_another_attempt():
    time = Time()
    server, progress = Server(time, 1e9, BUSY), Progress()
    told = []
    calls = retrier(server, progress, draw=1.0, stopping=Stop(time, at=3.0))
    with pytest.raises(Unavailable, match="it was tried 3 times in 4 s") as caught:
        await calls.call(lambda: server.call("x"), on_retry=told.append)
    # Attempts at 0, 0.5 and 1.5 s, and a pause until 3.5 s, in which it was asked for.
    assert [at for _, at in server.calls] == [0, 0.5, 1.5]
    assert len(told) == 2
    assert caught.value.details["attempts"] == 3
    assert progress.trouble is None


@pytest.mark.parametrize("asked", [None, 30.0])
async def test_a_stop_ends_the_watch_for_a_server_that_is_away(asked):
    time = Time()
    failure = AWAY if asked is None else Unavailable("busy", status=503, retry_after=asked)
    server = Server(time, 1e9, failure)
    calls = retrier(server, stopping=Stop(time, at=2.0))
    outcomes = await asyncio.gather(
        *(calls.call(lambda n=n: server.call(str(n))) for n in range(4)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [type(failure)] * 4
    # Looks at 0, 0.5 and 1.5 s, and a pause until 3.5 s; or the one pause that was asked for.
    assert time.now == (asked or 3.5)
    assert len(server.probes) == (0 if asked else 3)
    assert len(server.calls) == 4


async def test_a_sleep_that_is_cut_short_ends_the_watch_too():
    time = Time()
    server = Server(time, 1e9)
    stopping = asyncio.Event()

    async def sleep(_):
        await stopping.wait()

    gate = Gate(server.probe, limit=300.0, clock=time.clock, sleep=sleep)
    watching = asyncio.create_task(gate.wait_out(stopping=stopping.is_set))
    waiting = asyncio.create_task(gate.wait_out())
    await asyncio.sleep(0)
    assert not watching.done()
    stopping.set()
    assert await asyncio.gather(watching, waiting) == [False, False]
    # What has not failed yet may still be tried.
    await gate.passage()


# -- without a gate ------------------------------------------------------------------------------


async def test_without_a_gate_each_call_waits_by_itself():
    time = Time()
    server = Server(time, 4.0)
    calls = Retrier(
        RetryBudget(8, 300.0),
        None,
        Progress(),
        clock=time.clock,
        sleep=time.sleep,
        draw=lambda: 1.0,
    )
    assert await calls.call(lambda: server.call("x")) == "x"
    assert not server.probes
    assert time.sleeps == [0.5, 1, 2, 4]


async def test_a_failure_that_is_declared_final():
    time = Time()
    server = Server(time, 1.0)
    with pytest.raises(Unreachable):
        await retrier(server).call(lambda: server.call("x"), final=lambda _: True)
    assert len(server.calls) == 1
    assert not server.probes
