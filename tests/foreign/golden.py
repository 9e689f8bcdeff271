"""Reads Arrow's integration JSON: the values that an IPC file beside it was written from."""

from __future__ import annotations

import base64
import decimal
import gzip
import itertools
import json
import uuid
from pathlib import Path
from typing import Any

import numpy as np

from tests.encode.reading import Pairs, clock, moment

_UNITS = {"SECOND": "s", "MILLISECOND": "ms", "MICROSECOND": "us", "NANOSECOND": "ns"}
_WIDTHS = {"HALF": np.float16, "SINGLE": np.float32, "DOUBLE": np.float64}


_NESTED = {
    *("list", "largelist", "listview", "largelistview", "fixedsizelist"),
    *("map", "struct", "union"),
}


def golden(path: Path) -> tuple[dict[str, list[Any]], frozenset[str]]:
    """Returns the values of each column, and which columns are nested.

    Source: Arrow's page "Integration Testing", "JSON test data format".

    Raises:
        NotImplementedError: A type that the loader does not load.
    """
    with gzip.open(path) as file:
        document = json.load(file)
    fields = document["schema"]["fields"]
    entries = {part["id"]: part["data"]["columns"][0] for part in document.get("dictionaries", ())}
    names = [field["name"] for field in fields]
    if len(set(names)) < len(names):
        raise ValueError("several columns of one name")
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for batch in document["batches"]:
        for field, column in zip(fields, batch["columns"], strict=True):
            columns[field["name"]] += _column(field, column, entries)
    return columns, frozenset(field["name"] for field in fields if _is_nested(field))


def _is_nested(field: dict) -> bool:
    if field["type"]["name"] == "runendencoded":
        return _is_nested(field["children"][1])
    return field["type"]["name"] in _NESTED


def _is_uuid(field: dict) -> bool:
    said = {"key": "ARROW:extension:name", "value": "arrow.uuid"}
    return said in field.get("metadata", ())


def _column(field: dict, column: dict, entries: dict) -> list[Any]:
    if "dictionary" not in field:
        return _valid(column, _written(field, column, entries))
    indexed = _valid(column, [int(index) for index in column["DATA"]])
    plain = {key: value for key, value in field.items() if key != "dictionary"}
    values = _column(plain, entries[field["dictionary"]["id"]], entries)
    return [None if index is None else values[index] for index in indexed]


def _valid(column: dict, values: list[Any]) -> list[Any]:
    shown = column.get("VALIDITY") or [1] * len(values)
    return [value if valid else None for value, valid in zip(values, shown, strict=True)]


def _written(field: dict, column: dict, entries: dict) -> list[Any]:  # noqa: C901, PLR0912 - types
    kind, count = field["type"], column["count"]
    name, data = kind["name"], column.get("DATA", [])
    inner = [
        _column(child, values, entries)
        for child, values in zip(field["children"], column.get("children", ()), strict=True)
    ]
    match name:
        case "null":
            return [None] * count
        case "bool":
            return [bool(value) for value in data]
        case "int" | "duration":
            return [int(value) for value in data]
        case "floatingpoint":
            width = _WIDTHS[kind["precision"]]
            return [width(value) if np.isfinite(value) else None for value in map(float, data)]
        case "decimal":
            exact = decimal.Context(prec=100)
            return [decimal.Decimal(value).scaleb(-kind["scale"], exact) for value in data]
        case "utf8" | "largeutf8":
            return list(data)
        case "fixedsizebinary" if _is_uuid(field):
            return [str(uuid.UUID(hex=value)) for value in data]
        case "binary" | "largebinary" | "fixedsizebinary":
            return [base64.b64encode(bytes.fromhex(value)).decode() for value in data]
        case "utf8view" | "binaryview":
            return [_view(value, column, name) for value in column["VIEWS"]]
        case "date":
            per_day = 1 if kind["unit"] == "DAY" else 86_400_000
            return [moment(int(value) // per_day * 86_400, "s")[:10] for value in data]
        case "time":
            return [clock(int(value), _UNITS[kind["unit"]]) for value in data]
        case "timestamp":
            zone = "Z" if kind.get("timezone") else ""
            return [moment(int(value), _UNITS[kind["unit"]]) + zone for value in data]
        case "list" | "largelist":
            ends = [int(end) for end in column["OFFSET"]]
            return [inner[0][a:b] for a, b in itertools.pairwise(ends)]
        case "listview" | "largelistview":
            spans = zip(column["OFFSET"], column["SIZE"], strict=True)
            return [inner[0][int(start) : int(start) + int(size)] for start, size in spans]
        case "fixedsizelist":
            size = kind["listSize"]
            return [inner[0][size * row : size * (row + 1)] for row in range(count)]
        case "map":
            ends = [int(end) for end in column["OFFSET"]]
            # The names of a map's entries, keys and values may be any.
            pairs = [pair and [value for _, value in pair] for pair in inner[0]]
            return [
                Pairs((_key(key), value) for key, value in pairs[a:b])
                for a, b in itertools.pairwise(ends)
            ]
        case "struct":
            names = [child["name"] for child in field["children"]]
            return [
                Pairs(zip(names, (values[row] for values in inner), strict=True))
                for row in range(count)
            ]
        case "union":
            places = [kind["typeIds"].index(code) for code in column["TYPE_ID"]]
            rows = column["OFFSET"] if kind["mode"] == "DENSE" else range(count)
            return [inner[place][row] for place, row in zip(places, rows, strict=True)]
        case "runendencoded":
            values = []
            for end, value in zip(inner[0], inner[1], strict=True):
                values += [value] * (int(end) - len(values))
            return values
    raise NotImplementedError(name)


def _key(key: Any) -> str:
    return key if isinstance(key, str) else str(key)


def _view(view: dict, column: dict, name: str) -> str:
    if "INLINED" in view:
        value = view["INLINED"]
        raw = value.encode() if name == "utf8view" else bytes.fromhex(value)
    else:
        buffer = bytes.fromhex(column["VARIADIC_DATA_BUFFERS"][view["BUFFER_INDEX"]])
        raw = buffer[view["OFFSET"] : view["OFFSET"] + view["SIZE"]]
    return raw.decode() if name == "utf8view" else base64.b64encode(raw).decode()
