"""A thin client that breaks one rule at a time, a clock, and an archive that waits."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from loader.emulator.archive import Counts
from loader.emulator.core import Emulator
from loader.emulator.server import Listener

SAMPLES = Path(__file__).parent / "samples"
TUTORIAL = "B19DEDCC11D4E0EFC000EB9495D0F44F"

_POLLS = 500
_LARGE = 1 << 20
"""From this size on aiohttp warns of a body that is no stream."""


def sample(name: str) -> str:
    """The text of a sample body, exactly as the documents have it."""
    return (SAMPLES / name).read_text("utf-8")


def encoded(data: Any) -> str:
    text = data if isinstance(data, str | bytes) else json.dumps(data)
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


class ManualClock:
    """Time passes only when somebody sleeps or a test says so."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.naps: list[float] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        if seconds > 0:
            self.naps.append(seconds)
            self.time += seconds
        await asyncio.sleep(0)


class GatedArchive(Counts):
    """Counts, but a publish waits until the test opens the gate or somebody interrupts it."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.interrupted = False
        self.discarded: list[str] = []
        self.fail: Exception | None = None

    def publish(self, dataset_id, session_id, policies):
        self.entered.set()
        assert self.gate.wait(10)
        if self.interrupted:
            raise RuntimeError("interrupted")
        if self.fail is not None:
            raise self.fail
        return super().publish(dataset_id, session_id, policies)

    def interrupt(self) -> None:
        self.interrupted = True
        self.gate.set()

    def discard(self, session_id: str) -> None:
        self.discarded.append(session_id)
        super().discard(session_id)


@dataclass
class Answer:
    status: int
    headers: Any
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)

    @property
    def message(self) -> str:
        return self.body["message"]


@dataclass
class Api:
    """A client of one server."""

    listener: Listener
    http: aiohttp.ClientSession
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def emulator(self) -> Emulator:
        return self.listener.emulator

    async def call(
        self, method: str, path: str, body: Any = None, *, headers: Any = None, without: str = ""
    ) -> Answer:
        """Calls the API; a str or bytes body goes out as it is, anything else as JSON."""
        sent = {**self.headers, **(headers or {})}
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
            if not isinstance(body, str | bytes):
                body = json.dumps(body)
            if len(body) > _LARGE:
                body = io.BytesIO(body.encode() if isinstance(body, str) else body)
        if without:
            sent.pop(without)
        async with self.http.request(
            method,
            f"{self.listener.url}/api{path}",
            data=body,
            headers=sent,
            skip_auto_headers=["Content-Type"],
        ) as response:
            return Answer(response.status, response.headers, await response.text())

    async def ok(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        answer = await self.call(method, path, body, **more)
        assert answer.status in (200, 204), answer.text
        return answer

    async def refused(  # noqa: PLR0917 - reads as a sentence: what is refused, how, and why
        self,
        status: int,
        code: str,
        says: str,
        method: str,
        path: str,
        body: Any = None,
        **more: Any,
    ) -> Answer:
        """Checks that a call is refused with the API's error body and a message that tells why."""
        answer = await self.call(method, path, body, **more)
        assert (answer.status, answer.body["code"]) == (status, code), answer.text
        assert says in answer.message
        assert answer.body["ticketId"]
        return answer

    async def login(self, **more: Any) -> None:
        self.headers.clear()
        answer = await self.ok(
            "POST", "/auth/login", {"username": "administrator", "password": "", **more}
        )
        self.headers["X-MSTR-AuthToken"] = answer.headers["X-MSTR-AuthToken"]
        self.headers["Cookie"] = answer.headers["Set-Cookie"].split(";")[0]
        self.headers["X-MSTR-ProjectID"] = TUTORIAL

    async def dataset(self, definition: Any = None) -> str:
        answer = await self.ok("POST", "/datasets/models", definition or sample("model.json"))
        return f"/datasets/{answer.body['id']}"

    async def session(self, dataset: str, *tables: Any) -> str:
        body = {"tables": list(tables)} if tables else sample("upload_session.json")
        answer = await self.ok("POST", f"{dataset}/uploadSessions", body)
        return f"{dataset}/uploadSessions/{answer.body['uploadSessionId']}"

    async def put(
        self, session: str, data: Any, *, index: Any = 1, table: str = "table1"
    ) -> Answer:
        return await self.call("PUT", session, chunk(data, index=index, table=table))

    async def publish(self, session: str) -> Any:
        """Publishes and returns the first status that is not 6."""
        await self.ok("POST", f"{session}/publish")
        return await self.outcome(session)

    async def outcome(self, session: str) -> Any:
        for _ in range(_POLLS):
            body = (await self.ok("GET", f"{session}/publishStatus")).body
            if body["status"] not in (6, "6"):
                return body
            await asyncio.sleep(0.002)
        raise AssertionError("the publish does not end")

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        """Asks the emulator's DuckDB."""
        with contextlib.closing(self.emulator.archive._connection.cursor()) as cursor:
            return cursor.execute(query).fetchall()


async def until(condition: Callable[[], Any]) -> None:
    """Waits until something is so; the server needs a few turns of the loop for it."""
    for _ in range(_POLLS):
        if condition():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("it does not happen")


def chunk(data: Any, *, index: Any = 1, table: str = "table1") -> dict[str, Any]:
    return {"tableName": table, "index": index, "data": encoded(data)}
