"""Finds the dataset to load into, or creates it: the same command works today and tomorrow."""

from __future__ import annotations

from dataclasses import dataclass, field

from loader.api import Client, DatasetRef, DatasetTables
from loader.errors import (
    AmbiguousDataset,
    ModelMismatch,
    NotFound,
    Refused,
    UnknownDataset,
    UsageError,
)
from loader.job.settings import LoadSettings, UpdatePolicy
from loader.model import DatasetModel, differences, role_differences

__all__ = ["Target", "resolve_dataset"]


# Differences that one message shows; all are in its details.
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Target:
    """The dataset that a load fills.

    Attributes:
        id: Its id.
        name: Its name.
        created: Whether this load made it, so that a failed load can take it away again.
        emptied: Whether this load has already taken the old data away, by ``overwrite``.
        warnings: What the user should know about it.
    """

    id: str
    name: str
    created: bool = False
    emptied: bool = False
    warnings: tuple[str, ...] = field(default=())


async def resolve_dataset(client: Client, model: DatasetModel, settings: LoadSettings) -> Target:
    """Returns the dataset that the settings name, creating it where there is none.

    An existing dataset keeps its id, so dashboards built on it survive; its tables and columns must
    be those of the model.

    Raises:
        UnknownDataset: ``dataset_id`` names none.
        AmbiguousDataset: Several datasets of the folder have that name.
        ModelMismatch: The existing dataset has other tables or columns.
        UsageError: ``overwrite`` with a policy other than replace, or an unknown ``folder_id``.
    """
    if settings.dataset_id is not None:
        return await _by_id(client, model, settings, settings.dataset_id)
    # Names ignore case on the server: creating "sales" would overwrite a dataset "Sales".
    found = [
        dataset
        for dataset in await _in_folder(client, settings.folder_id)
        if dataset.name.casefold() == model.name.casefold()
    ]
    if len(found) > 1:
        raise AmbiguousDataset(
            f"{len(found)} datasets in the folder are called {model.name!r}",
            hint="choose one with --dataset-id: "
            + ", ".join(f"{dataset.id} (changed {dataset.modified})" for dataset in found),
            dataset=model.name,
        )
    if not found:
        return await _create(client, model, settings)
    if settings.overwrite:
        return await _overwrite(client, model, settings, found[0].id)
    return await _by_id(client, model, settings, found[0].id)


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
    # The server's index may lag, but what it knows is worth a warning before a second one appears.
    elsewhere = await client.search_datasets(model.name)
    created = await client.create_model(model.definition(settings.folder_id))
    warnings = tuple(
        f"another dataset is called {model.name!r}, in another folder (id {dataset.id}); "
        f"--dataset-id {dataset.id} would update that one"
        for dataset in elsewhere
        if dataset.id != created
    )
    return Target(created, model.name, created=True, warnings=warnings)


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
    found = [*differences(model, _columns(existing))]
    if settings.roles.attributes or settings.roles.metrics:
        objects = await client.dataset_objects(dataset_id)
        found += role_differences(model, settings.roles, objects.attributes, objects.metrics)
    if found:
        name = existing.name or model.name
        more = len(found) - _SHOWN
        shown = "; ".join(found[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
        raise ModelMismatch(
            f"the source does not fit the dataset {name!r} ({dataset_id}): {shown}",
            hint="load into a new dataset with --dataset NAME, rename tables with TABLE=PATH, "
            "set types with --type, or re-create the definition with --overwrite",
            dataset_id=dataset_id,
            differences=found,
        )
    return Target(dataset_id, existing.name or model.name)


def _columns(dataset: DatasetTables) -> dict[str, dict[str, str | None]]:
    return {
        table.name: {column.name: column.data_type for column in table.columns}
        for table in dataset.tables
    }
