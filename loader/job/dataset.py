"""Finds the dataset to load into, or creates it: the same command works today and tomorrow."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from loader.api import Client, DatasetObjects, DatasetRef, DatasetTables
from loader.errors import (
    AmbiguousDataset,
    ModelMismatch,
    NotAllowed,
    NotFound,
    ProtocolViolation,
    Refused,
    UnknownDataset,
    UsageError,
)
from loader.job.settings import LoadSettings, MatchColumns, UpdatePolicy
from loader.model import DatasetModel, ExistingDataset, fit

__all__ = ["Target", "dataset_named", "find_dataset", "namesakes", "resolve_dataset"]


# Differences that one message shows; all are in its details.
_SHOWN = 10


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
) -> Target:
    """Returns the dataset that the settings name, creating it where there is none.

    An existing dataset keeps its id, so dashboards built on it survive; its tables and columns must
    be those of the model.

    Args:
        client: Logged in, with a project.
        model: What the source wants to load.
        settings: The settings of the load.
        check: Given the model as the dataset takes it before anything is made or changed; what it
            raises ends the load.

    Raises:
        UnknownDataset: ``dataset_id`` names none.
        AmbiguousDataset: Several datasets of the folder have that name.
        ModelMismatch: The existing dataset has other tables or columns.
        UsageError: ``overwrite`` with a policy other than replace, or an unknown ``folder_id``.
    """
    if settings.overwrite:
        existing = await dataset_named(client, model.name, settings.folder_id)
        await check(model)
        if existing is None:
            return await _create(client, model, settings)
        return await _overwrite(client, model, settings, existing)
    found = await find_dataset(client, model, settings)
    await check(found.model if found else model)
    return found or await _create(client, model, settings)


async def find_dataset(
    client: Client, model: DatasetModel, settings: LoadSettings
) -> Target | None:
    """Returns the existing dataset that the settings name, or None where no dataset has the name.

    Raises:
        UnknownDataset: ``dataset_id`` names none.
        AmbiguousDataset: Several datasets of the folder have that name.
        ModelMismatch: The dataset has other tables or columns.
        UsageError: An unknown ``folder_id``.
    """
    dataset_id = settings.dataset_id
    if dataset_id is None:
        dataset_id = await dataset_named(client, model.name, settings.folder_id)
    return None if dataset_id is None else await _by_id(client, model, settings, dataset_id)


async def dataset_named(client: Client, name: str, folder_id: str | None) -> str | None:
    """Returns the id of the folder's dataset of that name, or None.

    Raises:
        AmbiguousDataset: There are several.
        UsageError: The project has no such folder.
    """
    # Names ignore case on the server: creating "sales" would overwrite a dataset "Sales".
    found = [
        dataset
        for dataset in await _in_folder(client, folder_id)
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


async def _in_folder(client: Client, folder_id: str | None) -> list[DatasetRef]:
    try:
        return await client.folder_datasets(folder_id)
    except NotFound as error:
        if folder_id is None:
            raise
        raise UsageError(
            f"the project has no folder with the id {folder_id!r}: {error.message}",
            hint="copy the id from the folder's properties, or leave out --folder-id: the default "
            "is My Reports",
            folder_id=folder_id,
        ) from error


async def _create(client: Client, model: DatasetModel, settings: LoadSettings) -> Target:
    warnings = await namesakes(client, model.name)
    created = await client.create_model(model.definition(settings.folder_id))
    return Target(created, model.name, model, created=True, warnings=warnings)


async def namesakes(client: Client, name: str) -> tuple[str, ...]:
    """Returns a warning for each dataset of a name that is about to be created in a folder.

    The server's index may lag, but what it knows is worth a word before a second one appears.
    """
    return tuple(
        f"another dataset is called {name!r}, in another folder (id {dataset.id}); "
        f"--dataset-id {dataset.id} would update that one"
        for dataset in await client.search_datasets(name)
    )


async def _overwrite(
    client: Client, model: DatasetModel, settings: LoadSettings, existing: str
) -> Target:
    others = [
        table.name
        for table in model.tables
        if settings.policy_of(table.name) is not UpdatePolicy.REPLACE
    ]
    if others:
        raise UsageError(
            "--overwrite needs the policy replace for every table; another one has: "
            + ", ".join(others),
            hint="leave out --policy or --overwrite",
        )
    created = await client.create_model(model.definition(settings.folder_id))
    return Target(
        created,
        model.name,
        model,
        emptied=True,
        warnings=(
            (
                f"the definition of {model.name!r} was re-created (id {existing} before, "
                f"{created} now): dashboards and reports built on it may have lost their objects"
            ),
        ),
    )


async def _by_id(
    client: Client, model: DatasetModel, settings: LoadSettings, dataset_id: str
) -> Target:
    try:
        existing = await client.dataset_tables(dataset_id)
    except (NotFound, Refused) as error:
        raise UnknownDataset(
            f"the project has no dataset with the id {dataset_id!r}: {error.message}",
            hint="copy the id from the dataset's properties, or name it with --dataset",
            dataset_id=dataset_id,
        ) from error
    objects, warnings = await _objects(client, dataset_id)
    fitted, drift = fit(
        model,
        settings.wishes,
        _described(existing, objects),
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
    client: Client, dataset_id: str
) -> tuple[DatasetObjects | None, tuple[str, ...]]:
    """Returns the dataset's attributes and metrics; a server may refuse to tell of a cube.

    The tables and columns alone decide whether a load is possible, so that is only worth a warning.
    """
    try:
        return await client.dataset_objects(dataset_id), ()
    except (NotFound, NotAllowed, Refused, ProtocolViolation) as error:
        warning = f"roles and types were not compared with those of the dataset: {error.message}"
        return None, (warning,)


def _described(tables: DatasetTables, objects: DatasetObjects | None) -> ExistingDataset:
    return ExistingDataset(
        tables={
            table.name: {column.name: column.data_type for column in table.columns}
            for table in tables.tables
        },
        attributes=objects.attributes if objects else {},
        metrics=objects.metrics if objects else {},
        objects_known=objects is not None,
    )
