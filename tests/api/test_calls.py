"""Every call: method, path, headers and body that go out, and what comes back is checked."""

from __future__ import annotations

import logging

import orjson
import pytest
from aiohttp import web

from loader.api import (
    Client,
    Connection,
    CreatedDataset,
    DatasetColumn,
    DatasetRef,
    DatasetTable,
    LoginMode,
    Project,
    PublishState,
    ServerInfo,
    UploadTable,
)
from loader.errors import (
    LoaderError,
    LoginFailed,
    NotFound,
    ProtocolViolation,
    Refused,
    SessionExpired,
    UnknownProject,
    UsageError,
)

DATASET = "D13539E5433CDB837363F086C6DA6B5C"
SESSION = "9A4EE1C04C4EA20C8A976A8172034DD0"
SESSIONS = f"/api/datasets/{DATASET}/uploadSessions"


class Base64:
    """Two slices of base64."""

    def __len__(self):
        return 12

    def __iter__(self):
        return iter([b"WyBbMSwg", b"Ml0="])


def user_headers(server):
    return {"X-MSTR-AuthToken": server.token}


def project_headers(server):
    return user_headers(server) | {"X-MSTR-ProjectID": server.project.id}


# -- the login -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [LoginMode.STANDARD, LoginMode.LDAP])
async def test_login_sends_json_and_keeps_the_token(server, mode):
    server.give("POST", "/api/auth/login", status=204, headers={"X-MSTR-AuthToken": "fresh"})
    server.give("GET", "/api/projects", payload=[])
    connection = Connection(server.url, username="u", password="p w", login_mode=mode)
    async with Client(connection) as client:
        await client.login()
        await client.projects()
    login, projects = server.requests
    assert (login.method, login.path, login.query) == ("POST", "/api/auth/login", [])
    assert login.body == {"loginMode": int(mode), "username": "u", "password": "p w"}
    assert login.headers == {}
    assert projects.headers == {"X-MSTR-AuthToken": "fresh"}


async def test_login_token_is_found_in_any_case(server):
    server.give("POST", "/api/auth/login", status=204, headers={"x-mstr-authtoken": "t"})
    async with Client(Connection(server.url)) as client:
        assert "logged out" in repr(client)
        await client.login()
        assert "logged in" in repr(client)


async def test_login_without_a_token_is_a_protocol_violation(server):
    server.give("POST", "/api/auth/login", status=200)
    async with Client(Connection(server.url)) as client:
        with pytest.raises(ProtocolViolation, match=r"log in.*X-MSTR-AuthToken"):
            await client.login()


async def test_login_answered_by_a_sign_on_page_hints_at_the_url(server):
    page = "<!doctype html><title>Sign on</title>"
    server.give("POST", "/api/auth/login", status=200, body=page, content_type="text/html")
    async with Client(Connection(server.url)) as client:
        with pytest.raises(ProtocolViolation) as caught:
            await client.login()
    assert "MicroStrategyLibrary" in caught.value.hint


async def test_wrong_password_is_login_failed_and_shows_no_secret(server, caplog):
    caplog.set_level(logging.DEBUG)
    body = {"code": "ERR003", "message": "Login failure for hidden-text", "ticketId": "t1"}
    server.give("POST", "/api/auth/login", status=401, payload=body)
    async with Client(Connection(server.url, username="u", password="hidden-text")) as client:
        with pytest.raises(LoginFailed) as caught:
            await client.login()
        assert "hidden-text" not in repr(client)
    error = caught.value
    assert error.ticket_id == "t1"
    assert "hidden-text" not in str(error) + repr(error.args) + repr(error.as_dict()) + caplog.text
    assert error.__cause__ is None
    assert error.__context__ is None


async def test_logout_goes_to_auth_logout_and_forgets_the_token(server, client):
    server.give("POST", "/api/auth/logout", status=204)
    await client.logout()
    await client.logout()  # nothing is left to do
    request = server.request
    assert (request.method, request.path) == ("POST", "/api/auth/logout")
    assert request.headers == user_headers(server)
    assert request.body is None
    with pytest.raises(RuntimeError, match="not logged in"):
        await client.keep_alive()


async def test_failed_logout_forgets_the_token_too(server, client):
    server.give("POST", "/api/auth/logout", status=401, payload={"code": "ERR009"})
    with pytest.raises(SessionExpired):
        await client.logout()
    await client.logout()
    assert len(server.requests) == 1


async def test_projects_are_listed(server, client):
    server.give(
        "GET",
        "/api/projects",
        payload=[{"id": "A1", "name": "Tutorial", "alias": "", "description": "", "status": 0}],
    )
    assert await client.projects() == [Project(id="A1", name="Tutorial")]
    assert server.request.headers == user_headers(server)


PROJECTS = [
    {"id": "ABCDEF", "name": "Tutorial"},
    {"id": "B2", "name": "ABCDEF"},
    {"id": "C3", "name": "Human Resources"},
]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("Tutorial", "ABCDEF"), ("ABCDEF", "ABCDEF"), ("abcdef", "ABCDEF"), ("c3", "C3")],
)
async def test_project_is_chosen_by_id_first_and_then_by_name(server, client, wanted, found):
    server.give("GET", "/api/projects", payload=PROJECTS)
    server.give("POST", "/api/datasets/models", payload={"id": "D", "name": "n"})
    assert (await client.select_project(wanted)).id == found
    await client.create_model({"name": "n"})
    assert server.requests[-1].headers["X-MSTR-ProjectID"] == found


@pytest.mark.parametrize(
    ("projects", "wanted", "hint"),
    [
        (PROJECTS, "tutoral", "'Tutorial'"),
        (PROJECTS, "zzz", "3 projects"),
        ([], "Tutorial", "no project at all"),
    ],
)
async def test_unknown_project_lists_close_names(server, client, projects, wanted, hint):
    server.give("GET", "/api/projects", payload=projects)
    with pytest.raises(UnknownProject) as caught:
        await client.select_project(wanted)
    assert hint in caught.value.hint


async def test_project_calls_need_a_project(server):
    async with Client(Connection(server.url)) as client:
        client._login.token = "t"
        with pytest.raises(RuntimeError, match="no project was selected"):
            await client.publish("D", "S")


async def test_calls_need_an_open_client(server):
    with pytest.raises(RuntimeError, match="not open"):
        await Client(Connection(server.url)).login()


async def test_server_info(server, client):
    server.give(
        "GET", "/api/status", payload={"iServerVersion": "11.5.0600", "webVersion": "11.5.1"}
    )
    assert await client.server_info() == ServerInfo("11.5.0600", "11.5.1")
    assert server.request.headers == user_headers(server)


async def test_session_timeout_and_keep_alive(server, client):
    server.give("GET", "/api/sessions", payload={"timeout": 1800})
    server.give("PUT", "/api/sessions", status=204)
    assert await client.session_timeout() == 1800
    await client.keep_alive()
    assert [request.headers for request in server.requests] == [user_headers(server)] * 2
    assert server.requests[1].body is None


@pytest.mark.parametrize("seconds", [None, True, "soon", [], {}])
async def test_session_timeout_that_is_no_number_is_a_protocol_violation(server, client, seconds):
    server.give("GET", "/api/sessions", payload={"timeout": seconds})
    with pytest.raises(ProtocolViolation, match="'timeout'"):
        await client.session_timeout()


# -- datasets ------------------------------------------------------------------------------------


async def test_create_dataset_sends_records_in_base64_and_keeps_the_table_ids(server, client):
    server.give(
        "POST",
        "/api/datasets",
        payload={
            "datasetId": DATASET,
            "name": "SALES_TABLE",
            "tables": [{"id": "T1", "name": "SALES_TABLE"}],
        },
    )
    body = {
        "name": "SALES_TABLE",
        "tables": [{"data": Base64(), "name": "SALES_TABLE", "columnHeaders": []}],
        "metrics": [{"name": "Cost", "expressions": [{"formula": "SALES_TABLE.Cost"}]}],
        "attributes": [],
    }
    created = await client.create_dataset(body)
    assert created == CreatedDataset(DATASET, "SALES_TABLE", {"SALES_TABLE": "T1"})
    request = server.request
    assert (request.method, request.path) == ("POST", "/api/datasets")
    assert request.headers == project_headers(server)
    table = body["tables"][0] | {"data": "WyBbMSwgMl0="}
    assert request.body == body | {"tables": [table]}


@pytest.mark.parametrize(
    ("answer", "missing"),
    [
        ({"name": "n", "tables": []}, "datasetId"),
        ({"datasetId": "", "name": "n", "tables": []}, "datasetId"),
        ({"datasetId": "D", "name": "n"}, "tables"),
        ({"datasetId": "D", "name": "n", "tables": [{"name": "t"}]}, "id"),
        ([], "JSON object"),
    ],
)
async def test_create_dataset_validates_the_answer(server, client, answer, missing):
    server.give("POST", "/api/datasets", payload=answer)
    with pytest.raises(ProtocolViolation, match=rf"create the dataset 'n'.*{missing}"):
        await client.create_dataset({"name": "n"})


@pytest.mark.parametrize("status", [200, 204])
async def test_update_table_patches_with_the_policy_in_a_header(server, client, status):
    server.give("PATCH", f"/api/datasets/{DATASET}/tables/T1", status=status)
    body = {"data": "W10=", "name": "SALES_TABLE", "columnHeaders": []}
    await client.update_table(DATASET, "T1", "replace", body)
    request = server.request
    assert request.method == "PATCH"
    assert request.headers == project_headers(server) | {"updatePolicy": "Replace"}
    assert request.body == body


async def test_update_table_refuses_a_policy_that_does_not_exist(client):
    with pytest.raises(UsageError, match="delete"):
        await client.update_table(DATASET, "T1", "delete", {})


async def test_create_model_sends_the_definition_as_it_is(server, client):
    server.give("POST", "/api/datasets/models", payload={"id": DATASET, "name": "testModel"})
    definition = {
        "name": "testModel",
        "tables": [{"name": "table1", "columnHeaders": [{"name": "ID", "dataType": "INTEGER"}]}],
        "metrics": [{"name": "C", "expressions": [{"tableName": "table1", "columnName": "C"}]}],
        "attributes": [],
    }
    assert await client.create_model(definition) == DATASET
    request = server.request
    assert (request.method, request.path) == ("POST", "/api/datasets/models")
    assert request.headers == project_headers(server)
    assert request.body == definition
    assert request.redirects is False


async def test_create_model_without_an_id_is_a_protocol_violation(server, client):
    server.give("POST", "/api/datasets/models", payload={"name": "n"})
    with pytest.raises(ProtocolViolation, match=r"definition of dataset 'n'.*'id'"):
        await client.create_model({"name": "n"})


async def test_search_finds_super_cubes_of_exactly_that_name(server, client):
    found = [
        {"id": "1", "name": "Käse & Co", "type": 3, "subtype": 779, "dateModified": "2026-01-02"},
        {"id": "2", "name": "KÄSE & CO", "type": 3, "subtype": 779},
        {"id": "3", "name": "Käse & Co", "type": 3, "subtype": 768},
        {"id": "4", "name": "Käse & Co", "type": 8, "subtype": 2048},
    ]
    query = "?name=K%C3%A4se+%26+Co&pattern=2&type=3"
    server.give("GET", f"/api/searches/results{query}", payload={"result": found})
    assert await client.search_datasets("Käse & Co") == [
        DatasetRef(id="1", name="Käse & Co", modified="2026-01-02")
    ]
    request = server.request
    assert request.query == [("name", "Käse & Co"), ("pattern", "2"), ("type", "3")]
    assert request.headers == project_headers(server)


def cubes(first, count):
    return [
        {"id": f"{number:032X}", "name": f"n{number}", "type": 3, "subtype": 779}
        for number in range(first, first + count)
    ]


@pytest.mark.parametrize(
    ("folder", "path"), [(None, "preDefined/20"), ("F1", "F1"), ("a/b", "a%2Fb")]
)
async def test_folder_is_listed_page_by_page(server, client, folder, path):
    url = f"/api/folders/{path}?limit=1000&offset="
    total = {"x-mstr-total-count": "1500"}
    folders = [{"id": "X", "name": "sub", "type": 8, "subtype": 2048}]
    server.give("GET", f"{url}0", payload=cubes(0, 999) + folders, headers=total)
    server.give("GET", f"{url}1000", payload=cubes(999, 500), headers=total)
    found = await client.folder_datasets(folder)
    assert [dataset.name for dataset in found] == [f"n{number}" for number in range(1499)]
    assert [dict(request.query)["offset"] for request in server.requests] == ["0", "1000"]


async def test_folder_without_a_total_ends_at_the_first_short_page(server, client):
    url = "/api/folders/F1?limit=1000&offset="
    server.give("GET", f"{url}0", payload=cubes(0, 1000))
    server.give("GET", f"{url}1000", payload=cubes(1000, 3))
    assert len(await client.folder_datasets("F1")) == 1003


@pytest.mark.parametrize("total", ["0", "7", "many"])
async def test_folder_listing_ends_at_an_empty_page_whatever_the_total_says(server, client, total):
    server.give(
        "GET",
        "/api/folders/F1?limit=1000&offset=0",
        payload=[],
        headers={"x-mstr-total-count": total},
    )
    assert await client.folder_datasets("F1") == []


async def test_dataset_tables_are_read_in_the_servers_order(server, client):
    server.give(
        "GET",
        f"/api/datasets/{DATASET}?fields=tables&fields=columns",
        payload={
            "id": DATASET,
            "name": "Sales",
            "result": {
                "definition": {
                    "availableObjects": {
                        "tables": [{"name": "t1"}, {"name": "t2"}],
                        "columns": [
                            {"tableName": "t1", "columnName": "b", "dataType": "INTEGER"},
                            {"tableName": "t2", "columnName": "c"},
                            {"tableName": "t1", "columnName": "a", "dataType": 7},
                        ],
                    }
                }
            },
        },
    )
    dataset = await client.dataset_tables(DATASET)
    assert (dataset.dataset_id, dataset.name) == (DATASET, "Sales")
    assert dataset.tables == (
        DatasetTable("t1", (DatasetColumn("b", "INTEGER"), DatasetColumn("a", None))),
        DatasetTable("t2", (DatasetColumn("c", None),)),
    )
    assert server.request.query == [("fields", "columns"), ("fields", "tables")]


@pytest.mark.parametrize(
    "answer",
    [{}, {"result": {}}, {"result": {"definition": {"availableObjects": {"tables": []}}}}],
)
async def test_dataset_tables_validates_the_answer(server, client, answer):
    url = f"/api/datasets/{DATASET}?fields=tables&fields=columns"
    server.give("GET", url, payload=answer)
    with pytest.raises(ProtocolViolation, match="read the definition"):
        await client.dataset_tables(DATASET)


async def test_dataset_that_does_not_exist_is_not_found(server, client):
    url = f"/api/datasets/{DATASET}?fields=tables&fields=columns"
    server.give("GET", url, status=404, payload={"code": "ERR004", "message": "no such dataset"})
    with pytest.raises(NotFound, match="no such dataset"):
        await client.dataset_tables(DATASET)


async def test_dataset_objects_are_the_attributes_and_metrics(server, client):
    payload = cube("Cost", "Row Count - t")
    payload["definition"]["availableObjects"]["metrics"][0]["dataType"] = "Double"
    forms = [
        {"id": "2", "name": "ID", "dataType": "Integer", "baseFormCategory": "ID"},
        {"id": "3", "name": "desc"},
    ]
    payload["definition"]["availableObjects"]["attributes"] = [
        {"id": "1", "name": "Day"},
        {"id": "4", "name": "Shop", "forms": forms},
    ]
    server.give("GET", f"/api/v2/cubes/{DATASET}", payload=payload)
    objects = await client.dataset_objects(DATASET)
    assert objects.attributes == {"Day": {}, "Shop": {"ID": "Integer", "DESC": None}}
    assert objects.metrics == {"Cost": "Double", "Row Count - t": None}


def cube(*metrics):
    named = [{"id": str(number), "name": name} for number, name in enumerate(metrics)]
    return {"definition": {"availableObjects": {"metrics": named, "attributes": []}}}


def counted(*rows):
    return {"data": {"metricValues": {"raw": list(rows)}, "paging": {"total": 1}}}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[7]], 7),
        ([[7.0]], 7),
        ([[7.5]], None),
        ([["7"]], None),
        ([[True]], None),
        ([[None]], None),
        ([[]], None),
        ([], None),
    ],
)
async def test_row_count_reads_the_servers_own_metric(server, client, rows, expected):
    server.give("GET", f"/api/v2/cubes/{DATASET}", payload=cube("Cost", "Row Count - t1"))
    url = f"/api/v2/cubes/{DATASET}/instances?limit=1&offset=0"
    server.give("POST", url, payload=counted(*rows))
    assert await client.row_count(DATASET, "t1") == expected
    assert server.requests[1].body == {
        "requestedObjects": {"attributes": [], "metrics": [{"id": "1"}]}
    }


async def test_row_count_is_none_without_that_metric(server, client):
    server.give("GET", f"/api/v2/cubes/{DATASET}", payload=cube("Cost", "Row Count - t10"))
    assert await client.row_count(DATASET, "t1") is None


async def test_row_count_of_an_unpublished_cube_is_refused(server, client):
    server.give("GET", f"/api/v2/cubes/{DATASET}", payload=cube("Row Count - t1"))
    url = f"/api/v2/cubes/{DATASET}/instances?limit=1&offset=0"
    body = {"code": "ERR002", "iServerCode": -2147072488, "message": "not published"}
    server.give("POST", url, status=500, payload=body)
    with pytest.raises(Refused, match="not published"):
        await client.row_count(DATASET, "t1")


async def test_row_count_validates_the_answer(server, client):
    server.give("GET", f"/api/v2/cubes/{DATASET}", payload=cube("Row Count - t1"))
    url = f"/api/v2/cubes/{DATASET}/instances?limit=1&offset=0"
    server.give("POST", url, payload={"data": {"metricValues": {}}})
    with pytest.raises(ProtocolViolation, match="raw"):
        await client.row_count(DATASET, "t1")


async def test_delete_dataset_deletes_the_object_of_type_3(server, client):
    server.give("DELETE", f"/api/objects/{DATASET}?type=3", status=204)
    await client.delete_dataset(DATASET)
    request = server.request
    assert (request.method, request.query) == ("DELETE", [("type", "3")])
    assert request.headers == project_headers(server)


# -- the upload session --------------------------------------------------------------------------


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


# -- for all of them -----------------------------------------------------------------------------

EVERY_CALL = {
    "projects": lambda client: client.projects(),
    "server_info": lambda client: client.server_info(),
    "session_timeout": lambda client: client.session_timeout(),
    "keep_alive": lambda client: client.keep_alive(),
    "logout": lambda client: client.logout(),
    "search_datasets": lambda client: client.search_datasets("n"),
    "folder_datasets": lambda client: client.folder_datasets(None),
    "dataset_tables": lambda client: client.dataset_tables("D"),
    "dataset_objects": lambda client: client.dataset_objects("D"),
    "create_dataset": lambda client: client.create_dataset({"name": "n"}),
    "update_table": lambda client: client.update_table("D", "T", "add", {"name": "n"}),
    "create_model": lambda client: client.create_model({"name": "n"}),
    "open_upload_session": lambda client: client.open_upload_session("D", []),
    "put_chunk": lambda client: client.put_chunk("D", "S", table="t", index=1, data=Base64()),
    "publish": lambda client: client.publish("D", "S"),
    "publish_status": lambda client: client.publish_status("D", "S"),
    "delete_upload_session": lambda client: client.delete_upload_session("D", "S"),
    "row_count": lambda client: client.row_count("D", "t"),
    "delete_dataset": lambda client: client.delete_dataset("D"),
}


def test_every_call_of_the_client_is_in_the_list():
    public = {name for name in vars(Client) if not name.startswith("_")}
    made_of_others = {"login", "log_in_again", "logins", "select_project"}
    assert public - made_of_others == set(EVERY_CALL)


@pytest.mark.parametrize("name", EVERY_CALL)
async def test_every_call_turns_an_expired_session_into_that_error(library, name):
    async def expired(request):
        # The login renews itself, and the new one is refused too.
        if request.path.endswith("/login"):
            return web.Response(status=204, headers={"X-MSTR-AuthToken": library.token})
        body = {"code": "ERR009", "message": f"Session {library.token} is gone", "ticketId": "t9"}
        return web.json_response(body, status=401)

    url = await library.serve(web.route("*", "/{rest:.*}", expired))
    async with library.client(url) as client:
        with pytest.raises(SessionExpired) as caught:
            await EVERY_CALL[name](client)
    assert caught.value.ticket_id == "t9"
    assert library.token not in str(caught.value) + repr(caught.value.as_dict())


@pytest.mark.parametrize("name", EVERY_CALL)
async def test_no_call_takes_a_web_page_for_an_answer(library, name):
    async def page(request):
        return web.Response(text="<html>please sign on</html>", content_type="text/html")

    url = await library.serve(web.route("*", "/{rest:.*}", page))
    async with library.client(url) as client:
        with pytest.raises(ProtocolViolation, match="web page"):
            await EVERY_CALL[name](client)


@pytest.mark.parametrize("name", EVERY_CALL)
async def test_every_call_is_sent_as_json_with_the_documents_headers(library, name):
    seen = []

    async def remember(request):
        seen.append((request, await request.read()))
        return web.json_response({"code": "ERR006"}, status=400)

    url = await library.serve(web.route("*", "/{rest:.*}", remember))
    async with library.client(url) as client:
        with pytest.raises(LoaderError):
            await EVERY_CALL[name](client)
    [(request, body)] = seen
    assert request.headers["Accept"] == "application/json"
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Accept-Encoding"] == "identity"
    assert request.headers["X-MSTR-AuthToken"] == library.token
    assert "Transfer-Encoding" not in request.headers
    if body:
        assert int(request.headers["Content-Length"]) == len(body)
        orjson.loads(body)
