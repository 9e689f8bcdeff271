"""Records come back as they were written, also those of a sweep that was killed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.bench.records import (
    Failure,
    Recommendation,
    RecordFile,
    Records,
    Run,
    Skipped,
    read_records,
    to_line,
)
from loader.errors import UsageError
from tests.bench.made import CHUNK, COLUMNS, ENVIRONMENT, failed, run

RECOMMENDATION = Recommendation(
    orientation="column",
    chunk_size=10**8,
    concurrency=4,
    rows_per_second=1e6,
    reason="it was the fastest",
    command="mstr-loader push sales.parquet",
)

ALL = (
    ENVIRONMENT,
    run(repeat=0),
    run(timeline=(CHUNK,)),
    failed(repeat=2),
    Skipped.of(COLUMNS, None, "the memory holds 3"),
    RECOMMENDATION,
)


def write(path, *records):
    with RecordFile(path) as file:
        for record in records:
            file.append(record)
    return path


def test_what_was_written_is_read(tmp_path):
    read = read_records(write(tmp_path / "a.jsonl", *ALL))
    assert read == Records(ENVIRONMENT, ALL[1:4], (ALL[4],), RECOMMENDATION)


def test_lines_are_objects_whose_kind_comes_first(tmp_path):
    path = write(tmp_path / "a.jsonl", *ALL)
    lines = path.read_bytes().splitlines()
    assert all(line.startswith(b'{"kind": "') for line in lines)
    assert [json.loads(line)["kind"] for line in lines] == [
        *("environment", "run", "run", "run", "skipped", "recommendation")
    ]
    assert json.loads(lines[2])["timeline"][0]["put"] == {"begin": 0.5, "end": 1.5}


def test_warm_up_and_failed_runs_do_not_count(tmp_path):
    assert read_records(write(tmp_path / "a.jsonl", *ALL)).counted == (ALL[2],)


def test_each_record_is_in_the_file_at_once(tmp_path):
    with RecordFile(tmp_path / "a.jsonl") as file:
        file.append(ENVIRONMENT)
        assert read_records(file.path).environment == ENVIRONMENT
        file.append(run())
        assert len(read_records(file.path).runs) == 1


@pytest.mark.parametrize("cut", range(2, 60, 7))
def test_a_torn_last_line_is_passed_over(tmp_path, cut):
    path = write(tmp_path / "a.jsonl", ENVIRONMENT, run(), run(repeat=2))
    path.write_bytes(path.read_bytes()[:-cut])
    assert len(read_records(path).runs) == 1


def test_kinds_and_members_of_later_versions_are_passed_over(tmp_path):
    line = json.loads(to_line(run()))
    path = tmp_path / "a.jsonl"
    path.write_text(
        to_line(ENVIRONMENT)
        + json.dumps({**line, "humidity": 0.5})
        + '\n{"kind": "weather", "rain": true}\n'
    )
    assert read_records(path).runs == (run(),)


@pytest.mark.parametrize(
    "text",
    [
        "no json\n",
        "[]\n",
        '{"no": "kind"}\n',
        '{"kind": "run"}\n',
        '{"kind": ["run"]}\n',
        to_line(run()).replace('"rows": 1000', '"rows": "many"'),
        "",
        to_line(run()),
        to_line(ENVIRONMENT) * 2,
        "\xff\n",
    ],
)
def test_other_files_are_refused_in_words(tmp_path, text):
    path = tmp_path / "a.jsonl"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(UsageError, match=r"a\.jsonl") as refused:
        read_records(path)
    assert "bench --out" in refused.value.hint


@pytest.mark.parametrize(
    "rate", ["Infinity", "-Infinity", "NaN", "1e999", "1e308", "1e-320", "-1.0", "1e20000"]
)
def test_figures_that_no_run_has_are_refused_in_words(tmp_path, rate):
    path = tmp_path / "a.jsonl"
    line = to_line(run()).replace('"rows_per_second": 1000.0', f'"rows_per_second": {rate}')
    path.write_text(to_line(ENVIRONMENT) + line)
    assert rate in path.read_text()
    with pytest.raises(UsageError, match="line 2 is no record of a sweep"):
        read_records(path)


@pytest.mark.parametrize("name", ["chunk_size", "json_bytes", "repeat"])
@pytest.mark.parametrize("number", ["-1", "1" + "0" * 400])
def test_whole_numbers_that_no_run_has_are_refused_in_words(tmp_path, name, number):
    path = tmp_path / "a.jsonl"
    made = json.loads(to_line(run()))
    line = json.dumps({**made, name: "here"}).replace('"here"', number)
    path.write_text(to_line(ENVIRONMENT) + line + "\n")
    with pytest.raises(UsageError, match="line 2 is no record of a sweep"):
        read_records(path)


def test_memory_that_no_host_has_is_refused_in_words(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(to_line(replace(ENVIRONMENT, memory=10**400)))
    with pytest.raises(UsageError, match="line 1 is no record of a sweep: its memory"):
        read_records(path)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"kind": ' * 100_000])
def test_what_is_nested_too_deeply_is_refused_in_words(tmp_path, text):
    path = tmp_path / "a.jsonl"
    path.write_text(text + "\n")
    with pytest.raises(UsageError, match="line 1 is no record of a sweep"):
        read_records(path)


def test_a_damaged_line_in_the_middle_is_named(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(to_line(ENVIRONMENT) + "{\n" + to_line(run()))
    with pytest.raises(UsageError, match="line 2"):
        read_records(path)


def test_no_file(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        read_records(tmp_path / "none")


def test_measurements_are_not_overwritten(tmp_path):
    path = write(tmp_path / "a.jsonl", ENVIRONMENT)
    with pytest.raises(UsageError, match="exists already"):
        RecordFile(path)
    assert read_records(path).environment == ENVIRONMENT


def test_a_place_that_cannot_be_written_to(tmp_path):
    with pytest.raises(UsageError, match="cannot be written"):
        RecordFile(tmp_path / "none" / "a.jsonl")


@given(
    st.builds(
        Run,
        number=st.integers(0, 10**6),
        order=st.integers(0, 100),
        orientation=st.text(),
        chunk_size=st.integers(1, 2**53),
        concurrency=st.integers(1, 1000),
        repeat=st.integers(0, 100),
        warm_up=st.booleans(),
        began=st.floats(0, 1e9),
        rows=st.integers(0, 2**60),
        stages=st.dictionaries(st.text(), st.floats(0, 1e9)),
        timeline=st.lists(st.just(CHUNK), max_size=2).map(tuple),
        error=st.none() | st.builds(Failure, kind=st.text(), message=st.text()),
    )
)
def test_any_run_comes_back(tmp_path_factory, made):
    path = write(tmp_path_factory.mktemp("records") / "a.jsonl", ENVIRONMENT, made)
    (read,) = read_records(path).runs
    assert read == made


def test_names_that_are_no_unicode_come_back(tmp_path):
    odd = replace(ENVIRONMENT, sources=("caf\udce9.parquet",))
    assert read_records(write(tmp_path / "a.jsonl", odd)).environment == odd
