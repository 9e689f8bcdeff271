from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from loader.job.table_ids import TableIds

SERVER = "https://bi.example.com/MicroStrategyLibrary"


@pytest.fixture
def ids(tmp_path):
    return TableIds(tmp_path / "state" / "ids.sqlite")


def test_an_id_is_known_after_it_was_remembered(ids):
    assert ids.find(SERVER, "D", "t") is None
    assert not ids.path.exists()  # a look leaves nothing behind
    ids.remember(SERVER, "D", "t", "T1")
    ids.remember(SERVER, "D", "u", "U1")
    ids.remember(SERVER, "E", "t", "X1")
    again = TableIds(ids.path)
    assert [again.find(SERVER, *key) for key in (("D", "t"), ("D", "u"), ("E", "t"))] == [
        *("T1", "U1", "X1")
    ]
    assert again.find(SERVER, "E", "u") is None


def test_the_last_id_counts(ids):
    for table_id in ("T1", "T2"):
        ids.remember(SERVER, "D", "t", table_id)
    assert ids.find(SERVER, "D", "t") == "T2"


def test_another_name_of_the_server_is_second_best(ids):
    ids.remember("http://localhost:1234", "D", "t", "T1")
    assert ids.find(SERVER, "D", "t") == "T1"
    ids.remember(SERVER, "D", "t", "T2")
    ids.remember("http://localhost:5678", "D", "t", "T3")
    assert ids.find(SERVER, "D", "t") == "T2"


def test_several_may_write_at_once(ids):
    def write(number):
        TableIds(ids.path).remember(SERVER, f"D{number}", "t", f"T{number}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(24)))
    assert [ids.find(SERVER, f"D{number}", "t") for number in range(24)] == [
        f"T{number}" for number in range(24)
    ]


def test_a_broken_file_is_told(ids):
    ids.path.parent.mkdir()
    ids.path.write_bytes(b"no database at all, but long enough to be looked at" * 30)
    with pytest.raises(sqlite3.Error):
        ids.find(SERVER, "D", "t")


def test_without_a_path_it_lies_in_the_state_directory(tmp_path):
    TableIds().remember(SERVER, "D", "t", "T1")
    assert (tmp_path / "state" / "table_ids.sqlite").exists()
