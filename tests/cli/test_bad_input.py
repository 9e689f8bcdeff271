"""Sources, logins and servers that cannot work: one message, a hint, the exit code, no traces."""

from __future__ import annotations

import datetime as dt
import re
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import trustme

from loader import Connection, LoaderError, push_sync
from tests.cli.harness import PASSWORD, PROJECT, USER, Command, Push, connection


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"k": ["a"], "v": [1]}), path)
    return path


def never_connected(server) -> None:
    """What is wrong with the source is found before the server is asked."""
    assert server.requests == []


def nothing_changed(server) -> None:
    assert server.datasets == {}
    server.left_nothing()


def truncated(path):
    good = path / "good.parquet"
    pq.write_table(pa.table({"k": [str(number) for number in range(1000)]}), good)
    bad = path / "bad.parquet"
    bad.write_bytes(good.read_bytes()[:-100])
    return bad


def text_file(name: str, text: str):
    def write(path):
        (path / name).write_text(text)
        return path / name

    return write


def parquet(**columns):
    def write(path):
        pq.write_table(pa.table(columns), path / "t.parquet")
        return path / "t.parquet"

    return write


def duplicated(path):
    columns = [pa.array([1]), pa.array([2])]
    pq.write_table(pa.Table.from_arrays(columns, names=["x", "x"]), path / "t.parquet")
    return path / "t.parquet"


def directory(path):
    (path / "empty").mkdir()
    return path / "empty"


@pytest.mark.parametrize(
    ("make", "arguments", "kind", "says"),
    [
        (lambda path: path / "absent.parquet", [], "source_not_found", ["absent.parquet"]),
        (lambda path: path / "*.parquet", [], "source_not_found", ["*.parquet"]),
        (directory, [], "source_not_found", ["empty"]),
        (text_file("t.parquet", "this is no Parquet"), [], "source_unreadable", ["t.parquet"]),
        (text_file("t.parquet", ""), [], "source_unreadable", ["t.parquet"]),
        (truncated, [], "source_unreadable", ["bad.parquet"]),
        (text_file("t.csv", ""), [], None, ["t.csv"]),
        (text_file("t.csv", "a,b\n1,2\n1,2,3\n"), [], None, ["t.csv", "row 2", "3 fields"]),
        (text_file("t.csv", "a,b\n1,2\n1\n"), [], None, ["t.csv", "row 2", "1 field"]),
        (text_file("t.csv", "a,a\n1,2\n"), [], "name", ["'a'"]),
        (text_file("t.csv", "a,b\n"), [], "empty_source", ["'t'"]),
        (duplicated, [], "name", ["'x'"]),
        (parquet(**{"a[b]": [1]}), [], "name", ["a[b]", "forbids"]),
        (parquet(**{'a"b': [1]}), [], "name", ['a"b']),
        (parquet(**{"x" * 251: [1]}), [], "name", ["251", "250"]),
        (parquet(k=pa.array([], pa.int64())), [], "empty_source", ["'t'"]),
        (parquet(b=[True]), ["--type", "b=DATE"], "unmappable_column", ["'b'", "DATE"]),
    ],
    ids=lambda value: None if callable(value) else "",
)
def test_a_source_that_cannot_be_loaded(  # noqa: PLR0917 - fixtures and cases
    push, server, tmp_path, make, arguments, kind, says
):
    outcome = push(make(tmp_path), *arguments)
    assert outcome.code == 3
    assert outcome.error["hint"], outcome
    if kind:
        assert outcome.error["kind"] == kind
    assert all(text in outcome.error["message"] for text in says), outcome
    never_connected(server)


def test_columns_that_cannot_be_mapped_are_named_with_what_mends_it(server):
    interval = pa.array([(1, 2, 3)], pa.month_day_nano_interval())
    with pytest.raises(LoaderError) as caught:
        push_sync(
            pa.table({"m": interval}),
            connection=Connection(server.url, username=USER, password=PASSWORD, project=PROJECT),
        )
    assert caught.value.exit_code == 3
    assert "'m'" in caught.value.message
    assert caught.value.hint
    never_connected(server)


@pytest.mark.parametrize("existing", [False, True], ids=["new", "existing"])
def test_a_value_that_does_not_fit_its_type(push, server, tmp_path, monkeypatch, existing):
    """The last row, after several chunks were accepted: all is undone."""
    # So little may be held that chunks must be accepted before the last row can be read.
    monkeypatch.setattr(sys.modules["loader.job.prepare"], "BATCH_BYTES", 50_000)
    rows = 100_000
    path = tmp_path / "t.csv"
    head = "k,n\n"
    if existing:
        path.write_text(f"{head}old,1\n")
        push(path).succeeded()
    path.write_text(head + "".join(f"key{n},{n}\n" for n in range(rows)) + "last,12x\n")

    arguments = ("--type", "n=BIGINTEGER", "--chunk-size", "30kB", "--concurrency", "2")
    too_small = push(path, *arguments, "--memory", "1MB")
    assert too_small.code == 2
    (fitting,) = re.findall(r"raise --memory to (\d+MB)", too_small.error["hint"])

    outcome = push(path, *arguments, "--memory", fitting)

    assert outcome.code == 3
    error = outcome.error
    assert error["kind"] == "bad_value"
    assert error["column"] == "n"
    assert error["row"] == rows + 1
    assert "t.csv" in error["message"]
    assert "12x" in error["message"]
    assert "--type n=STRING" in error["hint"]
    result = outcome.json
    assert result["status"] == "failed"
    assert result["chunks"] > 10
    assert result["rows"] > 0
    assert server.called("POST", "/publish") == ([200] if existing else [])
    if existing:
        assert server.sql("SELECT * FROM t.t") == [("old", 1)]
        assert result["dataset_id"] == server.datasets["t"]
    else:
        assert server.datasets == {}
        assert result["dataset_id"] is None
    server.left_nothing()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2024-02-30", "DATE"),
        ("25:00:00", "TIME"),
        ("yesterday", "DATETIME"),
        ("2147483648", "INTEGER"),
        ("1.5", "INTEGER"),
        ("maybe", "BOOL"),
        ("1,5", "DOUBLE"),
        ("1..5", "BIGDECIMAL"),
    ],
)
def test_each_type_refuses_what_it_cannot_hold(push, server, tmp_path, text, wanted):
    path = tmp_path / "t.csv"
    path.write_text(f'k,c\na,\nb,"{text}"\n')
    outcome = push(path, "--type", f"c={wanted}")
    assert outcome.code == 3
    assert outcome.error["kind"] == "bad_value"
    assert outcome.error["row"] == 2
    assert text in outcome.error["message"]
    assert "--type c=STRING" in outcome.error["hint"]
    nothing_changed(server)


def test_a_ragged_row_far_down_is_found_also_where_types_are_sampled(push, server, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("k,n\n" + "".join(f"key{n},{n}\n" for n in range(20_000)) + "a,1,surplus\n")
    for types in ("scan", "sample"):
        outcome = push(path, "--csv-types", types, "--chunk-size", "30kB")
        assert outcome.code == 3
        assert "t.csv" in outcome.error["message"]
        assert "20001" in outcome.error["message"].replace(",", "")
        assert outcome.error["hint"]
        nothing_changed(server)


def test_a_parquet_file_with_a_broken_page_fails_in_mid_load(push, server, tmp_path):
    path = tmp_path / "t.parquet"
    table = pa.table({"k": [f"key{n:06}" for n in range(40_000)]})
    pq.write_table(table, path, row_group_size=2000, compression="zstd", use_dictionary=False)
    data = bytearray(path.read_bytes())
    where = pq.ParquetFile(path).metadata.row_group(18).column(0).data_page_offset
    data[where : where + 400] = b"\xff" * 400
    path.write_bytes(data)
    # One sender: chunks are accepted while later ones are read.
    outcome = push(path, "--chunk-size", "50kB", "--concurrency", "1")
    assert outcome.code == 3
    assert outcome.error["kind"] == "source_unreadable"
    assert "t.parquet" in outcome.error["message"]
    assert outcome.json["chunks"] > 0
    nothing_changed(server)


def test_tables_that_disagree_about_a_shared_column(push, server, tmp_path):
    pq.write_table(pa.table({"id": [1]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"id": ["x"]}), tmp_path / "b.parquet")
    outcome = push(tmp_path / "a.parquet", tmp_path / "b.parquet")
    assert outcome.code == 3
    assert outcome.error["column"] == "id"
    assert "--type" in outcome.error["hint"]
    never_connected(server)


def test_files_of_one_table_with_other_columns(push, server, tmp_path):
    pq.write_table(pa.table({"id": [1]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"key": [1]}), tmp_path / "b.parquet")
    outcome = push(f"t={tmp_path}/*.parquet")
    assert outcome.code == 3
    assert "b.parquet" in outcome.error["message"] + str(outcome.error)
    never_connected(server)


def test_a_forbidden_dataset_name_is_found_before_the_server_is_asked(push, server, good):
    outcome = push(good, "--dataset", "a[b]")
    assert outcome.code == 3
    assert "a[b]" in outcome.error["message"]
    never_connected(server)


def test_a_forbidden_table_name_is_mended_with_table_path(push, server, tmp_path):
    path = tmp_path / "a[b].parquet"
    pq.write_table(pa.table({"k": [1]}), path)
    outcome = push(path)
    assert outcome.code == 3
    push(f"fine={path}").succeeded()
    assert server.sql("SELECT * FROM fine.fine") == [(1,)]


# -- the server ------------------------------------------------------------------------------------


def test_a_wrong_password(push, server, good, monkeypatch):
    monkeypatch.setenv("MSTR_PASSWORD", "planted-and-wrong")
    outcome = push(good)
    assert outcome.code == 4
    assert outcome.error["kind"] == "login"
    assert "password" in outcome.error["hint"]
    assert "planted" not in outcome.out + outcome.err
    assert server.called("POST", "/logout") == []
    nothing_changed(server)


def test_an_unknown_project_names_close_ones(command, server, good):
    url = ["--url", server.url, "--username", USER, "--json"]
    outcome = command("push", good, *url, "--project", "microstrategy tutorail")
    assert outcome.code == 2
    assert outcome.error["kind"] == "unknown_project"
    assert "'MicroStrategy Tutorial'" in outcome.error["hint"]
    nothing_changed(server)


def test_no_project_lists_those_there_are(command, server, good):
    outcome = command("push", good, "--url", server.url, "--username", USER, "--json")
    assert outcome.code == 2
    assert "--project" in outcome.error["hint"]
    assert "MicroStrategy Tutorial" in outcome.error["hint"]
    nothing_changed(server)


def test_nobody_listens(command, good, unused_tcp_port):
    url = f"http://127.0.0.1:{unused_tcp_port}/MicroStrategyLibrary"
    outcome = command("push", good, "--url", url, "--username", USER, "--project", "x", "--json")
    assert outcome.code == 5
    assert outcome.error["kind"] == "unreachable"
    assert "nothing listens" in outcome.error["message"]
    assert outcome.error["hint"]


def test_a_host_that_does_not_exist(command, good):
    url = "https://no-such-host.invalid/MicroStrategyLibrary"
    outcome = command("push", good, "--url", url, "--username", USER, "--project", "x", "--json")
    assert outcome.code == 5
    assert outcome.error["kind"] == "unreachable"
    assert "no-such-host.invalid" in outcome.error["message"]
    assert outcome.error["hint"]


@pytest.mark.parametrize("path", ["/WrongLibrary", "/MicroStrategyLibrary/app", ""])
def test_a_wrong_path_in_the_url(command, server, good, path):
    url = server.url.removesuffix("/MicroStrategyLibrary") + path
    outcome = command("push", good, "--url", url, "--username", USER, "--project", "x", "--json")
    if path == "":  # the emulator answers without its base, too: then the project is wrong
        assert outcome.code == 2
    else:
        assert outcome.code == 5
        assert "MicroStrategyLibrary" in outcome.error["hint"]
    nothing_changed(server)


@pytest.mark.parametrize(
    "url", ["mstr.example.com", "ftp://mstr.example.com/x", "https://", "https://user:pw@host/x"]
)
def test_urls_that_are_none(command, good, url):
    outcome = command("push", good, "--url", url, "--username", USER, "--json")
    assert outcome.code == 2
    assert outcome.error["kind"] == "usage"
    assert outcome.error["hint"]
    assert "pw@" not in outcome.out + outcome.err


@pytest.fixture
def tls(serve, tmp_path):
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    pem, bundle = tmp_path / "server.pem", tmp_path / "ca.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(str(pem))
    authority.cert_pem.write_to_path(str(bundle))
    return serve(tls_cert=pem), bundle


def test_a_certificate_that_is_not_trusted(command, tls, good, caplog):
    server, bundle = tls
    push = Push(command, server)
    outcome = push(good)
    assert outcome.code == 5
    assert "--ca-bundle" in outcome.error["hint"]
    assert "certificate" in outcome.error["message"]
    assert server.requests == []

    push(good, "--ca-bundle", bundle).succeeded()
    assert server.sql("SELECT * FROM t.t") == [("a", 1)]

    assert "anybody" not in caplog.text
    push(good, "--insecure").succeeded()
    assert "anybody" in caplog.text  # on stderr, where no test collects the log
    server.left_nothing()


def test_a_ca_bundle_that_is_none(push, server, good, tmp_path):
    outcome = push(good, "--ca-bundle", tmp_path / "absent.pem")
    # The URL says http: there is no certificate to check, and the option would be ignored.
    assert outcome.code == 2
    assert "--ca-bundle" in outcome.error["message"] + outcome.error["hint"]


def test_https_where_the_server_speaks_http(command, server, good):
    url = server.url.replace("http:", "https:")
    outcome = command("push", good, "--url", url, "--username", USER, "--project", "x", "--json")
    assert outcome.code == 5
    assert "http" in outcome.error["hint"]


def test_http_where_the_server_speaks_https(command, tls, good):
    server, _ = tls
    url = server.url.replace("https:", "http:")
    outcome = command("push", good, "--url", url, "--username", USER, "--project", "x", "--json")
    assert outcome.code == 5
    assert "https" in outcome.error["hint"]


def test_a_password_that_nobody_gave(command: Command, server, good, monkeypatch):
    monkeypatch.delenv("MSTR_PASSWORD")
    outcome = command("push", good, *connection(server), "--json")
    assert outcome.code == 2
    assert "MSTR_PASSWORD" in outcome.error["hint"]
    assert "--password-file" in outcome.error["hint"]
    assert server.requests == []


def test_a_password_from_a_file_and_from_a_command(push, server, good, tmp_path, monkeypatch):
    monkeypatch.delenv("MSTR_PASSWORD")
    secret = tmp_path / "secret"
    secret.write_text(f"{PASSWORD}\n")
    push(good, "--password-file", secret).succeeded()
    push(good, "--password-command", f"cat {secret}").succeeded()

    outcome = push(good, "--password-file", secret, "--password-command", "true")
    assert outcome.code == 2
    outcome = push(good, "--password-file", tmp_path / "absent")
    assert (outcome.code, "absent" in outcome.error["message"]) == (2, True)
    outcome = push(good, "--password-command", "false")
    assert outcome.code == 2
    assert outcome.error["hint"]
    outcome = push(good, "--password-command", "no-such-command-here")
    assert outcome.code == 2
    assert outcome.error["hint"]


def test_profiles(command, server, good, tmp_path, monkeypatch):
    monkeypatch.delenv("MSTR_PASSWORD")
    secret = tmp_path / "secret"
    secret.write_text(PASSWORD)
    (tmp_path / "config.toml").write_text(
        f'[profiles.here]\nurl = "{server.url}"\nusername = "{USER}"\nproject = "{PROJECT}"\n'
        f'password_file = "{secret}"\n[profiles.leaky]\npassword = "planted-secret"\n'
    )
    command("push", good, "--profile", "here", "--json").succeeded()
    outcome = command("push", good, "--profile", "there", "--json")
    assert outcome.code == 2
    assert "here" in outcome.error["hint"]
    outcome = command("push", good, "--profile", "leaky", "--json")
    assert outcome.code == 2
    assert "password" in outcome.error["hint"]
    assert "planted" not in outcome.out + outcome.err


def test_dates_and_other_things_still_load_after_all_this(push, server, tmp_path):
    """The server is as usable after failures as before."""
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"day": [dt.date(2024, 1, 1)], "v": [1]}), path)
    assert push(path, "--type", "v=DATE").code == 3
    assert push(path, "--dataset-id", "nonsense").code == 2
    push(path).succeeded()
    assert server.sql("SELECT * FROM t.t") == [(dt.date(2024, 1, 1), 1)]
    server.left_nothing()


def test_a_row_wider_than_the_memory_is_refused_before_it_is_encoded(push, tmp_path):
    path = tmp_path / "t.parquet"
    texts = ["a", "b" * 100_000_000, "c"]
    pq.write_table(pa.table({"k": texts}), path, row_group_size=1)
    outcome = push(path, "--memory", "500MB", "--chunk-size", "1MB")
    assert outcome.code == 3
    assert outcome.json["error"]["row"] == 2
    assert "--memory" in outcome.json["error"]["hint"]
    nothing_changed(push.server)
