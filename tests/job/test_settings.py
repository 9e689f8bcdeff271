from __future__ import annotations

import pytest

from loader.errors import UsageError
from loader.job.settings import LoadSettings, Ordering, UpdatePolicy, default_memory
from loader.units import MB


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"dataset": "D", "dataset_id": "1"}, "twice"),
        ({"dataset_id": "1", "overwrite": True}, "--overwrite"),
        ({"dataset_id": "1", "folder_id": "F"}, "--folder-id"),
        ({"overwrite": True, "publish": False}, "--no-publish"),
        ({"ordering": Ordering.STRICT, "concurrency": 2}, "one chunk at a time"),
        ({"ordering": Ordering.FREE, "window": 3}, "--window"),
        ({"chunk_size": 0}, "--chunk-size must be above 0"),
        ({"publish_timeout": -1.0}, "--publish-timeout must be above 0"),
        ({"dataset": " "}, "--dataset is empty"),
    ],
)
def test_what_cannot_be_wanted(settings, says):
    with pytest.raises(UsageError, match=says) as caught:
        LoadSettings(**settings)
    assert caught.value.hint


def test_one_table_may_have_a_policy_of_its_own():
    settings = LoadSettings(policy=UpdatePolicy.ADD, table_policies={"t": UpdatePolicy.UPSERT})
    assert (settings.policy_of("t"), settings.policy_of("u")) == ("upsert", "add")


@pytest.mark.parametrize(
    ("limit", "memory"),
    [("max\n", 1000 * MB), ("500000000\n", 400 * MB), ("9223372036854771712\n", 1000 * MB)],
)
def test_memory_is_less_in_a_small_container(tmp_path, limit, memory):
    path = tmp_path / "memory.max"
    path.write_text(limit)
    assert default_memory((path,)) == memory
    assert default_memory((tmp_path / "missing", path)) == memory
