"""Dataset definitions: each rule broken alone, and what is kept of a good one."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from loader.emulator.model import parse_model
from loader.emulator.refusals import Refusal
from tests.emulator.harness import sample


def definition() -> Any:
    return {
        "name": "Sales",
        "tables": [
            {
                "name": "t",
                "columnHeaders": [
                    {"name": "id", "dataType": "INTEGER"},
                    {"name": "text", "dataType": "string"},
                    {"name": "cost", "dataType": "Double"},
                ],
            },
            {
                "name": "u",
                "columnHeaders": [
                    {"name": "id", "dataType": "INTEGER"},
                    {"name": "size", "dataType": "DOUBLE"},
                ],
            },
        ],
        "attributes": [
            {
                "name": "Id",
                "attributeForms": [
                    {
                        "category": "ID",
                        "dataType": "integer",
                        "expressions": [
                            {"formula": "t.id"},
                            {"tableName": "u", "columnName": "id"},
                        ],
                    },
                    {"category": "desc", "expressions": [{"formula": "t.text"}]},
                ],
            }
        ],
        "metrics": [
            {"name": "Cost", "dataType": "double", "expressions": [{"formula": "t.cost"}]},
            {"name": "Size", "expressions": [{"formula": "u.size"}]},
        ],
    }


def broken(path: str, value: Any) -> Any:
    """The definition with one field set, or removed where the value is ``...``."""
    body = definition()
    *steps, last = [int(step) if step.isdigit() else step for step in path.split("/")]
    place = body
    for step in steps:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return body


FORM = "attributes/0/attributeForms/0"
COLUMN = "tables/0/columnHeaders/0"
EXPRESSION = f"{FORM}/expressions/0"

RULES = [
    ("name", ..., "ERR007", "name is missing"),
    ("name", 7, "ERR006", "name must be a string, not a number"),
    ("name", " ", "ERR006", "name is empty"),
    ("name", "x" * 251, "ERR006", "251 characters"),
    ("name", 'a"b', "ERR006", 'has " in it'),
    ("name", "a\\b", "ERR006", "has \\ in it"),
    ("name", "a[b]", "ERR006", "has [ ] in it"),
    ("description", "x" * 251, "ERR006", "description has 251"),
    ("description", [], "ERR006", "not an array"),
    ("tables/1/description", "x" * 251, "ERR006", "tables[1].description has 251"),
    ("attributes/0/description", "x" * 251, "ERR006", "attributes[0].description has 251"),
    ("metrics/0/description", 1, "ERR006", "metrics[0].description must be a string"),
    ("tables", ..., "ERR007", "tables is missing"),
    ("tables", [], "ERR006", "tables is empty"),
    ("tables", {}, "ERR006", "tables must be an array, not an object"),
    ("tables/1", None, "ERR006", "tables[1] must be a JSON object"),
    ("tables/0/name", ..., "ERR007", "tables[0].name is missing"),
    ("tables/0/name", "a[", "ERR006", "tables[0].name"),
    ("tables/1/name", "t", "ERR015", "a table named 't' already"),
    ("tables/0/columnHeaders", [], "ERR006", "columnHeaders is empty"),
    (f"{COLUMN}/name", "]", "ERR006", "columnHeaders[0].name"),
    (f"{COLUMN}/name", "text", "ERR015", "a column named 'text' already"),
    (f"{COLUMN}/dataType", ..., "ERR007", "dataType is missing"),
    (f"{COLUMN}/dataType", "NUMBER", "ERR006", "'NUMBER' is unknown; there are STRING, INTEGER"),
    (f"{COLUMN}/dateFormat", 1, "ERR006", "dateFormat must be a string"),
    ("attributes/0/name", "a" * 251, "ERR006", "attributes[0].name"),
    ("attributes/0/attributeForms", ..., "ERR007", "attributeForms is missing"),
    (f"{FORM}/category", ..., "ERR007", "category is missing"),
    (f"{FORM}/category", "DESC", "ERR015", "two DESC forms"),
    (f"{FORM}/category", "DESC 2", "ERR007", "no ID form"),
    (f"{FORM}/dataType", "STRING", "ERR006", "is STRING, but column 'id' of table 't' is INTEGER"),
    (f"{FORM}/dataType", "NUMBER", "ERR006", "'NUMBER' is unknown"),
    (f"{FORM}/expressions", [], "ERR006", "expressions is empty"),
    (f"{FORM}/expressions/1", {"formula": "t.text"}, "ERR015", "for table 't' already"),
    (EXPRESSION, {}, "ERR007", "tableName and columnName, or formula"),
    (EXPRESSION, {"tableName": "t"}, "ERR007", "columnName is missing"),
    (EXPRESSION, {"tableName": "x", "columnName": "id"}, "ERR006", "no table 'x'"),
    (EXPRESSION, {"tableName": "t", "columnName": "ID"}, "ERR006", "no column 'ID'"),
    (EXPRESSION, {"formula": "t.nothing"}, "ERR006", "names no column"),
    (EXPRESSION, {"formula": "id"}, "ERR006", "names no column"),
    ("metrics/1/name", "Cost", "ERR015", "a metric named 'Cost' already"),
    ("metrics/0/name", ..., "ERR007", "metrics[0].name is missing"),
    ("metrics/0/expressions", ..., "ERR007", "metrics[0].expressions is missing"),
    ("metrics/0/dataType", "DATE", "ERR006", "is DATE, but column 'cost'"),
]


@pytest.mark.parametrize(("path", "value", "code", "says"), RULES)
def test_each_rule_alone(path, value, code, says):
    parse_model(definition())
    body = broken(path, value)
    with pytest.raises(Refusal) as refusal:
        parse_model(body)
    assert refusal.value.code == code
    assert says in refusal.value.message


@pytest.mark.parametrize("kind", ["/datasets", "/datasets/models"])
async def test_both_calls_refuse_with_the_error_body(api, kind):
    body = broken("name", 'a"b')
    await api.refused(400, "ERR006", 'has " in it', "POST", kind, body)


async def test_an_unknown_folder(api):
    body = broken("folderId", "0" * 32)
    await api.refused(404, "ERR004", "no folder", "POST", "/datasets/models", body)


def test_two_attributes_of_one_name():
    body = definition()
    body["attributes"] *= 2
    with pytest.raises(Refusal, match=r"an? attribute named 'Id' already"):
        parse_model(body)


def test_neither_attribute_nor_metric():
    body = {"name": "x", "tables": definition()["tables"]}
    with pytest.raises(Refusal, match="at least one attribute or metric"):
        parse_model(body)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "is empty"),
        (b"{", "is not JSON"),
        (b"[]", "must be a JSON object"),
        (b'{"name": NaN}', "NaN is not JSON"),
        (b'{"name": "\xff"}', "not UTF-8: invalid start byte at byte 10"),
        (b"[" * 100_000, "is not JSON"),
    ],
)
async def test_bodies_that_are_no_json(api, body, says):
    answer = await api.call("POST", "/datasets/models", body)
    assert answer.status == 400
    assert says in answer.message


def dotted(*tables: tuple[str, str]) -> Any:
    return {
        "name": "d",
        "tables": [
            {"name": table, "columnHeaders": [{"name": column, "dataType": "STRING"}]}
            for table, column in tables
        ],
        "attributes": [],
        "metrics": [{"name": "m", "expressions": [{"formula": "a.b.c"}]}],
    }


@pytest.mark.parametrize("name", [("a.b", "c"), ("a", "b.c")])
def test_a_formula_is_split_at_every_dot(name):
    (source,) = parse_model(dotted(name)).metrics[0].sources
    assert (source.table, source.column) == name


def test_an_ambiguous_formula():
    with pytest.raises(Refusal, match=r"ambiguous: 'a'\.'b\.c' and 'a\.b'\.'c' both exist"):
        parse_model(dotted(("a.b", "c"), ("a", "b.c")))


def test_what_a_model_says():
    model = parse_model(definition())
    assert [table.key for table in model.tables] == [("id",), ("id",)]
    assert [column.data_type for column in model.tables[0].columns] == [
        "INTEGER",
        "STRING",
        "DOUBLE",
    ]
    assert [form.category for form in model.attributes[0].forms] == ["ID", "DESC"]
    assert len({table.id for table in model.tables}) == 2
    assert all(len(table.id) == 32 for table in model.tables)


def test_names_that_differ_in_case_are_two():
    body = copy.deepcopy(definition())
    body["tables"][0]["columnHeaders"][1]["name"] = "ID"
    body["attributes"][0]["attributeForms"].pop()
    assert [column.name for column in parse_model(body).tables[0].columns] == ["id", "ID", "cost"]


async def test_the_same_name_again_overwrites(api):
    old = await api.dataset()
    new = await api.dataset()
    assert new != old
    await api.refused(404, "ERR004", "no dataset", "GET", old)
    assert (await api.ok("GET", new)).body["name"] == "testModel"
    one = {"name": "table1", "updatePolicy": "replace"}
    two = {"name": "table2", "updatePolicy": "replace"}
    sessions = f"{new}/uploadSessions"
    says = "'add', but dataset 'testModel' overwrote another one"
    added = {"tables": [one, {**two, "updatePolicy": "add"}]}
    await api.refused(400, "ERR006", says, "POST", sessions, added)
    says = "'table2' is not there"
    await api.refused(400, "ERR006", says, "POST", sessions, {"tables": [one]})
    session = await api.session(new, one, two)
    assert (await api.publish(session))["status"] == 1
    await api.session(new)  # the sample, which adds to table2: fine again


async def test_dataset_names_in_a_folder_ignore_case(api):
    old = await api.dataset()
    await api.dataset(json.loads(sample("model.json")) | {"name": "TESTMODEL"})
    await api.refused(404, "ERR004", "no dataset", "GET", old)
    (dataset,) = api.emulator.catalogue
    assert (dataset.model.name, dataset.schema) == ("TESTMODEL", "TESTMODEL")


@pytest.mark.parametrize("name", ["emulator", "Memory", "mstr_emulator", "main", "TEMP", "system"])
@pytest.mark.parametrize("kept", [True, False], ids=["in a file", "in memory"])
async def test_a_dataset_may_be_called_like_what_sql_has_already(emulate, tmp_path, name, kept):
    api = await emulate(data=tmp_path if kept else None)
    await api.login()
    body = json.loads(sample("model.json")) | {"name": name}
    dataset = await api.dataset(body)
    for _ in range(2):
        session = await api.session(
            dataset,
            {"name": "table1", "updatePolicy": "replace"},
            {"name": "table2", "updatePolicy": "replace"},
        )
        await api.put(session, [[1, "2017-12-04", "11:00:00", "Books", 100.5]])
        assert (await api.publish(session))["status"] == 1
        # As a user would write it, without the database's name.
        assert api.sql(f'SELECT "ID" FROM "{name}_2"."table1"') == [(1,)]
        dataset = await api.dataset(body)


async def test_the_same_name_elsewhere_is_another_dataset(api):
    first = await api.dataset()
    shared = json.loads(sample("model.json")) | {"folderId": "D3C7D461F69C4610AA6BAA5EF51F4125"}
    await api.dataset(shared)
    api.headers["X-MSTR-ProjectID"] = "AF09B3E3458F78B4FBE4DEB68528BF7B"
    await api.dataset()
    await api.refused(404, "ERR004", "no dataset", "GET", first)
    assert len(list(api.emulator.catalogue)) == 3
    schemas = {dataset.schema for dataset in api.emulator.catalogue}
    assert schemas == {"testModel", "testModel_2", "testModel_3"}
