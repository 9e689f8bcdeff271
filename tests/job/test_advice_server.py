"""What is advised where the server is the limit: fewer PUTs, more of them, or larger ones."""

from __future__ import annotations

import asyncio
import math
import random
import re

import pyarrow as pa
import pytest

from loader.cli.printers import print_result
from loader.cli.values import parse_size
from loader.errors import LoaderError, Unavailable, Unreachable
from loader.job.result import Status
from loader.job.settings import Ordering
from loader.job.tuner import Reason
from loader.units import MB, size
from tests.job.advising import (
    BUSY,
    CUT_OFF,
    FAILED,
    FLAT,
    MOST,
    SILENT,
    TOO_MANY,
    TRYING,
    load,
    of_server,
    puts,
)
from tests.job.retrying import *  # noqa: F403 - its fixtures are among it
from tests.job.retrying import arrived

# -- PUTs that were sent again ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("circumstances", "again", "senders", "found"),
    [
        (
            load(TRYING, memory=4000 * MB),
            [BUSY] * 11,
            8,
            "it was too busy (429, 503); --concurrency 6 may send less in vain",
        ),
        (
            load(MOST, memory=4000 * MB),
            [TOO_MANY, BUSY] * 5,
            8,
            "it was too busy (429, 503); --concurrency 4 may send less in vain",
        ),
        (
            load(FLAT),
            [CUT_OFF, SILENT] * 10,
            4,
            (
                "no answer came in time (504, timeouts); --chunk-size 50MB, or --concurrency 3 may "
                "send less in vain"
            ),
        ),
        (
            load(concurrency=8, chunk_size=1 * MB),
            [SILENT] * 10 + [BUSY] * 9,
            8,
            "no answer came in time (504, timeouts); --concurrency 4 may send less in vain",
        ),
        (
            load(ordering=Ordering.STRICT),
            [CUT_OFF] * 8,
            1,
            "no answer came in time (504, timeouts); --chunk-size 50MB may send less in vain",
        ),
        (load(concurrency=1), [BUSY] * 8, 1, "it was too busy (429, 503)"),
    ],
)
def test_what_was_sent_again_is_no_reason_to_send_more(circumstances, again, senders, found):
    went = puts(20, again=again)
    whole = f"{len(again)} of {20 + len(again)} PUTs were sent again because {found}"
    assert of_server(circumstances, went=went, senders=senders) == whole


@pytest.mark.parametrize("circumstances", [load(TRYING), load(MOST), load(concurrency=2)])
def test_an_outage_of_all_at_once_is_neither(circumstances):
    assert of_server(circumstances, went=puts(20, again=[BUSY] * 4), senders=4) is None


def test_a_rare_failure_changes_little():
    went = puts(200, again=[BUSY] * 5)
    assert of_server(load(concurrency=2), went=went).startswith("raise --concurrency")
    assert of_server(load(TRYING, memory=4000 * MB), went=went) is None


def test_other_failures_say_nothing_of_how_many():
    lost = [Unreachable("No connection.", phase="connect"), Unavailable("Bad.", status=502)]
    went = puts(20, again=[*lost, LoaderError("Other.")] * 5)
    assert went.busy == went.late == 0


# -- a server that is slow to answer ---------------------------------------------------------------

SLOW = {"waiting": 0.9, "each": 10 * MB}


@pytest.mark.parametrize("found", [MOST, (Reason.ASKED, "8 PUTs at once: --concurrency")])
def test_where_a_put_waits_for_its_answer_larger_chunks_may_be_faster(found):
    asked = 8 if found[0] is Reason.ASKED else None
    made = load(found, chunk_size=10 * MB, concurrency=asked)
    assert of_server(made, went=puts(41, **SLOW), senders=8) == (
        "90 % of a PUT's time comes after its last byte; --chunk-size 51.2MB, or --concurrency 16 "
        "may be faster"
    )
    # No two rounds of sixteen.
    assert of_server(made, went=puts(31, **SLOW), senders=8).endswith(
        "--chunk-size 38.7MB may be faster"
    )
    # The largest, and what it takes.
    assert "--chunk-size 200MB with --memory 2.35GB, or" in of_server(
        made, went=puts(410, **SLOW), senders=8
    )


def test_where_more_bytes_take_hardly_longer_larger_chunks_may_be_faster():
    sizes = [8 * MB, 10 * MB, 12 * MB]
    made = load(MOST, chunk_size=10 * MB)
    found = of_server(
        made, went=puts(42, sizes, seconds=lambda size: 2 + size / (100 * MB)), senders=8
    )
    assert found == (
        "a PUT takes hardly longer with more bytes; --chunk-size 52.5MB, or --concurrency 16 may "
        "be faster"
    )


@pytest.mark.parametrize(
    ("found", "went"),
    [
        # More at once brought no more: then it is not the wait.
        (FLAT, puts(41, **SLOW)),
        (FAILED, puts(41, **SLOW)),
        # Its bytes take the time.
        (MOST, puts(41, 10 * MB, waiting=0.3)),
        (
            MOST,
            puts(42, [8 * MB, 10 * MB, 12 * MB], waiting=0.9, seconds=lambda size: size / (5 * MB)),
        ),
        # Fewer chunks than now would leave some of the eight without one.
        (MOST, puts(11, **SLOW)),
    ],
)
def test_otherwise_it_or_the_network_is_the_limit(found, went):
    made = load(found, chunk_size=10 * MB)
    assert of_server(made, went=went, senders=8) == f"it, or the network, is the limit ({found[1]})"


def test_a_container_has_no_more_memory_for_larger_chunks():
    made = load(MOST, chunk_size=10 * MB, memory=700 * MB, container=True)
    found = of_server(made, went=puts(410, **SLOW), senders=8)
    assert "--chunk-size 26.3MB, or" in found


@pytest.mark.parametrize("memory", [700 * MB, 1000 * MB, 1234567890])
@pytest.mark.parametrize("chunks", [41, 97, 300, 1000])
def test_the_larger_chunks_leave_eight_under_way(memory, chunks):
    made = {"memory": memory, "encoders": 2}
    found = of_server(load(MOST, chunk_size=10 * MB, **made), went=puts(chunks, **SLOW), senders=8)
    options = dict(re.findall(r"--(chunk-size|memory) (\S+?B)\b", found))
    made["chunk_size"] = parse_size("chunk-size", options["chunk-size"])
    made["memory"] = parse_size("memory", options.get("memory", str(memory)))
    assert load(MOST, **made).memory.concurrency == 8
    assert made["chunk_size"] <= 200 * MB


@pytest.mark.parametrize("seed", range(20))
def test_sizes_that_are_much_alike_do_not_say_what_time_depends_on(seed):
    draw = random.Random(seed)
    sizes = [10 * MB + draw.randrange(MB // 10) for _ in range(20)]
    went = puts(40, sizes, seconds=lambda _size: draw.uniform(1.5, 2.5))
    assert went.grows is None
    assert puts(40).grows is puts(3, [1, 2]).grows is puts(0).grows is None
    assert "0 met a busy server" in repr(went)


# -- real loads ------------------------------------------------------------------------------------

LARGE = pa.table({"k": [f"{n:0100}" for n in range(60_000)]})


class TakesTime:
    """A server's clock, on which every wait takes time of the load's."""

    def __init__(self, time) -> None:
        self._time = time

    def now(self) -> float:
        return self._time.now

    async def sleep(self, seconds: float) -> None:
        self._time.now += seconds


class Rounds(TakesTime):
    """The same, where PUTs take their time side by side: as soon as all of a round are there."""

    def __init__(self, time, chunks: int, at_once: int) -> None:
        super().__init__(time)
        self._left, self._at_once = chunks, at_once
        self._waiting, self._over = 0, asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        over = self._over
        self._waiting += 1
        if self._waiting == min(self._at_once, self._left):
            self._left -= self._waiting
            self._waiting, self._over = 0, asyncio.Event()
            await super().sleep(seconds)
            over.set()
        await over.wait()


@pytest.fixture
def server(serve, time):
    """A server that takes two seconds for each PUT, one after the other."""
    slow = serve(latency=2.0)
    slow.emulator.clock = TakesTime(time)
    return slow


async def test_a_load_that_met_a_busy_server(server, load_of, capsys):
    server.emulator.inject("put:nth=1-12:status=503,retry-after=2")
    result = await load_of(concurrency=None, retries=12, publish=False).run()
    assert result.status is Status.UPLOADED
    assert result.retries == 12
    assert re.search(
        r" 12 of \d+ PUTs were sent again because it was too busy \(429, 503\); "
        r"--concurrency [1-4] may send less in vain$",
        result.advice,
    )
    print_result(result, as_json=False)
    line = r"(?m)^retries: 12 PUTs sent again, (.+) in vain$"
    found = re.search(line, capsys.readouterr().err)
    assert found is not None
    assert found[1] == size(result.wire_bytes * 3 // 4 - result.json_bytes)


async def test_a_load_whose_answers_were_cut_off(server, load_of):
    server.emulator.inject("put:nth=1-8:status=504,body=empty,retry-after=10")
    result = await load_of(chunk_size=2 * MB, concurrency=1, source=LARGE, publish=False).run()
    assert result.status is Status.UPLOADED
    assert result.advice.endswith("--chunk-size 1MB may send less in vain")


async def test_a_load_into_a_server_that_is_slow_to_answer(server, load_of, time):
    settings = {"concurrency": 8, "chunk_size": 10_000, "publish": False}
    chunks = (await load_of(**settings).run()).chunks
    server.emulator.clock = Rounds(time, chunks, at_once=8)
    result = await load_of(**settings).run()
    assert result.status is Status.UPLOADED
    assert result.retries == 0
    assert result.times.seconds == pytest.approx(2 * math.ceil(chunks / 8))
    assert re.search(
        r"; --chunk-size \d\S+kB, or --concurrency 16 may be faster$", result.advice
    ), result.advice


async def test_a_load_that_had_no_failure_tells_of_none(server, load_of, capsys):
    result = await load_of().run()
    arrived(server, result)
    print_result(result, as_json=False)
    assert "retries" not in capsys.readouterr().err


async def test_of_few_chunks_nothing_is_said_of_the_best_number(server, load_of):
    for chunk_size, found in ((500_000, "1 chunk is"), (250_000, "2 chunks are")):
        result = await load_of(concurrency=None, chunk_size=chunk_size).run()
        assert result.concurrency == f"{found} too few to tell how many PUTs at once are best"
    result = await load_of(concurrency=3, chunk_size=500_000).run()
    assert result.concurrency == "3 PUTs at once: --concurrency"
