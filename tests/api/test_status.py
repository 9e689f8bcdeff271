"""Publish statuses: documented ones, inferred ones, and those nobody knows."""

from __future__ import annotations

import pytest

from loader.api.status import PublishState, publish_state


@pytest.mark.parametrize(
    ("codes", "state"),
    [
        ([1], PublishState.DONE),
        ([3, 18], PublishState.FAILED),
        ([0, 2, *range(4, 18), *range(19, 25)], PublishState.RUNNING),
        ([-1, 25, 99, -2147072488], PublishState.UNKNOWN),
    ],
)
def test_status_codes_have_their_states(codes, state):
    assert {publish_state(code) for code in codes} == {state}
