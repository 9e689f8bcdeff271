"""A model written as a mapping file and read again is the same model."""

from __future__ import annotations

import json

import jsonschema
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from loader.errors import LoaderError, UsageError
from loader.model import (
    DataType,
    Wishes,
    arrow_type_for,
    build_model,
    data_type_of,
    parse_mapping,
    save_mapping,
    write_mapping,
)
from loader.model.dateformat import parse_format
from loader.model.mapping import schema_text
from loader.model.mapping_text import SCHEMA_FILE

INT, TEXT = pa.int64(), pa.string()

EXAMPLE = """
dataset: {name: "Sales: 2024", description: "All # of them", folder: F1}
tables:
  orders:
    description: The orders
    columns:
      o_date: {name: Day, dateFormat: dd/MM/yyyy, description: The day}
      o_price: {as: text}
      odd: {drop: true}
attributes:
  Customer: {forms: {ID: [o_cust, c_cust], DESC: c.name}, description: Who buys}
metrics:
  Revenue: {columns: o_price}
"""
SCHEMAS = {
    "orders": pa.schema(
        [
            ("o_cust", INT),
            ("o_date", TEXT),
            ("o_price", pa.decimal128(12, 2)),
            ("odd", pa.month_day_nano_interval()),
        ]
    ),
    "cust": pa.schema([("c_cust", INT), ("c.name", TEXT)]),
}


def test_a_written_mapping_is_read_as_the_same_model():
    model = build_model(None, SCHEMAS, Wishes(mapping=parse_mapping(EXAMPLE)))
    text = write_mapping(model, SCHEMAS)
    assert build_model(None, SCHEMAS, Wishes(mapping=parse_mapping(text))) == model
    validator = jsonschema.Draft202012Validator(json.loads(schema_text()))
    validator.validate(YAML(typ="safe", pure=True).load(text))


def test_every_column_is_there_with_its_type_in_the_source():
    model = build_model("d", SCHEMAS, Wishes(mapping=parse_mapping(EXAMPLE)))
    text = write_mapping(model, SCHEMAS)
    assert text.startswith(f"# yaml-language-server: $schema={SCHEMA_FILE}\n")
    assert (
        "      o_date: {name: Day, type: DATE, role: attribute, dateFormat: "
        '"dd/MM/yyyy", description: The day}  # string\n'
    ) in text
    assert "      odd: {drop: true}  # month_day_nano_interval\n" in text
    assert "      ID: [orders.o_cust, cust.c_cust]\n      DESC: [cust.c.name]\n" in text


def test_saving_writes_the_schema_beside_it_and_overwrites_nothing(tmp_path):
    model = build_model("d", SCHEMAS, Wishes(mapping=parse_mapping(EXAMPLE)))
    path = tmp_path / "sales.yaml"
    save_mapping(path, model, SCHEMAS)
    assert path.read_text() == write_mapping(model, SCHEMAS)
    assert (tmp_path / SCHEMA_FILE).read_text() == schema_text()
    path.write_text("edited")
    with pytest.raises(UsageError, match="there already"):
        save_mapping(path, model, SCHEMAS)
    assert path.read_text() == "edited"
    save_mapping(tmp_path / "other.yaml", model, SCHEMAS)
    with pytest.raises(UsageError, match="No such file"):
        save_mapping(tmp_path / "no" / "x.yaml", model, SCHEMAS)


# -- any model -------------------------------------------------------------------------------------

NAMES = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters='\\"[]'), min_size=1, max_size=6
) | st.sampled_from(["no", "1", "a.b", "a", "b", ".", "a.", "- x", "{a}", "null", "'", "#", "a: b"])
SOURCES = NAMES | st.sampled_from(['"', "[", "\\"])
TYPES = st.sampled_from(
    [
        *(INT, TEXT, pa.uint64(), pa.decimal128(9, 2), pa.date32(), pa.float32(), pa.null()),
        *(pa.list_(INT), pa.month_day_nano_interval(), pa.timestamp("ns", "Europe/Berlin")),
    ]
)
DESCRIPTIONS = st.none() | NAMES


@st.composite
def said_of_column(draw, arrow, role):
    """What can be said of a column of that type; ``role`` is fixed where it is a form."""
    types = [item for item in DataType if arrow_type_for(item, arrow) is not None]
    if data_type_of(arrow) is None:
        return {"drop": True}
    said = {"name": draw(NAMES), "type": str(draw(st.sampled_from(types)))}
    if arrow == TEXT and draw(st.booleans()):
        text = draw(st.sampled_from(["dd/MM/yyyy", "HH:mm", "d.M.yyyy HH:mm"]))
        said |= {"dateFormat": text, "type": str(parse_format(text).data_type)}
    if said["type"] == "BIGDECIMAL":
        said["as"] = "text"
    said["role"] = role or draw(st.sampled_from(["attribute", "metric"]))
    if role is None:
        said["description"] = draw(DESCRIPTIONS)
        said["drop"] = draw(st.sampled_from([None, False, False, True]))
    kept = draw(st.sets(st.sampled_from(sorted(said))))
    return {key: said[key] for key in said if key in kept}


@st.composite
def mapped(draw):
    """Schemas and a mapping of them, as a JSON text, which is YAML."""
    schema = st.dictionaries(SOURCES, TYPES, min_size=1, max_size=3)
    tables = draw(st.dictionaries(NAMES, schema, min_size=1, max_size=2))
    columns = [(table, name) for table, names in tables.items() for name in names]
    usable = [pair for pair in columns if data_type_of(tables[pair[0]][pair[1]]) is not None]
    places = draw(st.lists(st.sampled_from(["ID", "DESC", "metric", None]), max_size=len(usable)))
    roles: dict[tuple[str, str], str] = {}
    attributes: list[dict] = []
    mapping: dict = {
        "dataset": {"name": draw(NAMES), "description": draw(DESCRIPTIONS)},
        "metrics": {},
    }
    for (table, name), place in zip(usable, places, strict=False):
        ref = {"table": table, "column": name}
        if place == "metric":
            roles[table, name] = "metric"
            said = {"columns": ref, "description": draw(DESCRIPTIONS)}
            mapping["metrics"][f"metric {len(roles)}"] = said
        elif place == "ID":
            roles[table, name] = "attribute"
            attributes.append({"forms": {"ID": ref}, "description": draw(DESCRIPTIONS)})
        elif place and attributes:
            roles[table, name] = "attribute"
            forms = attributes[-1]["forms"]
            attributes[-1]["forms"] = {f"form {len(forms)}": [ref], **forms}
    mapping["attributes"] = {f"{draw(NAMES)} {n}": said for n, said in enumerate(attributes)}
    mapping["tables"] = {
        table: {
            "description": draw(DESCRIPTIONS),
            "columns": {
                name: draw(said_of_column(arrow, roles.get((table, name))))
                for name, arrow in names.items()
            },
        }
        for table, names in tables.items()
    }
    schemas = {table: pa.schema(list(names.items())) for table, names in tables.items()}
    return schemas, json.dumps(mapping)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(mapped())
def test_any_model_is_written_and_read_as_the_same(case):
    schemas, text = case
    try:
        model = build_model(None, schemas, Wishes(mapping=parse_mapping(text)))
    except LoaderError:
        # A mapping of random parts that contradicts itself: other tests are about those.
        assume(False)
    written = write_mapping(model, schemas)
    assert build_model(None, schemas, Wishes(mapping=parse_mapping(written))) == model
