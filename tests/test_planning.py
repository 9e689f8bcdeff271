from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.errors import UsageError
from loader.planning import MB, ChunkRules, Cutter, block_bytes, plan_memory

RULES = ChunkRules()


def cut(sizes: list[int], rules: ChunkRules = RULES, overhead: int = 0) -> list[list[int]]:
    """Cuts a stream of block sizes; returns the blocks of each chunk."""
    cutter = Cutter(rules, overhead)
    counts = [count for size in sizes for count in cutter.feed(size)]
    counts += cutter.finish()
    chunks, start = [], 0
    for count in counts:
        chunks.append(sizes[start : start + count])
        start += count
    assert start == len(sizes)
    return chunks


def test_at_most_50_mb_are_one_chunk():
    assert cut([4 * MB] * 12) == [[4 * MB] * 12]
    assert cut([1]) == [[1]]
    assert cut([]) == []


def test_a_long_stream_is_cut_at_100_mb():
    chunks = cut([MB] * 1000)
    assert [sum(chunk) for chunk in chunks] == [100 * MB] * 10


@pytest.mark.parametrize("total", [51, 99, 101, 149, 150, 151, 199, 201, 249, 251, 399])
def test_the_last_chunk_is_not_too_small(total):
    sizes = [sum(chunk) for chunk in cut([MB] * total)]
    assert all(50 * MB <= size <= 200 * MB for size in sizes)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=300), st.integers(0, 2))
def test_chunks_keep_the_rules_however_widths_are_skewed(sizes, overhead):
    rules = ChunkRules.of(100)
    chunks = [sum(chunk) + overhead for chunk in cut(sizes, rules, overhead)]
    if sum(sizes) + overhead > rules.low:
        assert all(rules.low <= size <= rules.high for size in chunks), chunks
    else:
        assert len(chunks) == 1


@given(st.lists(st.integers(1, 500), min_size=1, max_size=60))
def test_only_a_single_row_makes_a_chunk_too_large(sizes):
    rules = ChunkRules.of(100)
    for chunk in cut(sizes, rules):
        assert sum(chunk) <= rules.high or len(chunk) == 1


@given(st.lists(st.integers(1, 60), max_size=100))
def test_little_is_held_back(sizes):
    rules = ChunkRules.of(100)
    cutter = Cutter(rules)
    held: list[int] = []
    for size in sizes:
        held.append(size)
        for count in cutter.feed(size):
            del held[:count]
        assert sum(held) < rules.hold or len(held) == 1


def test_a_size_of_the_users_own_shifts_the_rules():
    rules = ChunkRules.of(10 * MB)
    assert (rules.low, rules.high, rules.guided) == (5 * MB, 20 * MB, False)
    assert ChunkRules.of(200 * MB).guided
    assert ChunkRules.of(None) == RULES
    assert [sum(chunk) for chunk in cut([MB] * 30, rules)] == [10 * MB] * 3


def test_blocks_shrink_with_chunks():
    assert block_bytes(RULES) == 4 * MB
    assert block_bytes(ChunkRules.of(MB)) == MB // 16
    assert block_bytes(ChunkRules.of(1)) == 16_000


def test_the_parts_of_the_memory_add_up_to_the_budget():
    plan = plan_memory(1000 * MB, RULES, concurrency=None, encoders=2)
    assert plan.base + plan.reader + plan.encoders + plan.json == plan.total
    assert plan.concurrency >= 2
    assert "<= 1000 MB" in plan.formula()


def test_more_memory_means_more_concurrency_up_to_8():
    found = [
        plan_memory(memory * MB, RULES, concurrency=None, encoders=2).concurrency
        for memory in (700, 1000, 2000, 100_000)
    ]
    assert found == sorted(found)
    assert found[-1] == 8


def test_too_little_memory_is_refused_with_both_cures():
    with pytest.raises(UsageError) as caught:
        plan_memory(520 * MB, RULES, concurrency=None, encoders=2)
    hint = caught.value.hint
    assert "--memory" in hint
    assert "--chunk-size" in hint
    memory = int(hint.split("--memory to ")[1].split("MB")[0])
    size = int(hint.split("--chunk-size to ")[1].split("MB")[0])
    plan_memory(memory * MB, RULES, concurrency=None, encoders=2)
    plan_memory(520 * MB, ChunkRules.of(size * MB), concurrency=None, encoders=2)
