"""The status page, and what is never shown or logged."""

from __future__ import annotations

import json
import logging
import re

from tests.emulator.test_uploads import ROW, table1


async def _fetch(api, path):
    root = api.listener.url.rsplit("/", 1)[0]
    async with api.http.get(root + path) as answer:
        assert answer.status == 200
        return answer.headers, await answer.text()


async def test_the_page_needs_no_network(light):
    api = await light()
    headers, text = await _fetch(api, "/")
    assert headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert re.findall(r"https?://[^'\"]*", text) == ["http://www.w3.org/2000/svg"]  # a name space
    assert "prefers-color-scheme: dark" in text


async def test_what_it_shows(emulate):
    api = await emulate()
    await api.login()
    session = await api.session(await api.dataset(), table1())
    await api.put(session, [ROW])
    await api.call("GET", "/nowhere?name=secret")
    status = await _status(api)
    (dataset,) = status["datasets"]
    assert dataset["tables"][0] == {"name": "table1", "columns": 5, "rows": 0}
    (shown,) = status["sessions"]
    assert (shown["state"], shown["tables"][0]["chunks"]) == ("open", 1)
    assert [(item["method"], item["status"]) for item in status["last"]] == [
        ("GET", 404),
        ("PUT", 200),
        ("POST", 200),
        ("POST", 200),
        ("POST", 204),
    ]
    assert status["last"][0]["path"] == "/MicroStrategyLibrary/api/nowhere"
    assert status["last"][1]["bytes"] > 100
    await api.publish(session)
    assert (await _status(api))["datasets"][0]["tables"][0]["rows"] == 1


async def _status(api):

    return json.loads((await _fetch(api, "/status.json"))[1])


async def test_secrets_are_neither_shown_nor_logged(emulate, caplog):
    caplog.set_level(logging.DEBUG)
    api = await emulate(password="s3cret", ingest="check", api_token="t0ken")
    await api.login(password="s3cret")
    await api.call("POST", "/auth/login", {"username": "administrator", "password": "wr0ng"})
    await api.call("GET", "/projects?token=" + api.headers["X-MSTR-AuthToken"])
    shown = (await _fetch(api, "/status.json"))[1] + caplog.text + repr(api.emulator)
    shown += repr(api.listener) + repr(api.emulator.logins._by_token.values())
    secrets = ["s3cret", "wr0ng", "t0ken", api.headers["X-MSTR-AuthToken"]]
    secrets.append(api.headers["Cookie"].split("=")[1])
    assert [secret for secret in secrets if secret in shown] == []
    assert "POST /MicroStrategyLibrary/api/auth/login 401" in caplog.text
