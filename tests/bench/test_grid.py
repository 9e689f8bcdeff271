"""Settings that memory does not hold, or that repeat another one, are left out with the reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.bench.grid import all_settings, choose, warm_up_setting
from loader.bench.records import Setting
from loader.planning import ChunkRules, Cutter, MemoryPlan
from loader.units import MB

SIZES = (25 * MB, 50 * MB, 100 * MB, 200 * MB)
SETTINGS = all_settings(("column",), SIZES, (1, 2, 4, 8))


def memory(json: int):
    """A planner with so much room for JSON."""
    return lambda setting: MemoryPlan(
        total=json + 450 * MB,
        base=200 * MB,
        reader=200 * MB,
        encoders=50 * MB,
        json=json,
        concurrency=setting.concurrency,
    )


PLENTY = memory(10_000 * MB)


def reasons(grid):
    return {(one.chunk_size // MB, one.concurrency): one.reason for one in grid.skipped}


def test_all_settings_are_the_product_without_repetitions():
    found = all_settings(("row", "column", "row"), (2, 1, 2), (8, 1))
    assert len(found) == 8
    assert found[0] == Setting("row", 1, 1)
    assert len(set(found)) == 8


def test_with_room_and_data_enough_every_setting_is_run():
    assert choose(SETTINGS, PLENTY, [10**12]).settings == SETTINGS
    assert choose(SETTINGS, PLENTY).settings == SETTINGS


def test_what_memory_does_not_hold_is_left_out_with_the_planners_formula():
    grid = choose(SETTINGS, memory(550 * MB), [10**12])
    found = reasons(grid)
    # (550 - 150) / 100 chunks of 100 MB, and (550 - 300) / 200 of 200 MB.
    assert set(found) == {(100, 8), (200, 2), (200, 4), (200, 8)}
    assert "holds 4 chunks of 100 MB" in found[100, 8]
    assert "550 MB JSON" in found[100, 8]
    assert "<= 1000 MB" in found[100, 8]
    assert "--memory 1400MB holds 8" in found[100, 8]


def test_the_memory_that_is_named_is_enough():
    grid = choose(SETTINGS, memory(950 * MB), [10**12])
    assert (100, 8) not in reasons(grid)


def test_what_the_planner_refuses_is_left_out_in_its_words():
    def refuse(setting):
        return "too small" if setting.chunk_size == 200 * MB else PLENTY(setting)

    found = reasons(choose(SETTINGS, refuse, [10**12]))
    assert set(found) == {(200, puts) for puts in (1, 2, 4, 8)}
    assert set(found.values()) == {"too small"}


def test_few_chunks_need_little_memory():
    # 210 MB are at most three chunks of 100 MB, whatever the concurrency is.
    found = reasons(choose(SETTINGS, memory(550 * MB), [210 * MB]))
    assert "no more PUTs at once than --concurrency 4" in found[100, 8]


def test_a_source_of_one_chunk_has_one_setting():
    grid = choose(SETTINGS, PLENTY, [10 * MB])
    assert grid.settings == (Setting("column", 25 * MB, 1),)
    assert "the same chunks as --chunk-size 25 MB" in reasons(grid)[200, 1]


def test_sizes_that_give_the_same_chunks_are_one():
    # 60 MB: several chunks of 25 MB, and one of anything larger.
    grid = choose(SETTINGS, PLENTY, [60 * MB])
    assert {one.chunk_size // MB for one in grid.settings} == {25, 50}
    assert [one.concurrency for one in grid.settings if one.chunk_size == 50 * MB] == [1]


def test_a_single_chunk_has_one_put_though_it_is_larger_than_wanted():
    # Less than 150 MB is never cut into chunks of 100 MB.
    one = all_settings(("column",), (100 * MB,), (1, 2))
    assert choose(one, PLENTY, [99 * MB]).settings == one[:1]
    assert choose(one, PLENTY, [140 * MB]).settings == one[:1]
    assert choose(one, PLENTY, [99 * MB, 99 * MB]).settings == one
    assert choose(one, PLENTY, [160 * MB]).settings == one


def test_tables_are_sent_at_once():
    grid = choose(SETTINGS, PLENTY, [MB, MB, MB, MB])
    assert [one.concurrency for one in grid.settings] == [1, 2, 4]


@given(
    st.lists(st.integers(10_000, 3 * 10**8), min_size=1, max_size=3),
    st.integers(1, 8).map(lambda count: count * 4 * MB),
)
def test_what_is_left_out_as_a_repetition_really_is_one(tables, block):
    """The cutter is the oracle: as many chunks, or one a table, and no more of them at once."""
    settings = all_settings(("column",), (16 * MB, 64 * MB, 256 * MB), (1, 2, 4, 8, 16))
    grid = choose(settings, PLENTY, tables)
    chunks = {size: [cut(size, table, block) for table in tables] for size in (16, 64, 256)}
    kept = {
        (
            tuple(chunks[one.chunk_size // MB]),
            min(one.concurrency, sum(chunks[one.chunk_size // MB])),
        )
        for one in grid.settings
    }
    for one in grid.skipped:
        found = chunks[one.chunk_size // MB]
        assert (tuple(found), min(one.concurrency, sum(found))) in kept


def cut(size, table, block):
    """How many chunks the loader's cutter makes of a table."""
    cutter = Cutter(ChunkRules.of(size * MB), overhead=0)
    count, left = 0, table
    while left > 0:
        count += len(list(cutter.feed(min(block, left))))
        left -= block
    return count + len(list(cutter.finish()))


def test_the_warm_up_has_the_most_puts_that_memory_holds_for_certain():
    assert warm_up_setting(SETTINGS, PLENTY) == Setting("column", 100 * MB, 8)
    assert warm_up_setting(SETTINGS, memory(550 * MB)) == Setting("column", 50 * MB, 8)


def test_the_warm_up_where_memory_holds_none_for_certain():
    few = all_settings(("column",), (100 * MB,), (4, 8))
    assert warm_up_setting(few, memory(200 * MB)) == few[0]


def test_no_warm_up_without_a_setting():
    assert warm_up_setting(SETTINGS, lambda _: "too small") == "too small"


@pytest.mark.parametrize("tables", [[10 * MB], [10**12]])
def test_skipped_and_chosen_are_all(tables):
    grid = choose(SETTINGS, memory(550 * MB), tables)
    assert {*grid.settings, *(one.setting for one in grid.skipped)} == set(SETTINGS)
