"""Comparing two sweeps: what differs, what is common, and what may be said of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from loader.bench.comparison import compare, failed_comparison
from loader.bench.grid import all_settings
from loader.bench.intervals import Verdict
from loader.errors import UsageError
from loader.units import MB
from tests.bench.made import COLUMNS, ENVIRONMENT, failed, records, run

SETTINGS = all_settings(("column",), (50 * MB, 100 * MB), (1, 2, 4, 8))


def noisy(seed, factor=1.0, count=3):
    generator = np.random.default_rng(seed)
    return {
        setting: (factor * 1000 * np.exp(generator.normal(0, 0.02, count))).tolist()
        for setting in SETTINGS
    }


def test_a_sweep_does_not_differ_from_itself():
    one = records(noisy(1))
    found = compare(one, one)
    assert found.differences == ()
    assert found.overall.verdict is Verdict.NO_DIFFERENCE
    assert {each.ratio.verdict for each in found.settings} == {Verdict.NO_DIFFERENCE}


def test_one_sweep_twice_is_known_as_that():
    one, other = records(noisy(1)), records(noisy(1), sweep="other")
    assert compare(one, one).same_sweep
    assert not compare(one, other).same_sweep


def test_noise_is_no_difference():
    assert compare(records(noisy(1)), records(noisy(2))).overall.verdict is Verdict.NO_DIFFERENCE


def test_a_faster_server_is_faster_in_every_setting():
    found = compare(records(noisy(1)), records(noisy(2, 1.5)))
    assert found.overall.value == pytest.approx(1.5, rel=0.03)
    assert {each.ratio.verdict for each in found.settings} == {Verdict.FASTER}
    back = compare(records(noisy(2, 1.5)), records(noisy(1)))
    assert back.overall.verdict is Verdict.SLOWER
    assert back.overall.value == pytest.approx(1 / found.overall.value)


def test_the_same_records_compare_the_same():
    a, b = records(noisy(1)), records(noisy(2))
    assert compare(a, b) == compare(a, b)


def test_the_ratio_is_that_of_the_medians():
    found = compare(records({COLUMNS: [1, 2, 100]}), records({COLUMNS: [3, 6, 7]}))
    assert found.settings[0].ratio.value == pytest.approx(3)


def test_only_common_settings_are_compared():
    a, b = noisy(1), noisy(2)
    del a[SETTINGS[0]], b[SETTINGS[1]]
    found = compare(records(a), records(b))
    assert found.only_a == (SETTINGS[1],)
    assert found.only_b == (SETTINGS[0],)
    assert [each.setting for each in found.settings] == list(SETTINGS[2:])


def test_nothing_in_common():
    with pytest.raises(UsageError, match="no setting in common"):
        compare(records({SETTINGS[0]: [1.0]}), records({SETTINGS[1]: [1.0]}))


def test_two_settings_in_common_are_too_few_for_an_overall():
    # The way of two sweeps of one unchanged server, minutes apart.
    a, b = noisy(1), noisy(2, 0.8)
    common = SETTINGS[:2]
    found = compare(records(a), records({setting: b[setting] for setting in common}))
    assert {each.ratio.verdict for each in found.settings} == {Verdict.SLOWER}
    assert found.overall.verdict is Verdict.TOO_FEW_SETTINGS
    assert found.as_dict()["overall"]["verdict"] == "too few settings in common to say"


def test_repetitions_that_differ_as_a_whole_are_noise():
    # Each repetition of B was as fast as one of A but the last one: not 8 proofs, but one run.
    a = {setting: [100.0, 110.0, 121.0] for setting in SETTINGS}
    b = {setting: [110.0, 121.0, 131.0] for setting in SETTINGS}
    found = compare(records(a), records(b))
    assert found.overall.verdict is Verdict.NO_DIFFERENCE
    assert {each.ratio.verdict for each in found.settings} == {Verdict.NO_DIFFERENCE}


def test_runs_belong_to_their_repetitions_wherever_they_are_in_the_file():
    one = records({setting: [100.0, 110.0, 121.0] for setting in SETTINGS})
    other = replace(one, runs=tuple(reversed(one.runs)))
    b = records(noisy(2))
    assert compare(one, b).overall.low == pytest.approx(compare(other, b).overall.low, rel=0.02)


def test_a_sweep_without_a_run_that_counts_is_named():
    one = records({COLUMNS: [10.0, 11.0]})
    torn = replace(one, runs=(run(rate=1.0, repeat=0),))
    for a, b, name in ((torn, one, "A"), (one, torn, "B")):
        with pytest.raises(UsageError, match=f"^{name} has no run that counts") as caught:
            compare(a, b)
        assert "--chunk-size" not in caught.value.hint


def test_warm_up_and_failed_runs_are_left_out():
    one = records({COLUMNS: [10.0, 11.0]})
    other = replace(one, runs=(run(rate=1.0, repeat=0), *one.runs, failed(repeat=3)))
    assert compare(one, other).settings[0].b == (10.0, 11.0)


def test_one_run_each_is_too_few():
    rates = [{setting: [rate] for setting in SETTINGS} for rate in (10.0, 20.0)]
    found = compare(*map(records, rates))
    assert found.overall.verdict is Verdict.TOO_FEW_RUNS
    assert {each.ratio.verdict for each in found.settings} == {Verdict.TOO_FEW_RUNS}
    assert found.overall.low is None


def test_what_else_differs_is_named():
    b = replace(
        ENVIRONMENT,
        server="https://other.example.com",
        server_version=None,
        loader="0.2.0",
        compiled=False,
        memory=16_000_000_000,
        round_trip=0.02,
        tables=(replace(ENVIRONMENT.tables[0], rows=None),),
        settings={**ENVIRONMENT.settings, "repeat": 5, "seed": 9, "memory": 2 * 10**9, "limit": 7},
    )
    found = compare(
        records({COLUMNS: [1.0]}), replace(records({COLUMNS: [1.0]}), environment=b)
    ).differences
    assert {one.what: (one.a, one.b) for one in found} == {
        "tables": ("sales: 1,000,000 rows, 7 columns", "sales: unknown rows, 7 columns"),
        "server": ("https://host.example.com/MicroStrategyLibrary", "https://other.example.com"),
        "server's version": ("11.5.0700.0000", "none"),
        "loader": ("0.1.0", "0.2.0"),
        "compiled encoder": ("yes", "no"),
        "memory": ("32 GB", "16 GB"),
        "round trip": ("4.0 ms", "20.0 ms"),
        "--memory": ("1GB", "2GB"),
        "--limit": ("none", "7"),
    }


@pytest.mark.parametrize(("one", "other"), [(0.004, 0.005), (0.0002, 0.0009), (None, 0.004)])
def test_round_trips_that_are_alike_are_no_difference(one, other):
    a = records({COLUMNS: [1.0]}, round_trip=one)
    b = records({COLUMNS: [1.0]}, round_trip=other, sweep="other", started="later")
    assert compare(a, b).differences == ()


def test_the_json_form():
    found = compare(records(noisy(1)), records(noisy(2))).as_dict()
    assert list(found) == [
        *("same_sweep", "differences", "overall", "settings", "only_a", "only_b", "error")
    ]
    failed = failed_comparison(UsageError("no", hint="yes"))
    assert list(failed) == list(found)
    assert failed["error"]["message"] == "no"
    assert list(found["settings"][0]) == [
        *("orientation", "chunk_size", "concurrency", "a", "b", "runs_a", "runs_b"),
        *("ratio", "low", "high", "verdict"),
    ]
