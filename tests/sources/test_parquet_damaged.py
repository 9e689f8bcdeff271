"""Parquet files that are damaged, have changed or are gone; none stays open."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from loader.errors import (
    SourceNotFound,
    SourceUnreadable,
)
from loader.sources.parquet import ParquetSource
from tests.sources.parquets import write


def open_files(descriptor_of: Path) -> int:
    return sum(
        link.readlink() == descriptor_of
        for link in Path("/proc/self/fd").iterdir()
        if link.is_symlink()
    )


@pytest.mark.parametrize("content", [b"", b"PAR1", b"a,b\n1,2\n", b"PAR1" + b"\0" * 100 + b"PAR1"])
def test_not_parquet(tmp_path, content):
    path = tmp_path / "t.parquet"
    path.write_bytes(content)
    with pytest.raises(SourceUnreadable) as error:
        ParquetSource([str(path)])
    assert error.value.details["file"] == str(path)
    assert error.value.hint
    assert open_files(path) == 0


def test_truncated(tmp_path):
    path = tmp_path / "t.parquet"
    write(path, {"a": list(range(10_000))})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SourceUnreadable, match=r"t\.parquet"):
        ParquetSource([str(path)])


@pytest.mark.parametrize("checksum", [True, False])
def test_a_damaged_page_in_the_middle(tmp_path, checksum):
    path = tmp_path / "t.parquet"
    rows = 200_000
    write(
        path,
        {"a": [f"{i * 7919:x}" for i in range(rows)]},
        write_page_checksum=checksum,
        use_dictionary=False,
        compression="snappy",
    )
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(64)
    path.write_bytes(data)
    source = ParquetSource([str(path)])
    seen = []
    with pytest.raises(SourceUnreadable) as error:
        seen.extend(batch.data.num_rows for batch in source.batches(1 << 16))
    assert 0 < sum(seen) < rows
    assert error.value.details["file"] == str(path)
    del error
    gc.collect()
    assert open_files(path) == 0


def test_a_flipped_bit_in_a_value_is_seen_where_pages_have_checksums(tmp_path):
    path = tmp_path / "t.parquet"
    write(
        path,
        {"a": list(range(1000))},
        write_page_checksum=True,
        use_dictionary=False,
        compression="none",
    )
    data = bytearray(path.read_bytes())
    data[data.index((500).to_bytes(8, "little"))] ^= 1
    path.write_bytes(data)
    with pytest.raises(SourceUnreadable, match=r"(?i)crc|checksum"):
        list(ParquetSource([str(path)]).batches(1 << 20))


def test_a_file_that_changed_after_its_footer_was_read(tmp_path):
    path = tmp_path / "t.parquet"
    write(path, {"a": [1, 2]})
    source = ParquetSource([str(path)])
    write(path, {"a": [1, 2, 3]})
    with pytest.raises(SourceUnreadable, match="changed"):
        list(source.batches(100))


def test_a_file_that_is_gone(tmp_path):
    path = tmp_path / "t.parquet"
    source = ParquetSource([write(path, {"a": [1]})])
    path.unlink()
    with pytest.raises(SourceNotFound):
        list(source.batches(100))


def test_closing_the_generator_closes_the_file(tmp_path):
    path = tmp_path / "t.parquet"
    source = ParquetSource([write(path, {"a": list(range(1000))})])
    assert open_files(path) == 0
    batches = source.batches(80)
    next(batches)
    assert open_files(path) == 1
    batches.close()
    assert open_files(path) == 0
