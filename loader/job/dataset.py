"""Finds the dataset to load into, or creates it: the same command works today and tomorrow."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from loader.api import Client, DatasetObjects, DatasetRef, DatasetTables
from loader.errors import (
    AmbiguousDataset,
    LoaderError,
    ModelMismatch,
    NotAllowed,
    NotFound,
    ProtocolViolation,
    Refused,
    UnknownDataset,
    UsageError,
)
from loader.job.outcome import may_have_happened
from loader.job.retrier import Repeat, once
from loader.job.settings import LoadSettings, MatchColumns, UpdatePolicy
from loader.model import DatasetModel, ExistingDataset, fit

__all__ = ["Target", "dataset_named", "find_dataset", "namesakes", "resolve_dataset"]


# Differences that one message shows; all are in its details.
_SHOWN = 10

LOOKS = (0.5, 1.0, 2.0)
"""Seconds before each further look for what was just created: a server may list and describe it a
moment later, and a creation whose connection was lost may still be under way."""


@dataclass(frozen=True, slots=True)
class Target:
    """The dataset that a load fills.

    Attributes:
        id: Its id.
        name: Its name.
        model: What is sent to it: an existing dataset has its own roles, and perhaps names and
            types.
        created: Whether this load made it, so that a failed load can take it away again.
        emptied: Whether this load has already taken the old data away, by ``overwrite``.
        warnings: What the user should know about it.
    """

    id: str
    name: str
    model: DatasetModel
    created: bool = False
    emptied: bool = False
    warnings: tuple[str, ...] = field(default=())


async def resolve_dataset(
    client: Client,
    model: DatasetModel,
    settings: LoadSettings,
    check: Callable[[DatasetModel], Awaitable[None]],
    call: Repeat,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Target:
    """Returns the dataset that the settings name, creating it where there is none.

    An existing dataset keeps its id, so dashboards built on it survive; its tables and columns must
    be those of the model. A creation whose answer was lost is looked for before it is repeated.

    Args:
        client: Logged in, with a project.
        model: What the source wants to load.
        settings: The settings of the load.
        check: Given the model as the dataset takes it before anything is made or changed; what it
            raises ends the load.
        call: Makes each call, as often as it takes.
        sleep: Waits between looks.

    Raises:
        UnknownDataset: ``dataset_id`` names none.
        AmbiguousDataset: Several datasets of the folder have that name.
        ModelMismatch: The existing dataset has other tables or columns.
        UsageError: ``overwrite`` with a policy other than replace, or an unknown ``folder_id``.
    """
    maker = _Maker(client, model, settings, call, sleep)
    if settings.overwrite:
        existing = await dataset_named(client, model.name, settings.folder_id, call)
        await check(model)
        return await (maker.create() if existing is None else maker.overwrite(existing))
    found = await find_dataset(client, model, settings, call, sleep=sleep)
    await check(found.model if found else model)
    return found or await maker.create()


async def find_dataset(
    client: Client,
    model: DatasetModel,
    settings: LoadSettings,
    call: Repeat,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Target | None:
    """Returns the existing dataset that the settings name, or None where no dataset has the name.

    Args:
        client: Logged in, with a project.
        model: What the source wants to load.
        settings: The settings of the load.
        call: Makes each call, as often as it takes.
        sleep: Waits between looks.

    Raises:
        UnknownDataset: ``dataset_id`` names none.
        AmbiguousDataset: Several datasets of the folder have that name.
        ModelMismatch: The dataset has other tables or columns.
        UsageError: An unknown ``folder_id``.
    """
    dataset_id = settings.dataset_id
    if dataset_id is not None:
        existing = await _described(client, dataset_id, call)
    else:
        dataset_id = await dataset_named(client, model.name, settings.folder_id, call)
        if dataset_id is None:
            return None
        existing = await _described_soon(client, dataset_id, call, sleep)
    return await _fitted(client, model, settings, existing, call)


async def dataset_named(
    client: Client, name: str, folder_id: str | None, call: Repeat
) -> str | None:
    """Returns the id of the folder's dataset of that name, or None.

    Raises:
        AmbiguousDataset: There are several.
        UsageError: The project has no such folder.
    """
    # Names ignore case on the server: creating "sales" would overwrite a dataset "Sales".
    found = [
        dataset
        for dataset in await _in_folder(client, folder_id, call)
        if dataset.name.casefold() == name.casefold()
    ]
    if len(found) > 1:
        raise AmbiguousDataset(
            f"{len(found)} datasets in the folder are called {name!r}",
            hint="choose one with --dataset-id: "
            + ", ".join(f"{dataset.id} (changed {dataset.modified})" for dataset in found),
            dataset=name,
        )
    return found[0].id if found else None


async def _in_folder(client: Client, folder_id: str | None, call: Repeat) -> list[DatasetRef]:
    try:
        return await call(lambda: client.folder_datasets(folder_id))
    except NotFound as error:
        if folder_id is None:
            raise
        raise UsageError(
            f"the project has no folder with the id {folder_id!r}: {error.message}",
            hint="copy the id from the folder's properties, or leave out --folder-id: the default "
            "is My Reports",
            folder_id=folder_id,
        ) from error


async def namesakes(client: Client, name: str, call: Repeat) -> tuple[str, ...]:
    """Returns a warning for each dataset of a name that is about to be created in a folder.

    The server's index may lag, but what it knows is worth a word before a second one appears.
    """
    return tuple(
        f"another dataset is called {name!r}, in another folder (id {dataset.id}); "
        f"--dataset-id {dataset.id} would update that one"
        for dataset in await call(lambda: client.search_datasets(name))
    )


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes the definition of a dataset."""

    client: Client
    model: DatasetModel
    settings: LoadSettings
    call: Repeat
    sleep: Callable[[float], Awaitable[None]]

    async def create(self) -> Target:
        """Makes a dataset where there is none of that name."""
        name = self.model.name
        warnings = await namesakes(self.client, name, self.call)
        created = await self._post(None)
        return Target(created, name, self.model, created=True, warnings=warnings)

    async def overwrite(self, existing: str) -> Target:
        """Makes the definition of an existing dataset anew."""
        name = self.model.name
        others = [
            table.name
            for table in self.model.tables
            if self.settings.policy_of(table.name) is not UpdatePolicy.REPLACE
        ]
        if others:
            raise UsageError(
                "--overwrite needs the policy replace for every table; another one has: "
                + ", ".join(others),
                hint="leave out --policy or --overwrite",
            )
        created = await self._post(existing)
        return Target(
            created,
            name,
            self.model,
            emptied=True,
            warnings=(
                (
                    f"the definition of {name!r} was re-created (id {existing} before, "
                    f"{created} now): dashboards and reports built on it may have lost their "
                    "objects"
                ),
            ),
        )

    async def _post(self, before: str | None) -> str:
        """Posts the definition and returns the dataset's id.

        Where an answer was lost, a dataset of that name that was not there before is the one that
        was asked for. Where none comes to light, posting again is harmless: a definition that
        appears after all only takes the place of its equal.

        Args:
            before: The id that the dataset of that name had so far.
        """
        lost: LoaderError | None = None
        definition = self.model.definition(self.settings.folder_id)

        async def attempt() -> str:
            nonlocal lost
            if lost is not None and (found := await self._made_since(before)):
                return found
            lost = None
            try:
                return await self.client.create_model(definition)
            except LoaderError as error:
                lost = error if may_have_happened(error) else None
                raise

        try:
            return await self.call(attempt)
        except LoaderError as error:
            if lost is None:
                raise
            # The last look costs nothing that is short by now.
            with contextlib.suppress(LoaderError):
                if found := await self._made_since(before):
                    return found
            error.add(
                "the dataset may have been created all the same"
                if before is None
                else f"the definition may have been re-created all the same, in place of {before}"
            )
            raise

    async def _made_since(self, before: str | None) -> str | None:
        """Returns the id of the dataset that a lost answer would have told, once it is there."""
        for wait in (0.0, *LOOKS):
            await self.sleep(wait)
            found = await dataset_named(self.client, self.model.name, self.settings.folder_id, once)
            if found not in {None, before}:
                return found
        return None


async def _described(client: Client, dataset_id: str, call: Repeat) -> DatasetTables:
    """Returns the tables and columns of a dataset.

    Raises:
        UnknownDataset: There is none with that id, or it is none that can be loaded into.
    """
    try:
        return await call(lambda: client.dataset_tables(dataset_id))
    except (NotFound, Refused) as error:
        raise UnknownDataset(
            f"the project has no dataset with the id {dataset_id!r}: {error.message}",
            hint="copy the id from the dataset's properties, or name it with --dataset",
            dataset_id=dataset_id,
        ) from error


async def _described_soon(
    client: Client, dataset_id: str, call: Repeat, sleep: Callable[[float], Awaitable[None]]
) -> DatasetTables:
    """Returns the tables and columns of a dataset that the folder lists.

    Right after a create, reading a definition may answer ERR004 for a moment (a known report of
    clients): the load that created it may have been killed, or be another one.
    """
    for wait in LOOKS:
        try:
            return await call(lambda: client.dataset_tables(dataset_id))
        except NotFound:
            await sleep(wait)
    return await _described(client, dataset_id, call)


async def _fitted(
    client: Client,
    model: DatasetModel,
    settings: LoadSettings,
    existing: DatasetTables,
    call: Repeat,
) -> Target:
    """Returns an existing dataset, with the model as it takes it."""
    dataset_id = existing.dataset_id
    objects, warnings = await _objects(client, dataset_id, call)
    fitted, drift = fit(
        model,
        settings.wishes,
        _existing(existing, objects),
        by_position=settings.match_columns is MatchColumns.POSITION,
    )
    name = existing.name or model.name
    if drift:
        found = list(drift.sentences())
        more = len(found) - _SHOWN
        shown = "; ".join(found[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
        raise ModelMismatch(
            f"the source does not fit the dataset {name!r} ({dataset_id}): {shown}",
            hint="; or ".join(drift.hints()),
            dataset_id=dataset_id,
            differences=found,
            tables={table: differing.as_dict() for table, differing in drift.tables.items()},
        )
    return Target(dataset_id, name, fitted, warnings=warnings)


async def _objects(
    client: Client, dataset_id: str, call: Repeat
) -> tuple[DatasetObjects | None, tuple[str, ...]]:
    """Returns the dataset's attributes and metrics; a server may refuse to tell of a cube.

    The tables and columns alone decide whether a load is possible, so that is only worth a warning.
    """
    try:
        return await call(lambda: client.dataset_objects(dataset_id)), ()
    except (NotFound, NotAllowed, Refused, ProtocolViolation) as error:
        warning = f"roles and types were not compared with those of the dataset: {error.message}"
        return None, (warning,)


def _existing(tables: DatasetTables, objects: DatasetObjects | None) -> ExistingDataset:
    return ExistingDataset(
        tables={
            table.name: {column.name: column.data_type for column in table.columns}
            for table in tables.tables
        },
        attributes=objects.attributes if objects else {},
        metrics=objects.metrics if objects else {},
        objects_known=objects is not None,
    )
