"""The formula of docs/capacity.md: each term alone, and what the page says it gives."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from benchmarks.capacity import SETTINGS
from benchmarks.capacity_page import PAGE, example_tables, put
from benchmarks.measure import Failed
from benchmarks.prediction import Limit, Load, Rates, predict
from loader.errors import UsageError
from loader.job.publish import FIRST_INTERVAL
from loader.planning import BASE, ENCODER, READER
from loader.units import MB

INSTANT = Rates(host=1e9)
"""Nothing takes any time."""

AMPLE = 100_000.0


def load(json, chunk=10.0, concurrency=4, memory=AMPLE):
    return Load(json=json, chunk=chunk, concurrency=concurrency, memory=memory, encoders=2)


def upload(rates, **options):
    return predict(load(**options), rates).upload


def test_a_host_that_is_the_limit_takes_its_time_and_a_last_put():
    rates = Rates(host=10.0, latency=0.3)
    found = predict(load(400.0), rates)
    assert found.limit is Limit.HOST
    assert found.upload == pytest.approx(400 / 10 + 0.3)


def test_latency_is_paid_once_a_wave():
    rates = replace(INSTANT, latency=2.0)
    assert upload(rates, json=320.0, concurrency=8) == pytest.approx(4 * 2.0)
    assert upload(rates, json=330.0, concurrency=8) == pytest.approx(5 * 2.0)
    assert predict(load(320.0), rates).limit is Limit.PUTS


@pytest.mark.parametrize("concurrency", [1, 2, 8])
def test_the_network_alone_carries_all_bytes_one_after_the_other(concurrency):
    rates = replace(INSTANT, bandwidth=4.0)
    expected = 400.0 * 4 / 3 / 4.0
    assert upload(rates, json=400.0, concurrency=concurrency) == pytest.approx(expected)
    assert predict(load(400.0, concurrency=8), rates).limit is Limit.NETWORK


def test_a_server_that_is_the_limit_takes_chunks_one_after_the_other():
    rates = replace(INSTANT, ingest=5.0, latency=0.5)
    found = predict(load(400.0), rates)
    assert found.limit is Limit.INGEST
    assert found.upload == pytest.approx(400 / 5.0 + 0.5)


def test_each_put_has_a_rate_of_its_own():
    rates = replace(INSTANT, stream=5.0)
    assert upload(rates, json=400.0, concurrency=1) == pytest.approx(80.0)
    assert upload(rates, json=400.0, concurrency=8) == pytest.approx(10.0)


def test_puts_that_share_the_network_are_slower_than_alone_and_faster_than_in_step():
    rates = replace(INSTANT, bandwidth=16.0, latency=0.6)
    seconds = upload(rates, json=64.0, chunk=2.0)
    wire = 2.0 * 4 / 3 / 16.0
    assert 8 * (wire + 0.6) < seconds < 8 * (4 * wire + 0.6)


def test_a_last_chunk_may_be_half_as_large_again():
    rates = replace(INSTANT, stream=5.0)
    found = predict(load(34.0), rates)
    assert (found.chunks, found.at_once) == (3, 3)
    assert found.upload == pytest.approx(14.0 / 5.0)


def test_the_chunk_before_a_small_last_one_may_end_later():
    rates = replace(INSTANT, stream=5.0)
    assert upload(rates, json=26.0) == pytest.approx(10.0 / 5.0)


def test_a_load_smaller_than_a_chunk_is_one_put():
    rates = Rates(host=10.0, stream=5.0, latency=1.0)
    found = predict(load(4.0), rates)
    assert (found.chunks, found.at_once) == (1, 1)
    assert found.upload == pytest.approx(0.4 + 1.0 + 0.8)


def test_memory_bounds_the_puts_at_once():
    rates = Rates(host=50.0, latency=1.0)
    # What is left for JSON holds three chunks and four fifths.
    tight = load(400.0, concurrency=8, memory=(BASE + READER + 2 * ENCODER) / MB + 38.0)
    found = predict(tight, rates)
    assert found.at_once == 3
    # 40 chunks are 13 full waves and one more: each waits until 0.7 of a chunk more is encoded.
    assert found.upload == pytest.approx(0.3 + 13 * (1.0 + 7.0 / 50.0) + 1.0)
    assert predict(replace(tight, concurrency=None), rates).at_once == 2
    assert predict(replace(tight, concurrency=2), rates).at_once == 2


def test_chunks_that_memory_does_not_hold_are_refused_as_the_loader_does():
    with pytest.raises(UsageError, match="too small for chunks"):
        predict(load(400.0, chunk=200.0, memory=600.0), INSTANT)


def test_more_of_anything_never_makes_a_load_slower():
    base = Rates(host=40.0, bandwidth=30.0, ingest=15.0, stream=4.0, latency=0.5, publish_rate=9.0)
    seconds = predict(load(400.0), base).seconds
    for name in ("host", "bandwidth", "ingest", "stream", "publish_rate"):
        faster = replace(base, **{name: 2 * getattr(base, name)})
        assert predict(load(400.0), faster).seconds <= seconds, name
    assert predict(load(400.0), replace(base, latency=0.0)).seconds <= seconds
    counts = [upload(base, json=400.0, concurrency=n) for n in range(1, 9)]
    assert counts == sorted(counts, reverse=True)


def test_many_chunks_come_near_the_rate_of_the_slowest_stage():
    rates = Rates(host=40.0, bandwidth=30.0, ingest=15.0, stream=4.0, latency=0.5)
    assert 1e6 / upload(rates, json=1e6, concurrency=8) == pytest.approx(15.0, rel=0.01)


@pytest.mark.parametrize("time", [0.001, 0.05, 0.2, 1.0, 8.4, 10.0])
def test_the_end_of_a_publish_is_seen_at_the_next_look(time):
    found = predict(load(100.0), replace(INSTANT, publish_time=time))
    # Each interval is half of the time so far, and one first interval more.
    assert time <= found.publish <= 1.5 * time + FIRST_INTERVAL


def test_a_publish_without_work_is_seen_at_once():
    assert predict(load(100.0), INSTANT).publish == 0.0


def test_a_long_publish_is_seen_within_ten_seconds():
    found = predict(load(1e6), replace(INSTANT, publish_time=5.0, publish_rate=100.0))
    assert 10_005 <= found.publish <= 10_015
    assert found.seconds == found.upload + found.publish


def test_what_is_infinite_costs_nothing():
    assert math.isfinite(predict(load(1e6), INSTANT).seconds)


def test_each_limit_has_a_setting_that_is_checked():
    seen = set()
    for setting in SETTINGS:
        rates = setting.server if setting.paced else replace(setting.server, host=100.0)
        seen.add(
            predict(
                load(setting.json, setting.chunk, setting.concurrency, setting.memory), rates
            ).limit
        )
    assert seen == set(Limit)


def test_the_page_has_the_examples_that_the_formula_gives():
    text = PAGE.read_text("utf-8")
    for name, table in example_tables().items():
        assert put(text, name, table) == text


def test_the_page_shows_every_setting_and_marks_those_that_are_off():
    text = PAGE.read_text("utf-8")
    table = text.partition("<!-- checks -->")[2].partition("<!-- /checks -->")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if "%" in line]
    assert [row[0] for row in rows] == [one.name for one in SETTINGS]
    for *_, error in rows:
        assert (abs(float(error.strip("*%"))) > 15.0) == error.startswith("**")


def test_a_page_without_the_place_is_refused():
    with pytest.raises(Failed, match="sizes"):
        put("nothing", "sizes", "a table")
