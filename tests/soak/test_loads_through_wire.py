"""Real loads through a network that fails: each is published exactly once, or can go on."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import trustme

from tests.cli.fixtures import *  # noqa: F403 - what it exports are fixtures
from tests.cli.harness import PROJECT, USER
from tests.soak.wire import Direction, Kind, Trouble, Wire

pytestmark = pytest.mark.slow

ROWS = 8_000
BODY = 20_000
"""Bytes upwards after which a connection is in the middle of a chunk."""
ANSWER = 300
"""Bytes downwards after which it is in the middle of its first answer."""


def cut(kind: Kind, direction: Direction, after: int):
    """Cuts connections that carry so much: every second one, and not more than a load may lose."""
    return lambda number: [Trouble(kind, direction, after)] if number % 2 and number < 20 else []


WEATHERS = {
    "reset-in-bodies": (cut(Kind.RESET, Direction.UP, BODY), "reset"),
    "close-in-bodies": (cut(Kind.CLOSE, Direction.UP, BODY), "close"),
    "reset-in-answers": (cut(Kind.RESET, Direction.DOWN, ANSWER), "reset"),
    "close-in-answers": (cut(Kind.CLOSE, Direction.DOWN, ANSWER), "close"),
    "delays": (lambda _: [Trouble(Kind.DELAY, Direction.DOWN, seconds=0.01)], "delay"),
    "throttle": (lambda _: [Trouble(Kind.THROTTLE, rate=500_000)], "throttle"),
}


@pytest.fixture
def load(command, tmp_path):
    """Loads a table into a server by way of a wire; a second publish would double its rows."""
    path = tmp_path / "t.parquet"
    table = pa.table({"n": [5_000_000_000 + n for n in range(ROWS)], "m": [0.5] * ROWS})
    pq.write_table(table, path, row_group_size=1000)

    def load(server, wire, *options):
        url = server.url.replace(f":{port_of(server)}", f":{wire.port}")
        return command(
            *("push", path, "--url", url, "--username", USER, "--project", PROJECT),
            *("--policy", "add", "--chunk-size", "25kB", "--concurrency", "2"),
            *("--retries", "6", "--json", *options),
        )

    return load


def port_of(server) -> int:
    return int(server.url.split(":")[2].split("/")[0])


@pytest.mark.parametrize("name", WEATHERS)
def test_published_exactly_once(serve, load, name):
    plan, kind = WEATHERS[name]
    server = serve()
    with Wire(port_of(server), plan) as wire:
        load(server, wire).succeeded()
        assert wire.fired[kind] >= 1
    assert server.sql("SELECT count(*), count(DISTINCT n) FROM t.t") == [(ROWS, ROWS)]


@pytest.mark.parametrize("kind", [Kind.RESET, Kind.CLOSE])
def test_published_exactly_once_over_tls(serve, load, tmp_path, kind):
    authority = trustme.CA()
    certificate, bundle = tmp_path / "server.pem", tmp_path / "ca.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
    authority.cert_pem.write_to_path(bundle)
    server = serve(tls_cert=certificate)
    with Wire(port_of(server), cut(kind, Direction.UP, BODY)) as wire:
        load(server, wire, "--ca-bundle", bundle).succeeded()
        assert wire.fired[kind.value] >= 1
    assert server.sql("SELECT count(*), count(DISTINCT n) FROM t.t") == [(ROWS, ROWS)]
