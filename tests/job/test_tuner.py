"""Loads in simulated time: what the tuner finds, how soon, and what it says about it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.job.tuner import FIRST, Fixed, Reason, Tuner
from tests.job.simulation import CHUNK, Server, load

MOST = 8

LATENCY = Server(latency=lambda _: 2.0)
WEATHER = Server(latency=lambda _: 0.3, jitter=0.15)
CAPPED = Server(total=lambda _, __: 0.5)
NOISY_CAP = Server(total=lambda _, __: 1.5, single=0.5, jitter=0.15)
WIDE_CAP = Server(
    total=lambda _, __: 2.5, single=0.5, latency=lambda _: 0.5, jitter=0.15
)  # each PUT 0.5 chunks a second, all 2.5
# Three at once are best; each further one costs a fifth of the whole rate.
OVERLOADED = Server(
    total=lambda n, _: min(n * 0.5, 1.5) * 0.8 ** max(0, n - 3), single=0.5, jitter=0.1
)
# One at once is best.
BRITTLE = Server(total=lambda n, _: n**-0.5, jitter=0.1)
FAILS_ABOVE_3 = Server(latency=lambda _: 2.0, jitter=0.1, refuses=lambda n, _: n >= 3)
FAILS_ABOVE_1 = Server(latency=lambda _: 2.0, refuses=lambda n, _: n >= 1)
SLOWER = Server(latency=lambda now: 0.5 if now < 5 else 2.0, jitter=0.1)
SEEDS = range(4)


def pool(size: int, jitter: float = 0.0) -> Server:
    """Returns a server that works on so many PUTs, each 0.5 chunks a second; the others queue."""
    return Server(total=lambda n, _: n * 0.5, pool=size, jitter=jitter)


def ratio(server: Server, chunks: int, *, most: int = MOST, seed: int = 0, **more) -> float:
    """Returns the time with a tuner over the time with the best fixed number."""
    fixed = (
        load(Fixed(n), server, chunks, most=most, seed=seed, **more).seconds
        for n in range(1, most + 1)
    )
    tuned = load(Tuner(most), server, chunks, most=most, seed=seed, **more)
    return tuned.seconds / min(fixed)


@pytest.mark.parametrize(
    ("server", "worst"),
    [
        (LATENCY, 1.15),
        (WEATHER, 1.15),
        (CAPPED, 1.01),
        (NOISY_CAP, 1.1),
        (WIDE_CAP, 1.15),
        # The beginning is at three, and the look at six takes as long as it takes.
        (OVERLOADED, 1.25),
        (BRITTLE, 1.5),
        *((pool(size, 0.15), 1.15) for size in (1, 2, 3, 4, 6, 8)),
        (FAILS_ABOVE_1, 1.15),
        (FAILS_ABOVE_3, 1.15),
        (SLOWER, 1.15),
    ],
)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_load_of_64_chunks_is_about_as_fast_as_with_the_best_number(server, worst, seed):
    assert ratio(server, 64, seed=seed) <= worst


@pytest.mark.parametrize(
    ("server", "worst"),
    [
        # Three and then six leave three of twelve for a third round; eight at once need two.
        (LATENCY, 1.5),
        (WEATHER, 1.6),
        (CAPPED, 1.01),
        (NOISY_CAP, 1.05),
        (WIDE_CAP, 1.4),
        # Six at once, half as fast, are under way before anything can be learnt from them.
        (OVERLOADED, 1.65),
        (BRITTLE, 2.3),
        (FAILS_ABOVE_1, 1.3),
        # Waiting a second after each failure costs as much as half a PUT.
        (FAILS_ABOVE_3, 1.6),
    ],
)
@pytest.mark.parametrize("chunks", [9, 12])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_short_load_has_little_time_to_learn(server, worst, chunks, seed):
    assert ratio(server, chunks, seed=seed) <= worst


@pytest.mark.parametrize("server", [LATENCY, WEATHER, CAPPED, NOISY_CAP, WIDE_CAP, OVERLOADED])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_short_load_within_the_memory_of_four_loses_little(server, seed):
    assert ratio(server, 9, most=4, seed=seed) <= 1.35


@pytest.mark.parametrize("server", [LATENCY, CAPPED, NOISY_CAP, WIDE_CAP, OVERLOADED, BRITTLE])
def test_over_600_chunks_it_costs_next_to_nothing(server):
    assert ratio(server, 600) <= 1.1


@pytest.mark.parametrize(
    ("server", "reason", "why"),
    [
        (LATENCY, Reason.MOST, "8 PUTs at once: the most there may be"),
        (WEATHER, Reason.MOST, "8 PUTs at once: the most there may be"),
        (CAPPED, Reason.FLAT, "3 PUTs at once: 6 brought no more"),
        (OVERLOADED, Reason.FLAT, "3 PUTs at once: 4 brought no more"),
        (BRITTLE, Reason.FLAT, "1 PUT at once: 2 brought no more"),
        (FAILS_ABOVE_1, Reason.FAILED, "1 PUT at once: the server failed at 2"),
        (FAILS_ABOVE_3, Reason.FAILED, "3 PUTs at once: the server failed at 4"),
    ],
)
def test_it_settles_and_says_why(server, reason, why):
    tuner = Tuner(MOST)
    load(tuner, server, 56)
    assert (tuner.reason, tuner.why) == (reason, why)


@pytest.mark.parametrize(
    ("size", "why"),
    [(1, "1 PUT at once: 2 brought no more"), (3, "3 PUTs at once: 4 brought no more")],
)
def test_a_queue_at_the_server_is_not_taken_for_throughput(size, why):
    tuner = Tuner(MOST)
    load(tuner, pool(size), 88)
    assert tuner.why == why


@pytest.mark.parametrize("seed", SEEDS)
def test_a_server_that_works_on_three_is_not_sent_twice_as_many_in_the_end(seed):
    tuner = Tuner(MOST)
    load(tuner, pool(3, 0.15), 120, seed=seed)
    assert tuner.why.startswith(("2 ", "3 ", "4 ", "5 "))
    assert tuner.reason is Reason.FLAT


def test_one_at_a_time_is_found_where_all_share_what_one_could_have():
    tuner = Tuner(MOST)
    found = load(tuner, CAPPED, 88)
    assert tuner.why == "1 PUT at once: 2 brought no more"
    assert found.limits[-1] == 1


def test_failures_count_also_when_no_chunk_comes_any_more():
    tuner = Tuner(MOST)
    tuner.exhausted()
    tuner.failed(1.0, began=0.0)
    assert tuner.reason is Reason.FAILED
    assert tuner.why == "1 PUT at once: the server failed at 3"


def test_too_few_chunks_say_nothing():
    tuner = Tuner(MOST)
    load(tuner, CAPPED, 9)
    assert tuner.reason is Reason.TRYING
    assert tuner.why == "6 PUTs at once: the load was too short to find out"


def test_meanwhile_it_is_still_trying():
    assert Tuner(MOST).why == "3 PUTs at once: still trying"


@pytest.mark.parametrize("chunks", [9, 64, 600])
def test_a_slow_source_is_not_taken_for_a_slow_server(chunks):
    tuner = Tuner(MOST)
    load(tuner, Server(latency=lambda _: 1.0, jitter=0.15), chunks, produce=0.6)
    assert tuner.reason is Reason.STARVED
    assert tuner.why.endswith(" PUTs at once: reading and encoding could not keep more busy")
    assert tuner.limit >= FIRST


def test_waiting_for_the_first_chunk_is_no_lack_of_chunks():
    tuner = Tuner(MOST)
    load(tuner, LATENCY, 64, first=30.0)
    assert tuner.reason is Reason.MOST


@pytest.mark.parametrize("seed", range(20))
def test_a_noisy_machine_never_makes_it_send_one_by_one(seed):
    tuner = Tuner(MOST)
    found = load(tuner, Server(latency=lambda _: 1.0, jitter=0.15), 64, seed=seed)
    assert min(found.limits) >= FIRST
    assert tuner.limit == MOST


def test_a_server_that_is_away_when_the_load_begins_is_soon_trusted():
    tuner = Tuner(MOST)
    away = Server(latency=lambda _: 2.0, refuses=lambda _, sent: sent < FIRST)
    found = load(tuner, away, 64)
    assert found.failures == FIRST
    assert tuner.limit == MOST


def test_a_connection_that_breaks_now_and_then_is_not_the_limits_fault():
    tuner = Tuner(MOST)
    flaky = Server(latency=lambda _: 2.0, jitter=0.1, refuses=lambda _, sent: sent % 50 == 49)
    found = load(tuner, flaky, 400)
    assert found.failures == 8
    assert set(found.limits[40:]) <= {MOST - 1, MOST}  # it may try whether fewer would do


def test_an_outage_halves_it_once_and_then_it_grows_again():
    tuner = Tuner(MOST)
    outage = Server(latency=lambda _: 2.0, jitter=0.1, refuses=lambda _, sent: 100 <= sent < 120)
    found = load(tuner, outage, 300)
    assert min(found.limits[40:]) == 4
    assert found.limits[-1] >= 7


def test_a_server_that_becomes_wider_is_noticed():
    grown = Server(total=lambda n, now: 0.5 if now < 100 else n * 0.5)
    tuner = Tuner(MOST)
    found = load(tuner, grown, 400)
    assert max(found.limits[30:50]) < 8
    assert found.limits[-1] == MOST


def test_it_does_not_ask_a_server_that_failed_too_often():
    tuner = Tuner(MOST)
    found = load(tuner, FAILS_ABOVE_3, 600)
    assert found.failures < 30
    assert found.limits.count(3) > 500


@pytest.mark.parametrize("most", [1, 2, 3])
def test_it_stays_within_the_most(most):
    tuner = Tuner(most)
    found = load(tuner, LATENCY, 30, most=most)
    assert set(found.limits) == {most}
    assert tuner.reason is Reason.MOST


def test_a_number_of_the_users_own_never_changes():
    fixed = Fixed(5, "--concurrency")
    found = load(fixed, FAILS_ABOVE_3, 30)
    assert set(found.limits) == {5}
    assert fixed.reason is Reason.ASKED
    assert fixed.why == "5 PUTs at once: --concurrency"


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["accepted", "starved", "failed", "exhausted"]),
        st.floats(0, 100) | st.just(0.0),
        st.integers(0, 2 * CHUNK),
        st.floats(0, 200),
    ),
    max_size=200,
)


@given(STEPS, st.integers(1, 8), st.integers(1, 8))
def test_whatever_happens_the_limit_is_one_that_may_be(steps, most, first):
    tuner, now = Tuner(most, first), 0.0
    for what, passed, size, took in steps:
        now += passed
        if what == "failed":
            tuner.failed(now, began=now - took)
        elif what == "exhausted":
            tuner.exhausted()
        else:
            tuner.accepted(now, size, began=now - took, starved=what == "starved")
        assert 1 <= tuner.limit <= most
        assert tuner.why.startswith(f"{tuner.limit} PUT") or tuner.reason is not Reason.TRYING
        assert repr(tuner)


@given(STEPS)
def test_however_it_began_it_finds_its_way_to_the_most(steps):
    tuner, now = Tuner(MOST), 0.0
    for what, passed, size, took in steps:
        now += passed
        if what == "failed":
            tuner.failed(now, began=now - took)
        elif what != "exhausted":
            tuner.accepted(now, size, began=now - took, starved=what == "starved")
    for _ in range(3000):
        now += 1.0 / tuner.limit
        tuner.accepted(now, CHUNK, began=now - 1.0, starved=False)
    assert tuner.limit == MOST
