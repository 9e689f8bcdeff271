"""Which state of a job may follow which, and which state an end means."""

from __future__ import annotations

import contextlib
import itertools

import pytest

from loader.errors import Defect
from loader.job.journal.states import JobState, end_state, moved
from loader.job.result import Status

S = JobState

GOOD = (S.CREATED, S.UPLOADING, S.UPLOADED, S.PUBLISHING, S.PUBLISHED, S.CLOSED)


def possible(state: JobState) -> set[JobState]:
    found = set()
    for other in JobState:
        with contextlib.suppress(Defect):
            found.add(moved(state, other))
    return found


@pytest.mark.parametrize(("old", "new"), [*itertools.pairwise(GOOD)])
def test_the_good_way(old, new):
    assert moved(old, new) is new


@pytest.mark.parametrize("state", [S.CLOSED, S.CANCELLED])
def test_an_end_is_an_end(state):
    assert possible(state) == set()


def test_what_is_published_stays_published():
    assert possible(S.PUBLISHED) == {S.CLOSED}


def test_nothing_is_published_but_by_a_publish():
    before = {state for state in JobState if S.PUBLISHED in possible(state)}
    assert before == {S.PUBLISHING, S.INTERRUPTED, S.UNKNOWN}


def test_only_a_publish_leaves_it_unknown():
    before = {state for state in JobState if S.UNKNOWN in possible(state)}
    assert before == {S.PUBLISHING, S.INTERRUPTED}


def test_every_unfinished_state_leads_to_an_end():
    for state in JobState:
        seen, todo = {state}, [state]
        while todo:
            for following in possible(todo.pop()) - seen:
                seen.add(following)
                todo.append(following)
        assert any(one.is_finished for one in seen), state


def test_no_step_is_skipped():
    for number, state in enumerate(GOOD[:-2]):
        assert possible(state) & {*GOOD[number + 2 :]} <= {S.CLOSED}, state


ENDS = [
    (S.PUBLISHED, Status.PUBLISHED, False, S.CLOSED),
    (S.PUBLISHED, Status.FAILED, False, None),
    (S.PUBLISHED, Status.INTERRUPTED, True, None),
    (S.PUBLISHING, Status.PUBLISHED, False, S.CLOSED),
    (S.PUBLISHING, Status.UNKNOWN, True, S.UNKNOWN),
    (S.PUBLISHING, Status.FAILED, False, S.FAILED),
    (S.PUBLISHING, Status.INTERRUPTED, True, S.INTERRUPTED),
    (S.UPLOADED, Status.UPLOADED, True, None),
    (S.UPLOADING, Status.INTERRUPTED, True, S.INTERRUPTED),
    (S.UPLOADING, Status.INTERRUPTED, False, S.FAILED),
    (S.UPLOADING, Status.FAILED, False, S.FAILED),
    (S.CREATED, Status.INTERRUPTED, False, S.FAILED),
    (S.CREATED, Status.FAILED, False, S.FAILED),
]


@pytest.mark.parametrize(("state", "status", "resumable", "expected"), ENDS)
def test_the_state_at_the_end(state, status, resumable, expected):
    found = end_state(state, status, resumable=resumable)
    assert found is expected
    if found is not None:
        assert moved(state, found) is found
