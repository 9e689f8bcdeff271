"""Upload sessions: opened, filled, published, watched, deleted (multiple-requests document)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loader.emulator.call import Call, Endpoint, empty, reply
from loader.emulator.faultrules import Where
from loader.emulator.ingest import put_chunk
from loader.emulator.options import StatusType
from loader.emulator.refusals import forbidden_now
from loader.emulator.uploads import State

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["ENDPOINTS"]

# The job states that a publish goes through here: 6 and 1 are the document's own.
_STATUS = {
    State.PUBLISHING: (6, "sql execution"),
    State.PUBLISHED: (1, "result ready"),
    State.FAILED: (3, "publish failed"),
}


async def open_session(call: Call) -> web.Response:
    """``POST …/uploadSessions``."""
    session = await call.emulator.open_session(call.dataset(), call.login, await call.json())
    return reply({"uploadSessionId": session.id})


async def add_data(call: Call) -> web.Response:
    """``PUT …/uploadSessions/{id}``."""
    await put_chunk(call)
    return empty(200)


async def publish(call: Call) -> web.Response:
    """``POST …/publish``: answers at once, the work goes on."""
    outcome = None if call.faults is None else call.faults.outcome()
    await call.emulator.publish(call.session(), outcome)
    return empty(200)


async def publish_status(call: Call) -> web.Response:
    """``GET …/publishStatus``; the document's list of steps calls it with POST."""
    session = call.session()
    if session.state not in _STATUS:
        raise forbidden_now(f"Upload session {session.id} was not published; it is still open.")
    code, message = session.says or _STATUS[session.state]
    number = call.emulator.options.status_type is StatusType.NUMBER
    return reply(
        {
            "uploadSessionId": session.id,
            "status": code if number else str(code),
            "message": session.message or message,
        }
    )


async def delete(call: Call) -> web.Response:
    """``DELETE …/uploadSessions/{id}``: ends the session, or cancels it and discards its data."""
    await call.emulator.cancel(call.session())
    return empty(200)


_SESSIONS = "/datasets/{dataset}/uploadSessions"
_SESSION = f"{_SESSIONS}/{{session}}"

ENDPOINTS = (
    Endpoint("POST", _SESSIONS, open_session, Where.OPEN_SESSION),
    Endpoint("PUT", _SESSION, add_data, Where.PUT, pooled=False),
    Endpoint("POST", f"{_SESSION}/publish", publish, Where.PUBLISH),
    Endpoint("GET", f"{_SESSION}/publishStatus", publish_status, Where.STATUS),
    Endpoint("POST", f"{_SESSION}/publishStatus", publish_status, Where.STATUS),
    Endpoint("DELETE", _SESSION, delete, Where.DELETE),
)
