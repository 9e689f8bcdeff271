"""The cube behind a dataset: its objects, and how many rows each table has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loader.emulator.call import Call, Endpoint, reply
from loader.emulator.catalogue import metric_ids, row_count_metric
from loader.emulator.faultrules import Where
from loader.emulator.fields import Fields
from loader.emulator.model import new_id
from loader.emulator.refusals import Code, Refusal, unsupported
from loader.emulator.routes.datasets import available_attributes, available_metrics

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["ENDPOINTS"]

_NOT_PUBLISHED = -2147072488


async def describe(call: Call) -> web.Response:
    """``GET /api/v2/cubes/{id}``: what can be asked for."""
    dataset = call.dataset()
    return reply(
        {
            "id": dataset.id,
            "name": dataset.model.name,
            "definition": {
                "availableObjects": {
                    "attributes": available_attributes(dataset),
                    "metrics": available_metrics(dataset),
                }
            },
        }
    )


async def instance(call: Call) -> web.Response:
    """``POST /api/v2/cubes/{id}/instances``: the values of ``Row Count - <table>`` metrics only."""
    dataset = call.dataset()
    requested = Fields(Fields(await call.json()).raw("requestedObjects"), "requestedObjects")
    if requested.array("attributes", required=False):
        raise unsupported(
            "requestedObjects.attributes must be empty: this server only counts rows."
        )
    names = {metric_id: name for name, metric_id in metric_ids(dataset).items()}
    by_metric = {row_count_metric(table.name): table for table in dataset.model.tables}
    metrics: list[dict[str, Any]] = []
    tables = []
    for item in requested.objects("metrics"):
        metric_id = item.text("id")
        name = names.get(metric_id, "")
        if name not in by_metric:
            raise unsupported(
                f"{item.path('id')} {metric_id!r} ({name or 'unknown'}) is none of the metrics "
                f"that this server computes: {', '.join(map(repr, by_metric))}."
            )
        tables.append(by_metric[name])
        metrics.append({"id": metric_id, "name": name, "type": "metric"})
    if not dataset.published:
        raise Refusal(
            500,
            Code.SERVER,
            f"Dataset {dataset.model.name!r} was not published yet.",
            iserver_code=_NOT_PUBLISHED,
        )
    rows = await call.emulator.row_counts(dataset)
    counts = [rows[table.name] for table in tables]
    template = {"name": "Metrics", "id": new_id(), "type": "templateMetrics", "elements": metrics}
    return reply(
        {
            "id": dataset.id,
            "name": dataset.model.name,
            "instanceId": new_id(),
            "status": 1,
            "definition": {"grid": {"crossTab": False, "rows": [], "columns": [template]}},
            "data": {
                "paging": {"total": 1, "current": 1, "offset": 0, "limit": call.number("limit", 1)},
                "headers": {"rows": [[]], "columns": [list(range(len(metrics)))]},
                "metricValues": {
                    "raw": [counts],
                    "formatted": [["" if count is None else str(count) for count in counts]],
                },
            },
        }
    )


ENDPOINTS = (
    Endpoint("GET", "/v2/cubes/{dataset}", describe, Where.CUBES),
    Endpoint("POST", "/v2/cubes/{dataset}/instances", instance, Where.CUBES),
)
