"""``--ingest sink``: envelope and length are checked, nothing else is looked at."""

from __future__ import annotations

import json

import pytest

from loader.emulator.bodies import END
from tests.emulator.harness import chunk
from tests.emulator.test_finding import _row_count
from tests.emulator.test_uploads import table1


@pytest.fixture
async def sink(light):
    return await light(ingest="sink")


async def _session(api):
    dataset = await api.dataset()
    return dataset, await api.session(dataset, table1())


def large(data: str = "A" * (4 * END), **more) -> str:
    return json.dumps({"tableName": "table1", "index": 1, "data": data, **more})


@pytest.mark.parametrize("order", [("tableName", "index", "data"), ("data", "index", "tableName")])
@pytest.mark.parametrize("size", [0, 4, END, 2 * END - 60, 2 * END, 5 * END])
async def test_data_of_any_size_anywhere(sink, order, size):
    _, session = await _session(sink)
    values = {"tableName": "table1", "index": 1, "data": "A" * size}
    await sink.ok("PUT", session, {key: values[key] for key in order})
    (upload,) = sink.emulator.uploads
    assert upload.tables["table1"].json_bytes == size // 4 * 3


async def test_padding_is_not_json(sink):
    _, session = await _session(sink)
    await sink.ok("PUT", session, large("A" * (4 * END - 2) + "=="))
    (upload,) = sink.emulator.uploads
    assert upload.tables["table1"].json_bytes == 3 * END - 2


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (large("A" * (4 * END + 1)), "no multiple of 4"),
        (large(tableName="x"), "not one of this upload session's tables"),
        (large(index=0), "whole number from 1"),
        (large(note="B" * (2 * END), data="W10="), "the one large member"),
        (large()[:-1], "not JSON"),
        (large() + "x", "more after its end"),
    ],
)
async def test_what_a_sink_refuses(sink, body, says):
    _, session = await _session(sink)
    answer = await sink.call("PUT", session, body)
    assert answer.status == 400
    assert says in answer.message


async def test_indices_count_rows_do_not(sink):
    dataset, session = await _session(sink)
    await sink.ok("PUT", session, chunk("whatever", index=2))
    says = "1 were not uploaded"
    await sink.refused(409, "ERR006", says, "POST", f"{session}/publish")
    await sink.ok("PUT", session, chunk("whatever"))
    assert (await sink.publish(session))["status"] == 1
    assert await _row_count(sink, dataset, "table1") is None


async def test_one_request_calls_are_sunk_too(sink):
    table = {"name": "t", "columnHeaders": [{"name": "c", "dataType": "DOUBLE"}], "data": "AAAA"}
    metric = {"name": "c", "expressions": [{"formula": "t.c"}]}
    await sink.ok("POST", "/datasets", {"name": "d", "tables": [table], "metrics": [metric]})
