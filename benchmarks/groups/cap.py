"""A server that takes in so much a second and no more: how near a push comes to that."""

from __future__ import annotations

import datetime as dt
import http.client
import json
import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from benchmarks.columns import MEDIAN, RUNS, SPREAD
from benchmarks.measure import Column, Comparison, Contender, Failed, Group, Sample
from benchmarks.running import push, rows_of, sink
from benchmarks.setting import Setting

__all__ = ["GROUP"]

PUSH = "push, columns"


@contextmanager
def _contenders(setting: Setting) -> Iterator[Sequence[Contender]]:
    file, cap = setting.files.lineitem, setting.amounts.cap
    rows = rows_of(file)
    with sink("--bandwidth", str(cap)) as server:

        def run() -> Sample:
            sample = push(server.url, file, rows=rows)
            taken, seconds = _upload(server.url, sample)
            reached = taken / seconds / (cap * 1e6)
            return replace(
                sample,
                wire_bytes=taken,
                figures={**sample.figures, "upload": seconds, "reached": reached},
            )

        yield [Contender(PUSH, run)]


def _upload(url: str, sample: Sample) -> tuple[int, float]:
    """Returns the bytes of all PUTs, and the seconds from the first's begin to the last's answer.

    The server itself says when they were; its list has the last hundred requests.

    Raises:
        Failed: It does not have all of them.
    """
    requests = [one for one in _status(url)["last"] if one["method"] == "PUT"]
    # The newest first; each load has an upload session, and a path, of its own.
    puts = [one for one in requests if one["path"] == requests[0]["path"]]
    taken = sum(one["bytes"] for one in puts)
    if len(puts) != sample.figures["chunks"]:
        raise Failed(f"the server lists {len(puts)} PUTs, the push says {sample}")
    ends = [dt.datetime.fromisoformat(one["at"]).timestamp() for one in puts]
    begins = [end - one["milliseconds"] / 1e3 for end, one in zip(ends, puts, strict=True)]
    return taken, max(ends) - min(begins)


def _status(url: str) -> Any:
    address = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc)
    try:
        connection.request("GET", "/status.json")
        return json.load(connection.getresponse())
    finally:
        connection.close()


GROUP = Group(
    name="cap",
    needs=("lineitem",),
    contenders=_contenders,
    columns=(
        MEDIAN,
        SPREAD,
        Column("first to last PUT s", lambda one, _: f"{one.figure('upload'):.2f}"),
        Column("of the cap meanwhile", lambda one, _: f"{one.figure('reached'):.1%}"),
        RUNS,
    ),
    comparisons=(
        Comparison(
            "ingest capped at 50 MB/s on the wire: share reached from first to last PUT",
            lambda results: results[PUSH].figure("reached"),
            0.95,
            0.99,
            form="{:.1%}",
        ),
    ),
)
