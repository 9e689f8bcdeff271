"""A small table in a single request: created, updated, refused, and lost on the way."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiohttp import web

import loader
from loader.emulator.catalogue import FOLDERS
from loader.job.table_ids import TableIds
from tests.cli.harness import PASSWORD, PROJECT, USER, Push, RecordingStore
from tests.cli.test_good_paths import TYPES

ONE = ("--workflow", "one-request")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr("loader.job.verify.WAITS", (0.0, 0.0))
    monkeypatch.setattr("loader.job.one_request.LOOKS", (0.0, 0.0))


@pytest.fixture
def file(tmp_path):
    """Writes (key, value) rows; returns the path."""

    def write(name="t", **rows):
        path = tmp_path / f"{name}.parquet"
        values = pa.array(list(rows.values()), pa.int64())
        pq.write_table(pa.table({"k": pa.array(list(rows), pa.string()), "v": values}), path)
        return path

    return write


def writes(server) -> list[str]:
    """The calls that change datasets, in order."""
    return [
        f"{method} {'/'.join(part for part in path.split('/') if len(part) < 32)}"
        for method, path, _ in server.requests
        if "/api/datasets" in path and method != "GET"
    ]


# -- creating and updating -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "rows"),
    [
        ("replace", [("b", 3), ("c", 4)]),
        ("add", [("a", 1), ("b", 2), ("c", 4)]),
        ("update", [("a", 1), ("b", 3)]),
        ("upsert", [("a", 1), ("b", 3), ("c", 4)]),
    ],
)
def test_the_same_command_creates_and_updates(push, server, file, policy, rows):
    first = push(file(a=1, b=2), *ONE).succeeded().json
    assert server.sql("SELECT * FROM t.t ORDER BY k") == [("a", 1), ("b", 2)]
    second = push(file(b=3, c=4), *ONE, "--policy", policy).succeeded().json
    assert server.sql("SELECT * FROM t.t ORDER BY k") == rows
    assert writes(server) == ["POST /api/datasets", "PATCH /api/datasets/tables"]
    assert first["dataset_id"] == second["dataset_id"] == server.datasets["t"]
    for result in (first, second):
        assert result["warnings"] == []
        assert result["status"] == "published"
    server.left_nothing()


def test_the_result_has_the_same_form_and_the_tables_id(push, server, file):
    session = push(file("s", a=1)).succeeded().json
    result = push(file(a=1, b=2), *ONE).succeeded().json
    assert result.keys() == session.keys()
    (share,) = result["tables"]
    assert share.keys() == {*session["tables"][0], "table_id"}
    assert (share["rows"], share["chunks"]) == (2, 1)
    sent = json.dumps([{"k": "a", "v": 1}, {"k": "b", "v": 2}], separators=(",", ":"))
    assert result["json_bytes"] == len(sent)
    assert result["wire_bytes"] == -(-len(sent) // 3) * 4
    (dataset,) = (one for one in server.emulator.catalogue if one.model.name == "t")
    assert share["table_id"] == dataset.model.tables[0].id


def test_every_type_arrives_as_in_a_session(push, server, tmp_path):
    path = tmp_path / "types.parquet"
    pq.write_table(pa.table({name: array for name, (array, *_) in TYPES.items()}), path)
    push(path, *ONE).succeeded()
    for name, (array, _, expected) in TYPES.items():
        stored = [row[0] for row in server.sql(f'SELECT "{name}" FROM types.types')]
        if expected == "json":
            stored = [value and json.loads(value) for value in stored]
        given = array.to_pylist() if expected is None or expected == "json" else expected
        assert stored == given, name


def test_expressions_are_formulas_where_those_are_clear(push, server, tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"k": ["a"], "a.b": ["x"], "v": [1.5]}), path)
    push(path, *ONE).succeeded()
    (dataset,) = server.emulator.catalogue
    forms = [one["attributeForms"][0] for one in dataset.definition["attributes"]]
    assert [form["expressions"] for form in forms] == [
        [{"formula": "t.k"}],
        [{"tableName": "t", "columnName": "a.b"}],
    ]
    assert dataset.definition["metrics"][0]["expressions"] == [{"formula": "t.v"}]


def test_a_folder_and_a_dataset_id(push, server, file):
    created = push(file(a=1), *ONE, "--dataset", "D").succeeded().json
    push(file(b=2), *ONE, "--dataset-id", created["dataset_id"]).succeeded()
    assert server.sql("SELECT * FROM d.t") == [("b", 2)]


def test_an_upload_session_may_update_it_too(push, server, file):
    push(file(a=1), *ONE).succeeded()
    push(file(b=2)).succeeded()
    assert server.sql("SELECT * FROM t.t") == [("b", 2)]


@pytest.mark.parametrize("policy", ["add", "upsert"])
def test_a_new_dataset_takes_the_rows_as_they_are(push, server, file, policy):
    (warning,) = push(file(a=1), *ONE, "--policy", policy).succeeded().json["warnings"]
    assert "the dataset is new" in warning


def test_a_dataset_of_that_name_elsewhere_is_worth_a_warning(push, server, file):
    push(file(a=1), *ONE, "--folder-id", FOLDERS[1].id).succeeded()
    (warning,) = push(file(a=1), *ONE).succeeded().json["warnings"]
    assert "in another folder" in warning
    assert len(list(server.emulator.catalogue)) == 2


def test_no_rows_at_all(push, server, file):
    assert push(file(), *ONE).code == 3
    assert writes(server) == []
    push(file(a=1), *ONE).succeeded()
    result = push(file(), *ONE, "--allow-empty").succeeded().json
    assert (result["rows"], result["json_bytes"]) == (0, 2)
    assert server.sql("SELECT * FROM t.t") == []


def test_a_doubled_row_is_noticed(push, server, file):
    async def lie(request):
        if request.path.endswith("/instances"):
            return web.json_response({"data": {"metricValues": {"raw": [[7]]}}})
        return None

    server.fault = lie
    outcome = push(file(a=1, b=2), *ONE)
    assert outcome.code == 8
    assert outcome.json["status"] == "published"
    assert (outcome.error["sent"], outcome.error["counted"]) == (2, 7)


def test_a_row_that_does_not_fit_ends_the_load_before_anything_is_sent(push, server, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("k,n\na,1\nb,x\n")
    outcome = push(path, *ONE, "--type", "n=INTEGER", "--csv-types", "sample")
    assert outcome.code == 3
    assert "row 2" in outcome.error["message"]
    assert writes(server) == []


def test_bad_rows_that_are_left_out(push, server, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("k,n\na,1\nb,x\nc,3\n")
    outcome = push(path, *ONE, "--type", "n=INTEGER", "--on-bad-row", "skip")
    assert outcome.code == 7
    assert (outcome.json["rows"], outcome.json["tables"][0]["rejected"]) == (2, 1)
    assert server.sql("SELECT * FROM t.t ORDER BY k") == [("a", 1), ("c", 3)]


def test_past_the_limit_of_bad_rows_nothing_is_sent(push, server, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("k,n\na,1\nb,x\nc,3\n")
    wanted = ("--type", "n=INTEGER", "--on-bad-row", "skip", "--max-bad-rows", "10%")
    assert push(path, *ONE, *wanted).code == 3
    assert writes(server) == []


# -- too much --------------------------------------------------------------------------------------


def records(rows) -> int:
    """The bytes of rows as Python writes them."""
    return len(json.dumps([{"k": k, "v": v} for k, v in rows.items()], separators=(",", ":")))


def test_the_limit_is_exact(push, server, file, monkeypatch):
    rows = {f"k{number}": number for number in range(500)}
    monkeypatch.setattr("loader.planning.ONE_REQUEST", records(rows))
    push(file(**rows), *ONE).succeeded()
    monkeypatch.setattr("loader.planning.ONE_REQUEST", records(rows) - 1)
    before = writes(server)
    outcome = push(file(**rows), *ONE)
    assert outcome.code == 3
    assert outcome.error["kind"] == "too_large"
    assert "--workflow session" in outcome.error["hint"]
    assert writes(server) == before


def test_too_much_is_noticed_before_all_is_read(server, monkeypatch):
    monkeypatch.setattr("loader.planning.ONE_REQUEST", 200_000)
    read = 0

    def batches():
        nonlocal read
        for start in range(0, 1_000_000, 1000):
            read += 1000
            yield pa.RecordBatch.from_pydict({"n": list(range(start, start + 1000))})

    reader = pa.RecordBatchReader.from_batches(pa.schema([("n", pa.int64())]), batches())
    connection = loader.Connection(server.url, username=USER, password=PASSWORD, project=PROJECT)
    with pytest.raises(loader.LoaderError, match="more than 200 kB") as caught:
        loader.push_sync({"t": reader}, connection=connection, workflow="one-request")
    assert caught.value.kind == "too_large"
    assert read < 200_000
    assert writes(server) == []


def test_the_error_estimates_the_whole_size(push, file, monkeypatch):
    monkeypatch.setattr("loader.planning.ONE_REQUEST", 20_000)
    rows = {f"k{number:05}": 10_000 + number for number in range(20_000)}
    outcome = push(file(**rows), *ONE)
    assert outcome.error["limit"] == 20_000
    assert abs(outcome.error["estimate"] / records(rows) - 1) < 0.1
    assert "about" in outcome.error["message"]


def test_several_tables(push, server, file):
    outcome = push(file("t", a=1), file("u", a=1), *ONE)
    assert outcome.code == 2
    assert "single table" in outcome.error["message"]
    assert "--workflow session" in outcome.error["hint"]
    assert server.requests == []


@pytest.mark.parametrize(
    "option",
    [
        ("--overwrite",),
        ("--no-publish",),
        ("--orientation", "row"),
        ("--chunk-size", "60MB"),
        ("--concurrency", "2"),
        ("--ordering", "strict"),
        ("--window", "4"),
        ("--publish-timeout", "10s"),
    ],
)
def test_options_of_an_upload_session(push, server, file, option):
    outcome = push(file(a=1), *ONE, *option)
    assert outcome.code == 2
    assert option[0] in outcome.error["message"]
    assert server.requests == []


# -- the table's id --------------------------------------------------------------------------------


def test_an_id_that_nobody_remembers(push, server, file, monkeypatch, tmp_path):
    created = push(file(a=1), *ONE).succeeded().json
    monkeypatch.setenv("MSTR_LOADER_STATE", str(tmp_path / "another host"))
    outcome = push(file(b=2), *ONE)
    assert outcome.code == 2
    assert "--table-id" in outcome.error["hint"]
    assert "--workflow session" in outcome.error["hint"]
    table_id = created["tables"][0]["table_id"]
    push(file(b=2), *ONE, "--table-id", table_id).succeeded()
    # It is remembered from now on.
    push(file(c=3), *ONE).succeeded()
    assert server.sql("SELECT * FROM t.t") == [("c", 3)]
    server.left_nothing()


def test_ids_that_cannot_be_kept_are_no_failure(push, server, file):
    path = TableIds().path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"this is no database, however long one looks at it" * 50)
    result = push(file(a=1), *ONE).succeeded().json
    (warning,) = result["warnings"]
    assert str(path) in warning
    outcome = push(file(a=1), *ONE)
    assert outcome.code == 2
    assert any(str(path) in warning for warning in outcome.json["warnings"])
    push(file(a=1), *ONE, "--table-id", result["tables"][0]["table_id"]).succeeded()


def test_a_dataset_of_an_upload_session_is_refused(push, server, file):
    push(file(a=1)).succeeded()
    assert push(file(b=2), *ONE).code == 2
    outcome = push(file(b=2), *ONE, "--table-id", "A" * 32)
    assert outcome.code == 5
    assert "an upload session" in outcome.error["hint"]
    assert server.sql("SELECT * FROM t.t") == [("a", 1)]
    server.left_nothing()


def test_a_wrong_table_id(push, server, file):
    push(file(a=1), *ONE).succeeded()
    outcome = push(file(b=2), *ONE, "--table-id", "A" * 32)
    assert outcome.code == 5
    assert "the table's id" in outcome.error["hint"]
    # The good one is still remembered.
    push(file(b=2), *ONE).succeeded()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--table-id", "X"), "none is called 't'"),
        (("--policy", "update"), "there is no dataset 't'"),
    ],
)
def test_what_needs_an_existing_dataset(push, server, file, options, says):
    outcome = push(file(a=1), *ONE, *options)
    assert outcome.code == 2
    assert says in outcome.error["message"]
    assert writes(server) == []


def test_a_table_id_without_the_workflow(push, server, file):
    outcome = push(file(a=1), "--table-id", "X")
    assert outcome.code == 2
    assert "--workflow one-request" in outcome.error["hint"]


def test_a_dataset_with_other_columns(push, server, file, tmp_path):
    push(file(a=1), *ONE).succeeded()
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"k": ["a"], "w": [1]}), path)
    outcome = push(path, *ONE)
    assert outcome.code == 3
    assert outcome.error["kind"] == "model_mismatch"
    assert len(writes(server)) == 1


# -- answers that are lost -------------------------------------------------------------------------


class Cutting(RecordingStore):
    """Cuts the connection of a request when it was carried out; knows which there were."""

    def __init__(self):
        super().__init__()
        self.cut = None
        self.seen = []

    def publish(self, dataset_id, session_id, policies):
        done = super().publish(dataset_id, session_id, policies)
        if self.cut is not None:
            self.cut()
        return done


def is_write(request) -> bool:
    return request.method in {"POST", "PATCH"} and "/api/datasets" in request.path


def on_write(server, answer):
    """Has the requests with data answered by ``answer``."""

    async def fault(request):
        if not is_write(request):
            return None
        await request.read()
        return answer(request)

    server.fault = fault


@pytest.fixture
def cutting(command, serve):
    """A server that carries requests out and loses its answers; a push to it."""
    archive = Cutting()
    server = serve(archive=archive)

    async def remember(request):
        if is_write(request):
            archive.seen.append(request.method)
            archive.cut = lambda: server._loop.call_soon_threadsafe(request.transport.abort)

    server.fault = remember
    return server, Push(command, server)


def test_a_creation_whose_answer_was_lost_is_looked_for(cutting, file):
    server, push = cutting
    result = push(file(a=1, b=2), *ONE).succeeded().json
    assert result["status"] == "published"
    assert result["dataset_id"] == server.datasets["t"]
    assert result["rows"] == 2
    assert "table_id" not in result["tables"][0]
    (warning,) = result["warnings"]
    assert "the dataset is there with all 2 rows" in warning
    assert server.archive.seen == ["POST"]


def test_an_update_whose_answer_was_lost_is_unknown(cutting, file):
    server, push = cutting
    server.fault, lossy = None, server.fault
    push(file(a=1), *ONE).succeeded()
    server.fault = lossy
    outcome = push(file(b=2), *ONE)
    assert outcome.code == 8
    assert outcome.json["status"] == "unknown"
    assert outcome.error["kind"] == "outcome_unknown"
    assert "the same command again" in outcome.error["hint"]
    assert outcome.json["dataset_id"] == server.datasets["t"]
    assert server.archive.seen == ["PATCH"]
    outcome = push(file(c=2), *ONE, "--policy", "add")
    assert "row count" in outcome.error["hint"]


@pytest.mark.parametrize("status", [200, 500, 502, 504])
def test_a_creation_that_a_gateway_answered_is_unknown(push, server, file, status):
    def gateway(_):
        return web.Response(status=status, text="<html>", content_type="text/html")

    on_write(server, gateway)
    outcome = push(file(a=1), *ONE)
    assert outcome.code == 8
    assert "not there yet" in outcome.error["hint"]
    assert outcome.json["dataset_id"] is None
    assert writes(server) == ["POST /api/datasets"]
    server.left_nothing()


def test_a_creation_of_other_rows_is_unknown(cutting, file):
    """Somebody else's dataset, or one that is still being filled."""
    server, push = cutting
    lossy = server.fault

    async def lie(request):
        if request.path.endswith("/instances"):
            return web.json_response({"data": {"metricValues": {"raw": [[99]]}}})
        return await lossy(request)

    server.fault = lie
    outcome = push(file(a=1), *ONE)
    assert outcome.code == 8
    assert "is there now, and 1 rows were sent" in outcome.error["hint"]
    assert outcome.json["dataset_id"] == server.datasets["t"]


@pytest.mark.parametrize(
    "refusal",
    [
        (503, {"code": "ERR016", "message": "not now"}, 5),
        (403, {"code": "ERR014", "message": "no rights"}, 4),
        (400, {"code": "ERR006", "message": "no"}, 5),
        (429, {}, 5),
    ],
)
@pytest.mark.parametrize("existing", [False, True], ids=["create", "update"])
def test_a_refusal_is_an_answer(push, server, file, refusal, existing):
    status, body, code = refusal
    if existing:
        push(file(a=1), *ONE).succeeded()
    on_write(server, lambda _: web.json_response(body, status=status))
    outcome = push(file(b=2), *ONE)
    assert outcome.code == code
    assert outcome.json["status"] == "failed"
    assert outcome.error["hint"]
    assert len(writes(server)) == 1 + existing
    server.left_nothing()


def test_a_request_that_is_too_large_for_the_server(push, server, file):
    on_write(server, lambda _: web.Response(status=413))
    outcome = push(file(b=2), *ONE)
    assert outcome.code == 5
    assert "--workflow session" in outcome.error["hint"]
