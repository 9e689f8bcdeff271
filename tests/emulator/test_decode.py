"""What the chunk decoder makes of values, shapes and whole documents that are right."""

from __future__ import annotations

import base64
import datetime as dt
import json
from decimal import Decimal

import pyarrow as pa
import pytest

from loader.emulator.decode import decode
from loader.emulator.definitions import Column, DataType, Orientation

ROW, COLUMN, RECORDS = Orientation

moment = dt.datetime.fromisoformat


def one(data_type, *tokens, date_format=None):
    """The column that these JSON tokens become."""
    raw = f"[[{','.join(tokens)}]]".encode()
    return decode(raw, [Column("x", data_type, date_format)], COLUMN).column("x")


def values(data_type, *tokens, date_format=None):
    return one(data_type, *tokens, date_format=date_format).to_pylist()


@pytest.mark.parametrize(
    ("data_type", "tokens", "arrow", "expected"),
    [
        (
            "STRING",
            ['"a"', "null", '""', '"\\u00e9\\n\\ud83d\\ude00"'],
            "string",
            ["a", None, "", "é\n😀"],
        ),
        ("INTEGER", ["-2147483648", "2147483647", "null"], "int32", [-(2**31), 2**31 - 1, None]),
        (
            "BIGINTEGER",
            ["-9223372036854775808", "9223372036854775807"],
            "int64",
            [-(2**63), 2**63 - 1],
        ),
        ("BOOL", ["true", "false", "null"], "bool", [True, False, None]),
        (
            "DOUBLE",
            ["1", "1.5", "-1e-300", "null", "5e-324"],
            "double",
            [1.0, 1.5, -1e-300, None, 5e-324],
        ),
        ("DATE", ['"2017-12-05"', "null"], "date32[day]", [dt.date(2017, 12, 5), None]),
        ("DATE", ['"0001-01-01"', '"9999-12-31"'], "date32[day]", [dt.date.min, dt.date.max]),
        (
            "DATE",
            ['"2017-12-5"', '"2016-2-29"'],
            "date32[day]",
            [dt.date(2017, 12, 5), dt.date(2016, 2, 29)],
        ),
        (
            "TIME",
            ['"23:59:59"', '"00:00:00.5"'],
            "time64[us]",
            [dt.time(23, 59, 59), dt.time(0, 0, 0, 500000)],
        ),
        ("TIME", ['"11:00:00.123456000"'], "time64[us]", [dt.time(11, 0, 0, 123456)]),
        (
            "TIME",
            ['"11:00:00.120"', '"11:00:00.000000001"', "null"],
            "string",
            ["11:00:00.12", "11:00:00.000000001", None],
        ),
        (
            "DATETIME",
            ['"2017-12-05T11:00:00"', '"2017-12-05 11:00"', "null"],
            "timestamp[us]",
            [moment("2017-12-05 11:00")] * 2 + [None],
        ),
        (
            "DATETIME",
            ['"2017-12-5"', '"2017-12-5T11:00:00.5Z"'],
            "timestamp[us]",
            [moment("2017-12-05"), moment("2017-12-05 11:00:00.5")],
        ),
        (
            "DATETIME",
            ['"0001-01-01T00:00:00"', '"9999-12-31T23:59:59.999999"'],
            "timestamp[us]",
            [moment("0001-01-01"), moment("9999-12-31 23:59:59.999999")],
        ),
        (
            "DATETIME",
            ['"2017-12-05T11:00:00.123456000Z"'],
            "timestamp[us]",
            [moment("2017-12-05 11:00:00.123456")],
        ),
        (
            "DATETIME",
            [
                '"9999-12-31"',
                '"2017-12-05T11:00"',
                '"2017-12-05T11:00:00.1234567Z"',
                '"2017-12-05T11:00:00.50"',
            ],
            "string",
            [
                "9999-12-31 00:00:00",
                "2017-12-05 11:00:00",
                "2017-12-05 11:00:00.1234567",
                "2017-12-05 11:00:00.5",
            ],
        ),
    ],
)
def test_each_type_takes_its_values(data_type, tokens, arrow, expected):
    column = one(DataType(data_type), *tokens)
    assert str(column.type) == arrow
    assert column.to_pylist() == expected


def test_nanoseconds_in_reach_stay_numbers():
    column = one(DataType.DATETIME, '"2017-12-05T11:00:00.123456789"', '"1700-01-01"')
    assert column.type == pa.timestamp("ns")
    assert column.cast(pa.int64()).to_pylist() == [1512471600123456789, -8520336000000000000]


@pytest.mark.parametrize(
    ("tokens", "arrow", "expected"),
    [
        (["1.50", "-200", "null"], "decimal64(5, 2)", [Decimal("1.50"), Decimal("-200.00"), None]),
        (["18446744073709551615"], "decimal128(20, 0)", [Decimal(2**64 - 1)]),
        (["9" * 38], "decimal128(38, 0)", [Decimal("9" * 38)]),
        (["-0." + "9" * 38], "decimal128(38, 38)", [Decimal("-0." + "9" * 38)]),
        (['"1.5"', "2"], "decimal64(2, 1)", [Decimal("1.5"), Decimal("2.0")]),
        (
            ["1.5e3", "1E-2", "0e9999999999"],
            "decimal64(6, 2)",
            [Decimal(1500), Decimal("0.01"), 0],
        ),
        (["-0", "-0.0"], "decimal64(2, 1)", [0, 0]),
        (["null"], "decimal64(1, 0)", [None]),
        # 38 digits do not hold these: the texts stay as they came.
        (["9" * 39, "1.50"], "string", ["9" * 39, "1.50"]),
        (["1" + "0" * 30, "0." + "1" * 9], "string", ["1" + "0" * 30, "0." + "1" * 9]),
        (["1e99999"], "string", ["1e99999"]),
        (["1e40"], "string", ["1" + "0" * 40]),
    ],
)
def test_decimals_are_exact(tokens, arrow, expected):
    column = one(DataType.BIGDECIMAL, *tokens)
    assert str(column.type) == arrow
    assert column.to_pylist() == expected


def test_what_clients_send_beyond_the_obvious():
    assert values(DataType.INTEGER, "7.0", "null", "1e3") == [7, None, 1000]
    assert values(DataType.BIGINTEGER, "9223372036854775807.0") == [2**63 - 1]
    assert values(DataType.STRING, '"a"', "1.50", "true", "null") == ["a", "1.50", "true", None]


@pytest.mark.parametrize("orientation", Orientation)
def test_every_orientation_gives_the_same_table(orientation):
    columns = [Column("a:b", DataType.INTEGER), Column('sp "ace', DataType.STRING)]
    rows = [(1, "x:y"), (None, None), (3, ":")]
    raw = {
        ROW: json.dumps(rows),
        COLUMN: json.dumps(list(zip(*rows, strict=True))),
        RECORDS: json.dumps([{'sp "ace': text, "a:b": number} for number, text in rows]),
    }[orientation]
    table = decode(raw.encode(), columns, orientation)
    assert table.column_names == ["a:b", 'sp "ace']
    assert list(zip(*table.to_pydict().values(), strict=True)) == rows


@pytest.mark.parametrize(
    ("orientation", "raw"), [(ROW, b"[]"), (RECORDS, b" [ ] "), (COLUMN, b"[[], [ ]]")]
)
def test_no_rows(orientation, raw):
    columns = [Column("a", DataType.BIGDECIMAL), Column("b", DataType.DATETIME)]
    table = decode(raw, columns, orientation)
    assert (table.num_rows, table.num_columns) == (0, 2)


@pytest.mark.parametrize("orientation", Orientation)
@pytest.mark.parametrize(
    "text", [",", "],[", '\\",', "\\\\", '"],["', "},{", "a,b", "\\\\\\", '","']
)
def test_texts_that_look_like_structure_survive_the_cuts(monkeypatch, orientation, text):
    monkeypatch.setattr("loader.emulator.slices.slices.__defaults__", (1,))
    columns = [Column("n", DataType.INTEGER), Column("t", DataType.STRING)]
    rows = [(i, text * (i % 3)) for i in range(12)]
    raw = {
        ROW: json.dumps(rows),
        COLUMN: json.dumps(list(zip(*rows, strict=True)), indent=1),
        RECORDS: json.dumps([dict(zip("nt", row, strict=True)) for row in rows], indent=2),
    }[orientation]
    table = decode(raw.encode(), columns, orientation)
    assert list(zip(*table.to_pydict().values(), strict=True)) == rows


@pytest.mark.parametrize(
    ("pattern", "data_type", "text", "expected"),
    [
        ("DD.MM.YYYY", DataType.DATE, "5.12.2017", dt.date(2017, 12, 5)),
        ("dd/MM/yyyy", DataType.DATE, "05/12/2017", dt.date(2017, 12, 5)),
        ("YYYYMMDD", DataType.DATE, "20171205", dt.date(2017, 12, 5)),
        (
            "MM/DD/YYYY hh:mm:ss",
            DataType.DATETIME,
            "12/05/2017 11:01:02",
            moment("2017-12-05 11:01:02"),
        ),
        ("MM/DD/YYYY", DataType.DATETIME, "12/05/2017", moment("2017-12-05")),
        ("hh.mm", DataType.TIME, "9.05", dt.time(9, 5)),
        (
            "YYYY-MM-DD[(T)hh:mm:[ss]]",
            DataType.DATETIME,
            "2017-12-05T11:00",
            moment("2017-12-05 11:00"),
        ),
    ],
)
def test_date_formats(pattern, data_type, text, expected):
    assert values(data_type, json.dumps(text), "null", date_format=pattern) == [expected, None]


def test_sample_data_of_the_documents():
    one_request = (
        b'[         \r\n               {\r\n                    "Year": 2015,\r\n\t\t\t\t\t'
        b'"Category_ID":1,\r\n\t\t\t\t\t"Category_DESC":"Books",\r\n\t\t\t\t\t"Cost":1000.00\r\n'
        b'                },\r\n\t\t\t\t{\r\n                    "Year": 2016,\r\n\t\t\t\t\t'
        b'"Category_ID":2,\r\n\t\t\t\t\t"Category_DESC":"Movies",\r\n\t\t\t\t\t"Cost":2000.00\r\n'
        b"                }\r\n         ]"
    )
    columns = [
        Column("Year", DataType.INTEGER),
        Column("Category_ID", DataType.INTEGER),
        Column("Category_DESC", DataType.STRING),
        Column("Cost", DataType.DOUBLE),
    ]
    assert decode(one_request, columns, RECORDS).to_pylist() == [
        {"Year": 2015, "Category_ID": 1, "Category_DESC": "Books", "Cost": 1000.0},
        {"Year": 2016, "Category_ID": 2, "Category_DESC": "Movies", "Cost": 2000.0},
    ]
    many_requests = base64.b64decode(
        "Ww0KCSAgIFsNCgkJICAxLA0KCQkgICIyMDE3LTEyLTQiLA0KCQkgICIxMTowMDowMCIsDQoJCSAgIkJvb2tzIiwNCgkJ"
        "ICAxMDAuNTINCgkgICBdDQoJXQ=="
    )
    columns = [
        Column("ID", DataType.INTEGER),
        Column("Date", DataType.DATE),
        Column("Time", DataType.TIME),
        Column("Category", DataType.STRING),
        Column("Cost", DataType.DOUBLE),
    ]
    table = decode(many_requests, columns, ROW)
    assert [*table.to_pylist()[0].values()] == [
        1,
        dt.date(2017, 12, 4),
        dt.time(11),
        "Books",
        100.52,
    ]


def test_lines_of_a_large_chunk_keep_their_order():
    # More than one slice and more than one settled part.
    count = 150_000
    columns = [Column("n", DataType.BIGINTEGER), Column("d", DataType.BIGDECIMAL)]
    numbers = list(range(count))
    texts = [f"{n}.{n % 100:02}" for n in numbers]
    row = "[" + ",".join(f"[{n},{d}]" for n, d in zip(numbers, texts, strict=True)) + "]"
    column = f"[[{','.join(map(str, numbers))}],[{','.join(texts)}]]"
    for orientation, raw in ((ROW, row), (COLUMN, column)):
        table = decode(raw.encode(), columns, orientation)
        assert table.column("n").to_pylist() == numbers
        assert table.column("d").type == pa.decimal64(8, 2)
        assert table.column("d").cast(pa.string()).to_pylist() == texts
