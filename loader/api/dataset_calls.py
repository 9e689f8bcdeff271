"""The calls on datasets: create, update, find, describe, count, delete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from loader.api.answer import Answer, Malformed, items_of, json_of, nothing, object_of, text_of
from loader.api.exchange import Call
from loader.api.upload_calls import checked_policy

__all__ = [
    "CreatedDataset",
    "DatasetColumn",
    "DatasetObjects",
    "DatasetRef",
    "DatasetTable",
    "DatasetTables",
    "FolderPage",
    "count_rows",
    "create_dataset",
    "create_model",
    "dataset_objects",
    "dataset_tables",
    "delete_dataset",
    "folder_page",
    "row_count_metric",
    "search",
    "update_table",
]

_CUBE = 3
_SUPER_CUBE = 779
_MY_REPORTS = 20
_EXACTLY = 2
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class CreatedDataset:
    """What ``POST /api/datasets`` made; an update with one request needs the tables' ids.

    Attributes:
        dataset_id: The dataset's id.
        name: Its name.
        tables: Each table's name and id; no other call tells the ids.
    """

    dataset_id: str
    name: str
    tables: dict[str, str]


@dataclass(frozen=True, slots=True)
class DatasetRef:
    """A super cube that a search or a folder listing found.

    Attributes:
        id: Its id.
        name: Its name.
        modified: When it was changed last, as the server writes it; None where it does not say.
    """

    id: str
    name: str
    modified: str | None


@dataclass(frozen=True, slots=True)
class DatasetColumn:
    """A column of a table; its data type where the server tells it."""

    name: str
    data_type: str | None


@dataclass(frozen=True, slots=True)
class DatasetTable:
    """A table of a dataset, its columns in the server's order."""

    name: str
    columns: tuple[DatasetColumn, ...]


@dataclass(frozen=True, slots=True)
class DatasetTables:
    """The tables of an existing dataset; its name where the server tells it."""

    dataset_id: str
    name: str | None
    tables: tuple[DatasetTable, ...]


@dataclass(frozen=True, slots=True)
class DatasetObjects:
    """A dataset's attributes and metrics, by their names; data types where the server tells them.

    Attributes:
        attributes: The forms of each attribute by their upper-case category, with their data types.
        metrics: The data type of each metric.
    """

    attributes: dict[str, dict[str, str | None]]
    metrics: dict[str, str | None]


@dataclass(frozen=True, slots=True)
class FolderPage:
    """One page of a folder's listing.

    Attributes:
        datasets: The super cubes among the page's objects.
        objects: How many objects of any kind the page held.
        total: How many the folder holds, or None where the server does not say.
    """

    datasets: list[DatasetRef]
    objects: int
    total: int | None

    def next_offset(self, offset: int) -> int | None:
        """Returns where the next page starts, or None after the last one."""
        following = offset + self.objects
        if self.objects == 0:
            return None
        if self.total is None:
            return following if self.objects >= _PAGE else None
        return following if following < self.total else None


def create_dataset(body: Mapping[str, Any]) -> Call[CreatedDataset]:
    """Creates a dataset with its data (one-request document, "Create a dataset")."""
    return Call(
        aim=f"create the dataset {body.get('name')!r}",
        method="POST",
        path="/api/datasets",
        body=body,
        read=_created,
    )


def _created(answer: Answer) -> CreatedDataset:
    document = object_of(answer)
    tables = items_of(document.get("tables"), "'tables'")
    return CreatedDataset(
        dataset_id=text_of(document, "datasetId"),
        name=text_of(document, "name"),
        tables={text_of(table, "name"): text_of(table, "id") for table in tables},
    )


def update_table(
    dataset_id: str, table_id: str, policy: str, body: Mapping[str, Any]
) -> Call[None]:
    """Updates one table of a dataset made with ``create_dataset``.

    The answer is 200 in the document's text and 204 in its sample; both are successes. The policy
    is a header, with a capital as in the sample.

    Source: one-request document, "Update a dataset".
    """
    return Call(
        aim=f"update the table {body.get('name')!r}",
        method="PATCH",
        path=f"{_dataset(dataset_id)}/tables/{quote(table_id, safe='')}",
        headers={"updatePolicy": checked_policy(policy).capitalize()},
        body=body,
        read=nothing,
    )


def create_model(definition: Mapping[str, Any]) -> Call[str]:
    """Creates a definition without data; the result is the dataset's id.

    A dataset of that name in that folder is overwritten: look before (public clients).

    Source: multiple-requests document, "Create the definition of the dataset".
    """
    return Call(
        aim=f"create the definition of dataset {definition.get('name')!r}",
        method="POST",
        path="/api/datasets/models",
        body=definition,
        read=lambda answer: text_of(object_of(answer), "id"),
    )


def search(name: str) -> Call[list[DatasetRef]]:
    """Finds the super cubes of exactly that name; the server's index may lag (public clients)."""

    def read(answer: Answer) -> list[DatasetRef]:
        found = _super_cubes(items_of(object_of(answer).get("result"), "'result'"))
        # The server compares without case.
        return [dataset for dataset in found if dataset.name == name]

    return Call(
        aim=f"search for the dataset {name!r}",
        method="GET",
        path="/api/searches/results",
        query={"name": name, "pattern": str(_EXACTLY), "type": str(_CUBE)},
        read=read,
    )


def folder_page(folder_id: str | None, offset: int) -> Call[FolderPage]:
    """Lists a page of a folder, of My Reports without an id (public clients)."""
    folder = f"preDefined/{_MY_REPORTS}" if folder_id is None else quote(folder_id, safe="")
    return Call(
        aim="list My Reports" if folder_id is None else f"list the folder {folder_id}",
        method="GET",
        path=f"/api/folders/{folder}",
        query={"offset": str(offset), "limit": str(_PAGE)},
        read=_folder_page,
    )


def _folder_page(answer: Answer) -> FolderPage:
    items = items_of(json_of(answer), "the folder's listing")
    total = answer.headers.get("x-mstr-total-count", "")
    return FolderPage(
        datasets=_super_cubes(items),
        objects=len(items),
        total=int(total) if total.isascii() and total.isdigit() else None,
    )


def _super_cubes(items: list[dict[str, Any]]) -> list[DatasetRef]:
    return [
        DatasetRef(
            id=text_of(item, "id"), name=text_of(item, "name"), modified=item.get("dateModified")
        )
        for item in items
        if item.get("type") == _CUBE and item.get("subtype") == _SUPER_CUBE
    ]


def dataset_tables(dataset_id: str) -> Call[DatasetTables]:
    """Describes an existing dataset (multiple-requests document and public clients).

    The order of the columns is the one the server assumes where an upload session names none.
    """

    def read(answer: Answer) -> DatasetTables:
        document = object_of(answer)
        objects = _available(_within(document, "result"))
        tables: dict[str, list[DatasetColumn]] = {
            text_of(table, "name"): [] for table in items_of(objects.get("tables"), "'tables'")
        }
        for column in items_of(objects.get("columns"), "'columns'"):
            tables.setdefault(text_of(column, "tableName"), []).append(
                DatasetColumn(name=text_of(column, "columnName"), data_type=_data_type(column))
            )
        name = document.get("name") or _within(document, "result").get("name")
        return DatasetTables(
            dataset_id=dataset_id,
            name=name if isinstance(name, str) else None,
            tables=tuple(DatasetTable(name, tuple(columns)) for name, columns in tables.items()),
        )

    return Call(
        aim=f"read the definition of dataset {dataset_id}",
        method="GET",
        # The same parameter twice: a mapping cannot say that.
        path=f"{_dataset(dataset_id)}?fields=tables&fields=columns",
        read=read,
    )


def dataset_objects(dataset_id: str) -> Call[DatasetObjects]:
    """Reads which attributes and metrics a dataset has (public clients)."""

    def read(answer: Answer) -> DatasetObjects:
        available = _available(object_of(answer))
        attributes = items_of(available.get("attributes"), "'attributes'")
        metrics = items_of(available.get("metrics"), "'metrics'")
        return DatasetObjects(
            attributes={text_of(item, "name"): _form_types(item) for item in attributes},
            metrics={text_of(item, "name"): _data_type(item) for item in metrics},
        )

    return Call(
        aim=f"read the attributes and metrics of dataset {dataset_id}",
        method="GET",
        path=f"/api/v2/cubes/{quote(dataset_id, safe='')}",
        read=read,
    )


def _form_types(attribute: Mapping[str, Any]) -> dict[str, str | None]:
    forms = items_of(attribute.get("forms") or [], "'forms'")
    return {
        str(form.get("baseFormCategory") or form.get("name")).upper(): _data_type(form)
        for form in forms
    }


def _data_type(item: Mapping[str, Any]) -> str | None:
    data_type = item.get("dataType")
    return data_type if isinstance(data_type, str) else None


def row_count_metric(dataset_id: str, table: str) -> Call[str | None]:
    """Finds the metric in which the server counts a table's rows; None without one (clients)."""

    def read(answer: Answer) -> str | None:
        metrics = items_of(_available(object_of(answer)).get("metrics"), "'metrics'")
        wanted = f"Row Count - {table}"
        return next((text_of(item, "id") for item in metrics if item.get("name") == wanted), None)

    return Call(
        aim=f"read the metrics of dataset {dataset_id}",
        method="GET",
        path=f"/api/v2/cubes/{quote(dataset_id, safe='')}",
        read=read,
    )


def count_rows(dataset_id: str, metric_id: str) -> Call[int | None]:
    """Reads a row-count metric; None where the answer holds no value (public clients)."""
    return Call(
        aim=f"count the rows of dataset {dataset_id}",
        method="POST",
        path=f"/api/v2/cubes/{quote(dataset_id, safe='')}/instances",
        query={"offset": "0", "limit": "1"},
        body={"requestedObjects": {"attributes": [], "metrics": [{"id": metric_id}]}},
        read=_counted,
    )


def _counted(answer: Answer) -> int | None:
    values = _within(_within(object_of(answer), "data"), "metricValues").get("raw")
    if not isinstance(values, list):
        raise Malformed("without 'data.metricValues.raw'")
    first = values[0] if values else None
    count = first[0] if isinstance(first, list) and first else None
    if isinstance(count, float) and count.is_integer():
        return int(count)
    return count if isinstance(count, int) and not isinstance(count, bool) else None


def delete_dataset(dataset_id: str) -> Call[None]:
    """Deletes a dataset (public clients)."""
    return Call(
        aim=f"delete dataset {dataset_id}",
        method="DELETE",
        path=f"/api/objects/{quote(dataset_id, safe='')}",
        query={"type": str(_CUBE)},
        read=nothing,
    )


def _dataset(dataset_id: str) -> str:
    return f"/api/datasets/{quote(dataset_id, safe='')}"


def _within(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = document.get(key)
    if not isinstance(value, dict):
        raise Malformed(f"without {key!r}")
    return value


def _available(document: Mapping[str, Any]) -> dict[str, Any]:
    return _within(_within(document, "definition"), "availableObjects")
