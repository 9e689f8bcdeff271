"""Two sweeps of one unchanged server seem to differ as rarely as ``bench compare`` says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.bench import repetitions
from loader.bench.intervals import Verdict
from loader.bench.repetitions import ratios_of

RATES = st.dictionaries(st.integers(1, 4), st.floats(1e-20, 1e20), min_size=1, max_size=4)
PAIRS = st.lists(st.tuples(RATES, RATES), min_size=1, max_size=5)


def normal(generator, *size):
    return generator.normal(0, 0.03, size)


def lopsided(generator, *size):
    return generator.exponential(0.03, size)


def with_outliers(generator, *size):
    return normal(generator, *size) - (generator.random(size) < 0.1) * generator.exponential(
        0.3, size
    )


def sweep(generator, level, runs, *, noise=normal, scale=1.0, repetition=0.0):
    """Returns the throughputs of each setting, whose repetitions as a whole are noisy too."""
    shared = generator.normal(0, 1, runs) * repetition
    logs = level[:, None] + np.reshape(scale, (-1, 1)) * noise(generator, len(level), runs) + shared
    return [dict(enumerate(np.exp(one).tolist(), 1)) for one in logs]


def wrong(trials, settings, runs, truth=1.0, **noise):
    """Returns in which share of comparisons any setting seems different, and the whole does."""
    generator = np.random.default_rng(20260703)
    any_setting = whole = 0
    for trial in range(trials):
        level = generator.normal(10, 1, settings)
        a = sweep(generator, level, runs, **noise)
        b = sweep(generator, level + math.log(truth), runs, **noise)
        each, overall = ratios_of(list(zip(a, b, strict=True)), seed=trial)
        any_setting += any(not one.low <= truth <= one.high for one in each)
        whole += overall.low is not None and not overall.low <= truth <= overall.high
    return any_setting / trials, whole / trials


NOISES = {
    "plain": {},
    "repetitions as a whole": {"repetition": 0.05},
    "one noisy setting": {"scale": [3.0, *[1.0] * 7]},
    "half of the settings noisy": {"scale": [3.0, 1.0] * 4},
}


@pytest.mark.parametrize("noise", NOISES)
def test_noise_seldom_seems_to_be_a_difference(monkeypatch, noise):
    monkeypatch.setattr(repetitions, "RESAMPLES", 500)
    settings, whole = wrong(100, 8, 3, **NOISES[noise])
    # Of 100 about 5 are allowed; above 10 is what chance makes of 5 in one case of a hundred.
    assert settings <= 0.10
    assert whole <= 0.10


@pytest.mark.slow
@pytest.mark.parametrize("noise", [*NOISES.values(), {"noise": lopsided}, {"noise": with_outliers}])
@pytest.mark.parametrize("runs", [2, 5])
def test_intervals_hold_the_truth(monkeypatch, noise, runs):
    monkeypatch.setattr(repetitions, "RESAMPLES", 500)
    settings, whole = wrong(150, 8, runs, truth=1.1, **noise)
    assert settings <= 0.10
    assert whole <= 0.10


def test_a_difference_beyond_the_noise_is_found():
    generator = np.random.default_rng(1)
    level = generator.normal(10, 1, 16)
    pairs = list(zip(sweep(generator, level, 3), sweep(generator, level + 0.3, 3), strict=True))
    each, overall = ratios_of(pairs, seed=1)
    assert overall.value == pytest.approx(math.exp(0.3), rel=0.03)
    assert {one.verdict for one in (*each, overall)} == {Verdict.FASTER}
    each, back = ratios_of([(b, a) for a, b in pairs], seed=1)
    assert back.value == pytest.approx(1 / overall.value)
    assert {one.verdict for one in (*each, back)} == {Verdict.SLOWER}


def test_many_settings_are_no_surer_than_their_few_repetitions():
    # All that differs are the repetitions: 32 settings say what one of them says.
    a, b = {1: 90.0, 2: 100.0, 3: 110.0}, {1: 101.0, 2: 111.0, 3: 121.0}
    each, overall = ratios_of([(a, b)] * 32, seed=1)
    (alone,), _ = ratios_of([(a, b)], seed=1)
    assert {one.verdict for one in (*each, overall)} == {Verdict.NO_DIFFERENCE}
    assert overall.low == pytest.approx(alone.low, rel=0.03)
    # As 96 runs that have nothing in common it would be sure.
    generator = np.random.default_rng(2)
    logs = np.log(list(a.values())), np.log(list(b.values()))
    pairs = [
        tuple(dict(enumerate(np.exp(generator.permutation(one)).tolist(), 1)) for one in logs)
        for _ in range(32)
    ]
    assert ratios_of(pairs, seed=1)[1].verdict is Verdict.FASTER


def test_of_two_settings_nothing_is_said_of_all():
    pair = ({1: 100.0, 2: 101.0, 3: 102.0}, {1: 200.0, 2: 203.0, 3: 202.0})
    each, overall = ratios_of([pair] * 2, seed=1)
    assert {one.verdict for one in each} == {Verdict.FASTER}
    assert overall.verdict is Verdict.TOO_FEW_SETTINGS
    assert overall.low is None
    assert ratios_of([pair] * 3, seed=1)[1].verdict is Verdict.FASTER


@pytest.mark.parametrize("b", [{1: 2.0}, {1: 2.0, 2: 2.01}])
def test_without_repetitions_on_both_sides_nothing_is_said(b):
    each, overall = ratios_of([({1: 1.0}, b)] * 4, seed=1)
    assert {one.verdict for one in (*each, overall)} == {Verdict.TOO_FEW_RUNS}


def test_what_has_no_noise_is_certain():
    each, overall = ratios_of([({1: 2.0, 2: 2.0}, {1: 3.0, 2: 3.0})] * 3, seed=1)
    assert {(one.low, one.high) for one in (*each, overall)} == {(overall.value, overall.value)}


@given(PAIRS)
def test_intervals_contain_their_ratio_and_are_figures(pairs):
    each, overall = ratios_of(pairs, seed=2)
    for one in (*each, overall):
        if one.low is not None:
            assert 0 <= one.low <= one.value <= one.high < math.inf


@given(st.lists(RATES, min_size=1, max_size=4))
def test_nothing_differs_from_itself(settings):
    each, overall = ratios_of([(rates, rates) for rates in settings], seed=3)
    for one in (*each, overall):
        assert one.value == pytest.approx(1.0)
        assert one.verdict not in {Verdict.FASTER, Verdict.SLOWER}


def test_the_same_runs_compare_the_same():
    pairs = [({1: 1.0, 2: 1.1, 3: 1.2}, {1: 1.05, 2: 1.3, 3: 1.1})] * 3
    assert ratios_of(pairs, seed=9) == ratios_of(pairs, seed=9)
