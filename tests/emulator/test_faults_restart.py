"""The whole server ends in mid-load and comes back: what is kept, what is lost."""

from __future__ import annotations

import contextlib
import json
import urllib.error
import urllib.request

import duckdb
import pytest

from loader.emulator import EmulatorOptions, EmulatorProcess
from loader.emulator.kept import document, restored
from loader.errors import UsageError
from tests.emulator.harness import TUTORIAL, chunk, until
from tests.emulator.test_uploads import ROW, table1

MODEL = {
    "name": "Kept",
    "tables": [{"name": "t", "columnHeaders": [{"name": "c", "dataType": "DOUBLE"}]}],
    "metrics": [{"name": "c", "expressions": [{"tableName": "t", "columnName": "c"}]}],
}
TABLES = {"tables": [{"name": "t", "updatePolicy": "add", "orientation": "COLUMN"}]}
GRACE = 20


class Client:
    """Calls one server after the other; one connection for each call."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.login()

    def __call__(self, method, path, body=None):
        status, _, value = self._call(method, path, body)
        return status, value

    def login(self) -> None:
        self.headers = {"Content-Type": "application/json", "X-MSTR-ProjectID": TUTORIAL}
        _, headers, _ = self._call("POST", "/auth/login", {"username": "administrator"})
        self.headers["X-MSTR-AuthToken"] = headers["X-MSTR-AuthToken"]
        self.headers["Cookie"] = headers["Set-Cookie"].split(";")[0]

    def session(self, dataset: str) -> str:
        _, made = self("POST", f"/datasets/{dataset}/uploadSessions", TABLES)
        return f"/datasets/{dataset}/uploadSessions/{made['uploadSessionId']}"

    def put(self, session: str, index: int, *values: float):
        return self("PUT", session, chunk([list(values)], index=index, table="t"))[0]

    def publish(self, session: str) -> int:
        assert self("POST", f"{session}/publish")[0] == 200
        for _ in range(1000):
            status = self("GET", f"{session}/publishStatus")[1]["status"]
            if status != 6:
                return status
        raise AssertionError("the publish does not end")

    def _call(self, method, path, body):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/api{path}", data, self.headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=GRACE) as answer:
                text = answer.read()
                return answer.status, answer.headers, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, json.loads(error.read())


def values(directory) -> list[float]:
    with duckdb.connect(str(directory / "emulator.duckdb"), read_only=True) as connection:
        return [row[0] for row in connection.sql('FROM "Kept"."t" ORDER BY c').fetchall()]


@pytest.mark.slow
@pytest.mark.parametrize("keep", [True, False])
def test_a_kill_in_mid_load(tmp_path, keep):
    options = ["--data", str(tmp_path), "--fault-control", *["--keep-sessions"] * keep]
    with EmulatorProcess(*options) as server:
        client = Client(server.url)
        _, made = client("POST", "/datasets/models", MODEL)
        session = client.session(made["id"])
        assert client.put(session, 1, 1.5, 2.5) == 200
        assert client.put(session, 2, 3.5) == 200
        with pytest.raises(UsageError, match="is running"):
            server.start()
        url, pid = server.url, server.pid
        server.kill()
        with pytest.raises(urllib.error.URLError):
            client("GET", "/status")
        server.start()
        assert server.url == url
        assert server.pid != pid
        assert client("GET", f"/datasets/{made['id']}")[1]["code"] == "ERR009"  # logins are lost
        client.login()
        assert client("GET", f"/datasets/{made['id']}")[0] == 200
        if keep:
            assert client.put(session, 4, 5.5) == 200
            status, error = client("POST", f"{session}/publish")
            assert (status, "but 3 were not uploaded" in error["message"]) == (409, True)
        else:
            assert client.put(session, 3, 4.5) == 404
            session = client.session(made["id"])
            assert [client.put(session, 1, 1.5, 2.5), client.put(session, 2, 3.5)] == [200, 200]
            assert client.put(session, 4, 5.5) == 200
        assert client.put(session, 3, 4.5) == 200
        assert client.publish(session) == 1
    assert values(tmp_path) == [1.5, 2.5, 3.5, 4.5, 5.5]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "kept"),
    [("before", False), ("mid-body", False), ("after-body", False), ("after-store", True)],
)
def test_a_crash_at_a_moment_of_a_put(tmp_path, moment, kept):
    options = ["--data", str(tmp_path), "--fault-control", "--keep-sessions"]
    with EmulatorProcess(*options) as server:
        client = Client(server.url)
        _, made = client("POST", "/datasets/models", MODEL)
        session = client.session(made["id"])
        server.inject(f"put:nth=2:crash={moment}")
        assert client.put(session, 1, 1.5) == 200
        with pytest.raises((ConnectionError, urllib.error.URLError)):
            client.put(session, 2, 2.5)
        assert server.wait(GRACE) == -9
        server.start()
        assert server.faults() == []  # rules made at run time are gone
        client.login()
        assert client.publish(session) == 1
    assert values(tmp_path) == ([1.5, 2.5] if kept else [1.5])


@pytest.mark.slow
@pytest.mark.parametrize(("moment", "state"), [("before", 409), ("after-store", None)])
def test_a_crash_at_a_publish(tmp_path, moment, state):
    options = ["--data", str(tmp_path), "--keep-sessions", "--fault-control"]
    with EmulatorProcess(*options) as server:
        client = Client(server.url)
        _, made = client("POST", "/datasets/models", MODEL)
        session = client.session(made["id"])
        client.put(session, 1, 1.5)
        server.inject(f"publish:crash={moment}")
        with pytest.raises((ConnectionError, urllib.error.URLError)):
            client("POST", f"{session}/publish")
        assert server.wait(GRACE) == -9
        server.start()
        client.login()
        status, body = client("GET", f"{session}/publishStatus")
        if state is None:  # who was faster is not decided; either is whole
            assert status == 409 or body["status"] == 1
        else:
            assert status == state
        if status == 409:
            assert client.publish(session) == 1
    assert values(tmp_path) == [1.5]


@pytest.mark.slow
def test_options_count_anew_after_a_restart(tmp_path):
    with EmulatorProcess("--ingest", "sink", "--fault", "version:nth=1:status=503") as server:
        for _ in range(2):
            client = Client(server.url)
            assert [client("GET", "/status")[0] for _ in range(2)] == [503, 200]
            server.kill()
            server.start()


def test_to_keep_sessions_there_must_be_a_place(tmp_path):
    with pytest.raises(UsageError, match="--keep-sessions needs --data") as error:
        EmulatorOptions(keep_sessions=True)
    assert "--data" in error.value.hint
    assert EmulatorOptions(keep_sessions=True, data=tmp_path).keep_sessions


@contextlib.asynccontextmanager
async def again(api, emulate, tmp_path, **settings):
    """Ends a server in good order and starts another one with its data."""
    await api.listener.__aexit__()
    other = await emulate(data=tmp_path, keep_sessions=True, **settings)
    await other.login()
    yield other


async def test_a_stop_in_good_order_keeps_sessions(emulate, tmp_path):
    api = await emulate(data=tmp_path, keep_sessions=True)
    await api.login()
    dataset = await api.dataset()
    headers = ["Cost", "ID", "Date", "Time", "Category"]
    session = await api.session(dataset, table1(columnHeaders=headers, updatePolicy="Add"))
    await api.ok("PUT", session, chunk([[ROW[4], *ROW[:4]]]))
    async with again(api, emulate, tmp_path) as other:
        (upload,) = other.emulator.uploads
        assert [column.name for column in upload.tables["table1"].columns] == headers
        await other.ok("PUT", session, chunk([[ROW[4], *ROW[:4]]], index=2))
        assert (await other.publish(session))["status"] == 1
        assert other.sql('SELECT "ID", "Cost" FROM "testModel"."table1"') == [(1, 100.5)]
        await other.ok("DELETE", session)
        async with again(other, emulate, tmp_path) as third:
            assert list(third.emulator.uploads) == []
            assert not list(tmp_path.glob("*.chunks/*"))


async def test_how_a_publish_ended_is_kept(emulate, tmp_path):
    api = await emulate(
        data=tmp_path, keep_sessions=True, faults=("publish:nth=1:outcome=3,message=no memory",)
    )
    await api.login()
    dataset = await api.dataset()
    failed = await api.session(dataset, table1())
    await api.put(failed, [ROW])
    assert (await api.publish(failed))["status"] == 3
    done = await api.session(dataset, table1())
    await api.put(done, [ROW])
    assert (await api.publish(done))["status"] == 1
    async with again(api, emulate, tmp_path) as other:
        body = (await other.ok("GET", f"{failed}/publishStatus")).body
        assert (body["status"], body["message"]) == (3, "no memory")
        assert (await other.ok("GET", f"{done}/publishStatus")).body["status"] == 1


async def test_a_publish_that_a_stop_interrupts_is_open_again(emulate, tmp_path):
    api = await emulate(data=tmp_path, keep_sessions=True, faults=("publish:outcome=6",))
    await api.login()
    session = await api.session(await api.dataset(), table1())
    await api.put(session, [ROW])
    await api.ok("POST", f"{session}/publish")
    (upload,) = api.emulator.uploads
    await until(lambda: upload.says)
    async with again(api, emulate, tmp_path) as other:
        await other.refused(409, "ERR006", "still open", "GET", f"{session}/publishStatus")
        assert (await other.publish(session))["status"] == 1


async def test_a_kept_session_blocks_nobody(emulate, tmp_path):
    """Its login has ended with the server: a new session takes its place."""
    api = await emulate(data=tmp_path, keep_sessions=True)
    await api.login()
    dataset = await api.dataset()
    session = await api.session(dataset, table1())
    await api.put(session, [ROW])
    async with again(api, emulate, tmp_path) as other:
        await other.session(dataset, table1())
        await other.refused(404, "ERR004", "no upload session", "PUT", session, chunk([ROW]))


async def test_a_server_that_keeps_none_discards_what_another_kept(emulate, tmp_path):
    api = await emulate(data=tmp_path, keep_sessions=True)
    await api.login()
    session = await api.session(await api.dataset(), table1())
    await api.put(session, [ROW])
    await api.listener.__aexit__()
    assert list(tmp_path.glob("*.chunks/*"))
    other = await emulate(data=tmp_path)
    await other.login()
    await other.refused(404, "ERR004", "no upload session", "PUT", session, chunk([ROW]))
    assert not list(tmp_path.glob("*.chunks/*"))


@pytest.mark.parametrize(
    ("chunks", "staged", "state"),
    [
        (2, [("table1", 1), ("table1", 2)], "open"),  # killed before the publish was done
        (2, [], "published"),  # and after
        (0, [], "open"),  # nothing tells; to do it again changes nothing
    ],
)
async def test_what_a_killed_publish_has_come_to(api, chunks, staged, state):
    await api.session(await api.dataset(), table1())
    (session,) = api.emulator.uploads
    kept = {**document(session), "state": "publishing", "chunks": chunks}
    again = restored(session.id, json.loads(json.dumps(kept)), session.dataset, staged)
    assert (again.state.value, again.id, again.login.alive) == (state, session.id, False)
    assert again.chunks == len(staged)
    assert api.headers["X-MSTR-AuthToken"] not in json.dumps(kept)
