"""Mapping files and existing datasets, from the command line into a real server."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiohttp import web

from loader.api import Client, Connection
from loader.emulator.catalogue import FOLDERS
from tests.cli.harness import PASSWORD, PROJECT, USER

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def mapping(tmp_path):
    """Writes a mapping file; returns the options that name it."""

    def write(text: str):
        path = tmp_path / "mapping.yaml"
        path.write_text(text)
        return ["--mapping", path]

    return write


@pytest.fixture
def csv(tmp_path):
    def write(name: str, *lines: str):
        path = tmp_path / f"{name}.csv"
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


def described(server, call: str):
    """What the server answers to a call about its only dataset."""
    (dataset_id,) = server.datasets.values()
    connection = Connection(server.url, username=USER, password=PASSWORD, project=PROJECT)

    async def ask():
        async with Client(connection) as client:
            await client.login()
            await client.select_project(PROJECT)
            return await getattr(client, call)(dataset_id)

    return server.call(ask())


def definition(server):
    (dataset,) = server.emulator.catalogue
    return dataset.definition


# -- new datasets ----------------------------------------------------------------------------------


def test_columns_are_renamed_dropped_cast_and_described(push, server, csv, mapping):
    path = csv("t", "id,code,junk,amount", "1,007,x,1.50", "2,008,y,2.25")
    options = mapping("""
        dataset: {name: Sales, description: The sales}
        tables:
          t:
            description: The rows
            columns:
              id: {name: Order, role: attribute, description: An order}
              code: {name: Zip, type: INTEGER}
              junk: {drop: true}
              amount: {type: BIGDECIMAL, description: In euros}
    """)
    result = push(path, *options).succeeded().json
    assert result["dataset"] == "Sales"
    assert server.sql('SELECT "Order", Zip, amount FROM Sales.t ORDER BY 1') == [
        (1, 7, Decimal("1.50")),
        (2, 8, Decimal("2.25")),
    ]
    body = definition(server)
    assert body["description"] == "The sales"
    assert body["tables"][0] == {
        "name": "t",
        "description": "The rows",
        "columnHeaders": [
            {"name": "Order", "dataType": "BIGINTEGER"},
            {"name": "Zip", "dataType": "INTEGER"},
            {"name": "amount", "dataType": "BIGDECIMAL"},
        ],
    }
    objects = {item["name"]: item for kind in ("attributes", "metrics") for item in body[kind]}
    assert objects["Order"]["description"] == "An order"
    assert objects["amount"]["description"] == "In euros"


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_dates_are_read_by_their_format_and_sent_as_iso_8601(
    push, server, tmp_path, mapping, suffix
):
    days, moments = ["29/02/2024", "01/12/1969"], ["2024-02-29 1:05 PM", "1969-12-01 12:00 AM"]
    path = tmp_path / f"t.{suffix}"
    if suffix == "csv":
        rows = "\n".join(",".join(row) for row in zip(days, moments, strict=True))
        path.write_text(f"day,moment\n{rows}\n")
    else:
        pq.write_table(pa.table({"day": days, "moment": moments}), path)
    options = mapping("""
        tables:
          t:
            columns:
              day: {dateFormat: dd/MM/yyyy}
              moment: {dateFormat: "yyyy-MM-dd h:mm a"}
    """)
    push(path, *options).succeeded()
    assert server.sql("SELECT day, moment FROM t.t ORDER BY day DESC") == [
        (dt.date(2024, 2, 29), dt.datetime(2024, 2, 29, 13, 5)),
        (dt.date(1969, 12, 1), dt.datetime(1969, 12, 1)),
    ]
    types = {
        item["name"]: item["dataType"] for item in definition(server)["tables"][0]["columnHeaders"]
    }
    assert types == {"day": "DATE", "moment": "DATETIME"}


def test_a_date_that_does_not_follow_its_format_is_a_bad_row(push, server, csv, mapping):
    path = csv("t", "day,n", "01/02/2024,1", "31/02/2024,2", "1/3/2024,3")
    options = mapping("tables: {t: {columns: {day: {dateFormat: dd/MM/yyyy}}}}")
    failed = push(path, *options)
    assert failed.code == 3
    assert failed.error["row"] == 2
    assert "'31/02/2024'" in failed.error["message"]
    outcome = push(path, *options, "--on-bad-row", "skip")
    assert (outcome.code, outcome.json["tables"][0]["rejected"]) == (7, 2)
    assert server.sql("SELECT CAST(day AS VARCHAR), n FROM t.t") == [("2024-02-01", 1)]


def test_one_attribute_of_two_tables_with_two_forms(push, server, csv, mapping):
    orders = csv("orders", "o_id,o_cust,o_total", "1,10,5.5", "2,11,6.5", "3,10,7.5")
    customers = csv("customers", "c_id,c_name", "10,Ann", "11,Bob")
    options = mapping("""
        attributes:
          Customer:
            description: Who buys
            forms:
              DESC: customers.c_name
              ID: [orders.o_cust, customers.c_id]
        metrics:
          Revenue: {columns: orders.o_total}
        dataset: {name: shop}
    """)
    push(orders, customers, *options).succeeded()
    assert definition(server)["attributes"] == [
        {
            "name": "Customer",
            "description": "Who buys",
            "attributeForms": [
                {
                    "category": "ID",
                    "expressions": [
                        {"tableName": "orders", "columnName": "o_cust"},
                        {"tableName": "customers", "columnName": "c_id"},
                    ],
                },
                {
                    "category": "DESC",
                    "expressions": [{"tableName": "customers", "columnName": "c_name"}],
                },
            ],
        }
    ]
    objects = described(server, "dataset_objects")
    assert objects.attributes == {"Customer": {"ID": "biginteger", "DESC": "string"}}
    assert objects.metrics["Revenue"] == "double"
    # The key of customers is the ID alone: a new name updates the row.
    customers.write_text("c_id,c_name\n11,Bert\n12,Cy\n")
    push(customers, *options[:0], "--dataset", "shop", "--policy", "upsert").succeeded()
    assert server.sql("SELECT c_id, c_name FROM shop.customers ORDER BY 1") == [
        (10, "Ann"),
        (11, "Bert"),
        (12, "Cy"),
    ]


def test_decimals_are_sent_as_text_where_asked(push, server, tmp_path, mapping):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"d": pa.array([Decimal("0.10")], pa.decimal128(5, 2))}), path)
    as_number = push(path).succeeded().json["json_bytes"]
    as_text = push(path, *mapping("tables: {t: {columns: {d: {as: text}}}}")).succeeded().json
    assert (as_number, as_text["json_bytes"]) == (len("[[0.10]]"), len('[["0.10"]]'))
    assert server.sql("SELECT d FROM t.t") == [(Decimal("0.10"),)]


def test_one_request_takes_all_of_it_too(push, server, csv, mapping):
    path = csv("t", "id,name,day,v", "1,Ann,01/02/2024,5")
    options = [
        *mapping("""
            tables:
              t:
                columns:
                  id: {name: Id}
                  day: {dateFormat: dd/MM/yyyy, name: Day}
            attributes:
              Customer: {forms: {ID: id, DESC: name}, description: Who buys}
        """),
        *("--workflow", "one-request"),
    ]
    push(path, *options).succeeded()
    assert described(server, "dataset_objects").attributes == {
        "Customer": {"ID": "biginteger", "DESC": "string"},
        "Day": {"ID": "date"},
    }
    csv("t", "id,name,day,v", "2,Bob,29/02/2024,6")
    push(path, *options, "--policy", "upsert").succeeded()
    path = csv("u", "a,b,c,d", "2,Bert,2024-03-01,7")
    by_position = ["--workflow", "one-request", "--match-columns", "position"]
    push(f"t={path}", *by_position, "--dataset", "t", "--policy", "upsert").succeeded()
    assert server.sql("SELECT * FROM t.t ORDER BY Id, Day") == [
        (1, "Ann", dt.date(2024, 2, 1), 5),
        (2, "Bob", dt.date(2024, 2, 29), 6),
        (2, "Bert", dt.date(2024, 3, 1), 7),
    ]


def test_columns_selects_and_keeps_the_order_of_the_source(push, server, csv):
    path = csv("t", "a,b,c", "1,2,3")
    push(path, "--columns", "c,a").succeeded()
    assert server.sql("SELECT * FROM t.t") == [(1, 3)]


def test_the_folder_and_the_name_of_the_mapping(push, server, csv, mapping):
    path = csv("t", "a", "1")
    options = mapping(f"dataset: {{name: Sales, folder: {FOLDERS[1].id}}}")
    first = push(path, *options).succeeded().json
    assert push(path, *options).succeeded().json["dataset_id"] == first["dataset_id"]
    (dataset,) = server.emulator.catalogue
    assert (dataset.model.name, dataset.folder) == ("Sales", FOLDERS[1])
    push(path, *options, "--dataset", "Other", "--folder-id", FOLDERS[0].id).succeeded()
    assert {item.folder for item in server.emulator.catalogue} == set(FOLDERS)


def test_a_mapping_helps_a_name_that_the_api_refuses(push, server, tmp_path, mapping):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({'a"b': [1], "c": ["x"]}), path)
    failed = push(path)
    assert (failed.code, failed.error["kind"]) == (3, "name")
    line = failed.error["hint"][failed.error["hint"].index("tables: ") :]
    push(path, *mapping(line)).succeeded()
    assert server.sql("SELECT a_b, c FROM t.t") == [(1, "x")]


def test_mistakes_in_a_mapping_are_usage_errors(push, server, csv, mapping):
    path = csv("t", "a", "1")
    outcome = push(path, *mapping("tables:\n  t:\n    columns:\n      a: {typ: DATE}\n"))
    assert outcome.code == 2
    error = outcome.error
    assert (error["line"], error["path"]) == (4, "tables.t.columns.a.typ")
    assert "write type" in error["hint"]
    assert push(path, "--mapping", "missing.yaml").code == 2
    assert server.requests == []


# -- existing datasets -----------------------------------------------------------------------------


def test_drift_is_a_report_before_anything_is_sent(push, server, csv):
    push(csv("t", "k,v,old", "a,1,x")).succeeded()
    calls = len(server.called("POST", "/uploadSessions"))
    outcome = push(csv("t", "k,v,new", "a,x,y"))
    assert (outcome.code, outcome.error["kind"]) == (3, "model_mismatch")
    error = outcome.error
    assert error["tables"] == {
        "t": {
            "table": "existing",
            "missing": ["old"],
            "new": ["new"],
            "retyped": [{"column": "v", "dataset": "BIGINTEGER", "source": "STRING"}],
            "reroled": [],
        }
    }
    assert len(error["differences"]) == 3
    assert all(difference in error["message"] for difference in error["differences"])
    assert "tables: {t: {columns: {new: {name: old}}}}" in error["hint"]
    assert "--type t.v=BIGINTEGER" in error["hint"]
    assert len(server.called("POST", "/uploadSessions")) == calls
    assert server.sql("SELECT * FROM t.t") == [("a", 1, "x")]
    server.left_nothing()


def test_what_the_drift_report_shows_mends_it(push, server, csv, mapping):
    push(csv("t", "k,v", "a,1")).succeeded()
    path = csv("t", "key,v,extra", "b,2,x")
    options = mapping("tables: {t: {columns: {key: {name: k}, extra: {drop: true}}}}")
    push(path, *options).succeeded()
    assert server.sql("SELECT k, v FROM t.t") == [("b", 2)]


def test_a_narrower_type_is_sent_as_the_datasets(push, server, csv):
    push(csv("t", "k,v,day", "a,1.5,2024-01-01T10:00:00")).succeeded()
    push(csv("t", "k,v,day", "b,2,2024-01-02")).succeeded()
    assert server.sql("SELECT * FROM t.t") == [("b", 2.0, dt.datetime(2024, 1, 2))]


def test_roles_are_those_of_the_dataset(push, server, csv):
    path = csv("t", "id,v", "1,10", "2,20")
    push(path, "--attribute", "id").succeeded()
    path.write_text("id,v\n2,21\n3,30\n")
    result = push(path, "--policy", "upsert").succeeded().json
    assert server.sql("SELECT * FROM t.t ORDER BY id") == [(1, 10), (2, 21), (3, 30)]
    # The source alone has no attribute; the dataset has.
    assert result["warnings"] == []


def test_the_order_of_the_columns_may_differ(push, server, csv):
    push(csv("t", "a,b", "1,2")).succeeded()
    push(csv("t", "b,a", "20,10")).succeeded()
    assert server.sql("SELECT a, b FROM t.t") == [(10, 20)]


def test_columns_can_be_matched_by_position(push, server, csv):
    push(csv("t", "a,b", "x,2")).succeeded()
    path = csv("t", "column1,column2", "y,20")
    assert push(path).code == 3
    push(path, "--match-columns", "position").succeeded()
    assert server.sql("SELECT a, b FROM t.t") == [("y", 20)]
    outcome = push(csv("t", "x,y,z", "a,1,2"), "--match-columns", "position")
    assert (outcome.code, outcome.error["kind"]) == (3, "model_mismatch")
    assert "2 columns there and 3 in the source" in outcome.error["message"]


def test_matching_by_position_changes_nothing_for_a_new_dataset(push, server, csv):
    push(csv("t", "a,b", "x,2"), "--match-columns", "position").succeeded()
    assert server.sql("SELECT a, b FROM t.t") == [("x", 2)]


def test_a_cube_that_the_server_does_not_describe_is_a_warning(push, csv, server):
    path = csv("t", "a,b", "x,2")
    push(path).succeeded()

    async def refuse(request):
        if request.method == "GET" and "/v2/cubes/" in request.path:
            return web.json_response({"code": "ERR014", "message": "no privilege"}, status=403)
        return None

    server.fault = refuse
    result = push(path, "--no-verify").succeeded().json
    assert any("roles and types were not compared" in text for text in result["warnings"])


# -- the guide -------------------------------------------------------------------------------------


def test_the_guides_example_works(push, server, csv, tmp_path):
    guide = (DOCS / "mapping.md").read_text()
    example = re.search(r"```yaml\n(.*?)```", guide, re.DOTALL)[1]
    assert example.startswith("# yaml-language-server: $schema=mapping.schema.json")
    assert (DOCS / "mapping.schema.json").exists()
    (tmp_path / "webshop.yaml").write_text(example)
    csv(
        "orders",
        "o_id,o_customer,o_day,o_total,o_rebate,o_comment",
        "1,7,24/12/2024,100.00,5,fast",
    )
    csv("customers", "c_id,c_name,c_since", "7,Ann,20200101")
    arguments = re.search(r"```\nmstr-loader push (.*?)\n```", guide)[1].split()
    for position, argument in enumerate(arguments):
        if argument.endswith((".csv", ".yaml")):
            table, _, file = argument.rpartition("=")
            arguments[position] = f"{table}={tmp_path / file}".removeprefix("=")
    result = push(*arguments).succeeded().json
    assert result["dataset"] == "Web shop"
    assert server.sql('SELECT * FROM "Web shop".orders') == [
        (1, 7, dt.date(2024, 12, 24), Decimal("100.00"), 5)
    ]
    assert server.sql('SELECT * FROM "Web shop".customers') == [(7, "Ann", dt.date(2020, 1, 1))]
    push(*arguments).succeeded()
