"""Every sample body of both documents is accepted verbatim, and does what the documents say."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from tests.emulator.harness import encoded, sample


async def test_login(emulate):
    api = await emulate()
    answer = await api.call("POST", "/auth/login", sample("login.json"))
    assert (answer.status, answer.text) == (204, "")
    assert len(answer.headers["X-MSTR-AuthToken"]) == 26
    assert "Path=/MicroStrategyLibrary" in answer.headers["Set-Cookie"]


async def test_projects(api):
    shown = {item["id"]: item for item in (await api.ok("GET", "/projects")).body}
    for project in json.loads(sample("projects_answer.json")):
        assert shown[project["id"]] == project


@pytest.mark.parametrize("name", ["create_dataset.json", "create_dataset_curl.json"])
async def test_create_in_one_request(api, name):
    answer = await api.ok("POST", "/datasets", sample(name))
    assert answer.status == 200
    assert answer.body["name"] == "SALES_TABLE"
    assert [table["name"] for table in answer.body["tables"]] == ["SALES_TABLE"]
    assert api.sql('FROM "SALES_TABLE"."SALES_TABLE"') == [
        (2015, 1, "Books", 1000.0, 2000.0),
        (2016, 2, "Movies", 2000.0, 3000.0),
        (2017, 3, "Musics", 3000.0, 4000.0),
        (2018, 4, "Electronics", 4000.0, 5000.0),
    ]


@pytest.mark.parametrize("name", ["update_table.json", "update_table_curl.json"])
async def test_update_in_one_request(api, name):
    made = (await api.ok("POST", "/datasets", sample("create_dataset.json"))).body
    path = f"/datasets/{made['datasetId']}/tables/{made['tables'][0]['id']}"
    answer = await api.ok("PATCH", path, sample(name), headers={"updatePolicy": "Replace"})
    assert (answer.status, answer.text) == (204, "")
    rows = api.sql('SELECT "Category_ID", "Cost" FROM "SALES_TABLE"."SALES_TABLE"')
    assert {(5, 2000.0), (3, 6000.0)} < set(rows)


async def test_create_by_many_requests(api):
    answer = await api.ok("POST", "/datasets/models", sample("model.json"))
    assert answer.body["name"] == "testModel"
    dataset = f"/datasets/{answer.body['id']}"
    session = await api.session(dataset)  # the sample body
    put = await api.ok("PUT", session, sample("put.json"))
    assert (put.status, put.text) == (200, "")
    published = await api.ok("POST", f"{session}/publish")
    assert (published.status, published.text) == (200, "")
    assert await api.outcome(session) == {
        "uploadSessionId": session.rsplit("/", 1)[1],
        "status": 1,
        "message": "result ready",
    }
    deleted = await api.ok("DELETE", session)
    assert (deleted.status, deleted.text) == (200, "")
    assert api.sql('FROM "testModel"."table1"') == [
        (1, dt.date(2017, 12, 4), dt.time(11), "Books", 100.52)
    ]
    assert api.sql('FROM "testModel"."table2"') == []


@pytest.mark.parametrize(
    ("orientation", "name"), [("row", "rows.json"), ("COLUMN", "columns.json")]
)
async def test_data_of_both_orientations(api, orientation, name):
    table = {"name": "table1", "updatePolicy": "replace", "orientation": orientation}
    session = await api.session(await api.dataset(), table)
    body = json.loads(sample("put_curl.json"))
    await api.ok("PUT", session, {**body, "data": encoded(sample(name))})
    assert (await api.publish(session))["status"] == 1
    assert api.sql('FROM "testModel"."table1"') == [
        (2, dt.date(2017, 12, 5), dt.time(11), "Books", 200.0),
        (3, dt.date(2017, 12, 5), dt.time(12), "Electronics", 400.0),
    ]


@pytest.mark.parametrize("path", ["/auth/logout", "/logout"])
async def test_both_logouts(api, path):
    assert (await api.ok("POST", path)).status == 204
    await api.refused(401, "ERR009", "logged out", "GET", "/projects")


async def test_publish_status_by_post_and_as_a_string(light):
    api = await light(status_type="string")
    session = await api.session(await api.dataset())
    await api.publish(session)
    answer = await api.ok("POST", f"{session}/publishStatus")
    assert answer.body["status"] == "1"
