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


def test_more_puts_are_not_suggested_by_noise():
    # 12 % apart, and runs of one setting differ as much.
    rates = {column(100, 4): [80, 100, 121], column(100, 8): [92, 112, 135]}
    found = recommend(sweep(rates))
    assert found.setting == column(100, 8)
    assert "try more" not in found.reason
    # And of one run each nobody knows.
    assert "try more" not in recommend(sweep({column(1, 4): [100], column(1, 8): [112]})).reason
    rates = {column(100, 4): steady(100), column(100, 8): steady(112)}
    assert "12 % faster than fewer: try more" in recommend(sweep(rates)).reason
    rates = {column(100, 4): steady(100), column(100, 8): steady(104)}
    assert "4 % faster than fewer: try more" in recommend(sweep(rates)).reason


ALL = all_settings(("column", "row"), (25 * MB, 200 * MB), (1, 8))


def test_a_single_chunk_says_nothing_about_sizes_and_puts():
    runs = [run(one, 100, chunks=1, json_bytes=2 * MB) for one in ALL[:1]]
    found = recommend(runs, settings=ALL, limit=20_000).reason
    # 4 chunks of 200 MB for each of 8 PUTs are 6.4 GB, of which 20,000 rows are 2 MB.
    assert "in a single chunk, which says nothing about chunk size or PUTs at once" in found
    assert (
        "--limit 64000000 would, if there are so many rows: 4 chunks of 200 MB for each of" in found
    )
    found = recommend(runs, settings=ALL).reason
    assert "more data would, or smaller chunks: 4 chunks of 200 MB for each of 8 PUTs are" in found
    assert "are 6.4 GB of JSON, and these runs had 2 MB." in found


def test_fewer_chunks_than_puts_say_nothing_about_so_many():
    runs = [run(one, 100, chunks=3, json_bytes=70 * MB) for one in ALL if one.concurrency == 1]
    found = recommend(runs, settings=ALL, limit=7).reason
    assert "in 3 chunks, which says nothing about 8 PUTs at once; --limit 640 would" in found
    assert "says nothing about chunk size" not in found
    runs = [run(one, 100, chunks=8) for one in ALL]
    assert "says nothing" not in recommend(runs, settings=ALL, limit=7).reason


def test_chunks_are_as_large_as_they_were_cut():
    # A block of rows was 12 kB: that is what 1 kB came to, and twice as many rows are not enough.
    runs = [run(Setting("column", 1000, 64), chunks=24, json_bytes=288_000)]
    found = recommend(runs, limit=2000).reason
    assert "4 chunks of 12 kB for each of 64 PUTs are 3.07 MB of JSON" in found
    assert "--limit 22000 would" in found
    # One chunk of a block.
    runs = [run(Setting("column", 1000, 1), chunks=1, json_bytes=12_000)]
    assert "--limit 8000 would" in recommend(runs, limit=2000).reason


@given(st.integers(1, 500), st.integers(1, 10**9), st.integers(1, 10**9), st.integers(1, 10**9))
def test_the_limit_that_is_named_is_more_than_was_loaded(chunks, chunk_size, json_bytes, limit):
    one = Setting("column", chunk_size, 64)
    found = recommend([run(one, chunks=chunks, json_bytes=json_bytes)], limit=limit).reason
    if "--limit" in found:
        assert int(found.partition("--limit ")[2].split()[0]) > limit


def test_settings_that_sent_the_same_are_one_however_fast_they_were():
    rates = {column(25, 1): 100.0, column(25, 8): 150.0, column(200, 8): 130.0}
    runs = [run(one, rate, chunks=1) for one, rate in rates.items()]
    found = recommend(runs)
    assert found.setting == column(25, 1)
    assert found.rows_per_second == 130
    assert "the cheapest of 3 settings that all send the same" in found.reason
    # Two chunks: 8 PUTs at once are never more than 2, but 1 is less.
    runs = [run(column(25, puts), rate, chunks=2) for puts, rate in {1: 80, 2: 99, 8: 120}.items()]
    found = recommend(runs)
    assert found.setting == column(25, 2)
    assert "was the fastest setting" in found.reason
    assert "without a failed run" in recommend([*runs[:1], failed(column(25, 8))]).reason


def test_the_limit_that_is_named_is_enough():
    (found,) = [recommend([run(ALL[0], chunks=1, json_bytes=3 * MB)], settings=ALL, limit=1000)]
    limit = int(found.reason.partition("--limit ")[2].split()[0])
    assert 6400 * MB <= limit * 3000 <= 6400 * MB * 1.1


def test_a_single_setting_is_not_called_the_fastest():
    found = recommend([run()]).reason
    assert "was the only setting tried" in found
    assert "fastest" not in found
    other = failed(column(25, 1))
    assert "the only setting without a failed run" in recommend([run(), other]).reason


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
