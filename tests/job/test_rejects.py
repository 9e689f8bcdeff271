"""The book of bad rows: limits, the file, and what becomes of both when something fails."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import stat
from pathlib import Path

import pytest

from loader.badrow import BadRow
from loader.errors import BadValue, RejectsUnwritable, TooManyBadRows, UsageError
from loader.job.rejects import Rejects, check_rejects_file
from loader.job.settings import BadRowLimit, LoadSettings, OnBadRow

NOW = dt.datetime(2024, 2, 29, 13, 5, 7, 12, tzinfo=dt.UTC)


def rows(*numbers: int, value: str = "x") -> list[BadRow]:
    return [
        BadRow("data/f.csv", number, "c", value, "does not fit INTEGER", "mend it")
        for number in numbers
    ]


def book(policy: str = "skip", limit: str | None = None, *, file=None, total=None) -> Rejects:
    settings = LoadSettings(
        on_bad_row=OnBadRow(policy),
        max_bad_rows=None if limit is None else BadRowLimit.parse(limit),
        rejects_file=file,
    )
    return Rejects(settings, "Sales / 2024", rows=total, now=lambda: NOW)


async def test_fail_names_the_first_row():
    rejects = book("fail")
    await rejects.take("t", 10, [])
    with pytest.raises(BadValue, match="row 7, column 'c': 'x' does not fit INTEGER") as caught:
        await rejects.take("t", 10, rows(7, 9))
    assert caught.value.details["row"] == 7
    assert caught.value.details["table"] == "t"
    assert "--on-bad-row" in (caught.value.hint or "")
    assert rejects.rejected == 0


async def test_skipped_rows_are_counted_by_table():
    rejects = book()
    await rejects.take("t", 10, rows(3))
    await rejects.take("u", 5, [])
    await rejects.take("t", 10, rows(14, 15))
    await rejects.finish()
    await rejects.close()
    assert (rejects.rejected_of("t"), rejects.rejected_of("u"), rejects.rejected_of("v")) == (
        3,
        0,
        0,
    )
    assert (rejects.rejected, rejects.read) == (3, 25)
    (warning,) = rejects.warnings()
    assert "'t': 3 of 20 rows were left out" in warning
    assert "the first is data/f.csv, row 3, column 'c': 'x' does not fit INTEGER" in warning


@pytest.mark.parametrize(
    ("limit", "bad", "read", "allowed"),
    [
        ("0", 1, 10**6, False),
        ("2", 2, 2, True),
        ("2", 3, 10**6, False),
        ("1%", 1, 100, True),
        ("1%", 2, 199, False),
        ("0.1%", 1, 1000, True),
        ("0.3%", 3, 1000, True),
        ("0.3%", 4, 1001, False),
        ("0%", 1, 1000, False),
        ("100%", 7, 8, True),
    ],
)
async def test_limits(limit, bad, read, allowed):
    rejects = book(limit=limit)

    async def load() -> None:
        await rejects.take("t", read - bad, [])
        await rejects.take("u", bad, rows(*range(1, bad + 1)))
        await rejects.finish()

    if allowed:
        await load()
        return
    with pytest.raises(TooManyBadRows) as caught:
        await load()
    error = caught.value
    assert error.exit_code == 3
    assert error.details["rejected"] == bad
    assert error.details["limit"] == limit
    assert error.details["first"]["row"] == 1
    assert error.details["first"]["table"] == "u"
    assert "nothing was published" in (error.hint or "")


async def test_a_number_is_exceeded_as_soon_as_it_is():
    rejects = book(limit="2")
    await rejects.take("t", 100, rows(1, 2))
    with pytest.raises(TooManyBadRows):
        await rejects.take("t", 100, rows(101))


async def test_a_share_is_judged_early_only_where_it_is_certain():
    rejects = book(limit="10%")  # nobody knows how many rows there are
    await rejects.take("t", 10, rows(*range(1, 11)))
    await rejects.take("t", 90, [])
    await rejects.finish()

    known = book(limit="10%", total=100)
    await known.take("t", 10, rows(*range(1, 11)))
    with pytest.raises(TooManyBadRows):
        await known.take("t", 10, rows(11, 12))

    # Whether the 90 rows that are known of are those besides the bad ones or not: it may be enough.
    either = book(limit="10%", total=90)
    await either.take("t", 10, rows(*range(1, 11)))
    await either.take("t", 90, [])
    await either.finish()


async def test_quarantined_rows_are_lines_of_json(tmp_path):
    path = tmp_path / "bad.ndjson"
    rejects = book("quarantine", file=path)
    await rejects.take("t", 10, [])
    assert not path.exists()
    await rejects.take("t", 10, rows(3, 5))
    values = ['é\n\u2028"', "\udcff", "z" * 10_000]
    for number, value in enumerate(values):
        await rejects.take("u", 1, rows(number + 1, value=value))
    await rejects.finish()
    await rejects.close()
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert lines[0] == {
        "table": "t",
        "source": "data/f.csv",
        "row": 3,
        "column": "c",
        "reason": "does not fit INTEGER",
        "value": "x",
    }
    assert [line["value"] for line in lines[2:]] == values
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert str(path) in rejects.warnings()[0]


async def test_the_default_file_is_a_new_one_in_the_state_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("MSTR_LOADER_STATE", str(tmp_path / "state"))
    rejects = book("quarantine")
    await rejects.take("t", 1, rows(1))
    await rejects.close()
    (path,) = (tmp_path / "state" / "rejects").iterdir()
    assert path.name == "Sales_2024-20240229T130507.000012Z.ndjson"
    again = book("quarantine")
    with pytest.raises(RejectsUnwritable, match="exists already"):
        await again.take("t", 1, rows(1))
    await again.close()
    assert len(path.read_bytes().splitlines()) == 1


def test_a_file_that_is_there_is_found_before_anything_is_sent(tmp_path):
    path = tmp_path / "mine.ndjson"
    path.write_text("precious")
    with pytest.raises(UsageError, match="exists already") as caught:
        check_rejects_file(LoadSettings(on_bad_row=OnBadRow.QUARANTINE, rejects_file=path))
    assert caught.value.exit_code == 2
    assert path.read_text() == "precious"
    with pytest.raises(RejectsUnwritable, match="no directory"):
        check_rejects_file(
            LoadSettings(on_bad_row=OnBadRow.QUARANTINE, rejects_file=tmp_path / "no" / "x")
        )
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "absent")
    with pytest.raises(RejectsUnwritable):
        check_rejects_file(LoadSettings(on_bad_row=OnBadRow.QUARANTINE, rejects_file=link))
    check_rejects_file(
        LoadSettings(on_bad_row=OnBadRow.QUARANTINE, rejects_file=tmp_path / "new.ndjson")
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
async def test_a_full_disk_is_an_error_that_says_so(tmp_path, monkeypatch):
    real = os.open
    monkeypatch.setattr(os, "open", lambda path, flags, mode: real("/dev/full", os.O_WRONLY))
    rejects = book("quarantine", file=tmp_path / "bad.ndjson")
    with pytest.raises(RejectsUnwritable, match="No space left on device") as caught:
        await rejects.take("t", 1, rows(1))
    assert "bad.ndjson" in caught.value.message
    assert caught.value.hint
    await rejects.close()


async def test_nothing_is_written_after_the_end(tmp_path):
    path = tmp_path / "bad.ndjson"
    rejects = book("quarantine", file=path)
    await rejects.close()
    await rejects.take("t", 1, rows(1))
    assert not path.exists()


async def test_a_load_that_is_cancelled_may_close_in_mid_write(tmp_path):
    rejects = book("quarantine", file=tmp_path / "bad.ndjson")
    writing = asyncio.create_task(rejects.take("t", 50_000, rows(*range(50_000))))
    await asyncio.sleep(0)
    writing.cancel()
    await rejects.close()
    with pytest.raises(asyncio.CancelledError):
        await writing


async def test_all_rows_of_a_table():
    rejects = book()
    await rejects.take("t", 2, rows(1, 2))
    await rejects.take("u", 2, rows(1))
    error = rejects.all_rejected("t")
    assert error is not None
    assert "all 2 rows were rejected" in error.message
    assert "row 1, column 'c'" in error.message
    assert error.details["rejected"] == 2
    assert rejects.all_rejected("u") is None
    assert rejects.all_rejected("v") is None
