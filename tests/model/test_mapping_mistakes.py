"""What is told about the mistakes of a mapping file, and of mistakes that one mends."""

from __future__ import annotations

import pyarrow as pa
import pytest

from loader.errors import LoaderError, NameRefused, UnmappableColumn, UsageError
from loader.model import Wishes, build_model, read_mapping
from tests.model.mappings import INT, TEXT, model, refused

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
