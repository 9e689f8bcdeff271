"""Loads that succeed: what is stored is what an independent reader finds in the files."""

from __future__ import annotations

import asyncio
import base64
import csv
import datetime as dt
import decimal
import json
import uuid

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loader.emulator.process import EmulatorProcess
from tests.cli.harness import PASSWORD, PROJECT, USER, Push, RecordingStore

ORIENTATIONS = pytest.mark.parametrize("orientation", ["column", "row"])

ROWS = 6000


def wide(rows: int = ROWS) -> pa.Table:
    """A table of some hundred kilobytes of JSON, with nulls and every shape of common values."""
    day = dt.date(1970, 1, 1)
    return pa.table(
        {
            "key": pa.array([f"key-{number:07}" for number in range(rows)]),
            "amount": pa.array([number * 0.37 - 5 for number in range(rows)]),
            "count": pa.array([None if number % 7 == 0 else number for number in range(rows)]),
            "day": pa.array([day + dt.timedelta(days=number) for number in range(rows)]),
            "note": pa.array([None if number % 3 else f'ü"\\\n{number}' for number in range(rows)]),
            "price": pa.array(
                [decimal.Decimal(number) / 100 for number in range(rows)], pa.decimal128(30, 2)
            ),
        }
    )


def same_as_parquet(server, table: str, pattern) -> None:
    """Both differences between the stored table and DuckDB's own reading are empty."""
    file = f"read_parquet('{pattern}', hive_partitioning=false)"
    assert server.sql(f"SELECT count(*) FROM {table}")[0][0] > 0
    assert server.sql(f"SELECT * FROM {table} EXCEPT ALL SELECT * FROM {file}") == []
    assert server.sql(f"SELECT * FROM {file} EXCEPT ALL SELECT * FROM {table}") == []


@ORIENTATIONS
def test_a_parquet_file_arrives_as_duckdb_reads_it(push, server, tmp_path, orientation):
    file = tmp_path / "sales.parquet"
    pq.write_table(wide(), file, row_group_size=1700)

    result = push(file, "--orientation", orientation).succeeded().json

    same_as_parquet(server, "sales.sales", file)
    assert list(result) == [
        *("status", "dataset_id", "dataset", "job", "tables", "rows", "chunks", "json_bytes"),
        *("wire_bytes", "seconds", "retries", "warnings", "error"),
    ]
    assert result["status"] == "published"
    assert result["dataset"] == "sales"
    assert result["dataset_id"] == server.datasets["sales"]
    assert result["rows"] == ROWS
    assert result["chunks"] == 1
    assert result["wire_bytes"] == -(-result["json_bytes"] // 3) * 4
    assert result["retries"] == 0
    assert result["warnings"] == []
    assert result["error"] is None
    assert result["tables"] == [
        {
            "name": "sales",
            "rows": ROWS,
            "chunks": 1,
            "json_bytes": result["json_bytes"],
            "rejected": 0,
        }
    ]
    server.left_nothing()


@ORIENTATIONS
def test_a_csv_file_arrives_as_python_reads_it(push, server, tmp_path, orientation):
    file = tmp_path / "sales.csv"
    texts = [["id", "name", "amount"]]
    texts += [[str(n), f'n "{n}"\nline, two' if n % 5 else "ä", f"{n}.25"] for n in range(2000)]
    with file.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows(texts)

    result = push(file, "--orientation", orientation, "--attribute", "id").succeeded().json

    with file.open(newline="", encoding="utf-8") as back:
        expected = [(int(row["id"]), row["name"], row["amount"]) for row in csv.DictReader(back)]
    stored = server.sql("SELECT id, name, CAST(amount AS VARCHAR) FROM sales.sales ORDER BY id")
    assert stored == expected
    assert result["rows"] == len(expected)
    server.left_nothing()


def test_a_csv_column_that_changes_its_type_late_still_loads(push, server, tmp_path):
    file = tmp_path / "late.csv"
    file.write_text("k,v\n" + "".join(f"a{n},{n}\n" for n in range(30_000)) + "z,n/a\n")
    push(file).succeeded()
    assert server.sql("SELECT v FROM late.late WHERE k IN ('a7', 'z') ORDER BY k") == [
        ("7",),
        ("n/a",),
    ]


def test_directories_globs_and_named_tables(push, server, tmp_path):
    lines, extra = tmp_path / "lines", tmp_path / "extra"
    lines.mkdir()
    extra.mkdir()
    table = wide(900)
    for number in range(3):
        pq.write_table(table.slice(number * 300, 300), lines / f"{number}.parquet")
    pq.write_table(table.slice(0, 10), extra / "more.parquet")

    push(lines).succeeded()
    same_as_parquet(server, "lines.lines", lines / "*.parquet")

    push(f"globbed={lines}/[01].parquet").succeeded()
    same_as_parquet(server, "globbed.globbed", lines / "[01].parquet")

    # Several sources of one table add up, in the order of the command line.
    result = push(f"both={extra / 'more.parquet'}", f"both={lines}", "--dataset", "Two").succeeded()
    assert result.json["tables"] == [{**result.json["tables"][0], "name": "both", "rows": 910}]
    assert server.sql('SELECT count(*), count(DISTINCT key) FROM "Two".both') == [(910, 900)]


@ORIENTATIONS
def test_several_tables_are_one_dataset_with_shared_attributes(push, server, tmp_path, orientation):
    pq.write_table(
        pa.table({"customer": ["ann", "bob"], "city": ["Rome", "Oslo"]}), tmp_path / "c.parquet"
    )
    (tmp_path / "orders.csv").write_text("customer,total\nann,1.5\nbob,2.5\nann,3.5\n")

    result = push(
        *(f"customers={tmp_path}/c.parquet", f"orders={tmp_path}/orders.csv"),
        *("--dataset", "Shop", "--orientation", orientation),
    ).succeeded()

    assert [table["name"] for table in result.json["tables"]] == ["customers", "orders"]
    joined = 'SELECT city, sum(total) FROM "Shop".customers JOIN "Shop".orders USING (customer)'
    assert server.sql(f"{joined} GROUP BY ALL ORDER BY ALL") == [("Oslo", 2.5), ("Rome", 5.0)]
    (dataset,) = server.emulator.catalogue
    attributes = {item["name"]: item for item in dataset.definition["attributes"]}
    tables = [
        expression["tableName"]
        for expression in attributes["customer"]["attributeForms"][0]["expressions"]
    ]
    assert tables == ["customers", "orders"]
    server.left_nothing()


def test_the_dataset_is_named_after_the_first_table(push, server, tmp_path):
    for name in ("b", "a"):
        pq.write_table(pa.table({"k": ["x"]}), tmp_path / f"{name}.parquet")
    result = push(tmp_path / "b.parquet", tmp_path / "a.parquet").succeeded().json
    assert result["dataset"] == "b"
    assert list(server.datasets) == ["b"]


UUID = uuid.UUID("12345678-1234-5678-1234-567812345678")
WHEN = dt.datetime(2024, 2, 29, 23, 59, 58, 123456)
BIG = decimal.Decimal("12345678901234567890123456789012345678.90")

# Arrow column -> its dataType, and its stored values as DuckDB gives them.
TYPES = {
    "i8": (pa.array([-128, 127, None], pa.int8()), "INTEGER", [-128, 127, None]),
    "i16": (pa.array([-32768, 32767, None], pa.int16()), "INTEGER", [-32768, 32767, None]),
    "i32": (pa.array([-(2**31), 2**31 - 1, None], pa.int32()), "INTEGER", None),
    "i64": (pa.array([-(2**63), 2**63 - 1, None], pa.int64()), "BIGINTEGER", None),
    "u8": (pa.array([0, 255, None], pa.uint8()), "INTEGER", None),
    "u16": (pa.array([0, 65535, None], pa.uint16()), "INTEGER", None),
    "u32": (pa.array([0, 2**32 - 1, None], pa.uint32()), "BIGINTEGER", None),
    "u64": (
        pa.array([0, 2**64 - 1, None], pa.uint64()),
        "BIGDECIMAL",
        [decimal.Decimal(0), decimal.Decimal(2**64 - 1), None],
    ),
    "f32": (pa.array([0.1, -1e-11, None], pa.float32()), "DOUBLE", [0.1, -1e-11, None]),
    "f64": (pa.array([0.1, 1e-300, None], pa.float64()), "DOUBLE", None),
    "dec": (
        pa.array([decimal.Decimal("0.10"), decimal.Decimal("-99.99"), None], pa.decimal128(9, 2)),
        "BIGDECIMAL",
        None,
    ),
    "dec256": (
        # copy_negate: a minus sign would round to the context's 28 digits.
        pa.array([BIG, BIG.copy_negate(), None], pa.decimal256(60, 2)),
        "BIGDECIMAL",
        [f"{BIG}", f"-{BIG}", None],
    ),
    "flag": (pa.array([True, False, None]), "BOOL", None),
    "d32": (pa.array([dt.date(2024, 2, 29), dt.date(1, 1, 1), None]), "DATE", None),
    "d64": (
        pa.array([dt.date(2024, 2, 29), dt.date(1969, 12, 31), None], pa.date64()),
        "DATE",
        None,
    ),
    "t32": (pa.array([dt.time(1, 2, 3), dt.time(0), None], pa.time32("ms")), "TIME", None),
    "t64": (pa.array([dt.time(1, 2, 3, 4), dt.time(23), None], pa.time64("us")), "TIME", None),
    "ts_s": (
        pa.array([WHEN.replace(microsecond=0), dt.datetime(1969, 1, 1), None], pa.timestamp("s")),
        "DATETIME",
        None,
    ),
    "ts_us": (
        pa.array([WHEN, dt.datetime(1900, 1, 1), None], pa.timestamp("us")),
        "DATETIME",
        None,
    ),
    "ts_tz": (
        pa.array([WHEN, WHEN, None], pa.timestamp("us", "Europe/Berlin")),
        "DATETIME",
        [WHEN, WHEN, None],
    ),
    "text": (pa.array(["", 'a"\\\u2028\U0001f600', None]), "STRING", None),
    "large": (pa.array(["x", "y", None], pa.large_string()), "STRING", None),
    "dict": (pa.array(["x", "y", None]).dictionary_encode(), "STRING", ["x", "y", None]),
    "bin": (
        pa.array([b"\x00\xff", b"", None]),
        "STRING",
        [base64.b64encode(b"\x00\xff").decode(), "", None],
    ),
    "fixed": (
        pa.array([b"abcd", b"\x00\x01\x02\x03", None], pa.binary(4)),
        "STRING",
        ["YWJjZA==", "AAECAw==", None],
    ),
    "list": (pa.array([[1, None], [], None], pa.list_(pa.int32())), "STRING", "json"),
    "struct": (
        pa.array(
            [{"a": 1, "b": "x"}, {"a": None, "b": "y"}, None],
            pa.struct([("a", pa.int64()), ("b", pa.string())]),
        ),
        "STRING",
        "json",
    ),
    "uuid": (
        pa.array([UUID.bytes, UUID.bytes, None], pa.uuid()),
        "STRING",
        [str(UUID), str(UUID), None],
    ),
    "duration": (pa.array([1, -5, None], pa.duration("ms")), "BIGINTEGER", [1, -5, None]),
    "nothing": (pa.nulls(3), "STRING", [None, None, None]),
}


@ORIENTATIONS
def test_every_type_that_parquet_holds(push, server, tmp_path, orientation):
    file = tmp_path / "types.parquet"
    pq.write_table(pa.table({name: array for name, (array, *_) in TYPES.items()}), file)

    push(file, "--orientation", orientation).succeeded()

    (dataset,) = server.emulator.catalogue
    (table,) = dataset.definition["tables"]
    told = {column["name"]: column["dataType"] for column in table["columnHeaders"]}
    assert told == {name: data_type for name, (_, data_type, _) in TYPES.items()}
    for name, (array, _, expected) in TYPES.items():
        stored = [row[0] for row in server.sql(f'SELECT "{name}" FROM types.types')]
        if expected == "json":
            stored = [value and json.loads(value) for value in stored]
        given = array.to_pylist() if expected is None or expected == "json" else expected
        assert stored == given, name


def test_nanoseconds_are_not_lost(push, server, tmp_path):
    file = tmp_path / "ns.parquet"
    pq.write_table(pa.table({"moment": pa.array([1, 10**18 + 7], pa.timestamp("ns"))}), file)
    push(file).succeeded()
    stored = server.sql("SELECT epoch_ns(CAST(moment AS TIMESTAMP_NS)) FROM ns.ns")
    assert stored == [(1,), (10**18 + 7,)]


def test_nan_and_infinities_become_null_and_are_counted(push, server, tmp_path):
    file = tmp_path / "odd.parquet"
    pq.write_table(pa.table({"v": [1.0, float("nan"), float("inf"), -float("inf")]}), file)
    result = push(file).succeeded().json
    (warning,) = result["warnings"]
    assert "'odd'" in warning
    assert "'v'" in warning
    assert "3 NaN or infinite" in warning
    assert server.sql("SELECT v FROM odd.odd") == [(1.0,), (None,), (None,), (None,)]


# -- several chunks --------------------------------------------------------------------------------


class TwoAtOnce:
    """Lets the first PUT wait until a second one has arrived: proof that they run at once."""

    def __init__(self) -> None:
        self.waiting = 0
        self.both: asyncio.Event | None = None

    async def __call__(self, request):
        if request.method == "PUT" and "uploadSessions" in request.path:
            self.both = self.both or asyncio.Event()
            self.waiting += 1
            if self.waiting > 1:
                self.both.set()
            await asyncio.wait_for(self.both.wait(), 20)


@ORIENTATIONS
def test_chunks_are_numbered_from_1_for_each_table_and_sent_concurrently(
    push, server, tmp_path, orientation
):
    for name in ("first", "second"):
        pq.write_table(wide(), tmp_path / f"{name}.parquet", row_group_size=1000)
    server.fault = TwoAtOnce()

    result = push(
        *(tmp_path / "first.parquet", tmp_path / "second.parquet"),
        *("--orientation", orientation, "--chunk-size", "80kB", "--concurrency", "4"),
    ).succeeded()

    for table in result.json["tables"]:
        indices = sorted(index for name, index, _ in server.chunks if name == table["name"])
        assert len(indices) > 2
        assert indices == list(range(1, table["chunks"] + 1))
        same_as_parquet(server, f"first.{table['name']}", tmp_path / f"{table['name']}.parquet")
    assert server.most_puts > 1
    assert server.most_puts <= 4
    assert result.json["rows"] == 2 * ROWS
    assert result.json["chunks"] == len(server.chunks)
    (warning,) = result.json["warnings"]
    assert warning == "chunks of 80 kB are outside the documented 50 to 200 MB"
    server.left_nothing()


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        (["--ordering", "free"], {"order": "free"}),
        (["--ordering", "windowed", "--window", "4"], {"order": "window", "window": 4}),
        (["--concurrency", "2"], {"order": "window", "window": 4}),
        (["--ordering", "strict"], {"order": "strict", "parallel": False}),
        (["--concurrency", "1"], {"order": "strict", "parallel": False}),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, list) else None,
)
def test_each_ordering_satisfies_the_server_that_asks_for_it(
    command, serve, tmp_path, options, settings
):
    server = serve(**settings)
    file = tmp_path / "t.parquet"
    pq.write_table(wide(), file)
    result = Push(command, server)(file, "--chunk-size", "60kB", *options).succeeded().json
    assert result["chunks"] > 4
    assert result["retries"] == 0
    same_as_parquet(server, "t.t", file)
    if not settings.get("parallel", True):
        assert server.most_puts == 1
        assert [index for _, index, _ in server.chunks] == list(range(1, result["chunks"] + 1))
    server.left_nothing()


def test_a_window_is_never_left(command, serve, tmp_path):
    """The first chunk is held back: exactly the window's others may pass it."""
    passed: list[int] = []
    enough = None

    class Watching(RecordingStore):
        def stage(self, session_id, table, index, data, *, append=False):
            super().stage(session_id, table, index, data, append=append)
            passed.append(index)

    async def hold_the_first(request):
        nonlocal enough
        if request.method != "PUT" or "uploadSessions" not in request.path:
            return
        enough = enough or asyncio.Event()
        first = not hold_the_first.seen
        hold_the_first.seen = True
        if first:
            # Nothing may go beyond index 3, so three PUTs are all that can be under way.
            await asyncio.wait_for(enough.wait(), 20)
        else:
            hold_the_first.others += 1
            if hold_the_first.others == 2:
                enough.set()

    hold_the_first.seen = False
    hold_the_first.others = 0
    server = serve(archive=Watching(), fault=hold_the_first, order="window", window=3)
    file = tmp_path / "t.parquet"
    pq.write_table(wide(), file)
    arguments = ("--chunk-size", "40kB", "--window", "3", "--concurrency", "8")
    Push(command, server)(file, *arguments).succeeded()
    assert server.most_puts <= 3
    same_as_parquet(server, "t.t", file)


# -- kept on disk, in a process of its own ---------------------------------------------------------


@pytest.mark.slow
@ORIENTATIONS
def test_the_stored_file_can_be_read_after_the_server_ended(
    command, tmp_path, orientation, monkeypatch
):
    file = tmp_path / "kept.parquet"
    pq.write_table(wide(), file)
    environment = {"MSTR_EMULATOR_PASSWORD": PASSWORD}
    with EmulatorProcess("--data", str(tmp_path / "db"), env=environment) as server:
        monkeypatch.setenv("MSTR_URL", server.url)
        monkeypatch.setenv("MSTR_USERNAME", USER)
        monkeypatch.setenv("MSTR_PROJECT", PROJECT)
        options = ("--orientation", orientation, "--chunk-size", "100kB")
        result = command("push", file, *options, "--json").succeeded().json
    assert result["chunks"] > 2
    with duckdb.connect(str(tmp_path / "db" / "emulator.duckdb"), read_only=True) as database:
        for one, other in (("kept.kept", f"'{file}'"), (f"'{file}'", "kept.kept")):
            left = database.execute(f"SELECT * FROM {one} EXCEPT ALL SELECT * FROM {other}")
            assert left.fetchall() == []
        assert database.execute("SELECT count(*) FROM kept.kept").fetchall() == [(ROWS,)]
