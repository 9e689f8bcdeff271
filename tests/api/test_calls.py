"""For every call: how it is sent, and what it makes of an expired session and a web page."""

from __future__ import annotations

import orjson
import pytest
from aiohttp import web

from loader.api import (
    Client,
)
from loader.errors import (
    LoaderError,
    ProtocolViolation,
    SessionExpired,
)
from tests.api.calls import Base64

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
