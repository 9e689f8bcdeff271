"""The transport: sends calls with aiohttp, keeps token, project and cookies, maps failures."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self, TypedDict, TypeVar

import aiohttp
from yarl import URL

from loader.api import dataset_calls, session_calls, upload_calls
from loader.api.answer import Answer
from loader.api.connection import Connection
from loader.api.dataset_calls import (
    CreatedDataset,
    DatasetObjects,
    DatasetRef,
    DatasetTables,
)
from loader.api.exchange import Call, Scope, interpret
from loader.api.login import CookieJar, SharedLogin, answering
from loader.api.outages import Attempt, outage
from loader.api.payload import Base64Data, OnSlice, SlicedPayload, body_parts
from loader.api.proxy import Proxy
from loader.api.reach import Reach
from loader.api.session_calls import Project, ServerInfo
from loader.api.status import PublishStatus
from loader.api.upload_calls import UploadTable
from loader.errors import LoaderError, ProtocolViolation, SessionExpired

__all__ = ["Client"]

T = TypeVar("T")

logger = logging.getLogger("loader.api")

_HEADERS = {
    "Accept": "application/json",
    "Content-Type": "application/json",
    # Answers are small: compressing them only adds ways to fail.
    "Accept-Encoding": "identity",
    "User-Agent": "mstr-loader",
}
_REPEATABLE = frozenset({"GET", "PUT", "DELETE"})
_UNAUTHORISED = 401

_RENEWALS = 3
"""How often one call is repeated after a new login: sessions may be short, but a server that
answers every call so must not be asked for ever."""


class Client:
    """The Push Data API of one server, for one user.

    ``async with Client(connection) as client:`` opens and closes the HTTP session; logging in and
    out are calls of their own. Every call raises ``ApiError`` (the server said no), ``Unreachable``
    (no whole answer) or ``ProtocolViolation`` (an answer the documents do not allow); whether a new
    attempt can help is the error's ``recovery``, nothing is retried here, with one exception: when
    the login has ended, one call logs in again for all of them, and those repeat themselves that
    were surely not carried out (status 401) or do no harm twice (GET, PUT, DELETE). Only others
    raise ``SessionExpired``: what became of them has to be looked up first.

    Memory: about 1 MiB for each call under way, whatever the size of its body.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        concurrency: int = 8,
        connect_timeout: float = 30.0,
        answer_timeout: float = 150.0,
    ) -> None:
        """Takes the settings; connects to nothing.

        Args:
            connection: The server and the user.
            concurrency: How many chunks may be under way at once.
            connect_timeout: Seconds for connecting, TLS included.
            answer_timeout: Seconds of silence after which a call counts as lost: while the server
                takes no byte of a body, and while it sends no byte of an answer. A server answers
                within 120 seconds or gives up with an error (vendor's documentation), so the
                default waits a little longer, to see that error. A whole call has no limit.
        """
        self._connection = connection
        self._concurrency = concurrency
        self._connect_timeout = connect_timeout
        self._answer_timeout = answer_timeout
        self._root = URL(connection.url)
        self._login = SharedLogin(self._log_in)
        self._proxy: Proxy | None = None
        self._project: Project | None = None
        self._resources = AsyncExitStack()
        self._pooled: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        state = "logged in" if self._login.token else "logged out"
        project = f", project {self._project.name!r}" if self._project else ""
        proxy = f" through {self._proxy.address}" if self._proxy else ""
        return f"<Client {self._connection.url}{proxy}, {self._connection.who}, {state}{project}>"

    @property
    def logins(self) -> int:
        """How many logins were made: all but the first replaced one that had ended."""
        return self._login.made

    async def __aenter__(self) -> Self:
        """Opens the HTTP session.

        Raises:
            UsageError: The CA bundle, the client certificate or the environment's proxy cannot be
                used.
        """
        # Reading certificates takes tens of milliseconds, too long for the event loop.
        checks = await asyncio.to_thread(self._connection.certificate_checks)
        if self._connection.tls and not checks:
            logger.warning(
                "The certificate of %s is not checked: anybody on the way can read the password "
                "and the data",
                self._connection.server,
            )
        self._proxy = self._connection.route()
        if self._proxy is not None:
            logger.debug("through the proxy %s (%s)", self._proxy.address, self._proxy.source)
        # One place more than chunks, for the small calls meanwhile.
        pool = aiohttp.TCPConnector(ssl=checks, limit=self._concurrency + 1)
        # Requests that must not be repeated unasked get a connection of their own: a kept-alive one
        # may just be closed by the server, and nobody could tell whether the request was seen.
        single = aiohttp.TCPConnector(ssl=checks, limit=self._concurrency + 1, force_close=True)
        jar = CookieJar(self._login)
        self._pooled = await self._open(pool, jar)
        self._fresh = await self._open(single, jar)
        return self

    async def _open(
        self, connector: aiohttp.BaseConnector, jar: CookieJar
    ) -> aiohttp.ClientSession:
        return await self._resources.enter_async_context(
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=jar,
                headers=_HEADERS,
                trace_configs=[Reach.trace()] if self._proxy else None,
                timeout=aiohttp.ClientTimeout(
                    total=None,
                    sock_connect=self._connect_timeout,
                    sock_read=self._answer_timeout,
                ),
            )
        )

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._login.token = None
        await self._resources.aclose()

    # -- the login ---------------------------------------------------------------------------------

    async def login(self) -> None:
        """Logs in; from then on the login renews itself when it ends.

        Raises:
            LoginFailed: The server does not accept the credentials.
        """
        await self._login.start()

    async def _log_in(self) -> str:
        logger.debug("logging in: %s", self._connection.login_mode.label)
        return await self._send(session_calls.login(self._connection), None)

    async def log_in_again(self) -> None:
        """Logs out and in, which ends what the login had opened; calls meanwhile wait for that.

        Raises:
            LoginFailed: The server does not accept the credentials any more.
        """
        await self._login.replace(lambda token: self._send(session_calls.logout(), token))

    async def logout(self) -> None:
        """Logs out; does nothing without a login. The token is forgotten whatever the answer is."""
        token = await self._login.end()
        if token is not None:
            await self._send(session_calls.logout(), token)

    async def projects(self) -> list[Project]:
        """Lists the projects that the user may see."""
        return await self._perform(session_calls.projects())

    async def select_project(self, name_or_id: str) -> Project:
        """Chooses the project of all further calls: by id, else by name.

        Raises:
            UnknownProject: The user sees no such project.
        """
        self._project = session_calls.choose_project(name_or_id, await self.projects())
        return self._project

    async def server_info(self) -> ServerInfo:
        """Returns the server's versions."""
        return await self._perform(session_calls.server_info())

    async def session_timeout(self) -> int:
        """Returns after how many idle seconds the server ends the session."""
        return await self._perform(session_calls.session_timeout())

    async def keep_alive(self) -> None:
        """Extends the session."""
        await self._perform(session_calls.keep_alive())

    # -- datasets ----------------------------------------------------------------------------------

    async def search_datasets(self, name: str) -> list[DatasetRef]:
        """Finds the super cubes of exactly that name in the project; the index may lag."""
        return await self._perform(dataset_calls.search(name))

    async def folder_datasets(self, folder_id: str | None) -> list[DatasetRef]:
        """Lists the super cubes of a folder, of My Reports without an id, page by page."""
        found: list[DatasetRef] = []
        offset: int | None = 0
        while offset is not None:
            page = await self._perform(dataset_calls.folder_page(folder_id, offset))
            found += page.datasets
            offset = page.next_offset(offset)
        return found

    async def dataset_tables(self, dataset_id: str) -> DatasetTables:
        """Returns the tables and columns of an existing dataset.

        Raises:
            NotFound: There is none with that id; right after a create it may be too early.
        """
        return await self._perform(dataset_calls.dataset_tables(dataset_id))

    async def dataset_objects(self, dataset_id: str) -> DatasetObjects:
        """Returns the attributes and metrics of an existing dataset."""
        return await self._perform(dataset_calls.dataset_objects(dataset_id))

    async def create_dataset(
        self, body: Mapping[str, Any], *, on_slice: OnSlice | None = None
    ) -> CreatedDataset:
        """Creates and publishes a dataset with one request; a table's data may be Base64Data."""
        return await self._perform(dataset_calls.create_dataset(body), on_slice)

    async def update_table(
        self,
        dataset_id: str,
        table_id: str,
        policy: str,
        body: Mapping[str, Any],
        *,
        on_slice: OnSlice | None = None,
    ) -> None:
        """Updates and publishes a table with one request; its data may be Base64Data."""
        call = dataset_calls.update_table(dataset_id, table_id, policy, body)
        await self._perform(call, on_slice)

    async def create_model(self, definition: Mapping[str, Any]) -> str:
        """Creates a dataset's definition and returns its id; overwrites one of the same name."""
        return await self._perform(dataset_calls.create_model(definition))

    async def row_count(self, dataset_id: str, table: str) -> int | None:
        """Returns how many rows a published table has; None where the server does not tell."""
        metric = await self._perform(dataset_calls.row_count_metric(dataset_id, table))
        if metric is None:
            return None
        return await self._perform(dataset_calls.count_rows(dataset_id, metric))

    async def delete_dataset(self, dataset_id: str) -> None:
        """Deletes a dataset, with all that was built on it."""
        await self._perform(dataset_calls.delete_dataset(dataset_id))

    # -- the upload session ------------------------------------------------------------------------

    async def open_upload_session(self, dataset_id: str, tables: Sequence[UploadTable]) -> str:
        """Opens an upload session and returns its id."""
        return await self._perform(upload_calls.open_session(dataset_id, tables))

    async def put_chunk(
        self,
        dataset_id: str,
        session_id: str,
        *,
        table: str,
        index: int,
        data: Base64Data,
        on_slice: OnSlice | None = None,
    ) -> None:
        """Uploads one chunk.

        Args:
            dataset_id: The dataset.
            session_id: The upload session.
            table: The table's name.
            index: The chunk's number, from 1, contiguous for each table.
            data: The chunk's base64; iterated once, and once more after each new login.
            on_slice: Awaited after each slice was handed to the transport, with its number of
                bytes; what it raises comes out of this call.
        """
        call = upload_calls.put_chunk(dataset_id, session_id, table=table, index=index, data=data)
        await self._perform(call, on_slice)

    async def publish(self, dataset_id: str, session_id: str) -> None:
        """Starts the publish.

        Raises:
            Unreachable: With the detail ``phase="answer"`` the publish may have started.
        """
        await self._perform(upload_calls.publish(dataset_id, session_id))

    async def publish_status(self, dataset_id: str, session_id: str) -> PublishStatus:
        """Returns how far the publish is."""
        return await self._perform(upload_calls.publish_status(dataset_id, session_id))

    async def delete_upload_session(self, dataset_id: str, session_id: str) -> None:
        """Ends the upload session; before the publish ended, this discards the data."""
        await self._perform(upload_calls.delete_session(dataset_id, session_id))

    # -- the wire ----------------------------------------------------------------------------------

    async def _perform(self, call: Call[T], on_slice: OnSlice | None = None) -> T:
        """Makes a call; when the login has ended, once more after a new one where that is safe."""
        for _ in range(_RENEWALS):
            await self._login.settle()
            number = self._login.number
            try:
                with answering(number):
                    return await self._send(call, self._login.token, on_slice)
            except SessionExpired as error:
                if call.method not in _REPEATABLE and error.status != _UNAUTHORISED:
                    raise
                # Without its traceback, which holds on to the chunk.
                told = error.with_traceback(None)
            await self._login.renew(number, told)
        with answering(self._login.number):
            return await self._send(call, self._login.token, on_slice)

    async def _send(self, call: Call[T], token: str | None, on_slice: OnSlice | None = None) -> T:
        answer = await self._exchange(call, token, on_slice)
        proxy = self._proxy
        secrets = [
            self._connection.password,
            self._connection.token,
            self._login.token,
            token,
            proxy and proxy.password,
        ]
        return interpret(
            call,
            answer,
            secrets=[text for text in secrets if text],
            # Inside a tunnel nobody but the server answers.
            proxy=proxy.address if proxy and not self._connection.tls else None,
        )

    async def _exchange(
        self, call: Call[Any], token: str | None, on_slice: OnSlice | None
    ) -> Answer:
        payload = None
        if call.body is not None:
            payload = SlicedPayload(
                body_parts(call.body), on_slice=on_slice, stall_timeout=self._answer_timeout
            )
        began = time.perf_counter()
        reach = Reach(self._connect_timeout)
        try:
            async with reach.limit:
                answer = await self._request(call, token, payload, reach)
        except (aiohttp.ClientError, OSError) as error:
            fault: LoaderError = outage(error, self._attempt(call, payload, reach))
            # Only the system's own error is kept as the cause: aiohttp's quote request headers.
            cause = getattr(error, "os_error", None)
        else:
            logger.debug(
                "%s %s: %s after %.3f s",
                call.method,
                call.path,
                answer.status,
                time.perf_counter() - began,
            )
            if payload is None or payload.complete or answer.status // 100 != 2:  # noqa: PLR2004
                return answer
            fault, cause = _too_early(call, payload, answer), None
        if payload is not None and payload.failure is not None:
            raise payload.failure
        # Raised out here so that aiohttp's exception is not its context either.
        raise fault from cause

    async def _request(
        self, call: Call[Any], token: str | None, payload: SlicedPayload | None, reach: Reach
    ) -> Answer:
        # What has a body is repeated by its caller alone, who counts that.
        harmless = call.method in _REPEATABLE and call.body is None
        session = self._pooled if harmless else self._fresh
        if session is None:
            raise RuntimeError("the client is not open: use it in an 'async with' block")
        url = URL(f"{self._root}{call.path}", encoded=True)
        async with session.request(
            call.method,
            url.update_query(call.query) if call.query else url,
            data=payload,
            headers=self._headers(call, token),
            allow_redirects=False,
            **self._through_proxy(reach),
        ) as response:
            return Answer(
                status=response.status,
                reason=response.reason or "",
                headers={name.lower(): value for name, value in response.headers.items()},
                body=await _read(response),
            )

    def _through_proxy(self, reach: Reach) -> _ProxyArguments:
        proxy = self._proxy
        if proxy is None:
            return {}
        arguments: _ProxyArguments = {"proxy": proxy.address, "trace_request_ctx": reach}
        if proxy.authorization is not None and self._connection.tls:
            # For the proxy's ears only: it goes with the request for a tunnel, not through it.
            arguments["proxy_headers"] = {"Proxy-Authorization": proxy.authorization}
        return arguments

    def _headers(self, call: Call[Any], token: str | None) -> dict[str, str]:
        headers = dict(call.headers)
        if self._proxy and self._proxy.authorization is not None and not self._connection.tls:
            headers["Proxy-Authorization"] = self._proxy.authorization
        if call.scope is Scope.LOGIN:
            return headers
        if token is None:
            raise RuntimeError(f"cannot {call.aim}: not logged in")
        headers[session_calls.TOKEN_HEADER] = token
        if call.scope is Scope.PROJECT:
            if self._project is None:
                raise RuntimeError(f"cannot {call.aim}: no project was selected")
            headers["X-MSTR-ProjectID"] = self._project.id
        return headers

    def _attempt(self, call: Call[Any], payload: SlicedPayload | None, reach: Reach) -> Attempt:
        return Attempt(
            aim=call.aim,
            server=self._connection.server,
            sent=payload.sent if payload else 0,
            size=payload.length if payload else 0,
            connect_timeout=self._connect_timeout,
            answer_timeout=self._answer_timeout,
            login=call.scope is Scope.LOGIN,
            client_cert=self._connection.client_cert is not None,
            proxy=self._proxy.address if self._proxy else None,
            connected=reach.connected,
        )


class _ProxyArguments(TypedDict, total=False):
    """What aiohttp is given for requests that go through a proxy."""

    proxy: str
    proxy_headers: dict[str, str]
    trace_request_ctx: Reach


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Reads the body; a refusal that breaks off in its body is still that refusal."""
    try:
        return await response.read()
    except (aiohttp.ClientError, OSError):
        if response.status < 400:  # noqa: PLR2004  # not a refusal
            raise
        return b""


def _too_early(call: Call[Any], payload: SlicedPayload, answer: Answer) -> ProtocolViolation:
    return ProtocolViolation(
        f"Asked to {call.aim}, the server answered {answer.status} when it had been sent only "
        f"{payload.sent:,} of {payload.length:,} bytes.",
        hint="Something between here and the server may cut long requests.",
        status=answer.status,
        call=call.aim,
    )
