"""The body of a PUT, read without parsing its data."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.emulator.envelope import decode_base64, read_envelope
from loader.emulator.refusals import Refusal


@given(
    st.binary(max_size=300), st.text(max_size=20), st.permutations(["tableName", "index", "data"])
)
def test_what_json_says_is_what_is_read(data, table, keys):
    values = {"tableName": table, "index": 7, "data": base64.b64encode(data).decode()}
    body = json.dumps({key: values[key] for key in keys}, indent=1).encode()
    envelope = read_envelope(body)
    assert (envelope.table, envelope.index) == (table, 7)
    assert decode_base64(body, envelope) == data


@given(st.text(max_size=60))
def test_a_text_is_an_envelope_only_if_it_is_json(text):
    body = text.encode()
    try:
        read_envelope(body)
    except Refusal:
        return
    assert isinstance(json.loads(body), dict)


def envelope_of(text: bytes):
    body = b'{"tableName": "t", "index": 1, "data": "%s"}' % text
    return body, read_envelope(body)


def test_large_data_is_decoded_in_pieces():
    data = bytes(range(256)) * 50_000
    assert decode_base64(*envelope_of(base64.b64encode(data))) == data


@pytest.mark.parametrize(
    ("place", "character", "says"),
    [
        (5_000_000, b"-", "character '-' at 5000000"),
        (4_194_303, b"=", "padding before its end"),
        (0, b"=", "not base64"),
        (7, b"\\n", "not base64"),
    ],
)
def test_where_large_data_is_wrong(place, character, says):
    text = bytearray(base64.b64encode(bytes(6_000_000)))
    text[place : place + len(character)] = character
    with pytest.raises(Refusal, match=says):
        decode_base64(*envelope_of(bytes(text)))


def test_quotes_within_names():
    body = rb'{"tableName": "a \"b\" \\", "index": 1, "data": ""}'
    assert read_envelope(body).table == 'a "b" \\'
