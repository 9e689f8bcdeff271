"""The emulator in its own process: how it starts, and how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from http.client import HTTPConnection

import duckdb
import pytest

from loader.emulator import EmulatorProcess
from loader.errors import UsageError

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-m", "loader", "emulator", "--port", "0", "--ingest", "sink"]

# Starts a child in a process that the test kills; prints the child's url.
PARENT = """
import sys
from loader.emulator import EmulatorProcess
with EmulatorProcess("--ingest", "sink") as emulator:
    print(emulator.url, flush=True)
    sys.stdin.read()
"""


def watch(url: str) -> socket.socket:
    """A connection that ends when the server does."""
    host, port = url.split("/")[2].split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def ended(watched: socket.socket) -> bool:
    with watched, contextlib.suppress(ConnectionResetError):
        return watched.recv(1) == b""
    return True


def test_it_listens_and_ends_with_the_block():
    with EmulatorProcess("--ingest", "sink") as emulator:
        root = emulator.url.rsplit("/", 1)[0]
        status = json.load(urllib.request.urlopen(f"{root}/status.json"))
        assert status["ingest"] == "sink"
        assert "running" in repr(emulator)
        watched = watch(emulator.url)
    assert ended(watched)
    with pytest.raises(ProcessLookupError):
        os.kill(emulator.pid, 0)


def test_it_ends_when_its_parent_is_killed():
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with parent:
        watched = watch(parent.stdout.readline())
        parent.kill()
        assert ended(watched)
    assert parent.returncode == -signal.SIGKILL


def test_a_child_that_cannot_start_says_why(tmp_path):
    file = tmp_path / "nothing"
    with (
        pytest.raises(UsageError, match=r"password file .*nothing cannot be read"),
        EmulatorProcess("--password-file", str(file)),
    ):
        pass


def test_a_port_in_use():
    with EmulatorProcess("--ingest", "sink") as first:
        port = first.url.split(":")[2].split("/")[0]
        with (
            pytest.raises(UsageError, match=f"Cannot listen on 127.0.0.1:{port}") as error,
            EmulatorProcess("--port", port),
        ):
            pass
    assert "--port" in str(error.value.hint)


def test_a_data_directory_in_use(tmp_path):
    options = ("--data", str(tmp_path))
    with (
        EmulatorProcess(*options),
        pytest.raises(UsageError, match=r"emulator\.duckdb"),
        EmulatorProcess(*options),
    ):
        pass


def test_ready_needs_a_pipe():
    command = [*COMMAND, "--ready"]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "standard input" in json.loads(done.stdout)["error"]["message"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_cleanly(number):
    process = subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        welcome = [process.stdout.readline() for _ in range(5)]
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")
    assert welcome[0].startswith("Push Data API at  http://127.0.0.1:")
    assert "mstr-loader push" in welcome[2]
    assert welcome[4].startswith("Data is neither checked nor kept")


def _api(url, method, path, body, headers):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/api{path}", data, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        text = answer.read()
        return answer.headers, json.loads(text) if text else None


def _login(url, password=""):
    headers = {"Content-Type": "application/json"}
    credentials = {"username": "administrator", "password": password}
    got, _ = _api(url, "POST", "/auth/login", credentials, headers)
    return headers | {
        "X-MSTR-AuthToken": got["X-MSTR-AuthToken"],
        "Cookie": got["Set-Cookie"].split(";")[0],
        "X-MSTR-ProjectID": "B19DEDCC11D4E0EFC000EB9495D0F44F",
    }


MODEL = {
    "name": "Kept",
    "tables": [{"name": "t", "columnHeaders": [{"name": "c", "dataType": "DOUBLE"}]}],
    "metrics": [{"name": "c", "expressions": [{"formula": "t.c"}]}],
}


def test_a_data_directory_keeps_datasets_across_restarts(tmp_path):
    options = ("--data", str(tmp_path / "new" / "data"))
    with EmulatorProcess(*options, env={"MSTR_EMULATOR_PASSWORD": "s3cret"}) as emulator:
        headers = _login(emulator.url, "s3cret")
        one = {**MODEL, "tables": [{**MODEL["tables"][0], "data": "W3siYyI6IDEuNX1d"}]}
        _, made = _api(emulator.url, "POST", "/datasets", one, headers)
        _, other = _api(emulator.url, "POST", "/datasets/models", {**MODEL, "name": "o"}, headers)
        path = f"/datasets/{other['id']}/uploadSessions"
        tables = {"tables": [{"name": "t", "updatePolicy": "add"}]}
        _, session = _api(emulator.url, "POST", path, tables, headers)
        put = {"tableName": "t", "index": 1, "data": "W1sxXV0="}
        _api(emulator.url, "PUT", f"{path}/{session['uploadSessionId']}", put, headers)
        watched = watch(emulator.url)
        os.kill(emulator.pid, signal.SIGKILL)
        assert ended(watched)
    with EmulatorProcess(*options) as emulator:
        headers = _login(emulator.url)
        _, again = _api(emulator.url, "GET", f"/datasets/{made['datasetId']}", None, headers)
        assert again["name"] == "Kept"
        path = f"/datasets/{made['datasetId']}/tables/{made['tables'][0]['id']}"
        patch = {**MODEL["tables"][0], "data": "W3siYyI6IDIuNX1d"}
        _api(emulator.url, "PATCH", path, patch, headers | {"updatePolicy": "add"})
    assert not list((tmp_path / "new" / "data").glob("*.chunks/*"))  # of the session that is gone
    with duckdb.connect(str(tmp_path / "new" / "data" / "emulator.duckdb")) as connection:
        assert connection.sql('FROM "Kept"."t"').fetchall() == [(1.5,), (2.5,)]


def test_a_sink_takes_a_large_body():
    size, piece = 100 << 20, b"A" * (1 << 20)
    with EmulatorProcess("--ingest", "sink") as emulator:
        headers = _login(emulator.url)
        _, made = _api(emulator.url, "POST", "/datasets/models", MODEL, headers)
        path = f"/datasets/{made['id']}/uploadSessions"
        tables = {"tables": [{"name": "t", "updatePolicy": "add"}]}
        _, session = _api(emulator.url, "POST", path, tables, headers)
        host = emulator.url.split("/")[2]
        connection = HTTPConnection(host)
        head, tail = b'{"tableName": "t", "index": 1, "data": "', b'"}'
        connection.request(
            "PUT",
            f"/MicroStrategyLibrary/api{path}/{session['uploadSessionId']}",
            iter([head, *[piece] * (size >> 20), tail]),
            headers | {"Content-Length": str(size + len(head) + len(tail))},
        )
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
        connection.close()
