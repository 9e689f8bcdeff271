"""The stages where an earlier process has cut: the same chunks again, and nothing twice."""

from __future__ import annotations

import asyncio
import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.encode import Chunk
from loader.errors import Defect, EmptySource, SourceUnreadable
from loader.eventloop import run_anywhere
from loader.job.cuts import Cut, TableCuts
from loader.planning import ChunkRules
from tests.job.lines import Run, content, cuts_of, lines, numbers

RULES = ChunkRules.of(400)

MIXED = st.lists(
    st.sampled_from([("g", 30), ("g", 1), ("s", 1), ("s", 20), ("e", 1), ("e", 20), ("g", 7)]),
    max_size=12,
).map(lambda runs: "".join(kind * count for kind, count in runs) + "g")


def prefix_of(cuts: list[Cut]) -> int:
    """The rows up to the first chunk that is missing: one chunk after the other."""
    end = 0
    for cut in cuts:
        if not cut.accepted:
            return cut.first_row
        end = cut.end_row
    return end


def check_ranges(chunks: list[Chunk], kinds: str) -> None:
    """Every good row lies in the range of one chunk, and no other."""
    end = 0
    for chunk in chunks:
        assert chunk.first_row >= end
        assert "g" not in kinds[end : chunk.first_row]
        end = chunk.end_row
        assert kinds[chunk.first_row : end].count("g") == chunk.rows > 0
    assert "g" not in kinds[end:]


@given(st.data(), MIXED, st.sampled_from(["column", "row"]), st.booleans())
@settings(max_examples=40)
def test_chunks_are_made_again_of_the_same_rows_and_no_row_twice(data, kinds, orientation, reread):
    options = {"orientation": orientation}
    blocks, batch = data.draw(st.integers(1, 400)), data.draw(st.integers(1, 50))
    first = Run({"t": lines(kinds, batch)}, RULES, options=options)
    run_anywhere(lambda: first(blocks))
    before = first.chunks()
    check_ranges(before, kinds)

    planned = before[: data.draw(st.integers(0, len(before)))]
    cuts = cuts_of(planned, data.draw(st.sets(st.sampled_from(range(1, len(before) + 1)))))
    other_blocks = data.draw(st.just(blocks) | st.integers(1, 400))
    other_rules = data.draw(st.sampled_from([RULES, ChunkRules.of(150), ChunkRules.of(2000)]))
    again = Run(
        {"t": lines(kinds, data.draw(st.integers(1, 50)))},
        other_rules,
        {"t": cuts},
        reread,
        options,
        json_budget=3_000,
    )
    run_anywhere(lambda: again(other_blocks))
    sent = again.chunks()

    accepted = [chunk for chunk, cut in zip(planned, cuts, strict=True) if cut.accepted]
    missing = [chunk for chunk, cut in zip(planned, cuts, strict=True) if not cut.accepted]
    new = sent[len(missing) :]
    assert [content(chunk) for chunk in sent[: len(missing)]] == [content(one) for one in missing]
    assert [chunk.index for chunk in new] == [
        len(planned) + place for place in range(1, len(new) + 1)
    ]
    if (other_blocks, other_rules) == (blocks, RULES):
        assert [content(one) for one in new] == [content(one) for one in before[len(planned) :]]
    if orientation == "column":
        whole = sorted([*accepted, *sent], key=lambda chunk: chunk.index)
        assert numbers(whole) == [row for row, kind in enumerate(kinds) if kind == "g"]

    (skip,) = again.sources["t"].skips
    assert skip == (0 if reread else prefix_of(cuts))
    assert again.sources["t"].read == len(kinds) - skip
    unjudged = (
        set()
        if reread
        else set(range(skip)).union(
            *(range(cut.first_row, cut.end_row) for cut in cuts if cut.accepted)
        )
    )
    assert [bad.row - 1 for bad in again.bad] == [
        row for row, kind in enumerate(kinds) if kind != "g" and row not in unjudged
    ]
    assert again.progress.rows_rejected == len(again.bad)
    assert again.progress.chunks_cut == again.progress.chunks_accepted == len(sent)
    assert again.progress.rows_encoded == sum(chunk.rows for chunk in sent)
    assert again.progress.rows_accepted == sum(chunk.rows for chunk in sent)
    assert again.pipeline._budget.used == 0


async def test_bad_rows_at_the_ends_of_a_chunk_stay_in_its_range():
    kinds = "sgggggs" * 40
    before = (await Run({"t": lines(kinds)}, RULES)(600)).chunks()
    assert any(kinds[chunk.first_row] == "s" for chunk in before)
    assert any(kinds[chunk.end_row - 1] == "s" for chunk in before)
    # Every row is a block: those of bad rows alone are at the ends of chunks now.
    again = await Run({"t": lines(kinds)}, RULES, {"t": cuts_of(before)})(1)
    assert [content(chunk) for chunk in again.chunks()] == [content(chunk) for chunk in before]


VALUES = {
    "n": pa.array(["1", "-9223372036854775808", None]),
    "f": pa.array([0.1, 1e300, float("nan")]),
    "m": pa.array([Decimal("1.50"), Decimal("-0.01"), None], pa.decimal128(30, 2)),
    "s": pa.array([0, 1_500_000_000_123_456_789, None], pa.timestamp("ns")),
    "d": pa.array([dt.date(2026, 1, 2), dt.date(1, 1, 1), None]),
    "x": pa.array(['a"\\\n\x01é\U0001f600', "", None]),
    "l": pa.array([[1, None], [], None], pa.list_(pa.int32())),
    "o": pa.array([{"a": 1, "b": "x"}, None, {"a": None, "b": None}]),
    "g": pa.array(["p", "q", "p"]).dictionary_encode(),
}


@pytest.mark.parametrize("orientation", ["column", "row"])
async def test_a_file_gives_the_same_bytes_from_the_middle(tmp_path, orientation):
    path = tmp_path / "t.parquet"
    whole = pa.concat_tables([pa.table(VALUES)] * 200)
    # A dictionary of its own in each row group, nothing of which fits what a block is.
    pq.write_table(whole, path, row_group_size=101)
    options = {"orientation": orientation}
    rules = ChunkRules.of(4_500)
    first = await Run([str(path)], rules, options=options)(1_000)
    before = first.chunks()
    assert len(before) > 8
    cuts = cuts_of(before[:7], accepted={1, 2, 3, 5})
    again = Run([str(path)], rules, {"t": cuts}, options=options)
    await again(400)
    assert [content(one) for one in again.chunks()[:3]] == [
        content(before[place]) for place in (3, 5, 6)
    ]
    assert sum(one.rows for one in again.chunks()[3:]) == sum(one.rows for one in before[7:])
    assert again.sources["t"].skips == [before[3].first_row]
    assert again.sources["t"].read == 600 - before[3].first_row


async def test_malformed_lines_of_a_file_count_in_both_passes(tmp_path):
    path = tmp_path / "t.csv"
    kinds = "ggbgbbgggb" * 40
    rows = [f"{row},2026-01-02" if kind == "g" else f"{row}" for row, kind in enumerate(kinds)]
    path.write_text("\n".join(["n,day", *rows, ""]))
    first = await Run([str(path)], RULES)(60)
    before = first.chunks()
    accepted = set(range(1, len(before), 2))
    assert len(before) > 8
    for reread in (False, True):
        again = Run([str(path)], RULES, {"t": cuts_of(before, accepted)}, reread)
        await again(91)
        assert [content(chunk) for chunk in again.chunks()] == [
            content(chunk) for chunk in before if chunk.index not in accepted
        ]
        assert reread == (len(again.bad) == kinds.count("b"))


async def test_nothing_is_sent_where_the_server_has_everything():
    source = {"t": lines("g" * 200)}
    before = (await Run(source, RULES)(50)).chunks()
    cuts = cuts_of(before, accepted=range(1, len(before) + 1))
    again = await Run(source, RULES, {"t": cuts})(50)
    assert again.sent == []
    assert again.sources["t"].skips == [200]
    assert again.sources["t"].read == again.progress.rows_encoded == 0
    # Rejected rows after the last chunk make a table with rows no empty one.
    source = {"t": lines("g" * 200 + "s" * 9)}
    for reread in (False, True):
        again = await Run(source, RULES, {"t": cuts}, reread)(50)
        assert again.sent == []
        assert len(again.bad) == 9
    with pytest.raises(EmptySource):
        await Run({"t": lines("s" * 9)}, RULES)(50)


async def test_each_table_goes_on_where_it_stopped():
    source = {name: lines("g" * 150) for name in ("a", "b", "c")}
    first = await Run(source, RULES)(50)
    of_a, of_b = first.chunks("a"), first.chunks("b")
    again = Run(
        source,
        RULES,
        {"a": cuts_of(of_a, range(1, len(of_a) + 1)), "b": cuts_of(of_b[:3], {1, 3})},
    )
    await again(50)
    assert [len(again.chunks(name)) for name in "abc"] == [0, len(of_b) - 2, len(first.chunks("c"))]
    for name in "bc":
        known = {chunk.index: content(chunk) for chunk in first.chunks(name)}
        assert all(content(chunk) == known[chunk.index] for chunk in again.chunks(name))


async def test_what_the_server_has_beyond_is_not_encoded():
    source = {"t": lines("g" * 400)}
    before = (await Run(source, RULES)(50)).chunks()
    cuts = cuts_of(before, accepted=range(2, len(before)))
    again = Run(source, RULES, {"t": cuts})
    await again(50)
    assert [chunk.index for chunk in again.chunks()] == [1, len(before)]
    assert again.sources["t"].read == 400
    # What is not judged was not encoded: encoded blocks are judged, whatever is in them.
    assert again.rejects.read == before[0].rows + before[-1].rows
    reread = await Run(source, RULES, {"t": cuts}, True)(50)
    assert reread.rejects.read == 400


async def test_a_chunk_waits_for_those_before_it_though_some_of_them_are_accepted():
    source = {"t": lines("g" * 200)}
    before = (await Run(source, RULES)(50)).chunks()
    assert len(before) > 6
    begun: list[int] = []
    go_on = asyncio.Event()

    class Waiting(Run):
        async def send(self, chunk: Chunk) -> None:
            begun.append(chunk.index)
            if chunk.index == 1:
                await go_on.wait()
            await super().send(chunk)

    # The window reaches from 1 to 3: of these, the server has 2.
    run = Waiting(source, RULES, {"t": cuts_of(before, {2, 4})}, window=3, senders=4)
    running = asyncio.create_task(run(50))
    while 3 not in begun:
        await asyncio.to_thread(int)
    for _ in range(100):
        await asyncio.to_thread(int)
    assert begun == [1, 3]
    go_on.set()
    await running
    assert sorted(begun) == [1, 3, *range(5, len(before) + 1)]


async def test_the_window_reaches_into_the_next_table():
    source = {"a": lines("g" * 100), "b": lines("g" * 100)}
    before = (await Run(source, RULES)(50)).chunks("a")
    last = len(before)
    begun: list[tuple[str, int]] = []
    go_on = asyncio.Event()

    class Waiting(Run):
        async def send(self, chunk: Chunk) -> None:
            begun.append((chunk.table, chunk.index))
            if chunk.table == "a":
                await go_on.wait()
            await super().send(chunk)

    cuts = {"a": cuts_of(before, range(1, last))}
    run = Waiting(source, RULES, cuts, window=3, senders=4)
    running = asyncio.create_task(run(50))
    while ("b", 2) not in begun:
        await asyncio.to_thread(int)
    for _ in range(100):
        await asyncio.to_thread(int)
    assert begun == [("a", last), ("b", 1), ("b", 2)]
    go_on.set()
    await running
    assert len(run.chunks("b")) > 2


# -- a source that is another one now --------------------------------------------------------------


@pytest.mark.parametrize("accepted", [set(), {1}, {1, 3}, {2}])
@pytest.mark.parametrize("left", [0, 5, 30, 199])
@pytest.mark.parametrize("reread", [False, True])
async def test_a_source_that_has_become_shorter_is_refused(accepted, left, reread):
    before = (await Run({"t": lines("g" * 200)}, RULES)(50)).chunks()
    run = Run({"t": lines("g" * left + "s")}, RULES, {"t": cuts_of(before, accepted)}, reread)
    with pytest.raises(SourceUnreadable, match="than when the load began") as caught:
        await run(50)
    assert "nothing was published" in caught.value.hint
    assert all(content(chunk) == content(before[chunk.index - 1]) for chunk in run.sent)


@pytest.mark.parametrize("accepted", [set(), {1}, {1, 2}])
@pytest.mark.parametrize(
    ("then", "now"),
    [
        ("g" * 30 + "s" * 40 + "g" * 30, "g" * 30 + "s" * 20 + "g" + "s" * 19 + "g" * 30),
        ("s" * 40 + "g" * 60, "g" + "s" * 39 + "g" * 60),
        ("g" * 50 + "sg" + "g" * 48, "g" * 50 + "gg" + "g" * 48),
        ("g" * 100, "g" * 50 + "e" * 2 + "g" * 48),
        ("g" * 100, "e" * 100),
    ],
)
async def test_rows_that_are_judged_in_another_way_now_are_refused(then, now, accepted):
    before = (await Run({"t": lines(then)}, RULES)(50)).chunks()
    again = Run({"t": lines(now)}, RULES, {"t": cuts_of(before, accepted)}, True)
    with pytest.raises(SourceUnreadable, match="other rows than when the load began"):
        await again(50)


# -- cuts alone ------------------------------------------------------------------------------------


def cut(index: int, first_row: int, end_row: int, accepted: bool = False) -> Cut:
    return Cut(index, first_row, end_row, end_row - first_row, 10, accepted)


@pytest.mark.parametrize(
    "cuts",
    [
        [cut(2, 0, 5)],
        [cut(1, 0, 5), cut(3, 5, 9)],
        [cut(1, 0, 5), cut(2, 4, 9)],
        [cut(1, 5, 9), cut(2, 0, 5)],
        [cut(1, 0, 5), cut(1, 5, 9)],
        [cut(1, 3, 3)],
        [cut(1, -1, 3)],
    ],
)
def test_cuts_that_would_lose_or_double_rows_are_a_defect(cuts):
    with pytest.raises(Defect, match="table 't'"):
        TableCuts("t", cuts)


def test_a_row_is_part_of_one_cut_or_of_none():
    cuts = TableCuts("t", [cut(1, 2, 5, True), cut(2, 5, 7), cut(3, 9, 10, True)])
    found = [cuts.at(row) for row in range(12)]
    assert [one.index if one else 0 for one in found] == [0, 0, 1, 1, 1, 2, 2, 0, 0, 3, 0, 0]
    assert [row for row in range(12) if cuts.is_accepted(row)] == [2, 3, 4, 9]
    assert cuts.block_ends == [2, 5, 7, 9, 10]
    assert (cuts.skippable, cuts.end_row, cuts.accepted, len(cuts)) == (5, 10, [1, 3], 3)
    none = TableCuts("t")
    assert (none.skippable, none.end_row, none.block_ends, none.at(0)) == (0, 0, [], None)
