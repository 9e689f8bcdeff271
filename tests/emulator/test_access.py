"""Who may call: tokens, cookies, projects, content types, timeouts."""

from __future__ import annotations

import pytest

from loader.emulator import EmulatorOptions
from tests.emulator.harness import ManualClock, sample


async def test_a_form_logs_in_too(emulate):
    api = await emulate(password="s3cret")
    answer = await api.call(
        "POST",
        "/auth/login",
        "username=Administrator&password=s3cret&loginMode=1&applicationType=35",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.status == 204


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"username": "administrator", "password": "other"}, "user name or the password"),
        ({"username": "administrator"}, "user name or the password"),
        ({"username": "somebody", "password": "s3cret"}, "user name or the password"),
        ({"password": "s3cret"}, "user name or the password"),
        ({"username": "administrator", "password": 5}, "user name or the password"),
        ({"username": "token", "loginMode": 4096}, "API token is wrong"),
        ({"username": "administrator", "password": "s3cret", "loginMode": 64}, "loginMode 64"),
    ],
)
async def test_wrong_credentials(emulate, body, says):
    api = await emulate(password="s3cret", api_token="t0ken")
    await api.refused(401, "ERR003", says, "POST", "/auth/login", body)


async def test_an_api_token_logs_in(emulate):
    api = await emulate(api_token="t0ken")
    await api.ok("POST", "/auth/login", {"username": "t0ken", "loginMode": 4096})


async def test_api_tokens_are_off_by_default(emulate):
    api = await emulate()
    body = {"username": "", "loginMode": 4096}
    await api.refused(401, "ERR003", "not enabled", "POST", "/auth/login", body)


async def test_an_identity_token_logs_in_at_its_own_endpoint(emulate):
    api = await emulate(identity_token="t0ken")
    await api.ok("POST", "/auth/delegate", {"identityToken": "t0ken", "loginMode": -1})
    delegate = ("POST", "/auth/delegate")
    await api.refused(401, "ERR003", "wrong", *delegate, {"identityToken": "x", "loginMode": -1})
    await api.refused(400, "ERR006", "-1", *delegate, {"identityToken": "t0ken", "loginMode": 1})


async def test_identity_tokens_are_off_by_default(emulate):
    api = await emulate()
    body = {"identityToken": "", "loginMode": -1}
    await api.refused(401, "ERR003", "identity token", "POST", "/auth/delegate", body)


async def test_strangers_are_let_in_only_if_asked_for(emulate):
    api = await emulate(anonymous=True)
    await api.ok("POST", "/auth/login", {"loginMode": 8})
    api = await emulate()
    await api.refused(401, "ERR003", "loginMode 8", "POST", "/auth/login", {"loginMode": 8})


async def test_login_mode_is_a_number(emulate):
    api = await emulate()
    await api.refused(400, "ERR006", "loginMode", "POST", "/auth/login", {"loginMode": True})


async def test_login_takes_no_other_content_type(emulate):
    api = await emulate()
    headers = {"Content-Type": "text/plain"}
    await api.refused(415, "ERR006", "text/plain", "POST", "/auth/login", "{}", headers=headers)


@pytest.mark.parametrize(
    ("without", "status", "code", "says"),
    [
        ("X-MSTR-AuthToken", 401, "ERR009", "X-MSTR-AuthToken is missing"),
        ("Cookie", 401, "ERR009", "JSESSIONID is missing"),
        ("X-MSTR-ProjectID", 400, "ERR007", "X-MSTR-ProjectID is missing"),
    ],
)
async def test_a_missing_header(api, without, status, code, says):
    await api.refused(
        status, code, says, "POST", "/datasets/models", sample("model.json"), without=without
    )


@pytest.mark.parametrize(
    ("headers", "status", "code", "says"),
    [
        ({"X-MSTR-AuthToken": "nobody"}, 401, "ERR009", "belongs to no login"),
        ({"Cookie": "JSESSIONID=other"}, 401, "ERR009", "another login"),
        ({"X-MSTR-ProjectID": "0" * 32}, 404, "ERR004", "no project"),
        ({"Content-Type": "text/plain"}, 415, "ERR006", "must be application/json"),
    ],
)
async def test_a_wrong_header(api, headers, status, code, says):
    await api.refused(
        status, code, says, "POST", "/datasets/models", sample("model.json"), headers=headers
    )


async def test_the_cookie_of_another_login(api):
    cookie = api.headers["Cookie"]
    await api.login()
    answer = await api.refused(
        401, "ERR009", "another login", "GET", "/projects", headers={"Cookie": cookie}
    )
    assert answer.body["iServerCode"] == -2147206925


async def test_content_type_is_required(api):
    body = sample("model.json")
    async with api.http.post(
        f"{api.listener.url}/api/datasets/models",
        data=body.encode(),
        headers=api.headers,
        skip_auto_headers=["Content-Type"],
    ) as answer:
        assert answer.status == 415
        assert "Content-Type is missing" in (await answer.json())["message"]


async def test_a_charset_is_fine(api):
    headers = {"Content-Type": "application/json; charset=UTF-8"}
    await api.ok("POST", "/datasets/models", sample("model.json"), headers=headers)


async def test_the_api_is_at_its_short_path_too(emulate):
    api = await emulate()
    root = api.listener.url.rsplit("/", 1)[0]
    async with api.http.post(
        f"{root}/api/auth/login", json={"username": "administrator"}
    ) as answer:
        assert answer.status == 204
        assert "Path=/;" in answer.headers["Set-Cookie"] + ";"


async def test_a_login_times_out_unless_it_is_used(emulate):
    clock = ManualClock()
    api = await emulate(clock=clock, session_timeout=60, ingest="check")
    await api.login()
    assert (await api.ok("GET", "/sessions")).body["timeout"] == 60
    clock.time += 59
    assert (await api.ok("PUT", "/sessions")).status == 204
    clock.time += 59
    await api.ok("GET", "/projects")
    clock.time += 60
    await api.refused(401, "ERR009", "timed out", "GET", "/projects")


async def test_versions(api):
    body = (await api.ok("GET", "/status")).body
    assert body["iServerVersion"] >= "11.5.0600"
    assert body["webVersion"] == body["iServerVersion"]


async def test_unknown_endpoints_and_methods(api):
    await api.refused(404, "ERR004", "no endpoint GET", "GET", "/nowhere")
    await api.refused(405, "ERR010", "takes POST, not GET", "GET", "/auth/login")


async def test_a_body_that_is_too_large(emulate):
    api = await emulate(max_body=0.001, ingest="check")
    await api.login()
    await api.refused(413, "ERR006", "--max-body", "POST", "/datasets/models", " " * 1001)


async def test_a_fault_of_the_server_has_an_error_body(api, monkeypatch, caplog):
    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(api.emulator.catalogue, "in_project", fail)
    await api.refused(500, "ERR002", "its log says how", "GET", "/searches/results")
    assert "ZeroDivisionError" in caplog.text


def test_secrets_are_not_shown():
    options = EmulatorOptions(password="s3cret", api_token="t0ken")
    assert "s3cret" not in repr(options)
    assert "t0ken" not in repr(options)
