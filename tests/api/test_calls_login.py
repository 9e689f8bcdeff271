"""The calls of the login, of projects and of the server: what goes out, and what is checked."""

from __future__ import annotations

import logging

import pytest

from loader.api import (
    Client,
    Connection,
    LoginMode,
    Project,
    ServerInfo,
)
from loader.errors import (
    LoginFailed,
    ProtocolViolation,
    SessionExpired,
    UnknownProject,
)
from tests.api.calls import user_headers


@pytest.mark.parametrize("mode", [LoginMode.STANDARD, LoginMode.LDAP])
async def test_login_sends_json_and_keeps_the_token(server, mode):
    server.give("POST", "/api/auth/login", status=204, headers={"X-MSTR-AuthToken": "fresh"})
    server.give("GET", "/api/projects", payload=[])
    connection = Connection(server.url, username="u", password="p w", login_mode=mode)
    async with Client(connection) as client:
        await client.login()
        await client.projects()
    login, projects = server.requests
    assert (login.method, login.path, login.query) == ("POST", "/api/auth/login", [])
    assert login.body == {"loginMode": int(mode), "username": "u", "password": "p w"}
    assert login.headers == {}
    assert projects.headers == {"X-MSTR-AuthToken": "fresh"}


async def test_login_token_is_found_in_any_case(server):
    server.give("POST", "/api/auth/login", status=204, headers={"x-mstr-authtoken": "t"})
    async with Client(Connection(server.url)) as client:
        assert "logged out" in repr(client)
        await client.login()
        assert "logged in" in repr(client)


async def test_login_without_a_token_is_a_protocol_violation(server):
    server.give("POST", "/api/auth/login", status=200)
    async with Client(Connection(server.url)) as client:
        with pytest.raises(ProtocolViolation, match=r"log in.*X-MSTR-AuthToken"):
            await client.login()


async def test_login_answered_by_a_sign_on_page_hints_at_the_url(server):
    page = "<!doctype html><title>Sign on</title>"
    server.give("POST", "/api/auth/login", status=200, body=page, content_type="text/html")
    async with Client(Connection(server.url)) as client:
        with pytest.raises(ProtocolViolation) as caught:
            await client.login()
    assert "MicroStrategyLibrary" in caught.value.hint


async def test_wrong_password_is_login_failed_and_shows_no_secret(server, caplog):
    caplog.set_level(logging.DEBUG)
    body = {"code": "ERR003", "message": "Login failure for hidden-text", "ticketId": "t1"}
    server.give("POST", "/api/auth/login", status=401, payload=body)
    async with Client(Connection(server.url, username="u", password="hidden-text")) as client:
        with pytest.raises(LoginFailed) as caught:
            await client.login()
        assert "hidden-text" not in repr(client)
    error = caught.value
    assert error.ticket_id == "t1"
    assert "hidden-text" not in str(error) + repr(error.args) + repr(error.as_dict()) + caplog.text
    assert error.__cause__ is None
    assert error.__context__ is None


async def test_logout_goes_to_auth_logout_and_forgets_the_token(server, client):
    server.give("POST", "/api/auth/logout", status=204)
    await client.logout()
    await client.logout()  # nothing is left to do
    request = server.request
    assert (request.method, request.path) == ("POST", "/api/auth/logout")
    assert request.headers == user_headers(server)
    assert request.body is None
    with pytest.raises(RuntimeError, match="not logged in"):
        await client.keep_alive()


async def test_failed_logout_forgets_the_token_too(server, client):
    server.give("POST", "/api/auth/logout", status=401, payload={"code": "ERR009"})
    with pytest.raises(SessionExpired):
        await client.logout()
    await client.logout()
    assert len(server.requests) == 1


async def test_projects_are_listed(server, client):
    server.give(
        "GET",
        "/api/projects",
        payload=[{"id": "A1", "name": "Tutorial", "alias": "", "description": "", "status": 0}],
    )
    assert await client.projects() == [Project(id="A1", name="Tutorial")]
    assert server.request.headers == user_headers(server)


PROJECTS = [
    {"id": "ABCDEF", "name": "Tutorial"},
    {"id": "B2", "name": "ABCDEF"},
    {"id": "C3", "name": "Human Resources"},
]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("Tutorial", "ABCDEF"), ("ABCDEF", "ABCDEF"), ("abcdef", "ABCDEF"), ("c3", "C3")],
)
async def test_project_is_chosen_by_id_first_and_then_by_name(server, client, wanted, found):
    server.give("GET", "/api/projects", payload=PROJECTS)
    server.give("POST", "/api/datasets/models", payload={"id": "D", "name": "n"})
    assert (await client.select_project(wanted)).id == found
    await client.create_model({"name": "n"})
    assert server.requests[-1].headers["X-MSTR-ProjectID"] == found


@pytest.mark.parametrize(
    ("projects", "wanted", "hint"),
    [
        (PROJECTS, "tutoral", "'Tutorial'"),
        (PROJECTS, "zzz", "3 projects"),
        ([], "Tutorial", "no project at all"),
    ],
)
async def test_unknown_project_lists_close_names(server, client, projects, wanted, hint):
    server.give("GET", "/api/projects", payload=projects)
    with pytest.raises(UnknownProject) as caught:
        await client.select_project(wanted)
    assert hint in caught.value.hint


async def test_project_calls_need_a_project(server):
    async with Client(Connection(server.url)) as client:
        client._login.token = "t"
        with pytest.raises(RuntimeError, match="no project was selected"):
            await client.publish("D", "S")


async def test_calls_need_an_open_client(server):
    with pytest.raises(RuntimeError, match="not open"):
        await Client(Connection(server.url)).login()


async def test_server_info(server, client):
    server.give(
        "GET", "/api/status", payload={"iServerVersion": "11.5.0600", "webVersion": "11.5.1"}
    )
    assert await client.server_info() == ServerInfo("11.5.0600", "11.5.1")
    assert server.request.headers == user_headers(server)


async def test_session_timeout_and_keep_alive(server, client):
    server.give("GET", "/api/sessions", payload={"timeout": 1800})
    server.give("PUT", "/api/sessions", status=204)
    assert await client.session_timeout() == 1800
    await client.keep_alive()
    assert [request.headers for request in server.requests] == [user_headers(server)] * 2
    assert server.requests[1].body is None


@pytest.mark.parametrize("seconds", [None, True, "soon", [], {}])
async def test_session_timeout_that_is_no_number_is_a_protocol_violation(server, client, seconds):
    server.give("GET", "/api/sessions", payload={"timeout": seconds})
    with pytest.raises(ProtocolViolation, match="'timeout'"):
        await client.session_timeout()
