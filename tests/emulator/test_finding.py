"""How datasets are found, described, counted and deleted."""

from __future__ import annotations

import json

import pytest

from tests.emulator.harness import TUTORIAL, sample
from tests.emulator.test_uploads import ROW, table1

MINE = "/folders/preDefined/20"
SHARED = "D3C7D461F69C4610AA6BAA5EF51F4125"


def named(name: str, **more):
    return {**json.loads(sample("model.json")), "name": name, **more}


@pytest.fixture
async def three(light):
    api = await light()
    for name in ("Sales 2023", "Sales", "Überblick"):
        await api.dataset(named(name))
    await api.dataset(named("Sales", folderId=SHARED))
    return api


async def test_my_reports(three):
    answer = await three.ok("GET", MINE)
    assert [item["name"] for item in answer.body] == ["Sales", "Sales 2023", "Überblick"]
    assert answer.headers["x-mstr-total-count"] == "3"
    assert {(item["type"], item["subtype"]) for item in answer.body} == {(3, 779)}
    answer = await three.ok("GET", f"{MINE}?offset=1&limit=1")
    assert [item["name"] for item in answer.body] == ["Sales 2023"]
    assert answer.headers["x-mstr-total-count"] == "3"


async def test_another_folder(three):
    answer = await three.ok("GET", f"/folders/{SHARED}?offset=0&limit=1000")
    assert [item["name"] for item in answer.body] == ["Sales"]
    folder = (await three.ok("GET", f"/objects/{SHARED}?type=8&comments=True")).body
    assert (folder["name"], folder["type"]) == ("Shared Reports", 8)


async def test_an_empty_folder_has_a_count(light):
    api = await light()
    answer = await api.ok("GET", MINE)
    assert (answer.body, answer.headers["x-mstr-total-count"]) == ([], "0")


async def test_folders_that_are_not_there(light):
    api = await light()
    await api.refused(404, "ERR004", "no folder", "GET", f"/folders/{'0' * 32}")
    await api.refused(404, "ERR004", "predefined folder '99'", "GET", "/folders/preDefined/99")
    await api.refused(400, "ERR006", "limit=x", "GET", f"{MINE}?limit=x")


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("name=sales&pattern=2&type=3", ["Sales", "Sales"]),
        ("name=sales&type=3", ["Sales", "Sales", "Sales 2023"]),
        ("name=Sales&pattern=1", ["Sales", "Sales", "Sales 2023"]),
        ("name=2023&pattern=5", ["Sales 2023"]),
        ("name=blick 2023&pattern=0", ["Sales 2023", "Überblick"]),
        ("name=%C3%BCberblick&pattern=2&type=779", ["Überblick"]),
        ("name=sales&type=8", []),
        ("limit=1&offset=2", ["Sales 2023"]),
    ],
)
async def test_search(three, query, names):
    body = (await three.ok("GET", f"/searches/results?{query}")).body
    assert [item["name"] for item in body["result"]] == names


async def test_search_patterns_are_known(light):
    api = await light()
    await api.refused(400, "ERR006", "pattern=9", "GET", "/searches/results?pattern=9")


async def test_objects(light):
    api = await light()
    dataset_id = (await api.dataset()).rsplit("/", 1)[1]
    body = (await api.ok("GET", f"/objects/{dataset_id}?type=3&comments=True")).body
    assert (body["id"], body["name"], body["type"], body["subtype"]) == (
        dataset_id,
        "testModel",
        3,
        779,
    )
    assert body["owner"]["name"] == "administrator"
    assert [item["name"] for item in body["ancestors"]] == ["MicroStrategy Tutorial", "My Reports"]
    path = f"/objects/{TUTORIAL}?type=32"
    body = (await api.ok("GET", path, without="X-MSTR-ProjectID")).body
    assert (body["name"], body["type"]) == ("MicroStrategy Tutorial", 32)
    await api.refused(404, "ERR004", "no project", "GET", f"/objects/{dataset_id}?type=32")
    await api.refused(400, "ERR010", "type=4", "GET", f"/objects/{dataset_id}?type=4")


async def test_deleting_a_dataset(api):
    dataset = await api.dataset()
    path = f"/objects/{dataset.rsplit('/', 1)[1]}"
    await api.session(dataset)
    await api.refused(400, "ERR010", "type=3", "DELETE", path)
    assert (await api.ok("DELETE", f"{path}?type=3")).status == 204
    await api.refused(404, "ERR004", "no dataset", "DELETE", f"{path}?type=3")
    assert list(api.emulator.uploads) == []
    assert api.sql("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'table1'") == [(0,)]


async def test_the_parts_of_a_dataset(light):
    api = await light()
    dataset = await api.dataset()
    body = (await api.ok("GET", f"{dataset}?fields=tables&fields=columns")).body
    objects = body["result"]["definition"]["availableObjects"]
    assert objects["tables"] == [{"name": "table1"}, {"name": "table2"}]
    assert objects["columns"][0] == {"columnName": "ID", "tableName": "table1"}
    assert [item["columnName"] for item in objects["columns"]] == [
        *("ID", "Date", "Time", "Category", "Cost"),
        *("Year", "DateTime", "Profit"),
    ]
    body = (await api.ok("GET", dataset)).body
    assert set(body["result"]["definition"]["availableObjects"]) == {"attributes", "metrics"}
    await api.refused(400, "ERR006", "fields=rows", "GET", f"{dataset}?fields=rows")


async def test_descriptions_and_data_types(light):
    api = await light()
    body = named("Described", description="A dataset")
    for kind in ("tables", "attributes", "metrics"):
        body[kind][0]["description"] = f"The first of {kind}"
    dataset = await api.dataset(body)
    parts = "fields=tables&fields=attributes&fields=metrics"
    body = (await api.ok("GET", f"{dataset}?{parts}")).body
    objects = body["result"]["definition"]["availableObjects"]
    for kind, items in objects.items():
        assert items[0]["description"] == f"The first of {kind}"
        assert all("description" not in item for item in items[1:])
    cube = (await api.ok("GET", dataset.replace("/datasets/", "/v2/cubes/"))).body
    available = cube["definition"]["availableObjects"]
    types = {item["name"]: item["forms"][0]["dataType"] for item in available["attributes"]} | {
        item["name"]: item.get("dataType") for item in available["metrics"]
    }
    assert types == {
        **dict.fromkeys(["ID", "Year"], "integer"),
        **dict.fromkeys(["Cost", "Profit"], "double"),
        **dict.fromkeys(["Row Count - table1", "Row Count - table2"]),
        "Date": "date",
        "Time": "time",
        "DateTime": "datetime",
        "Category": "string",
    }
    item = (await api.ok("GET", f"/objects/{dataset.rsplit('/', 1)[1]}?type=3")).body
    assert item["description"] == "A dataset"


async def _row_count(api, dataset, table):
    cube = dataset.replace("/datasets/", "/v2/cubes/")
    objects = (await api.ok("GET", cube)).body["definition"]["availableObjects"]
    metric = next(item for item in objects["metrics"] if item["name"] == f"Row Count - {table}")
    wanted = {"requestedObjects": {"attributes": [], "metrics": [{"id": metric["id"]}]}}
    body = (await api.ok("POST", f"{cube}/instances?offset=0&limit=1", wanted)).body
    return body["data"]["metricValues"]["raw"][0][0]


async def test_row_counts(api):
    dataset = await api.dataset()
    session = await api.session(dataset)
    await api.put(session, [ROW, ROW])
    await api.publish(session)
    assert await _row_count(api, dataset, "table1") == 2
    assert await _row_count(api, dataset, "table2") == 0


async def test_cube_rules(light):
    api = await light()
    dataset = await api.dataset()
    cube = dataset.replace("/datasets/", "/v2/cubes/")
    objects = (await api.ok("GET", cube)).body["definition"]["availableObjects"]
    assert [item["name"] for item in objects["attributes"]] == [
        *("ID", "Date", "Time", "Category", "Year", "DateTime")
    ]
    ids = {item["name"]: item["id"] for item in objects["metrics"]}

    def wanted(metric, attributes=()):
        objects = {"attributes": list(attributes), "metrics": [{"id": metric}]}
        return {"requestedObjects": objects}

    path = f"{cube}/instances"
    rows = ids["Row Count - table1"]
    await api.refused(400, "ERR006", "requestedObjects", "POST", path, {})
    body = wanted(rows, [{"id": rows}])
    await api.refused(400, "ERR010", "attributes must be empty", "POST", path, body)
    await api.refused(400, "ERR010", "(Cost) is none", "POST", path, wanted(ids["Cost"]))
    await api.refused(400, "ERR010", "(unknown) is none", "POST", path, wanted("0" * 32))
    answer = await api.refused(500, "ERR002", "not published", "POST", path, wanted(rows))
    assert answer.body["iServerCode"] == -2147072488


async def test_check_counts_rows_without_keeping_them(light):
    api = await light()
    dataset = await api.dataset()
    for policy, rows in [("replace", 2), ("add", 4), ("update", 4), ("upsert", 6), ("replace", 2)]:
        session = await api.session(dataset, table1(updatePolicy=policy))
        await api.put(session, [ROW, ROW])
        await api.publish(session)
        assert await _row_count(api, dataset, "table1") == rows
