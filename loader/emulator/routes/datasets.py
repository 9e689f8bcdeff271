"""Datasets: created in one request or by definition, updated in one request, described."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loader.emulator.call import Call, Endpoint, empty, reply
from loader.emulator.catalogue import metric_ids
from loader.emulator.definitions import Policy, Table
from loader.emulator.faultrules import Where
from loader.emulator.fields import Fields
from loader.emulator.ingest import decode_records
from loader.emulator.model import Reference, derived_id, parse_columns, parse_model
from loader.emulator.refusals import Refusal, invalid, missing, not_found, unsupported
from loader.emulator.uploads import parse_policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from loader.emulator.catalogue import Dataset

__all__ = ["ENDPOINTS", "available_attributes", "available_metrics"]


async def create(call: Call) -> web.Response:
    """``POST /api/datasets``: definition and data (one-request document, "Create a dataset")."""
    body = await call.json()
    model = parse_model(body)
    data = {}
    for item, table in zip(Fields(body).objects("tables"), model.tables, strict=True):
        text = item.text("data")
        data[table.name] = await decode_records(call.emulator, text, table, item.path("data"))
    dataset = await call.emulator.create(call.project, call.login, body, incremental=False)
    try:
        await call.emulator.load(dataset, dict.fromkeys(data, Policy.REPLACE), data)
    except Refusal:
        await call.emulator.delete(dataset)
        raise
    return reply(
        {
            "datasetId": dataset.id,
            "name": dataset.model.name,
            "tables": [{"id": table.id, "name": table.name} for table in dataset.model.tables],
        }
    )


async def create_model(call: Call) -> web.Response:
    """``POST /api/datasets/models``: the definition alone (multiple-requests document)."""
    dataset = await call.emulator.create(
        call.project, call.login, await call.json(), incremental=True
    )
    return reply({"id": dataset.id, "name": dataset.model.name})


async def update_table(call: Call) -> web.Response:
    """``PATCH /api/datasets/{id}/tables/{id}`` (one-request document, "Update a dataset").

    The text of the document says 200 and its sample 204; this server answers as the sample does.
    """
    dataset = call.dataset()
    if dataset.incremental:
        raise unsupported(
            f"Dataset {dataset.model.name!r} was created by POST /api/datasets/models; PATCH "
            "updates only datasets created by POST /api/datasets. Use an upload session."
        )
    table_id = call.request.match_info["table"]
    # The vendor's client passes the table's name where the document has its id.
    table = next(
        (table for table in dataset.model.tables if table_id in (table.id, table.name)), None
    )
    if table is None:
        raise not_found(f"Dataset {dataset.model.name!r} has no table with id {table_id!r}.")
    header = call.request.headers.get("updatePolicy")
    if header is None:
        raise missing(
            "The header updatePolicy is missing; it must be add, update, upsert or replace."
        )
    policy = parse_policy(header, "The header updatePolicy")
    fields = Fields(await call.json())
    if fields.text("name") != table.name:
        raise invalid(f"name {fields.text('name')!r} is not the table's name {table.name!r}.")
    layout = _layout(fields, table)
    data = await decode_records(call.emulator, fields.text("data"), layout, "data")
    await call.emulator.load(dataset, {table.name: policy}, {table.name: data})
    return empty(204)


def _layout(fields: Fields, table: Table) -> Table:
    """The table as the call's column headers describe it: perhaps with other date formats."""
    columns = parse_columns(fields)
    said = {column.name: column.data_type for column in columns}
    known = {column.name: column.data_type for column in table.columns}
    for name in said | known:
        if name not in known:
            raise invalid(f"columnHeaders: table {table.name!r} has no column {name!r}.")
        if name not in said:
            raise invalid(f"columnHeaders: column {name!r} of table {table.name!r} is not there.")
        if said[name] is not known[name]:
            raise invalid(
                f"columnHeaders: column {name!r} of table {table.name!r} is {known[name]}, not "
                f"{said[name]}."
            )
    by_name = {column.name: column for column in columns}
    return Table(
        table.name, table.id, tuple(by_name[column.name] for column in table.columns), table.key
    )


async def describe(call: Call) -> web.Response:
    """``GET /api/datasets/{id}``: attributes and metrics, or the parts that ``fields`` asks for."""
    dataset = call.dataset()
    wanted = [
        part for text in call.request.query.getall("fields", []) for part in text.split(",")
    ] or ["attributes", "metrics"]
    unknown = [part for part in wanted if part not in _PARTS]
    if unknown:
        raise invalid(
            f"fields={unknown[0]} in the query is unknown; there are {', '.join(_PARTS)}."
        )
    objects = {part: _PARTS[part](dataset) for part in wanted}
    return reply(
        {
            "id": dataset.id,
            "name": dataset.model.name,
            "result": {"definition": {"availableObjects": objects}},
        }
    )


def available_attributes(dataset: Dataset) -> list[dict[str, Any]]:
    """Returns a dataset's attributes as the API lists them."""
    types = _data_types(dataset)
    return [
        {
            "id": derived_id(dataset.id, "attribute", attribute.name),
            **_named(attribute.name, attribute.description),
            "type": "Attribute",
            "forms": [
                {
                    "id": derived_id(dataset.id, "form", attribute.name, form.category),
                    "name": form.category,
                    "dataType": types[form.sources[0]],
                    "baseFormCategory": form.category,
                }
                for form in attribute.forms
            ],
        }
        for attribute in dataset.model.attributes
    ]


def available_metrics(dataset: Dataset) -> list[dict[str, Any]]:
    """Returns a dataset's metrics as the API lists them, the row count of each table among them.

    Whether a real server tells a metric's data type is not known (inferred from what clients send).
    """
    types = _data_types(dataset)
    known = {metric.name: metric for metric in dataset.model.metrics}
    listed = []
    for name, metric_id in metric_ids(dataset).items():
        item: dict[str, Any] = {"id": metric_id, "name": name, "type": "Metric"}
        if name in known:
            metric = known[name]
            item |= _named(name, metric.description)
            item["dataType"] = types[metric.sources[0]]
        listed.append(item)
    return listed


def _named(name: str, description: str) -> dict[str, str]:
    """A name, and the description where there is one (inferred: no sample shows any)."""
    return {"name": name, "description": description} if description else {"name": name}


def _data_types(dataset: Dataset) -> dict[Reference, str]:
    return {
        Reference(table.name, column.name): column.data_type.lower()
        for table in dataset.model.tables
        for column in table.columns
    }


_PARTS: dict[str, Callable[[Dataset], list[dict[str, Any]]]] = {
    "attributes": available_attributes,
    "metrics": available_metrics,
    "tables": lambda dataset: [
        _named(table.name, table.description) for table in dataset.model.tables
    ],
    "columns": lambda dataset: [
        {"columnName": column.name, "tableName": table.name}
        for table in dataset.model.tables
        for column in table.columns
    ],
}

ENDPOINTS = (
    Endpoint("POST", "/datasets", create, Where.ONE_REQUEST),
    Endpoint("POST", "/datasets/models", create_model, Where.CREATE),
    Endpoint("PATCH", "/datasets/{dataset}/tables/{table}", update_table, Where.PATCH),
    Endpoint("GET", "/datasets/{dataset}", describe, Where.DATASET),
)
