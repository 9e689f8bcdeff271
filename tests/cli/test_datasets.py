"""Which dataset is loaded into, and what its old rows become."""

from __future__ import annotations

import asyncio

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import loader
from loader.emulator.catalogue import FOLDERS, PROJECTS
from tests.cli.harness import Push

SHARED_REPORTS = FOLDERS[1].id


@pytest.fixture
def file(tmp_path):
    """Writes a table of (key, value) rows; returns its path."""

    def write(name: str = "t", **rows: int):
        path = tmp_path / f"{name}.parquet"
        values = pa.array(list(rows.values()), pa.int64())
        pq.write_table(pa.table({"k": pa.array(list(rows), pa.string()), "v": values}), path)
        return path

    return write


def create(server, name: str, folder: str = "", tables=("t",), columns=None) -> str:
    """Creates a dataset behind the loader's back."""
    columns = columns or {"k": "STRING", "v": "BIGINTEGER"}
    definition = {
        "name": name,
        "folderId": folder,
        "tables": [
            {
                "name": table,
                "columnHeaders": [
                    {"name": column, "dataType": kind} for column, kind in columns.items()
                ],
            }
            for table in tables
        ],
        "metrics": [],
        "attributes": [
            {
                "name": column,
                "attributeForms": [
                    {
                        "category": "ID",
                        "expressions": [
                            {"tableName": table, "columnName": column} for table in tables
                        ],
                    }
                ],
            }
            for column in columns
        ],
    }

    async def make():
        login = server.emulator.logins.open(1, "administrator", server.options.password)
        try:
            made = await server.emulator.create(PROJECTS[0], login, definition, incremental=True)
        finally:
            server.emulator.logins.close(login)
        return made.id

    return server.call(make())


def rename(server, dataset_id: str, name: str) -> None:
    """Calls a dataset like another one of its folder: a server's own tools can do that."""

    async def do():
        for dataset in server.emulator.catalogue:
            if dataset.id == dataset_id:
                object.__setattr__(dataset.model, "name", name)

    server.call(do())


def stored(server, table: str = "t.t"):
    return dict(server.sql(f"SELECT k, v FROM {table}"))


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("replace", {"b": 20, "c": 30}),
        ("add", {"a": 1, "b": 2, "c": 30}),
        ("update", {"a": 1, "b": 20}),
        ("upsert", {"a": 1, "b": 20, "c": 30}),
    ],
)
def test_the_same_command_updates_the_same_dataset(push, server, file, policy, expected):
    first = push(file(a=1, b=2)).succeeded().json
    second = push(file(b=20, c=30), "--policy", policy).succeeded().json
    assert second["dataset_id"] == first["dataset_id"]
    assert list(server.datasets.values()) == [first["dataset_id"]]
    assert stored(server) == expected
    assert second["warnings"] == []
    server.left_nothing()


def test_a_table_may_have_a_policy_of_its_own(push, server, file):
    both = (file("one", a=1), file("two", a=1))
    push(*both).succeeded()
    both = (file("one", b=2), file("two", b=2))
    push(*both, "--policy", "add", "--policy", "two=replace").succeeded()
    assert stored(server, "one.one") == {"a": 1, "b": 2}
    assert stored(server, "one.two") == {"b": 2}


def test_a_numeric_key_is_named_with_attribute(push, server, tmp_path):
    path = tmp_path / "t.parquet"

    def write(*rows):
        pq.write_table(pa.table({"id": [r[0] for r in rows], "v": [r[1] for r in rows]}), path)

    write((1, 10), (2, 20))
    push(path, "--attribute", "id").succeeded()
    write((2, 21), (3, 30))
    push(path, "--attribute", "t.id", "--policy", "upsert").succeeded()
    assert server.sql("SELECT * FROM t.t ORDER BY id") == [(1, 10), (2, 21), (3, 30)]


def test_without_a_key_upsert_warns_and_names_the_option(push, server, tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"id": [1], "v": [10]}), path)
    outcome = push(path, "--policy", "upsert")
    assert outcome.code == 5  # this server refuses it when it publishes
    assert outcome.error["kind"] == "publish_failed"
    assert any("--attribute" in warning for warning in outcome.json["warnings"])
    assert server.datasets == {}
    server.left_nothing()


def test_metric_and_type_change_the_model(push, server, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("code,flag,day,n\n007,1,2024-02-29,5\n008,0,2024-03-01,6\n")
    options = ["--type", "code=STRING", "--type", "t.flag=BOOL", "--type", "n=DOUBLE"]
    push(path, *options, "--metric", "day").succeeded()
    (dataset,) = server.emulator.catalogue
    headers = dataset.definition["tables"][0]["columnHeaders"]
    assert {header["name"]: header["dataType"] for header in headers} == {
        "code": "STRING",
        "flag": "BOOL",
        "day": "DATE",
        "n": "DOUBLE",
    }
    assert {metric["name"] for metric in dataset.definition["metrics"]} == {"day", "n"}
    assert server.sql("SELECT code, flag, CAST(day AS VARCHAR), n FROM t.t") == [
        ("007", True, "2024-02-29", 5.0),
        ("008", False, "2024-03-01", 6.0),
    ]


def test_names_that_differ_in_case_are_one_dataset(push, server, file):
    first = push(file(a=1), "--dataset", "Sales").succeeded()
    second = push(file(a=1), "--dataset", "sales").succeeded()
    assert second.json["dataset_id"] == first.json["dataset_id"]
    assert second.json["dataset"] == "Sales"


def test_roles_that_an_existing_dataset_contradicts_are_a_mismatch(push, server, tmp_path):
    path = tmp_path / "keys.csv"
    path.write_text("id,name\n1,a\n2,b\n")
    push(path).succeeded()
    failed = push(path, "--attribute", "id", "--policy", "upsert")
    assert failed.code == 3
    assert "is a metric there, and is asked to be an attribute" in failed.error["message"]
    assert failed.error["tables"]["keys"]["reroled"] == [
        {"column": "id", "dataset": "metric", "wanted": "attribute"}
    ]


def test_dataset_id_names_the_dataset(push, server, file):
    dataset_id = create(server, "Somewhere else", folder=SHARED_REPORTS)
    result = push(file(a=1), "--dataset-id", dataset_id).succeeded().json
    assert (result["dataset_id"], result["dataset"]) == (dataset_id, "Somewhere else")
    assert stored(server, '"Somewhere else".t') == {"a": 1}


def test_an_unknown_dataset_id_is_a_usage_error(push, server, file):
    outcome = push(file(a=1), "--dataset-id", "0" * 32)
    assert outcome.code == 2
    assert outcome.error["kind"] == "unknown_dataset"
    assert outcome.error["dataset_id"] == "0" * 32
    assert server.datasets == {}
    server.left_nothing()


def test_several_datasets_of_one_name_ask_for_the_id(push, server, file):
    ids = [create(server, "t"), create(server, "other")]
    rename(server, ids[1], "t")
    outcome = push(file(a=1))
    assert outcome.code == 2
    assert outcome.error["kind"] == "ambiguous_dataset"
    assert "--dataset-id" in outcome.error["hint"]
    assert all(dataset_id in outcome.error["hint"] for dataset_id in ids)
    assert server.called("POST", "/uploadSessions") == []
    server.left_nothing()


def test_a_dataset_of_that_name_elsewhere_is_a_warning(push, server, file):
    elsewhere = create(server, "t", folder=SHARED_REPORTS)
    result = push(file(a=1)).succeeded().json
    assert result["dataset_id"] != elsewhere
    (warning,) = result["warnings"]
    assert elsewhere in warning


def test_folder_id_finds_and_creates_there(push, server, file):
    here = create(server, "t")
    first = push(file(a=1), "--folder-id", SHARED_REPORTS).succeeded().json
    second = push(file(a=2), "--folder-id", SHARED_REPORTS).succeeded().json
    assert first["dataset_id"] == second["dataset_id"] != here
    assert len(list(server.emulator.catalogue)) == 2


def test_an_unknown_folder_is_refused_before_anything_is_created(push, server, file):
    outcome = push(file(a=1), "--folder-id", "F" * 32)
    assert outcome.code == 2
    assert "F" * 32 in outcome.error["message"]
    assert outcome.error["hint"]
    assert server.datasets == {}
    server.left_nothing()


def test_overwrite_re_creates_the_definition_and_warns(push, server, file, tmp_path):
    old = push(file(a=1)).succeeded().json["dataset_id"]
    pq.write_table(pa.table({"other": ["x"]}), tmp_path / "t.parquet")
    result = push(tmp_path / "t.parquet", "--overwrite").succeeded().json
    assert list(server.datasets.values()) == [result["dataset_id"]]
    assert result["dataset_id"] != old
    (warning,) = result["warnings"]
    assert old in warning
    assert "dashboards" in warning
    assert server.sql("SELECT * FROM t.t") == [("x",)]


def test_overwrite_of_nothing_just_creates(push, server, file):
    assert push(file(a=1), "--overwrite").succeeded().json["warnings"] == []


@pytest.mark.parametrize("policy", ["add", "t=upsert"])
def test_overwrite_takes_only_replace(push, server, file, policy):
    push(file(a=1)).succeeded()
    outcome = push(file(a=2), "--overwrite", "--policy", policy)
    assert outcome.code == 2
    assert "--overwrite" in outcome.error["message"]
    assert stored(server) == {"a": 1}
    server.left_nothing()


def test_a_model_that_does_not_fit_lists_every_difference(push, server, file, tmp_path):
    push(file(a=1)).succeeded()
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"k": ["a"], "extra": ["x"]}), path)
    outcome = push(path)
    assert outcome.code == 3
    error = outcome.error
    assert error["kind"] == "model_mismatch"
    text = "; ".join(error["differences"])
    assert len(error["differences"]) == 2
    assert "'extra'" in text
    assert "'v'" in text
    assert all(difference in error["message"] for difference in error["differences"])
    assert "--overwrite" in error["hint"]
    assert stored(server) == {"a": 1}
    assert server.called("POST", "/uploadSessions") == [200]
    server.left_nothing()


def test_a_table_that_the_dataset_lacks_is_a_difference(push, server, file):
    push(file(a=1)).succeeded()
    outcome = push(f"wrong={file(a=1)}", "--dataset", "t")
    assert outcome.code == 3
    assert "no table 'wrong'" in outcome.error["message"]
    assert "TABLE=PATH" in outcome.error["hint"]


def test_some_tables_of_a_dataset_can_be_loaded_alone(push, server, file):
    push(file("one", a=1), file("two", a=1)).succeeded()
    push(file("two", b=2), "--dataset", "one").succeeded()
    assert stored(server, "one.one") == {"a": 1}
    assert stored(server, "one.two") == {"b": 2}


# -- uploaded, empty -------------------------------------------------------------------------------


def test_no_publish_uploads_and_publishes_nothing(push, command, server, file):
    push(file(a=1)).succeeded()
    result = push(file(b=2), "--no-publish").succeeded().json
    assert result["status"] == "uploaded"
    assert (result["rows"], result["chunks"]) == (1, 1)
    assert result["error"] is None
    assert stored(server) == {"a": 1}
    assert server.called("POST", "/publish") == [200]
    assert server.sessions == 1
    sent = len(server.chunks)

    again = command("resume", result["job"], "--json").succeeded().json
    assert (again["status"], again["job"]) == ("published", result["job"])
    assert (again["rows"], again["chunks"], again["wire_bytes"]) == (1, 1, 0)
    assert stored(server) == {"b": 2}
    assert len(server.chunks) == sent
    assert server.sessions == 0


def test_no_publish_into_a_new_dataset_keeps_it_for_the_publish(push, command, server, file):
    result = push(file(a=1), "--no-publish").succeeded().json
    assert result["dataset_id"] == server.datasets["t"]
    assert stored(server) == {}
    command("resume", "--json").succeeded()
    assert stored(server) == {"a": 1}


def test_no_publish_needs_no_source_any_more(push, command, server, file, tmp_path):
    push(file(a=1), "--no-publish").succeeded()
    for path in tmp_path.glob("*.parquet"):
        path.unlink()
    result = command("resume", "--json").succeeded().json
    assert (result["rows"], result["chunks"]) == (1, 1)
    assert stored(server) == {"a": 1}
    assert server.sessions == 0


def test_what_was_not_to_be_published_can_be_given_up(push, command, server, file):
    push(file(a=1), "--no-publish").succeeded()
    cancelled = command("cancel", "--json").succeeded().json
    assert (cancelled["session"], cancelled["dataset_deleted"]) == ("deleted", True)
    assert server.datasets == {}
    assert server.sessions == 0


def test_an_empty_source_never_wipes_a_dataset_unasked(push, server, file):
    push(file(a=1)).succeeded()
    logins = len(server.called("POST", "/login"))
    outcome = push(file())
    assert outcome.code == 3
    assert outcome.error["kind"] == "empty_source"
    assert "--allow-empty" in outcome.error["hint"]
    assert stored(server) == {"a": 1}
    # Parquet tells its rows in the footer: the server was not even asked.
    assert len(server.called("POST", "/login")) == logins
    server.left_nothing()


def test_an_empty_csv_file_never_wipes_a_dataset_unasked(push, server, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("k,v\na,1\n")
    push(path).succeeded()
    path.write_text("k,v\n")
    outcome = push(path, "--type", "k=STRING", "--type", "v=BIGINTEGER")
    assert outcome.code == 3
    assert outcome.error["kind"] == "empty_source"
    assert server.sql("SELECT count(*) FROM t.t") == [(1,)]
    server.left_nothing()


def test_one_empty_table_of_several_is_refused_too(push, server, file):
    push(file("one", a=1), file("two", a=1)).succeeded()
    outcome = push(file("one", b=2), file("two"))
    assert outcome.code == 3
    assert outcome.error["table"] == "two"
    assert stored(server, "one.one") == {"a": 1}


def test_allow_empty_empties_and_shows_what_the_server_said(push, server, file):
    push(file(a=1)).succeeded()
    result = push(file(), "--allow-empty").succeeded().json
    assert (result["status"], result["rows"], result["chunks"]) == ("published", 0, 0)
    assert any("status 1" in warning for warning in result["warnings"])
    assert stored(server) == {}
    assert server.called("PUT", "") == [200]
    server.left_nothing()


def test_projects_are_found_by_id_too(command, server, file):
    arguments = ["--url", server.url + "/api/", "--username", "Administrator"]
    command("push", file(a=1), *arguments, "--project", PROJECTS[3].id.lower()).succeeded()
    (dataset,) = server.emulator.catalogue
    assert dataset.project_id == PROJECTS[3].id


def test_two_pushes_at_once_into_one_dataset(command, serve, file):
    """The second one meets the first one's upload session: told so, and the first goes on."""
    refusals = []

    async def meanwhile(request):
        if request.method != "PUT" or "uploadSessions" not in request.path:
            return
        server.fault = None
        connection = loader.Connection(
            server.url,
            username="administrator",
            password=server.options.password,
            project="MicroStrategy Tutorial",
        )
        try:
            await asyncio.wait_for(loader.push(str(path), connection=connection), 20)
        except loader.LoaderError as error:
            refusals.append(error)

    server = serve()
    path = file(a=1)
    push = Push(command, server)
    push(path).succeeded()
    server.fault = meanwhile
    push(path).succeeded()
    (refusal,) = refusals
    assert refusal.exit_code == 5
    assert "upload session" in refusal.message
    assert refusal.hint
    assert stored(server) == {"a": 1}
    server.left_nothing()
