"""What a mapping file says and what it becomes, also beside options."""

from __future__ import annotations

import pyarrow as pa
import pytest

from loader.errors import UsageError
from loader.model import DataType, Role, Wishes, build_model, parse_mapping
from tests.model.mappings import INT, ORDERS, SCHEMAS, TEXT, columns, model, refused

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
