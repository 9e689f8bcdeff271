"""What a mapping file says, what it becomes, and what is told about its mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pyarrow as pa
import pytest
from ruamel.yaml import YAML

from loader.errors import LoaderError, NameRefused, UnmappableColumn, UsageError
from loader.model import DataType, Role, Wishes, build_model, parse_mapping, read_mapping
from loader.model.mapping import schema_text

INT, TEXT = pa.int64(), pa.string()
ORDERS = pa.schema(
    [("o_key", INT), ("o_cust", INT), ("o_date", TEXT), ("o_price", pa.decimal128(12, 2))]
)
SCHEMAS = {
    "orders": ORDERS,
    "customers": pa.schema([("c_cust", INT), ("c_name", TEXT), ("o_date", TEXT)]),
}


def model(text: str, schemas=SCHEMAS, name=None, **wishes):
    return build_model(name, schemas, Wishes(mapping=parse_mapping(text, "m.yaml"), **wishes))


def columns(built, table=0):
    return {column.source: column for column in built.tables[table].columns}


def refused(text: str, schemas=SCHEMAS, **wishes) -> LoaderError:
    with pytest.raises(LoaderError) as caught:
        model(text, schemas, **wishes)
    return caught.value


# -- what it becomes -------------------------------------------------------------------------------


def test_columns_are_renamed_dropped_cast_and_read():
    built = model(
        """
        tables:
          orders:
            columns:
              o_key: {name: Order, role: attribute}
              o_cust: {drop: true}
              o_date: {type: DATETIME, dateFormat: dd/MM/yyyy}
              o_price: {as: text}
        """,
        {"orders": ORDERS},
    )
    found = columns(built)
    assert list(found) == ["o_key", "o_date", "o_price"]
    assert (found["o_key"].name, found["o_key"].role) == ("Order", Role.ATTRIBUTE)
    date = found["o_date"]
    assert (date.data_type, date.arrow_type) == (DataType.DATETIME, pa.timestamp("us"))
    assert (date.source_type, date.date_format) == (TEXT, "dd/MM/yyyy")
    assert found["o_price"].as_text


@pytest.mark.parametrize(
    ("date_format", "data_type"),
    [
        ("dd/MM/yyyy", DataType.DATE),
        ('"HH:mm"', DataType.TIME),
        ('"dd/MM/yyyy HH:mm"', DataType.DATETIME),
        ('"YYYY-MM-DD[(T)hh:mm:[ss]]"', DataType.DATETIME),
    ],
)
def test_a_date_format_tells_the_type(date_format, data_type):
    text = f"tables: {{orders: {{columns: {{o_date: {{dateFormat: {date_format}}}}}}}}}"
    built = model(text, {"orders": ORDERS})
    column = columns(built)["o_date"]
    assert (column.data_type, column.role) == (data_type, Role.ATTRIBUTE)
    iso = "[" in date_format
    assert column.date_format == (None if iso else date_format.strip('"'))


def test_names_descriptions_and_the_folder_are_in_the_definition():
    body = model("""
        dataset: {name: Sales, description: All sales, folder: F1}
        tables:
          orders:
            description: The orders
            columns:
              o_price: {description: In euros}
              o_date: {drop: true}
          customers:
            columns:
              o_date: {name: Since, description: Customer since}
    """).definition()
    assert (body["name"], body["description"], body["folderId"]) == ("Sales", "All sales", "F1")
    assert body["tables"][0]["description"] == "The orders"
    assert "description" not in body["tables"][1]
    (since,) = (item for item in body["attributes"] if item["name"] == "Since")
    assert since["description"] == "Customer since"
    (price,) = (item for item in body["metrics"] if item["name"] == "o_price")
    assert price["description"] == "In euros"


def test_forms_of_columns_with_other_names_are_the_documents_body():
    body = model("""
        attributes:
          Customer:
            description: Who buys
            forms:
              DESC: customers.c_name
              ID: [orders.o_cust, customers.c_cust]
        metrics:
          Revenue: {columns: o_price, description: What is paid}
    """).definition()
    assert body["attributes"][0] == {
        "name": "Customer",
        "description": "Who buys",
        "attributeForms": [
            {
                "category": "ID",
                "expressions": [
                    {"tableName": "orders", "columnName": "o_cust"},
                    {"tableName": "customers", "columnName": "c_cust"},
                ],
            },
            {
                "category": "DESC",
                "expressions": [{"tableName": "customers", "columnName": "c_name"}],
            },
        ],
    }
    assert [item["name"] for item in body["attributes"]] == ["Customer", "o_date"]
    assert body["metrics"] == [
        {"name": "o_key", "expressions": [{"tableName": "orders", "columnName": "o_key"}]},
        {
            "name": "Revenue",
            "description": "What is paid",
            "expressions": [{"tableName": "orders", "columnName": "o_price"}],
        },
    ]


def test_a_column_without_its_table_is_that_of_every_table():
    built = model("attributes: {Day: {forms: {ID: o_date}}}")
    (day,) = (item for item in built.attributes if item.name == "Day")
    assert [ref.table for ref in day.forms[0].columns] == ["orders", "customers"]


def test_columns_of_several_tables_under_one_name_are_one_attribute():
    built = model("""
        tables:
          orders: {columns: {o_cust: {name: Customer, role: attribute}}}
          customers: {columns: {c_cust: {name: Customer, role: attribute}}}
    """)
    (customer,) = (item for item in built.attributes if item.name == "Customer")
    assert len(customer.forms[0].columns) == 2


def test_names_with_dots_are_told_apart():
    schemas = {
        "a": pa.schema([("b.c", INT), ("x.y", INT)]),
        "a.b": pa.schema([("c", INT)]),
    }
    error = refused("attributes: {A: {forms: {ID: a.b.c}}}", schemas)
    assert "can mean column 'b.c' of table 'a' and column 'c' of table 'a.b'" in error.message
    assert "{table: …, column: …}" in error.hint
    built = model("attributes: {A: {forms: {ID: {table: a.b, column: c}}}}", schemas)
    assert built.attributes[0].forms[0].columns[0].table == "a.b"
    built = model(
        "attributes: {A: {forms: {ID: x.y}}, B: {forms: {ID: a.b.c}}}", {"a": schemas["a"]}
    )
    assert [item.name for item in built.attributes] == ["B", "A"]
    with pytest.raises(UsageError, match=r"--type a\.b\.c: 'a\.b\.c' can mean"):
        build_model(None, schemas, Wishes(types={"a.b.c": DataType.STRING}))


def test_keys_and_texts_are_taken_as_they_are_written():
    names = ["no", "2024", "1.0", "0x10", "1e3", "null", "true", "2024-01-01", "~"]
    schema = pa.schema([(name, TEXT) for name in names])
    text = "tables: {t: {columns: {" + ", ".join(f"{name}: {{name: x}}" for name in names[:1])
    text += (
        ", " + ", ".join(f"{name}: {{name: {n}.50}}" for n, name in enumerate(names[1:])) + "}}}"
    )
    built = model(text, {"t": schema})
    assert built.tables[0].column_names == ["x", *(f"{n}.50" for n in range(8))]


def test_a_key_without_a_value_says_nothing():
    assert model("tables: {orders: , customers: {columns: {c_cust: }}}\nattributes:\n") == (
        build_model(None, SCHEMAS, Wishes())
    )


# -- options ---------------------------------------------------------------------------------------


def test_options_win_over_the_mapping():
    text = """
        dataset: {name: Sales, folder: F1}
        tables:
          orders: {columns: {o_key: {type: DOUBLE, role: attribute}, o_cust: {role: metric}}}
    """
    built = model(
        text,
        name="Other",
        types={"o_key": DataType.STRING},
        metrics=["orders.o_key"],
        attributes=["o_cust"],
    )
    assert built.name == "Other"
    assert built.definition("F2")["folderId"] == "F2"
    key, customer = (columns(built)[name] for name in ("o_key", "o_cust"))
    assert (key.data_type, key.role) == (DataType.STRING, Role.METRIC)
    assert customer.role is Role.ATTRIBUTE


def test_a_type_by_option_wins_over_a_date_format():
    text = "tables: {orders: {columns: {o_date: {dateFormat: dd/MM/yyyy}}}}"
    column = columns(model(text, {"orders": ORDERS}, types={"o_date": DataType.STRING}))["o_date"]
    assert (column.data_type, column.date_format) == (DataType.STRING, None)
    column = columns(model(text, {"orders": ORDERS}, types={"o_date": DataType.DATETIME}))["o_date"]
    assert (column.data_type, column.date_format) == (DataType.DATETIME, "dd/MM/yyyy")


def test_columns_selects_by_the_names_of_the_source():
    built = model(
        "tables: {orders: {columns: {o_key: {name: Order}}}}",
        columns=["o_date", "orders.o_key"],
    )
    assert [table.column_names for table in built.tables] == [["Order", "o_date"], ["o_date"]]


def test_columns_leave_the_forms_they_are_not_in():
    text = "attributes: {C: {forms: {ID: [o_cust, c_cust], DESC: c_name}}}"
    built = model(text, columns=["o_cust", "c_cust"])
    (attribute,) = built.attributes
    assert [form.category for form in attribute.forms] == ["ID"]
    built = model(text, columns=["o_key", "o_date"])
    assert [item.name for item in built.attributes] == ["o_date"]
    error = refused(text, columns=["o_key", "c_name"])
    assert "leaves nothing of the form ID" in error.message


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"columns": ["x"]}, "--columns x: no table has"),
        ({"columns": ["o_key"]}, "table 'customers': it has no column left"),
        ({"columns": ["c_name", "o_date"]}, "--columns c_name: the mapping drops"),
        ({"types": {"c_name": DataType.STRING}}, "--type c_name: the mapping drops"),
        ({"attributes": ["customers.c_name"]}, "--attribute customers.c_name: the mapping drops"),
        ({"metrics": ["o_cust"]}, "--metric o_cust: the column belongs to the attribute 'C'"),
        ({"attributes": ["o_price"]}, "--attribute o_price: the column belongs to the metric 'R'"),
    ],
)
def test_options_that_contradict_the_mapping(wishes, message):
    text = """
        tables: {customers: {columns: {c_name: {drop: true}}}}
        attributes: {C: {forms: {ID: o_cust}}}
        metrics: {R: {columns: o_price}}
    """
    error = refused(text, **wishes)
    assert message in error.message
    assert error.hint


def test_text_columns_are_those_whose_type_is_said():
    mapping = parse_mapping("""
        tables:
          t: {columns: {a: {type: DATE}, b: {dateFormat: dd/MM/yyyy}, c: {name: x}}}
          u:
    """)
    wishes = Wishes(types={"d": DataType.STRING}, mapping=mapping)
    assert wishes.text_columns == {"d", "t.a", "t.b"}


# -- mistakes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "path", "message", "hint"),
    [
        ("tables: {x: }", "tables.x", "no table 'x'", "orders, customers"),
        ("tables: {orders: {columns: {x: }}}", "tables.orders.columns.x", "no column 'x'", "o_key"),
        (
            "tables: {orders: {columns: {o_key: {nmae: x}}}}",
            "tables.orders.columns.o_key.nmae",
            "'nmae' is not known",
            "write name; known are name, drop, type, role, dateFormat, as, description",
        ),
        ("dataset: {dateformat: x}", "dataset.dateformat", "not known", "name, description"),
        ("tables: {orders: {column: }}", "tables.orders.column", "not known", "write columns"),
        ("table: {}", "table", "not known", "write tables"),
        ("metrics: {m: {column: o_key}}", "metrics.m.column", "not known", "write columns"),
        (
            "attributes: {a: {forms: {ID: [{table: t, colum: x}]}}}",
            "attributes.a.forms.ID[0].colum",
            "not known",
            "write column",
        ),
        (
            "tables: {orders: {columns: {o_key: {type: integer}}}}",
            "tables.orders.columns.o_key.type",
            "'integer' is none that is known",
            "write INTEGER",
        ),
        (
            "tables: {orders: {columns: {o_key: {type: NUMBER}}}}",
            "tables.orders.columns.o_key.type",
            "'NUMBER'",
            "STRING or INTEGER or BIGINTEGER",
        ),
        (
            "tables: {orders: {columns: {o_key: {role: fact}}}}",
            "tables.orders.columns.o_key.role",
            "'fact'",
            "attribute or metric",
        ),
        (
            "tables: {orders: {columns: {o_key: {drop: yes}}}}",
            "tables.orders.columns.o_key.drop",
            "'yes' is not true or false",
            "true or false",
        ),
        (
            "tables: {orders: {columns: {o_key: {name: true}}}}",
            "tables.orders.columns.o_key.name",
            "true is not a text",
            '"true" is a text',
        ),
        (
            "tables: {orders: {columns: {o_key: {name: 'a[b'}}}}",
            "tables.orders.columns.o_key.name",
            "forbids",
            "another",
        ),
        (
            f"tables: {{orders: {{columns: {{o_key: {{name: {'n' * 251}}}}}}}}}",
            "tables.orders.columns.o_key.name",
            "has 251 characters; the API takes 250",
            "another",
        ),
        (
            f"dataset: {{description: {'n' * 251}}}",
            "dataset.description",
            "has 251 characters",
            "another",
        ),
        ("dataset: {name: ''}", "dataset.name", "is empty", "another"),
        ("tables: [orders]", "tables", "a list is not keys with values", "as in tables: {"),
        ("dataset: Sales", "dataset", "'Sales' is not keys", "dataset: {name: Sales}"),
        (
            "tables: {orders: {columns: {o_key: drop}}}",
            "tables.orders.columns.o_key",
            "not keys with values",
            "keys with values",
        ),
        ("attributes: {a: {}}", "attributes.a", "lacks the key forms", "ID: table.column"),
        ("attributes: {a: }", "attributes.a", "nothing is not keys", "keys"),
        ("attributes: {a: {forms: {}}}", "attributes.a.forms", "no form ID", "{ID: table.column"),
        ("attributes: {a: {forms: {id: o_key}}}", "attributes.a.forms", "no form ID", "ID"),
        (
            "attributes: {a: {forms: {ID: o_key, Desc: c_name, DESC: o_date}}}",
            "attributes.a.forms.DESC",
            "has a form Desc already",
            "without case",
        ),
        ("attributes: {a: {forms: {ID: []}}}", "attributes.a.forms.ID", "no column", "name one"),
        (
            "attributes: {a: {forms: {ID: [o_key, orders.x]}}}",
            "attributes.a.forms.ID[1]",
            "no table has the column orders.x",
            "orders.o_key",
        ),
        (
            "attributes: {a: {forms: {ID: {table: orders, column: x}}}}",
            "attributes.a.forms.ID",
            "no table has the column {table: orders, column: x}",
            "as in the source",
        ),
        (
            "attributes: {a: {forms: {ID: [o_key, o_cust]}}}",
            "attributes.a.forms.ID[1]",
            "column 'o_key' of table 'orders' and column 'o_cust' of table 'orders' are of one",
            "take one out",
        ),
        (
            "attributes: {a: {forms: {ID: o_key}}, b: {forms: {ID: [c_cust, orders.o_key]}}}",
            "attributes.b.forms.ID[1]",
            "is already in the form ID of the attribute 'a'",
            "keep one",
        ),
        (
            "attributes: {a: {forms: {ID: o_key}}}\nmetrics: {m: {columns: o_key}}",
            "metrics.m.columns",
            "is already in the form ID of the attribute 'a'",
            "keep one",
        ),
        (
            "attributes: {a: {forms: {ID: o_key}}}\nmetrics: {a: {columns: o_cust}}",
            "metrics.a",
            "an attribute of the mapping has that name",
            "another name",
        ),
        (
            "tables: {orders: {columns: {o_key: {drop: true}}}}\nattributes: {a: {forms: {ID: o_key}}}",  # noqa: E501 -
            "attributes.a.forms.ID",
            "the column o_key is dropped",
            "tables.orders.columns",
        ),
        (
            "attributes: {'a[b': {forms: {ID: o_key}}}",
            'attributes."a[b"',
            "forbids",
            "another name",
        ),
        (
            "tables: {orders: {columns: {o_key: {role: metric}}}}\nattributes: {a: {forms: {ID: o_key}}}",  # noqa: E501 -
            "tables.orders.columns.o_key.role",
            "belongs to the attribute 'a'",
            "role: attribute",
        ),
        (
            "tables: {orders: {columns: {o_key: {description: x}}}}\nattributes: {a: {forms: {ID: o_key}}}",  # noqa: E501 -
            "tables.orders.columns.o_key.description",
            "belongs to the attribute 'a'",
            "attributes.a.description",
        ),
        (
            "tables: {orders: {columns: {o_date: {description: x}}}, customers: {columns: {o_date: {description: y}}}}",  # noqa: E501 -
            "tables.orders.columns.o_date.description",
            "described in two ways",
            "once",
        ),
        (
            "attributes: {c_name: {forms: {ID: o_cust}}}",
            "attributes.c_name",
            "column 'c_name' of table 'customers' makes an object of that name too",
            "tables: {customers: {columns: {c_name: {name: another name}}}}",
        ),
        (
            "tables: {orders: {columns: {o_key: {as: text}}}}",
            "tables.orders.columns.o_key.as",
            "for BIGDECIMAL, and the column is BIGINTEGER",
            "type: BIGDECIMAL",
        ),
        (
            "tables: {orders: {columns: {o_key: {as: number}}}}",
            "tables.orders.columns.o_key.as",
            "'number'",
            "write text",
        ),
        (
            "tables: {orders: {columns: {o_key: {type: DATE}}}}",
            "tables.orders.columns.o_key.type",
            "int64 cannot be sent as DATE",
            "type: BIGINTEGER or type: STRING",
        ),
        (
            "tables: {orders: {columns: {o_key: {dateFormat: dd/MM/yyyy}}}}",
            "tables.orders.columns.o_key.dateFormat",
            "int64 in the source",
            "take it out",
        ),
        (
            "tables: {orders: {columns: {o_date: {dateFormat: dd/MM/yy}}}}",
            "tables.orders.columns.o_date.dateFormat",
            "without its century",
            "yyyy-MM-dd",
        ),
        (
            "tables: {orders: {columns: {o_date: {type: DATE, dateFormat: 'dd/MM/yyyy HH:mm'}}}}",
            "tables.orders.columns.o_date.dateFormat",
            "is how a DATETIME is written, and the column is to be DATE",
            "type: DATETIME",
        ),
        (
            "tables: {orders: {columns: {o_date: {type: STRING, dateFormat: dd/MM/yyyy}}}}",
            "tables.orders.columns.o_date.dateFormat",
            "the column is to be STRING",
            "type: DATE",
        ),
        ("a: 1\na: 2", "a", "the key is there twice, in line 1 too", "keep one"),
        ("tables: &x {orders: *x}", "tables.orders", "contains itself", "*"),
        ("tables: {[a]: 1}", "tables", "a key is not a text", "quotes"),
        ("tables: {a", None, "no YAML", "quotes"),
        ("a: b: c", None, "no YAML", "quotes"),
        ("a: \x01", None, "no YAML", "quotes"),
        ("a: 1\n---\nb: 1", None, "no YAML", ""),
        ("tables: *x", None, "no YAML", ""),
        ("", None, "it says nothing", "dataset:"),
        ("# tables:\n", None, "it says nothing", "dataset:"),
        ("- a", None, "not keys with values", "keys"),
    ],
)
def test_mistakes_are_told_by_their_path(text, path, message, hint):
    error = refused(text)
    assert isinstance(error, UsageError)
    assert message in error.message
    assert hint in error.hint
    assert error.details.get("path") == path
    assert error.details["file"] == "m.yaml"
    assert error.message.startswith("m.yaml")
    assert (path or "m.yaml") in error.message


def test_mistakes_are_told_by_their_line():
    error = refused("tables:\n  orders:\n    columns:\n      o_key: {name: a}\n      x: {}\n")
    assert error.details["line"] == 5
    assert "m.yaml, line 5, tables.orders.columns.x" in error.message
    error = refused(
        "tables:\n  orders:\n    columns:\n      o_key:\n        name: a\n        typ: b"
    )
    assert error.details["line"] == 6
    error = refused("attributes:\n  a:\n    forms:\n      ID:\n      - o_key\n      - nix\n")
    assert error.details["line"] == 6
    assert refused("tables:\n  a\n b: c").details["line"] == 3


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        read_mapping(tmp_path / "missing.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"dataset: {name: \xe4}")
    with pytest.raises(UsageError, match="not UTF-8 text"):
        read_mapping(tmp_path / "latin.yaml")
    (tmp_path / "bom.yaml").write_text("dataset: {name: ä}", encoding="utf-8-sig")
    assert read_mapping(tmp_path / "bom.yaml").dataset.name == "ä"


# -- what it mends ---------------------------------------------------------------------------------


def mending(error: LoaderError) -> str:
    """The lines of a mapping file that an error's hint shows."""
    return "tables: " + error.hint.split("tables: ", 1)[1]


@pytest.mark.parametrize(
    "name", ["", " ", "a" * 251, 'a"b', "a\\b", "[a]", "x]\n: #", "[true]", "ab\U000e0001["]
)
def test_a_refused_name_is_mended_by_what_its_error_shows(name):
    schema = pa.schema([("a_b", INT), (name, INT)])
    with pytest.raises(NameRefused) as caught:
        build_model("d", {"t.x": schema}, Wishes())
    assert "--mapping FILE" in caught.value.hint
    assert caught.value.details["name"] == name
    names = model(mending(caught.value), {"t.x": schema}).tables[0].column_names
    assert len(set(names)) == 2


def test_a_column_without_a_data_type_is_mended_by_what_its_error_shows():
    schema = pa.schema([("a", INT), ("b", pa.month_day_nano_interval())])
    with pytest.raises(UnmappableColumn) as caught:
        build_model("d", {"t": schema}, Wishes())
    assert model(mending(caught.value), {"t": schema}).tables[0].column_names == ["a"]


def test_two_columns_of_one_name_are_mended_by_what_their_error_shows():
    text = "tables: {orders: {columns: {o_key: {name: o_cust}}}}"
    error = refused(text)
    assert isinstance(error, NameRefused)
    assert "columns 'o_key' and 'o_cust' of the source" in error.message
    built = model(mending(error))
    assert len(set(built.tables[0].column_names)) == 4


def test_tables_that_disagree_are_mended_by_what_their_error_shows():
    schemas = {"t": pa.schema([("a", INT)]), "u": pa.schema([("a", TEXT)])}
    with pytest.raises(NameRefused) as caught:
        build_model("d", schemas, Wishes())
    built = model(mending(caught.value), schemas)
    assert built.tables[1].column_names == ["a of u"]


def test_columns_of_a_form_have_one_type():
    error = refused("attributes: {a: {forms: {ID: [orders.o_cust, customers.c_name]}}}")
    assert isinstance(error, NameRefused)
    assert "a form is one object" in error.message
    assert "--type customers.c_name=BIGINTEGER" in error.hint


# -- the schema ------------------------------------------------------------------------------------

DOCS = Path(__file__).parents[2] / "docs"


def test_the_committed_schema_is_current():
    assert (DOCS / "mapping.schema.json").read_text() == schema_text()


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("dataset: {name: Sales}", True),
        ("tables: {t: {columns: {c: {type: DATE, dateFormat: dd/MM/yyyy, as: text}}}}", True),
        ("tables: {t: {columns: {c: }}}", True),
        ("attributes: {a: {forms: {ID: [t.c, {table: t, column: c}], DESC: c}}}", True),
        ("metrics: {a: {columns: c}}", True),
        ("tables: {t: {columns: {c: {typ: DATE}}}}", False),
        ("tables: {t: {columns: {c: {type: date}}}}", False),
        ("tables: {t: {columns: {c: {name: 'a[b'}}}}", False),
        ("attributes: {a: {}}", False),
        ("metrics: {a: {columns: 1}}", False),
        ("dataset: 1", False),
    ],
)
def test_the_schema_takes_what_the_loader_takes(text, valid):
    validator = jsonschema.Draft202012Validator(json.loads(schema_text()))
    assert validator.is_valid(YAML(typ="safe", pure=True).load(text)) is valid
