"""Finds the dataset again that an earlier process of the same job has begun to fill."""

from __future__ import annotations

from dataclasses import replace

from loader.api import Client
from loader.errors import ModelMismatch, NotFound, Refused, UnknownDataset
from loader.job.dataset import Target, dataset_named, find_dataset
from loader.job.earlier import Earlier
from loader.job.journal.description import ModelRecord
from loader.job.journal.records import DatasetRecord
from loader.job.journal.states import JobState
from loader.job.prepare import Prepared
from loader.job.retrier import Repeat

__all__ = ["known_dataset"]


async def known_dataset(
    client: Client, prepared: Prepared, earlier: Earlier, call: Repeat
) -> Target | None:
    """Returns the dataset of a job; None where the job had created it and it is gone.

    Args:
        client: Logged in, with a project.
        prepared: The load.
        earlier: What is known of the job, with its dataset.
        call: Repeats calls that may be repeated.

    Raises:
        UnknownDataset: It is gone, and was not of the job's own making.
        ApiError: It is there, but does not show itself.
        ModelMismatch: What would be sent is not what was sent so far.
    """
    record = earlier.dataset
    assert record is not None, "the caller has looked"
    if earlier.stage is JobState.PUBLISHED:
        # Nothing is sent to it any more, whatever has become of it since.
        return _target(record, prepared)
    try:
        await call(lambda: client.dataset_tables(record.id))
    except (NotFound, Refused) as error:
        folder = prepared.settings.folder_id
        if await dataset_named(client, record.name, folder, call) == record.id:
            # One strange answer: what may be published there must not be sent once more.
            raise
        if record.created and earlier.unreadable is None:
            return None
        hint = "cancel the job; then run the load again from the beginning"
        if record.created:
            hint = f"to make it again the source would be needed: {earlier.unreadable}; or {hint}"
        raise UnknownDataset(
            f"the dataset {record.name!r} ({record.id}) of this job is gone: {error.message}",
            hint=hint,
            dataset_id=record.id,
        ) from error
    if earlier.unreadable is not None:
        return _target(record, prepared)
    if not (record.created or record.emptied):
        settings = replace(prepared.settings, dataset_id=record.id, dataset=None)
        found = await find_dataset(client, prepared.model, settings, call)
        assert found is not None, "it was named by its id"
        prepared = prepared.with_model(found.model)
    if ModelRecord.of(prepared.model, None).tables != record.model.tables:
        raise ModelMismatch(
            f"the columns that would be sent to the dataset {record.name!r} are not those that "
            "this job has sent so far: the dataset has changed since, or another version of "
            "mstr-loader makes another model of the source",
            hint="cancel the job, and run the load again from the beginning",
            dataset_id=record.id,
        )
    return _target(record, prepared)


def _target(record: DatasetRecord, prepared: Prepared) -> Target:
    return Target(
        record.id,
        record.name,
        prepared.model,
        created=record.created,
        emptied=record.emptied,
    )
