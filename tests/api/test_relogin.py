"""A login that ends in the middle: one new login for all calls, and what is repeated after it."""

from __future__ import annotations

import asyncio
import traceback

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.api import Client, Connection, LoginMode, Project, UploadTable
from loader.api.login import SharedLogin
from loader.emulator import EmulatorOptions
from loader.emulator.server import Listener
from loader.errors import LoginFailed, Recovery, SessionExpired, Unavailable, Unreachable

MIB = 1 << 20
PASSWORD = "planted-password"


class Server:
    """Knows one token and one cookie at a time, and answers everything else as the API does.

    Attributes:
        expired: What a call with another token is answered.
        logins: Logins that were asked for.
        refuse: What logins are answered in place of a token.
        seen: Method, path and token of every other call that was let in.
    """

    def __init__(self) -> None:
        self.expired = (401, {"code": "ERR009", "message": "The session has timed out."})
        self.logins = 0
        self.refuse: tuple[int, dict] | None = None
        self.gate: asyncio.Event | None = None
        self.valid: tuple[str, str] | None = None
        self.seen: list[tuple[str, str, str]] = []
        self.rejected = 0
        self.bodies: list[bytes] = []
        self.projects: set[str | None] = set()

    def expire(self) -> None:
        self.valid = None

    def close_gate(self) -> None:
        """Lets the next login wait; ``asked`` tells when it came."""
        self.gate, self.asked = asyncio.Event(), asyncio.Event()

    async def login(self, request):
        self.logins += 1
        number = self.logins
        await request.read()
        if self.gate is not None:
            self.asked.set()
            await self.gate.wait()
        if self.refuse is not None:
            status, body = self.refuse
            return web.json_response(body, status=status)
        self.valid = (f"token-{number}", f"cookie-{number}")
        answer = web.Response(status=204, headers={"X-MSTR-AuthToken": self.valid[0]})
        answer.set_cookie("JSESSIONID", self.valid[1], path="/MicroStrategyLibrary")
        return answer

    async def call(self, request):
        token = request.headers.get("X-MSTR-AuthToken")
        body = await request.read()
        if self.valid is None or (token, request.cookies.get("JSESSIONID")) != self.valid:
            self.rejected += 1
            status, answer = self.expired
            response = web.json_response(answer, status=status)
            # As a servlet container does that starts an anonymous session for a stranger.
            response.set_cookie("JSESSIONID", "anonymous", path="/MicroStrategyLibrary")
            return response
        self.seen.append((request.method, request.path, token))
        self.bodies.append(body)
        self.projects.add(request.headers.get("X-MSTR-ProjectID"))
        if request.path.endswith("/models"):
            return web.json_response({"id": "D1", "name": "n"})
        if request.path.endswith("/projects"):
            return web.json_response([])
        return web.Response()

    @property
    def routes(self):
        return [web.post("/api/auth/login", self.login), web.route("*", "/{rest:.*}", self.call)]


@pytest.fixture
async def server(library):
    server = Server()
    server.url = await library.serve(*server.routes)
    return server


@pytest.fixture
async def client(server):
    async with Client(Connection(server.url, username="u", password=PASSWORD)) as client:
        await client.login()
        client._project = Project("P1", "p")
        yield client


def put(client, data, index=1, **arguments):
    return client.put_chunk("D", "S", table="t", index=index, data=data, **arguments)


async def test_calls_that_find_the_login_ended_share_one_new_one(server, client, library):
    server.expire()
    chunks = [library.text(1000 + index) for index in range(8)]
    await asyncio.gather(*(put(client, data, index) for index, data in enumerate(chunks, 1)))
    assert (server.logins, client.logins) == (2, 2)
    assert {token for _, _, token in server.seen} == {"token-2"}
    assert len(server.seen) == 8
    assert server.projects == {"P1"}
    assert {data.iterations for data in chunks} <= {1, 2}
    # The same bytes again, from their first to their last.
    assert all(b"".join(data) in b"".join(server.bodies) for data in chunks)


async def test_no_new_login_without_need(server, client, library):
    for index in range(1, 4):
        await put(client, library.text(10), index)
    assert (server.logins, client.logins) == (1, 1)


@pytest.mark.parametrize(
    "call",
    [
        lambda client, data: client.projects(),
        lambda client, data: client.keep_alive(),
        lambda client, data: client.delete_upload_session("D", "S"),
        put,
        # A 401 is proof that nothing was done: these may be repeated too.
        lambda client, data: client.create_model({"name": "n"}),
        lambda client, data: client.publish("D", "S"),
        lambda client, data: client.update_table("D", "T", "add", {"name": "t", "data": data}),
    ],
)
async def test_a_call_refused_with_401_was_not_carried_out_and_is_repeated(
    server, client, library, call
):
    server.expire()
    await call(client, library.text(10))
    assert client.logins == 2
    assert server.rejected == 1
    assert len(server.seen) == 1


ELSEWHERE = (500, {"code": "ERR002", "iServerCode": -2147206925, "message": "session expired"})


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.create_model({"name": "n"}),
        lambda client: client.publish("D", "S"),
        lambda client: client.update_table("D", "T", "add", {"name": "t"}),
        lambda client: client.open_upload_session("D", [UploadTable("t", "add", "ROW", ())]),
    ],
)
async def test_what_may_have_been_carried_out_is_not_repeated(server, client, call):
    """The Intelligence Server may notice in the middle of the work."""
    server.expire()
    server.expired = ELSEWHERE
    with pytest.raises(SessionExpired) as caught:
        await call(client)
    assert caught.value.recovery is Recovery.LOGIN
    assert (server.logins, server.rejected) == (1, 1)
    # Looking what became of it is a GET, and that logs in.
    assert await client.projects() == []
    assert client.logins == 2


async def test_what_does_no_harm_twice_is_repeated_whatever_the_status(server, client, library):
    server.expire()
    server.expired = ELSEWHERE
    await put(client, library.text(10))
    assert client.logins == 2
    assert len(server.seen) == 1


async def test_a_late_refusal_of_the_old_token_makes_no_second_login(library):
    """Its answer comes when the new login is long there; and it brings a cookie of its own."""
    server = Server()
    late, first = asyncio.Event(), asyncio.Event()

    async def call(request):
        if request.path.endswith("/slow") and not late.is_set():
            first.set()
            await late.wait()
        return await server.call(request)

    url = await library.serve(
        web.post("/api/auth/login", server.login), web.route("*", "/{rest:.*}", call)
    )
    async with Client(Connection(url)) as client:
        await client.login()
        client._project = Project("P", "p")
        slow = asyncio.create_task(client.delete_upload_session("D", "slow"))
        await first.wait()
        server.expire()
        await client.projects()
        late.set()
        await slow
        # Had the late answer's cookie been kept, the new login would be lost as well.
        await client.projects()
        assert (server.logins, client.logins) == (2, 2)
    assert server.rejected == 2


async def test_calls_that_come_during_a_login_wait_for_it(server, client, library):
    """Nobody sends 100 MB with a token that is known to be refused."""
    server.expire()
    server.close_gate()
    first = asyncio.create_task(client.projects())
    await server.asked.wait()
    data = library.text(3 * MIB)
    second = asyncio.create_task(put(client, data))
    for _ in range(20):
        await asyncio.sleep(0)
    assert data.iterations == 0
    server.gate.set()
    await asyncio.gather(first, second)
    assert data.iterations == 1
    assert (server.logins, server.rejected) == (2, 1)


async def test_a_refusal_in_the_middle_of_a_body_repeats_the_whole_of_it(library):
    server = Server()
    early = asyncio.Event()

    async def call(request):
        if request.method == "PUT" and not early.is_set():
            early.set()
            # Answers before the body was read, and hangs up.
            answer = web.json_response({"code": "ERR009", "message": "gone"}, status=401)
            answer.force_close()
            server.expire()
            return answer
        return await server.call(request)

    url = await library.serve(
        web.post("/api/auth/login", server.login), web.route("*", "/{rest:.*}", call)
    )
    data = library.text(30 * MIB)
    counts = []

    async def on_slice(count):
        counts.append(count)

    async with Client(Connection(url)) as client:
        await client.login()
        client._project = Project("P", "p")
        await put(client, data, on_slice=on_slice)
        assert client.logins == 2
    assert data.iterations == 2
    assert b"".join(data) in server.bodies[-1]
    # What went over the wire counts, repeats included.
    assert sum(counts) > len(data)


async def test_a_password_that_changed_meanwhile_ends_all_calls_after_one_attempt(
    server, client, library
):
    server.expire()
    server.refuse = (401, {"code": "ERR003", "message": f"{PASSWORD} is wrong"})
    calls = [put(client, library.text(10), index) for index in range(1, 9)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [LoginFailed] * 8
    # Each has its own, so that no traceback grows into another's.
    assert len({id(outcome) for outcome in outcomes}) == 8
    for outcome in outcomes:
        assert "It was accepted before" in outcome.hint
        assert PASSWORD not in "".join(traceback.format_exception(outcome)) + repr(outcome.args)
    assert server.logins == 2
    # Nor are they tried again later: that would lock the account.
    with pytest.raises(LoginFailed):
        await client.projects()
    assert (server.logins, client.logins) == (2, 1)
    # Somebody who knows better may.
    server.refuse = None
    await client.login()
    await client.projects()
    assert (server.logins, client.logins) == (3, 2)


async def test_a_server_that_cannot_log_in_now_is_asked_again_later(server, client, library):
    server.expire()
    server.refuse = (503, {"code": "ERR016", "message": "busy"})
    calls = [put(client, library.text(10), index) for index in range(1, 9)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {Unavailable}
    assert server.logins < 9
    server.refuse = None
    before, rejected = server.logins, server.rejected
    data = library.text(3 * MIB)
    await put(client, data)
    assert (server.logins, client.logins) == (before + 1, 2)
    # The old token is known to be of no use: nothing was sent with it.
    assert (server.rejected, data.iterations) == (rejected, 1)


async def test_a_server_that_is_gone_during_the_new_login_is_unreachable(library):
    server = Server()
    url = await library.serve(*server.routes)

    async def cut(request):
        if server.logins:
            request.transport.abort()
        return await server.login(request)

    url = await library.serve(
        web.post("/api/auth/login", cut), web.route("*", "/{rest:.*}", server.call)
    )
    async with Client(Connection(url)) as client:
        await client.login()
        server.expire()
        with pytest.raises(Unreachable, match="log in"):
            await client.projects()


async def test_a_server_that_never_accepts_its_own_tokens_is_given_up(server, client, library):
    async def never():
        while True:
            server.expire()
            await asyncio.sleep(0)

    spoiler = asyncio.create_task(never())
    with pytest.raises(SessionExpired):
        await put(client, library.text(10))
    spoiler.cancel()
    assert server.logins <= 4


async def test_a_cancelled_call_leaves_the_new_login_to_the_others(server, client):
    server.expire()
    server.close_gate()
    first = asyncio.create_task(client.projects())
    await server.asked.wait()
    second = asyncio.create_task(client.projects())
    await asyncio.sleep(0)
    first.cancel()
    server.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await second == []
    assert client.logins == 2


async def test_a_logout_is_not_answered_by_a_login(server, client):
    server.expire()
    with pytest.raises(SessionExpired):
        await client.logout()
    assert server.logins == 1
    await client.logout()
    with pytest.raises(RuntimeError, match="not logged in"):
        await client.projects()


async def test_a_logout_waits_for_a_login_under_way_and_ends_that_one(server, client):
    server.expire()
    server.close_gate()
    call = asyncio.create_task(client.projects())
    await server.asked.wait()
    leaving = asyncio.create_task(client.logout())
    await asyncio.sleep(0)
    server.gate.set()
    await leaving
    assert ("POST", "/MicroStrategyLibrary/api/auth/logout", "token-2") in server.seen
    await asyncio.gather(call, return_exceptions=True)
    assert server.logins == 2


async def test_nothing_is_logged_out_of_a_login_that_could_not_be_renewed(server, client):
    server.expire()
    server.refuse = (401, {"code": "ERR003", "message": "no"})
    with pytest.raises(LoginFailed):
        await client.projects()
    await client.logout()
    assert server.rejected == 1


async def test_a_new_login_by_api_token_sends_the_token_again(library):
    server, tokens = Server(), []

    async def login(request):
        tokens.append((await request.json())["username"])
        return await server.login(request)

    url = await library.serve(
        web.post("/api/auth/login", login), web.route("*", "/{rest:.*}", server.call)
    )
    connection = Connection(url, login_mode=LoginMode.API_TOKEN, token="the-token")
    async with Client(connection) as client:
        await client.login()
        server.expire()
        await client.projects()
    assert tokens == ["the-token", "the-token"]


# -- against the emulator ------------------------------------------------------------------------


async def test_an_emulators_session_that_timed_out():
    """The emulator insists on token and cookie belonging together."""
    async with Listener(EmulatorOptions(port=0, ingest="check")) as listener:
        logins = listener.emulator.logins
        async with Client(Connection(listener.url, username="administrator")) as client:
            await client.login()
            await client.select_project("Sales")
            for expected in (2, 3):
                for login in list(logins._by_token.values()):
                    logins.close(login)
                results = await asyncio.gather(*(client.projects() for _ in range(6)))
                assert all(results)
                assert client.logins == expected
            assert len(logins) == 1
            await client.logout()
        assert len(logins) == 0


async def test_logging_in_again_ends_what_the_login_had_opened():
    async with Listener(EmulatorOptions(port=0, ingest="check")) as listener:
        logins = listener.emulator.logins
        async with Client(Connection(listener.url, username="administrator")) as client:
            await client.login()
            await client.select_project("Sales")
            (first,) = logins._by_token.values()
            # Calls meanwhile wait for the new login, or are repeated with it.
            calls = [asyncio.create_task(client.projects()) for _ in range(4)]
            await asyncio.sleep(0)
            await asyncio.gather(client.log_in_again(), *calls)
            (second,) = logins._by_token.values()
            assert not first.alive
            assert second.alive
            assert client.logins == 2
            await client.logout()
        assert len(logins) == 0


async def test_a_logout_that_fails_does_not_keep_from_logging_in_again(server, client, library):
    async with library.client(server.url) as stranger:  # its token is one that nobody gave out
        await stranger.log_in_again()
        assert await stranger.projects() == []


async def test_cookies_of_answers_to_the_current_login_are_kept(server, client):
    """A load balancer may move us to another node at any time."""
    jar = client._pooled.cookie_jar
    await client.projects()
    cookies = {cookie.key: cookie.value for cookie in jar}
    assert cookies == {"JSESSIONID": "cookie-1"}
    assert isinstance(jar, aiohttp.CookieJar)


# -- the rule itself -----------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(
    workers=st.integers(1, 8),
    lifetimes=st.lists(st.integers(0, 12), max_size=6),
    turns=st.lists(st.integers(0, 3), min_size=8, max_size=8),
)
def test_every_login_but_the_first_replaces_one_that_had_ended(workers, lifetimes, turns):
    """Whatever the order: there are never more logins than tokens that were used up."""
    remaining = {}
    given_out = 0

    async def log_in():
        nonlocal given_out
        await asyncio.sleep(0)
        given_out += 1
        remaining[f"t{given_out}"] = lifetimes[given_out - 1] if given_out <= len(lifetimes) else 99
        return f"t{given_out}"

    async def work(login, turn):
        for _ in range(turn):
            await asyncio.sleep(0)
        for _ in range(len(lifetimes) + 2):
            await login.settle()
            number, token = login.number, login.token
            await asyncio.sleep(0)
            if remaining[token] > 0:
                remaining[token] -= 1
                return
            await login.renew(number, SessionExpired("gone"))
        pytest.fail("the work was never done")

    async def run():
        login = SharedLogin(log_in)
        await login.start()
        await asyncio.gather(*(work(login, turns[index]) for index in range(workers)))
        return login

    login = asyncio.run(run())
    assert login.made == given_out == login.number
    used_up = [token for token in remaining if token != login.token]
    assert all(remaining[token] == 0 for token in used_up)
