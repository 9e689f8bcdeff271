"""The workflow of the one-request document, through the REST layer, into a real emulator."""

from __future__ import annotations

import orjson
import pytest

from loader.api import Client, Connection
from loader.emulator import EmulatorOptions
from loader.emulator.core import Emulator
from loader.emulator.server import Listener
from loader.encode import Base64Text
from loader.errors import ApiError

HEADERS = [
    {"name": "Year", "dataType": "INTEGER"},
    {"name": "Category", "dataType": "STRING"},
    {"name": "Cost", "dataType": "DOUBLE"},
]


def table(rows: list[dict]) -> dict:
    return {
        "name": "SALES",
        "columnHeaders": HEADERS,
        "data": Base64Text([orjson.dumps(rows)]),
    }


def definition(rows: list[dict]) -> dict:
    return {
        "name": "SALES",
        "tables": [table(rows)],
        "metrics": [{"name": "Cost", "expressions": [{"formula": "SALES.Cost"}]}],
        "attributes": [
            {
                "name": name,
                "attributeForms": [
                    {"category": "ID", "expressions": [{"formula": f"SALES.{name}"}]}
                ],
            }
            for name in ("Year", "Category")
        ],
    }


def row(year: int, category: str, cost: float) -> dict:
    return {"Year": year, "Category": category, "Cost": cost}


@pytest.fixture
async def client():
    options = EmulatorOptions(port=0)
    async with Listener(options, Emulator(options)) as listener:
        connection = Connection(listener.url, username="administrator")
        async with Client(connection) as opened:
            await opened.login()
            await opened.select_project("MicroStrategy Tutorial")
            yield opened


@pytest.mark.parametrize(
    ("policy", "count"), [("replace", 2), ("add", 3), ("update", 2), ("upsert", 3)]
)
async def test_create_then_update_with_one_request_each(client, policy, count):
    created = await client.create_dataset(definition([row(2015, "Books", 1.5), row(2016, "é", 2)]))
    assert await client.row_count(created.dataset_id, "SALES") == 2
    update = table([row(2016, "é", 3.5), row(2017, "Music", 4)])
    await client.update_table(created.dataset_id, created.tables["SALES"], policy, update)
    assert await client.row_count(created.dataset_id, "SALES") == count


async def test_a_dataset_of_the_other_workflow_is_refused(client):
    body = definition([])
    del body["tables"][0]["data"]
    dataset = await client.create_model(body)
    with pytest.raises(ApiError):
        await client.update_table(dataset, "T" * 32, "add", table([row(2015, "Books", 1)]))
