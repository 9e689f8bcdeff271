"""The recommendation is what an engineer would choose: no setting is taken for a hair's breadth."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.bench.grid import all_settings
from loader.bench.recommend import recommend
from loader.bench.records import Setting
from loader.units import MB
from tests.bench.made import failed, run


def column(size, puts):
    return Setting("column", size * MB, puts)


def sweep(rates):
    return [run(setting, rate) for setting, found in rates.items() for rate in found]


def steady(level, noise=0.001):
    return [level * (1 - noise), level, level * (1 + noise)]


def test_the_fastest_where_it_is_clearly_the_fastest():
    found = recommend(sweep({column(100, 1): steady(100), column(100, 4): steady(300)}))
    assert found.setting == column(100, 4)
    assert found.rows_per_second == 300
    assert "was the fastest setting" in found.reason


def test_fewer_puts_where_more_bring_next_to_nothing():
    found = recommend(sweep({column(100, 4): steady(990), column(100, 8): steady(1000)}))
    assert found.setting == column(100, 4)
    assert "99 % of the fastest setting" in found.reason
    assert "8 PUTs at once" in found.reason


def test_not_fewer_puts_where_the_difference_is_real():
    found = recommend(sweep({column(100, 4): steady(960), column(100, 8): steady(1000)}))
    assert found.setting == column(100, 8)


def test_fewer_puts_where_the_difference_may_be_noise():
    rates = {column(100, 4): [800, 960, 1090], column(100, 8): [900, 1000, 1100]}
    assert recommend(sweep(rates)).setting == column(100, 4)


def test_noise_is_no_excuse_for_a_large_difference():
    rates = {column(100, 4): [500, 900, 1300], column(100, 8): [600, 1000, 1400]}
    assert recommend(sweep(rates)).setting == column(100, 8)


def test_one_run_each_says_nothing_of_noise():
    assert recommend(sweep({column(100, 4): [96], column(100, 8): [100]})).setting == column(100, 8)
    assert recommend(sweep({column(100, 4): [99], column(100, 8): [100]})).setting == column(100, 4)


def test_of_equals_the_smaller_chunks_that_the_documents_recommend():
    rates = {column(size, 2): steady(1000) for size in (25, 50, 100, 200)}
    assert recommend(sweep(rates)).setting == column(50, 2)


def test_of_equals_columns():
    rates = {Setting("row", 100 * MB, 2): steady(1000), column(100, 2): steady(1000)}
    assert recommend(sweep(rates)).setting == column(100, 2)


def test_rows_where_the_server_takes_them_faster():
    rates = {Setting("row", 100 * MB, 2): steady(2000), column(100, 2): steady(1000)}
    assert recommend(sweep(rates)).orientation == "row"


def test_a_setting_that_failed_once_is_not_recommended():
    runs = sweep({column(100, 4): steady(100), column(100, 8): steady(300)})
    assert recommend([*runs, failed(column(100, 8))]).setting == column(100, 4)


def test_a_failed_warm_up_says_nothing():
    runs = sweep({column(100, 8): steady(300)})
    assert recommend([failed(column(100, 8), repeat=0), *runs]).setting == column(100, 8)


def test_the_warm_up_does_not_count():
    runs = [run(column(100, 8), 900, repeat=0), run(column(100, 8), 300), run(column(100, 4), 400)]
    assert recommend(runs).setting == column(100, 4)


@pytest.mark.parametrize("runs", [[], [failed()], [run(repeat=0)]])
def test_nothing_to_recommend(runs):
    assert recommend(runs) is None


def test_more_puts_are_suggested_where_the_most_were_the_fastest():
    rates = {column(100, puts): steady(100 * puts) for puts in (1, 2, 4, 8)}
    assert "--concurrency 8,16" in recommend(sweep(rates)).reason
    rates[column(100, 8)] = steady(405)
    assert "--concurrency 8,16" not in recommend(sweep(rates)).reason


def test_it_says_what_limits():
    runs = [run(stages={"server": 0.9, "reading": 0.1})]
    assert "the server and the network 90 % of the time" in recommend(runs).reason
    runs = [run(stages={"server": 0.1, "reading": 0.7, "encoding": 0.2})]
    assert "rows of the source 70 % of the time" in recommend(runs).reason


def test_it_says_that_puts_were_repeated():
    assert "had to repeat 3 PUTs" in recommend([replace(run(), retries=3)]).reason


def test_the_command_can_be_copied():
    words = ["mstr-loader", "push", "my sales.parquet", "--project", "Tutorial"]
    found = recommend(sweep({column(50, 2): [1.0]}), command=words)
    assert shlex.split(found.command) == [
        *words,
        *("--orientation", "column", "--chunk-size", "50MB", "--concurrency", "2"),
    ]


def test_a_size_that_is_no_megabytes_stays_exact():
    found = recommend([run(Setting("column", 64 * 1024**2, 1))])
    assert "--chunk-size 67108864" in found.command


@given(
    st.dictionaries(
        st.sampled_from(all_settings(("column", "row"), (25 * MB, 100 * MB), (1, 2, 8))),
        st.lists(st.floats(1.0, 1e7), min_size=1, max_size=4),
        min_size=1,
        max_size=6,
    )
)
def test_it_is_never_much_slower_than_the_fastest(rates):
    found = recommend(sweep(rates))
    medians = {setting: sorted(found)[len(found) // 2] for setting, found in rates.items()}
    lower = {setting: sorted(found)[(len(found) - 1) // 2] for setting, found in rates.items()}
    best = max((medians[setting] + lower[setting]) / 2 for setting in rates)
    assert found.rows_per_second >= 0.95 * best * (1 - 1e-9)
