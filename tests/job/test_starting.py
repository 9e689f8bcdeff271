"""The calls before the upload fail: they are repeated, and there is one dataset in the end.

Time is the tests' own: pauses pass at once, and are looked at afterwards.
"""

from __future__ import annotations

import pyarrow as pa
import pytest
from aiohttp import web

import loader
from loader.api import Project
from loader.errors import (
    LoginFailed,
    NotFound,
    Refused,
    Unavailable,
    Unreachable,
    UsageError,
)
from loader.job import Load, LoadSettings, Progress, Workflow, prepare
from loader.job.retry import RetryBudget
from loader.job.starting import log_in_and_select
from loader.sources import SourceOptions
from tests.cli.harness import PASSWORD, PROJECT, USER
from tests.job.retrying import Time

TABLE = pa.table({"k": ["a", "b", "c"], "v": [1, 2, 3]})
ROWS = [("a", 1), ("b", 2), ("c", 3)]


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def load_of(server, time):
    """Makes loads of the table into the server."""

    def make(*, url=None, project=PROJECT, password=PASSWORD, **settings) -> Load:
        connection = loader.Connection(
            url or server.url, username=USER, password=password, project=project
        )
        prepared = prepare(TABLE, LoadSettings(**settings), SourceOptions(table="t"))
        return Load(prepared, connection, Progress(), clock=time.clock, sleep=time.sleep)

    return make


def fired(server) -> int:
    return sum(rule["fired"] for rule in server.emulator.faults.report())


def arrived(server, result) -> None:
    """Checks that the table is published once, in the one dataset that there is."""
    assert result.error is None, result.error
    assert result.status is loader.Status.PUBLISHED
    assert server.sql("SELECT k, v FROM t.t ORDER BY k") == ROWS
    assert [dataset.id for dataset in server.emulator.catalogue] == [result.dataset_id]
    assert server.sessions == 0


# -- login and project ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rule",
    [
        "login:nth=1:status=503",
        "login:nth=1-3:status=429,retry-after=2",
        "login:nth=1:status=500,body=empty",
        "login:nth=1:status=408",
        "login:nth=1:status=502,body=html",
        "login:nth=1:reset=before",
        "login:nth=1:reset=after-body",
        "login:nth=1:reset=after-store",
        "login:nth=1:status=504,at=after-store,body=html",
        "look:nth=1:status=503",
        "look:nth=1-4:status=500",
        "look:nth=2:status=429,retry-after=2",
        "look:nth=2-4:reset=before",
        "look:nth=3:status=502,body=html",
        "look:every=2:status=503",
    ],
)
async def test_what_passes_is_repeated(server, load_of, time, rule):
    server.emulator.inject(rule)
    load = load_of()
    result = await load.run()
    arrived(server, result)
    assert fired(server) >= 1
    assert time.sleeps
    assert "retry-after" not in rule or max(time.sleeps) >= 2
    assert result.warnings == []
    assert load.progress.trouble is None


async def test_trouble_is_shown_meanwhile(server, load_of):
    server.emulator.inject("login:nth=1:status=503,message=not yet")
    load = load_of()
    seen = []

    async def sleep(_):
        seen.append(load.progress.trouble)

    load._running.sleep = sleep
    arrived(server, await load.run())
    assert "not yet" in seen[0]
    assert fired(server) == 1


async def test_the_budget_is_that_of_the_load(server, load_of):
    server.emulator.inject("login:status=503")
    result = await load_of(retries=3).run()
    assert result.error.exit_code == 5
    assert result.error.details["attempts"] == fired(server) == 4
    assert "it was tried 4 times" in result.error.message
    assert result.error.hint


@pytest.mark.parametrize("before", [(), ("login:nth=1:reset=after-store",)])
async def test_wrong_credentials_are_tried_once(server, load_of, before):
    server.emulator.inject(*before)
    load = load_of(password="wrong" if not before else PASSWORD)
    if before:
        server.fault = _refuse_after_the_first_login()
    result = await load.run()
    assert fired(server) == len(before)
    assert result.error.kind == "login"
    assert result.error.exit_code == 4
    assert server.called("POST", "/login").count(401) == 1
    assert len(server.called("POST", "/login")) == 1 + len(before)


def _refuse_after_the_first_login():
    logins = 0

    async def fault(request):
        nonlocal logins
        logins += request.path.endswith("/login")
        if logins < 2:
            return None
        return web.json_response({"code": "ERR003", "message": "no"}, status=401)

    return fault


async def test_the_projects_are_listed_when_none_was_named(server, load_of, time):
    server.emulator.inject("look:nth=1:status=503")
    result = await load_of(project=None).run()
    assert result.error.kind == "usage"
    assert "MicroStrategy Tutorial" in result.error.hint
    assert fired(server) == 1
    assert time.sleeps
    server.left_nothing()


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{port}/MicroStrategyLibrary", "https://no-such-host.invalid", "{x}"]
)
async def test_an_address_where_nothing_is_ends_at_once(
    server, load_of, time, url, unused_tcp_port
):
    url = url.format(port=unused_tcp_port, x=server.url.replace("Library", "Nowhere"))
    result = await load_of(url=url).run()
    assert result.error.exit_code == 5
    assert result.error.hint
    assert "attempts" not in result.error.details
    assert not time.sleeps


class Scripted:
    """A client whose calls fail in a given order."""

    def __init__(self, *logins, projects=()) -> None:
        self.logins = iter(logins)
        self.listings = iter(projects)
        self.chosen: str | None = None

    async def login(self) -> None:
        if failure := next(self.logins, None):
            raise failure

    async def projects(self) -> list[Project]:
        if failure := next(self.listings, None):
            raise failure
        return [Project("1", "one")]

    async def select_project(self, name: str) -> None:
        await self.projects()
        self.chosen = name


async def start(client, time, project="one", retries=8):
    await log_in_and_select(
        client,
        loader.Connection("http://host", username="u", project=project),
        budget=RetryBudget(retries, 300.0),
        progress=Progress(),
        clock=time.clock,
        sleep=time.sleep,
        draw=lambda: 1.0,
    )


NOTHING_THERE = [
    Unreachable("refused", phase="connect"),
    Unreachable("certificate", phase="tls"),
    NotFound("a page", status=404),
    Unavailable("no way", status=503, proxy="http://proxy"),
]


@pytest.mark.parametrize("failure", NOTHING_THERE)
async def test_nothing_there_at_first_sight(time, failure):
    with pytest.raises(type(failure)) as caught:
        await start(Scripted(failure), time)
    assert caught.value is failure
    assert not time.sleeps


@pytest.mark.parametrize("failure", [NOTHING_THERE[0], *NOTHING_THERE[2:]])
@pytest.mark.parametrize(
    "first", [Unavailable("busy", status=503), Unreachable("cut", phase="answer")]
)
async def test_a_server_that_was_seen_may_be_away_for_a_while(time, first, failure):
    client = Scripted(first, failure)
    await start(client, time)
    assert client.chosen == "one"
    assert time.sleeps == [0.5, 1.0]


@pytest.mark.parametrize("failure", [NOTHING_THERE[0], Unavailable("busy", status=503)])
async def test_a_server_that_goes_away_after_the_login(time, failure):
    client = Scripted(projects=[failure] * 3)
    await start(client, time)
    assert time.sleeps == [0.5, 1.0, 2.0]
    with pytest.raises(UsageError, match="no project"):
        await start(Scripted(projects=[failure]), time, project=None)


@pytest.mark.parametrize(
    "failure", [LoginFailed("no", status=401), Refused("no", status=400), NOTHING_THERE[1]]
)
async def test_what_lasts_ends_it_at_any_time(time, failure):
    with pytest.raises(type(failure)):
        await start(Scripted(Unavailable("busy", status=503), failure), time)
    assert len(time.sleeps) == 1


# -- the dataset ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rule",
    [
        "dataset:nth=1:status=503",
        "dataset:nth=1-2:reset=before",
        "dataset:nth=1-3:status=404,code=ERR004",
        "cubes:nth=1:status=503",
        "cubes:nth=1-2:reset=before",
        "look:nth=2:status=503",
    ],
)
@pytest.mark.parametrize("policy", ["replace", "upsert"])
async def test_an_existing_dataset_is_found_in_spite_of_faults(server, load_of, time, rule, policy):
    first = await load_of().run()
    server.emulator.inject(rule)
    result = await load_of(policy=loader.UpdatePolicy(policy)).run()
    arrived(server, result)
    assert result.dataset_id == first.dataset_id
    assert result.warnings == []
    assert fired(server) >= 1
    assert time.sleeps


async def test_a_dataset_that_is_listed_but_cannot_be_read(server, load_of):
    await load_of().run()
    server.emulator.inject("dataset:status=404,code=ERR004")
    result = await load_of().run()
    assert result.error.kind == "unknown_dataset"
    assert fired(server) == 4
    server.left_nothing()


async def test_an_id_that_was_named_is_looked_up_once(server, load_of, time):
    result = await load_of(dataset_id="0" * 32).run()
    assert result.error.kind == "unknown_dataset"
    assert server.called("GET", "0" * 32) == [404]
    assert not time.sleeps


# (rule, how often the definition is posted): what surely was not done is just done again, what may
# have been done is looked for.
LOST = [
    ("create:nth=1:reset=after-store", 1),
    ("create:nth=1:status=504,at=after-store,body=html", 1),
    ("create:nth=1:status=500,at=after-store,body=empty", 1),
    ("create:nth=1:answer=half", 1),
    ("create:nth=1:answer=garbage", 1),
    ("create:nth=1:answer=empty", 1),
    ("create:nth=1:answer=html", 1),
    ("create:nth=1:status=503", 2),
    ("create:nth=1-3:status=429,retry-after=1", 4),
    ("create:nth=1:status=500,code=ERR002", 2),
    ("create:nth=1:status=500,code=ERR002,at=after-store", 1),
    ("create:nth=1:status=502,body=html", 2),
    ("create:nth=1:reset=before", 2),
    ("create:nth=1:reset=mid-body", 2),
    ("create:nth=1-2:reset=after-body", 3),
    ("create:nth=1:status=502,body=empty,at=after-body", 2),
]


@pytest.mark.parametrize(("rule", "posts"), LOST)
async def test_a_definition_is_made_once(server, load_of, rule, posts):
    server.emulator.inject(rule)
    result = await load_of().run()
    arrived(server, result)
    assert fired(server) == (posts - 1 or 1)
    assert len(server.called("POST", "/datasets/models")) == posts
    assert result.warnings == []


@pytest.mark.parametrize(("rule", "posts"), LOST)
async def test_a_definition_is_overwritten(server, load_of, rule, posts):
    old = (await load_of().run()).dataset_id
    server.emulator.inject(rule)
    result = await load_of(overwrite=True).run()
    arrived(server, result)
    assert result.dataset_id != old
    assert fired(server) == (posts - 1 or 1)
    assert len(server.called("POST", "/datasets/models")) == posts + 1
    (warning,) = result.warnings
    assert f"id {old} before, {result.dataset_id} now" in warning


@pytest.mark.parametrize("overwrite", [False, True])
async def test_without_retries_a_lost_answer_is_looked_for_all_the_same(server, load_of, overwrite):
    if overwrite:
        await load_of().run()
    server.emulator.inject("create:nth=1:reset=after-store")
    arrived(server, await load_of(overwrite=overwrite, retries=0).run())
    assert fired(server) == 1


class Blind:
    """Once a definition was posted, the listing of the folder shows nothing for some looks."""

    def __init__(self, looks: int) -> None:
        self.looks = looks
        self.posted = False

    async def __call__(self, request):
        self.posted = self.posted or request.path.endswith("/datasets/models")
        if self.posted and "/folders/" in request.path and self.looks:
            self.looks -= 1
            return web.json_response([], headers={"x-mstr-total-count": "0"})
        return None


async def test_a_listing_that_lags(server, load_of, time):
    server.emulator.inject("create:nth=1:reset=after-store")
    blind = server.fault = Blind(looks=3)
    arrived(server, await load_of().run())
    assert fired(server) == 1
    assert blind.looks == 0
    assert len(server.called("POST", "/datasets/models")) == 1
    assert {0.5, 1.0, 2.0} <= set(time.sleeps)


async def test_a_listing_that_never_shows_it_costs_no_second_dataset(server, load_of):
    server.emulator.inject("create:nth=1:reset=after-store")
    server.fault = Blind(looks=100)
    arrived(server, await load_of().run())
    assert fired(server) == 1
    assert len(server.called("POST", "/datasets/models")) == 2


async def test_the_looks_after_a_lost_answer_are_repeated_too(server, load_of):
    server.emulator.inject("create:nth=1:reset=after-store", "look:nth=4-6:status=503")
    arrived(server, await load_of().run())
    assert fired(server) == 4
    assert len(server.called("POST", "/datasets/models")) == 1


@pytest.mark.parametrize("overwrite", [False, True])
async def test_a_definition_that_cannot_be_made(server, load_of, overwrite):
    if overwrite:
        old = (await load_of().run()).dataset_id
    server.emulator.inject("create:reset=after-body")
    result = await load_of(overwrite=overwrite, retries=2).run()
    assert fired(server) == 3
    assert result.error.kind == "unreachable"
    assert result.error.details["attempts"] == 3
    assert "all the same" in result.error.message
    assert list(server.datasets.values()) == ([old] if overwrite else [])
    server.left_nothing()


async def test_a_refusal_is_final(server, load_of, time):
    server.emulator.inject("create:status=403,code=ERR017")
    result = await load_of().run()
    assert result.error.exit_code == 4
    assert fired(server) == 1
    assert not time.sleeps
    assert server.datasets == {}
    server.left_nothing()


@pytest.mark.parametrize(
    "rule", ["login:nth=1:status=503", "look:nth=2:status=503", "look:nth=3:reset=before"]
)
async def test_one_request_looks_again_too(server, load_of, rule):
    server.emulator.inject(rule)
    arrived(server, await load_of(workflow=Workflow.ONE_REQUEST).run())
    assert fired(server) == 1
