"""The emulator itself: datasets, logins and upload sessions, and what each call does to them.

Everything here runs on one event loop, so decisions between two awaits are atomic. What takes time
runs elsewhere: decoding in a small pool of threads, changes of the storage in one thread, in the
order in which they were asked for; publishes in another, because they are long, and nobody but
their own session waits for them; and counting rows in a third, so that a look at the server never
waits for its work.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from loader.emulator.archive import Archive, open_archive
from loader.emulator.catalogue import Catalogue, Dataset, Project, find_folder
from loader.emulator.definitions import Policy
from loader.emulator.faults import FaultPlan, Watched
from loader.emulator.gateway import AnswerLimit, Pool
from loader.emulator.kept import document, restored
from loader.emulator.model import new_id, parse_model
from loader.emulator.options import EmulatorOptions, Ingest
from loader.emulator.refusals import conflict, forbidden_now, invalid, not_found
from loader.emulator.room import Room
from loader.emulator.sessions import Login, Logins
from loader.emulator.slow import Clock, Intake, SystemClock, Wire
from loader.emulator.traffic import Traffic
from loader.emulator.uploads import State, Uploads, UploadSession, parse_session

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from loader.emulator.faultrules import Outcome

__all__ = ["Emulator"]

_LOG = logging.getLogger("loader.emulator")

_DECODERS = 2
"""Threads that decode chunks: decoding holds the interpreter most of the time; more don't help."""

_BODIES = 600_000_000
"""Bytes of PUT bodies that are taken in at once, from the first byte read until the rows are kept.

Four of 100 MB of JSON (133 MB in base64), two for the decoders and two to follow. Rows may need
several times the memory of their JSON: small whole numbers have 2 bytes there and 8 here.
"""

_MB = 1_000_000

_DATASETS = "dataset/"
_UPLOADS = "upload/"
"""How the keys of the catalogue's documents begin."""

_FAILED = {3, 18}
"""Codes of publishStatus with which a publish is over, and has failed."""

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Emulator:
    """A server's state.

    Args:
        options: How it behaves.
        clock: Where time comes from; tests bring their own.
        archive: Makes the place that keeps the data, in the storage thread; by default what the
            options ask for.
        crash: Kills the process without any more ado, where it is the server's own.

    Attributes:
        faults: The rules of fault injection.
        closing: Set when the server stops: stalled requests end.

    Raises:
        UsageError: A fault rule that cannot be.
    """

    def __init__(
        self,
        options: EmulatorOptions,
        *,
        clock: Clock | None = None,
        archive: Callable[[], Archive] | None = None,
        crash: Callable[[], None] | None = None,
    ) -> None:
        self.options = options
        self.clock = clock or SystemClock()
        self.catalogue = Catalogue()
        self.logins = Logins(options, self.clock)
        self.uploads = Uploads(options.session_scope)
        self.traffic = Traffic()
        self.wire = Wire(options.bandwidth, self.clock)
        self.intake = Intake(
            options.ingest_rate,
            self.clock,
            stream_rate=options.stream_rate,
            overload=options.overload,
        )
        self.pool = Pool(options.pool, self.clock)
        self.answer_limit = AnswerLimit(options.answer_limit, self.clock)
        self.room = Room(_BODIES)
        self.faults = FaultPlan(options.fault_seed, may_crash=crash is not None)
        self.inject(*options.faults)
        self.closing = asyncio.Event()
        self._crash = crash
        # Held while the catalogue and the storage's tables change together.
        self._changes = asyncio.Lock()
        self._open_archive = archive or (lambda: open_archive(options))
        self._archive: Archive | None = None
        self._storage = ThreadPoolExecutor(1, thread_name_prefix="emulator-storage")
        self._publisher = ThreadPoolExecutor(1, thread_name_prefix="emulator-publish")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="emulator-read")
        self._decoders = ThreadPoolExecutor(_DECODERS, thread_name_prefix="emulator-decode")

    def __repr__(self) -> str:
        sessions = sum(session.live for session in self.uploads)
        return (
            f"<Emulator {self.options.ingest} datasets={len(list(self.catalogue))} "
            f"logins={len(self.logins)} live_sessions={sessions}>"
        )

    @property
    def archive(self) -> Archive:
        """Where the data is kept; to be called through ``store`` only."""
        assert self._archive is not None, "the emulator was not started"
        return self._archive

    async def start(self) -> None:
        """Opens the storage and reads the catalogue that an earlier run left there."""
        self._archive = await self.store(self._open_archive)
        if self.options.ingest is not Ingest.SINK:
            # The first PUT shall not be the one that waits for the decoder to be imported.
            await self.decode(importlib.import_module, "loader.emulator.decode")
        for kept in (await self.store(self.archive.documents, _DATASETS)).values():
            self.catalogue.add(Dataset.from_document(kept))
        for key, kept in (await self.store(self.archive.documents, _UPLOADS)).items():
            session_id = key.removeprefix(_UPLOADS)
            if self.options.keep_sessions:
                await self._restore(session_id, kept)
            else:
                # Upload sessions end with the server, as logins do; a killed one left their chunks.
                await self.store(self.archive.discard, session_id)
                await self.store(self.archive.forget, key)

    async def close(self) -> None:
        """Cancels what runs and closes the storage."""
        await self.answer_limit.close()
        for session in self.uploads:
            if self.options.keep_sessions:
                await self._stop_publish(session)
            else:
                await self.cancel(session)
        for pool in (self._decoders, self._publisher, self._reader):
            pool.shutdown(cancel_futures=True)
        if self._archive is not None:
            await self.store(self._archive.close)
        self._storage.shutdown()

    def inject(self, *rules: str) -> Sequence[Watched]:
        """Puts rules of fault injection in force.

        Returns:
            The new ones; they go on counting what they matched and how often they fired.

        Raises:
            UsageError: One is no rule; none was added.
        """
        return self.faults.add(rules, self.clock.now())

    def crash(self) -> None:
        """Kills the process; rules that do so are refused where it is not the server's own."""
        assert self._crash is not None, "the process is not the server's own"
        self._crash()

    async def store(self, function: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Runs a call of the archive in the storage thread, after all that were asked before."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._storage, lambda: function(*args, **kwargs))

    async def decode(self, function: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Runs work on a chunk in one of the decoding threads."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._decoders, lambda: function(*args, **kwargs))

    # -- datasets ---------------------------------------------------------------------------------

    async def create(
        self, project: Project, login: Login, body: Any, *, incremental: bool
    ) -> Dataset:
        """Makes a dataset from its definition, in place of one of the same name in that folder.

        The new one has a new id: whoever re-creates a dataset loses what was built on the old one.

        Raises:
            Refusal: The definition breaks a rule.
        """
        model = parse_model(body)
        folder = find_folder(model.folder_id)
        async with self._changes:
            old = self.catalogue.named(project, folder, model.name)
            if old is not None:
                await self._remove(old)
            dataset = Dataset(
                id=new_id(),
                project_id=project.id,
                folder=folder,
                owner=login.user,
                schema=self.catalogue.new_schema(model.name),
                definition=_without_data(body),
                model=model,
                incremental=incremental,
                must_replace=old is not None,
            )
            await self.store(self.archive.define, dataset.id, dataset.schema, model.tables)
            await self._save(dataset)
            self.catalogue.add(dataset)
        return dataset

    async def delete(self, dataset: Dataset) -> None:
        """Deletes a dataset, its upload sessions and its data."""
        async with self._changes:
            await self._remove(dataset)

    async def _remove(self, dataset: Dataset) -> None:
        self.catalogue.remove(dataset)
        for session in self.uploads:
            if session.dataset is dataset:
                await self.cancel(session)
        await self.store(self.archive.forget, _DATASETS + dataset.id)
        await self.store(self.archive.drop, dataset.id)

    async def load(
        self, dataset: Dataset, policies: Mapping[str, Policy], data: Mapping[str, Any]
    ) -> None:
        """Publishes one decoded chunk for each table at once: what the one-request calls do.

        Raises:
            Refusal: The storage refused it.
        """
        upload = new_id()
        async with self._changes:
            if dataset not in self.catalogue:
                raise not_found(f"Dataset {dataset.model.name!r} was deleted meanwhile.")
            try:
                for table in dataset.model.tables:
                    if table.name in data:
                        await self.store(self.archive.stage, upload, table, 1, data[table.name])
                await self.store(self.archive.publish, dataset.id, upload, policies)
            except ValueError as error:
                raise invalid(str(error)) from error
            finally:
                await self.store(self.archive.discard, upload)
            dataset.note_publish()
            await self._save(dataset)

    async def row_counts(self, dataset: Dataset) -> dict[str, int | None]:
        """Returns the published rows of each table, None where nobody counted."""
        names = [table.name for table in dataset.model.tables]

        def count() -> dict[str, int | None]:
            return {name: self.archive.row_count(dataset.id, name) for name in names}

        try:
            return await asyncio.get_running_loop().run_in_executor(self._reader, count)
        except LookupError:  # it was deleted meanwhile
            return dict.fromkeys(names)

    async def _save(self, dataset: Dataset) -> None:
        await self.store(self.archive.save, _DATASETS + dataset.id, dataset.document())

    # -- upload sessions --------------------------------------------------------------------------

    async def open_session(self, dataset: Dataset, login: Login, body: Any) -> UploadSession:
        """Opens an upload session.

        A session whose login has ended blocks nobody: a new one takes its place.

        Raises:
            Refusal: The body breaks a rule, or another session is open.
        """
        tables = parse_session(body, dataset)
        session = UploadSession(dataset=dataset, login=login, tables=tables, body=body)
        for rival in self.uploads.rivals(dataset, login):
            if rival.login.alive:
                raise conflict(
                    f"Upload session {rival.id} of dataset {rival.dataset.model.name!r} is "
                    f"{rival.state.value}; there can't be concurrent upload sessions "
                    f"(--session-scope {self.options.session_scope}). Publish or delete it first."
                )
        abandoned = self.uploads.rivals(dataset, login)
        self.uploads.add(session)
        for rival in abandoned:
            await self.cancel(rival)
        await self._save_session(session)
        return session

    async def _save_session(self, session: UploadSession) -> None:
        await self.store(self.archive.save, _UPLOADS + session.id, document(session))

    async def _restore(self, session_id: str, kept: Mapping[str, Any]) -> None:
        """Takes in an upload session of an earlier run."""
        dataset = next(item for item in self.catalogue if item.id == kept["dataset"])
        staged = await self.store(self.archive.staged, session_id)
        session = restored(session_id, kept, dataset, staged)
        self.uploads.add(session)
        if session.state.value != kept["state"]:
            if session.state is State.PUBLISHED:
                # The server was killed between the publish and its books.
                dataset.note_publish()
                await self._save(dataset)
            await self._save_session(session)

    async def publish(self, session: UploadSession, outcome: Outcome | None = None) -> None:
        """Starts the publish of an upload session.

        Args:
            session: What to publish.
            outcome: An injected fault: what becomes of it.

        Raises:
            Refusal: It was published before, PUTs are under way, or an index is missing.
        """
        session.require_open("publish")
        if session.puts:
            raise forbidden_now(
                f"{session.puts} PUTs of upload session {session.id} are still under way; "
                "publish after every one was answered."
            )
        for upload in session.tables.values():
            gap = upload.indices.gap(upload.table.name)
            if gap is not None:
                raise gap
        session.move(State.PUBLISHING)
        session.publishing = asyncio.create_task(self._publish(session, outcome))

    async def _publish(self, session: UploadSession, outcome: Outcome | None) -> None:
        policies = {name: upload.policy for name, upload in session.tables.items()}
        dataset = session.dataset
        if self.options.keep_sessions:
            await self._bookkeeping(self._save_session(session), f"saving {session.id}")
        await self.clock.sleep(self._publish_time(session))
        if outcome is not None and not await self._suffer(session, outcome):
            return
        # From here on the storage decides: a cancel may interrupt it, and its outcome stands.
        session.storing = self._publisher.submit(
            self.archive.publish, dataset.id, session.id, policies
        )
        try:
            await asyncio.shield(asyncio.wrap_future(session.storing))
        except Exception as error:  # noqa: BLE001 - whatever it was, it is why the publish failed
            if self.closing.is_set() and self.options.keep_sessions:
                return  # it was interrupted, and is open again when the server is back
            _LOG.warning("publish of %s failed: %s", dataset.model.name, error)
            session.message = str(error)
            session.move(State.FAILED)
        else:
            dataset.note_publish()
            session.move(State.PUBLISHED)
            # The data is published, whether or not the books can tell so after a restart.
            await self._bookkeeping(self._save(dataset), f"saving {dataset.model.name}")
        await self._forget_chunks(session)

    def _publish_time(self, session: UploadSession) -> float:
        options = self.options
        if options.publish_rate is None:
            return options.publish_time
        return options.publish_time + session.kept_bytes / (options.publish_rate * _MB)

    async def _suffer(self, session: UploadSession, outcome: Outcome) -> bool:
        """Lets a publish have an injected outcome; returns whether it is done all the same."""
        session.says = (outcome.code, outcome.message)
        if outcome.published:
            return True
        if outcome.seconds is not None:
            await self.clock.sleep(outcome.seconds)
            session.says = None
            return True
        if outcome.code in _FAILED:
            session.message = outcome.message
            session.move(State.FAILED)
            await self._forget_chunks(session)
            return False
        return await asyncio.Future[bool]()  # until the session is deleted

    async def cancel(self, session: UploadSession) -> None:
        """Deletes an upload session: its data is discarded, its running publish cancelled.

        A publish that the storage is already at is interrupted; whether it ended first or not,
        nothing is half done. After a publish this just forgets the session (multiple-requests
        document, "Delete the upload session").
        """
        await self._stop_publish(session)
        if session.state is State.DELETED:  # by somebody else, meanwhile
            return
        session.move(State.DELETED)
        self.uploads.remove(session)
        await self._forget_chunks(session)

    async def _stop_publish(self, session: UploadSession) -> None:
        publishing = session.publishing
        if publishing is not None:
            if session.state is State.PUBLISHING:
                if session.storing is None or session.storing.cancel():
                    publishing.cancel()
                else:
                    self.archive.interrupt()
            # Also when its outcome stands: the storage may be closed next, and it still writes.
            await asyncio.wait([publishing])

    async def _forget_chunks(self, session: UploadSession) -> None:
        """Forgets what a session uploaded; what cannot be forgotten now is at the next start."""

        async def forget() -> None:
            await self.store(self.archive.discard, session.id)
            if self.options.keep_sessions and session.state is not State.DELETED:
                await self._save_session(session)  # how its publish ended is asked for after this
            else:
                await self.store(self.archive.forget, _UPLOADS + session.id)

        await self._bookkeeping(forget(), f"forgetting the chunks of upload session {session.id}")

    @staticmethod
    async def _bookkeeping(work: Coroutine[Any, Any, None], what: str) -> None:
        """Does what follows from a decision that stands, even if this fails (a full disk)."""
        try:
            await work
        except Exception:  # noqa: BLE001 - logged; there is nobody to tell
            _LOG.exception("%s failed", what)

    # -- logins -----------------------------------------------------------------------------------

    async def logout(self, login: Login) -> None:
        """Ends a login and the upload sessions that it opened, a running publish included."""
        self.logins.close(login)
        for session in self.uploads:
            if session.login is login and session.live:
                await self.cancel(session)


def _without_data(body: Any) -> dict[str, Any]:
    """A definition without the rows that ``POST /api/datasets`` brings along."""
    tables = [{key: table[key] for key in table if key != "data"} for table in body["tables"]]
    return {**body, "tables": tables}
