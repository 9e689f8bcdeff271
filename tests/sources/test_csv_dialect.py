from __future__ import annotations

import pytest

from loader.errors import UsageError
from loader.sources.base import CsvOptions
from loader.sources.csv_dialect import Dialect, check


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"delimiter": ""}, "--csv-delimiter"),
        ({"delimiter": "||"}, "--csv-delimiter"),
        ({"delimiter": "§"}, "--csv-delimiter"),
        ({"delimiter": "\n"}, "--csv-delimiter"),
        ({"delimiter": '"'}, "--csv-quote"),
        ({"delimiter": ",", "decimal": ","}, "--csv-decimal"),
        ({"delimiter": "#", "comment": "#"}, "--csv-comment"),
        ({"delimiter": "\\", "escape": "\\"}, "--csv-escape"),
        ({"quote": "''"}, "--csv-quote"),
        ({"quote": "'", "comment": "'"}, "--csv-comment"),
        ({"quote": ",", "decimal": ","}, "--csv-decimal"),
        ({"escape": ""}, "--csv-escape"),
        ({"escape": "ab"}, "--csv-escape"),
        ({"comment": "//"}, "--csv-comment"),
        ({"decimal": "·"}, "--csv-decimal"),
        ({"decimal": ";"}, "--csv-decimal"),
        ({"skip_lines": -1}, "--csv-skip-lines"),
        ({"nulls": ("a\nb",)}, "--csv-null"),
        ({"types": "guess"}, "--csv-types"),
        ({"encoding": "utf-9"}, "--csv-encoding"),
        ({"encoding": "base64"}, "--csv-encoding"),
        ({"encoding": "idna"}, "--csv-encoding"),
        ({"encoding": "utf\0"}, "--csv-encoding"),
    ],
)
def test_options_that_mean_nothing_are_refused_by_name(options, named):
    with pytest.raises(UsageError, match=named) as error:
        check(CsvOptions(**options))
    assert error.value.hint


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"delimiter": "\t"},
        {"delimiter": " "},
        {"delimiter": "\x01", "quote": ""},
        {"delimiter": ";", "decimal": ","},
        {"decimal": ","},
        {"escape": '"'},
        {"escape": "\\", "quote": ""},
        {"comment": "."},
        {"encoding": "Latin-1"},
        {"encoding": "UTF-16"},
        {"encoding": "cp037"},
        {"encoding": "shift_jis"},
        {"nulls": ()},
        {"nulls": ("", "NA", "\\N")},
    ],
)
def test_options_that_go_together(options):
    check(CsvOptions(**options))


def test_a_dialect():
    assert Dialect.of(CsvOptions(), ",") == Dialect(b",", b'"', b"", b"")
    assert Dialect.of(CsvOptions(escape='"'), ",").escape == b""
    assert Dialect.of(CsvOptions(quote=""), ",").quote == b""
    with pytest.raises(UsageError, match="--csv-null"):
        Dialect.of(CsvOptions(nulls=("n;a",)), ";")
    with pytest.raises(UsageError, match="--csv-comment"):
        Dialect.of(CsvOptions(comment=";"), ";")
