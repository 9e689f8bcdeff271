"""What a job is, written down and read back, and nothing of it a secret."""

from __future__ import annotations

import dataclasses
import os
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.api import Connection, LoginMode
from loader.errors import SourceNotFound, UsageError
from loader.job import OnBadRow, UpdatePolicy, interpret, prepare
from loader.job.journal import Journal
from loader.job.journal.description import (
    ColumnRecord,
    JobDescription,
    ModelRecord,
    NamedSource,
    ServerRecord,
    TableRecord,
    from_json,
    to_json,
)
from loader.job.journal.fingerprint import FileFingerprint, TableFingerprint, changes, fingerprints
from loader.model import DataType
from loader.sources import open_tables

CONNECTION = Connection("https://example.com/Library", username="ada", password="x", project="P")


# -- JSON ------------------------------------------------------------------------------------------

# Names of files may hold bytes that are no text: lone surrogates in Python.
TEXTS = st.text(st.characters() | st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF))
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
PLAIN = st.none() | st.booleans() | NUMBERS | TEXTS
JSON = st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner))


def some(kind, **fields):
    return st.builds(kind, **fields)


def optional(strategy):
    return st.none() | strategy


FILES = some(
    FileFingerprint,
    path=TEXTS,
    size=optional(st.integers(0, 2**60)),
    version=optional(TEXTS),
    footer=optional(TEXTS),
)
DESCRIPTIONS = some(
    JobDescription,
    sources=st.tuples(
        some(NamedSource, text=TEXTS, table=optional(TEXTS), whole=st.booleans()),
    ),
    options=st.dictionaries(TEXTS, JSON),
    mapping=optional(TEXTS),
    server=some(
        ServerRecord,
        url=TEXTS,
        username=TEXTS,
        login_mode=TEXTS,
        project=optional(TEXTS),
        insecure=st.booleans(),
        proxy=optional(TEXTS),
        local=st.booleans(),
    ),
    model=some(
        ModelRecord,
        definition=st.dictionaries(TEXTS, JSON),
        tables=st.tuples(
            some(
                TableRecord,
                name=TEXTS,
                columns=st.tuples(
                    some(
                        ColumnRecord,
                        name=TEXTS,
                        source=TEXTS,
                        source_type=TEXTS,
                        arrow_type=TEXTS,
                        data_type=TEXTS,
                        role=TEXTS,
                        as_text=st.booleans(),
                        date_format=optional(TEXTS),
                    )
                ),
            )
        ),
    ),
    tables=st.tuples(
        some(
            TableFingerprint,
            table=TEXTS,
            rows=optional(st.integers(0, 2**60)),
            files=st.tuples(FILES),
            once=optional(TEXTS),
        )
    ),
)


@given(DESCRIPTIONS)
def test_it_is_read_back_as_it_was(description):
    text = to_json(description)
    assert text.isascii()
    assert from_json(text, JobDescription) == description


@pytest.mark.parametrize("text", ["", "{}", "[1]", "null", '{"sources": 3}'])
def test_what_is_no_description(text):
    with pytest.raises(ValueError):  # noqa: PT011 - its message is that of the JSON or type fault
        from_json(text, JobDescription)


# -- made of a load --------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"k": ["a", "b"], "v": [1, 2]}), path)
    return path


def described(sources, connection=CONNECTION, **options):
    prepared = prepare(sources, *interpret(options))
    return JobDescription.of(sources, options, connection, prepared)


def test_of_a_load(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tmp_path.joinpath("map.yaml").write_text("tables: {t: {columns: {v: {role: attribute}}}}\n")
    options = {
        "policy": UpdatePolicy.ADD,
        "table_policies": {"t": "upsert"},
        "types": {"v": DataType.STRING},
        "attributes": frozenset({"v", "k"}),
        "columns": ("k", "v"),
        "mapping": Path("map.yaml"),
        "on_bad_row": OnBadRow.QUARANTINE,
        "rejects_file": "rejects.ndjson",
        "max_bad_rows": "1%",
        "chunk_size": None,
        "where": "v > 0",
    }
    made = described(["t=t.parquet"], **options)
    assert made.sources == (NamedSource(f"t={tmp_path}/t.parquet"),)
    assert made.mapping == "tables: {t: {columns: {v: {role: attribute}}}}\n"
    assert made.options["mapping"] == str(tmp_path / "map.yaml")
    assert made.options["rejects_file"] == str(tmp_path / "rejects.ndjson")
    assert made.options["attributes"] == ["k", "v"]
    assert made.model.definition["name"] == "t"
    (table,) = made.model.tables
    assert [(one.name, one.data_type, one.role) for one in table.columns] == [
        ("k", "STRING", "attribute"),
        ("v", "STRING", "attribute"),
    ]
    assert from_json(to_json(made), JobDescription) == made
    # What was written down means the same settings.
    assert interpret(made.options)[0].policy is UpdatePolicy.ADD
    again, source_options = interpret(made.options)
    first, first_options = interpret({**options, "rejects_file": tmp_path / "rejects.ndjson"})
    assert dataclasses.replace(again, wishes=first.wishes) == first
    assert again.wishes.mapping.said == first.wishes.mapping.said
    assert source_options == first_options


def test_the_mapping_is_the_one_that_was_read(file, tmp_path):
    mapping = tmp_path / "map.yaml"
    mapping.write_text("dataset: {name: First}\n")
    options = {"mapping": mapping}
    prepared = prepare([str(file)], *interpret(options))
    mapping.write_text("dataset: {name: Second}\n")
    made = JobDescription.of([str(file)], options, CONNECTION, prepared)
    assert made.mapping == "dataset: {name: First}\n"


def test_a_list_and_a_mapping_are_named_again_as_they_were(file):
    assert described([f"t={file}"]).named() == [f"t={file}"]
    assert described(str(file)).named() == [str(file)]
    assert described({"a": file, "b": [file]}).named() == {"a": [str(file)], "b": [str(file)]}
    assert [*open_tables(described({"a": file}).named())] == ["a"]


def test_what_is_in_memory_cannot_be_read_again():
    made = described(pa.table({"k": ["a"]}))
    assert made.sources == (NamedSource("<arrow>", whole=False),)
    assert "memory" in made.once
    with pytest.raises(UsageError, match="cannot be read again"):
        made.named()


def test_a_pipe_cannot_be_read_again(tmp_path):
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_text("k,v\na,1\n"))
    writer.start()
    made = described([str(pipe)])
    writer.join(10)
    assert "pipe" in made.once


def test_uris_are_redacted_and_asked_again(file, monkeypatch):
    prepared = prepare([str(file)], *interpret({}))
    uri = "t=https://user:sesame@example.com/t.parquet?token=open"
    made = JobDescription.of([uri, str(file)], {}, CONNECTION, prepared)
    assert made.unnamed == ("t=https://***@example.com/t.parquet",)
    with pytest.raises(UsageError, match="named again"):
        made.named()
    assert "sesame" not in to_json(made)


# -- secrets ---------------------------------------------------------------------------------------

SECRETS = {
    "password": "MARKER-password",
    "client_key_password": "MARKER-key",
    "proxy": "http://MARKER-user:MARKER-secret@proxy.example.com:3128",
}


@pytest.mark.parametrize("mode", [LoginMode.STANDARD, LoginMode.API_TOKEN])
async def test_no_secret_is_written_down(file, tmp_path, mode):
    who = (
        {"username": "ada", "password": SECRETS["password"]}
        if mode is LoginMode.STANDARD
        else {"token": "MARKER-token"}
    )
    connection = Connection(
        "https://example.com/Library",
        **who,
        project="P",
        login_mode=mode,
        ca_bundle=tmp_path / "ca.pem",
        client_cert=tmp_path / "cert.pem",
        client_key=tmp_path / "key.pem",
        client_key_password=SECRETS["client_key_password"],
        proxy=SECRETS["proxy"],
    )
    # Every field is filled, so that a new one is thought of here.
    empty = {"username", "password", "token", "insecure"}
    for field in dataclasses.fields(Connection):
        assert getattr(connection, field.name) or field.name in empty, field.name
    uri = "s3://MARKER-key:MARKER-secret@bucket/t.parquet?session_token=MARKER-token"
    prepared = prepare([str(file)], *interpret({}))
    made = JobDescription.of([uri], {}, connection, prepared)
    assert made.server.proxy == "http://proxy.example.com:3128"
    assert made.server.proxy_login
    journal = await Journal.create(made, directory=tmp_path / "jobs")
    try:
        files = [path.read_bytes() for path in (tmp_path / "jobs").iterdir()]
    finally:
        await journal.close()
    files += [path.read_bytes() for path in (tmp_path / "jobs").iterdir()]
    assert any(b"proxy.example.com" in content for content in files)
    assert not any(b"MARKER" in content for content in files)


# -- fingerprints ----------------------------------------------------------------------------------


def look(*paths):
    prepared = prepare([str(path) for path in paths], *interpret({"dataset": "d"}))
    return fingerprints(prepared.tables)


def test_nothing_has_changed(file):
    assert changes(look(file), look(file)) == ()


def test_a_footer_tells_what_size_and_time_do_not(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"v": [1, 2]}), path)
    before, status = look(path), path.stat()
    pq.write_table(pa.table({"v": [3, 4]}), path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    assert changes(before, look(path)) == (f"{path} has changed: its footer",)


def test_a_file_that_grew(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("k\na\n")
    before = look(path)
    path.write_text("k\na\nb\n")
    os.utime(path, ns=(1, 1))
    assert changes(before, look(path)) == (f"{path} has changed: its size and its time or version",)


def test_files_that_come_and_go(tmp_path):
    for name in "abc":
        pc.write_csv(pa.table({"k": ["a"]}), tmp_path / f"{name}.csv")
    whole = f"t={tmp_path}"
    before = look(whole)
    (tmp_path / "a.csv").unlink()
    pc.write_csv(pa.table({"k": ["a"]}), tmp_path / "d.csv")
    assert changes(before, look(whole)) == (
        f"{tmp_path / 'a.csv'} is not there any more",
        f"{tmp_path / 'd.csv'} was not there before",
    )


def test_tables_that_come_and_go(file):
    assert changes(look(file), look(f"u={file}")) == (
        "table 't' is not there any more",
        "table 'u' was not there before",
    )


def test_files_in_another_order(file, tmp_path):
    other = tmp_path / "u.parquet"
    other.write_bytes(file.read_bytes())
    before, now = look(f"t={file}", f"t={other}"), look(f"t={other}", f"t={file}")
    assert changes(before, now) == ("the files of table 't' come in another order",)


def test_a_file_that_has_gone(file):
    prepared = prepare([str(file)], *interpret({}))
    file.unlink()
    with pytest.raises(SourceNotFound):
        fingerprints(prepared.tables)
