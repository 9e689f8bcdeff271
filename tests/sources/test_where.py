"""Conditions against DuckDB, an independent reading of SQL."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loader.errors import UsageError
from loader.sources import SourceOptions, open_tables
from loader.sources.where import Condition, parse, possible

D = Decimal
TABLE = pa.table(
    {
        "n": pa.array(range(12), pa.int32()),
        "i": pa.array([0, 1, None, 127, -128, 5, 5, 6, None, 7, 100, -1], pa.int8()),
        "u": pa.array([0, 2**64 - 1, None, 2**63, 1, 5, 5, 6, 7, 8, None, 2**32], pa.uint64()),
        "d": pa.array(
            [
                *(D("0.00"), D("1.10"), None, D("-999.99"), D("999.99"), D("0.10")),
                *(D("0.30"), D("2.00"), None, D("1.11"), D("5.50"), D("-0.01")),
            ],
            pa.decimal128(5, 2),
        ),
        "big": pa.array([D(i) * D(10) ** 20 + i for i in range(11)] + [None], pa.decimal128(38, 0)),
        "f": pa.array([0.0, -0.0, None, 0.1, 1e300, -1e300, 5.5, 6, 7, 1 / 3, 2, 1], pa.float64()),
        "g": pa.array([0.0, 0.1, None, 1, 2, 3, 5.5, 6, 7, 8, 9, 16777216], pa.float32()),
        "s": ["", "a", None, "A", "a%b", "a_b", "ab", "ä\nb", "it's", "b", "zz", "a\\b"],
        "day": pa.array(
            [dt.date(2024, 1, 1), None, dt.date(1, 1, 1), dt.date(9999, 12, 31)]
            + [dt.date(2023, 12, 31)] * 4
            + [dt.date(2024, 2, 29)] * 4,
            pa.date32(),
        ),
        "ts": pa.array(
            [dt.datetime(2024, 1, 1), None, dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59)]
            + [dt.datetime(2023, 12, 31, 23, 59, 59, 999999)] * 4
            + [dt.datetime(2024, 1, 1, 12, 30, 0, 500000)] * 4,
            pa.timestamp("us"),
        ),
        "time": pa.array(
            [dt.time(0), None, dt.time(23, 59, 59, 999999)] + [dt.time(12, 30)] * 9,
            pa.time64("us"),
        ),
        "yes": [True, False, None] * 4,
    }
)


def kept(condition: str, table: pa.Table = TABLE) -> list[int]:
    """The rows that meet a condition, by their values of ``n``."""
    typed = Condition.of(parse(condition), table.schema, "t")
    return [
        n.as_py()
        for batch in table.to_batches()
        for n, keep in zip(batch.column("n"), typed.mask(batch), strict=True)
        if keep
    ]


@pytest.fixture(scope="module")
def oracle():
    with duckdb.connect() as connection:
        connection.register("t", TABLE)
        yield lambda condition: [
            n for (n,) in connection.sql(f"SELECT n FROM t WHERE {condition} ORDER BY n").fetchall()
        ]


@pytest.mark.parametrize(
    "condition",
    [
        "i = 5",
        "I = 5",
        '"i" <> 5',
        "i != 5",
        "i == 5",
        "5 < i",
        "127 <= i",
        "i > 126.5",
        "i < 0.5",
        "i <= -0.5",
        "i = 5.5",
        "i <> 5.5",
        "i = 1000",
        "i <> 1000",
        "i < 1000",
        "i >= -1000",
        "i > 1e10",
        "i IN (5, 6.0, 1000, -1)",
        "i NOT IN (5, 6, 1000)",
        "i IN (5, NULL)",
        "i NOT IN (5, NULL)",
        "NOT i IN (5, 6, 7, NULL)",
        "i = NULL",
        "NOT (i = NULL)",
        "i IS NULL",
        "NOT i IS NULL",
        "i IS NOT NULL",
        "i BETWEEN 1 AND 6",
        "i NOT BETWEEN 1 AND 6",
        "NOT i BETWEEN 1 AND 6 AND n > 3",
        "i BETWEEN 6 AND 1",
        "i = '5'",
        "u = 18446744073709551615",
        "u > 9223372036854775807",
        "u >= 0",
        "u > -1",
        "u <= 9223372036854775808",
        "d = 1.1",
        "d = 1.10",
        "d = 1.105",
        "d > 1.105",
        "d < 1.105",
        "d >= 1000",
        "d < 1000",
        "d > -1000",
        "d IN (0.1, 0.3, 1.11, 7)",
        "d NOT IN (0.1, 0.3, 1.11, 7)",
        "d = 0.1 OR d = 0.3",
        "big = 100000000000000000001",
        "big > 100000000000000000000.5",
        "f = 0",
        "f IN (0, 0.1, 5)",
        "f NOT IN (0, 0.1)",
        "f > 0.1",
        "f < -1e299",
        "f <> 7",
        "f < 6.5",
        "s = ''",
        "s = 'it''s'",
        "s <> 'a'",
        "s > 'a'",
        "s BETWEEN 'a' AND 'b'",
        "s LIKE 'a%'",
        "s NOT LIKE 'a%'",
        "NOT s LIKE '%'",
        "s LIKE '_'",
        "s LIKE 'a_b'",
        r"s LIKE 'a\%'",
        "s LIKE 'a!%b' ESCAPE '!'",
        "s LIKE 'a!_b' ESCAPE '!'",
        "s LIKE '%b'",
        "s LIKE ''",
        "s LIKE '%.%'",
        "s IN ('a', 'b', 'zz')",
        "s NOT IN ('a', 'b', 'zz')",
        "s IS NULL OR s = 'A'",
        "day = '2024-01-01'",
        "day = DATE '2024-01-01'",
        "day >= '2023-12-31' AND day < date '2024-02-29'",
        "day > TIMESTAMP '2024-01-01 00:00:01'",
        "day <= TIMESTAMP '2023-12-31 23:59:59.5'",
        "day IN ('2024-02-29', '0001-01-01', '9999-12-31')",
        "ts = '2024-01-01'",
        "ts > '2023-12-31 23:59:59'",
        "ts >= TIMESTAMP '2024-01-01 12:30:00.5'",
        "ts < '2024-01-01 12:30:00.500001'",
        "ts = '0001-01-01 00:00'",
        "time > '12:30'",
        "time = TIME '23:59:59.999999'",
        "time <= '12:30:00'",
        "yes",
        "NOT yes",
        "yes = FALSE",
        "yes <> TRUE",
        "yes AND i > 0 OR NOT yes AND i < 6",
        "NOT (yes OR i > 0)",
        "NOT (yes AND i > 0)",
        "NOT NOT yes",
        "TRUE",
        "FALSE OR i = 5",
        "NULL OR i = 5",
        "NOT NULL",
        "i = 5 AND NULL",
        "(((i = 5)))",
        "i=5 and n>5",
        "i IN(5)OR(n=0)",
        "n > +3",
    ],
)
def test_rows_are_those_that_duckdb_finds(oracle, condition):
    assert kept(condition) == oracle(condition)


LITERALS = {
    "i": st.integers(-300, 300).map(str) | st.decimals(-200, 200, places=1).map(str),
    "u": st.integers(0, 2**64).map(str),
    "d": st.decimals(-1100, 1100, places=2).map(str),
    "f": st.sampled_from(["0", "0.1", "5.5", "7", "-1e300", "1.5"]),
    "s": st.text("ab%_A", max_size=3).map(lambda text: f"'{text}'"),
    "day": st.dates().map(lambda day: f"'{day}'"),
    "ts": st.datetimes(dt.datetime(2023, 12, 31), dt.datetime(2024, 1, 2)).map(
        lambda at: f"TIMESTAMP '{at}'"
    ),
}
OPS = st.sampled_from(["=", "<>", "<", "<=", ">", ">="])


@st.composite
def column_tests(draw) -> str:
    column = draw(st.sampled_from(sorted(LITERALS)))
    literal = LITERALS[column] | st.just("NULL")
    kind = draw(st.integers(0, 4))
    negation = draw(st.sampled_from(["", "NOT "]))
    if kind == 0:
        return f"{column} IS {negation}NULL"
    if kind == 1:
        values = ", ".join(draw(st.lists(literal, min_size=1, max_size=4)))
        return f"{column} {negation}IN ({values})"
    if kind == 2:
        return f"{column} {negation}BETWEEN {draw(LITERALS[column])} AND {draw(literal)}"
    if kind == 3 and column == "s":
        return f"s {negation}LIKE {draw(LITERALS['s'])}"
    return f"{column} {draw(OPS)} {draw(literal)}"


CONDITIONS = st.recursive(
    column_tests(),
    lambda inner: (
        st.builds("({} AND {})".format, inner, inner)
        | st.builds("({} OR {})".format, inner, inner)
        | st.builds("NOT ({})".format, inner)
    ),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(CONDITIONS)
def test_any_condition_keeps_the_rows_that_duckdb_keeps(oracle, condition):
    assert kept(condition) == oracle(condition)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The table sorted in several ways, in row groups of two rows, as narrower types too."""
    directory = tmp_path_factory.mktemp("t")
    for number, order in enumerate(("n", "i", "s", "ts")):
        table = TABLE.sort_by(order)
        if number == 1:
            table = table.set_column(7, "s", table["s"].dictionary_encode())
            table = table.set_column(1, "i", table["i"].cast(pa.int32()))
        if number == 2:
            table = table.set_column(9, "ts", table["ts"].cast(pa.timestamp("ns"), safe=False))
            table = table.filter(pc.field("n") > 3)
            table = table.set_column(9, "ts", table["ts"].cast(pa.timestamp("us")))
        pq.write_table(table, directory / f"{number}.parquet", row_group_size=2)
    return directory


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(CONDITIONS, st.booleans())
def test_pruning_loses_no_row(files, condition, all_columns):
    """Row groups are left out by their statistics; what remains is what a plain filter keeps."""
    everything = open_tables(f"t={files}")["t"]
    pruned = open_tables(f"t={files}", SourceOptions(where=condition))["t"]
    wanted = None if all_columns else ["n"]
    typed = Condition.of(parse(condition), everything.schema, "t")
    expected = [
        (batch.origin, batch.position(row), batch.data["n"][row].as_py())
        for batch in everything.batches(1 << 20)
        for row in np.flatnonzero(typed.mask(batch.data))
    ]
    found = [
        (batch.origin, batch.position(row), batch.data["n"][row].as_py())
        for batch in pruned.batches(1 << 20, wanted)
        for row in range(batch.data.num_rows)
    ]
    assert found == expected


@pytest.mark.parametrize(
    ("condition", "groups"),
    [
        ("n = 5", [2]),
        ("n IN (0, 11)", [0, 5]),
        ("n > 100", []),
        ("NOT n < 10", [5]),
        ("n < 2 AND s LIKE 'a%'", [0]),
        ("n < 2 OR s LIKE 'a%'", [0, 1, 2, 3, 4, 5]),
        ("n BETWEEN 3 AND 4 OR i = 7", [1, 2, 4, 5]),
        ("n IS NULL", []),
        ("n IN (" + ", ".join(map(str, range(8, 200))) + ")", [4, 5]),
    ],
)
def test_which_row_groups_are_read(tmp_path, monkeypatch, condition, groups):
    pq.write_table(TABLE, tmp_path / "t.parquet", row_group_size=2)
    read = []
    plain = pq.ParquetFile.iter_batches

    def iter_batches(self, **options):
        read.extend(options["row_groups"])
        return plain(self, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", iter_batches)
    source = open_tables(str(tmp_path / "t.parquet"), SourceOptions(where=condition))["t"]
    list(source.batches(1 << 20))
    assert read == groups


def test_only_columns_that_are_needed_are_read(tmp_path, monkeypatch):
    pq.write_table(TABLE, tmp_path / "t.parquet")
    asked = []
    plain = pq.ParquetFile.iter_batches

    def iter_batches(self, **options):
        asked.append(options["columns"])
        return plain(self, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", iter_batches)
    source = open_tables(str(tmp_path / "t.parquet"), SourceOptions(where="I = 5 AND d < 1"))["t"]
    (batch,) = source.batches(1 << 20, ["n", "d"])
    assert asked == [["n", "d", "i"]]
    assert batch.data.schema.names == ["n", "d"]
    assert [batch.position(row) for row in range(batch.data.num_rows)] == [5, 6]


def test_nan_is_null_as_it_is_loaded(tmp_path):
    table = pa.table({"n": [0, 1, 2, 3], "f": [1.0, math.nan, None, math.inf]})
    table = table.append_column("h", table["f"].cast(pa.float16()))
    path = tmp_path / "t.parquet"
    pq.write_table(table, path, row_group_size=1)
    for column in "fh":
        for condition, expected in {
            "{} > 0": [0, 3],
            "NOT {} > 0": [],
            "{} <> 1": [3],
            "{} NOT IN (1, 2)": [3],
            "{} IS NULL": [1, 2],
            "{} IS NOT NULL": [0, 3],
        }.items():
            where = condition.format(column)
            assert kept(where, table) == expected
            source = open_tables(str(path), SourceOptions(where=where))["t"]
            read = [n for b in source.batches(1 << 20) for n in b.data["n"].to_pylist()]
            assert read == expected, where


def categorical(texts: pa.Array) -> pa.Array:
    """As polars exports them."""
    encoded = texts.dictionary_encode()
    views = encoded.dictionary.cast(pa.string_view())
    return pa.DictionaryArray.from_arrays(encoded.indices.cast(pa.uint32()), views)


def runs_of(values: pa.Array) -> pa.Array:
    ends = pa.array(range(1, len(values) + 1), pa.int32())
    return pa.RunEndEncodedArray.from_arrays(ends, values)


@pytest.mark.parametrize(
    "layout",
    [
        lambda s: s.cast(pa.large_string()),
        lambda s: s.cast(pa.string_view()),
        lambda s: s.dictionary_encode(),
        pc.run_end_encode,
        categorical,
        lambda s: runs_of(s.cast(pa.string_view())),
        lambda s: runs_of(categorical(s)),
        lambda s: pa.ExtensionArray.from_storage(
            pa.opaque(pa.string_view(), "t", "v"), s.cast(pa.string_view())
        ),
    ],
)
def test_layouts_of_texts_are_the_same_texts(layout):
    table = TABLE.set_column(7, "s", pa.chunked_array([layout(TABLE["s"].combine_chunks())]))
    for condition in ("s = 'a'", "s LIKE 'a%'", "s IN ('a', 'b', 'zz')", "s IS NULL", "s > 'a'"):
        assert kept(condition, table) == kept(condition)


def test_zones_are_instants():
    at = [dt.datetime(2024, 1, 1, hour, tzinfo=dt.UTC) for hour in range(4)]
    table = pa.table({"n": range(4), "ts": pa.array(at, pa.timestamp("s", "Europe/Berlin"))})
    assert kept("ts = '2024-01-01 02:00'", table) == [2]
    assert kept("ts = '2024-01-01T02:00:00Z'", table) == [2]
    assert kept("ts = '2024-01-01 02:00:00+01:30'", table) == []
    assert kept("ts > '2024-01-01 02:00:00+01:30'", table) == [1, 2, 3]
    assert kept("ts < TIMESTAMP '2024-01-01 00:00:00-02'", table) == [0, 1]


def test_other_types():
    table = pa.table(
        {
            "n": [0, 1],
            "uuid": pa.array([b"\0" * 15 + b"\1", None], pa.uuid()),
            "dur": pa.array([90, None], pa.duration("s")),
            "bool8": pa.array([1, 0], pa.int8()).cast(pa.bool8()),
            "list": [[1], None],
            "bin": [b"x", None],
            "null": pa.nulls(2),
            "date64": pa.array([dt.date(2024, 1, 1), None], pa.date64()),
        }
    )
    assert kept("uuid = '00000000-0000-0000-0000-000000000001'", table) == [0]
    assert kept("dur > 89.5", table) == [0]
    assert kept("bool8", table) == [0]
    assert kept("list IS NULL", table) == [1]
    assert kept("bin IS NOT NULL", table) == [0]
    assert kept('"null" IS NULL AND NOT n = 0', table) == [1]
    assert kept("date64 = '2024-01-01'", table) == [0]
    for condition in ("list = 1", "bin = 'x'", "uuid = 'x'", "bin LIKE 'x'"):
        with pytest.raises(UsageError, match="--where"):
            kept(condition, table)


@pytest.mark.parametrize(
    ("condition", "position", "word"),
    [
        ("", 1, "empty"),
        ("  ", 1, "empty"),
        ("i", 2, "TRUE"),
        ("i =", 4, "the end"),
        ("i = 5 5", 7, "'5'"),
        ("x = 1", 1, "no column 'x'"),
        ("i = 5 AND x = 1", 11, "no column 'x'"),
        ('"I" = 1', 1, "no column 'I'"),
        ("(i = 1", 7, "\\)"),
        ("i = 1)", 6, "the end"),
        ("i ! 5", 3, "'!'"),
        ("s = 'x", 5, "never closed"),
        ('"s = 5', 1, "never closed"),
        ("s = 5", 5, "'single quotes'|cannot be compared with 5"),
        ("i = 'x'", 5, "int8"),
        ("i = TRUE", 5, "TRUE"),
        ("yes = 1", 7, "bool"),
        ("day = '2024-13-01'", 7, "month"),
        ("day = '1.1.2024'", 7, "YYYY-MM-DD"),
        ("ts = '2024-01-01 00:00Z'", 6, "zone"),
        ("time = '25:00'", 8, "hour"),
        ("day = TIME '10:00'", 7, "TIME"),
        ("i LIKE 'x'", 1, "LIKE is for texts"),
        ("s LIKE 5", 8, "single quotes"),
        ("s LIKE 'a' ESCAPE 'xx'", 19, "one character"),
        ("s LIKE 'a!' ESCAPE '!'", 1, "escape"),
        ("i = n", 1, "two columns"),
        ("1 = 1", 1, "two values"),
        ("i IS 5", 6, "NULL"),
        ("i NOT 5", 7, "IN, LIKE or BETWEEN"),
        ("i IN ()", 7, "a value"),
        ("i IN (5", 8, "\\)"),
        ("NOT", 4, "the end"),
        ("'a'", 4, "comparison"),
        ("i = 5; DROP TABLE t", 6, "';'"),
        ("i + 1 = 5", 3, "'\\+'"),
        ("i = 5abc", 5, "'5'"),
        ("(" * 60 + "i = 1" + ")" * 60, 51, "nested"),
        ("NOT " * 60 + "i = 1", 201, "nested"),
        ("i = " + "9" * 2000, 5, "1000 digits"),
    ],
)
def test_mistakes_are_told_with_their_place(condition, position, word):
    with pytest.raises(UsageError, match=word) as error:
        kept(condition)
    assert error.value.message.startswith(f"--where, at character {position}:")
    assert error.value.details["position"] == position
    assert error.value.hint


def test_an_unknown_column_is_told_with_those_that_are_known(tmp_path):
    for name in ("one", "two"):
        pq.write_table(TABLE.select(["n"] if name == "two" else ["n", "s"]), tmp_path / name)
    sources = {name: str(tmp_path / name) for name in ("one", "two")}
    with pytest.raises(UsageError, match=r"table 'two' has no column 's'") as error:
        open_tables(sources, SourceOptions(format="parquet", where="s = 'a'"))
    assert "every table" in error.value.hint
    assert "n" in error.value.hint


def test_names_that_differ_in_case():
    table = pa.table({"n": [0, 1], "Year": [1, 2], "YEAR": [2, 1]})
    assert kept("Year = 2", table) == [1]
    assert kept('"YEAR" = 2', table) == [0]
    with pytest.raises(UsageError, match="'Year' and 'YEAR'"):
        kept("year = 2", table)


def test_odd_names():
    table = pa.table(
        {"n": [0, 1], "order date": [1, 2], 'a"b': [1, 2], "größe": [1, 2], "IN": [1, 2]}
    )
    for name in ('"order date"', '"a""b"', "größe", '"IN"'):
        assert kept(f"{name} > 1", table) == [1]


def test_what_might_be_with_some_of_the_columns():
    batch = pa.record_batch({"year": [2023, 2024, None]})

    def rows(condition: str) -> list[bool]:
        return possible(parse(condition), batch).tolist()

    assert rows("year = 2024") == [False, True, False]
    assert rows("NOT year = 2024") == [True, False, False]
    assert rows("year = 2024 AND x = 1") == [False, True, False]
    assert rows("year = 2024 OR x = 1") == [True, True, True]
    assert rows("NOT (year = 2024 OR x = 1)") == [True, False, False]
    assert rows("year = DATE '2024-01-01'") == [True, True, True]
    assert rows("x = 1") == [True, True, True]
    assert rows("year IS NULL") == [False, False, True]


def test_huge_numbers_are_quick():
    assert kept("i < 1e9999") == kept("i IS NOT NULL")
    assert kept("f < 1e9999") == kept("f IS NOT NULL")


WIDTHS = {
    "floats": (
        [pa.float32(), pa.float64()],
        [0.0, 0.1, 0.5, 1 / 3, 16777216.0, 16777217.0, -0.1, math.nan, 3e38],
        ["0.1", "0.5", "0.3333333333333333", "16777216", "16777217", "-0.1", "0.10000000149011612"],
    ),
    "integers": (
        [pa.int8(), pa.int32(), pa.int64(), pa.uint8()],
        [0, 1, 100, 127, 5],
        ["0", "100", "127.5", "128", "-129", "4294967296", "1e30"],
    ),
    "decimals": (
        [pa.decimal128(5, 0), pa.decimal128(9, 2), pa.decimal256(40, 10)],
        [D(0), D(1), D(-7), D(999)],
        ["0.5", "1", "-7.000000001", "999.999", "100000000000"],
    ),
    "days": (
        [pa.date32(), pa.date64()],
        [dt.date(1969, 12, 31), dt.date(1970, 1, 1), dt.date(2024, 2, 29)],
        ["'1970-01-01'", "'2024-02-29'", "'1969-12-31 12:00'"],
    ),
    "moments": (
        [pa.timestamp("s"), pa.timestamp("ms"), pa.timestamp("us"), pa.timestamp("ns")],
        [dt.datetime(1970, 1, 1), dt.datetime(2024, 2, 29, 12), dt.datetime(1969, 12, 31, 23)],
        ["'1970-01-01'", "'1970-01-01 00:00:00.000000001'", "'2024-02-29 12:00:00.5'"],
    ),
}


@pytest.mark.parametrize("family", WIDTHS)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_pruning_files_of_other_types_leaves_out_nothing(tmp_path, family, data):
    types, values, literals = WIDTHS[family]
    for stem, kind in zip("ab", data.draw(st.permutations(types)), strict=False):
        rows = data.draw(st.lists(st.sampled_from([*values, None]), min_size=1, max_size=4))
        table = pa.table({"x": pa.array(rows).cast(kind, safe=False)})
        pq.write_table(table, tmp_path / f"{stem}.parquet", row_group_size=1)
    name, literal = str(tmp_path), data.draw(st.sampled_from(literals))
    test = data.draw(st.sampled_from(["= {}", "<> {}", "< {}", "<= {}", "> {}", "IN ({}, 0)"]))
    test = "<> {}" if literal.startswith("'") and "IN" in test else test
    whole = open_tables({"t": name})["t"]
    where = f"x {test.format(literal)}"
    condition = Condition.of(parse(where), whole.schema, "t")
    expected = [
        value
        for batch in whole.batches(1 << 20)
        for value, keep in zip(batch.data["x"].to_pylist(), condition.mask(batch.data), strict=True)
        if keep
    ]
    source = open_tables({"t": name}, SourceOptions(where=where))["t"]
    assert [v for b in source.batches(1 << 20) for v in b.data["x"].to_pylist()] == expected, where


@pytest.mark.parametrize("condition", ["x > 0.1", "x <> 0.1", "x < 16777217", "x <> 16777217"])
def test_a_float_of_one_file_is_compared_as_the_wider_one_of_the_other(tmp_path, condition):
    floats = pa.table({"x": pa.array([0.1, 16777216], pa.float32())})
    pq.write_table(floats, tmp_path / "a", row_group_size=1)
    pq.write_table(pa.table({"x": pa.array([-1.0])}), tmp_path / "b")
    options = SourceOptions(format="parquet", where=condition)
    source = open_tables({"t": [str(tmp_path)]}, options)["t"]
    read = [value for b in source.batches(1 << 20) for value in b.data["x"].to_pylist()]
    with duckdb.connect() as connection:
        rows = pa.table({"x": [float(np.float32(0.1)), 16777216.0, -1.0]})
        connection.register("t", rows)
        expected = connection.sql(f"SELECT x FROM t WHERE {condition}").fetchall()
    assert read == [value for (value,) in expected]


def test_messages_tell_the_type_of_the_values(tmp_path):
    (tmp_path / "year=2024").mkdir()
    pq.write_table(pa.table({"n": [1]}), tmp_path / "year=2024" / "a.parquet")
    for condition in ("year = 'x'", "year LIKE 'x'"):
        with pytest.raises(UsageError, match="column 'year' is int64"):
            open_tables(str(tmp_path), SourceOptions(where=condition))
