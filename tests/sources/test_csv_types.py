from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.sources.csv_fits import misfits
from loader.sources.csv_types import Guess, convert, exact_doubles

UTC = dt.UTC


def guessed(values: list[str | None], step: int | None = None) -> pa.DataType:
    column = pa.array(values, pa.string())
    guess = Guess()
    step = step or max(len(values), 1)
    for start in range(0, len(values), step):
        guess.see(column.slice(start, step))
    return guess.data_type


CASES = [
    ([], pa.null()),
    ([None, None], pa.null()),
    (["", None], pa.string()),
    # Booleans
    (["true", "false", None, ""], pa.bool_()),
    (["True", "FALSE"], pa.bool_()),
    (["true", "yes"], pa.string()),
    (["true", "1"], pa.string()),
    (["1", "true"], pa.string()),
    # Whole numbers
    (["0", "1", "-5", None, ""], pa.int64()),
    (["-0"], pa.int64()),
    (["9223372036854775807", "-9223372036854775808"], pa.int64()),
    (["9223372036854775808"], pa.decimal128(19, 0)),
    (["1", "-9223372036854775809"], pa.decimal128(19, 0)),
    (["1" * 38], pa.decimal128(38, 0)),
    (["1" * 39], pa.decimal256(39, 0)),
    (["1" * 76], pa.decimal256(76, 0)),
    (["1" * 77], pa.string()),
    # What looks like a number but is a code
    (["1", "007"], pa.string()),
    (["1.5", "1e+-5"], pa.string()),
    (["1e+-5"], pa.string()),
    (["1e-+5"], pa.string()),
    (["1e++5"], pa.string()),
    (["1e+5", "1E-5", "1e5"], pa.float64()),
    (["-01"], pa.string()),
    (["00"], pa.string()),
    (["00.5"], pa.string()),
    (["+1"], pa.string()),
    (["0x1F"], pa.string()),
    (["1", " 2"], pa.string()),
    (["1 "], pa.string()),
    (["1,5"], pa.string()),
    (["1_000"], pa.string()),
    (["1-2"], pa.string()),
    (["1", "-"], pa.string()),
    (["--1"], pa.string()),
    (["1", "1."], pa.string()),
    (["1.5", "."], pa.string()),
    (["1.5", "1.2.3"], pa.string()),
    (["1/2"], pa.string()),
    (["1", "/"], pa.string()),
    (["1\n"], pa.string()),
    (["1", "\u0661"], pa.string()),
    (["1e"], pa.string()),
    (["1", "e5"], pa.string()),
    (["1", ".e5"], pa.string()),
    (["1", "01e5"], pa.string()),
    # Fractions
    (["0.5", "-1.25", "3"], pa.float64()),
    ([".5", "-.5"], pa.float64()),
    (["123456789012345"], pa.int64()),
    (["1234567890.12345"], pa.float64()),
    (["0.1234567890123456789"], pa.decimal128(20, 19)),
    (["0.30000000000000004"], pa.float64()),
    (["0.10000000000000001"], pa.decimal128(18, 17)),
    (["0.100000000000000000000000"], pa.float64()),
    (["1.5", "9007199254740992"], pa.float64()),
    (["1.5", "9007199254740993"], pa.decimal128(17, 1)),
    (["1234567890123456789012345678901234.5678"], pa.decimal128(38, 4)),
    (["12345678901234567890123456789012345.5678"], pa.decimal256(39, 4)),
    (["1" * 70 + ".1234567"], pa.string()),
    # Exponents
    (["1e5", "1E-5", "1.5e+300"], pa.float64()),
    (["2.2250738585072014e-308"], pa.float64()),
    (["1.2345678901234568e-05"], pa.float64()),
    (["1.000000000000000056e-01"], pa.decimal128(20, 19)),
    (["1e400"], pa.string()),
    (["1e-400"], pa.string()),
    (["1e99999"], pa.string()),
    # Words for numbers
    (["1.5", "NaN", "-inf", "Infinity"], pa.float64()),
    (["NaN", "1"], pa.float64()),
    (["NaN", "inf"], pa.string()),
    (["NaN", "9007199254740993"], pa.string()),
    (["NaN", "N/A"], pa.string()),
    # Dates
    (["2024-02-29", "0001-01-01", "9999-12-31"], pa.date32()),
    (["2023-02-29"], pa.string()),
    (["0000-01-01"], pa.string()),
    (["2024-1-1"], pa.string()),
    (["2024-01-01", "2024/01/01"], pa.string()),
    (["2024-01-01", "20240101"], pa.string()),
    (["2024-01-01", "2024-01-01T00:00:00"], pa.string()),
    # Timestamps
    (["2024-01-01T10:20:30", "2024-01-01 10:20", None], pa.timestamp("s")),
    (["2024-01-01T10:20:30.1"], pa.timestamp("ms")),
    (["2024-01-01T10:20:30", "2024-01-01T10:20:30.000001"], pa.timestamp("us")),
    (["2024-01-01T10:20:30.123456789", "2024-01-01T10:20:30.1"], pa.timestamp("ns")),
    (["2024-01-01T10:20:30.1234567890"], pa.string()),
    (["0001-01-01T00:00:00", "2024-01-01T00:00:00.000000001"], pa.string()),
    (["0001-01-01T00:00:00.000001", "9999-12-31 23:59:59.999999"], pa.timestamp("us")),
    (["0000-01-01T00:00:00"], pa.string()),
    (["2024-01-01T24:00:00"], pa.string()),
    (["2024-01-01T23:59:60"], pa.string()),
    (["2024-01-01T10"], pa.string()),
    (["2024-01-01T10:20:30", "2024-01-01"], pa.string()),
    (["2024-01-01T10:20:30", "2024-01-01 10"], pa.string()),
    # Instants
    (["2024-01-01T10:20:30Z", "2024-01-01 10:20:30.5+02:00"], pa.timestamp("ms", "UTC")),
    (["2024-01-01T10:20:30+0200", "2024-01-01T10:20-08"], pa.timestamp("s", "UTC")),
    (["2024-01-01T10:20:30Z", "2024-01-01T10:20:30"], pa.string()),
    (["2024-01-01T10:20:30", "2024-01-01T10:20:30Z"], pa.string()),
    (["0001-01-01T00:00:00+02:00"], pa.string()),
    # Times
    (["10:20", "23:59:59"], pa.time32("s")),
    (["10:20:30.5"], pa.time32("ms")),
    (["10:20:30.000001"], pa.time64("us")),
    (["10:20:30.000000001"], pa.time64("ns")),
    (["24:00:00"], pa.string()),
    (["9:05"], pa.string()),
    (["10:20", "10:20Z"], pa.string()),
    (["10:20", "10"], pa.string()),
    # Text
    (["abc", "1"], pa.string()),
    (["1", "2", "3", "x"], pa.string()),
]


@pytest.mark.parametrize("step", [None, 1])
@pytest.mark.parametrize(("values", "kind"), CASES)
def test_types(values, kind, step):
    assert guessed(values, step) == kind


def values_of(texts: list[str | None]) -> list:
    column = pa.array(texts, pa.string())
    guess = Guess()
    guess.see(column)
    return convert(column, guess.data_type).to_pylist()


def test_values():
    assert values_of(["true", None, "", "FALSE"]) == [True, None, None, False]
    assert values_of(["1", None, "", "-9223372036854775808"]) == [1, None, None, -(2**63)]
    assert values_of([".5", "1e3", "-inf"]) == [0.5, 1000.0, float("-inf")]
    assert values_of(["0.1", "0.12345678901234567891", ""]) == [
        Decimal("0.10000000000000000000"),
        Decimal("0.12345678901234567891"),
        None,
    ]
    assert values_of(["2024-02-29", ""]) == [dt.date(2024, 2, 29), None]
    assert values_of(["2024-01-01 10:20", "2024-01-01T10:20:30.25"]) == [
        dt.datetime(2024, 1, 1, 10, 20),
        dt.datetime(2024, 1, 1, 10, 20, 30, 250_000),
    ]
    assert values_of(["2024-01-01T00:00:00+02:00", ""]) == [
        dt.datetime(2023, 12, 31, 22, tzinfo=UTC),
        None,
    ]
    assert values_of(["10:20", "", "23:59:59.000001"]) == [
        dt.time(10, 20),
        None,
        dt.time(23, 59, 59, 1),
    ]
    assert values_of(["a", "", None]) == ["a", "", None]


NUMBERS = st.one_of(
    st.integers().map(str),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?", fullmatch=True),
)


@settings(deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=8))
def test_numbers_keep_their_value_whatever_type_they_get(texts):
    kind = guessed(texts)
    values = values_of(texts)
    if pa.types.is_floating(kind):
        values = [Decimal(repr(value)) for value in values]
    if not pa.types.is_string(kind):
        assert [Decimal(value) for value in values] == [Decimal(text) for text in texts]


LINES = st.one_of(
    NUMBERS,
    st.sampled_from([value for values, _ in CASES for value in values]),
    st.text(max_size=5),
    st.dates().map(str),
    st.datetimes().map(str),
    st.times().map(str),
)


@settings(deadline=None)
@given(st.lists(LINES, max_size=12), st.integers(1, 12))
def test_batching_does_not_matter_and_every_type_takes_its_texts(texts, step):
    column = pa.array(texts, pa.string())
    kind = guessed(texts)
    assert guessed(texts, step) == kind
    nulls = convert(column, kind).null_count
    blank = [text for text in texts if text is None or (text == "" and kind != pa.string())]
    assert nulls == len(blank)


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (["1,5", "-2,25", "3"], pa.float64(), [1.5, -2.25, 3.0]),
        (["1", "2"], pa.int64(), [1, 2]),
        ([",5", "1,5e3"], pa.float64(), [0.5, 1500.0]),
        (
            ["0,12345678901234567891"],
            pa.decimal128(21, 20),
            [Decimal("0.12345678901234567891")],
        ),
        (["1.5"], pa.string(), ["1.5"]),
        (["1,5", "1.234,5"], pa.string(), ["1,5", "1.234,5"]),
        (["1,5", "1.234"], pa.string(), ["1,5", "1.234"]),
        (["1.234", "1,5"], pa.string(), ["1.234", "1,5"]),
        (["1,5", "a.b"], pa.string(), ["1,5", "a.b"]),
        (["10:20:30.5"], pa.time32("ms"), [dt.time(10, 20, 30, 500_000)]),
        (["10:20:30,5"], pa.string(), ["10:20:30,5"]),
        (["1,5", None, ""], pa.float64(), [1.5, None, None]),
    ],
)
@pytest.mark.parametrize("offset", [0, 1])
def test_decimal_commas(values, kind, expected, offset):
    column = pa.array(["ü"] * offset + values, pa.string()).slice(offset)
    guess = Guess(comma=True)
    guess.see(column)
    assert guess.data_type == kind
    assert convert(column, kind, comma=True).to_pylist() == expected


# Nothing can be of a type that holds only null: a sample does not give it.
KINDS = [values for values, kind in CASES if kind not in {pa.string(), pa.null()}]


@settings(deadline=None, max_examples=600)
@given(st.sampled_from(KINDS), st.lists(LINES | st.none(), max_size=12), st.booleans())
def test_misfits_are_the_values_that_change_the_type(known, texts, comma):
    guess = Guess(comma=comma)
    guess.see(pa.array([t and t.replace(".", ",") if comma else t for t in known], pa.string()))
    kind = guess.data_type
    if comma:
        texts = [t and t.replace(".", ",") for t in texts]
    column = pa.array(texts, pa.string())
    before = replace(guess)
    found = misfits(guess, column, kind)
    assert guess == before
    wrong = []
    for text in texts:
        alone = replace(guess)
        alone.see(pa.array([text], pa.string()))
        wrong.append(alone.data_type != kind)
    assert (found.tolist() if found is not None else [False] * len(texts)) == wrong
    fitting = column.filter(pa.array([not w for w in wrong], pa.bool_()))
    convert(fitting, kind, comma=comma)


@pytest.mark.parametrize(
    ("known", "texts", "fit"),
    [
        (["1"], ["9223372036854775807", "9223372036854775808", "1" * 5000, "007"], [1, 0, 0, 0]),
        (
            ["1.5"],
            ["0.1", "0.10000000000000001", "9007199254740993", "nan", "1e400"],
            [1, 0, 0, 1, 0],
        ),
        (["1" * 20], ["2" * 20, "2" * 21, "1.5", "2e19", "2e20"], [1, 0, 0, 1, 0]),
        (["2024-01-01"], ["2024-02-30", "0000-00-00", "0000-01-01", "0001-01-01"], [0, 0, 0, 1]),
        (
            ["2024-01-01T00:00:00.123456789"],
            ["9999-12-31 00:00", "2262-04-11T23:47:14", "2023-02-29T00:00"],
            [0, 1, 0],
        ),
        (["2024-01-01T00:00:00Z"], ["0001-01-01T00:00+01", "0001-01-01T01:00+01"], [0, 1]),
        (["2024-01-01T00:00:00Z"], ["2024-01-01T00:00", "2024-01-01T00:00:00.1Z"], [0, 0]),
        (["10:20"], ["24:00", "23:59:60", "10:20:30.5"], [0, 0, 0]),
        (["true"], ["FALSE", "yes"], [1, 0]),
    ],
)
def test_values_that_do_not_fit(known, texts, fit):
    guess = Guess()
    guess.see(pa.array(known))
    found = misfits(guess, pa.array(texts), guess.data_type)
    assert found.tolist() == [not fits for fits in fit]


WORDS = ["", "nan", "true", "x", "007", "1,5", "1.5", "10:00", "10:00:00.5", "2024-01-01"]
NUMBERS = ["1", "-12", "9223372036854775808", "0.5", "0.30000000000000001", "1e5"]
MOMENTS = ["0001-01-01T00:00", "2024-01-01 00:00:00.123456789", "9999-12-31T23:59"]
MIXED = st.sampled_from([None, *WORDS, *NUMBERS, *MOMENTS, "2024-01-01T00:00Z"])


@settings(max_examples=400)
@given(
    st.sampled_from(["", "1", "2024-01-01T00:00", "10:00"]).flatmap(
        lambda first: st.lists(
            st.lists(MIXED | st.sampled_from([first, first, None]), max_size=4), max_size=5
        )
    ),
    st.booleans(),
    st.randoms(),
)
def test_guesses_of_parts_make_the_guess_of_the_whole(parts, comma, random):
    whole = Guess(comma=comma)
    guesses = []
    for part in parts:
        column = pa.array(part, pa.string())
        whole.see(column)
        guesses.append(Guess(comma=comma))
        guesses[-1].see(column)
    random.shuffle(guesses)
    joined = Guess(comma=comma)
    for guess in guesses:
        joined.join(guess)
    assert joined.data_type == whole.data_type
    assert joined.is_text == whole.is_text


@pytest.mark.parametrize(
    ("texts", "exact"),
    [
        ([], True),
        ([None, "123456789012345", "-1.5", "0.1"], True),
        (["9007199254740992", "1"], True),
        (["9007199254740993", "1"], False),
        (["1", "0.10000000000000001"], False),
        (["1", "0.30000000000000004"], True),
        (["1e5", "nan", "-inf", None], True),
        (["1e400", "nan"], False),
        (["nan", "0.10000000000000001"], False),
        (["0.1000000000000000000"], True),
    ],
)
def test_numbers_that_a_double_tells(texts, exact):
    assert exact_doubles(pa.array(texts, pa.string())) is exact
    assert exact_doubles(pa.array(["x" * 40, *texts], pa.string()).slice(1)) is exact
