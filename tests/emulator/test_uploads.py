"""Upload sessions: each rule broken alone."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.emulator.harness import GatedArchive, ManualClock, chunk, encoded, sample, until

ROW = [1, "2017-12-04", "11:00:00", "Books", 100.5]


def table1(**more):
    return {"name": "table1", "updatePolicy": "replace", **more}


@pytest.mark.parametrize(
    ("tables", "status", "code", "says"),
    [
        ([], 400, "ERR006", "tables is empty"),
        ([{"updatePolicy": "add"}], 400, "ERR007", "tables[0].name is missing"),
        ([table1(), table1()], 409, "ERR015", "'table1' is there already"),
        ([table1(name="x")], 404, "ERR004", "no table 'x'; its tables are 'table1', 'table2'"),
        ([{"name": "table1"}], 400, "ERR007", "updatePolicy is missing"),
        ([table1(updatePolicy="merge")], 400, "ERR006", "are add, update, upsert, replace"),
        ([table1(orientation="diagonal")], 400, "ERR006", "there are ROW and COLUMN"),
        ([table1(columnHeaders=["ID", "Date", 3])], 400, "ERR006", "columnHeaders[2]"),
        ([table1(columnHeaders=["ID", "date"])], 400, "ERR006", "no column 'date'"),
        ([table1(columnHeaders=["ID", "ID"])], 409, "ERR015", "'ID' is there twice"),
        (
            [table1(columnHeaders=["ID", "Date", "Time", "Category"])],
            400,
            "ERR006",
            "column 'Cost' of table 'table1' is not there",
        ),
    ],
)
async def test_opening_rules(light, tables, status, code, says):
    api = await light()
    dataset = await api.dataset()
    await api.refused(status, code, says, "POST", f"{dataset}/uploadSessions", {"tables": tables})


@pytest.mark.parametrize(
    ("body", "status", "code", "says"),
    [
        ({"index": 1, "data": ""}, 400, "ERR007", "tableName is missing"),
        ({"tableName": "table1", "data": ""}, 400, "ERR007", "index is missing"),
        ({"tableName": "table1", "index": 1}, 400, "ERR007", "data is missing"),
        ({**chunk([ROW]), "tableName": "x"}, 400, "ERR006", "not one of this upload session's"),
        ({**chunk([ROW]), "index": 0}, 400, "ERR006", "index must be a whole number from 1"),
        ({**chunk([ROW]), "index": 1.5}, 400, "ERR006", "not 1.5"),
        ({**chunk([ROW]), "index": "one"}, 400, "ERR006", "not 'one'"),
        ({**chunk([ROW]), "index": True}, 400, "ERR006", "not True"),
        ({**chunk([ROW]), "data": "W10"}, 400, "ERR006", "no multiple of 4"),
        ({**chunk([ROW]), "data": "W1-="}, 400, "ERR006", "character '-' at"),
        ({**chunk([ROW]), "data": "W=0="}, 400, "ERR006", "not base64"),
        ({**chunk([ROW]), "data": "W10\n"}, 400, "ERR006", "not base64"),
        ({**chunk([ROW]), "data": None}, 400, "ERR006", "data must be a string"),
        ({**chunk([ROW]), "data": []}, 400, "ERR006", "no string and no number"),
        (chunk("[[1,"), 400, "ERR006", "data of table 'table1'"),
        (chunk(b"[[NaN, null, null, null, null]]"), 400, "ERR006", "not valid JSON"),
        (chunk(b'[[1, null, null, "\xff", null]]'), 400, "ERR006", "not UTF-8"),
        (chunk([ROW, [*ROW, 1]]), 400, "ERR006", "row 2 has 6 values for 5 columns"),
        (chunk([ROW, ROW[1:]]), 400, "ERR006", "row 2 has 4 values for 5 columns"),
        (chunk([[*ROW[:4], "abc"]]), 400, "ERR006", "row 1, column 'Cost': 'abc'"),
        (chunk([[2**31, *ROW[1:]]]), 400, "ERR006", "is not an INTEGER"),
        (chunk({"ID": 1}), 400, "ERR006", "not an array"),
    ],
)
async def test_chunk_rules(light, body, status, code, says):
    api = await light()
    session = await api.session(await api.dataset(), table1())
    await api.refused(status, code, says, "PUT", session, body)
    assert (await api.put(session, [ROW])).status == 200


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"tableName"}',
        '{"tableName": "table1",}',
        '{"tableName": "table1" "index": 1}',
        '{"tableName": "table1", "index": 1, "data": "W10="} x',
        '{"tableName": "table1", "index": 1, "data": "W10=',
        '{"tableName": "table1", "index": 1, "data": "W10=", "data": "W10="}',
        '{"tableName": "table1", "index": one, "data": "W10="}',
        '{"tableName": "\\x", "index": 1, "data": "W10="}',
    ],
)
async def test_put_bodies_that_are_no_json(light, text):
    api = await light()
    session = await api.session(await api.dataset(), table1())
    answer = await api.call("PUT", session, text)
    assert answer.status == 400
    assert "request body" in answer.message


async def test_a_body_of_unknown_length(light):
    api = await light()
    session = await api.session(await api.dataset(), table1())

    async def pieces():
        text = json.dumps(chunk([ROW])).encode()
        for start in range(0, len(text), 7):
            yield text[start : start + 7]

    headers = {**api.headers, "Content-Type": "application/json"}
    url = f"{api.listener.url}/api{session}"
    async with api.http.put(url, data=pieces(), headers=headers) as answer:
        assert answer.status == 200


async def test_white_space_and_escaped_slashes(api):
    session = await api.session(await api.dataset(), table1())
    data = encoded([[1, None, None, "?" * 60, None]])
    assert "/" in data
    escaped = data.replace("/", "\\/")
    head, tail = ' \r\n{ "data" :\t"', '" ,\n"extra": null, "tableName":"table1", "index" : "1" }\n'
    await api.ok("PUT", session, head + escaped + tail)
    await api.publish(session)
    assert api.sql('SELECT "Category" FROM "testModel"."table1"') == [("?" * 60,)]


async def test_columns_come_in_the_order_of_the_headers(api):
    headers = ["Cost", "Category", "Time", "Date", "ID"]
    session = await api.session(await api.dataset(), table1(columnHeaders=headers))
    await api.ok("PUT", session, chunk([ROW[::-1]]))
    await api.publish(session)
    assert api.sql('SELECT "ID", "Cost" FROM "testModel"."table1"') == [(1, 100.5)]


async def test_one_open_session_for_each_dataset(light):
    api = await light()
    dataset = await api.dataset()
    other = await api.dataset(json.loads(sample("model.json")) | {"name": "other"})
    session = await api.session(dataset)
    await api.refused(
        409, "ERR015", "concurrent", "POST", f"{dataset}/uploadSessions", {"tables": [table1()]}
    )
    await api.session(other)
    await api.ok("DELETE", session)
    await api.session(dataset)


async def test_a_published_session_is_not_concurrent(light):
    api = await light()
    dataset = await api.dataset()
    session = await api.session(dataset)
    await api.publish(session)
    await api.session(dataset)
    assert (await api.ok("GET", f"{session}/publishStatus")).body["status"] == 1


async def test_one_open_session_for_each_login(light):
    api = await light(session_scope="login")
    dataset = await api.dataset()
    other = await api.dataset(json.loads(sample("model.json")) | {"name": "other"})
    await api.session(dataset)
    body = {"tables": [table1()]}
    await api.refused(409, "ERR015", "login", "POST", f"{other}/uploadSessions", body)
    await api.login()
    await api.session(other)


async def test_a_session_whose_login_is_gone_blocks_nobody(light):
    clock = ManualClock()
    api = await light(clock=clock, session_timeout=60)
    dataset = await api.dataset()
    old = await api.session(dataset)
    await api.put(old, [ROW])
    clock.time += 61
    await api.login()
    assert (await api.put(old, [ROW], index=2)).status == 200  # it can be resumed
    await api.session(dataset)
    await api.refused(404, "ERR004", "no upload session", "PUT", old, chunk([ROW]))


async def test_unknown_sessions(light):
    api = await light()
    dataset = await api.dataset()
    path = f"{dataset}/uploadSessions/{'0' * 32}"
    for method, tail in [
        ("PUT", ""),
        ("DELETE", ""),
        ("POST", "/publish"),
        ("GET", "/publishStatus"),
    ]:
        body = chunk([ROW]) if method == "PUT" else None
        await api.refused(404, "ERR004", "no upload session", method, path + tail, body)
    await api.refused(
        404, "ERR004", "no dataset", "POST", f"/datasets/{'0' * 32}/uploadSessions", {}
    )


async def test_indices_must_be_contiguous_at_publish(light):
    api = await light()
    session = await api.session(await api.dataset(), table1())
    for index in (1, 3, 6):
        await api.put(session, [ROW], index=index)
    says = "must be 1 to 6 without a hole, but 2, 4, 5 were not uploaded"
    await api.refused(409, "ERR006", says, "POST", f"{session}/publish")
    for index in (5, 4, 2):
        await api.put(session, [ROW], index=index)
    assert (await api.publish(session))["status"] == 1


async def test_order_strict(light):
    api = await light(order="strict")
    session = await api.session(await api.dataset(), table1())
    await api.refused(409, "ERR006", "1 must come next", "PUT", session, chunk([ROW], index=2))
    assert (await api.put(session, [ROW], index=1)).status == 200
    assert (await api.put(session, [ROW], index=2)).status == 200


async def test_order_window(light):
    api = await light(order="window", window=2)
    session = await api.session(await api.dataset(), table1())
    assert (await api.put(session, [ROW], index=3)).status == 200
    await api.refused(409, "ERR006", "1 is missing", "PUT", session, chunk([ROW], index=4))
    await api.put(session, [ROW], index=1)
    assert (await api.put(session, [ROW], index=4)).status == 200


@pytest.mark.parametrize(
    ("repeat", "status", "kept"),
    [
        ("replace", 200, [2]),
        ("ignore", 200, [1]),
        ("append", 200, [1, 2]),
        ("reject", 409, [1]),
    ],
)
async def test_a_repeated_index(emulate, repeat, status, kept):
    api = await emulate(repeat_index=repeat)
    await api.login()
    session = await api.session(await api.dataset(), table1())
    assert (await api.put(session, [ROW])).status == 200
    assert (await api.put(session, [[2, *ROW[1:]]])).status == status
    await api.publish(session)
    assert [row for (row,) in api.sql('SELECT "ID" FROM "testModel"."table1"')] == kept


class _Held:
    """A PUT whose body is not finished until the test says so."""

    def __init__(self, api, session):
        self.rest = asyncio.Event()
        self.begun = asyncio.Event()
        headers = {**api.headers, "Content-Type": "application/json"}
        self._url, self._http, self._headers = f"{api.listener.url}/api{session}", api.http, headers

    async def pieces(self):
        text = json.dumps(chunk([ROW])).encode()
        yield text[:5]
        self.begun.set()
        await self.rest.wait()
        yield text[5:]

    async def put(self):
        async with self._http.put(self._url, data=self.pieces(), headers=self._headers) as answer:
            return answer.status, await answer.text()


async def _under_way(api, session):
    held = _Held(api, session)
    task = asyncio.create_task(held.put())
    await held.begun.wait()
    (upload,) = api.emulator.uploads
    await until(lambda: upload.puts)
    return held, task


async def test_no_parallel(light):
    api = await light(parallel=False)
    session = await api.session(await api.dataset(), table1())
    held, task = await _under_way(api, session)
    await api.refused(400, "ERR010", "--no-parallel", "PUT", session, chunk([ROW], index=2))
    held.rest.set()
    assert (await task)[0] == 200
    assert (await api.put(session, [ROW], index=2)).status == 200


async def test_parallel_puts_are_fine_by_default(light):
    api = await light()
    session = await api.session(await api.dataset(), table1())
    answers = await asyncio.gather(*(api.put(session, [ROW], index=n) for n in range(1, 9)))
    assert {answer.status for answer in answers} == {200}
    assert (await api.publish(session))["status"] == 1


async def test_publish_waits_for_no_put(light):
    api = await light()
    session = await api.session(await api.dataset(), table1())
    held, task = await _under_way(api, session)
    await api.refused(409, "ERR006", "1 PUTs", "POST", f"{session}/publish")
    held.rest.set()
    assert (await task)[0] == 200


async def test_a_put_into_a_session_that_was_deleted_meanwhile(light):
    api = await light()
    session = await api.session(await api.dataset(), table1())
    held, task = await _under_way(api, session)
    await api.ok("DELETE", session)
    held.rest.set()
    status, text = await task
    assert (status, json.loads(text)["code"]) == (404, "ERR004")


async def test_a_client_that_goes_away_leaves_no_trace(light):
    api = await light(parallel=False)
    session = await api.session(await api.dataset(), table1())
    _, task = await _under_way(api, session)
    task.cancel()
    (upload,) = api.emulator.uploads
    await until(lambda: not upload.puts)
    assert api.emulator.traffic.last()[0]["status"] == 499
    assert (await api.put(session, [ROW])).status == 200


async def test_states(light):
    archive = GatedArchive()
    api = await light(archive=archive)
    session = await api.session(await api.dataset(), table1())
    await api.put(session, [ROW])
    await api.refused(409, "ERR006", "not published", "GET", f"{session}/publishStatus")
    await api.ok("POST", f"{session}/publish")
    body = (await api.ok("GET", f"{session}/publishStatus")).body
    assert (body["status"], body["message"]) == (6, "sql execution")
    await api.refused(409, "ERR006", "publishing", "PUT", session, chunk([ROW]))
    await api.refused(409, "ERR006", "publishing", "POST", f"{session}/publish")
    archive.gate.set()
    assert (await api.outcome(session))["status"] == 1
    await api.refused(409, "ERR006", "published", "PUT", session, chunk([ROW]))
    await api.refused(409, "ERR006", "published", "POST", f"{session}/publish")
    await api.ok("DELETE", session)
    await api.refused(404, "ERR004", "no upload session", "DELETE", session)


async def test_a_failed_publish(light):
    archive = GatedArchive()
    archive.fail = ValueError("table 'table1' has no key")
    archive.gate.set()
    api = await light(archive=archive)
    dataset = await api.dataset()
    session = await api.session(dataset, table1())
    await api.put(session, [ROW])
    body = await api.publish(session)
    assert (body["status"], body["message"]) == (3, "table 'table1' has no key")
    await until(lambda: archive.discarded)
    await api.session(dataset)


async def test_update_without_a_key_fails_the_publish(api):
    body = json.loads(sample("model.json"))
    body["attributes"] = []
    session = await api.session(await api.dataset(body), table1(updatePolicy="upsert"))
    await api.put(session, [ROW])
    outcome = await api.publish(session)
    assert outcome["status"] == 3
    assert "table1" in outcome["message"]


async def test_deleting_a_session_discards_its_data(api):
    dataset = await api.dataset()
    session = await api.session(dataset)
    await api.put(session, [ROW])
    await api.ok("DELETE", session)
    await api.publish(await api.session(dataset))
    assert api.sql('FROM "testModel"."table1"') == []
    assert api.sql("FROM mstr_emulator.chunks") == []


@pytest.mark.parametrize("how", ["delete", "logout", "delete the dataset", "overwrite"])
async def test_what_cancels_a_running_publish(light, how):
    archive = GatedArchive()
    api = await light(archive=archive)
    dataset = await api.dataset()
    session = await api.session(dataset, table1())
    await api.put(session, [ROW])
    await api.ok("POST", f"{session}/publish")
    await asyncio.to_thread(archive.entered.wait, 10)
    if how == "delete":
        await api.ok("DELETE", session)
    elif how == "logout":
        await api.ok("POST", "/auth/logout")
        await api.login()
    elif how == "overwrite":
        await api.dataset()
    else:
        await api.ok("DELETE", f"/objects/{dataset.rsplit('/', 1)[1]}?type=3")
    assert archive.interrupted
    assert session.rsplit("/", 1)[1] in archive.discarded
    assert (await api.call("GET", f"{session}/publishStatus")).status == 404
    assert not any(item.published for item in api.emulator.catalogue)


async def test_a_publish_that_has_not_begun_is_cancelled_at_once(light):
    class Clock(ManualClock):
        async def sleep(self, seconds):
            if seconds == 3600:
                await asyncio.Event().wait()

    archive = GatedArchive()
    api = await light(archive=archive, publish_time=3600, clock=Clock())
    dataset = await api.dataset()
    session = await api.session(dataset, table1())
    await api.ok("POST", f"{session}/publish")
    assert (await api.ok("GET", f"{session}/publishStatus")).body["status"] == 6
    await api.ok("DELETE", session)
    assert not archive.entered.is_set()
    await api.session(dataset)


async def test_a_logout_ends_the_open_sessions_of_that_login_only(light):
    api = await light()
    session = await api.session(await api.dataset())
    headers = dict(api.headers)
    await api.login()
    await api.ok("POST", "/auth/logout")
    api.headers = headers
    assert (await api.put(session, [ROW])).status == 200
    await api.ok("POST", "/auth/logout")
    await api.login()
    await api.refused(404, "ERR004", "no upload session", "DELETE", session)
