"""Projects, folders, search and objects: how datasets are found and deleted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from loader.emulator.call import Access, Call, Endpoint, empty, reply
from loader.emulator.catalogue import (
    FOLDERS,
    PROJECTS,
    Dataset,
    Folder,
    Project,
    find_folder,
    find_project,
)
from loader.emulator.faultrules import Where
from loader.emulator.model import derived_id
from loader.emulator.refusals import invalid, not_found, unsupported

__all__ = ["ENDPOINTS"]

_DATASET, _FOLDER, _PROJECT = 3, 8, 32
_SUPER_CUBE = 779
_FULL_CONTROL = 255

_CONTAINS = 4

# How a search's ``pattern`` compares a name with what is searched for, both in lower case.
_PATTERNS: dict[int, Callable[[str, str], bool]] = {
    0: lambda name, wanted: any(word in name for word in wanted.split()),
    1: str.startswith,
    2: str.__eq__,
    3: str.startswith,
    _CONTAINS: str.__contains__,
    5: str.endswith,
}


async def projects(call: Call) -> web.Response:
    """``GET /api/projects``."""
    del call
    return reply(
        [
            {
                "id": project.id,
                "name": project.name,
                "alias": "",
                "description": project.description,
                "status": 0,
            }
            for project in PROJECTS
        ]
    )


async def folder(call: Call) -> web.Response:
    """``GET /api/folders/{id}``: what is in it."""
    return _listing(call, find_folder(call.request.match_info["folder"]))


async def predefined_folder(call: Call) -> web.Response:
    """``GET /api/folders/preDefined/{number}``: 20 is My Reports."""
    number = call.request.match_info["number"]
    for known in FOLDERS:
        if str(known.predefined) == number:
            return _listing(call, known)
    raise not_found(f"There is no predefined folder {number!r}.")


def _listing(call: Call, where: Folder) -> web.Response:
    items = [
        _dataset(dataset)
        for dataset in call.emulator.catalogue.in_project(call.project)
        if dataset.folder == where
    ]
    return reply(call.page(items), headers={"x-mstr-total-count": str(len(items))})


async def search(call: Call) -> web.Response:
    """``GET /api/searches/results``: by name (``pattern`` 4, contains, unless given) and type."""
    query = call.request.query
    pattern = call.number("pattern", _CONTAINS)
    if pattern not in _PATTERNS:
        raise invalid(f"pattern={pattern} in the query is unknown; there are 0 to 5.")
    wanted = query.get("name", "").casefold()
    types = {int(text) for text in query.getall("type", []) if text.isascii() and text.isdigit()}
    fits = _PATTERNS[pattern]
    found = [
        _dataset(dataset)
        for dataset in call.emulator.catalogue.in_project(call.project)
        if (not wanted or fits(dataset.model.name.casefold(), wanted))
        and (not types or types & {_DATASET, _SUPER_CUBE})
    ]
    return reply({"totalItems": len(found), "result": call.page(found)})


async def read_object(call: Call) -> web.Response:
    """``GET /api/objects/{id}?type=``: 3 dataset, 8 folder, 32 project."""
    object_id = call.request.match_info["object"]
    match call.number("type", 0):
        case 3:
            project = _project_of(call)
            return reply(_dataset(call.emulator.catalogue.find(project, object_id), project))
        case 8:
            return reply(_folder(find_folder(object_id), _project_of(call)))
        case 32:
            project = find_project(object_id)
            return reply({**_object(project.id, project.name, _PROJECT, 8192), "status": 0})
        case other:
            raise unsupported(f"type={other} in the query: this server knows 3, 8 and 32.")


async def delete_object(call: Call) -> web.Response:
    """``DELETE /api/objects/{id}?type=3``: deletes a dataset, its data and its upload sessions."""
    if call.number("type", 0) != _DATASET:
        raise unsupported("Only objects of type=3 can be deleted on this server.")
    dataset = call.emulator.catalogue.find(call.project, call.request.match_info["object"])
    await call.emulator.delete(dataset)
    return empty(204)


def _project_of(call: Call) -> Project:
    """The project header, which only the objects of a project need."""
    return find_project(call.request.headers.get("X-MSTR-ProjectID", ""))


def _object(object_id: str, name: str, kind: int, subtype: int) -> dict[str, Any]:
    return {
        "id": object_id,
        "name": name,
        "type": kind,
        "subtype": subtype,
        "acg": _FULL_CONTROL,
        "version": derived_id(object_id, "version"),
    }


def _folder(item: Folder, project: Project) -> dict[str, Any]:
    root = {"id": project.id, "name": project.name, "level": 1}
    return {**_object(item.id, item.name, _FOLDER, 2048), "ancestors": [root]}


def _dataset(dataset: Dataset, project: Project | None = None) -> dict[str, Any]:
    """A dataset as an object; given its project, also where it lies."""
    item = {
        **_object(dataset.id, dataset.model.name, _DATASET, _SUPER_CUBE),
        "description": dataset.model.description,
        "dateCreated": dataset.created,
        "dateModified": dataset.modified,
        "owner": {"id": derived_id("user", dataset.owner.casefold()), "name": dataset.owner},
    }
    if project is not None:
        item["ancestors"] = [
            {"id": project.id, "name": project.name, "level": 2},
            {"id": dataset.folder.id, "name": dataset.folder.name, "level": 1},
        ]
    return item


ENDPOINTS = (
    Endpoint("GET", "/projects", projects, Where.LOOK, Access.LOGIN),
    Endpoint("GET", "/folders/preDefined/{number}", predefined_folder, Where.LOOK),
    Endpoint("GET", "/folders/{folder}", folder, Where.LOOK),
    Endpoint("GET", "/searches/results", search, Where.LOOK),
    Endpoint("GET", "/objects/{object}", read_object, Where.LOOK, Access.LOGIN),
    Endpoint("DELETE", "/objects/{object}", delete_object, Where.DELETE_DATASET),
)
