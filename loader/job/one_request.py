"""The workflow of one request: a small table goes out, and is published, in a single call."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from loader.api import Client, CreatedDataset, OnSlice
from loader.encode import Base64Text, Chunk
from loader.errors import (
    Interrupted,
    LoaderError,
    NotFound,
    OutcomeUnknown,
    Refused,
    TooLarge,
    Unreachable,
    UsageError,
)
from loader.job.dataset import Target, dataset_named, find_dataset, namesakes
from loader.job.gate import Gate
from loader.job.outcome import may_have_happened
from loader.job.progress import Phase, Progress
from loader.job.publish import HOW_TO_CHECK
from loader.job.result import Status
from loader.job.retrier import Retrier, once
from loader.job.retry import RetryBudget
from loader.job.running import Running
from loader.job.settings import UpdatePolicy
from loader.job.table_ids import TableIds
from loader.job.timing import Limit
from loader.units import size

__all__ = ["OneRequestLoad"]

T = TypeVar("T")

# Seconds between two looks for a dataset whose creation was not answered.
LOOKS = (1.0, 2.0, 4.0, 8.0)

_CONTENT_TOO_LARGE = 413

_SESSION = "--workflow session loads any amount, in chunks, and needs no table id"

_WRONG_DATASET = (
    "one request updates only datasets that one request has created: if an upload session created "
    "this one, leave out --workflow one-request, which works for datasets of both kinds; if not, "
    "is the table's id that of another dataset?"
)
# Missing information, invalid input, a missing field: the server says itself what is wrong.
_BAD_REQUEST = frozenset({"ERR005", "ERR006", "ERR007"})
_SMALLER = (
    "nothing was published; the server, or a proxy before it, takes no request that large: "
    "--workflow session sends the data in chunks, of any --chunk-size"
)


class OneRequestLoad:
    """Creates a dataset with ``POST /api/datasets``, or updates one with ``PATCH``.

    Both publish by themselves, and neither is ever repeated: a server may have understood a request
    whose answer was lost. The looks before them are. All of the JSON is in memory before anything
    is sent, at most 50 MB.

    Source: one-request document.
    """

    lost: str | None = None

    @staticmethod
    def leaves_open(_error: BaseException | None, /) -> bool:
        """Nothing is ever left: there is no session, and no journal."""
        return False

    def __init__(self, running: Running) -> None:
        self._running = running
        self._settings = running.settings
        self._result = running.result
        self._progress = running.progress
        ((self._table, _),) = running.prepared.tables
        self._policy = self._settings.policy_of(self._table.name)
        self._ids = TableIds()

    async def run(self, client: Client, _closing: AsyncExitStack, /) -> None:
        """Creates the dataset or updates it, and compares what came of it."""
        call = self._retrier(client).call
        model = self._running.prepared.model
        target = await find_dataset(client, model, self._settings, call, sleep=self._running.sleep)
        await self._running.check_keys(target.model if target else model)
        if target is None:
            self._check_create()
            self._running.warn(*await namesakes(client, model.name, call))
            await self._create(client)
        else:
            self._result.dataset_id, self._result.dataset = target.id, target.name
            self._running.fit(target)
            self._running.warn(*target.warnings)
            await self._update(client, target)

    def _retrier(self, client: Client) -> Retrier:
        """Returns what repeats the looks before the request."""
        running = self._running
        clock, sleep = running.clock, running.sleep
        budget = RetryBudget(self._settings.retries, self._settings.retry_deadline)
        gate = Gate(client.session_timeout, limit=budget.deadline, clock=clock, sleep=sleep)
        return Retrier(budget, gate, self._progress, clock=clock, sleep=sleep, draw=running.draw)

    def stopped_in_publish(self) -> Interrupted:
        """Returns what being stopped after the request was sent means."""
        return Interrupted(
            "stopped when the data was sent, before the server answered",
            hint=f"the server may go on and publish it; {HOW_TO_CHECK}",
        )

    @staticmethod
    def stopped_at_once() -> Interrupted:
        """Returns what the end of the process means."""
        return Interrupted(
            "stopped at once",
            hint="a request that had been sent whole may still be carried out: check the dataset "
            "before loading again",
        )

    # -- creating ----------------------------------------------------------------------------------

    def _check_create(self) -> None:
        name = self._running.prepared.model.name
        if self._settings.table_id is not None:
            raise UsageError(
                f"--table-id names a table of an existing dataset, and none is called {name!r}",
                hint="leave out --table-id to create the dataset, or correct its name or folder",
            )
        if self._policy is UpdatePolicy.UPDATE:
            raise UsageError(
                f"there is no dataset {name!r} whose rows the policy update could change",
                hint="--policy replace or upsert creates it",
            )

    async def _create(self, client: Client) -> None:
        model = self._running.prepared.model
        if self._policy is not UpdatePolicy.REPLACE:
            self._running.warn(
                f"the dataset is new: its rows are stored as they are, and the policy "
                f"{self._policy} compares them with none"
            )
        chunk = await self._gather()
        data = chunk.data
        body = create_body(model.definition(self._settings.folder_id), data)
        try:
            created = await self._send(
                chunk, data, lambda on_slice: client.create_dataset(body, on_slice=on_slice)
            )
        except LoaderError as error:
            if not may_have_happened(error):
                self._explain(error)
                raise
            created = await self._look_for(client, chunk, error)
        self._result.dataset_id, self._result.dataset = created.dataset_id, created.name
        table_id = created.tables.get(self._table.name)
        await self._finish(
            client, created.dataset_id, chunk, table_id, before={self._table.name: 0}
        )

    async def _look_for(self, client: Client, chunk: Chunk, cause: LoaderError) -> CreatedDataset:
        """Returns the dataset whose creation was not answered, once it is there with all rows.

        Raises:
            OutcomeUnknown: It is not there, or with other rows.
        """
        name, rows = self._running.prepared.model.name, chunk.rows
        found: str | None = None
        for wait in (0.0, *LOOKS):
            await self._running.sleep(wait)
            # A look that fails tells nothing: the next one may do better.
            with contextlib.suppress(LoaderError):
                found = await dataset_named(client, name, self._settings.folder_id, once)
                if found and await client.row_count(found, self._table.name) == rows:
                    self._running.warn(
                        f"the answer to the request was lost ({cause.message}), but the dataset is "
                        f"there with all {rows:,} rows; the id of its table is not known, so the "
                        "next load into it needs --workflow session"
                    )
                    return CreatedDataset(found, name, tables={})
        self._result.dataset_id = found
        is_there = "a dataset of that name is there now" if found else "it is not there yet"
        raise _unknown(cause, f"{is_there}, and {rows:,} rows were sent; {HOW_TO_CHECK}") from cause

    # -- updating ----------------------------------------------------------------------------------

    async def _update(self, client: Client, target: Target) -> None:
        table_id = await self._table_id(target)
        before = await self._running.count_before(client, target)
        chunk = await self._gather()
        data = chunk.data
        body = update_body(self._running.prepared.model.definition(), data)
        try:
            await self._send(
                chunk,
                data,
                lambda on_slice: client.update_table(
                    target.id, table_id, self._policy, body, on_slice=on_slice
                ),
            )
        except LoaderError as error:
            if may_have_happened(error):
                raise _unknown(error, self._after_update()) from error
            if isinstance(error, NotFound) or (
                isinstance(error, Refused) and not error.hint and error.code not in _BAD_REQUEST
            ):
                error.hint = _WRONG_DATASET
            self._explain(error)
            raise
        await self._finish(client, target.id, chunk, table_id, before=before)

    def _after_update(self) -> str:
        if self._policy is UpdatePolicy.REPLACE:
            return "the same command again replaces whatever is there now; or first " + HOW_TO_CHECK
        return HOW_TO_CHECK

    async def _table_id(self, target: Target) -> str:
        """Returns the id of the dataset's table: as the user says, or as it was remembered."""
        if self._settings.table_id is not None:
            return self._settings.table_id
        remembered = await self._with_ids(
            lambda: self._ids.find(self._running.connection.url, target.id, self._table.name)
        )
        if remembered is None:
            raise UsageError(
                f"the id of table {self._table.name!r} of the dataset {target.name!r} is not known "
                "here: the server tells it only to the load that creates the dataset",
                hint="give it with --table-id: it is in that load's --json result "
                f"(tables[].table_id), and kept on the host where that load ran; {_SESSION}",
                dataset_id=target.id,
                table=self._table.name,
            )
        return remembered

    # -- both --------------------------------------------------------------------------------------

    async def _gather(self) -> Chunk:
        """Encodes the whole table; nothing was sent so far.

        Raises:
            TooLarge: It has more JSON than one request takes.
        """
        self._progress.phase = Phase.LOADING
        # What the pipeline counts as accepted is only kept here: the server has yet to say so.
        gathered = Progress()
        kept: list[Chunk] = []

        async def keep(chunk: Chunk) -> None:
            more = gathered.rows_encoded > chunk.rows
            if more or chunk.json_bytes > self._running.prepared.stages.rules.high:
                raise self._too_large(gathered)
            kept.append(chunk)

        await self._running.pump(keep, gathered)
        chunk = kept[0] if kept else Chunk(self._table.name, 1, 0, 0, 0, (b"[]",), 2)
        self._progress.rows_encoded = chunk.rows
        self._progress.encoded_bytes = chunk.json_bytes
        self._progress.chunks_cut = 1
        return chunk

    def _too_large(self, gathered: Progress) -> TooLarge:
        limit = self._running.prepared.stages.rules.high
        total = self._progress.rows_total
        estimate = 0
        if total is not None and total > gathered.rows_encoded:
            estimate = round(gathered.encoded_bytes / gathered.rows_encoded * total)
        about = f", about {size(estimate)} by its first rows" if estimate else ""
        return TooLarge(
            f"table {self._table.name!r} has more than {size(limit)} of JSON{about}: too large for "
            "one request",
            hint=_SESSION,
            table=self._table.name,
            limit=limit,
            estimate=estimate or None,
        )

    async def _send(
        self, chunk: Chunk, data: Base64Text, request: Callable[[OnSlice], Awaitable[T]]
    ) -> T:
        """Makes the request, and notes what of it was sent, and for how long.

        With the last byte of the data the server may start to publish. Only a login that has ended,
        which is a refusal, makes the client send the data once more.
        """
        missing = readings = 0

        async def on_slice(sent: int) -> None:
            nonlocal missing, readings
            if data.readings != readings:
                missing, readings = len(data), data.readings
                self._progress.phase = Phase.LOADING
            missing -= sent
            if not missing:
                self._progress.phase = Phase.PUBLISHING
            await self._running.on_slice(sent)

        timing, clock = self._running.timing, self._running.clock
        timing.begin()
        timing.reader_waits(Limit.SERVER)
        began = clock()
        try:
            answer = await request(on_slice)
            timing.answered(clock() - began)
            timing.accepted(chunk, began, data.readings)
        finally:
            timing.end()
            self._result.retries += max(0, data.readings - 1)
        return answer

    async def _finish(
        self,
        client: Client,
        dataset_id: str,
        chunk: Chunk,
        table_id: str | None,
        *,
        before: Mapping[str, int | None],
    ) -> None:
        """Notes what is published now, keeps the table's id, and verifies."""
        self._result.status = Status.PUBLISHED
        self._progress.phase = Phase.VERIFYING
        self._running.accepted(chunk)
        self._progress.rows_accepted = chunk.rows
        self._progress.accepted_bytes = chunk.json_bytes
        self._progress.chunks_accepted = 1
        if not chunk.rows:
            self._running.warn("no rows were sent; the server accepted the request")
        if table_id is not None:
            self._running.share(self._table.name).table_id = table_id
            await self._with_ids(
                lambda: self._ids.remember(
                    self._running.connection.url, dataset_id, self._table.name, table_id
                )
            )
        await self._running.verify(client, dataset_id, before)

    async def _with_ids(self, call: Callable[[], str | None]) -> str | None:
        """Asks the remembered ids; that they cannot be used is a warning."""
        try:
            return await asyncio.to_thread(call)
        except (sqlite3.Error, OSError) as error:
            self._running.warn(
                f"the file of table ids {self._ids.path} cannot be used ({error}): without it, "
                "an update needs --table-id"
            )
            return None

    def _explain(self, error: LoaderError) -> None:
        """Puts this workflow's way on in place of hints that speak of chunks."""
        if error.details.get("status") == _CONTENT_TOO_LARGE:
            error.hint = _SMALLER
        elif isinstance(error, Unreachable) and error.details.get("phase") == "send":
            error.hint = (
                "nothing was published, as the server has not seen the whole request; run the same "
                "command again, or --workflow session, which sends smaller requests"
            )


def _unknown(cause: LoaderError, hint: str) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"it is not known whether the data was published: {cause.message}", hint=hint
    )


def create_body(definition: Mapping[str, Any], data: Base64Text) -> dict[str, Any]:
    """Returns the body of ``POST /api/datasets``: the definition, and the data of its one table.

    Source: one-request document, "Create a dataset".
    """
    (table,) = definition["tables"]
    return {
        **definition,
        "tables": [{**table, "data": data}],
        "metrics": [_with_formulas(metric) for metric in definition["metrics"]],
        "attributes": [
            {**attribute, "attributeForms": list(map(_with_formulas, attribute["attributeForms"]))}
            for attribute in definition["attributes"]
        ],
    }


def update_body(definition: Mapping[str, Any], data: Base64Text) -> dict[str, Any]:
    """Returns the body of ``PATCH …/tables/{tableId}``.

    Source: one-request document, "Update a dataset".
    """
    (table,) = definition["tables"]
    # The data comes last: a body that breaks off in it is no JSON, and changes nothing.
    return {"name": table["name"], "columnHeaders": table["columnHeaders"], "data": data}


def _with_formulas(defined: Mapping[str, Any]) -> dict[str, Any]:
    """Writes expressions as the one-request document does.

    A dot in a name would make a formula ambiguous: there the other document's form stays.
    """
    return {
        **defined,
        "expressions": [
            expression
            if "." in expression["tableName"] or "." in expression["columnName"]
            else {"formula": f"{expression['tableName']}.{expression['columnName']}"}
            for expression in defined["expressions"]
        ],
    }
