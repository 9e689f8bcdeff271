"""Real sockets: bodies, cookies, resets, early answers, silence, redirections."""

from __future__ import annotations

import asyncio
import socket
import traceback
import tracemalloc

import orjson
import pytest
from aiohttp import web

from loader.api import Client, Connection
from loader.errors import (
    LoginFailed,
    NotAllowed,
    NotFound,
    ProtocolViolation,
    Refused,
    Unavailable,
    Unreachable,
)

MIB = 1 << 20
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def put(client, data, **arguments):
    return client.put_chunk("D", "S", table="lineitem", index=1, data=data, **arguments)


async def read_request(reader):
    """Reads one request with a Content-Length; returns its head and its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    [length] = [
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length")
    ]
    return head, await reader.readexactly(length)


def raw_answer(status, body=b""):
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


# -- cookies and redirections --------------------------------------------------------------------


async def test_token_and_cookies_of_a_server_named_by_an_ip_address_are_kept(library):
    seen = []

    async def login(request):
        answer = web.Response(status=204, headers={"X-MSTR-AuthToken": "t1"})
        answer.headers.add(
            "Set-Cookie", "JSESSIONID=A1; Path=/MicroStrategyLibrary; HttpOnly; SameSite=Lax"
        )
        answer.headers.add("Set-Cookie", "BIGip=!ab/cd==; Path=/")
        return answer

    async def projects(request):
        seen.append((request.headers["X-MSTR-AuthToken"], request.headers["Cookie"]))
        answer = web.json_response([])
        answer.set_cookie("sticky", "node2", path="/MicroStrategyLibrary")
        return answer

    url = await library.serve(
        web.post("/api/auth/login", login), web.get("/api/projects", projects)
    )
    assert "127.0.0.1" in url
    async with Client(Connection(url)) as client:
        await client.login()
        await client.projects()
        await client.projects()
    [(token, cookies), (_, more)] = seen
    assert token == "t1"
    assert sorted(cookies.split("; ")) == ["BIGip=!ab/cd==", "JSESSIONID=A1"]
    assert sorted(more.split("; ")) == ["BIGip=!ab/cd==", "JSESSIONID=A1", "sticky=node2"]


async def test_cookies_are_shared_by_repeatable_and_unrepeatable_calls(library):
    seen = []

    async def answer(request):
        seen.append(request.headers.get("Cookie"))
        response = web.Response()
        response.set_cookie("n", str(len(seen)))
        return response

    url = await library.serve(web.route("*", "/{rest:.*}", answer))
    async with library.client(url) as client:
        await client.publish("D", "S")
        await client.delete_upload_session("D", "S")
        await client.publish("D", "S")
    assert seen == [None, "n=1", "n=2"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirection_is_refused_and_not_followed(library, status):
    followed = []

    async def elsewhere(request):
        followed.append(request)
        return web.Response()

    other = await library.serve(web.route("*", "/{rest:.*}", elsewhere))

    async def redirect(request):
        return web.Response(status=status, headers={"Location": f"{other}/login?t=hidden-text"})

    url = await library.serve(web.route("*", "/{rest:.*}", redirect))
    async with library.client(url) as client:
        for call in (put(client, library.text(10)), client.publish("D", "S"), client.projects()):
            with pytest.raises(Refused) as caught:
                await call
            assert other.removesuffix("/MicroStrategyLibrary") in str(caught.value)
            assert "hidden-text" not in repr(caught.value.as_dict())
    assert followed == []


# -- the body of a chunk -------------------------------------------------------------------------


async def test_body_arrives_whole_with_its_length(library):
    seen = []

    async def take(request):
        seen.append((request.headers, await request.read()))
        return web.Response()

    url = await library.serve(web.put("/api/datasets/D/uploadSessions/S", take))
    data = library.text(3 * MIB + 5)
    counts = []

    async def on_slice(count):
        counts.append(count)

    async with library.client(url) as client:
        await put(client, data, on_slice=on_slice)
    [(headers, body)] = seen
    assert body == b'{"tableName":"lineitem","index":1,"data":"%b"}' % b"".join(data)
    assert int(headers["Content-Length"]) == len(body)
    assert headers["Content-Type"] == "application/json"
    assert "Content-Encoding" not in headers
    assert counts == [MIB, MIB, MIB, 5]


async def test_chunks_do_not_meet_a_dying_connection(library):
    """Each PUT of a chunk has a connection of its own; a kept-alive one could be cut under it."""
    bodies = []

    async def one_each(reader, writer):
        bodies.append((await read_request(reader))[1])
        writer.write(OK)
        await writer.drain()
        # Stays open, looks alive, but cuts whatever comes next.
        await reader.read(1)
        writer.transport.abort()

    url = await library.serve_raw(one_each)
    data = library.text(2 * MIB)
    async with library.client(url) as client:
        for _ in range(3):
            await put(client, data)
    assert bodies[0] == bodies[1] == bodies[2]
    assert len(bodies) == data.iterations == 3


async def test_connection_cut_in_mid_body_is_unreachable_and_never_a_success(library):
    received = []

    async def cut(reader, writer):
        received.append(await reader.readexactly(MIB))
        writer.transport.abort()

    url = await library.serve_raw(cut)
    data = library.text(30 * MIB)
    async with library.client(url) as client:
        with pytest.raises(Unreachable, match=r"bytes were sent") as caught:
            await put(client, data)
    assert caught.value.details["phase"] == "send"
    # aiohttp would send it a second time by itself.
    assert len(received) == data.iterations == 1


async def test_connection_cut_after_the_body_leaves_the_outcome_open(library):
    bodies = []

    async def cut(reader, writer):
        bodies.append(await read_request(reader))

    url = await library.serve_raw(cut)
    async with library.client(url) as client:
        with pytest.raises(Unreachable, match="before the answer was complete") as caught:
            await put(client, library.text(MIB))
    assert caught.value.details["phase"] == "answer"
    assert len(bodies) == 1


@pytest.mark.parametrize("call", ["publish", "create_model"])
async def test_calls_that_must_not_be_repeated_are_sent_once(library, call):
    requests = []

    async def cut(reader, writer):
        requests.append(await reader.readuntil(b"\r\n\r\n"))

    url = await library.serve_raw(cut)
    async with library.client(url) as client:
        with pytest.raises(Unreachable) as caught:
            await (client.publish("D", "S") if call == "publish" else client.create_model({}))
    assert len(requests) == 1
    assert caught.value.details["phase"] == "answer"


async def test_calls_that_must_not_be_repeated_do_not_meet_a_dying_connection(library):
    """A kept-alive connection may be closed by the server at the moment it is used again."""
    requests = []

    async def one_each(reader, writer):
        requests.append((await reader.readuntil(b"\r\n\r\n")).split(b" ")[0])
        writer.write(OK)
        await writer.drain()
        # Stays open, looks alive, but cuts whatever comes next.
        await reader.read(1)
        writer.transport.abort()

    url = await library.serve_raw(one_each)
    async with library.client(url) as client:
        for _ in range(3):
            await client.keep_alive()
            await client.publish("D", "S")
    assert requests.count(b"POST") == 3


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (413, b"<html><title>Too large</title></html>", Refused),
        (403, orjson.dumps({"code": "ERR014", "message": "no rights"}), NotAllowed),
        (400, orjson.dumps({"code": "ERR006", "message": "bad index"}), Refused),
        (503, b"", Unavailable),
    ],
)
@pytest.mark.parametrize("size", [10, 30 * MIB])
async def test_early_refusal_comes_out_as_that_refusal(library, status, body, expected, size):
    async def refuse(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw_answer(status, body))
        await writer.drain()
        # Closing with unread bytes resets the connection.

    url = await library.serve_raw(refuse)
    data = library.text(size)
    async with library.client(url) as client:
        with pytest.raises(expected) as caught:
            await put(client, data)
    assert type(caught.value) is expected
    assert caught.value.status == status
    assert data.iterations == 1


async def test_early_refusal_whose_body_breaks_off_is_still_that_refusal(library):
    async def refuse(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 X\r\nContent-Length: 1000\r\n\r\n{")
        await writer.drain()

    url = await library.serve_raw(refuse)
    async with library.client(url) as client:
        with pytest.raises(NotFound):
            await put(client, library.text(MIB))


async def test_success_before_the_whole_body_was_sent_is_no_success(library):
    async def too_early(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await writer.drain()
        await reader.read(-1)

    url = await library.serve_raw(too_early)
    async with library.client(url) as client:
        with pytest.raises(ProtocolViolation, match=r"only [\d,]+ of 31,4"):
            await put(client, library.text(30 * MIB))


async def test_success_that_breaks_off_is_unreachable(library):
    async def cut(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 1000\r\n\r\n[")
        await writer.drain()

    url = await library.serve_raw(cut)
    async with library.client(url) as client:
        with pytest.raises(Unreachable, match="before the answer was complete"):
            await client.projects()


async def test_what_on_slice_raises_comes_out_unchanged(library):
    async def swallow(reader, writer):
        await reader.read(-1)

    class Stop(OSError):
        pass

    async def on_slice(count):
        raise Stop("enough")

    url = await library.serve_raw(swallow)
    data = library.text(2 * MIB)
    async with library.client(url) as client:
        with pytest.raises(Stop, match="enough"):
            await put(client, data, on_slice=on_slice)
    assert data.iterations == 1


async def test_on_slice_may_hold_the_body_back(library):
    received = []
    go = asyncio.Event()

    async def take(reader, writer):
        received.append(await read_request(reader))
        writer.write(OK)

    async def on_slice(count):
        assert not received
        await go.wait()

    url = await library.serve_raw(take)
    async with library.client(url) as client:
        task = asyncio.create_task(put(client, library.text(2 * MIB), on_slice=on_slice))
        await asyncio.sleep(0)
        assert not task.done()
        go.set()
        await task
    assert len(received) == 1


async def test_cancelled_upload_closes_its_connection(library):
    closed = asyncio.Event()
    started = asyncio.Event()

    async def swallow(reader, writer):
        await reader.readexactly(1000)
        started.set()
        while await reader.read(MIB):
            pass
        closed.set()

    async def never(count):
        await asyncio.Event().wait()

    url = await library.serve_raw(swallow)
    async with library.client(url) as client:
        task = asyncio.create_task(put(client, library.text(MIB), on_slice=never))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await closed.wait()


async def test_one_request_body_takes_sliced_data_too(library):
    seen = []

    async def create(request):
        seen.append(await request.json())
        return web.json_response({"datasetId": "D1", "name": "n", "tables": []})

    url = await library.serve(web.post("/api/datasets", create))
    data = library.text(2 * MIB)
    counts = []

    async def on_slice(count):
        counts.append(count)

    body = {"name": "n", "tables": [{"name": "t", "data": data}, {"name": "u", "data": data}]}
    async with library.client(url) as client:
        created = await client.create_dataset(body, on_slice=on_slice)
    assert created.dataset_id == "D1"
    assert seen[0]["tables"][1]["data"].encode() == b"".join(data)
    assert sum(counts) == 4 * MIB


# -- time and memory -----------------------------------------------------------------------------


async def test_server_that_stops_reading_is_given_up(library):
    done = asyncio.Event()

    async def stall(reader, writer):
        await reader.readexactly(1000)
        await done.wait()

    url = await library.serve_raw(stall)
    async with library.client(url, answer_timeout=0.05) as client:
        with pytest.raises(Unreachable, match="stopped reading after") as caught:
            await put(client, library.text(60 * MIB))
    done.set()
    assert caught.value.details["phase"] == "send"


async def test_server_that_does_not_answer_is_given_up(library):
    done = asyncio.Event()

    async def silent(reader, writer):
        await read_request(reader)
        await done.wait()

    url = await library.serve_raw(silent)
    async with library.client(url, answer_timeout=0.05) as client:
        with pytest.raises(Unreachable, match=r"no answer within 0.05 seconds") as caught:
            await put(client, library.text(1000))
    done.set()
    assert caught.value.details["phase"] == "answer"


async def test_no_call_as_a_whole_has_a_time_limit(library):
    async with library.client("http://127.0.0.1:1/x", answer_timeout=7.0) as client:
        for session in (client._pooled, client._fresh):
            assert session.timeout.total is None
            assert session.timeout.connect is None  # waiting for a place in the pool is no fault
            assert session.timeout.sock_read == 7.0


async def test_refused_connection_is_unreachable_with_a_hint():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with Client(Connection(f"http://127.0.0.1:{port}/MicroStrategyLibrary")) as client:
        with pytest.raises(Unreachable, match="nothing listens") as caught:
            await client.login()
    assert caught.value.details["phase"] == "connect"
    assert f"127.0.0.1:{port}" in str(caught.value)


async def test_server_that_speaks_no_http_is_a_protocol_violation(library):
    async def greet(reader, writer):
        writer.write(b"SSH-2.0-OpenSSH\r\n")
        await reader.read(1)

    url = await library.serve_raw(greet)
    async with library.client(url) as client:
        with pytest.raises(ProtocolViolation, match="not HTTP") as caught:
            await client.projects()
    text = "".join(traceback.format_exception(caught.value)) + repr(caught.value.args)
    assert library.token not in text
    assert caught.value.__context__ is None


async def test_wrong_password_over_the_wire_shows_no_secret(library):
    async def login(request):
        password = (await request.json())["password"]
        return web.json_response({"code": "ERR003", "message": f"{password}?"}, status=401)

    url = await library.serve(web.post("/api/auth/login", login))
    async with Client(Connection(url, username="u", password="hidden-text")) as client:
        with pytest.raises(LoginFailed) as caught:
            await client.login()
    assert "hidden-text" not in "".join(traceback.format_exception(caught.value))


async def test_connections_are_limited_by_the_concurrency(library):
    active = most = 0
    everyone = asyncio.Event()

    async def take(request):
        nonlocal active, most
        active += 1
        most = max(most, active)
        if active == 3:
            everyone.set()
        await everyone.wait()
        await request.read()
        active -= 1
        return web.Response()

    url = await library.serve(web.put("/api/datasets/D/uploadSessions/S", take))
    async with library.client(url, concurrency=2) as client:
        await asyncio.gather(*(put(client, library.text(10)) for _ in range(6)))
    # Two chunks and one place more, for keeping the session alive.
    assert most == 3


async def _sink(reader, writer):
    """Reads requests and throws their bodies away."""
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        [length] = [
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        ]
        while length:
            length -= len(await reader.read(min(length, MIB)))
        writer.write(OK)


async def test_the_event_loop_turns_between_slices(library):
    turn = 0
    slices = []

    async def turning():
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    async def on_slice(count):
        slices.append((turn, count))

    url = await library.serve_raw(_sink)
    async with library.client(url) as client:
        clock = asyncio.create_task(turning())
        await put(client, library.text(30 * MIB), on_slice=on_slice)
        clock.cancel()
    assert len(slices) >= 30
    assert len({when for when, _ in slices}) == len(slices)
    assert max(count for _, count in slices) <= 2 * MIB


@pytest.mark.slow
async def test_sending_100_mb_takes_the_memory_of_some_slices(library):
    url = await library.serve_raw(_sink)
    async with library.client(url) as client:
        await put(client, library.text(MIB))
        tracemalloc.start()
        try:
            await put(client, library.text(100_000_000))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    # A body given whole takes three times its size.
    assert peak < 10 * MIB
