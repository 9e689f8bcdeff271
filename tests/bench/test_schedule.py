"""Every setting gets its turns, in orders of their own; time that is short is shared out fairly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.bench.grid import all_settings
from loader.bench.records import Setting
from loader.bench.schedule import Schedule
from loader.units import MB

SETTINGS = all_settings(("column", "row"), (50 * MB, 100 * MB), (1, 2, 4))


def play(schedule, cost, elapsed=0.0):
    """Runs a schedule by the clock of ``cost``; returns what ran, and when all was over."""
    ran = []
    for _ in range(1000):
        planned = schedule.next(elapsed)
        if planned is None:
            return ran, elapsed
        ran.append(planned)
        seconds = cost(planned.setting)
        elapsed += seconds
        schedule.took(planned.setting, seconds)
    raise AssertionError("it never ended")


def slow_alone(setting):
    """A server that answers each PUT after the same time."""
    return 80.0 / setting.concurrency


def test_every_repetition_is_a_pass_over_all_settings_in_another_order():
    ran, _ = play(Schedule(SETTINGS, repeat=3, seed=1), slow_alone)
    passes = [[one.setting for one in ran if one.repeat == repeat] for repeat in (1, 2, 3)]
    assert all(set(one) == set(SETTINGS) and len(one) == len(SETTINGS) for one in passes)
    assert passes[0] != passes[1] != passes[2] != list(SETTINGS)
    assert [one.order for one in ran] == [*range(1, len(SETTINGS) + 1)] * 3


def test_a_seed_gives_the_same_order_again():
    orders = [play(Schedule(SETTINGS, repeat=2, seed=seed), slow_alone)[0] for seed in (5, 5, 6)]
    assert orders[0] == orders[1] != orders[2]


def test_whole_repetitions_are_left_out_first():
    whole = sum(map(slow_alone, SETTINGS))
    schedule = Schedule(SETTINGS, repeat=3, seed=1, limit=2.2 * whole)
    ran, elapsed = play(schedule, slow_alone)
    assert elapsed == pytest.approx(2 * whole)
    assert {one.repeat for one in ran} == {1, 2}
    skipped = schedule.skipped()
    assert {one.setting for one in skipped} == set(SETTINGS)
    assert {one.repeat for one in skipped} == {3}
    assert "a whole repetition takes about" in skipped[0].reason
    assert schedule.skipped() == []


def test_then_the_settings_go_that_are_known_to_be_slow():
    # 4 * (80 + 40 + 20) s, and there is not even time for one repetition.
    schedule = Schedule(SETTINGS, repeat=3, seed=1, limit=300.0)
    schedule.took(Setting("column", 100 * MB, 4), 20.0)
    ran, elapsed = play(schedule, slow_alone, elapsed=20.0)
    assert elapsed <= 300
    done = {one.setting for one in ran}
    skipped = schedule.skipped()
    missing = {one.setting for one in skipped if one.repeat == 1}
    assert done | missing == set(SETTINGS)
    assert not done & missing
    # As many as fit: what was left out takes longer than what is left of the time.
    assert min(map(slow_alone, missing)) > 300 - elapsed
    assert {one.concurrency for one in missing} <= {1, 2}
    assert {4} <= {one.concurrency for one in done}
    assert {one.repeat for one in skipped} == {1, 2, 3}


def test_what_was_too_long_by_the_estimate_runs_when_it_turns_out_shorter():
    schedule = Schedule(SETTINGS, repeat=1, seed=1, limit=100.0)
    # The warm-up took long; nothing else does.
    schedule.took(SETTINGS[0], 40.0)
    ran, _ = play(schedule, lambda _: 1.0, elapsed=40.0)
    assert {one.setting for one in ran} == set(SETTINGS)


def test_a_setting_that_failed_is_not_run_again():
    schedule = Schedule(SETTINGS, repeat=2, seed=1)
    first = schedule.next(0.0)
    schedule.give_up(first.setting, "it failed before: no")
    ran, _ = play(schedule, slow_alone)
    assert len(ran) == 2 * len(SETTINGS) - 2
    (skipped,) = schedule.skipped()
    assert skipped.setting == first.setting
    assert skipped.repeat is None
    assert skipped.reason == "it failed before: no"


def test_nothing_is_left_when_all_settings_failed():
    schedule = Schedule(SETTINGS[:1], repeat=3, seed=1)
    schedule.give_up(schedule.next(0.0).setting, "no")
    assert schedule.next(1.0) is None
    assert schedule.left == 0


def test_what_is_left():
    schedule = Schedule(SETTINGS, repeat=2, seed=1)
    assert schedule.left == 24
    assert schedule.seconds_left() is None
    planned = schedule.next(0.0)
    schedule.took(planned.setting, 2.0)
    assert schedule.left == 23
    assert schedule.seconds_left() == pytest.approx(46.0)


def test_a_setting_is_expected_to_take_what_its_neighbour_took():
    schedule = Schedule(SETTINGS, repeat=1, seed=1)
    schedule.took(Setting("column", 50 * MB, 1), 80.0)
    schedule.took(Setting("column", 50 * MB, 4), 20.0)
    assert schedule.expected(Setting("row", 100 * MB, 4)) == 20.0
    assert schedule.expected(Setting("row", 100 * MB, 1)) == 80.0


@given(
    st.dictionaries(st.sampled_from(SETTINGS), st.floats(0.1, 100.0), min_size=1),
    st.integers(1, 4),
    st.floats(0.0, 2000.0),
    st.integers(0, 100),
)
def test_every_run_is_made_or_accounted_for(costs, repeat, limit, seed):
    schedule = Schedule(list(costs), repeat=repeat, seed=seed, limit=limit)
    ran, _ = play(schedule, costs.__getitem__)
    done = [(one.setting, one.repeat) for one in ran]
    left_out = [(one.setting, one.repeat) for one in schedule.skipped()]
    assert sorted(done + left_out) == sorted(
        (setting, number) for setting in costs for number in range(1, repeat + 1)
    )
    # Never beyond the time by more than one wrong guess.
    assert sum(costs[one.setting] for one in ran[:-1]) <= limit


@given(st.integers(1, 3), st.floats(1.0, 1000.0))
def test_repetitions_differ_by_no_more_than_one(repeat, limit):
    """Costs that are known and constant: no setting is favoured."""
    schedule = Schedule(SETTINGS, repeat=repeat, seed=3, limit=limit)
    for setting in SETTINGS:
        schedule.took(setting, 7.0)
    ran, _ = play(schedule, lambda _: 7.0)
    counts = [sum(one.setting == setting for one in ran) for setting in SETTINGS]
    assert max(counts) - min(counts) <= 1
    if len(ran) > len(SETTINGS):
        assert max(counts) == min(counts)
