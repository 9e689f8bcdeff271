"""An upload session that waits for its publish, on a real server, and time that tests move."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from loader.api import Client, Connection, PublishStatus, UploadTable
from loader.errors import LoaderError
from loader.job import Progress
from loader.job.gate import Gate
from loader.job.publish import continue_publish, publish_and_wait
from loader.job.retrier import Retrier
from loader.job.retry import RetryBudget
from tests.cli.harness import PASSWORD, PROJECT, USER

ROWS = (("a", 1), ("b", 2), ("c", 3))
KEY = {
    "name": "k",
    "attributeForms": [
        {"category": "ID", "expressions": [{"tableName": "t", "columnName": "k"}]},
    ],
}


def metric(column):
    return {"name": column, "expressions": [{"tableName": "t", "columnName": column}]}


def definition(*, keyed=True):
    """A dataset with a table of one text and one number; without a key the text is left out."""
    columns = [{"name": "k", "dataType": "STRING"}] if keyed else []
    return {
        "name": "d",
        "tables": [
            {"name": "t", "columnHeaders": [*columns, {"name": "v", "dataType": "INTEGER"}]}
        ],
        "attributes": [KEY] if keyed else [],
        "metrics": [metric("v")],
    }


class Data:
    """The base64 of rows, in one slice."""

    def __init__(self, rows) -> None:
        self._text = base64.b64encode(json.dumps([list(row) for row in rows]).encode())

    def __len__(self) -> int:
        return len(self._text)

    def __iter__(self) -> Iterator[bytes]:
        yield self._text


class Time:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        # A moment, so that a server in another thread or process gets on meanwhile.
        await asyncio.sleep(min(seconds, 0.005))


@dataclass(eq=False)
class Waiting:
    """An upload session whose chunks are all there.

    Attributes:
        client: Logged in, with a project.
        dataset: The dataset's id.
        session: The upload session's id.
        time: The clock of what is done with it.
        notes: What the user was told.
    """

    client: Client
    dataset: str
    session: str
    time: Time = field(default_factory=Time)
    notes: list[str] = field(default_factory=list)

    def call(self, retries: int = 8):
        """Returns what repeats calls as a load does."""
        time = self.time
        gate = Gate(self.client.session_timeout, limit=300, clock=time.clock, sleep=time.sleep)
        draw = random.Random(0).random
        return Retrier(
            RetryBudget(retries, 300.0),
            gate,
            Progress(),
            clock=time.clock,
            sleep=time.sleep,
            draw=draw,
        ).call

    async def publish(self, *, resumed=False, limit=100_000.0, retries=8) -> PublishStatus:
        publish = continue_publish if resumed else publish_and_wait
        return await publish(
            *(self.client, self.dataset, self.session),
            timeout=limit,
            call=self.call(retries),
            on_note=self.notes.append,
            clock=self.time.clock,
            sleep=self.time.sleep,
        )


async def open_session(client, dataset, policy="add", rows=ROWS, *, keyed=True) -> Waiting:
    """Opens an upload session and fills it."""
    table = UploadTable("t", policy, "ROW", ["k", "v"] if keyed else ["v"])
    session = await client.open_upload_session(dataset, [table])
    data = Data(rows if keyed else [row[1:] for row in rows])
    await client.put_chunk(dataset, session, table="t", index=1, data=data)
    return Waiting(client, dataset, session)


@asynccontextmanager
async def logged_in(url, *, answer_timeout=30.0) -> AsyncIterator[Client]:
    """Opens a client in a project."""
    connection = Connection(url, username=USER, password=PASSWORD)
    async with Client(connection, answer_timeout=answer_timeout) as client:
        await client.login()
        await client.select_project(PROJECT)
        yield client
        with suppress(LoaderError):
            await client.logout()


@asynccontextmanager
async def uploaded(url, policy="add", *, keyed=True, answer_timeout=30.0) -> AsyncIterator[Waiting]:
    """Makes a dataset and an upload session with ROWS."""
    async with logged_in(url, answer_timeout=answer_timeout) as client:
        dataset = await client.create_model(definition(keyed=keyed))
        yield await open_session(client, dataset, policy, keyed=keyed)
