"""Upload sessions: their tables, their states, and what may be done in which."""

from __future__ import annotations

import asyncio
import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from loader.emulator.definitions import Column, Orientation, Policy, Table
from loader.emulator.fields import Fields
from loader.emulator.indices import Indices
from loader.emulator.model import new_id
from loader.emulator.options import SessionScope
from loader.emulator.refusals import conflict, forbidden_now, invalid, not_found

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from loader.emulator.catalogue import Dataset
    from loader.emulator.sessions import Login

__all__ = ["State", "UploadSession", "UploadTable", "Uploads", "parse_policy", "parse_session"]


class State(enum.Enum):
    """Where an upload session stands; it only ever moves down this list."""

    OPEN = "open"
    PUBLISHING = "publishing"
    PUBLISHED = "published"
    FAILED = "failed"
    DELETED = "deleted"


_NEXT = {
    State.OPEN: {State.PUBLISHING, State.DELETED},
    State.PUBLISHING: {State.PUBLISHED, State.FAILED, State.DELETED},
    State.PUBLISHED: {State.DELETED},
    State.FAILED: {State.DELETED},
    State.DELETED: set(),
}


@dataclass(slots=True)
class UploadTable:
    """One table of an upload session.

    Attributes:
        table: The dataset's table.
        columns: Its columns in the order in which the chunks bring them.
        orientation: How the chunks are laid out.
        policy: What the publish does with existing rows.
        indices: Which chunks are there.
        json_bytes: JSON received, repeated chunks included.
        sizes: Bytes of JSON of the chunks that are kept, by index; of those that a restart brought
            back nothing is known.
    """

    table: Table
    columns: tuple[Column, ...]
    orientation: Orientation
    policy: Policy
    indices: Indices = field(default_factory=Indices)
    json_bytes: int = 0
    sizes: dict[int, int] = field(default_factory=dict)

    def accept(self, index: int, size: int, *, append: bool) -> None:
        """Notes that a chunk of ``size`` bytes of JSON is kept."""
        self.indices.accept(index)
        self.sizes[index] = size + (self.sizes.get(index, 0) if append else 0)


@dataclass(slots=True, eq=False)
class UploadSession:
    """One upload session.

    Attributes:
        id: Its object id.
        dataset: What it uploads to.
        login: Who opened it.
        tables: By name.
        body: What opened it, as it was sent.
        state: Where it stands.
        message: Why a publish failed.
        says: A code and message that publishStatus reports in place of those of the state.
        puts: PUTs under way.
        lock: Held while a chunk is admitted and staged, so that decisions see what was decided
            before.
        publishing: The publish, once it was started.
        storing: The storage's part of it, once it was handed over.
    """

    dataset: Dataset
    login: Login
    tables: dict[str, UploadTable]
    body: Any
    id: str = field(default_factory=new_id)
    state: State = State.OPEN
    message: str = ""
    says: tuple[int, str] | None = None
    puts: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    publishing: asyncio.Task[None] | None = None
    storing: Future[Any] | None = None

    @property
    def live(self) -> bool:
        """Whether its publish has not ended yet."""
        return self.state in (State.OPEN, State.PUBLISHING)

    @property
    def chunks(self) -> int:
        """How many indices were accepted, all tables together."""
        return sum(len(upload.indices) for upload in self.tables.values())

    @property
    def kept_bytes(self) -> int:
        """The JSON that a publish would publish, in bytes."""
        return sum(sum(upload.sizes.values()) for upload in self.tables.values())

    def move(self, state: State) -> None:
        """Goes on to another state.

        Raises:
            ValueError: There is no way from here to there.
        """
        if state not in _NEXT[self.state]:
            raise ValueError(f"upload session {self.id}: {self.state} cannot become {state}")
        self.state = state

    def require_open(self, what: str) -> None:
        """Checks that data may still be added.

        Raises:
            Refusal: Its publish was started, or it was deleted.
        """
        if self.state is State.DELETED:
            raise _gone(self.id)
        if self.state is not State.OPEN:
            raise forbidden_now(
                f"Upload session {self.id} is {self.state.value}: it takes no {what}."
            )

    def table(self, name: str) -> UploadTable:
        """Returns a table of the session.

        Raises:
            Refusal: The session was opened without it.
        """
        if name not in self.tables:
            names = ", ".join(map(repr, self.tables))
            raise invalid(
                f"tableName {name!r} is not one of this upload session's tables: {names}."
            )
        return self.tables[name]


class Uploads:
    """All upload sessions of the server.

    Args:
        scope: Within what there may be only one that is not published yet ("You can't have
            concurrent upload sessions", says the documentation, and names no scope).
    """

    def __init__(self, scope: SessionScope) -> None:
        self._scope = scope
        self._sessions: dict[str, UploadSession] = {}

    def __iter__(self) -> Iterator[UploadSession]:
        return iter(list(self._sessions.values()))

    def find(self, dataset: Dataset, session_id: str) -> UploadSession:
        """Returns an upload session of a dataset.

        Raises:
            Refusal: The dataset has none with that id.
        """
        session = self._sessions.get(session_id.upper())
        if session is None or session.dataset is not dataset:
            raise _gone(session_id)
        return session

    def rivals(self, dataset: Dataset, login: Login) -> list[UploadSession]:
        """Returns the live sessions that a new one would be concurrent with."""
        if self._scope is SessionScope.LOGIN:
            return [session for session in self if session.live and session.login is login]
        return [session for session in self if session.live and session.dataset is dataset]

    def add(self, session: UploadSession) -> None:
        """Takes a session in."""
        self._sessions[session.id] = session

    def remove(self, session: UploadSession) -> None:
        """Forgets a session."""
        self._sessions.pop(session.id, None)


def _gone(session_id: str) -> Exception:
    return not_found(f"There is no upload session {session_id!r} for this dataset (any more).")


def parse_session(body: Any, dataset: Dataset) -> dict[str, UploadTable]:
    """Reads the body that opens an upload session and checks it against the dataset.

    Source: multiple-requests document, "Create an upload session on the IServer".

    Raises:
        Refusal: The first rule that it breaks.
    """
    tables: dict[str, UploadTable] = {}
    for item in Fields(body).objects("tables"):
        name = item.text("name")
        if name in tables:
            raise conflict(f"{item.path('name')}: table {name!r} is there already.")
        table = dataset.model.table(name)
        policy = parse_policy(item.text("updatePolicy"), item.path("updatePolicy"))
        if dataset.must_replace and policy is not Policy.REPLACE:
            raise invalid(
                f"{item.path('updatePolicy')} is {policy.value.lower()!r}, but dataset "
                f"{dataset.model.name!r} overwrote another one: every table must be replaced first."
            )
        tables[name] = UploadTable(
            table=table,
            columns=_columns(item, table),
            orientation=_orientation(item),
            policy=policy,
        )
    if dataset.must_replace and len(tables) < len(dataset.model.tables):
        absent = [table.name for table in dataset.model.tables if table.name not in tables]
        raise invalid(
            f"tables: dataset {dataset.model.name!r} overwrote another one, so every table must be "
            f"replaced first, but {', '.join(map(repr, absent))} is not there."
        )
    return tables


def parse_policy(text: str, path: str) -> Policy:
    """Reads an update policy, in upper or lower case.

    Raises:
        Refusal: There is no such policy.
    """
    try:
        return Policy(text.upper())
    except ValueError:
        known = ", ".join(policy.lower() for policy in Policy)
        raise invalid(f"{path} {text!r} is unknown; the update policies are {known}.") from None


def _orientation(item: Fields) -> Orientation:
    text = item.text_or("orientation", Orientation.ROW)
    if text.upper() not in (Orientation.ROW, Orientation.COLUMN):
        raise invalid(f"{item.path('orientation')} {text!r} is unknown; there are ROW and COLUMN.")
    return Orientation(text.upper())


def _columns(item: Fields, table: Table) -> tuple[Column, ...]:
    """The order of the columns in the chunks: as given, or else the dataset's own."""
    if not item.has("columnHeaders"):
        return table.columns
    known = {column.name: column for column in table.columns}
    columns: dict[str, Column] = {}
    for name in item.texts("columnHeaders"):
        if name not in known:
            raise invalid(
                f"{item.path('columnHeaders')}: table {table.name!r} has no column {name!r}; "
                f"its columns are {', '.join(map(repr, known))}."
            )
        if name in columns:
            raise conflict(f"{item.path('columnHeaders')}: column {name!r} is there twice.")
        columns[name] = known[name]
    if len(columns) < len(known):
        absent = [name for name in known if name not in columns]
        raise invalid(
            f"{item.path('columnHeaders')}: column {', '.join(map(repr, absent))} of table "
            f"{table.name!r} is not there."
        )
    return tuple(columns.values())
