"""The calls of an upload session: what goes out, and what comes back is checked."""

from __future__ import annotations

import pytest

from loader.api import (
    PublishState,
    UploadTable,
)
from loader.errors import (
    ProtocolViolation,
    UsageError,
)
from tests.api.calls import DATASET, SESSION, SESSIONS, Base64, project_headers


async def test_open_upload_session_sends_each_table_in_the_documented_spelling(server, client):
    server.give("POST", SESSIONS, payload={"uploadSessionId": SESSION})
    tables = [
        UploadTable("table1", "REPLACE", "row", ["ID", "Date"]),
        UploadTable("table2", "add", "COLUMN", ()),
    ]
    assert await client.open_upload_session(DATASET, tables) == SESSION
    request = server.request
    assert (request.method, request.path) == ("POST", SESSIONS)
    assert request.headers == project_headers(server)
    assert request.body == {
        "tables": [
            {
                "name": "table1",
                "updatePolicy": "replace",
                "orientation": "ROW",
                "columnHeaders": ["ID", "Date"],
            },
            {"name": "table2", "updatePolicy": "add", "orientation": "COLUMN"},
        ]
    }


@pytest.mark.parametrize("policy", ["add", "update", "upsert", "replace"])
def test_update_policies_are_the_four_documented_ones(policy):
    assert UploadTable("t", policy.upper(), "ROW", ()).update_policy == policy


@pytest.mark.parametrize(
    ("policy", "orientation"), [("delete", "ROW"), ("add", "records"), ("", "ROW")]
)
def test_upload_table_refuses_what_the_api_does_not_have(policy, orientation):
    with pytest.raises(UsageError, match=r"is not an (update policy|orientation)"):
        UploadTable("t", policy, orientation, ())


@pytest.mark.parametrize("answer", [{}, {"uploadSessionId": None}, {"uploadSessionId": ""}])
async def test_upload_session_without_an_id_is_a_protocol_violation(server, client, answer):
    server.give("POST", SESSIONS, payload=answer)
    with pytest.raises(ProtocolViolation, match=r"open an upload session.*'uploadSessionId'"):
        await client.open_upload_session(DATASET, [])


async def test_upload_session_answered_without_json_is_a_protocol_violation(server, client):
    server.give("POST", SESSIONS, body="ok")
    with pytest.raises(ProtocolViolation, match="not JSON"):
        await client.open_upload_session(DATASET, [])


async def test_put_chunk_sends_table_index_as_a_number_and_data(server, client):
    server.give("PUT", f"{SESSIONS}/{SESSION}", status=200)
    await client.put_chunk(DATASET, SESSION, table='t "1"', index=12, data=Base64())
    request = server.request
    assert (request.method, request.path) == ("PUT", f"{SESSIONS}/{SESSION}")
    assert request.headers == project_headers(server)
    assert request.body == {"tableName": 't "1"', "index": 12, "data": "WyBbMSwgMl0="}
    assert list(request.body) == ["tableName", "index", "data"]
    assert request.redirects is False


async def test_put_chunk_answered_by_a_web_page_is_no_success(server, client):
    page = "<html><title>Please sign on</title></html>"
    server.give("PUT", f"{SESSIONS}/{SESSION}", body=page, content_type="text/html")
    with pytest.raises(ProtocolViolation, match=r"chunk 3 of table 't'.*web page"):
        await client.put_chunk(DATASET, SESSION, table="t", index=3, data=Base64())


async def test_publish_posts_without_a_body(server, client):
    server.give("POST", f"{SESSIONS}/{SESSION}/publish", status=200)
    await client.publish(DATASET, SESSION)
    request = server.request
    assert request.path == f"{SESSIONS}/{SESSION}/publish"
    assert request.headers == project_headers(server)
    assert request.body is None


@pytest.mark.parametrize(
    ("status", "state", "code"),
    [
        ("1", PublishState.DONE, 1),
        (1, PublishState.DONE, 1),
        ("6", PublishState.RUNNING, 6),
        (6, PublishState.RUNNING, 6),
        ("18", PublishState.FAILED, 18),
        ("-1", PublishState.UNKNOWN, -1),
    ],
)
async def test_publish_status_is_a_get_and_takes_texts_and_numbers(
    server, client, status, state, code
):
    server.give(
        "GET",
        f"{SESSIONS}/{SESSION}/publishStatus",
        payload={"uploadSessionId": SESSION, "status": status, "message": "sql execution"},
    )
    answer = await client.publish_status(DATASET, SESSION)
    assert (answer.state, answer.code, answer.message) == (state, code, "sql execution")


async def test_publish_status_may_lack_its_message(server, client):
    server.give("GET", f"{SESSIONS}/{SESSION}/publishStatus", payload={"status": 6})
    assert (await client.publish_status(DATASET, SESSION)).message == ""


@pytest.mark.parametrize("answer", [{}, {"status": None}, {"status": "ready"}, {"status": True}])
async def test_publish_status_without_a_number_is_a_protocol_violation(server, client, answer):
    server.give("GET", f"{SESSIONS}/{SESSION}/publishStatus", payload=answer)
    with pytest.raises(ProtocolViolation, match="'status'"):
        await client.publish_status(DATASET, SESSION)


async def test_delete_upload_session(server, client):
    server.give("DELETE", f"{SESSIONS}/{SESSION}", status=200)
    await client.delete_upload_session(DATASET, SESSION)
    request = server.request
    assert (request.method, request.path) == ("DELETE", f"{SESSIONS}/{SESSION}")
    assert request.headers == project_headers(server)
