"""What of a journal decides how a load goes on."""

from __future__ import annotations

import dataclasses

import pytest

from loader.encode.version import ENCODER_VERSION
from loader.job.cuts import TableCuts
from loader.job.earlier import Earlier
from loader.job.journal.description import ModelRecord
from loader.job.journal.records import ChunkRecord, DatasetRecord, JobRecord, SessionRecord
from loader.job.journal.states import JobState
from tests.job.journals import description

S = JobState
SESSION = SessionRecord(1, "S1", 100, open=True)
DATASET = DatasetRecord("D1", "Sales", True, False, ModelRecord({"name": "Sales"}, ()))
WHOLE = (S.UPLOADED, S.PUBLISHING, S.PUBLISHED)


def chunk(index, *, accepted=True, table="t", size=100):
    first = 10 * (index - 1)
    return ChunkRecord(1, table, index, first, first + 10, 9, size, bytes(16), accepted)


def record(stage=S.UPLOADING, **changes) -> JobRecord:
    values = {
        "id": "J1",
        "created": "2026-11-21T22:51:00.000+00:00",
        "version": "0.1.0",
        "encoder": ENCODER_VERSION,
        "host": "h",
        "state": S.INTERRUPTED,
        "stage": stage,
        "description": description(),
        "dataset": DATASET,
        "sessions": (SESSION,),
        "chunks": (),
        "before": None,
        "rejected": {},
        "end": None,
        "transitions": (),
    }
    return JobRecord(**(values | changes))


def kept(record, **options):
    return Earlier.of(record, **options).kept


def test_nothing_was_done():
    earlier = Earlier.of(record(S.CREATED, dataset=None, sessions=()))
    assert (earlier.dataset, earlier.kept, earlier.before) == (None, None, None)
    assert not earlier.is_uploaded


@pytest.mark.parametrize("stage", [stage for stage in S if stage.is_stage])
def test_how_far_it_came(stage):
    assert Earlier.of(record(stage)).is_uploaded == (stage in WHOLE)


def test_a_dataset_that_was_deleted_again_is_not_there():
    deleted = dataclasses.replace(DATASET, deleted=True)
    assert Earlier.of(record(dataset=deleted)).dataset is None
    assert Earlier.of(record()).dataset == DATASET


def test_chunks_are_known_up_to_the_first_that_was_not_planned():
    chunks = (
        chunk(1),
        chunk(2, accepted=False),
        chunk(4),
        chunk(1, table="u"),
        chunk(3, table="u"),
    )
    cuts = kept(record(chunks=chunks)).cuts
    assert [(cut.index, cut.accepted) for cut in cuts["t"]] == [(1, True), (2, False)]
    assert [cut.index for cut in cuts["u"]] == [1]
    assert [cut.first_row for cut in cuts["t"]] == [0, 10]
    for table, found in cuts.items():
        TableCuts(table, found)  # none is missing, and none overlaps


def test_chunks_in_any_order():
    chunks = tuple(chunk(index) for index in (3, 1, 2))
    assert [cut.index for cut in kept(record(chunks=chunks)).cuts["t"]] == [1, 2, 3]


def test_no_chunk_at_all():
    found = kept(record())
    assert found.cuts == {}
    assert found.largest_missing == 0


def test_the_largest_that_has_to_be_made_again():
    chunks = (chunk(1, size=500), chunk(2, accepted=False, size=300), chunk(3, accepted=False))
    assert kept(record(chunks=chunks)).largest_missing == 300


def test_the_last_session_counts():
    ended = dataclasses.replace(SESSION, open=False)
    second = SessionRecord(2, "S2", 50, open=True)
    found = kept(record(sessions=(ended, second)))
    assert (found.session, found.rules.target) == ("S2", 50)


@pytest.mark.parametrize("stage", [S.CREATED, S.UPLOADING, S.UPLOADED])
def test_a_session_that_has_ended_is_of_no_use(stage):
    assert kept(record(stage, sessions=(dataclasses.replace(SESSION, open=False),))) is None


@pytest.mark.parametrize("stage", [S.PUBLISHING, S.PUBLISHED])
def test_but_what_was_sent_to_it_may_be_published(stage):
    ended = dataclasses.replace(SESSION, open=False)
    found = kept(record(stage, sessions=(ended,), chunks=(chunk(1),)))
    assert found.session is None
    assert [cut.rows for cut in found.cuts["t"]] == [9]


@pytest.mark.parametrize("stage", [S.UPLOADING, *WHOLE])
@pytest.mark.parametrize(
    ("changes", "options", "reason"),
    [
        ({}, {"recut": True}, "--chunk-size"),
        ({"encoder": ENCODER_VERSION + 1}, {}, "other bytes"),
        ({"encoder": ENCODER_VERSION - 1}, {}, "version 0.1.0"),
    ],
)
def test_what_cannot_be_gone_on_with_unless_all_is_there(stage, changes, options, reason):
    found = kept(record(stage, **changes), **options)
    assert found.session == "S1", "it has to be deleted"
    if stage in WHOLE:
        assert found.given_up is None
    else:
        assert reason in found.given_up


def test_what_is_kept_as_it_is():
    earlier = Earlier.of(
        record(S.PUBLISHING, before={"t": 5}, rejected={"t": 2}), unreadable="it is gone"
    )
    assert (earlier.before, earlier.rejected, earlier.unreadable) == (
        *({"t": 5}, {"t": 2}),
        "it is gone",
    )
