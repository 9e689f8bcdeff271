"""Fault rules from the command line and at run time, and what is shown of them."""

from __future__ import annotations

import json
import logging

import pytest

from loader.cli import emulator as command
from loader.emulator import EmulatorOptions, EmulatorProcess
from loader.errors import UsageError
from tests.emulator.test_uploads import ROW, table1


@pytest.fixture
async def controlled(light):
    return await light(fault_control=True, fault_seed=9, faults=("version:nth=2:status=503",))


async def control(api, method, body=None, **headers):
    if body is not None and not isinstance(body, str):
        body = json.dumps(body)
    url = api.listener.url.replace("/MicroStrategyLibrary", "/emulator/faults")
    headers = {"Content-Type": "application/json", **headers}
    async with api.http.request(method, url, data=body, headers=headers) as answer:
        return answer.status, await answer.text()


async def test_rules_come_and_go_at_run_time(controlled):
    api = controlled
    first = {"rule": "version:nth=2:status=503", "matched": 0, "fired": 0}
    assert json.loads((await control(api, "GET"))[1]) == {"seed": 9, "rules": [first]}
    for status in (200, 503):
        assert (await api.call("GET", "/status")).status == status
    code, text = await control(api, "POST", ["version:status=418", "put:disk-full"])
    assert code == 200
    assert [rule["rule"] for rule in json.loads(text)["rules"]][1:] == [
        "version:status=418",
        "put:disk-full",
    ]
    assert (await api.call("GET", "/status")).status == 418
    rules = json.loads((await control(api, "GET"))[1])["rules"]
    assert [(rule["matched"], rule["fired"]) for rule in rules] == [(3, 1), (1, 1), (0, 0)]
    assert (await control(api, "DELETE"))[0] == 204
    assert json.loads((await control(api, "GET"))[1])["rules"] == []
    assert (await api.call("GET", "/status")).status == 200


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (["put:disk-full", "put:oops"], 400, "'oops' is no effect. (there are status,"),
        (["put:crash=before"], 400, "not the server's alone"),
        ("put:disk-full", 400, "JSON"),
        ({"rule": "put:disk-full"}, 400, "list of texts"),
        ([1], 400, "list of texts"),
        ("[", 400, "JSON"),
    ],
)
async def test_what_the_control_endpoint_refuses(controlled, body, status, says):
    code, text = await control(controlled, "POST", body)
    assert (code, json.loads(text)["code"]) == (status, "ERR006")
    assert says in json.loads(text)["message"]
    assert len(controlled.emulator.faults.rules) == 1  # nothing was added


async def test_another_site_s_page_cannot_add_rules(controlled):
    headers = {"Content-Type": "text/plain"}
    assert (await control(controlled, "POST", ["put:disk-full"], **headers))[0] == 415


async def test_other_machines_cannot_add_rules(controlled, monkeypatch):
    monkeypatch.setattr("aiohttp.web.Request.remote", "192.0.2.1")
    for method in ("GET", "POST", "DELETE"):
        code, text = await control(controlled, method, ["put:disk-full"])
        assert (code, "same machine" in json.loads(text)["message"]) == (403, True)
    monkeypatch.setattr("aiohttp.web.Request.remote", None)
    assert (await control(controlled, "GET"))[0] == 403
    monkeypatch.setattr("aiohttp.web.Request.remote", "::1")
    assert (await control(controlled, "GET"))[0] == 200


async def test_without_the_option_there_is_no_control(light):
    api = await light()
    for method in ("GET", "POST", "DELETE"):
        assert (await control(api, method, []))[0] == 404


async def test_the_page_shows_what_fired(light):
    api = await light(faults=("put:status=503", "publish:outcome=3"))
    session = await api.session(await api.dataset(), table1())
    await api.put(session, [ROW])
    root = api.listener.url.rsplit("/", 1)[0]
    async with api.http.get(f"{root}/status.json") as answer:
        shown = await answer.json()
    assert shown["faults"] == [
        {"rule": "put:status=503", "matched": 1, "fired": 1},
        {"rule": "publish:outcome=3", "matched": 0, "fired": 0},
    ]
    assert shown["last"][0]["message"] == "fault put:status=503"
    async with api.http.get(f"{root}/") as answer:
        assert "now.faults" in await answer.text()


async def test_no_secret_is_shown_with_faults(emulate, caplog):
    caplog.set_level(logging.DEBUG)
    api = await emulate(
        password="s3cret",
        fault_control=True,
        faults=("any:every=3:status=500,at=after-store", "any:every=4:end-login"),
    )
    await api.login(password="s3cret")
    token, cookie = api.headers["X-MSTR-AuthToken"], api.headers["Cookie"].split("=")[1]
    statuses = [(await api.call("GET", f"/projects?token={token}")).status for _ in range(4)]
    assert statuses == [200, 500, 200, 401]
    root = api.listener.url.rsplit("/", 1)[0]
    async with api.http.get(f"{root}/status.json") as answer:
        shown = await answer.text()
    shown += (await control(api, "GET"))[1] + caplog.text + repr(api.emulator.faults)
    shown += repr(api.emulator.faults.rules)
    assert [secret for secret in ("s3cret", token, cookie) if secret in shown] == []
    assert "fault any:every=4:end-login" in caplog.text


def test_the_command_takes_rules(monkeypatch):
    taken: list[EmulatorOptions] = []
    monkeypatch.setattr(command, "_run", lambda options, ready: taken.append(options))
    command.emulator(
        port=0, faults=["put:disk-full", "publish:outcome=3"], fault_seed=4, fault_control=True
    )
    (options,) = taken
    assert options.faults == ("put:disk-full", "publish:outcome=3")
    assert (options.fault_seed, options.fault_control) == (4, True)


@pytest.mark.slow
def test_a_process_with_rules():
    rules = ("--fault", "version:status=503", "--fault", "put:disk-full", "--fault-control")
    with EmulatorProcess("--ingest", "sink", *rules) as emulator:
        emulator.inject("put:nth=3:crash=after-store")
        assert [rule["rule"] for rule in emulator.faults()] == [
            "version:status=503",
            "put:disk-full",
            "put:nth=3:crash=after-store",
        ]
        with pytest.raises(UsageError, match="no effect"):
            emulator.inject("put:oops")
        emulator.clear_faults()
        assert emulator.faults() == []
    with (
        EmulatorProcess("--ingest", "sink") as emulator,
        pytest.raises(UsageError, match="no endpoint GET /emulator/faults") as error,
    ):
        emulator.faults()
    assert "--fault-control" in error.value.hint


@pytest.mark.slow
def test_a_wrong_rule_ends_the_command():
    with (
        pytest.raises(UsageError, match="'oops' is no effect") as error,
        EmulatorProcess("--fault", "put:oops"),
    ):
        pass
    assert "reset" in error.value.hint
