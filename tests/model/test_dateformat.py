"""Dates in formats of their own, compared with what Python's datetime says."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.model import DataType
from loader.model.dateformat import is_default, parse_dates, parse_format

DATE, US, NS, TIME = pa.date32(), pa.timestamp("us"), pa.timestamp("ns"), pa.time64("ns")


def parse(text: str | None, date_format: str, target=None):
    understood = parse_format(date_format)
    target = target or understood.arrow_type_for(understood.data_type)
    return parse_dates(pa.array([text]), understood, target)[0].as_py()


@pytest.mark.parametrize(
    ("date_format", "text", "expected"),
    [
        ("dd/MM/yyyy", "29/02/2024", dt.date(2024, 2, 29)),
        ("yyyyMMdd", "20240131", dt.date(2024, 1, 31)),
        ("DD.MM.YYYY", "31.12.9999", dt.date(9999, 12, 31)),
        ("d.M.yyyy", "3.1.0001", dt.date(1, 1, 3)),
        ("d/M/yyyy", "03/01/2024", dt.date(2024, 1, 3)),
        ("dd-MMM-yyyy", "05-feb-1969", dt.date(1969, 2, 5)),
        ("MMM d, yyyy", "DEC 5, 2017", dt.date(2017, 12, 5)),
        ("yyyy年MM月dd日", "2024年02月01日", dt.date(2024, 2, 1)),
        ("'Day 'dd'/'MM''yyyy", "Day 01/02'2024", dt.date(2024, 2, 1)),
        ("yyyy-MM-ddTHH:mm", "2024-02-01T23:59", dt.datetime(2024, 2, 1, 23, 59)),
        ("YYYY-MM-DD hh:mm:ss", "1000-01-01 00:00:00", dt.datetime(1000, 1, 1)),
        ("dd/MM/yyyy HH:mm:ss.SSS", "01/02/2024 01:02:03.045", None),
        ("yyyyMMddHHmmssSSSSSS", "20240201010203000001", dt.datetime(2024, 2, 1, 1, 2, 3, 1)),
        ("M/d/yyyy h:mm a", "2/1/2024 12:30 am", dt.datetime(2024, 2, 1, 0, 30)),
        ("M/d/yyyy h:mm a", "2/1/2024 12:30 PM", dt.datetime(2024, 2, 1, 12, 30)),
        ("M/d/yyyy h:mm a", "2/1/2024 1:05 PM", dt.datetime(2024, 2, 1, 13, 5)),
        ("HH:mm:ss", "23:59:59", dt.time(23, 59, 59)),
        ("H:mm", "9:05", dt.time(9, 5)),
        ("HHmmss,SSS", "010203,004", dt.time(1, 2, 3, 4000)),
    ],
)
def test_texts_that_follow_their_format(date_format, text, expected):
    found = parse(text, date_format)
    assert found == (expected or dt.datetime(2024, 2, 1, 1, 2, 3, 45_000))


@pytest.mark.parametrize(
    ("date_format", "text"),
    [
        ("dd/MM/yyyy", "31/02/2024"),
        ("dd/MM/yyyy", "29/02/1900"),
        ("dd/MM/yyyy", "00/01/2024"),
        ("dd/MM/yyyy", "01/13/2024"),
        ("dd/MM/yyyy", "01/00/2024"),
        ("dd/MM/yyyy", "01/01/0000"),
        ("dd/MM/yyyy", "1/01/2024"),
        ("dd/MM/yyyy", "01/01/24"),
        ("dd/MM/yyyy", "01-01-2024"),
        ("dd/MM/yyyy", " 01/01/2024"),
        ("dd/MM/yyyy", "01/01/2024 "),
        ("dd/MM/yyyy", "01/01/2024\n"),
        ("dd/MM/yyyy", "+1/01/2024"),
        ("dd/MM/yyyy", "\u0660\u0661/01/202"),
        ("dd/MM/yyyy", ""),
        ("d/M/yyyy", "001/1/2024"),
        ("d/M/yyyy", "1/1/2024\n"),
        ("dd-MMM-yyyy", "01-Mai-2024"),
        ("yyyy-MM-dd HH:mm", "2024-01-01 24:00"),
        ("yyyy-MM-dd HH:mm", "2024-01-01 23:60"),
        ("HH:mm:ss", "23:59:60"),
        ("h:mm a", "0:30 AM"),
        ("h:mm a", "13:30 PM"),
        ("h:mm a", "1:30"),
        ("HH:mm:ss.SSS", "01:02:03.4"),
    ],
)
def test_texts_that_do_not(date_format, text):
    assert parse(text, date_format) is None


def test_null_stays_null():
    assert parse(None, "dd/MM/yyyy") is None
    assert parse(None, "d/M/yyyy") is None


@pytest.mark.parametrize(
    ("date_format", "why"),
    [
        ("", "no part of a date"),
        ("dd/MM/yy", "century"),
        ("dd/MM", "lacks the year"),
        ("HH", "lacks the minute"),
        ("HH:ss", "second without the minute"),
        ("mm:ss", "minute without the hour"),
        ("HH:mm:SSS", "fraction without the second"),
        ("yyyy-MM-dd yyyy", "year twice"),
        ("yyyy-MM-MMM-dd", "month twice"),
        ("dd/MM/yyyy Z", "time zones"),
        ("EEE dd/MM/yyyy", "'EEE'"),
        ("yyyyMd", "where the month ends"),
        ("yyyy-MM-dd at HH:mm", "'a'|twice|'t'"),
        ("yyyy-MM-dd HH:mm:ss.SSSSSSSSSS", "'SSSSSSSSSS'"),
    ],
)
def test_formats_that_are_none(date_format, why):
    with pytest.raises(ValueError, match=why):
        parse_format(date_format)


def test_what_a_format_can_be_sent_as():
    day, moment, clock = (
        parse_format(text) for text in ("dd/MM/yyyy", "dd/MM/yyyy HH:mm", "HH:mm")
    )
    assert (day.data_type, moment.data_type, clock.data_type) == (
        *(DataType.DATE, DataType.DATETIME, DataType.TIME),
    )
    assert day.arrow_type_for(DataType.DATETIME) == US
    assert parse("01/02/2024", "dd/MM/yyyy", US) == dt.datetime(2024, 2, 1)
    assert moment.arrow_type_for(DataType.DATE) is None
    assert clock.arrow_type_for(DataType.DATETIME) is None
    assert day.arrow_type_for(DataType.STRING) is None
    fine = parse_format("yyyy-MM-dd HH:mm:ss.SSSSSSSSS")
    assert fine.arrow_type_for(DataType.DATETIME) == NS


def test_nanoseconds_reach_only_so_far():
    date_format = parse_format("yyyy-MM-dd HH:mm:ss.SSSSSSSSS")
    texts = [f"{year}-06-01 00:00:00.000000001" for year in (1500, 1678, 2261, 2300)]
    found = parse_dates(pa.array(texts), date_format, NS)
    assert found.is_null().to_pylist() == [True, False, False, True]
    assert found[1].value == (dt.date(1678, 6, 1) - dt.date(1970, 1, 1)).days * 86_400 * 10**9 + 1


def test_the_default_of_the_documents_is_iso_8601():
    assert is_default("YYYY-MM-DD[(T)hh:mm:[ss]]")
    assert not is_default("yyyy-MM-dd")


@pytest.mark.parametrize(
    "texts",
    [
        pa.array(["x", "01/02/2024", None, "03/04/2025"]).slice(1),
        pa.array(["01/02/2024", None, "03/04/2025"], pa.large_string()),
        pa.array(["01/02/2024", None, "03/04/2025"], pa.string_view()),
        pa.array(["01/02/2024", None, "03/04/2025"]).dictionary_encode(),
        pa.array(["01/02/2024", None, "03/04/2025"], pa.json_()),
        pa.RunEndEncodedArray.from_arrays([1, 2, 3], ["01/02/2024", None, "03/04/2025"]),
    ],
    ids=lambda array: str(array.type),
)
def test_strings_of_any_layout(texts):
    for text in ("dd/MM/yyyy", "d/M/yyyy"):
        found = parse_dates(texts, parse_format(text), DATE)
        assert found.to_pylist() == [dt.date(2024, 2, 1), None, dt.date(2025, 4, 3)]
        found.validate(full=True)
    assert len(parse_dates(texts.slice(0, 0), parse_format("d/M/yyyy"), DATE)) == 0
    assert len(parse_dates(texts.slice(0, 0), parse_format("dd/MM/yyyy"), DATE)) == 0


@given(st.lists(st.none() | st.dates() | st.text("0123456789/", max_size=11), max_size=20))
def test_dates_are_those_of_python(values):
    texts = [f"{v:%d/%m}/{v.year:04}" if isinstance(v, dt.date) else v for v in values]
    expected = [v if isinstance(v, dt.date) else _python(v) for v in values]
    found = parse_dates(pa.array(texts, pa.string()), parse_format("dd/MM/yyyy"), DATE)
    assert found.to_pylist() == expected


def _python(text: str | None) -> dt.date | None:
    if text is None or len(text) != 10:
        return None
    try:
        return dt.datetime.strptime(text, "%d/%m/%Y").date()
    except ValueError:
        return None


@given(st.lists(st.datetimes(), max_size=20))
def test_moments_are_those_of_python(values):
    texts = [f"{v.month}/{v.day}/{v.year:04} {v:%H:%M:%S.%f}" for v in values]
    date_format = parse_format("M/d/yyyy HH:mm:ss.SSSSSS")
    assert parse_dates(pa.array(texts, pa.string()), date_format, US).to_pylist() == values


@given(st.lists(st.times(), max_size=20))
def test_times_are_those_of_python(values):
    texts = [f"{v:%I:%M:%S.%f %p}" for v in values]
    date_format = parse_format("hh:mm:ss.SSSSSS a")
    assert parse_dates(pa.array(texts, pa.string()), date_format, TIME).to_pylist() == values
