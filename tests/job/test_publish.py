"""A publish is asked for once, whatever becomes of its answer; time is the tests' own."""

from __future__ import annotations

import itertools

import pytest
from aioresponses import aioresponses

from loader.api import Client, Connection, PublishStatus
from loader.api.status import publish_state
from loader.emulator import EmulatorProcess
from loader.errors import (
    Interrupted,
    LoginFailed,
    NotAllowed,
    NotFound,
    OutcomeUnknown,
    ProtocolViolation,
    PublishFailed,
    Refused,
    SessionExpired,
    Unavailable,
    Unreachable,
)
from loader.job.publish import (
    LONGEST_INTERVAL,
    PAUSES,
    UNCLEAR_LIMIT,
    Found,
    SessionLost,
    continue_publish,
    intervals,
    look_at_publish,
    publish_and_wait,
)
from loader.job.retrier import once
from tests.cli.harness import PASSWORD
from tests.job.publishing import ROWS, uploaded

LOST = Unreachable("reset", phase="answer")
NOT_BEGUN = Refused("it is still open", status=409, code="ERR006")
GONE = NotFound("no such session", status=404, code="ERR004")
BUSY = Unavailable("busy", status=503, code="ERR016")


class Server:
    """Answers looks, and what asks for a publish, from scripts: a number, an error; None: yes."""

    def __init__(self, *codes, asked=(None,)):
        self.codes = iter(codes)
        self.asked = iter(asked)
        self.now = 0.0
        self.calls = []
        self.notes = []
        self.troubles = []

    async def publish(self, dataset_id, session_id):
        self.calls.append("ask")
        if answer := next(self.asked):
            raise answer

    async def publish_status(self, dataset_id, session_id):
        self.calls.append("look")
        code = next(self.codes)
        if isinstance(code, Exception):
            raise code
        return PublishStatus(publish_state(code), code, "words")

    async def sleep(self, seconds):
        self.now += seconds

    async def run(self, *, call=once, resumed=False):
        publish = continue_publish if resumed else publish_and_wait
        return await publish(
            *(self, "d", "s"),
            timeout=60.0,
            call=call,
            on_note=self.notes.append,
            on_trouble=self.troubles.append,
            clock=lambda: self.now,
            sleep=self.sleep,
        )

    @property
    def looks(self):
        return self.calls.count("look")

    @property
    def asks(self):
        return self.calls.count("ask")


# -- what a look shows ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (1, Found.DONE),
        (0, Found.RUNNING),
        (6, Found.RUNNING),
        (24, Found.RUNNING),
        (-1, Found.UNCLEAR),
        (99, Found.UNCLEAR),
        (NOT_BEGUN, Found.NOT_BEGUN),
        (Refused("a proxy's page", status=409), Found.UNCLEAR),
        (Refused("what?", status=400, code="ERR006"), Found.UNCLEAR),
        (Refused("it failed?", status=500, code="ERR002", iserver_code=-1), Found.UNCLEAR),
        (ProtocolViolation("a page", status=200), Found.UNCLEAR),
        (GONE, Found.GONE),
    ],
)
async def test_what_a_look_shows(answer, found):
    look = await look_at_publish(Server(answer), "d", "s", call=once)
    assert look.found is found
    assert (look.status is None) is isinstance(answer, Exception)
    assert (f"{answer}" in look.words) or look.words == str(answer)


@pytest.mark.parametrize("code", [3, 18])
async def test_a_look_at_a_failure(code):
    with pytest.raises(PublishFailed) as caught:
        await look_at_publish(Server(code), "d", "s", call=once)
    assert caught.value.details == {"publish_status": code, "known": True}


# -- polling -------------------------------------------------------------------------------------


async def test_polls_until_the_server_says_1():
    server = Server(6, 6, 0, 1)
    assert (await server.run()).code == 1
    assert server.calls == ["ask", "look", "look", "look", "look"]
    assert server.notes == []


@pytest.mark.parametrize("code", [3, 18])
async def test_a_failure_code_fails(code):
    with pytest.raises(PublishFailed) as caught:
        await Server(6, code).run()
    assert caught.value.details["publish_status"] == code
    assert "words" in caught.value.message


async def test_unknown_codes_fail_only_when_they_stay():
    assert (await Server(*[-7] * 5, 6, *[-7] * 5, 1).run()).code == 1
    server = Server(*[99] * 100)
    with pytest.raises(PublishFailed) as caught:
        await server.run()
    assert not caught.value.details["known"]
    assert server.now >= UNCLEAR_LIMIT


@pytest.mark.parametrize(
    "answer", [Refused("odd", status=400), ProtocolViolation("a page", status=200)]
)
async def test_answers_that_tell_nothing_may_pass(answer):
    assert (await Server(answer, answer, 6, 1).run()).code == 1
    server = Server(*[answer] * 100)
    with pytest.raises(OutcomeUnknown, match="does not tell") as caught:
        await server.run()
    assert answer.message in caught.value.message
    assert server.now >= UNCLEAR_LIMIT


async def test_a_publish_that_does_not_end_is_unknown():
    server = Server(*[6] * 10_000)
    with pytest.raises(OutcomeUnknown, match="within 60 s, and may still be running") as caught:
        await server.run()
    assert "row count" in caught.value.hint
    assert server.now <= 60


async def test_trouble_while_polling_is_no_failure():
    assert (await Server(6, BUSY, Unreachable("reset"), 1).run()).code == 1


async def test_trouble_is_told_and_taken_back():
    server = Server(6, BUSY, 6, BUSY, 1)
    await server.run()
    assert server.troubles == [None, "busy", None, "busy", None]


@pytest.mark.parametrize(
    "error",
    [
        SessionExpired("ended", status=401),
        LoginFailed("no", status=401),
        NotAllowed("no", status=403),
    ],
)
async def test_a_lost_login_while_polling_is_unknown(error):
    with pytest.raises(OutcomeUnknown, match="could not be asked") as caught:
        await Server(6, error).run()
    assert not isinstance(caught.value, SessionLost)


async def test_a_session_that_goes_while_polling():
    with pytest.raises(SessionLost, match=r"had taken on the publish.*no such session") as caught:
        await Server(6, GONE, GONE).run()
    assert caught.value.exit_code == 8
    assert caught.value.kind == "outcome_unknown"
    assert caught.value.hint


async def test_a_server_that_is_being_started_has_lost_nothing():
    nothing_there = NotFound("nothing there", status=404)

    async def patient(request):
        for _ in range(3):
            try:
                return await request()
            except NotFound:
                continue
        return await request()

    assert (await Server(6, *[nothing_there] * 3, 6, 1).run(call=patient)).code == 1


async def test_what_is_not_about_the_publish_comes_through():
    with pytest.raises(Interrupted):
        await Server(6, Interrupted("stop")).run()
    with pytest.raises(Interrupted):
        await Server(asked=[Interrupted("stop")]).run()
    with pytest.raises(Interrupted):
        await Server(Interrupted("stop"), asked=[LOST]).run()


def test_intervals_grow_to_a_limit():
    seen = list(itertools.islice(intervals(), 30))
    assert seen == sorted(seen)
    assert seen[0] <= 0.1
    assert seen[-1] == LONGEST_INTERVAL


# -- asking --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        Refused("no", status=400, code="ERR006"),
        NotAllowed("no", status=403),
        NotFound("gone", status=404, code="ERR004"),
        Unreachable("nothing listens", phase="connect"),
        Unreachable("no such certificate", phase="tls"),
        BUSY,
    ],
)
async def test_what_surely_was_not_done_is_the_servers_word(error):
    server = Server(asked=[error])
    with pytest.raises(type(error)) as caught:
        await server.run()
    assert caught.value is error
    assert server.calls == ["ask"]


@pytest.mark.parametrize(
    "lost",
    [
        LOST,
        ProtocolViolation("a gateway's page"),
        Unavailable("a gateway", status=504),
        Unavailable("server error", status=500, code="ERR002"),
        SessionExpired("ended", status=500, iserver_code=-2147206925),
    ],
)
async def test_after_a_lost_answer_the_status_decides(lost):
    for codes in [(6, 6, 1), (1,)]:
        server = Server(*codes, asked=[lost])
        assert (await server.run()).code == 1
        assert server.asks == 1
        assert server.notes == []
    with pytest.raises(PublishFailed):
        await Server(3, asked=[lost]).run()
    with pytest.raises(SessionLost):
        await Server(GONE, asked=[lost]).run()
    with pytest.raises(OutcomeUnknown, match=f"no answer came to the publish: {lost.message}"):
        await Server(Unreachable("reset"), asked=[lost]).run()


async def test_a_lost_answer_and_a_code_that_nobody_knows():
    """It may stand for a publish that has not begun as well as for one that runs: no second one."""
    server = Server(*[-1] * 100, asked=[LOST])
    with pytest.raises(OutcomeUnknown, match="does not tell: status -1"):
        await server.run()
    assert server.asks == 1
    assert server.now >= UNCLEAR_LIMIT
    assert (await Server(-1, -1, 6, 1, asked=[LOST]).run()).code == 1


async def test_what_has_not_begun_is_asked_for_again_and_said():
    server = Server(NOT_BEGUN, NOT_BEGUN, 6, 1, asked=[LOST, None])
    assert (await server.run()).code == 1
    assert server.calls == ["ask", "look", "look", "ask", "look", "look"]
    (note,) = server.notes
    assert "asked for again" in note
    assert "reset" in note
    assert "it is still open" in note


async def test_what_begins_late_is_not_asked_for_again():
    server = Server(NOT_BEGUN, 6, 1, asked=[LOST])
    assert (await server.run()).code == 1
    assert server.asks == 1
    assert server.notes == []


@pytest.mark.parametrize("refusal", [NOT_BEGUN, Refused("published", status=400, code="ERR001")])
async def test_the_first_request_arrives_just_before_the_second(refusal):
    server = Server(NOT_BEGUN, NOT_BEGUN, 1, asked=[LOST, refusal])
    assert (await server.run()).code == 1
    assert server.asks == 2


async def test_answers_that_get_lost_again_and_again():
    server = Server(*[NOT_BEGUN] * 20, asked=[LOST] * 20)
    with pytest.raises(OutcomeUnknown, match=r"asked for 3 times.*it is still open"):
        await server.run()
    assert server.asks == len(PAUSES) == 3
    assert len(server.notes) == 2
    assert server.now == sum(PAUSES[1:])


async def test_a_refusal_after_a_lost_answer_proves_nothing():
    """Nor that nothing was published: what it refuses may be the second of two."""
    server = Server(*[NOT_BEGUN] * 3, asked=[LOST, NotAllowed("no rights", status=403)])
    with pytest.raises(OutcomeUnknown, match="no rights"):
        await server.run()
    server = Server(NOT_BEGUN, NOT_BEGUN, GONE, asked=[LOST, GONE])
    with pytest.raises(SessionLost):
        await server.run()


async def test_a_request_that_somebody_on_the_way_has_sent_twice():
    conflict = Refused("it is publishing", status=409, code="ERR006")
    server = Server(6, 1, asked=[conflict])
    assert (await server.run()).code == 1
    hole = Refused("index 2 is missing", status=409, code="ERR006")
    with pytest.raises(Refused) as caught:
        await Server(NOT_BEGUN, asked=[hole]).run()
    assert caught.value is hole
    with pytest.raises(OutcomeUnknown, match="index 2 is missing"):
        await Server(Unreachable("reset"), asked=[hole]).run()


async def test_a_server_that_forgets_the_publish_it_had_taken_on():
    """As one does that is restarted in the middle of it, and keeps upload sessions."""
    server = Server(6, Unreachable("away"), NOT_BEGUN, NOT_BEGUN, 6, 1, asked=[None, None])
    assert (await server.run()).code == 1
    assert server.asks == 2
    assert "had taken on the publish" in server.notes[0]


# -- going on ------------------------------------------------------------------------------------


async def test_going_on_with_what_is_done_or_runs():
    for codes in [(1,), (6, 6, 1), (-1, 6, 1)]:
        server = Server(*codes)
        assert (await server.run(resumed=True)).code == 1
        assert server.asks == 0
        assert server.notes == []


async def test_going_on_with_what_has_not_begun():
    server = Server(NOT_BEGUN, NOT_BEGUN, 6, 1)
    assert (await server.run(resumed=True)).code == 1
    assert server.calls == ["look", "look", "ask", "look", "look"]
    assert "earlier process" in server.notes[0]


async def test_going_on_where_nothing_can_be_known():
    with pytest.raises(SessionLost, match="earlier process"):
        await Server(GONE).run(resumed=True)
    with pytest.raises(OutcomeUnknown, match="nothing listens"):
        await Server(Unreachable("nothing listens", phase="connect")).run(resumed=True)
    with pytest.raises(OutcomeUnknown, match="busy"):
        await Server(*[NOT_BEGUN] * 3, asked=[BUSY]).run(resumed=True)
    with pytest.raises(PublishFailed):
        await Server(18).run(resumed=True)


# -- odd servers ---------------------------------------------------------------------------------


async def test_what_odd_servers_answer():
    url = "https://mstr.example.com/MicroStrategyLibrary"
    session = f"{url}/api/datasets/D/uploadSessions/S"
    async with Client(Connection(url, username="ada", password=PASSWORD)) as client:
        client._login.token = "token"
        client._project = type("Project", (), {"id": "P", "name": "P"})

        async def found(**answer):
            with aioresponses() as mocked:
                mocked.get(f"{session}/publishStatus", **answer)
                return (await look_at_publish(client, "D", "S", call=once)).found

        assert await found(payload={"status": "1"}) is Found.DONE
        assert await found(payload={"status": "17", "message": None}) is Found.RUNNING
        assert await found(payload={"status": -1}) is Found.UNCLEAR
        assert await found(payload={}) is Found.UNCLEAR
        assert await found(body="<html>sign in</html>") is Found.UNCLEAR
        assert await found(status=409, payload={"code": "ERR006"}) is Found.NOT_BEGUN
        several = {"errors": [{"code": "ERR001", "message": "no"}]}
        assert await found(status=409, payload=several) is Found.NOT_BEGUN
        assert await found(status=409, body="<html>conflict</html>") is Found.UNCLEAR
        assert await found(status=405) is Found.UNCLEAR
        assert await found(status=404, payload={"code": "ERR004"}) is Found.GONE
        refused = {"code": "ERR002", "iServerCode": -2147212800}
        assert await found(status=500, payload=refused) is Found.UNCLEAR
        with pytest.raises(Unavailable):
            await found(status=503)


# -- a real server that fails --------------------------------------------------------------------


def fired(server):
    return [rule["fired"] for rule in server.emulator.faults.report()]


def arrived(server, keyed=True):
    """Whether the rows are there, once."""
    columns = "k, v" if keyed else "v"
    expected = list(ROWS) if keyed else [row[1:] for row in ROWS]
    return server.sql(f"SELECT {columns} FROM d.t ORDER BY v") == expected


@pytest.mark.parametrize(
    ("rule", "asks"),
    [
        ("publish:nth=1:reset=before", 2),
        ("publish:nth=1-2:reset=before", 3),
        ("publish:nth=1:reset=after-store", 1),
        ("publish:nth=1:status=504,at=after-store,body=html", 1),
        ("publish:nth=1:status=504,body=html", 2),
        ("publish:nth=1:status=500,code=ERR002,at=after-store", 1),
        ("publish:nth=1:status=500,body=empty", 2),
        ("publish:nth=1-3:status=503", 4),
        ("publish:nth=1:answer=html", 1),
        ("publish:nth=1:answer=short", 1),
        ("status:nth=1-3:status=503", 1),
        ("status:nth=1-3:reset=before", 1),
        ("status:nth=1-2:answer=garbage", 1),
        ("status:nth=1:status=409", 1),
        ("status:nth=1:status=404,body=empty", 1),
    ],
)
@pytest.mark.parametrize("keyed", [True, False])
async def test_a_publish_through_faults(server, rule, asks, keyed):
    """A table without a key takes rows twice if they are published twice."""
    server.emulator.inject(rule)
    async with uploaded(server.url, keyed=keyed) as waiting:
        assert (await waiting.publish()).code == 1
        assert fired(server) != [0]
        assert len(server.called("POST", "/publish")) == asks
        assert arrived(server, keyed)
        # What surely was not begun (a 503 of the API) may be repeated without a word.
        assert len(waiting.notes) == (0 if "503" in rule else asks - 1)


async def test_a_publish_that_is_lost_every_time(server):
    server.emulator.inject("publish:reset=before")
    async with uploaded(server.url) as waiting:
        with pytest.raises(OutcomeUnknown, match="asked for 3 times"):
            await waiting.publish()
        assert fired(server) == [3]
        server.emulator.faults.clear()
        assert (await waiting.publish(resumed=True)).code == 1
        assert arrived(server)


@pytest.mark.parametrize("code", [3, 18])
@pytest.mark.parametrize("lost", [False, True])
async def test_a_publish_that_fails_for_good(server, code, lost):
    server.emulator.inject(f"publish:outcome={code},message=no memory")
    if lost:
        server.emulator.inject("publish:reset=after-store")
    async with uploaded(server.url) as waiting:
        with pytest.raises(PublishFailed, match=f"status {code}, 'no memory'"):
            await waiting.publish()
        assert set(fired(server)) == {1}
        with pytest.raises(PublishFailed):
            await waiting.publish(resumed=True)


@pytest.mark.parametrize(("lost", "error"), [(False, PublishFailed), (True, OutcomeUnknown)])
async def test_a_code_that_nobody_knows(server, lost, error):
    server.emulator.inject("publish:outcome=-7")
    if lost:
        server.emulator.inject("publish:reset=after-store")
    async with uploaded(server.url) as waiting:
        with pytest.raises(error, match="-7"):
            await waiting.publish()
        assert set(fired(server)) == {1}
        assert len(server.called("POST", "/publish")) == 1
        assert waiting.time.now >= UNCLEAR_LIMIT


async def test_a_publish_that_hangs(server):
    rules = server.emulator.inject("publish:outcome=6")
    async with uploaded(server.url) as waiting:
        with pytest.raises(OutcomeUnknown, match="did not end within 30 s"):
            await waiting.publish(limit=30.0)
        assert rules[0].fired == 1
        assert 20 < waiting.time.now <= 30
        with pytest.raises(OutcomeUnknown, match="did not end within 5 s"):
            await waiting.publish(resumed=True, limit=5.0)
        assert len(server.called("POST", "/publish")) == 1


@pytest.mark.parametrize(("moment", "asks"), [("before", 2), ("after-store", 1)])
async def test_an_answer_that_does_not_come(server, moment, asks):
    rules = server.emulator.inject(f"publish:nth=1:stall={moment}")
    async with uploaded(server.url, answer_timeout=0.1) as waiting:
        assert (await waiting.publish()).code == 1
        assert (rules[0].fired, rules[0].matched) == (1, asks)
        assert arrived(server)


async def test_a_request_that_wakes_up_when_the_second_is_done(server):
    """The first one then finds the session published: nothing is doubled."""
    rules = server.emulator.inject("publish:nth=1:stall=before,seconds=0.3")
    async with uploaded(server.url, keyed=False, answer_timeout=0.1) as waiting:
        assert (await waiting.publish()).code == 1
        assert rules[0].fired == 1
        for _ in range(200):
            if len(server.called("POST", "/publish")) == 2:
                break
            await waiting.time.sleep(1.0)
        assert min(server.called("POST", "/publish")) == 200
        assert arrived(server, keyed=False)


@pytest.mark.parametrize("where", ["publish:end-session", "publish:nth=1:end-login,sessions=lose"])
async def test_a_session_that_had_gone_before(server, where):
    server.emulator.inject(where)
    async with uploaded(server.url) as waiting:
        with pytest.raises(NotFound):
            await waiting.publish()
        assert fired(server)[0] >= 1


@pytest.mark.parametrize("rule", ["publish:reset=before", "publish:reset=after-store"])
async def test_a_session_that_goes_with_the_answer(server, rule):
    server.emulator.inject(rule, "status:end-session")
    async with uploaded(server.url) as waiting:
        with pytest.raises(SessionLost, match="no answer came"):
            await waiting.publish()
        assert fired(server)[0] == 1
        with pytest.raises(SessionLost):
            await waiting.publish(resumed=True)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after-store"])
@pytest.mark.parametrize("kept", [True, False])
async def test_a_server_that_dies_while_it_is_asked(tmp_path, moment, kept):
    options = ["--data", str(tmp_path), "--fault", f"publish:nth=1:crash={moment}"]
    if kept:
        options.append("--keep-sessions")
    with EmulatorProcess(*options, env={"MSTR_EMULATOR_PASSWORD": PASSWORD}) as emulator:
        async with uploaded(emulator.url, keyed=False) as waiting:
            with pytest.raises(OutcomeUnknown):
                await waiting.publish(retries=0)
            assert emulator.wait(30) == -9
            # The rules of the command line count from 0 again.
            emulator._command = [part for part in emulator._command if "crash" not in part]
            emulator._command.remove("--fault")
            emulator.start()
            if kept:
                assert (await waiting.publish(resumed=True)).code == 1
                assert await waiting.client.row_count(waiting.dataset, "t") == len(ROWS)
                assert (await waiting.publish(resumed=True)).code == 1
                assert await waiting.client.row_count(waiting.dataset, "t") == len(ROWS)
            else:
                with pytest.raises(SessionLost):
                    await waiting.publish(resumed=True)


@pytest.mark.slow
@pytest.mark.parametrize("kept", [True, False])
async def test_a_server_that_dies_and_comes_back_while_it_publishes(tmp_path, kept):
    options = ["--data", str(tmp_path), "--publish-time", "0.5"]
    if kept:
        options.append("--keep-sessions")
    with EmulatorProcess(*options, env={"MSTR_EMULATOR_PASSWORD": PASSWORD}) as emulator:
        async with uploaded(emulator.url, keyed=False) as waiting:
            sleep = waiting.time.sleep
            killed = []

            async def kill_once(seconds):
                if not killed:
                    killed.append(emulator.kill())
                    emulator.start()
                await sleep(seconds)

            waiting.time.sleep = kill_once
            if kept:
                assert (await waiting.publish()).code == 1
                assert "had taken on" in waiting.notes[0]
                assert await waiting.client.row_count(waiting.dataset, "t") == len(ROWS)
            else:
                with pytest.raises(SessionLost):
                    await waiting.publish()
            assert killed
