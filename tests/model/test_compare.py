"""How a source fits an existing dataset: drift, and what is taken from the dataset."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from loader.model import (
    DataType,
    ExistingDataset,
    Role,
    Wishes,
    build_model,
    fit,
    parse_mapping,
)

INT, TEXT = pa.int64(), pa.string()


def existing(attributes=(), metrics=(), *, told=(), **tables):
    """A dataset: tables with their columns; attributes and metrics of those names, with types."""
    told = dict(told)
    return ExistingDataset(
        tables={name: dict.fromkeys(columns) for name, columns in tables.items()},
        attributes={name: {"ID": told.get(name)} for name in attributes},
        metrics={name: told.get(name) for name in metrics} | {"Row Count - t": None},
    )


def schema(**columns):
    return pa.schema(list(columns.items()))


def fitted(dataset, schemas, *, by_position=False, mapping=None, **wishes):
    wished = Wishes(mapping=parse_mapping(mapping) if mapping else None, **wishes)
    model = build_model("d", schemas, wished)
    return fit(model, wished, dataset, by_position=by_position)


def test_what_fits_has_no_drift():
    dataset = existing(["b"], ["a"], t=["b", "a"], u=["x"])
    model, drift = fitted(dataset, {"t": schema(a=INT, b=TEXT)})
    assert not drift
    # The order is the source's: an upload session says which column is which.
    assert model.tables[0].column_names == ["a", "b"]


def test_missing_new_and_unknown_tables_are_told():
    dataset = existing(["k"], ["v", "w"], t=["k", "v", "w"])
    _, drift = fitted(dataset, {"t": schema(k=TEXT, extra=TEXT), "u": schema(c=INT)})
    assert list(drift.sentences()) == [
        "table 't' has no column 'extra', which the source has",
        "the source has no column 'v', which table 't' has",
        "the source has no column 'w', which table 't' has",
        "the dataset has no table 'u' (it has 't')",
    ]
    report = {name: item.as_dict() for name, item in drift.tables.items()}
    assert json.loads(json.dumps(report)) == {
        "t": {
            "table": "existing",
            "missing": ["v", "w"],
            "new": ["extra"],
            "retyped": [],
            "reroled": [],
        },
        "u": {"table": "new", "missing": [], "new": ["c"], "retyped": [], "reroled": []},
    }
    hints = list(drift.hints())
    assert hints[0] == "name tables with TABLE=PATH"
    assert "tables: {t: {columns: {extra: {drop: true}}}}" in hints[1]
    assert "--overwrite" in hints[-1]


def test_a_column_under_another_name_can_be_renamed():
    dataset = existing(["Key"], ["v"], t=["Key", "v"])
    schemas = {"t": schema(key=TEXT, v=INT)}
    _, drift = fitted(dataset, schemas)
    hints = list(drift.hints())
    line = next(hint for hint in hints if "tables: " in hint)
    assert any("--match-columns position" in hint for hint in hints)
    model, drift = fitted(dataset, schemas, mapping="tables: " + line.split("tables: ")[1])
    assert not drift
    assert model.tables[0].column_names == ["Key", "v"]


# -- types -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arrow", "told", "sent"),
    [
        (pa.int32(), "BIGINTEGER", DataType.BIGINTEGER),
        (pa.int32(), "bigdecimal", DataType.BIGDECIMAL),
        (INT, "Double", DataType.DOUBLE),
        (pa.float64(), "BIGDECIMAL", DataType.BIGDECIMAL),
        (pa.date32(), "datetime", DataType.DATETIME),
        (INT, "BigInteger", DataType.BIGINTEGER),
        # What a server calls its types in words of its own says nothing for sure.
        (INT, "Real", DataType.BIGINTEGER),
        (TEXT, "VarChar", DataType.STRING),
        (TEXT, "", DataType.STRING),
        (TEXT, None, DataType.STRING),
        # A column without any value in it fits whatever the others were.
        *((pa.null(), kind, kind) for kind in DataType),
    ],
)
@pytest.mark.parametrize("role", ["attributes", "metrics"])
def test_the_type_is_the_datasets_where_it_takes_all_values(arrow, told, sent, role):
    dataset = existing(**{role: ["c"]}, told={"c": told}, t=["c"])
    model, drift = fitted(dataset, {"t": schema(c=arrow)})
    assert not drift
    assert model.tables[0].columns[0].data_type is sent


@pytest.mark.parametrize(
    ("arrow", "told"),
    [
        (INT, "INTEGER"),
        (pa.float64(), "biginteger"),
        (pa.decimal128(9, 2), "DOUBLE"),
        (TEXT, "DATE"),
        (pa.timestamp("us"), "Date"),
        (INT, "STRING"),
        (pa.bool_(), "INTEGER"),
    ],
)
def test_other_types_are_drift(arrow, told):
    dataset = existing(["c"], told={"c": told}, t=["c"])
    model, drift = fitted(dataset, {"t": schema(c=arrow)})
    ours = model.tables[0].columns[0].data_type
    (sentence,) = drift.sentences()
    assert sentence == f"column 'c' of table 't' is {told.upper()} there and {ours} in the source"
    assert drift.tables["t"].as_dict()["retyped"] == [
        {"column": "c", "dataset": told.upper(), "source": str(ours)}
    ]


def test_the_hint_about_a_type_mends_it():
    dataset = existing([], ["c"], told={"c": "integer"}, t=["c"])
    _, drift = fitted(dataset, {"t": schema(c=INT)})
    hint = next(iter(drift.hints()))
    assert hint.startswith("--type t.c=INTEGER ")
    model, drift = fitted(dataset, {"t": schema(c=INT)}, types={"t.c": DataType.INTEGER})
    assert not drift
    assert model.tables[0].columns[0].arrow_type == pa.int32()
    # What no cast can give is not advised.
    dataset = existing(["c"], told={"c": "DATE"}, t=["c"])
    _, drift = fitted(dataset, {"t": schema(c=INT)})
    assert not any("--type" in hint for hint in drift.hints())


def test_a_type_that_the_user_asked_for_is_kept():
    dataset = existing([], ["c"], told={"c": "DOUBLE"}, t=["c"])
    model, drift = fitted(dataset, {"t": schema(c=INT)}, types={"c": DataType.INTEGER})
    assert not drift
    assert model.tables[0].columns[0].data_type is DataType.INTEGER


def test_types_that_the_columns_tell_come_first():
    dataset = ExistingDataset({"t": {"c": "STRING"}}, {}, {"c": "BIGINTEGER"})
    _, drift = fitted(dataset, {"t": schema(c=INT)})
    assert "is STRING there" in next(drift.sentences())


# -- roles -----------------------------------------------------------------------------------------


def test_roles_are_those_of_the_dataset():
    dataset = existing(["a"], ["b"], t=["a", "b"])
    model, drift = fitted(dataset, {"t": schema(a=INT, b=TEXT)})
    assert not drift
    assert [column.role for column in model.tables[0].columns] == [Role.ATTRIBUTE, Role.METRIC]


@pytest.mark.parametrize(
    ("wishes", "reroled"),
    [
        ({"attributes": ["b"]}, ["b"]),
        ({"metrics": ["t.a"]}, ["a"]),
        ({"attributes": ["a"], "metrics": ["b"]}, []),
        ({"mapping": "tables: {t: {columns: {a: {role: metric}}}}"}, ["a"]),
        (
            {"mapping": "tables: {t: {columns: {a: {role: metric}}}}", "attributes": ["a"]},
            [],
        ),
    ],
)
def test_roles_that_the_user_asked_for_are_drift(wishes, reroled):
    dataset = existing(["a"], ["b"], t=["a", "b"])
    _, drift = fitted(dataset, {"t": schema(a=INT, b=TEXT)}, **wishes)
    found = drift.tables["t"].as_dict()["reroled"] if drift else []
    assert [item["column"] for item in found] == reroled


def test_what_the_server_does_not_tell_is_not_compared():
    dataset = ExistingDataset({"t": {"a": None}}, objects_known=False)
    _, drift = fitted(
        dataset,
        {"t": schema(a=INT)},
        mapping="attributes: {A: {forms: {ID: a}}}",
    )
    assert not drift


FORMS = "attributes: {Customer: {forms: {ID: id, DESC: name}}}\nmetrics: {Revenue: {columns: v}}"


@pytest.mark.parametrize(
    ("attributes", "metrics", "sentences"),
    [
        ({"Customer": {"ID": "biginteger", "DESC": "string"}}, ["Revenue"], []),
        ({"Customer": {}}, ["Revenue"], []),
        (
            {"Customer": {"ID": None}},
            ["Revenue"],
            ["the attribute 'Customer' of the dataset has no form DESC"],
        ),
        (
            {"id": {"ID": None}},
            ["v"],
            [
                "the dataset has no attribute 'Customer', which the mapping puts together",
                "the dataset has no metric 'Revenue', which the mapping puts together",
            ],
        ),
        (
            {"Customer": {"ID": "string", "DESC": "string"}},
            ["Revenue"],
            ["column 'id' of table 't' is STRING there and BIGINTEGER in the source"],
        ),
    ],
)
def test_forms_of_the_mapping_are_compared_with_those_of_the_dataset(
    attributes, metrics, sentences
):
    dataset = ExistingDataset(
        {"t": dict.fromkeys(["id", "name", "v"])}, attributes, dict.fromkeys(metrics)
    )
    schemas = {"t": schema(id=INT, name=TEXT, v=INT)}
    _, drift = fitted(dataset, schemas, mapping=FORMS)
    assert list(drift.sentences()) == sentences


# -- positions -------------------------------------------------------------------------------------


def test_by_position_columns_take_the_names_of_the_dataset():
    dataset = existing(["Key"], ["Value"], told={"Value": "DOUBLE"}, t=["Key", "Value"])
    schemas = {"t": schema(k=TEXT, v=INT)}
    model, drift = fitted(dataset, schemas, by_position=True)
    assert not drift
    key, value = model.tables[0].columns
    assert [(key.source, key.name), (value.source, value.name)] == [("k", "Key"), ("v", "Value")]
    assert (value.data_type, value.role) == (DataType.DOUBLE, Role.METRIC)
    _, drift = fitted(dataset, schemas)
    assert drift


def test_by_position_names_that_changed_places_are_no_obstacle():
    dataset = existing(["a", "b"], t=["a", "b"])
    model, drift = fitted(dataset, {"t": schema(b=TEXT, a=TEXT)}, by_position=True)
    assert not drift
    assert [(c.source, c.name) for c in model.tables[0].columns] == [("b", "a"), ("a", "b")]


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        (["a"], "table 't' has 1 columns there and 2 in the source, too many to match"),
        (["a", "b", "c"], "table 't' has 3 columns there and 2 in the source, too few to match"),
    ],
)
def test_by_position_needs_as_many_columns(columns, sentence):
    dataset = existing(columns, t=columns)
    model, drift = fitted(dataset, {"t": schema(x=TEXT, y=TEXT)}, by_position=True)
    assert next(drift.sentences()).startswith(sentence)
    assert model.tables[0].column_names == ["x", "y"]
