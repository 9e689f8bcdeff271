"""What ``resume`` reads again: every kind of source, and whether it is still the same."""

from __future__ import annotations

import csv
import json
import os
import subprocess

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from tests.cli.processes import *  # noqa: F403 - its fixtures are among it
from tests.cli.processes import LIMIT, ROWS, fired, lose_sessions, table, until, whole, write

pytest_plugins = ("tests.sources.servers",)


def restored(path, change) -> None:
    """Changes a file, and takes its time of change back to what it was."""
    before = path.stat()
    change()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.stat().st_size == before.st_size


def spoil(path, groups) -> None:
    """Overwrites the data of row groups of a Parquet file; its footer stays."""
    footer = pq.read_metadata(path)

    def change() -> None:
        with path.open("r+b") as file:
            for group in groups:
                for column in range(footer.num_columns):
                    place = footer.row_group(group).column(column)
                    start = place.dictionary_page_offset or place.data_page_offset
                    file.seek(start)
                    file.write(b"\xff" * place.total_compressed_size)

    restored(path, change)


# -- what is not read ------------------------------------------------------------------------------


def test_what_the_server_has_is_not_read_again(driver, server, file):
    driver.stopped()
    have = driver.job()["rows"]
    groups = have // 500
    assert groups >= 2
    spoil(file, range(groups))
    with pytest.raises(OSError, match=r".+"):
        pq.ParquetFile(file).read_row_group(0)
    outcome = driver.resume().succeeded()
    assert outcome.json["rows"] == ROWS
    assert whole(server)
    driver.clean()


def test_a_chunk_with_other_bytes_makes_everything_new(driver, server, file):
    driver.stopped()
    missing = driver.job()["rows"]
    name = f"key{missing + 10:06}".encode()
    assert name in file.read_bytes()
    restored(file, lambda: file.write_bytes(file.read_bytes().replace(name, b"other" + name[5:])))
    outcome = driver.resume().succeeded()
    assert any("other bytes" in warning for warning in outcome.json["warnings"])
    assert driver.posts.count("uploadSessions") == 1
    assert server.sql("SELECT count(*), count(DISTINCT k) FROM t.t") == [(ROWS, ROWS)]
    assert server.sql("SELECT count(*) FROM t.t WHERE k LIKE 'other%'") == [(1,)]
    driver.clean()


# -- how sources are named -------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["path", "table", "glob", "directory"])
def test_relative_paths_from_another_directory(driver, server, tmp_path, monkeypatch, form):
    there = tmp_path / "there"
    (there / "t").mkdir(parents=True)
    write(there / "t" / "a.parquet", 3000)
    write(there / "t" / "b.parquet", 3000, first=3000)
    monkeypatch.chdir(there)
    named = {
        "path": ["t=t/a.parquet", "t=t/b.parquet"],
        "table": ["t=./t"],
        "glob": ["t=t/*.parquet"],
        "directory": ["t"],
    }[form]
    driver.stopped(sources=named)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    outcome = driver.resume().succeeded()
    assert 0 < len(driver.sent) < outcome.json["chunks"]
    assert whole(server)
    driver.clean()


def test_hive_directories(driver, server, tmp_path):
    root = tmp_path / "t"
    for part in range(4):
        directory = root / f"part={part}"
        directory.mkdir(parents=True)
        write(directory / "x.parquet", 1500, first=1500 * part)
    driver.stopped(sources=[root])
    driver.resume().succeeded()
    assert whole(server)
    assert server.sql("SELECT part, count(*) FROM t.t GROUP BY part ORDER BY part") == [
        *((part, 1500) for part in range(4))
    ]
    driver.clean()


@pytest.mark.parametrize("types", ["scanned", "given"])
def test_csv(driver, server, tmp_path, types):
    path = tmp_path / "t.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["k", "v"])
        writer.writerows((f"key{n:06}", n) for n in range(ROWS))
    options = ["--type", "k=STRING", "--type", "v=BIGINTEGER"] if types == "given" else []
    driver.stopped(*options, sources=[path])
    outcome = driver.resume().succeeded()
    assert 0 < len(driver.sent) < outcome.json["chunks"]
    assert whole(server)
    driver.clean()


@pytest.mark.parametrize("kind", ["file", "stream"])
def test_arrow_files(driver, server, tmp_path, kind):
    path = tmp_path / ("t.arrow" if kind == "file" else "t.arrows")
    make = pa.ipc.new_file if kind == "file" else pa.ipc.new_stream
    with make(str(path), table().schema) as writer:
        writer.write_table(table(), max_chunksize=500)
    driver.stopped(sources=[path])
    outcome = driver.resume().succeeded()
    assert 0 < len(driver.sent) < outcome.json["chunks"]
    assert whole(server)
    driver.clean()


@pytest.mark.parametrize("stop", ["put:nth=3-:status=503", "put:table=b:nth=3-:status=503"])
def test_several_tables_with_different_policies(driver, server, tmp_path, stop):
    old, a, b = write(tmp_path / "old.parquet", 1000), tmp_path / "a", tmp_path / "b"
    keys = ("--attribute", "k", "--dataset", "D")
    driver.push(*keys, sources=[f"a={old}", f"b={old}"]).succeeded()
    write(a.with_suffix(".parquet"), 5000, first=500)
    write(b.with_suffix(".parquet"), 4000, first=1000)
    driver.stopped(
        *("--policy", "a=upsert", "--policy", "b=add", "--dataset", "D"),
        sources=[a.with_suffix(".parquet"), b.with_suffix(".parquet")],
        rule=stop,
    )
    outcome = driver.resume().succeeded()
    assert [one["rows"] for one in outcome.json["tables"]] == [5000, 4000]
    assert 0 < len(driver.sent) < outcome.json["chunks"]
    assert whole(server, 5500, "D.a")
    assert whole(server, 5000, "D.b")
    driver.clean()


def test_where_and_limit(driver, server):
    driver.stopped("--where", "v >= 100", "--limit", "5000")
    outcome = driver.resume().succeeded()
    assert outcome.json["rows"] == 5000
    assert whole(server, 5000, first=100)
    driver.clean()


def test_columns_types_and_orientation(driver, server):
    driver.stopped("--columns", "v,k", "--type", "v=STRING", "--orientation", "row")
    driver.resume().succeeded()
    assert server.sql("SELECT count(*), count(DISTINCT v), min(typeof(v)) FROM t.t") == [
        (ROWS, ROWS, "VARCHAR")
    ]
    driver.clean()


# -- a mapping file --------------------------------------------------------------------------------


@pytest.mark.parametrize("fate", ["deleted", "changed"])
def test_a_mapping_file_that_is_no_more_what_it_was(driver, server, tmp_path, fate):
    mapping = tmp_path / "m.yaml"
    mapping.write_text("tables: {t: {columns: {v: {name: value}}}}\n")
    driver.stopped("--mapping", mapping)
    if fate == "deleted":
        mapping.unlink()
    else:
        mapping.write_text("tables: {t: {columns: {v: {name: other}}}}\n")
    driver.resume().succeeded()
    assert server.sql("SELECT count(*), count(DISTINCT k), sum(value) FROM t.t") == [
        (ROWS, ROWS, sum(range(ROWS)))
    ]
    driver.clean()


# -- a changed source ------------------------------------------------------------------------------


def refused(driver, *words: str, kind: str = "source_changed"):
    """Tries to go on, which fails and leaves the job as it was."""
    driver.mark()
    before = driver.job()
    outcome = driver.resume()
    assert outcome.code == 3, outcome
    assert outcome.error["kind"] == kind
    text = outcome.error["message"] + " ".join(outcome.error.get("changes", []))
    assert all(word in text for word in words), text
    assert outcome.error["hint"]
    assert driver.puts == 0
    now = driver.job()
    assert not now["finished"]
    assert (now["state"], now["stage"], now["chunks"]) == tuple(
        before[name] for name in ("state", "stage", "chunks")
    )
    return outcome


def test_a_changed_file(driver, server, file):
    driver.stopped()
    keep = file.with_suffix(".keep")
    file.rename(keep)
    write(file, ROWS + 1)
    refused(driver, "t.parquet has changed", "size")
    file.unlink()
    refused(driver, "t.parquet", kind="source_not_found")
    keep.rename(file)
    driver.resume().succeeded()
    assert whole(server)
    driver.clean()


def test_a_file_of_the_same_size_and_time_with_another_footer(driver, server, file):
    driver.stopped()
    keep = file.read_bytes()
    # The statistics of the footer tell.
    restored(file, lambda: write(file, first=1000))
    refused(driver, "footer")
    restored(file, lambda: file.write_bytes(keep))
    driver.resume().succeeded()
    assert whole(server)
    driver.clean()


def test_a_touched_file(driver, server, file):
    driver.stopped()
    before = file.stat()
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    refused(driver, "time")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    driver.resume().succeeded()
    assert whole(server)


def test_one_file_more_and_one_less_in_a_directory(driver, server, tmp_path):
    root = tmp_path / "t"
    root.mkdir()
    for part in range(3):
        write(root / f"{part}.parquet", 2000, first=2000 * part)
    driver.stopped(sources=[root])
    write(root / "9.parquet", 10, first=6000)
    refused(driver, "9.parquet", "was not there before")
    (root / "9.parquet").unlink()
    aside = tmp_path / "aside"
    (root / "1.parquet").rename(aside)
    refused(driver, "1.parquet", "not there any more")
    aside.rename(root / "1.parquet")
    driver.resume().succeeded()
    assert whole(server)
    driver.clean()


def test_two_files_that_changed_places(driver, server, tmp_path):
    """Names are the order of reading."""
    root = tmp_path / "t"
    root.mkdir()
    for part in range(2):
        write(root / f"{part}.parquet", 3000, first=3000 * part)
    driver.stopped(sources=[root])
    (root / "0.parquet").rename(root / "x")
    (root / "1.parquet").rename(root / "0.parquet")
    (root / "x").rename(root / "1.parquet")
    refused(driver, "0.parquet has changed")


def test_the_columns_of_the_source_are_others(driver, file):
    driver.stopped()
    pq.write_table(table().rename_columns(["k", "w"]), file)
    refused(driver, "t.parquet has changed")


# -- a source that nobody needs any more -----------------------------------------------------------


@pytest.mark.parametrize("fate", ["gone", "changed"])
def test_what_was_uploaded_is_published_without_its_source(driver, server, file, fate):
    job = driver.push("--no-publish").succeeded().json["job"]
    assert driver.job()["state"] == "uploaded"
    if fate == "gone":
        file.unlink()
    else:
        write(file, 10)
    driver.mark()
    outcome = driver.resume().succeeded()
    assert outcome.json["job"] == job
    assert outcome.json["rows"] == ROWS
    assert driver.posts == ["publish"]
    assert whole(server)
    driver.clean()


def test_neither_source_nor_session(driver, server, file):
    driver.push("--no-publish").succeeded()
    lose_sessions(server)
    keep = file.with_suffix(".keep")
    file.rename(keep)
    driver.mark()
    for _ in range(2):
        outcome = driver.resume()
        assert outcome.code == 3, outcome
        assert outcome.json["status"] == "interrupted"
        assert "does not exist" in outcome.error["message"]
        assert outcome.error["hint"]
        assert driver.puts == 0
        assert not driver.job()["finished"]
    keep.rename(file)
    driver.resume().succeeded()
    assert whole(server)
    driver.clean()


def test_uploaded_and_the_session_lost(driver, server):
    driver.push("--no-publish").succeeded()
    lose_sessions(server)
    driver.mark()
    outcome = driver.resume().succeeded()
    assert driver.puts == outcome.json["chunks"]
    assert any("lost the upload session" in one for one in outcome.json["warnings"])
    assert whole(server)
    driver.clean()


@pytest.mark.slow
def test_publishing_was_called_for_and_the_source_is_gone(driver, server, file):
    driver.killed("publish:stall=before")
    file.unlink()
    outcome = driver.resume().succeeded()
    assert outcome.json["rows"] == ROWS
    assert driver.puts == 0
    assert whole(server)
    driver.clean()


# -- bad rows --------------------------------------------------------------------------------------


def bad(row: int) -> bool:
    return row % 97 == 5 or 2000 <= row < 2300 or row >= 5990


@pytest.fixture
def spoiled(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(
        "k,v\n" + "".join(f"key{row:06},{'x' if bad(row) else row}\n" for row in range(ROWS))
    )
    return path


BAD = [row for row in range(ROWS) if bad(row)]


def check_good_rows(driver, server, outcome) -> None:
    good = [row for row in range(ROWS) if not bad(row)]
    assert outcome.code == 7, outcome
    assert outcome.json["rows"] == len(good)
    assert outcome.json["tables"][0]["rejected"] == len(BAD)
    assert any("left out" in warning for warning in outcome.json["warnings"])
    assert server.sql("SELECT count(*), count(DISTINCT k), sum(v) FROM t.t") == [
        (len(good), len(good), sum(good))
    ]
    driver.clean()


SPOTTED = ("--type", "v=INTEGER")


@pytest.mark.parametrize("lost", [False, True])
def test_skipped_rows(driver, server, spoiled, lost):
    driver.stopped(*SPOTTED, "--on-bad-row", "skip", sources=[spoiled])
    if lost:
        lose_sessions(server)
    check_good_rows(driver, server, driver.resume())


def positions(path) -> list[int]:
    return [json.loads(line)["row"] - 1 for line in path.read_bytes().splitlines()]


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("named", [False, True])
def test_quarantined_rows(  # noqa: PLR0917 - fixtures
    driver, server, spoiled, tmp_path, named, lost
):
    file = tmp_path / "rejects.ndjson"
    options = ("--rejects-file", file) if named else ()
    job = driver.stopped(*SPOTTED, "--on-bad-row", "quarantine", *options, sources=[spoiled])
    if not named:
        file = tmp_path / "state" / "rejects" / f"{job}.ndjson"
    assert len(positions(file)) > 0
    if lost:
        lose_sessions(server)
    check_good_rows(driver, server, driver.resume())
    assert positions(file) == BAD
    assert len(list((tmp_path / "state").glob("rejects/*"))) == (not named)


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("named", [False, True])
def test_rows_quarantined_before_the_publish(  # noqa: PLR0917 - fixtures
    driver, server, spoiled, tmp_path, named, lost
):
    file = tmp_path / "rejects.ndjson"
    options = ("--rejects-file", file) if named else ()
    outcome = driver.push(
        *SPOTTED, "--on-bad-row", "quarantine", "--no-publish", *options, sources=[spoiled]
    )
    assert outcome.code == 7
    if not named:
        file = tmp_path / "state" / "rejects" / f"{outcome.json['job']}.ndjson"
    assert positions(file) == BAD
    if lost:
        lose_sessions(server)
    check_good_rows(driver, server, driver.resume())
    assert positions(file) == BAD


def test_too_many_bad_rows_are_too_many_in_two_processes(driver, server, spoiled):
    driver.stopped(
        *(*SPOTTED, "--on-bad-row", "skip", "--max-bad-rows", str(len(BAD) - 1)), sources=[spoiled]
    )
    outcome = driver.resume()
    assert outcome.code == 3
    assert outcome.error["kind"] == "too_many_bad_rows"
    assert outcome.error["rejected"] == len(BAD)
    assert server.datasets == {}


# -- sources that cannot be read twice, or whose names are secret ----------------------------------


@pytest.mark.slow
def test_a_pipe(driver, server, tmp_path, start):
    fifo = tmp_path / "t.csv"
    os.mkfifo(fifo)
    server.emulator.inject("put:nth=4:stall=before")
    process = start(*driver.arguments(sources=[fifo]), "--json")
    with subprocess.Popen(
        ["sh", "-c", f"(echo k,v; seq 1 {ROWS} | sed 's/.*/key&,&/') > {fifo}"],
        stdin=subprocess.DEVNULL,
    ) as feeder:
        until(lambda: fired(server)[-1] > 0, process)
        process.kill()
        process.wait(LIMIT)
        feeder.wait(LIMIT)
    server.emulator.faults.clear()
    driver.mark()
    outcome = driver.resume()
    assert outcome.code == 2, outcome
    assert "pipe" in outcome.error["message"]
    assert "beginning" in outcome.error["hint"]
    assert driver.puts == 0


def stored(bucket) -> str:
    sink = pa.BufferOutputStream()
    pq.write_table(table(), sink, row_group_size=500)
    bucket.put("t.parquet", sink.getvalue().to_pybytes())
    return bucket.uri("t.parquet", user="testing:s3cr3t@")


def test_a_secret_in_a_source(driver, server, bucket):
    source = stored(bucket)
    driver.stopped(sources=[source])
    driver.mark()
    outcome = driver.resume()
    assert outcome.code == 2, outcome
    assert "named again" in outcome.error["message"]
    assert "--source" in outcome.error["hint"]
    assert driver.puts == 0
    assert driver.job()["state"] == "interrupted"
    driver.resume("--source", source).succeeded()
    assert whole(server)
    driver.clean()


def test_another_source_in_place_of_the_secret_one(driver, bucket, file):
    driver.stopped(sources=[stored(bucket)])
    refused_now = driver.resume("--source", file)
    assert refused_now.code == 3
    assert refused_now.error["kind"] == "source_changed"
    assert not driver.job()["finished"]
