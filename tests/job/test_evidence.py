"""What row counts prove of a publish that nobody can be asked about any more."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.emulator.archive import Counts
from loader.errors import LoaderError, NotAllowed, NotFound, Refused, Unavailable
from loader.job.evidence import Count, Verdict, find_evidence, weigh
from loader.job.publish import SessionLost
from loader.job.settings import UpdatePolicy
from loader.job.verify import WAITS, SentTable
from tests.job.publishing import ROWS, Time, open_session, uploaded

REPLACE, ADD, UPDATE, UPSERT = (
    *(UpdatePolicy.REPLACE, UpdatePolicy.ADD),
    *(UpdatePolicy.UPDATE, UpdatePolicy.UPSERT),
)
PUBLISHED, NOT_PUBLISHED, REPEATABLE, UNKNOWN = (
    *(Verdict.PUBLISHED, Verdict.NOT_PUBLISHED),
    *(Verdict.REPEATABLE, Verdict.UNKNOWN),
)
UNPUBLISHED = Count(None, "not published", unpublished=True, passing=True)
UNTOLD = Count(None, "the server does not tell")


def verdict(*tables, created=False):
    """Weighs tables: policy, rows, before, count."""
    sent, counts = [], {}
    for number, (policy, rows, before, count) in enumerate(tables):
        sent.append(SentTable(f"t{number}", policy, rows, before))
        counts[f"t{number}"] = Count(count) if isinstance(count, int) else count
    evidence = weigh(sent, counts, created=created)
    assert (evidence.hint is not None) is (evidence.verdict is UNKNOWN)
    return evidence.verdict


# -- one table -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "count", "expected"),
    [
        (5, 15, PUBLISHED),
        (0, 10, PUBLISHED),
        (5, 5, UNKNOWN),  # a publish that runs on, or rows whose keys were all there
        (5, 9, UNKNOWN),  # some keys were there, or another load
        (5, 25, UNKNOWN),  # twice?
        (5, 4, UNKNOWN),
        (5, 0, UNKNOWN),
        (0, 0, UNKNOWN),
        (None, 10, UNKNOWN),
        (None, 15, UNKNOWN),
        (5, UNTOLD, UNKNOWN),
        (5, UNPUBLISHED, UNKNOWN),
        (None, UNTOLD, UNKNOWN),
    ],
)
def test_add_into_what_was_there(before, count, expected):
    assert verdict((ADD, 10, before, count)) is expected


@pytest.mark.parametrize(
    ("policy", "before", "count", "expected"),
    [
        (REPLACE, None, 10, REPEATABLE),  # it may have had as many before
        (REPLACE, None, 7, REPEATABLE),
        (REPLACE, 7, 10, PUBLISHED),
        (REPLACE, 10, 10, REPEATABLE),
        (REPLACE, 7, 7, REPEATABLE),
        (REPLACE, 7, UNTOLD, REPEATABLE),
        (UPDATE, 7, 7, REPEATABLE),
        (UPDATE, None, 7, REPEATABLE),
        (UPDATE, 7, 8, REPEATABLE),
        (UPSERT, 7, 17, PUBLISHED),
        (UPSERT, 7, 12, REPEATABLE),
        (UPSERT, 7, 7, REPEATABLE),
        (UPSERT, None, 17, REPEATABLE),
    ],
)
def test_policies_that_may_be_applied_twice(policy, before, count, expected):
    assert verdict((policy, 10, before, count)) is expected


@pytest.mark.parametrize("policy", [REPLACE, ADD, UPSERT])
@pytest.mark.parametrize("before", [0, None])
def test_a_dataset_of_this_job(policy, before):
    uncertain = UNKNOWN if policy is ADD else REPEATABLE
    for count, expected in [
        (10, PUBLISHED),
        (UNPUBLISHED, NOT_PUBLISHED),
        (0, NOT_PUBLISHED),
        (11, uncertain),
        # Equal keys come in once; but every row comes in under replace.
        (4, REPEATABLE if policy is REPLACE else PUBLISHED),
        (UNTOLD, uncertain),
    ]:
        assert verdict((policy, 10, before, count), created=True) is expected, count


def test_update_leaves_a_new_dataset_empty_in_any_case():
    assert verdict((UPDATE, 10, 0, 0), created=True) is REPEATABLE
    assert verdict((UPDATE, 10, 0, UNPUBLISHED), created=True) is NOT_PUBLISHED


@pytest.mark.parametrize("policy", UpdatePolicy)
def test_no_rows_can_be_sent_as_often_as_one_likes(policy):
    assert verdict((policy, 0, 5, 5)) is REPEATABLE
    assert verdict((policy, 0, None, UNTOLD)) is REPEATABLE


# -- several tables ------------------------------------------------------------------------------


def test_one_table_tells_for_all_of_them():
    assert verdict((ADD, 10, 5, 15), (REPLACE, 3, None, 3)) is PUBLISHED
    assert verdict((ADD, 10, 5, 15), (UPDATE, 3, 9, 9)) is PUBLISHED
    assert verdict((ADD, 10, 5, 5), (UPSERT, 3, 9, 12)) is PUBLISHED
    assert verdict((ADD, 10, 5, 15), (ADD, 3, None, UNTOLD)) is PUBLISHED
    assert verdict((ADD, 10, 0, 0), (ADD, 0, 0, 0), created=True) is NOT_PUBLISHED


def test_tables_that_contradict_each_other_tell_nothing():
    assert verdict((ADD, 10, 5, 15), (REPLACE, 3, None, 4)) is UNKNOWN
    assert verdict((ADD, 10, 5, 15), (UPDATE, 3, 9, 10)) is UNKNOWN
    assert verdict((ADD, 10, 5, 15), (ADD, 3, 9, 13)) is UNKNOWN
    assert verdict((ADD, 10, 0, 10), (ADD, 3, 0, UNPUBLISHED), created=True) is UNKNOWN
    assert verdict((REPLACE, 7, 5, 7), (REPLACE, 3, 2, 9)) is REPEATABLE


def test_one_add_is_enough_to_forbid_a_repetition():
    assert verdict((REPLACE, 10, None, 10), (ADD, 1, None, 3)) is UNKNOWN
    assert verdict((REPLACE, 10, None, 10), (ADD, 0, None, 3)) is REPEATABLE


def test_what_is_said():
    tables = [SentTable("orders", ADD, 1_000, 5_000), SentTable("items", REPLACE, 7, None)]
    counts = {"orders": Count(5_000), "items": UNTOLD}
    evidence = weigh(tables, counts, created=False)
    assert evidence.seen == (
        "table 'orders' has 5,000 rows now, had 5,000 before, and 1,000 were sent with the policy "
        "add; the rows of table 'items' could not be counted: the server does not tell"
    )
    assert "row count" in evidence.hint
    assert evidence.hint.endswith(
        "if it was published, table 'orders' has up to 6,000 rows, else 5,000"
    )
    assert "replace" in weigh(tables[1:], counts, created=False).seen


# -- a model of the policies ---------------------------------------------------------------------


def publish(policy, keyed, table, rows):
    """Applies rows of (key, value) to a table as docs/emulator.md says."""
    if policy is REPLACE or (policy is ADD and not keyed):
        return [*([] if policy is REPLACE else table), *rows]
    changed = list(table)
    for key, value in rows:
        there = [number for number, (known, _) in enumerate(changed) if known == key]
        if there and policy is not ADD:
            for number in there:
                changed[number] = (key, value)
        elif not there and policy is not UPDATE:
            changed.append((key, value))
    return changed


some_rows = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), max_size=6)


@st.composite
def loads(draw):
    """A policy, whether there is a key, the rows before and those sent."""
    policy = draw(st.sampled_from(UpdatePolicy))
    keyed = policy in {UPDATE, UPSERT} or draw(st.booleans())
    before = draw(some_rows)
    if keyed:
        before = list({key: (key, value) for key, value in before}.values())
    return policy, keyed, before, draw(some_rows)


@given(
    st.lists(loads(), min_size=1, max_size=3),
    st.booleans(),
    st.booleans(),
    st.sets(st.integers(0, 2)),
    st.sets(st.integers(0, 2)),
)
def test_no_verdict_is_wrong(tables, happened, created, unknown_before, untold):
    sent, counts = [], {}
    for number, (policy, keyed, found, rows) in enumerate(tables):
        before = [] if created else found
        now = publish(policy, keyed, before, rows) if happened else before
        known = number not in unknown_before or created
        sent.append(SentTable(f"{number}", policy, len(rows), len(before) if known else None))
        counts[f"{number}"] = Count(len(now))
        if number in untold:
            counts[f"{number}"] = UNTOLD
        elif created and not happened and any(rows for *_, rows in tables):
            counts[f"{number}"] = UNPUBLISHED if len(tables) % 2 else Count(0)
    evidence = weigh(sent, counts, created=created)
    if evidence.verdict is PUBLISHED:
        assert happened
    elif evidence.verdict is NOT_PUBLISHED:
        assert not happened
    elif evidence.verdict is REPEATABLE:
        for policy, keyed, found, rows in tables:
            once = publish(policy, keyed, [] if created else found, rows)
            assert publish(policy, keyed, once, rows) == once


@given(loads(), st.integers(0, 30))
def test_rows_of_others_never_prove_that_nothing_was_published(load, others):
    policy, keyed, before, rows = load
    now = len(publish(policy, keyed, before, rows)) + others
    sent = SentTable("t", policy, len(rows), len(before))
    assert weigh([sent], {"t": Count(now)}, created=False).verdict is not NOT_PUBLISHED


# -- looking -------------------------------------------------------------------------------------


class Server:
    """Answers each count from a script, numbers or errors, the last entry again and again."""

    def __init__(self, *counts):
        self.counts = list(counts)
        self.time = Time()
        self.looks = 0

    async def row_count(self, dataset_id, table):
        self.looks += 1
        count = self.counts.pop(0) if len(self.counts) > 1 else self.counts[0]
        if isinstance(count, Exception):
            raise count
        return count

    async def find(self, policy=ADD, before=5, *, created=False, rows=10):
        evidence = await find_evidence(
            self,
            "d",
            [SentTable("t", policy, rows, before)],
            created=created,
            clock=self.time.clock,
            sleep=self.time.sleep,
        )
        return evidence.verdict


NOT_YET = Refused("not published", status=500, code="ERR002", iserver_code=-2147072488)


async def test_proof_is_believed_at_once():
    server = Server(15)
    assert await server.find() is PUBLISHED
    assert (server.looks, server.time.now) == (1, 0.0)


@pytest.mark.parametrize(
    "early",
    [5, NOT_YET, Unavailable("busy", status=503), NotFound("not yet", status=404)],
)
async def test_counts_that_lag_are_read_again(early):
    server = Server(early, early, 15)
    assert await server.find() is PUBLISHED
    assert server.looks == 3


@pytest.mark.parametrize(("count", "expected"), [(NOT_YET, NOT_PUBLISHED), (0, NOT_PUBLISHED)])
async def test_that_nothing_was_published_is_not_believed_at_once(count, expected):
    server = Server(count)
    assert await server.find(created=True) is expected
    assert server.looks == len(WAITS) + 1
    assert server.time.now == sum(WAITS)
    assert await Server(count, count, 10).find(created=True) is PUBLISHED


async def test_what_proves_nothing_is_not_waited_for():
    for policy, expected in [(ADD, UNKNOWN), (REPLACE, REPEATABLE)]:
        server = Server(10)
        assert await server.find(policy, None) is expected
        assert server.looks == 1
    for count in [None, NotAllowed("no rights", status=403)]:
        server = Server(count)
        assert await server.find() is UNKNOWN
        assert server.looks == 1


async def test_a_server_that_tells_no_counts_proves_no_empty_dataset():
    assert await Server(None).find(created=True) is UNKNOWN
    assert await Server(None).find(REPLACE, None, created=True) is REPEATABLE


async def test_a_server_that_hangs_is_given_up(monkeypatch):
    class Hanging(Server):
        async def row_count(self, dataset_id, table):
            await asyncio.Event().wait()

    monkeypatch.setattr("loader.job.evidence.LIMIT", 0.02)
    assert await Hanging().find() is UNKNOWN


# -- a real server -------------------------------------------------------------------------------


async def evidence_of(waiting, policy, before, *, created, rows=3):
    return await find_evidence(
        waiting.client,
        waiting.dataset,
        [SentTable("t", policy, rows, before)],
        created=created,
        clock=waiting.time.clock,
        sleep=waiting.time.sleep,
    )


async def published(server):
    """Waits for the end of every publish that was begun."""
    for session in server.emulator.uploads:
        if session.publishing is not None:
            await session.publishing


@pytest.mark.parametrize("policy", UpdatePolicy)
@pytest.mark.parametrize("happened", [False, True])
async def test_a_new_dataset_on_a_real_server(server, policy, happened):
    server.emulator.inject(f"publish:reset={'after-store' if happened else 'before'}")
    async with uploaded(server.url, policy) as waiting:
        with contextlib.suppress(LoaderError):
            await waiting.client.publish(waiting.dataset, waiting.session)
        server.call(published(server))
        await waiting.client.delete_upload_session(waiting.dataset, waiting.session)
        with pytest.raises(SessionLost):
            await waiting.publish(resumed=True)
        assert server.emulator.faults.report()[0]["fired"] == 1
        found = (await evidence_of(waiting, policy, 0, created=True)).verdict
        # An update changes nothing where nothing is.
        proven = REPEATABLE if policy is UPDATE else PUBLISHED
        assert found is (proven if happened else NOT_PUBLISHED)


@pytest.mark.parametrize("policy", UpdatePolicy)
@pytest.mark.parametrize("happened", [False, True])
async def test_an_existing_dataset_on_a_real_server(server, policy, happened):
    async with uploaded(server.url, "replace") as first:
        await first.publish()
        await first.client.delete_upload_session(first.dataset, first.session)
        before = await first.client.row_count(first.dataset, "t")
        rows = [("d", 4), ("e", 5)]
        moment = "after-store" if happened else "before"
        server.emulator.inject(f"publish:reset={moment}", "status:end-session")
        waiting = await open_session(first.client, first.dataset, policy, rows)
        known = None if policy is REPLACE else before
        with pytest.raises(SessionLost):
            await waiting.publish()
        assert server.emulator.faults.report()[0]["fired"] == 1
        (count,) = server.sql("SELECT count(*) FROM d.t")[0]
        evidence = await evidence_of(waiting, policy, known, created=False, rows=2)
        if policy is ADD:
            assert evidence.verdict is (PUBLISHED if count == 5 else UNKNOWN)
        elif policy is UPSERT:
            assert evidence.verdict is (PUBLISHED if count == 5 else REPEATABLE)
        else:
            assert evidence.verdict is REPEATABLE
        assert f"{count} rows" in evidence.seen


@pytest.mark.parametrize("policy", [REPLACE, UPDATE, UPSERT])
async def test_what_is_repeatable_is_so_on_a_real_server(server, policy):
    """Everything is sent and published twice; the rows are those of once."""
    async with uploaded(server.url, "replace") as first:
        await first.publish()
        found = []
        for _ in range(2):
            waiting = await open_session(first.client, first.dataset, policy, [("b", 9), ("z", 8)])
            await waiting.publish()
            found.append(server.sql("SELECT k, v FROM d.t ORDER BY k"))
        assert found[0] == found[1] != list(ROWS)


async def test_a_dataset_that_is_gone(server):
    async with uploaded(server.url) as waiting:
        await waiting.client.delete_dataset(waiting.dataset)
        evidence = await evidence_of(waiting, ADD, 0, created=True)
        assert evidence.verdict is UNKNOWN
        assert "could not be counted" in evidence.seen


async def test_a_server_that_does_not_count(serve):
    """It tells no rows of what is published, so that is no proof of anything."""
    server = serve(ingest="sink", archive=Counts())
    async with uploaded(server.url) as waiting:
        await waiting.publish()
        evidence = await evidence_of(waiting, ADD, 0, created=True)
        assert evidence.verdict is UNKNOWN
        assert "does not tell" in evidence.seen
