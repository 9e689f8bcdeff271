from __future__ import annotations

import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loader.badrow import BadRow
from loader.errors import BadValue, SourceUnreadable
from loader.sources import csv_files, csv_parse, csv_text
from loader.sources.base import CsvOptions, SourceOptions
from loader.sources.csv_files import CsvSource

SCANS = pytest.mark.parametrize("types", ["scan", "sample"])


@pytest.fixture
def opened(tmp_path):
    def open_(
        content: str | bytes,
        *,
        keep: bool = True,
        text_columns: frozenset[str] = frozenset(),
        **options: object,
    ) -> CsvSource:
        path = tmp_path / "t.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        csv_options = CsvOptions(**options)
        source_options = SourceOptions(
            csv=csv_options, keep_bad_rows=keep, text_columns=text_columns
        )
        return CsvSource([str(path)], "t", source_options)

    return open_


def read(
    source: CsvSource, batch_bytes: int = 1 << 20, columns: list[str] | None = None
) -> tuple[dict[int, tuple], list[BadRow]]:
    """Returns the rows by their number, and the bad ones; checks that they come in order."""
    rows: dict[int, tuple] = {}
    bad: list[BadRow] = []
    for batch in source.batches(batch_bytes, columns):
        assert batch.data.num_rows or batch.rejected
        numbers = [batch.position(index) + 1 for index in range(batch.data.num_rows)]
        told = [row.row for row in batch.rejected]
        assert told == sorted(told)
        last = max([0, *rows, *(row.row for row in bad)])
        assert all(number > last for number in (*numbers, *told))
        rows |= {n: tuple(r.values()) for n, r in zip(numbers, batch.data.to_pylist(), strict=True)}
        bad += batch.rejected
    assert not set(rows) & {row.row for row in bad}
    return rows, bad


@SCANS
@pytest.mark.parametrize("batch_bytes", [1, 1 << 20])
def test_bad_rows_are_handed_on_beside_the_good_ones(opened, types, batch_bytes):
    text = b'a,b\n1,x\n2\n\n3,"y\n,",z\n4,caf\xe9\n5,end\n6,caf\xe9,\xe9\n'
    source = opened(text, types=types)
    rows, bad = read(source, batch_bytes)
    assert rows == {1: (1, "x"), 5: (5, "end")}
    assert [(row.row, row.column, row.value) for row in bad] == [
        (2, None, "2"),
        (3, None, '3,"y\n,",z'),
        (4, "b", r"caf\xe9"),
        (6, None, r"6,caf\xe9,\xe9"),
    ]
    assert [row.reason for row in bad] == [
        "has 1 field where the header has 2 columns",
        "has 3 fields where the header has 2 columns",
        "is not valid UTF-8",
        "has 3 fields where the header has 2 columns",
    ]
    assert all(row.hint and row.origin.endswith("t.csv") for row in bad)
    assert source.rows == (2 if types == "scan" else None)


def test_a_malformed_row_ends_a_scan_unless_bad_rows_are_kept(opened):
    with pytest.raises(BadValue) as error:
        opened(b"a,b\n1,\xe9\n1\n", keep=False)
    assert error.value.details["row"] == 1
    assert error.value.details["table"] == "t"


@SCANS
@pytest.mark.parametrize("named", ["a", "t.a"])
def test_a_scan_leaves_malformed_rows_to_the_reading_that_may_find_earlier_bad_ones(
    opened, types, named
):
    wished = frozenset({named})
    source = opened(b"a,b\nx,1\n2,2\n3\n", keep=False, types=types, text_columns=wished)
    rows, (bad,) = read(source)
    assert rows == {1: ("x", 1), 2: ("2", 2)}
    assert (bad.row, bad.value) == (3, "3")
    if types == "scan":
        with pytest.raises(BadValue):
            opened(b"a,b\n1\n", keep=False, text_columns=frozenset({"u.a", "c"}))


def test_a_sample_leaves_malformed_rows_to_the_reading(opened):
    rows, (bad,) = read(opened(b"a,b\n1,1\n1\n2,2\n", keep=False, types="sample"))
    assert list(rows) == [1, 3]
    assert bad.row == 2


def test_bad_rows_do_not_decide_types(opened):
    source = opened(b"a,b\n1,1\nx\nx,\xe9\n2,2\n")
    assert [str(field.type) for field in source.schema] == ["int64", "int64"]
    assert read(source)[0] == {1: (1, 1), 4: (2, 2)}


def test_broken_text_makes_a_row_bad_whichever_columns_are_read(opened):
    source = opened(b"a,b\n1,x\n2,\xe9\n")
    rows, (bad,) = read(source, columns=["a"])
    assert rows == {1: (1,)}
    assert (bad.row, bad.column) == (2, "b")


def test_text_broken_over_two_fields(opened):
    # Together the ends of one and the beginning of the next are a character.
    rows, bad = read(opened(b"a,b\nx\xc3,\xa9y\n\xc3,z\n\xa9,z\n\xc3\xa9,z\n"))
    assert rows == {4: ("é", "z")}
    assert [(row.row, row.column) for row in bad] == [(1, "a"), (2, "a"), (3, "a")]


def test_text_that_is_not_of_the_named_encoding(opened):
    rows, (bad,) = read(opened(b"a,b\n1,\x80\n2,\x81x\n", encoding="cp1252"))
    assert rows == {1: (1, "€")}
    assert (bad.row, bad.column, bad.value) == (2, "b", "\ufffdx")
    assert bad.reason == "is not valid CP1252"
    assert "--csv-encoding" in bad.hint


@pytest.mark.parametrize(
    ("text", "columns", "expected"),
    [
        ("n,m\n1,a\n2,b\n", None, {}),
        ("n,m\n1,a\nx,b\n", None, {2: ("n", "x")}),
        ("n,m\n1,1\nx,y\n3,z\n", None, {2: ("n", "x"), 3: ("m", "z")}),
        ("n,m\n1,1\nx,y\n3,z\n", ["m"], {2: ("m", "y"), 3: ("m", "z")}),
        ("n,m\n1,1\n,\n2,\n", None, {}),
    ],
)
def test_values_that_do_not_fit_their_sampled_type(opened, monkeypatch, text, columns, expected):
    monkeypatch.setattr(csv_files, "_SAMPLE_ROWS", 1)
    rows, bad = read(opened(text, types="sample"), columns=columns)
    assert {row.row: (row.column, row.value) for row in bad} == expected
    assert len(rows) + len(bad) == text.count("\n") - 1
    assert all("the type of the first rows" in row.reason for row in bad)


def test_decimal_commas_that_do_not_fit(opened, monkeypatch):
    monkeypatch.setattr(csv_files, "_SAMPLE_ROWS", 1)
    source = opened("a;b\n1,5;1\n2.5;1\n3,5;1\n", decimal=",", types="sample")
    rows, (bad,) = read(source)
    assert rows == {1: (1.5, 1), 3: (3.5, 1)}
    assert bad.value == "2.5"


def test_a_sample_goes_on_until_it_finds_a_good_row(opened, monkeypatch):
    monkeypatch.setattr(csv_text, "_BLOCK", 16)
    source = opened("a,b\n" + "1\n" * 50 + "1,2\n" * 5, types="sample")
    assert [str(field.type) for field in source.schema] == ["int64", "int64"]
    rows, bad = read(source)
    assert (len(rows), len(bad)) == (5, 50)


@SCANS
@pytest.mark.parametrize("content", ["a,b\n1\n2\n", "a,b\n1,2,3"])
def test_nothing_but_bad_rows(opened, types, content):
    rows, bad = read(opened(content, types=types))
    assert rows == {}
    assert len(bad) == content.count("\n1") + content.count("\n2")


def test_a_quote_that_is_never_closed_ends_the_file_all_the_same(opened):
    with pytest.raises(SourceUnreadable) as error:
        opened('a,b\n1,2\n1\n1,"\n2,3\n')
    assert error.value.details["row"] == 3


def test_so_many_bad_rows_come_in_several_batches(opened, monkeypatch):
    monkeypatch.setattr(csv_parse, "MOST_REJECTED", 10)
    monkeypatch.setattr(csv_files, "MOST_REJECTED", 10)
    monkeypatch.setattr(csv_files, "_SAMPLE_ROWS", 1)
    lines = [b"1,x", b"1", b"1,\xe9", b"y,x"]
    source = opened(b"a,b\n" + b"\n".join(lines * 100), types="sample")
    for batch in source.batches(1 << 20):
        assert len(batch.rejected) <= 20
    rows, bad = read(source)
    assert list(rows) == list(range(1, 401, 4))
    assert [row.row for row in bad] == [n for n in range(1, 401) if n % 4 != 1]


@pytest.mark.parametrize("escape", [None, "\\"])
def test_bad_rows_between_comments_and_blank_lines(opened, escape):
    text = 'a;b\n#c\n1;x\n\n2\n#"d\n3;"y\n#z"\n\n4;5;6\n'
    rows, bad = read(opened(text, comment="#", escape=escape))
    assert rows == {1: (1, "x"), 3: (3, "y\n#z")}
    assert [(row.row, row.value) for row in bad] == [(2, "2"), (4, "4;5;6")]


CELLS = st.sampled_from(["1", "22", "", "x", "2024-01-01", "é,", 'a"b', "l\nm", "\udce9"])


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    table=st.lists(st.lists(CELLS, min_size=1, max_size=4), max_size=40),
    block=st.sampled_from([1, 16, 64, 1 << 20]),
    most=st.sampled_from([1, 3, 8192]),
    batch_bytes=st.sampled_from([1, 64, 1 << 20]),
    types=st.sampled_from(["scan", "sample"]),
)
def test_bad_rows_are_those_that_another_reader_finds(  # noqa: PLR0917 - of hypothesis
    opened, monkeypatch, table, block, most, batch_bytes, types
):
    table = [row for row in table if row != [""]]
    text = io.StringIO(newline="")
    csv.writer(text).writerows([["a", "b"], *table])
    data = text.getvalue().encode(errors="surrogateescape")
    monkeypatch.setattr(csv_text, "_BLOCK", block)
    monkeypatch.setattr(csv_parse, "MOST_REJECTED", most)
    monkeypatch.setattr(csv_files, "MOST_REJECTED", most)
    source = opened(data, types=types)
    rows, bad = read(source, batch_bytes)
    broken = {
        number
        for number, row in enumerate(table, 1)
        if len(row) != 2 or any("\udce9" in cell for cell in row)
    }
    misfit = {row.row for row in bad if row.column is not None and "\\xe9" not in row.value}
    assert {row.row for row in bad} - misfit == broken
    assert set(rows) == set(range(1, len(table) + 1)) - broken - misfit
    assert types == "sample" or not misfit
    if types == "scan":
        assert source.rows == len(rows)
    for number, row in rows.items():
        assert [str(value or "") for value in row] == table[number - 1]


@pytest.mark.slow
@pytest.mark.parametrize("bad", [b"1\n", b"1,\xe9\n", b"x,y\n"])
def test_a_million_rows_of_which_half_are_bad(opened, bad):
    good = b"1,x\n"
    source = opened(b"a,b\n" + good * 20_000 + (good + bad) * 490_000, types="sample")
    count = rejected = 0
    for batch in source.batches(1 << 20):
        assert len(batch.rejected) <= 2 * csv_parse.MOST_REJECTED
        count += batch.data.num_rows
        rejected += len(batch.rejected)
    assert (count, rejected) == (510_000, 490_000)
