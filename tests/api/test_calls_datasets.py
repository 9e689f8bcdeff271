"""The calls for datasets: what goes out, and what comes back is checked."""

from __future__ import annotations

import pytest

from loader.api import (
    CreatedDataset,
    DatasetColumn,
    DatasetRef,
    DatasetTable,
)
from loader.errors import (
    NotFound,
    ProtocolViolation,
    Refused,
    UsageError,
)
from tests.api.calls import DATASET, Base64, project_headers


async def test_create_dataset_sends_records_in_base64_and_keeps_the_table_ids(server, client):
    server.give(
        "POST",
        "/api/datasets",
        payload={
            "datasetId": DATASET,
            "name": "SALES_TABLE",
            "tables": [{"id": "T1", "name": "SALES_TABLE"}],
        },
    )
    body = {
        "name": "SALES_TABLE",
        "tables": [{"data": Base64(), "name": "SALES_TABLE", "columnHeaders": []}],
        "metrics": [{"name": "Cost", "expressions": [{"formula": "SALES_TABLE.Cost"}]}],
        "attributes": [],
    }
    created = await client.create_dataset(body)
    assert created == CreatedDataset(DATASET, "SALES_TABLE", {"SALES_TABLE": "T1"})
    request = server.request
    assert (request.method, request.path) == ("POST", "/api/datasets")
    assert request.headers == project_headers(server)
    table = body["tables"][0] | {"data": "WyBbMSwgMl0="}
    assert request.body == body | {"tables": [table]}


@pytest.mark.parametrize(
    ("answer", "missing"),
    [
        ({"name": "n", "tables": []}, "datasetId"),
        ({"datasetId": "", "name": "n", "tables": []}, "datasetId"),
        ({"datasetId": "D", "name": "n"}, "tables"),
        ({"datasetId": "D", "name": "n", "tables": [{"name": "t"}]}, "id"),
        ([], "JSON object"),
    ],
)
async def test_create_dataset_validates_the_answer(server, client, answer, missing):
    server.give("POST", "/api/datasets", payload=answer)
    with pytest.raises(ProtocolViolation, match=rf"create the dataset 'n'.*{missing}"):
        await client.create_dataset({"name": "n"})


@pytest.mark.parametrize("status", [200, 204])
async def test_update_table_patches_with_the_policy_in_a_header(server, client, status):
    server.give("PATCH", f"/api/datasets/{DATASET}/tables/T1", status=status)
    body = {"data": "W10=", "name": "SALES_TABLE", "columnHeaders": []}
    await client.update_table(DATASET, "T1", "replace", body)
    request = server.request
    assert request.method == "PATCH"
    assert request.headers == project_headers(server) | {"updatePolicy": "Replace"}
    assert request.body == body


async def test_update_table_refuses_a_policy_that_does_not_exist(client):
    with pytest.raises(UsageError, match="delete"):
        await client.update_table(DATASET, "T1", "delete", {})


async def test_create_model_sends_the_definition_as_it_is(server, client):
    server.give("POST", "/api/datasets/models", payload={"id": DATASET, "name": "testModel"})
    definition = {
        "name": "testModel",
        "tables": [{"name": "table1", "columnHeaders": [{"name": "ID", "dataType": "INTEGER"}]}],
        "metrics": [{"name": "C", "expressions": [{"tableName": "table1", "columnName": "C"}]}],
        "attributes": [],
    }
    assert await client.create_model(definition) == DATASET
    request = server.request
    assert (request.method, request.path) == ("POST", "/api/datasets/models")
    assert request.headers == project_headers(server)
    assert request.body == definition
    assert request.redirects is False


async def test_create_model_without_an_id_is_a_protocol_violation(server, client):
    server.give("POST", "/api/datasets/models", payload={"name": "n"})
    with pytest.raises(ProtocolViolation, match=r"definition of dataset 'n'.*'id'"):
        await client.create_model({"name": "n"})


async def test_search_finds_super_cubes_of_exactly_that_name(server, client):
    found = [
        {"id": "1", "name": "Käse & Co", "type": 3, "subtype": 779, "dateModified": "2026-01-02"},
        {"id": "2", "name": "KÄSE & CO", "type": 3, "subtype": 779},
        {"id": "3", "name": "Käse & Co", "type": 3, "subtype": 768},
        {"id": "4", "name": "Käse & Co", "type": 8, "subtype": 2048},
    ]
    query = "?name=K%C3%A4se+%26+Co&pattern=2&type=3"
    server.give("GET", f"/api/searches/results{query}", payload={"result": found})
    assert await client.search_datasets("Käse & Co") == [
        DatasetRef(id="1", name="Käse & Co", modified="2026-01-02")
    ]
    request = server.request
    assert request.query == [("name", "Käse & Co"), ("pattern", "2"), ("type", "3")]
    assert request.headers == project_headers(server)


def cubes(first, count):
    return [
        {"id": f"{number:032X}", "name": f"n{number}", "type": 3, "subtype": 779}
        for number in range(first, first + count)
    ]


@pytest.mark.parametrize(
    ("folder", "path"), [(None, "preDefined/20"), ("F1", "F1"), ("a/b", "a%2Fb")]
)
async def test_folder_is_listed_page_by_page(server, client, folder, path):
    url = f"/api/folders/{path}?limit=1000&offset="
    total = {"x-mstr-total-count": "1500"}
    folders = [{"id": "X", "name": "sub", "type": 8, "subtype": 2048}]
    server.give("GET", f"{url}0", payload=cubes(0, 999) + folders, headers=total)
    server.give("GET", f"{url}1000", payload=cubes(999, 500), headers=total)
    found = await client.folder_datasets(folder)
    assert [dataset.name for dataset in found] == [f"n{number}" for number in range(1499)]
    assert [dict(request.query)["offset"] for request in server.requests] == ["0", "1000"]


async def test_folder_without_a_total_ends_at_the_first_short_page(server, client):
    url = "/api/folders/F1?limit=1000&offset="
    server.give("GET", f"{url}0", payload=cubes(0, 1000))
    server.give("GET", f"{url}1000", payload=cubes(1000, 3))
    assert len(await client.folder_datasets("F1")) == 1003


@pytest.mark.parametrize("total", ["0", "7", "many"])
async def test_folder_listing_ends_at_an_empty_page_whatever_the_total_says(server, client, total):
    server.give(
        "GET",
        "/api/folders/F1?limit=1000&offset=0",
        payload=[],
        headers={"x-mstr-total-count": total},
    )
    assert await client.folder_datasets("F1") == []


async def test_dataset_tables_are_read_in_the_servers_order(server, client):
    server.give(
        "GET",
        f"/api/datasets/{DATASET}?fields=tables&fields=columns",
        payload={
            "id": DATASET,
            "name": "Sales",
            "result": {
                "definition": {
                    "availableObjects": {
                        "tables": [{"name": "t1"}, {"name": "t2"}],
                        "columns": [
                            {"tableName": "t1", "columnName": "b", "dataType": "INTEGER"},
                            {"tableName": "t2", "columnName": "c"},
                            {"tableName": "t1", "columnName": "a", "dataType": 7},
                        ],
                    }
                }
            },
        },
    )
    dataset = await client.dataset_tables(DATASET)
    assert (dataset.dataset_id, dataset.name) == (DATASET, "Sales")
    assert dataset.tables == (
        DatasetTable("t1", (DatasetColumn("b", "INTEGER"), DatasetColumn("a", None))),
        DatasetTable("t2", (DatasetColumn("c", None),)),
    )
    assert server.request.query == [("fields", "columns"), ("fields", "tables")]


@pytest.mark.parametrize(
    "answer",
    [{}, {"result": {}}, {"result": {"definition": {"availableObjects": {"tables": []}}}}],
)
async def test_dataset_tables_validates_the_answer(server, client, answer):
    url = f"/api/datasets/{DATASET}?fields=tables&fields=columns"
    server.give("GET", url, payload=answer)
    with pytest.raises(ProtocolViolation, match="read the definition"):
        await client.dataset_tables(DATASET)


async def test_dataset_that_does_not_exist_is_not_found(server, client):
    url = f"/api/datasets/{DATASET}?fields=tables&fields=columns"
    server.give("GET", url, status=404, payload={"code": "ERR004", "message": "no such dataset"})
    with pytest.raises(NotFound, match="no such dataset"):
        await client.dataset_tables(DATASET)


async def test_dataset_objects_are_the_attributes_and_metrics(server, client):
    payload = cube("Cost", "Row Count - t")
    payload["definition"]["availableObjects"]["metrics"][0]["dataType"] = "Double"
    forms = [
        {"id": "2", "name": "ID", "dataType": "Integer", "baseFormCategory": "ID"},
        {"id": "3", "name": "desc"},
    ]
    payload["definition"]["availableObjects"]["attributes"] = [
        {"id": "1", "name": "Day"},
        {"id": "4", "name": "Shop", "forms": forms},
    ]
    server.give("GET", f"/api/v2/cubes/{DATASET}", payload=payload)
    objects = await client.dataset_objects(DATASET)
    assert objects.attributes == {"Day": {}, "Shop": {"ID": "Integer", "DESC": None}}
    assert objects.metrics == {"Cost": "Double", "Row Count - t": None}


def cube(*metrics):
    named = [{"id": str(number), "name": name} for number, name in enumerate(metrics)]
    return {"definition": {"availableObjects": {"metrics": named, "attributes": []}}}


def counted(*rows):
    return {"data": {"metricValues": {"raw": list(rows)}, "paging": {"total": 1}}}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[7]], 7),
        ([[7.0]], 7),
        ([[7.5]], None),
        ([["7"]], None),
        ([[True]], None),
        ([[None]], None),
        ([[]], None),
        ([], None),
    ],
)
async def test_row_count_reads_the_servers_own_metric(server, client, rows, expected):
    server.give("GET", f"/api/v2/cubes/{DATASET}", payload=cube("Cost", "Row Count - t1"))
    url = f"/api/v2/cubes/{DATASET}/instances?limit=1&offset=0"
    server.give("POST", url, payload=counted(*rows))
    assert await client.row_count(DATASET, "t1") == expected
    assert server.requests[1].body == {
        "requestedObjects": {"attributes": [], "metrics": [{"id": "1"}]}
    }


async def test_row_count_is_none_without_that_metric(server, client):
    server.give("GET", f"/api/v2/cubes/{DATASET}", payload=cube("Cost", "Row Count - t10"))
    assert await client.row_count(DATASET, "t1") is None


async def test_row_count_of_an_unpublished_cube_is_refused(server, client):
    server.give("GET", f"/api/v2/cubes/{DATASET}", payload=cube("Row Count - t1"))
    url = f"/api/v2/cubes/{DATASET}/instances?limit=1&offset=0"
    body = {"code": "ERR002", "iServerCode": -2147072488, "message": "not published"}
    server.give("POST", url, status=500, payload=body)
    with pytest.raises(Refused, match="not published"):
        await client.row_count(DATASET, "t1")


async def test_row_count_validates_the_answer(server, client):
    server.give("GET", f"/api/v2/cubes/{DATASET}", payload=cube("Row Count - t1"))
    url = f"/api/v2/cubes/{DATASET}/instances?limit=1&offset=0"
    server.give("POST", url, payload={"data": {"metricValues": {}}})
    with pytest.raises(ProtocolViolation, match="raw"):
        await client.row_count(DATASET, "t1")


async def test_delete_dataset_deletes_the_object_of_type_3(server, client):
    server.give("DELETE", f"/api/objects/{DATASET}?type=3", status=204)
    await client.delete_dataset(DATASET)
    request = server.request
    assert (request.method, request.query) == ("DELETE", [("type", "3")])
    assert request.headers == project_headers(server)
