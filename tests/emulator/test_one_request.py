"""Datasets created and updated in one request: each rule broken alone."""

from __future__ import annotations

import json

import pytest

from tests.emulator.harness import encoded, sample

PATCH = {"updatePolicy": "add"}


def body(**changes):
    return {**json.loads(sample("update_table.json")), **changes}


@pytest.fixture
async def path(api):
    made = (await api.ok("POST", "/datasets", sample("create_dataset.json"))).body
    return f"/datasets/{made['datasetId']}/tables/{made['tables'][0]['id']}"


@pytest.mark.parametrize(
    ("data", "status", "code", "says"),
    [
        (None, 400, "ERR007", "tables[0].data is missing"),
        ("W10", 400, "ERR006", "not base64"),
        (encoded("[1"), 400, "ERR006", "tables[0].data: "),
        (encoded([[2015, 1, "Books", 1, 2]]), 400, "ERR006", "row 1 is not an object"),
        (encoded([{"Year": 2015}]), 400, "ERR006", "row 1 lacks the key"),
    ],
)
async def test_data_of_a_new_dataset(api, data, status, code, says):
    definition = json.loads(sample("create_dataset.json"))
    definition["tables"][0]["data"] = data
    await api.refused(status, code, says, "POST", "/datasets", definition)
    assert list(api.emulator.catalogue) == []


async def test_date_formats_of_records(api):
    definition = json.loads(sample("create_dataset.json"))
    table = definition["tables"][0]
    table["columnHeaders"] = [{"name": "Day", "dataType": "DATE", "dateFormat": "dd/MM/yyyy"}]
    table["data"] = encoded([{"Day": "31/12/2024"}])
    definition["metrics"] = []
    form = {"category": "ID", "expressions": [{"formula": "SALES_TABLE.Day"}]}
    definition["attributes"] = [{"name": "Day", "attributeForms": [form]}]
    await api.ok("POST", "/datasets", definition)
    ((day,),) = api.sql('FROM "SALES_TABLE"."SALES_TABLE"')
    assert day.isoformat() == "2024-12-31"


@pytest.mark.parametrize(
    ("headers", "changes", "status", "code", "says"),
    [
        ({}, {}, 400, "ERR007", "updatePolicy is missing"),
        ({"updatePolicy": "merge"}, {}, 400, "ERR006", "updatePolicy 'merge' is unknown"),
        (PATCH, {"name": "other"}, 400, "ERR006", "is not the table's name"),
        (PATCH, {"columnHeaders": []}, 400, "ERR006", "columnHeaders is empty"),
        (PATCH, {"data": None}, 400, "ERR007", "data is missing"),
        (PATCH, {"data": encoded([{}])}, 400, "ERR006", "data: row 1"),
    ],
)
async def test_patch_rules(  # noqa: PLR0917 - the columns of the table above
    api, path, headers, changes, status, code, says
):
    await api.refused(status, code, says, "PATCH", path, body(**changes), headers=headers)


@pytest.mark.parametrize(
    ("position", "header", "says"),
    [
        (0, {"name": "Jahr", "dataType": "INTEGER"}, "has no column 'Jahr'"),
        (
            0,
            {"name": "Year", "dataType": "STRING"},
            "'Year' of table 'SALES_TABLE' is INTEGER, not",
        ),
        (4, None, "'Profit' of table 'SALES_TABLE' is not there"),
    ],
)
async def test_patch_columns_are_those_of_the_table(api, path, position, header, says):
    changed = body()
    changed["columnHeaders"][position : position + 1] = [header] if header else []
    await api.refused(400, "ERR006", says, "PATCH", path, changed, headers=PATCH)


async def test_patch_of_an_unknown_table(api, path):
    wrong = path.rsplit("/", 1)[0] + "/nothing"
    await api.refused(404, "ERR004", "no table", "PATCH", wrong, body(), headers=PATCH)


async def test_a_dataset_of_many_requests_takes_no_patch(api):
    dataset = await api.dataset()
    (made,) = api.emulator.catalogue
    path = f"{dataset}/tables/{made.model.tables[0].id}"
    says = "created by POST /api/datasets/models"
    await api.refused(400, "ERR010", says, "PATCH", path, body(), headers=PATCH)


async def test_a_dataset_of_one_request_takes_upload_sessions(api, path):
    dataset = path.split("/tables/")[0]
    session = await api.session(dataset, {"name": "SALES_TABLE", "updatePolicy": "add"})
    rows = [[2019, 9, "Games", 1.5, 2.5], [2015, 1, "Books", 0, 0]]
    assert (await api.put(session, rows, table="SALES_TABLE")).status == 200
    assert (await api.publish(session))["status"] == 1
    counted = api.sql('SELECT count(*), sum("Cost") FROM "SALES_TABLE"."SALES_TABLE"')
    assert counted == [(5, 10001.5)]


OLD = {(2015, 1): 1000.0, (2016, 2): 2000.0, (2017, 3): 3000.0, (2018, 4): 4000.0}
SENT = {(2015, 1): 1000.0, (2016, 5): 2000.0, (2017, 3): 6000.0, (2019, 4): 6000.0}


@pytest.mark.parametrize(
    ("policy", "rows"),
    [
        ("Add", SENT | OLD),
        ("replace", SENT),
        ("UPDATE", OLD | {(2017, 3): 6000.0}),
        ("upsert", OLD | SENT),
    ],
)
async def test_policies(api, path, policy, rows):
    await api.ok("PATCH", path, sample("update_table.json"), headers={"updatePolicy": policy})
    found = api.sql('SELECT "Year", "Category_ID", "Cost" FROM "SALES_TABLE"."SALES_TABLE"')
    assert {(year, category): cost for year, category, cost in found} == rows
    assert len(found) == len(rows)


async def test_update_without_a_key_is_refused(api):
    definition = json.loads(sample("create_dataset.json"))
    definition["attributes"] = []
    made = (await api.ok("POST", "/datasets", definition)).body
    path = f"/datasets/{made['datasetId']}/tables/{made['tables'][0]['id']}"
    headers = {"updatePolicy": "update"}
    await api.refused(400, "ERR006", "SALES_TABLE", "PATCH", path, body(), headers=headers)
