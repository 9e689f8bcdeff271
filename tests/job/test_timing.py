"""Where the time goes, with a clock that the test moves."""

from __future__ import annotations

import itertools
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.encode import Chunk
from loader.job.timing import Latencies, Limit, Span, Timing


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def chunk(index: int, end_row: int) -> Chunk:
    return Chunk("t", index, end_row - 10, 10, end_row, (), 500)


def waited(timing: Timing) -> tuple[float, float, float, float]:
    times = timing.times
    return times.reading, times.encoding, times.server, times.rate


def test_what_the_reader_waits_for_limits_the_upload(clock):
    timing = Timing(clock)
    timing.begin()
    clock.now += 3  # reading
    timing.reader_waits(Limit.SERVER)
    clock.now += 5
    timing.reader_waits(Limit.READING)
    clock.now += 1
    timing.end()
    assert waited(timing) == (4, 0, 5, 0)
    assert timing.times.seconds == 9


def test_where_the_reader_waits_for_a_place_the_cutter_knows(clock):
    timing = Timing(clock)
    timing.begin()
    timing.reader_waits(None)
    timing.cutter_waits(Limit.ENCODING)
    clock.now += 2
    timing.cutter_waits(Limit.SERVER)
    clock.now += 7
    timing.cutter_waits(None)  # both have come to their end: the last PUTs
    clock.now += 11
    timing.end()
    assert waited(timing) == (0, 2, 18, 0)


def test_a_wait_for_the_server_is_the_rate_limits_while_it_holds_a_put_up(clock):
    timing = Timing(clock)
    timing.begin()
    timing.reader_waits(Limit.SERVER)
    timing.throttled(1)
    timing.throttled(1)
    clock.now += 2
    timing.throttled(-1)
    clock.now += 2
    timing.throttled(-1)
    clock.now += 1
    timing.reader_waits(Limit.READING)
    timing.throttled(1)
    clock.now += 6  # but not what is waited for here
    timing.end()
    assert waited(timing) == (6, 0, 1, 4)


def test_a_second_pass_adds_to_the_first_and_the_pause_between_is_no_part(clock):
    timing = Timing(clock)
    for _ in range(2):
        timing.begin()
        clock.now += 2
        timing.end()
        clock.now += 50
    assert timing.times.seconds == timing.times.reading == 4


def test_a_chunk_has_the_times_of_its_blocks(clock):
    timing = Timing(clock, timeline=True)
    timing.begin()
    timing.was_read(Span(0, 4))
    timing.block(5, Span(0, 1), Span(1, 3))
    timing.block(10, Span(1, 2), Span(2, 2.5))
    timing.block(15, Span(2, 4), Span(4, 6))
    timing.cut(chunk(1, 10))
    clock.now += 10
    began = clock()
    clock.now += 3
    timing.accepted(chunk(1, 10), began, attempts=2)
    assert timing.timeline is not None
    (times,) = timing.timeline
    assert (times.read, times.encode, times.put) == (Span(0, 2), Span(1, 3), Span(10, 13))
    assert (times.table, times.index, times.rows, times.json_bytes) == ("t", 1, 10, 500)
    assert times.attempts == 2
    assert timing.times.reader_busy == 4
    assert timing.times.encoder_busy == 4.5
    assert timing.times.put_busy == 3


def test_work_is_measured_where_it_is_done(clock):
    timing = Timing(clock)
    timing.begin()
    clock.now += 1

    def work() -> str:
        clock.now += 4
        return "done"

    assert timing.timed(work) == ("done", Span(1, 5))


def test_a_long_timeline_is_thinned_out_evenly(clock):
    timing = Timing(clock, timeline=True)
    timing.begin()
    for index in range(1, 40_001):
        timing.block(index * 10, Span(0, 1), Span(1, 2))
        timing.cut(chunk(index, index * 10))
        timing.accepted(chunk(index, index * 10), clock(), attempts=1)
    assert timing.timeline is not None
    assert Timing.MOST_CHUNKS / 2 <= len(timing.timeline) < Timing.MOST_CHUNKS
    kept = [times.index for times in timing.timeline]
    assert {b - a for a, b in itertools.pairwise(kept)} == {kept[1] - kept[0]}
    assert kept[-1] > 40_000 - 2 * (kept[1] - kept[0])


def test_nothing_is_kept_of_chunks_that_nobody_asked_for(clock):
    timing = Timing(clock)
    timing.begin()
    for index in range(1, 100):
        timing.block(index * 10, Span(0, 1), Span(1, 2))
        timing.cut(chunk(index, index * 10))
        timing.accepted(chunk(index, index * 10), clock(), attempts=1)
    assert timing.timeline is None
    assert not timing._passed
    assert not timing._under_way


def test_no_puts_have_no_latency():
    assert Latencies().quantile(0.99) == 0.0


@given(st.lists(st.floats(0.001, 1000), min_size=1, max_size=300))
def test_quantiles_are_those_of_the_values_within_one_per_cent(seconds):
    latencies = Latencies()
    for one in seconds:
        latencies.add(one)
    ordered = sorted(seconds)
    for share in (0.5, 0.95, 0.99, 1.0):
        exact = ordered[max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)]
        assert latencies.quantile(share) == pytest.approx(exact, rel=0.0101)
    if len(seconds) % 2:
        assert latencies.quantile(0.5) == pytest.approx(statistics.median(seconds), rel=0.0101)


def test_the_histogram_stays_small():
    latencies = Latencies()
    for number in range(100_000):
        latencies.add(number / 100)
    assert len(latencies._classes) < 1000
    assert latencies.count == 100_000
