"""Every rule of the chunk decoder, broken alone."""

from __future__ import annotations

import json

import pytest

from loader.emulator.decode import ChunkRefused, decode
from loader.emulator.definitions import Column, DataType, Orientation

ROW, COLUMN, RECORDS = Orientation
TWO = [Column("a", DataType.INTEGER), Column("b", DataType.STRING)]


def refusal(raw, columns=TWO, orientation=ROW):
    if isinstance(raw, str):
        raw = raw.encode()
    with pytest.raises(ChunkRefused) as caught:
        decode(raw, columns, orientation)
    return str(caught.value)


@pytest.mark.parametrize(
    ("data_type", "token"),
    [
        ("STRING", "[]"),
        ("STRING", "{}"),
        ("INTEGER", "2147483648"),
        ("INTEGER", "-2147483649"),
        ("INTEGER", "1.5"),
        ("INTEGER", "2147483648.0"),
        ("INTEGER", "1e400"),
        ("INTEGER", '"1"'),
        ("INTEGER", "true"),
        ("BIGINTEGER", "9223372036854775808"),
        ("BIGINTEGER", "-9223372036854775809"),
        ("BIGINTEGER", "1e19"),
        ("BIGINTEGER", '""'),
        ("BOOL", "0"),
        ("BOOL", "1"),
        ("BOOL", '"true"'),
        ("DOUBLE", '"1.5"'),
        ("DOUBLE", "1e400"),
        ("DOUBLE", "-1e400"),
        ("DOUBLE", "false"),
        ("BIGDECIMAL", "true"),
        ("BIGDECIMAL", '"abc"'),
        ("BIGDECIMAL", '""'),
        ("BIGDECIMAL", '"1.5 "'),
        ("BIGDECIMAL", '"+1"'),
        ("BIGDECIMAL", '"NaN"'),
        ("BIGDECIMAL", "[1]"),
        ("BIGDECIMAL", "[1,\n2]"),
        ("DATE", '"None"'),
        ("DATE", '"2017-02-29"'),
        ("DATE", '"2017-13-01"'),
        ("DATE", '"0000-01-01"'),
        ("DATE", '"10000-01-01"'),
        ("DATE", '"17-01-01"'),
        ("DATE", '"2017-12-05T00:00:00"'),
        ("DATE", '"20171205"'),
        ("DATE", '" 2017-12-05"'),
        ("DATE", '""'),
        ("DATE", "20171205"),
        ("TIME", '"24:00:00"'),
        ("TIME", '"11:60:00"'),
        ("TIME", '"11:00:60"'),
        ("TIME", '"11:00"'),
        ("TIME", '"1:00:00"'),
        ("TIME", '"11:00:00."'),
        ("TIME", '"11:00:00.1234567890"'),
        ("TIME", '"11:00:00Z"'),
        ("TIME", "11"),
        ("DATETIME", '"2017-12-05T24:00:00"'),
        ("DATETIME", '"2017-02-30T11:00:00"'),
        ("DATETIME", '"0000-12-31T11:00:00"'),
        ("DATETIME", '"2017-12-05T11"'),
        ("DATETIME", '"2017-12-05T11:00:00+01:00"'),
        ("DATETIME", '"2017-12-05Z"'),
        ("DATETIME", '"2017-12-05  11:00"'),
        ("DATETIME", '"2017-12-05T11:00:00.1234567890"'),
        ("DATETIME", '"2017-02-30T11:00:00.123456789"'),
        ("DATETIME", "0"),
    ],
)
@pytest.mark.parametrize("orientation", Orientation)
def test_a_value_that_does_not_fit_is_named(orientation, data_type, token):
    columns = [Column("ok", DataType.INTEGER), Column("Cost", DataType(data_type))]
    raw = {
        ROW: f"[[1,null],[2,null],[3,{token}],[4,null]]",
        COLUMN: f"[[1,2,3,4],[null,null,{token},null]]",
        RECORDS: f'[{{"ok":1,"Cost":null}},{{"Cost":null,"ok":2}},{{"Cost":{token},"ok":3}}]',
    }[orientation]
    message = refusal(raw, columns, orientation)
    assert message.startswith("row 3, column 'Cost': ")
    assert f"is not a{'n' if data_type == 'INTEGER' else ''} {data_type}" in message
    value = json.loads(token)
    assert (repr(value) if isinstance(value, str) else token) in message


def test_a_long_value_is_shortened():
    message = refusal(json.dumps([["x" * 1000, "b"]]))
    assert "xxx…' is not an INTEGER" in message
    assert len(message) < 120


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "x",
        "[[1,NaN]]",
        "[[Infinity,null]]",
        "[[-Infinity,null]]",
        '[[1,"a"],]',
        '[[1,"a",]]',
        '[,[1,"a"]]',
        '[[1,"a"],,[1,"a"]]',
        '[[1,"a"] [1,"a"]]',
        '[[1,"a"]] x',
        '[[1,"a"]',
        '[[1,"a"',
        "[[1,'a']]",
        '[[01,"a"]]',
        '[[1.,"a"]]',
        '[[+1,"a"]]',
        '[[1,"\\x"]]',
        '[[1,"\\ud800"]]',
        '[[1,"line\nfeed"]]',
        '\ufeff[[1,"a"]]',
        '[[1,"a"]]\x00',
        '/* c */[[1,"a"]]',
    ],
)
def test_what_is_not_json(raw):
    assert "not valid JSON" in refusal(raw)


def test_json_errors_tell_the_byte_of_the_whole_text(monkeypatch):
    monkeypatch.setattr("loader.emulator.slices.slices.__defaults__", (1,))
    raw = '[[1,"a"],[2,"b"],[3,x]]'
    assert f"at byte {raw.index('x')}" in refusal(raw)


@pytest.mark.parametrize(
    "raw", ['[[1,"a"],[2,"b"],]', '[[1,"a"],[2,"b"], ]', '[ ,[1,"a"],[2,"b"]]']
)
def test_commas_without_a_value_between_cuts(monkeypatch, raw):
    monkeypatch.setattr("loader.emulator.slices.slices.__defaults__", (0,))
    assert "not valid JSON" in refusal(raw)
    column = raw.replace('[1,"a"]', "1").replace('[2,"b"]', "2")
    assert "not valid JSON" in refusal(f"[{column}]", TWO[:1], COLUMN)


def test_invalid_utf8():
    assert refusal(b'[[1,"\xff"]]') == "the data is not UTF-8: invalid start byte at byte 5"
    assert "not UTF-8" in refusal(b'[["\xed\xa0\x80"]]', [Column("d", DataType.BIGDECIMAL)])


def test_endless_nesting():
    assert refusal("[" * 100_000) == "the data is nested too deeply"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("{}", "the data is not an array of rows"),
        ("1", "the data is not an array of rows"),
        ("null", "the data is not an array of rows"),
        ('[[1,"a"],null]', "row 2 is not an array"),
        ('[[1,"a"],{"a":1,"b":"b"}]', "row 2 is not an array"),
        ('[[1,"a"],[2]]', "row 2 has 1 values for 2 columns"),
        ('[[1,"a"],[2,"b",3]]', "row 2 has 3 values for 2 columns"),
        ("[[]]", "row 1 has 0 values for 2 columns"),
    ],
)
def test_rows_of_the_wrong_shape(raw, message):
    assert refusal(raw) == message


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("{}", "the data is not an array of columns"),
        ("[]", "there are 0 columns of data for 2 columns"),
        ("[[1]]", "there are 1 columns of data for 2 columns"),
        ('[[1],["a"],[2]]', "there are 3 columns of data for 2 columns"),
        ('[[1],"a"]', "column 'b' is not an array"),
        ('[{},["a"]]', "column 'a' is not an array"),
        (
            '[[1,2],["a"]]',
            "the columns differ in length: 'a' has 2 values, 'b' has 1",
        ),
        ("[[1],[]]", "the columns differ in length: 'a' has 1 values, 'b' has 0"),
    ],
)
def test_columns_of_the_wrong_shape(raw, message):
    assert refusal(raw, orientation=COLUMN) == message


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ('{"a":1,"b":"b"}', "the data is not an array of objects"),
        ('[{"a":1,"b":"b"},[1,"b"]]', "row 2 is not an object"),
        ('[{"a":1}]', "row 1 lacks the key 'b'"),
        ("[{}]", "row 1 lacks the key 'a'"),
        ('[{"a":1,"b":"b","c":1}]', "row 1 has the key 'c', which is no column"),
        ('[{"A":1,"b":"b"}]', "row 1 has the key 'A', which is no column"),
        ('[{"a":1,"b":"b"},{"a":1,"b":"b","a":2}]', "row 2 has the key 'a' twice"),
        ('[{"a":1,"b":":","\\u0061":1}]', "row 1 has the key 'a' twice"),
        ('[{"a":1,"b":"\\u003a","b":"x"}]', "row 1 has the key 'b' twice"),
        ('[{"b":"::","a":1,"b":null}]', "row 1 has the key 'b' twice"),
    ],
)
def test_records_of_the_wrong_shape(raw, message):
    assert refusal(raw, orientation=RECORDS) == message


def test_no_columns():
    assert refusal("[]", []) == "the table has no columns"


@pytest.mark.parametrize("data_type", ["INTEGER", "BIGDECIMAL", "STRING", "DATE"])
@pytest.mark.parametrize("orientation", [ROW, COLUMN])
def test_row_numbers_count_from_the_beginning_of_a_large_chunk(data_type, orientation):
    good = {"INTEGER": "1", "BIGDECIMAL": "1", "STRING": '"1"', "DATE": '"2017-12-05"'}[data_type]
    tokens = [good] * 100_000
    tokens[77_776] = "{}"
    raw = f"[[{','.join(tokens)}]]" if orientation is COLUMN else f"[[{'],['.join(tokens)}]]"
    assert refusal(raw, [Column("x", DataType(data_type))], orientation).startswith("row 77777, ")


@pytest.mark.parametrize(
    ("pattern", "data_type", "why"),
    [
        ("QQ/YYYY", "DATE", "is not understood"),
        ("YYYY-MM", "DATE", "lacks YYYY, MM or DD"),
        ("YYYY-MM-DD YYYY", "DATE", "names the year twice"),
        ("YYYY-MM-DD hh:mm", "DATE", "has a time in a column of dates"),
        ("YYYY-MM-DD hh", "DATETIME", "lacks hh or mm"),
        ("YYYY-MM-DD hh:mm", "TIME", "has a date in a column of times"),
        ("", "TIME", "lacks hh or mm"),
    ],
)
def test_date_formats_that_cannot_be_read(pattern, data_type, why):
    message = refusal("[]", [Column("d", DataType(data_type), pattern)])
    assert message.startswith(f"column 'd': dateFormat {pattern!r} ")
    assert why in message


@pytest.mark.parametrize("text", ["2017-12-05", "5.13.2017", "5.12.17", "5.12.2017 "])
def test_dates_that_do_not_follow_their_format(text):
    message = refusal(json.dumps([[text]]), [Column("d", DataType.DATE, "DD.MM.YYYY")])
    assert message.startswith(f"row 1, column 'd': {text!r} is not a DATE")
