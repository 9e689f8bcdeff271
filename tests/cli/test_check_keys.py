"""``push --check-keys`` end to end: nothing is sent, made or changed where keys repeat."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest


@pytest.fixture
def doubled(tmp_path):
    path = tmp_path / "doubled.parquet"
    pq.write_table(pa.table({"id": [1, 1], "v": [1.5, 2.5]}), path)
    return path


@pytest.fixture
def unique(tmp_path):
    path = tmp_path / "unique.parquet"
    pq.write_table(pa.table({"id": [1, 2], "v": [1.5, 2.5]}), path)
    return path


def test_a_new_dataset_is_not_made(push, server, doubled):
    outcome = push(f"t={doubled}", "--attribute", "id", "--check-keys")
    assert (outcome.code, outcome.error["kind"]) == (3, "duplicate_keys")
    assert server.datasets == {}
    server.left_nothing()


def test_the_key_is_that_of_the_dataset(push, server, unique, doubled):
    push(f"t={unique}", "--attribute", "id", "--check-keys").succeeded()
    # The source alone would call "id" a metric.
    outcome = push(f"t={doubled}", "--policy", "upsert", "--check-keys")
    assert (outcome.code, outcome.error["kind"]) == (3, "duplicate_keys")
    assert outcome.error["examples"] == ["1"]


def test_overwrite_leaves_the_old_definition_alone(push, server, unique, doubled):
    first = push(f"t={unique}", "--attribute", "id").succeeded().json
    outcome = push(f"t={doubled}", "--attribute", "id", "--overwrite", "--check-keys")
    assert outcome.code == 3
    again = push(f"t={unique}").succeeded().json
    assert again["dataset_id"] == first["dataset_id"]


def test_one_request_checks_too(push, server, doubled):
    arguments = ("--workflow", "one-request", "--attribute", "id", "--check-keys")
    outcome = push(f"t={doubled}", *arguments)
    assert (outcome.code, outcome.error["kind"]) == (3, "duplicate_keys")
    assert server.datasets == {}
