"""What row counts mean, and how patiently they are read."""

from __future__ import annotations

import asyncio

import pytest

from loader.errors import NotAllowed, NotFound, Refused, Unavailable, VerificationFailed
from loader.job.settings import UpdatePolicy
from loader.job.verify import LIMIT, WAITS, SentTable, count_before, judge, verify

REPLACE, ADD, UPDATE, UPSERT = (
    *(UpdatePolicy.REPLACE, UpdatePolicy.ADD),
    *(UpdatePolicy.UPDATE, UpdatePolicy.UPSERT),
)


@pytest.mark.parametrize(
    ("policy", "sent", "before", "counted"),
    [
        (REPLACE, 10, None, 10),
        (REPLACE, 0, None, 0),
        (ADD, 10, 5, 15),
        (ADD, 10, 5, 5),
        (ADD, 10, 0, 1),
        (UPDATE, 10, 5, 5),
        (UPDATE, 10, 0, 0),
        (UPSERT, 10, 5, 5),
        (UPSERT, 10, 5, 15),
        (UPSERT, 0, 0, 0),
    ],
)
def test_counts_that_are_as_they_should_be(policy, sent, before, counted):
    assert judge(SentTable("t", policy, sent, before), counted) is None


@pytest.mark.parametrize("counted", [0, 9, 11, 20])
def test_under_replace_every_other_count_is_a_failure(counted):
    failure = judge(SentTable("t", REPLACE, 10, 3), counted)
    assert isinstance(failure, VerificationFailed)
    assert failure.exit_code == 8
    assert failure.details == {"table": "t", "sent": 10, "counted": counted}
    assert f"{counted} rows" in failure.message
    assert ("twice" if counted > 10 else "missing") in failure.hint


@pytest.mark.parametrize(
    ("policy", "before", "counted", "expected"),
    [
        (ADD, 5, 16, "5 to 15"),
        (ADD, 5, 4, "5 to 15"),
        (ADD, 0, 0, "1 to 10"),
        (UPDATE, 5, 6, "5"),
        (UPDATE, 5, 4, "5"),
        (UPSERT, 5, 16, "5 to 15"),
        (UPSERT, 0, 0, "1 to 10"),
    ],
)
def test_under_other_policies_an_odd_count_is_a_warning(policy, before, counted, expected):
    warning = judge(SentTable("t", policy, 10, before), counted)
    assert isinstance(warning, str)
    assert f"has {counted} rows" in warning
    assert warning.endswith(f"expected were {expected}")


@pytest.mark.parametrize("policy", [ADD, UPDATE, UPSERT])
def test_without_a_count_before_there_is_nothing_to_compare_with(policy):
    warning = judge(SentTable("t", policy, 10, None), 12)
    assert warning.startswith("unverified: table 't'")
    assert "12 rows" in warning


class Server:
    """Answers each look from a script, the last entry again and again; an entry may be an error."""

    def __init__(self, *counts):
        self.counts = list(counts)
        self.now = 0.0
        self.looks = 0

    async def row_count(self, dataset_id, table):
        self.looks += 1
        count = self.counts.pop(0) if len(self.counts) > 1 else self.counts[0]
        if isinstance(count, Exception):
            raise count
        return count

    async def sleep(self, seconds):
        self.now += seconds

    async def run(self, policy=REPLACE, *, before=None, tables=("t",), limit=LIMIT):
        sent = [SentTable(table, policy, 10, before) for table in tables]
        return await verify(self, "d", sent, clock=lambda: self.now, sleep=self.sleep, limit=limit)


async def test_the_right_count_is_believed_at_once():
    server = Server(10)
    assert await server.run() == {"t": None}
    assert (server.looks, server.now) == (1, 0.0)


async def test_a_count_that_lags_is_read_again():
    server = Server(3, 3, NotFound("not yet", status=404), Unavailable("busy", status=503), 10)
    assert await server.run() == {"t": None}
    assert server.looks == 5


async def test_a_count_that_stays_wrong_is_a_mismatch():
    server = Server(20)
    finding = (await server.run())["t"]
    assert finding.details["counted"] == 20
    assert server.looks == len(WAITS) + 1
    assert server.now == sum(WAITS)


async def test_an_unpublished_cube_is_asked_again():
    unpublished = Refused("not published", status=500, iserver_code=-2147072488)
    assert await Server(unpublished, 10).run() == {"t": None}


@pytest.mark.parametrize(
    ("count", "says"),
    [
        (None, "does not tell"),
        (NotAllowed("no rights", status=403), "no rights"),
        (ZeroDivisionError("oops"), "ZeroDivisionError: oops"),
    ],
)
async def test_what_will_not_change_is_asked_once(count, says):
    server = Server(count)
    warning = (await server.run())["t"]
    assert warning.startswith("unverified: table 't': ")
    assert says in warning
    assert server.looks == 1


async def test_trouble_that_lasts_is_unverified_and_no_failure():
    server = Server(Unavailable("busy", status=503))
    assert (await server.run())["t"] == "unverified: table 't': busy"
    assert server.looks == len(WAITS) + 1


async def test_many_tables_share_one_limit():
    server = Server(20)
    findings = await server.run(tables=[f"t{number}" for number in range(50)], limit=20.0)
    assert server.now <= 20.0
    assert len(findings) == 50


async def test_a_server_that_hangs_is_given_up():
    class Hanging(Server):
        async def row_count(self, dataset_id, table):
            await asyncio.Event().wait()

    findings = await Hanging().run(limit=0.02)
    assert "in time" in findings["t"]
    assert await count_before(Hanging(), "d", ["t"], limit=0.02) == {"t": None}


async def test_counts_before_are_none_where_nobody_tells():
    server = Server(5, NotFound("gone", status=404), None)
    assert await count_before(server, "d", ["t", "u", "v"]) == {"t": 5, "u": None, "v": None}
