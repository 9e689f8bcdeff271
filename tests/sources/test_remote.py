"""URIs against real servers of this machine: S3 (moto) and HTTP with ranges."""

from __future__ import annotations

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loader.errors import LoaderError, SourceError, SourceNotFound, SourceUnreadable, UsageError
from loader.sources import SourceOptions, open_tables, redacted

pytest_plugins = ("tests.sources.servers",)

KEY = "AKIAexampleexample"
SECRET = "s3cr3t/with+signs"
TABLE = pa.table({"n": range(1000), "s": [f"text {n}" for n in range(1000)]})


def read(source, columns=None) -> pa.Table:
    return pa.Table.from_batches([b.data for b in source.batches(1 << 14, columns)])


def parquet(table: pa.Table = TABLE, **options) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **{"row_group_size": 100, **options})
    return sink.getvalue().to_pybytes()


def csv(table: pa.Table = TABLE) -> bytes:
    return ("n,s\n" + "".join(f"{r['n']},{r['s']}\n" for r in table.to_pylist())).encode()


def arrow(table: pa.Table = TABLE) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("name", "make"), [("x.parquet", parquet), ("x.csv", csv), ("x.arrow", arrow)]
)
def test_a_file_of_every_format(bucket, name, make):
    bucket.put(f"a b/{name}", make())
    source = open_tables(bucket.uri(f"a b/{name}"))["x"]
    assert list(source.origins) == [f"s3://bucket/a b/{name}"]
    assert source.rows == 1000
    assert source.rereadable
    for _ in range(2):
        assert read(source).equals(TABLE)
    assert read(source, ["s"]).equals(TABLE.select(["s"]))


def test_a_compressed_csv_file(bucket):
    packed = pa.compress(csv(), "gzip", asbytes=True)
    bucket.put("x.csv.gz", packed)
    assert read(open_tables(bucket.uri("x.csv.gz"))["x"]).equals(TABLE)


def test_the_endpoint_of_the_environment(bucket, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{bucket.address}")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    bucket.put("x.parquet", parquet())
    assert open_tables("s3://bucket/x.parquet")["x"].rows == 1000


@pytest.fixture
def partitioned(bucket):
    for year in (2023, 2024):
        for month in (1, 2):
            table = TABLE.slice((year - 2023) * 200 + month * 10, 5)
            bucket.put(f"t/year={year}/month={month}/a%20b.parquet", parquet(table))
    bucket.put("t/_SUCCESS", b"")
    bucket.put("t/year=2023/.hidden.parquet", b"x")
    bucket.put("t/_temporary/x.parquet", b"x")
    bucket.put("t/readme.txt", b"x")
    return bucket


def test_a_directory_with_partitions(partitioned):
    for path in ("t", "t/"):
        source = open_tables(partitioned.uri(path))["t"]
        assert [str(origin) for origin in source.origins] == [
            f"s3://bucket/t/year={year}/month={month}/a%20b.parquet"
            for year in (2023, 2024)
            for month in (1, 2)
        ]
        assert source.schema.names == ["n", "s", "year", "month"]
        assert source.rows == 20
    where = SourceOptions(where="year = 2024 AND month > 1 AND n > 221")
    source = open_tables(partitioned.uri("t"), where)["t"]
    assert len(source.origins) == 1
    rows = read(source, ["n", "month", "year"]).to_pylist()
    assert rows == [{"n": n, "month": 2, "year": 2024} for n in (222, 223, 224)]


@pytest.mark.parametrize(
    ("pattern", "files", "columns"),
    [
        ("t/*/*/*.parquet", 4, ["n", "s", "year", "month"]),
        ("t/**/*.parquet", 4, ["n", "s", "year", "month"]),
        ("t/year=202[3]/*/*", 2, ["n", "s", "year", "month"]),
        ("t/year=2024/*/*", 2, ["n", "s", "month"]),
        ("t/year=*/month=1", 2, ["n", "s", "year", "month"]),
        ("*/year=2024/month=2/*.parquet", 1, ["n", "s", "year", "month"]),
    ],
)
def test_globs(partitioned, pattern, files, columns):
    source = open_tables({"t": partitioned.uri(pattern)})["t"]
    assert len(source.origins) == files
    assert source.schema.names == columns


def test_a_glob_is_named_after_its_directory(partitioned):
    assert list(open_tables(partitioned.uri("t/year=2024/*/*.parquet"))) == ["year=2024"]


@pytest.mark.parametrize("path", ["no.parquet", "no/", "no/*.parquet", "t/*.csv", "t/month=*"])
def test_nothing_there(partitioned, path):
    with pytest.raises(SourceNotFound) as error:
        open_tables(partitioned.uri(path))
    assert error.value.details["file"] == f"s3://bucket/{path}"


def test_no_such_bucket(bucket):
    with pytest.raises(SourceNotFound, match=r"s3://other/x\.csv"):
        open_tables(bucket.uri("x.csv").replace("bucket", "other"))


def test_a_table_format_is_refused(bucket):
    bucket.put("t/_delta_log/0.json", b"{}")
    bucket.put("t/a.parquet", parquet())
    with pytest.raises(SourceError, match="Delta"):
        open_tables(bucket.uri("t"))


def test_the_same_file_twice(bucket):
    bucket.put("t/a.parquet", parquet())
    with pytest.raises(UsageError, match="twice"):
        open_tables([f"t={bucket.uri('t/a.parquet')}", f"t={bucket.uri('t')}"])


def test_a_file_that_changed(bucket):
    bucket.put("x.parquet", parquet())
    source = open_tables(bucket.uri("x.parquet"))["x"]
    bucket.put("x.parquet", parquet(TABLE.slice(1)))
    with pytest.raises(SourceUnreadable, match="changed"):
        read(source)


def test_a_file_that_is_gone(bucket):
    bucket.put("x.parquet", parquet())
    source = open_tables(bucket.uri("x.parquet"))["x"]
    bucket.client.delete_object(Bucket="bucket", Key="x.parquet")
    with pytest.raises(SourceNotFound):
        read(source)


def test_a_file_that_is_none(bucket):
    bucket.put("x.parquet", b"PAR1 and no more")
    with pytest.raises(SourceUnreadable, match=r"s3://bucket/x\.parquet"):
        open_tables(bucket.uri("x.parquet"))


@pytest.mark.slow
def test_many_footers_are_read_at_once(bucket):
    small = parquet(TABLE.slice(0, 1))
    for number in range(100):
        bucket.put(f"t/{number:03}.parquet", small)
    source = open_tables(bucket.uri("t"))["t"]
    assert source.rows == 100
    assert list(source.origins) == sorted(source.origins)


@pytest.mark.parametrize(
    ("name", "make"), [("x.parquet", parquet), ("x.csv", csv), ("x.arrow", arrow)]
)
def test_http(web, name, make):
    (web.root / name).write_bytes(make())
    source = open_tables(f"{web.url}/{name}?sig={SECRET}")["x"]
    assert list(source.origins) == [f"{web.url}/{name}"]
    assert source.rows == 1000
    assert read(source).equals(TABLE)
    assert all(f"sig={SECRET}" in request for request in web.handler.seen)


def test_http_reads_only_what_is_needed(web):
    wide = pa.table({f"c{i}": [f"{i} {n}" for n in range(20_000)] for i in range(20)})
    (web.root / "x.parquet").write_bytes(parquet(wide, use_dictionary=False, compression="none"))
    source = open_tables(f"{web.url}/x.parquet", SourceOptions(where="c3 = '3 17'"))["x"]
    web.handler.seen.clear()
    assert read(source, ["c5"]).to_pylist() == [{"c5": "5 17"}]
    asked = 0
    for request in web.handler.seen:
        first, _, last = request.rpartition("bytes=")[2].partition("-")
        asked += int(last) - int(first) + 1 if last else 0
    assert asked < (web.root / "x.parquet").stat().st_size / 4


def test_a_directory_over_http(web):
    for k in (1, 2):
        (web.root / f"t/k={k}").mkdir(parents=True)
        (web.root / f"t/k={k}/x.csv").write_bytes(csv(TABLE.slice(k, 1)))
    source = open_tables(f"{web.url}/t/")["t"]
    assert read(source, ["n", "k"]).to_pylist() == [{"n": 1, "k": 1}, {"n": 2, "k": 2}]
    source = open_tables({"t": f"{web.url}/t/*/*.csv"})["t"]
    assert read(source, ["n", "k"]).to_pylist() == [{"n": 1, "k": 1}, {"n": 2, "k": 2}]


def test_http_that_changed(web):
    (web.root / "x.csv").write_bytes(csv())
    source = open_tables(f"{web.url}/x.csv")["x"]
    (web.root / "x.csv").write_bytes(csv().replace(b"text", b"TEXT"))
    with pytest.raises(SourceUnreadable, match="changed"):
        read(source)


def test_http_without_ranges(web):
    web.handler.ranges = False
    (web.root / "x.csv").write_bytes(csv())
    (web.root / "x.parquet").write_bytes(parquet())
    assert read(open_tables(f"{web.url}/x.csv")["x"]).equals(TABLE)
    with pytest.raises(SourceUnreadable, match="only sends whole files"):
        open_tables(f"{web.url}/x.parquet")


@pytest.mark.parametrize(
    ("path", "kind", "word"),
    [("no.csv", SourceNotFound, "does not exist"), ("forbidden.csv", SourceUnreadable, "403")],
)
def test_http_that_refuses(web, path, kind, word):
    with pytest.raises(kind, match=word) as error:
        open_tables(f"{web.url}/{path}?sig={SECRET}")
    assert_nothing_told(error.value)


def test_a_server_that_is_not_there():
    with pytest.raises(SourceUnreadable, match="Cannot connect"):
        open_tables("http://127.0.0.1:1/x.csv")


def test_any_file_system_of_fsspec():
    memory = fsspec.filesystem("memory")
    memory.pipe("/t/k=1/x.parquet", parquet())
    try:
        source = open_tables("memory://t")["t"]
        assert source.rows == 1000
        assert read(source, ["n", "k"])["n"].equals(TABLE["n"])
    finally:
        memory.rm("/t", recursive=True)


@pytest.mark.parametrize(
    ("uri", "word", "hint"),
    [
        ("nothing://x/y.csv", "nothing://", "s3://"),
        ("sftp://me:hidden-word@host/x.csv", "paramiko", "sftp://"),
        ("abfs://container/x.csv", "account", "abfs://CONTAINER@ACCOUNT"),
        ("s3://bucket/x.csv?unknown_option=hidden-word", "cannot be used", "URI"),
    ],
)
def test_uris_that_cannot_be_used(uri, word, hint):
    with pytest.raises(UsageError, match=word) as error:
        open_tables(uri)
    assert hint in error.value.hint
    assert_nothing_told(error.value)


def assert_nothing_told(error: BaseException | None) -> None:
    """Checks an error and its causes for what must not be shown."""
    while error is not None:
        told = str(error)
        if isinstance(error, LoaderError):
            told += f"{error.hint} {error.details}"
        assert SECRET not in told
        assert KEY not in told
        assert "hidden-word" not in told
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def test_secrets_are_never_shown(bucket):
    user = f"{KEY}:{SECRET.replace('/', '%2F').replace('+', '%2B')}@"
    bucket.put("x.parquet", parquet())
    source = open_tables(bucket.uri("x.parquet", user))["x"]
    assert list(source.origins) == ["s3://***@bucket/x.parquet"]
    assert {batch.origin for batch in source.batches(1 << 20)} == {"s3://***@bucket/x.parquet"}
    for path in ("no.parquet", "x.parquet/*", "no/"):
        with pytest.raises(SourceError) as error:
            open_tables(bucket.uri(path, user))
        assert_nothing_told(error.value)


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("t=s3://a:b@bucket/x?secret_key=c", "t=s3://***@bucket/x"),
        ("https://token@host/x.csv", "https://***@host/x.csv"),
        ("https://host/x.csv?sig=1#f", "https://host/x.csv"),
        ("abfs://container@account.dfs.core.windows.net/x", None),
        ("s3://anonymous@bucket/x", None),
        ("a:b@c/x?y", None),
        ("t=dir/x.csv", None),
    ],
)
def test_redacted(source, shown):
    assert redacted(source) == (shown or source)
