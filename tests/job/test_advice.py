"""Every kind of load, what is said of it, and that what is advised can be done and helps."""

from __future__ import annotations

import dataclasses
import re

import pytest

from loader.cli.values import parse_size
from loader.encode import Orientation
from loader.job.advice import advice
from loader.job.settings import Ordering, Workflow
from loader.job.tuner import Reason
from loader.units import MB
from tests.job.advising import (
    ENCODING,
    FAILED,
    FLAT,
    MOST,
    READING,
    SERVER,
    STARVED,
    TRYING,
    latencies,
    load,
    puts,
    said,
    times,
)

# -- where the time went ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("waits", "count", "line"),
    [
        (
            SERVER,
            64,
            (
                "waiting for the server 84 %, reading 9 %, encoding 7 %; "
                "PUTs under way: 3.7 (at most 4), each 2.0 s (the median)"
            ),
        ),
        ({"reading": 1.0}, 0, "waiting for reading 100 %; PUTs under way: 3.7 (at most 4)"),
        (
            {"rate": 75.0, "server": 24.9, "encoding": 0.1},
            0,
            "waiting for --max-rate 75 %, the server 25 %; PUTs under way: 3.7 (at most 4)",
        ),
        ({}, 0, "nothing was waited for"),
    ],
)
def test_it_says_where_the_time_went(waits, count, line):
    found = advice(times(waits), latencies(count), puts(count), load())[0]
    assert re.sub(r"\b(1\.9\d*|2\.0) s", "2.0 s", found) == line


def test_it_says_how_long_the_source_took_before():
    found = advice(times({"reading": 9.0}, preparing=1.01), latencies(0), puts(0), load())[0]
    assert found.startswith("preparing the source 1.0 s; the upload 9.0 s: waiting for reading ")
    found = advice(times({"reading": 9.0}, preparing=0.9), latencies(0), puts(0), load())[0]
    assert found.startswith("waiting for reading ")


# -- what would help -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("copied", "scanned", "remedies"),
    [
        (True, False, {"Arrow"}),
        (False, True, {"--csv-types"}),
        (True, True, {"Arrow", "--csv-types"}),
        (False, False, {"disk"}),
    ],
)
def test_a_long_preparation(copied, scanned, remedies):
    made = dataclasses.replace(load(), copied=copied, scanned=scanned)
    assert said({"reading": 1.0}, made, preparing=3.9) is None
    assert "preparing" not in said({"reading": 60.0}, made, preparing=50.0)
    found = said({"reading": 1.0}, made, preparing=60.0, publishing=40.0)
    assert found.startswith("preparing the source took 60.0 s and the upload 1.0 s: ")
    assert {word for word in ("Arrow", "--csv-types", "disk") if word in found} == remedies
    assert said(SERVER, made, preparing=60.0, publishing=101.0).startswith("publishing took ")


@pytest.mark.parametrize(
    ("circumstances", "remedy"),
    [
        (load(concurrency=2), "raise --concurrency, or leave it out: auto finds the best number"),
        (
            load(concurrency=4),
            (
                "--memory lets only 4 chunks be under way: raise --memory to 1.4GB, or lower "
                "--chunk-size to 57MB; and leave out --concurrency"
            ),
        ),
        (load(concurrency=4, window=1), "--window 1 holds PUTs back: leave it out"),
        (
            load((Reason.ASKED, "8 PUTs at once: --concurrency"), concurrency=8, memory=4000 * MB),
            "it, or the network, is the limit (8 PUTs at once: --concurrency)",
        ),
        (
            load(concurrency=8),
            (
                "--memory lets only 4 chunks be under way: raise --memory to 1.4GB, or lower "
                "--chunk-size to 57MB"
            ),
        ),
        (
            load(MOST),
            (
                "--memory lets only 4 chunks be under way: raise --memory to 1.4GB, or lower "
                "--chunk-size to 57MB"
            ),
        ),
        (
            load(MOST, memory=700 * MB),
            "--memory lets only 1 chunk be under way: raise --memory to 1.4GB",
        ),
        (
            load(MOST, memory=4000 * MB),
            "it, or the network, is the limit (8 PUTs at once: the most there may be)",
        ),
        (
            load(MOST, memory=800 * MB, container=True),
            "--memory lets only 2 chunks be under way: it takes a larger container",
        ),
        (
            load(MOST, memory=990 * MB, container=True),
            "--memory lets only 3 chunks be under way: lower --chunk-size to 56MB",
        ),
        (load(FLAT), "it, or the network, is the limit (3 PUTs at once: 4 brought no more)"),
        (
            load(FLAT, orientation=Orientation.ROW),
            (
                "it, or the network, is the limit (3 PUTs at once: 4 brought no more); "
                "--orientation column sends fewer bytes"
            ),
        ),
        (load(FAILED), "it, or the network, is the limit (4 PUTs at once: the server failed at 5)"),
        (
            load(TRYING, memory=4000 * MB),
            (
                "too few chunks for --concurrency auto to find the best number; --concurrency 8 "
                "may be faster"
            ),
        ),
        (
            load(STARVED),
            (
                "--memory lets only 4 chunks be under way: raise --memory to 1.4GB, or lower "
                "--chunk-size to 57MB"
            ),
        ),
        (
            load(ordering=Ordering.STRICT),
            "--ordering strict sends one at a time, as asked; --ordering windowed sends more",
        ),
    ],
)
def test_a_server_that_is_waited_for(circumstances, remedy):
    waited = said(SERVER, circumstances)
    assert waited == f"84 % of the time waiting for the server: {remedy}"


@pytest.mark.parametrize(
    ("chunks", "circumstances", "remedy"),
    [
        (1, load(MOST), "there is only one chunk; --chunk-size 50MB makes more that go at once"),
        (4, load(FLAT), "there are only 4 chunks; --chunk-size 50MB makes more that go at once"),
        (
            4,
            load(TRYING, memory=4000 * MB, chunk_size=200 * MB),
            "there are only 4 chunks; --chunk-size 100MB makes more that go at once",
        ),
    ],
)
def test_too_few_chunks_to_send_more_at_once(chunks, circumstances, remedy):
    waited = said(SERVER, circumstances, chunks=chunks)
    assert waited == f"84 % of the time waiting for the server: {remedy}"


@pytest.mark.parametrize(
    ("encoders", "circumstances", "remedy"),
    [
        (
            2,
            load(compiled=False, orientation=Orientation.ROW),
            "install with a C++ compiler at hand, for the compiled encoder",
        ),
        (2, load(orientation=Orientation.ROW), "--orientation column is encoded faster"),
        (1, load(), "more cores (it has one core, and up to 4 encode)"),
        (2, load(), "more cores (it has 2 cores, and up to 4 encode)"),
    ],
)
def test_an_encoder_that_is_waited_for(encoders, circumstances, remedy):
    waited = said(ENCODING, circumstances, encoders=encoders)
    assert waited == f"70 % of the time waiting for encoding: {remedy}"


def test_a_source_that_is_waited_for():
    waited = said(READING, load(MOST))
    assert waited is not None
    assert waited.startswith("70 % of the time waiting for reading: a faster disk or network")


def test_a_rate_that_was_asked_for():
    waited = said({"rate": 60.0, "server": 40.0}, load(FLAT, max_rate=50.0 * MB))
    assert waited == "--max-rate 50 MB/s is the limit, as asked"


def test_a_publish_that_takes_longer_than_the_upload():
    waited = said({"server": 40.0}, load(MOST), publishing=95.5)
    assert waited == (
        "publishing took 95.5 s and the upload 40.0 s: the server's work on the dataset is the "
        "limit, which no option makes faster"
    )


@pytest.mark.parametrize(
    ("waits", "circumstances", "more"),
    [
        ({"server": 4.9}, load(MOST), {}),
        ({"server": 1.0}, load(MOST), {"publishing": 0.5}),
        ({"server": 4.0}, load(MOST), {"publishing": 3.0}),
        ({"server": 40.0, "reading": 35.0, "encoding": 25.0}, load(MOST), {}),
        (SERVER, load(workflow=Workflow.ONE_REQUEST), {}),
        (SERVER, load(ordering=Ordering.STRICT), {"chunks": 1}),
        (SERVER, load(MOST, chunk_size=50 * MB), {"chunks": 3}),
        (SERVER, load(MOST, memory=4000 * MB), {"chunks": 8, "senders": 8}),
        (SERVER, load(STARVED, memory=4000 * MB), {}),
        (ENCODING, load(), {"encoders": 4}),
    ],
)
def test_nothing_is_advised_where_nothing_is_known_to_help(waits, circumstances, more):
    assert said(waits, circumstances, **more) is None


@pytest.mark.parametrize(
    ("waits", "shares"),
    [
        ((1.0, 1.0, 1.0), [34, 33, 33]),
        ((50.5, 30.5, 19.0), [51, 30, 19]),
        ((99.6, 0.4, 0.0), [100]),
        ((85.6, 8.7, 5.7), [85, 9, 6]),
        ((5e-9, 0.0, 0.0), [100]),
    ],
)
def test_shares_add_up_to_a_hundred(waits, shares):
    waits = dict(zip(("server", "reading", "encoding"), waits, strict=True))
    line = advice(times(waits), latencies(0), puts(0), load())[0]
    assert [int(found) for found in re.findall(r"(\d+) %", line)] == shares
    assert sum(shares) == 100


@pytest.mark.parametrize("encoders", [1, 2, 4])
@pytest.mark.parametrize("chunk", [None, 10 * MB, 73 * MB, 150 * MB])
@pytest.mark.parametrize("memory", [900 * MB, 1000 * MB, 1234567890])
def test_the_sizes_that_are_advised_let_eight_be_under_way(memory, chunk, encoders):
    wanted = {"memory": memory, "encoders": encoders, "chunk_size": chunk}
    waited = said(SERVER, load(MOST, **wanted))
    assert waited is not None
    for option, name in (("memory", "memory"), ("chunk-size", "chunk_size")):
        found = re.search(rf"--{option} to (\S+?B)\b", waited)
        if found:
            changed = wanted | {name: parse_size(option, found[1])}
            assert load(MOST, **changed).memory.concurrency == 8
