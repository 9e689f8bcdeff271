"""What a job is: all that another process has to know to go on with it, and no secret."""

from __future__ import annotations

import enum
import json
import os
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec

from loader.api import Connection, LoginMode
from loader.api.proxy import NO_PROXY, parse_proxy
from loader.errors import UsageError
from loader.job.journal.fingerprint import TableFingerprint, fingerprints
from loader.job.prepare import Prepared, Sources
from loader.model import DatasetModel
from loader.sources import redacted, rooted

__all__ = [
    "ColumnRecord",
    "JobDescription",
    "ModelRecord",
    "NamedSource",
    "ServerRecord",
    "TableRecord",
    "from_json",
    "to_json",
]

T = TypeVar("T")


def to_json(value: object) -> str:
    """Returns a dataclass of this module's kind as JSON, in ASCII.

    Names of files may be no valid Unicode, which only the escapes of the standard library can tell.
    """
    return json.dumps(msgspec.to_builtins(value))


def from_json(text: str, kind: type[T]) -> T:
    """Returns what ``to_json`` made a text of.

    Raises:
        ValueError: It is no such text.
    """
    return msgspec.convert(json.loads(text), kind)


@dataclass(frozen=True, slots=True)
class NamedSource:
    """A source as the user named it.

    Attributes:
        text: ``PATH``, ``TABLE=PATH``, or a URI without its secrets; local paths are absolute.
        table: The table that a mapping of tables named it for; None: it stood in a list.
        whole: Whether the text is all that is needed to find it again: no secret was taken out,
            and it is no data in memory.
    """

    text: str
    table: str | None = None
    whole: bool = True

    def __str__(self) -> str:
        """Returns ``PATH`` or ``TABLE=PATH``."""
        return f"{self.table}={self.text}" if self.table else self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRecord:
    """A connection without its secrets.

    Attributes:
        url: The Library's address.
        username: The user; empty with login modes that have none.
        login_mode: The label of the login mode.
        project: The project as it was named.
        ca_bundle: Absolute path, as the others.
        insecure: Whether any certificate was accepted.
        client_cert: A file.
        client_key: A file.
        proxy: The proxy's URL without credentials, or ``none``; None: the environment's.
        proxy_login: Whether the proxy's URL had credentials, which have to be given again.
        local: Whether it was a server of the run's own (``--local``).
    """

    url: str
    username: str = ""
    login_mode: str = LoginMode.STANDARD.label
    project: str | None = None
    ca_bundle: str | None = None
    insecure: bool = False
    client_cert: str | None = None
    client_key: str | None = None
    proxy: str | None = None
    proxy_login: bool = False
    local: bool = False

    @classmethod
    def of(cls, connection: Connection, *, local: bool = False) -> ServerRecord:
        """Returns what may be written down of a connection."""
        proxy = connection.proxy
        proxy_login = False
        if proxy is not None:
            if proxy.strip().lower() == NO_PROXY:
                proxy = NO_PROXY
            else:
                parsed = parse_proxy(proxy, "--proxy")
                proxy, proxy_login = parsed.address, parsed.authorization is not None
        return cls(
            url=connection.url,
            username=connection.username,
            login_mode=connection.login_mode.label,
            project=connection.project,
            ca_bundle=_absolute(connection.ca_bundle),
            insecure=connection.insecure,
            client_cert=_absolute(connection.client_cert),
            client_key=_absolute(connection.client_key),
            proxy=proxy,
            proxy_login=proxy_login,
            local=local,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnRecord:
    """A column of the model; types are written as Arrow writes them."""

    name: str
    source: str
    source_type: str
    arrow_type: str
    data_type: str
    role: str
    as_text: bool = False
    date_format: str | None = None


@dataclass(frozen=True, slots=True)
class TableRecord:
    """A table of the model and its columns, in the order of the chunks."""

    name: str
    columns: tuple[ColumnRecord, ...]


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A model: two are equal if they send the same values to the same columns.

    Attributes:
        definition: As the server is told.
        tables: The columns of each table.
    """

    definition: dict[str, Any]
    tables: tuple[TableRecord, ...]

    @classmethod
    def of(cls, model: DatasetModel, folder_id: str | None) -> ModelRecord:
        """Returns what may be compared with the model of a later run."""
        return cls(
            model.definition(folder_id),
            tuple(
                TableRecord(
                    table.name,
                    tuple(
                        ColumnRecord(
                            name=column.name,
                            source=column.source,
                            source_type=str(column.source_type),
                            arrow_type=str(column.arrow_type),
                            data_type=column.data_type.value,
                            role=column.role.value,
                            as_text=column.as_text,
                            date_format=column.date_format,
                        )
                        for column in table.columns
                    ),
                )
                for table in model.tables
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDescription:
    """A job before its first request.

    Attributes:
        sources: As the user named them.
        options: Those of the load (``LoadOptions``) in values that JSON has; paths are absolute.
        mapping: The text of the mapping file, which may have changed since.
        server: The connection.
        model: The model before it was fitted to an existing dataset.
        tables: What the sources were like.
    """

    sources: tuple[NamedSource, ...]
    options: dict[str, Any]
    mapping: str | None
    server: ServerRecord
    model: ModelRecord
    tables: tuple[TableFingerprint, ...]

    @classmethod
    def of(
        cls,
        sources: Sources,
        options: Mapping[str, object],
        connection: Connection,
        prepared: Prepared,
        *,
        local: bool = False,
    ) -> JobDescription:
        """Describes a load that is about to start; looks at its files, so it blocks.

        Raises:
            SourceError: A file has gone since it was opened, or cannot be looked at.
        """
        mapping = prepared.settings.wishes.mapping
        return cls(
            sources=tuple(_named(sources)),
            options={name: _option(name, value) for name, value in options.items()},
            mapping=None if mapping is None else mapping.text,
            server=ServerRecord.of(connection, local=local),
            model=ModelRecord.of(prepared.model, prepared.settings.folder_id),
            tables=fingerprints(prepared.tables),
        )

    @property
    def unnamed(self) -> tuple[str, ...]:
        """The sources that a resume has to be told again, since a secret was left out."""
        return tuple(source.text for source in self.sources if not source.whole)

    @property
    def once(self) -> str | None:
        """Why no other process can read the sources again, in words; None: one can."""
        return next((f"table {one.table!r}: {one.once}" for one in self.tables if one.once), None)

    def named(self) -> Sequence[str] | Mapping[str, Sequence[str]]:
        """Returns the sources as ``open_tables`` takes them.

        Raises:
            UsageError: They can be read only once, or have to be named again.
        """
        if self.once:
            raise UsageError(
                f"the sources of this job cannot be read again: {self.once}",
                hint="cancel the job, then run the load again from the beginning",
            )
        if self.unnamed:
            raise UsageError(
                "the journal keeps no secrets, so these sources have to be named again: "
                + ", ".join(self.unnamed),
                hint="name all sources of the job, each with --source SOURCE, as they were named "
                "the first time",
                sources=list(self.unnamed),
            )
        if any(source.table is None for source in self.sources):
            return [source.text for source in self.sources]
        tables: dict[str, list[str]] = {}
        for source in self.sources:
            tables.setdefault(source.table or "", []).append(source.text)
        return tables


_IN_MEMORY: Final = "<arrow>"


def _named(sources: Sources) -> list[NamedSource]:
    if isinstance(sources, Mapping):
        return [named for table, thing in sources.items() for named in _each(thing, table)]
    return _each(sources, None)


def _each(thing: Any, table: str | None) -> list[NamedSource]:
    """Returns a path, each of several paths, or for anything else a note that it was in memory.

    Args:
        thing: What stands for a table, or for all of them.
        table: The table; None: the texts may name it.
    """
    paths = list(thing) if isinstance(thing, list | tuple) else [thing]
    if not all(isinstance(path, str | os.PathLike) for path in paths):
        return [NamedSource(_IN_MEMORY, table, whole=False)]
    texts = [rooted(os.fspath(path), names_table=table is None) for path in paths]
    return [NamedSource(redacted(text), table, redacted(text) == text) for text in texts]


def _absolute(path: str | os.PathLike[str] | None) -> str | None:
    return None if path is None else os.path.abspath(path)  # noqa: PTH100 - as above


# Options that name files, by a path or a text.
_PATHS: Final = frozenset({"mapping", "rejects_file"})


def _option(name: str, value: Any) -> Any:
    """Returns an option's value as JSON has it, such that ``interpret`` takes it the same."""
    return _absolute(value) if name in _PATHS else _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, AbstractSet):
        return sorted(map(_plain, value))
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
