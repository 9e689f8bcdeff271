from __future__ import annotations

import itertools

import pytest

from loader.api import PublishStatus
from loader.api.status import publish_state
from loader.errors import (
    OutcomeUnknown,
    ProtocolViolation,
    PublishFailed,
    Refused,
    SessionExpired,
    Unavailable,
    Unreachable,
)
from loader.job.publish import LONGEST_INTERVAL, UNKNOWN_LIMIT, intervals, publish_and_wait


class Server:
    """Answers publish and status calls from a script; a script entry may be an error."""

    def __init__(self, *codes, start=None):
        self.codes = iter(codes)
        self.start = start
        self.now = 0.0
        self.looks = 0

    async def publish(self, dataset_id, session_id):
        if self.start:
            raise self.start

    async def publish_status(self, dataset_id, session_id):
        self.looks += 1
        code = next(self.codes)
        if isinstance(code, Exception):
            raise code
        return PublishStatus(publish_state(code), code, "words")

    async def sleep(self, seconds):
        self.now += seconds

    async def run(self):
        return await publish_and_wait(
            self, "d", "s", timeout=60.0, clock=lambda: self.now, sleep=self.sleep
        )


async def test_polls_until_the_server_says_1():
    server = Server(6, 6, 0, 1)
    assert (await server.run()).code == 1
    assert server.looks == 4


@pytest.mark.parametrize("code", [3, 18])
async def test_a_failure_code_fails(code):
    with pytest.raises(PublishFailed) as caught:
        await Server(6, code).run()
    assert caught.value.details["publish_status"] == code
    assert "words" in caught.value.message


async def test_unknown_codes_fail_only_when_they_stay():
    assert (await Server(*[-7] * 5, 6, *[-7] * 5, 1).run()).code == 1
    server = Server(*[99] * 100)
    with pytest.raises(PublishFailed):
        await server.run()
    assert server.now >= UNKNOWN_LIMIT


async def test_a_publish_that_does_not_end_is_unknown():
    server = Server(*[6] * 10_000)
    with pytest.raises(OutcomeUnknown, match="within 60 s"):
        await server.run()
    assert server.now <= 60


async def test_trouble_while_polling_is_no_failure():
    trouble = Unavailable("busy", status=503)
    assert (await Server(6, trouble, Unreachable("reset"), 1).run()).code == 1


async def test_trouble_is_told_and_taken_back():
    server = Server(6, Unavailable("busy", status=503), 6, 1)
    told = []
    await publish_and_wait(
        server,
        "d",
        "s",
        timeout=60.0,
        on_trouble=told.append,
        clock=lambda: server.now,
        sleep=server.sleep,
    )
    assert told == [None, "busy", None]


async def test_a_lost_login_while_polling_is_unknown():
    with pytest.raises(OutcomeUnknown):
        await Server(6, SessionExpired("expired", status=401)).run()


async def test_a_refused_publish_is_the_servers_word():
    with pytest.raises(Refused):
        await Server(start=Refused("no", status=400)).run()


async def test_after_a_lost_answer_the_status_decides():
    assert (await Server(6, 1, start=Unreachable("reset")).run()).code == 1
    with pytest.raises(OutcomeUnknown, match="was lost"):
        await Server(Unreachable("reset"), start=Unreachable("reset")).run()
    with pytest.raises(PublishFailed):
        await Server(3, start=Unreachable("reset")).run()
    assert (await Server(6, 1, start=ProtocolViolation("a gateway's page")).run()).code == 1
    with pytest.raises(OutcomeUnknown, match="was lost"):
        await Server(-1, start=Unavailable("busy", status=504)).run()


async def test_a_publish_that_never_left_is_no_riddle():
    with pytest.raises(Unreachable):
        await Server(start=Unreachable("refused", phase="connect")).run()


def test_intervals_grow_to_a_limit():
    seen = list(itertools.islice(intervals(), 30))
    assert seen == sorted(seen)
    assert seen[0] <= 0.1
    assert seen[-1] == LONGEST_INTERVAL
