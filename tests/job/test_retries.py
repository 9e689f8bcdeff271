"""Loads against a server that fails: every row arrives exactly once, or the error says why not."""

from __future__ import annotations

import functools

import pytest

import loader
from loader.api import Client
from loader.job import UpdatePolicy
from tests.job.retrying import *  # noqa: F403 - its fixtures are among it
from tests.job.retrying import ROWS, arrived, fired


@pytest.fixture
def impatient(monkeypatch):
    """Lets a client wait for half a second where it would wait for 150."""
    short = functools.partial(Client, answer_timeout=0.5)
    monkeypatch.setattr("loader.job.load.Client", short)


# -- one request that fails ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "doubtful"),
    [
        ("put:nth=2:status=503,retry-after=1", False),
        ("put:nth=2:status=503,retry-after=date+1", False),
        ("put:nth=2:status=503,body=html", True),
        ("put:nth=2:status=502,body=html", True),
        ("put:nth=2:status=504,body=empty", True),
        ("put:nth=2:status=504,at=after-store", True),
        ("put:nth=2:status=408", True),
        ("put:nth=2:status=425", False),
        ("put:nth=2:status=429,retry-after=2", False),
        ("put:nth=2:status=500,code=ERR001", True),
        ("put:nth=2:status=500,code=ERR002,at=after-store", True),
        ("put:nth=2:status=500,body=errors", True),
        ("put:nth=2:status=404,body=html", False),
        ("put:nth=2:disk-full", True),
        ("put:nth=2:reset=before", None),
        ("put:nth=2:reset=mid-body,share=0.5", None),
        ("put:nth=2:reset=after-body", True),
        ("put:nth=2:reset=after-store", True),
        ("put:nth=1:answer=short", None),
        ("put:nth=3-7:status=500", True),
        ("put:nth=3-7:reset=after-store", True),
    ],
)
async def test_a_chunk_that_fails_is_sent_again(server, load_of, time, rule, doubtful):
    """``doubtful`` None: whether a body of this size had arrived whole is the network's affair."""
    server.emulator.inject(rule)
    load = load_of()
    result = await load.run()
    arrived(server, result)
    assert result.retries == fired(server) == (5 if "3-7" in rule else 1)
    assert time.sleeps
    assert result.wire_bytes >= result.json_bytes * 4 / 3
    said = any("may have arrived before" in warning for warning in result.warnings)
    assert doubtful is None or said is doubtful
    assert load.progress.trouble is None


async def test_retry_after_is_waited(server, load_of, time):
    server.emulator.inject("put:nth=2:status=429,retry-after=20")
    arrived(server, await load_of().run())
    assert max(time.sleeps) == pytest.approx(20.0, abs=0.1)


async def test_the_same_index_has_the_same_bytes(server, load_of, monkeypatch):
    sent: list[tuple[int, bytes]] = []

    class Watched(Client):
        async def put_chunk(self, dataset_id, session_id, *, data, index, **rest):
            sent.append((index, b"".join(data)))
            await super().put_chunk(dataset_id, session_id, data=data, index=index, **rest)

    monkeypatch.setattr("loader.job.load.Client", Watched)
    server.emulator.inject("put:rate=0.3:status=500")
    result = await load_of().run()
    arrived(server, result)
    assert len(set(sent)) == result.chunks
    assert len(sent) == result.chunks + fired(server)
    assert fired(server) > 3


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ordering", ["windowed", "free", "strict"])
async def test_many_faults_at_once(serve, time, load_of, seed, ordering):
    server = serve(fault_seed=seed)
    server.emulator.inject(
        "put:rate=0.1:status=503,retry-after=3",
        "put:rate=0.1:reset=after-store",
        "put:rate=0.1:reset=mid-body",
        "put:rate=0.1:status=502,body=html",
    )
    result = await load_of(
        url=server.url,
        ordering=loader.job.Ordering(ordering),
        concurrency=1 if ordering == "strict" else 4,
    ).run()
    arrived(server, result)
    assert result.retries == fired(server) > 2


@pytest.mark.parametrize("moment", ["before", "mid-body", "after-store"])
async def test_a_server_that_falls_silent(server, load_of, impatient, moment):
    server.emulator.inject(f"put:nth=2:stall={moment}")
    result = await load_of().run()
    arrived(server, result)
    assert result.retries == fired(server) == 1


@pytest.mark.parametrize(
    ("rule", "kind", "says"),
    [
        ("put:status=400,code=ERR006", "refused", "--ordering strict"),
        ("put:status=403,code=ERR014", "rights", "administrator"),
        ("put:status=500,code=ERR001,iserver=-2147205488", "refused", "row limit"),
        ("put:status=500,code=ERR002,iserver=-2147217000", "refused", ""),
    ],
)
async def test_a_refusal_is_not_repeated(  # noqa: PLR0917 - fixtures and cases
    server, load_of, time, rule, kind, says
):
    server.emulator.inject(rule)
    result = await load_of().run()
    assert result.error.kind == kind
    assert says in result.error.hint
    assert result.retries == 0
    assert not time.sleeps
    assert result.error.details["table"] == "t"
    assert result.error.details["chunk"] >= 1
    assert server.datasets == {}
    server.left_nothing()


async def test_a_server_that_adds_repetitions_is_found_out(serve, load_of):
    server = serve(repeat_index="append")
    server.emulator.inject("put:nth=2:reset=after-store")
    result = await load_of(url=server.url).run()
    assert fired(server) == 1
    assert result.exit_code == 8
    assert result.error.details["counted"] > result.error.details["sent"] == ROWS
    assert any("may have arrived before: 1." in warning for warning in result.warnings)


# -- budgets -------------------------------------------------------------------------------------


async def test_attempts_used_up(server, load_of, time):
    server.emulator.inject("put:index=3:status=500,code=ERR002,message=disk full")
    result = await load_of(retries=4).run()
    error = result.error
    assert error.exit_code == 5
    assert result.status is loader.Status.FAILED
    assert "disk full" in error.message
    assert "it was tried 5 times" in error.message
    assert error.details["attempts"] == fired(server) == 5
    assert (error.details["table"], error.details["chunk"]) == ("t", 3)
    assert error.details["seconds"] <= 0.5 + 1 + 2 + 4
    assert error.details["ticket_id"]
    assert error.hint
    assert result.retries == 4
    assert server.datasets == {}
    server.left_nothing()


async def test_time_used_up(server, load_of, time):
    server.emulator.inject("put:index=3:status=500,retry-after=40")
    result = await load_of(retries=100, retry_deadline=100.0).run()
    assert result.error.details["attempts"] == fired(server) == 4  # at 0, 40, 80 and 100 seconds
    assert result.error.details["seconds"] == pytest.approx(100.0)


async def test_a_gateway_that_gives_up_names_the_size_of_chunks(server, load_of):
    server.emulator.inject("put:index=2:status=504,body=html")
    result = await load_of().run()
    assert result.error.details["attempts"] == fired(server) == 9
    assert "--chunk-size" in result.error.hint


async def test_no_retries(server, load_of, time):
    server.emulator.inject("put:nth=2:status=503")
    result = await load_of(retries=0).run()
    assert result.error.kind == "unavailable"
    assert "attempts" not in result.error.details
    assert fired(server) == 1
    assert not time.sleeps


# -- publishing ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rule", ["publish:nth=1-3:status=503", "publish:nth=1:status=429,retry-after=5"]
)
async def test_a_publish_that_was_not_started_is_repeated(server, load_of, time, rule):
    server.emulator.inject(rule)
    arrived(server, await load_of().run())
    assert server.called("POST", "/publish")[-1] == 200
    assert len(server.called("POST", "/publish")) == fired(server) + 1 > 1
    assert time.sleeps


@pytest.mark.parametrize(
    "rule",
    ["publish:nth=1:status=504,at=after-store,body=html", "publish:nth=1:reset=after-store"],
)
async def test_a_publish_that_may_have_started_is_not_repeated(server, load_of, rule):
    server.emulator.inject(rule)
    arrived(server, await load_of(policy=UpdatePolicy.ADD).run())
    assert fired(server) == len(server.called("POST", "/publish")) == 1
