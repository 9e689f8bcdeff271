from __future__ import annotations

import pyarrow as pa
import pytest

from loader.errors import NameRefused, UnmappableColumn, UsageError
from loader.model import DataType, Role, Wishes, build_model, data_type_of
from loader.model.types import arrow_type_for

INT, TEXT = pa.int64(), pa.string()


@pytest.mark.parametrize(
    ("arrow", "data_type"),
    [
        *((t, "INTEGER") for t in (pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint16())),
        *((t, "BIGINTEGER") for t in (pa.int64(), pa.uint32(), pa.duration("s"))),
        (pa.uint64(), "BIGDECIMAL"),
        *((t, "DOUBLE") for t in (pa.float16(), pa.float32(), pa.float64())),
        *(
            (t, "BIGDECIMAL")
            for t in (pa.decimal32(5, 1), pa.decimal128(38, 2), pa.decimal256(76, 0))
        ),
        (pa.bool_(), "BOOL"),
        *((t, "DATE") for t in (pa.date32(), pa.date64())),
        *((t, "TIME") for t in (pa.time32("s"), pa.time64("ns"))),
        *((t, "DATETIME") for t in (pa.timestamp("s"), pa.timestamp("ns", "UTC"))),
        *((t, "STRING") for t in (pa.string(), pa.large_string(), pa.string_view())),
        *((t, "STRING") for t in (pa.binary(), pa.binary(3), pa.large_binary(), pa.binary_view())),
        *((t, "STRING") for t in (pa.list_(INT), pa.struct([("a", INT)]), pa.map_(TEXT, INT))),
        *((t, "STRING") for t in (pa.uuid(), pa.json_(), pa.null())),
        (pa.dictionary(pa.int8(), INT), "BIGINTEGER"),
        (pa.run_end_encoded(pa.int32(), pa.float32()), "DOUBLE"),
        (pa.bool8(), "BOOL"),
    ],
    ids=str,
)
def test_the_type_table(arrow, data_type):
    assert data_type_of(arrow) == data_type


def schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema(list(columns.items()))


def test_numbers_are_metrics_and_the_rest_attributes():
    table = build_model("d", {"t": schema(a=INT, b=TEXT, c=pa.date32())}, Wishes()).tables[0]
    assert [column.role for column in table.columns] == ["metric", "attribute", "attribute"]


def test_the_user_decides_otherwise():
    wishes = Wishes(attributes=["a"], metrics=["t.b"], types={"a": DataType.STRING})
    table = build_model("d", {"t": schema(a=INT, b=TEXT)}, wishes).tables[0]
    assert [(column.role, column.data_type) for column in table.columns] == [
        (Role.ATTRIBUTE, "STRING"),
        (Role.METRIC, "STRING"),
    ]


def test_the_definition_is_that_of_the_documents():
    body = build_model("d", {"t": schema(n=INT, s=TEXT), "u": schema(s=TEXT)}, Wishes()).definition(
        "F"
    )
    assert body == {
        "name": "d",
        "folderId": "F",
        "tables": [
            {
                "name": "t",
                "columnHeaders": [
                    {"name": "n", "dataType": "BIGINTEGER"},
                    {"name": "s", "dataType": "STRING"},
                ],
            },
            {"name": "u", "columnHeaders": [{"name": "s", "dataType": "STRING"}]},
        ],
        "metrics": [{"name": "n", "expressions": [{"tableName": "t", "columnName": "n"}]}],
        "attributes": [
            {
                "name": "s",
                "attributeForms": [
                    {
                        "category": "ID",
                        "expressions": [
                            {"tableName": "t", "columnName": "s"},
                            {"tableName": "u", "columnName": "s"},
                        ],
                    }
                ],
            }
        ],
    }


@pytest.mark.parametrize("name", ["", " ", "a" * 251, 'a"b', "a\\b", "a[b", "a]b"])
def test_names_the_api_refuses(name):
    with pytest.raises(NameRefused):
        build_model("d", {"t": pa.schema([(name, INT)])}, Wishes())
    with pytest.raises(NameRefused):
        build_model("d", {name: schema(a=INT)}, Wishes())
    with pytest.raises(NameRefused):
        build_model(name, {"t": schema(a=INT)}, Wishes())


@pytest.mark.parametrize("name", ["a" * 250, "a.b", "sum(é) %", "a'b"])
def test_names_the_api_takes(name):
    build_model(name, {name: pa.schema([(name, INT)])}, Wishes())


def test_a_column_name_occurs_once():
    with pytest.raises(NameRefused, match="two columns are called 'a'"):
        build_model("d", {"t": pa.schema([("a", INT), ("a", TEXT)])}, Wishes())


def test_tables_agree_about_a_shared_name():
    with pytest.raises(NameRefused, match="'a' is a metric of type BIGINTEGER in table 't'"):
        build_model("d", {"t": schema(a=INT), "u": schema(a=TEXT)}, Wishes())
    build_model(
        "d",
        {"t": schema(a=INT), "u": schema(a=TEXT)},
        Wishes(types={"t.a": DataType.STRING}),
    )


def test_a_type_without_a_row_in_the_table_is_refused():
    with pytest.raises(UnmappableColumn, match="month_day_nano_interval"):
        build_model("d", {"t": schema(a=pa.month_day_nano_interval())}, Wishes())
    for nested in (
        pa.list_(pa.month_day_nano_interval()),
        pa.struct([("a", pa.map_(TEXT, pa.month_day_nano_interval()))]),
    ):
        with pytest.raises(UnmappableColumn, match="month_day_nano_interval"):
            build_model("d", {"t": schema(a=nested)}, Wishes())
    with pytest.raises(UnmappableColumn, match="cannot be sent as DATE"):
        build_model("d", {"t": schema(a=INT)}, Wishes(types={"a": DataType.DATE}))
    with pytest.raises(UnmappableColumn, match="no column"):
        build_model("d", {"t": pa.schema([])}, Wishes())


@pytest.mark.parametrize(
    "wishes",
    [
        Wishes(attributes=["x"]),
        Wishes(metrics=["u.a"]),
        Wishes(types={"x": DataType.STRING}),
        Wishes(attributes=["a"], metrics=["a"]),
        Wishes(attributes=["a"], metrics=["t.a"]),
    ],
)
def test_wishes_that_mean_nothing_are_refused(wishes):
    with pytest.raises(UsageError):
        build_model("d", {"t": schema(a=INT)}, wishes)


@pytest.mark.parametrize("wanted", DataType)
def test_texts_can_be_cast_to_anything(wanted):
    assert arrow_type_for(wanted, TEXT) is not None
