"""What the store keeps: types, names, chunks, documents, and across restarts."""

from __future__ import annotations

import datetime as dt
import threading
from decimal import Decimal

import duckdb
import pyarrow as pa
import pytest

from loader.emulator.decode import decode
from loader.emulator.definitions import Column, DataType, Orientation, Policy, Table
from loader.emulator.names import DATABASE, RESERVED_SCHEMAS
from loader.emulator.store import PublishRefused, Store
from loader.errors import UsageError

REPLACE = Policy.REPLACE


def table(name="t", key=(), **types):
    columns = tuple(Column(column, DataType(type_)) for column, type_ in types.items())
    return Table(name, "0" * 32, columns, tuple(key))


def chunk(of, *columns):
    """A chunk as the decoder makes it, from the JSON text of each column."""
    return decode(f"[{','.join(columns)}]".encode(), of.columns, Orientation.COLUMN)


@pytest.fixture
def store():
    with Store(None) as store:
        yield store


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / DATABASE


def open_store(path):
    path.parent.mkdir(exist_ok=True)
    return Store(path)


def push(store, of, *chunks, policy=REPLACE, dataset="D"):
    for index, data in enumerate(chunks, 1):
        store.stage("S", of, index, data)
    return store.publish(dataset, "S", {of.name: policy})


def rows(store, sql='SELECT * FROM "s"."t"'):
    with store._cursor() as cursor:
        return cursor.execute(sql).fetchall()


def staged(store, session):
    """What waits for its publish: (table, index, rows), by table and index."""
    query = (
        "SELECT table_name, chunk_index, list(file) FROM mstr_emulator.chunks"
        f" WHERE session_id = '{session}' GROUP BY ALL ORDER BY ALL"
    )
    return [
        (name, index, sum(store._files.read(file).read_all().num_rows for file in files))
        for name, index, files in rows(store, query)
    ]


def types(store, name='"s"."t"'):
    return [row[1] for row in rows(store, f"DESCRIBE {name}")]


EVERY = table(
    a="STRING",
    b="INTEGER",
    c="BIGINTEGER",
    d="BOOL",
    e="DOUBLE",
    f="BIGDECIMAL",
    g="DATE",
    h="TIME",
    i="DATETIME",
)


def test_a_row_of_every_type(store):
    store.define("D", "s", [EVERY])
    expected = ["VARCHAR", "INTEGER", "BIGINT", "BOOLEAN", "DOUBLE"]
    expected += ["DECIMAL(38,0)", "DATE", "TIME", "TIMESTAMP"]
    assert types(store) == expected
    data = chunk(
        EVERY,
        '["é\\u0000",null]',
        "[-2147483648,null]",
        "[9223372036854775807,null]",
        "[true,null]",
        "[5e-324,null]",
        "[-12345678901234567890123456789012.345678,null]",
        '["0001-01-01",null]',
        '["23:59:59.999999",null]',
        '["9999-12-31T23:59:59.999999",null]',
    )
    assert push(store, EVERY, data) == {"t": 2}
    assert types(store) == [*expected[:5], "DECIMAL(38,6)", *expected[6:]]
    assert rows(store) == [
        (
            "é\0",
            -(2**31),
            2**63 - 1,
            True,
            5e-324,
            Decimal("-12345678901234567890123456789012.345678"),
            dt.date.min,
            dt.time.max,
            dt.datetime.fromisoformat("9999-12-31 23:59:59.999999"),
        ),
        (None,) * 9,
    ]


@pytest.mark.parametrize(
    ("data_type", "first", "second", "sql_type", "texts"),
    [
        ("BIGDECIMAL", "[1.5]", "[2.125]", "DECIMAL(38,3)", ["1.500", "2.125"]),
        ("BIGDECIMAL", "[1.5]", f"[{'9' * 38}]", "VARCHAR", ["1.5", "9" * 38]),
        ("BIGDECIMAL", f"[{'9' * 39}]", "[1.5]", "VARCHAR", ["9" * 39, "1.5"]),
        ("BIGDECIMAL", f"[{'9' * 30}]", f"[0.{'1' * 9}]", "VARCHAR", ["9" * 30, f"0.{'1' * 9}"]),
        ("BIGDECIMAL", "[null]", "[1.5]", "DECIMAL(38,1)", [None, "1.5"]),
        ("TIME", '["11:00:00"]', '["11:00:00.5"]', "TIME", ["11:00:00", "11:00:00.5"]),
        (
            "TIME",
            '["11:00:00.5"]',
            '["11:00:00.000000001"]',
            "VARCHAR",
            ["11:00:00.5", "11:00:00.000000001"],
        ),
        (
            "DATETIME",
            '["1700-01-01T00:00:00.5"]',
            '["2017-12-05T11:00:00.123456789"]',
            "TIMESTAMP_NS",
            ["1700-01-01 00:00:00.5", "2017-12-05 11:00:00.123456789"],
        ),
        (
            "DATETIME",
            '["1500-01-01"]',
            '["2017-12-05T11:00:00.123456789"]',
            "VARCHAR",
            ["1500-01-01 00:00:00", "2017-12-05 11:00:00.123456789"],
        ),
        (
            "DATETIME",
            '["2017-12-05T11:00:00.123456789"]',
            '["9999-12-31"]',
            "VARCHAR",
            ["2017-12-05 11:00:00.123456789", "9999-12-31 00:00:00"],
        ),
    ],
)
@pytest.mark.parametrize("at_once", [True, False], ids=["two chunks", "two publishes"])
def test_types_widen_to_hold_every_value(  # noqa: PLR0917 - parameters by name
    store, data_type, first, second, sql_type, texts, at_once
):
    t = table(x=data_type)
    store.define("D", "s", [t])
    narrow = types(store)
    if at_once:
        push(store, t, chunk(t, first), chunk(t, second))
    else:
        push(store, t, chunk(t, first))
        push(store, t, chunk(t, second), policy=Policy.ADD)
    assert types(store) == [sql_type]
    assert [row[0] for row in rows(store, "SELECT CAST(x AS VARCHAR) FROM s.t")] == texts
    push(store, t, chunk(t, "[null]"))  # a replaced table starts anew
    assert types(store) == narrow


def test_chunks_come_in_the_order_of_their_indices(store):
    t = table(n="INTEGER")
    store.define("D", "s", [t])
    for index in (10, 2, 1):
        store.stage("S", t, index, chunk(t, f"[{index},{index + 100}]"))
    store.stage("S", t, 2, chunk(t, "[3]"), append=True)
    store.stage("S", t, 1, chunk(t, "[0]"))
    assert staged(store, "S") == [("t", 1, 1), ("t", 2, 3), ("t", 10, 2)]
    store.publish("D", "S", {"t": REPLACE})
    assert [n for (n,) in rows(store)] == [0, 2, 102, 3, 10, 110]
    assert staged(store, "S") == []


def test_order_within_large_chunks(store):
    t = table(n="INTEGER")
    store.define("D", "s", [t])
    numbers = pa.table({"n": pa.array(range(400_000), pa.int32())})
    push(store, t, numbers, numbers)
    assert rows(store, "SELECT count(*) FROM s.t WHERE n = rowid % 400000") == [(800_000,)]


def test_columns_in_another_order_and_some_left_out(store):
    t = table(a="INTEGER", b="STRING", c="BOOL")
    store.define("D", "s", [t])
    push(store, t, pa.table({"b": ["x"], "a": pa.array([1], pa.int32())}))
    assert rows(store) == [(1, "x", None)]


@pytest.mark.parametrize("names", [["x"], ["a", "a"]])
def test_columns_that_do_not_belong(store, names):
    t = table(a="INTEGER")
    with pytest.raises(ValueError, match="a chunk for table 't' has column"):
        store.stage("S", t, 1, pa.table([pa.array([1], pa.int32())] * len(names), names))


def test_replace_without_chunks_empties(store):
    t, u = table("t", a="INTEGER"), table("u", a="INTEGER")
    store.define("D", "s", [t, u])
    push(store, t, chunk(t, "[1]"))
    push(store, u, chunk(u, "[1,2]"))
    assert store.publish("D", "none", {"t": REPLACE, "u": Policy.ADD}) == {"t": 0, "u": 2}
    assert (store.row_count("D", "t"), store.row_count("D", "u")) == (0, 2)


def test_several_tables_and_sessions_stay_apart(store):
    t, u = table("t", a="INTEGER"), table("u", a="STRING")
    store.define("D", "s", [t, u])
    store.define("E", "other", [t])
    store.stage("S1", t, 1, chunk(t, "[1]"))
    store.stage("S1", u, 1, chunk(u, '["x","y"]'))
    store.stage("S2", t, 1, chunk(t, "[7]"))
    assert store.publish("D", "S1", {"t": REPLACE, "u": REPLACE}) == {"t": 1, "u": 2}
    assert store.publish("E", "S2", {"t": REPLACE}) == {"t": 1}
    assert rows(store, "SELECT * FROM s.t, other.t AS o") == [(1, 7)]
    store.drop("D")
    store.drop("D")
    assert store.row_count("E", "t") == 1
    with pytest.raises(LookupError):
        store.row_count("D", "t")
    with pytest.raises(LookupError):
        store.publish("D", "S1", {})


def test_discard(store):
    t = table(a="INTEGER")
    store.stage("S", t, 1, chunk(t, "[1]"))
    store.discard("S")
    store.discard("S")
    assert staged(store, "S") == []
    assert list(store._files._directory.iterdir()) == []


@pytest.mark.parametrize(
    ("names", "sql_names"),
    [
        (["a", "A", "a (2)", "a (3)"], ["a", "A (4)", "a (2)", "a (3)"]),
        (["select", "from t", "a.b", "it's", 'qu"ote', "日本", "ä", "Ä", " ", "rowid"], None),
        (["position", "c0", "c1", "incoming", "chunk", "i", "t"], None),
    ],
)
def test_names(store, names, sql_names):
    columns = tuple(Column(name, DataType.INTEGER) for name in names)
    tables = [Table(name, "0" * 32, columns, (names[0],)) for name in names]
    store.define("D", 'sche"ma. x', tables)
    data = pa.table([pa.array([number], pa.int32()) for number in range(len(names))], names)
    for t in tables:
        for policy in (REPLACE, Policy.ADD, Policy.UPSERT):
            push(store, t, data, policy=policy)
        assert store.row_count("D", t.name) == 1
    found = rows(
        store,
        "SELECT table_name, list(column_name ORDER BY column_index) FROM duckdb_columns()"
        " WHERE schema_name = 'sche\"ma. x' GROUP BY ALL",
    )
    expected = sql_names or names
    assert sorted(found) == sorted((name, expected) for name in expected)


@pytest.mark.parametrize("schema", ["", "TAKEN", "Main", *sorted(RESERVED_SCHEMAS)])
def test_schemas_that_are_not_to_be_had(store, schema):
    store.define("D", "taken", [table(a="INTEGER")])
    with pytest.raises(ValueError, match="schema"):
        store.define("E", schema, [table(a="INTEGER")])
    assert store.row_count("D", "t") == 0


def test_what_is_reserved_is_what_is_there_before_any_dataset(store, path):
    """SQL takes ``"a"."t"`` for a table of the schema or of the database that is called ``a``."""
    with open_store(path) as in_file:
        found = [
            name
            for one in (store, in_file)
            for row in rows(one, "SELECT database_name, schema_name FROM duckdb_schemas()")
            for name in row
        ]
    assert set(found) == RESERVED_SCHEMAS


def test_a_schema_that_sql_has_a_word_for(store):
    t = table(a="INTEGER")
    for _ in range(2):
        store.define("D", "order", [t])
        assert push(store, t, chunk(t, "[1]")) == {"t": 1}
    store.drop("D")


def test_empty_names_are_refused(store):
    with pytest.raises(ValueError, match="empty name"):
        store.define("D", "s", [table(**{"": "INTEGER"})])
    with pytest.raises(ValueError, match="empty name"):
        store.define("D", "s", [table("", a="INTEGER")])


def test_defining_again_drops_what_was(store):
    old, new = table(a="INTEGER"), table("u", b="STRING")
    store.define("D", "s", [old])
    push(store, old, chunk(old, "[1]"))
    store.define("D", "s2", [new])
    assert store.row_count("D", "u") == 0
    assert (
        rows(store, "SELECT schema_name, table_name FROM duckdb_tables() WHERE schema_name = 's'")
        == []
    )


def test_documents(store):
    store.save("dataset/1", {"name": "Ä", "n": [1, None]})
    store.save("dataset/1", {"name": "B"})
    store.save("dataset/2", {})
    store.save("other", {})
    assert store.documents("dataset/") == {"dataset/1": {"name": "B"}, "dataset/2": {}}
    store.forget("dataset/1")
    store.forget("dataset/1")
    assert list(store.documents("")) == ["dataset/2", "other"]


def test_everything_survives_a_restart(path):
    t = table(key=["a"], a="INTEGER", x="BIGDECIMAL")
    with open_store(path) as store:
        store.define("D", "s", [t])
        push(store, t, chunk(t, "[1]", "[1.5]"))
        store.stage("S", t, 1, chunk(t, "[1,2]", "[0.25,3]"))
        store.stage("S", t, 2, chunk(t, "[3]", f"[{'9' * 37}]"))
        store.save("k", {"v": 1})
    with open_store(path) as store:
        assert store.documents("k") == {"k": {"v": 1}}
        assert staged(store, "S") == [("t", 1, 2), ("t", 2, 1)]
        assert store.publish("D", "S", {"t": Policy.UPSERT}) == {"t": 3}
        assert rows(store) == [(1, "0.25"), (2, "3.00"), (3, "9" * 37)]
        assert list(store._files._directory.iterdir()) == []


def test_a_killed_server_leaves_nothing_behind(path):
    with open_store(path) as store:
        t = table(a="INTEGER")
        store.stage("S", t, 1, chunk(t, "[1]"))
        (kept,) = store._files._directory.iterdir()
    for name in ("x.arrow", "y.arrow.part"):
        (kept.parent / name).write_bytes(b"half a chunk")
    with open_store(path) as store:
        assert list(store._files._directory.iterdir()) == [kept]


def test_a_database_in_memory_removes_its_chunks():
    with Store(None) as store:
        directory = store._files._directory
        assert directory.exists()
    assert not directory.exists()


def test_a_file_that_cannot_be_opened(tmp_path):
    path = tmp_path / "no.duckdb"
    path.write_bytes(b"this is no database" * 1000)
    with pytest.raises(UsageError, match="cannot open its data"):
        Store(path)
    with pytest.raises(UsageError, match="cannot open its data"):
        Store(tmp_path / "missing" / "x.duckdb")


def test_threads_may_stage_while_another_publishes(path):
    t, u = table("t", a="INTEGER"), table("u", a="INTEGER")
    data = pa.table({"a": pa.array(range(50_000), pa.int32())})
    with open_store(path) as store:
        store.define("D", "s", [t])
        store.define("E", "s2", [u])
        for index in range(1, 5):
            store.stage("S", t, index, data)
        errors = []

        def stage():
            try:
                for index in range(1, 9):
                    store.stage("S2", u, index, data)
                    store.row_count("D", "t")
            except Exception as error:  # noqa: BLE001 - shown by the assertion below
                errors.append(error)

        thread = threading.Thread(target=stage)
        thread.start()
        counts = store.publish("D", "S", {"t": REPLACE})
        thread.join()
        assert errors == []
        assert counts == {"t": 200_000}
        assert store.publish("E", "S2", {"u": REPLACE}) == {"u": 400_000}


def test_a_failed_publish_changes_nothing(store):
    t, u = table("t", a="INTEGER", x="BIGDECIMAL"), table("u", a="INTEGER")
    store.define("D", "s", [t, u])
    push(store, t, chunk(t, "[1]", "[1]"))
    store.stage("S", t, 1, chunk(t, "[2]", "[2.5]"))
    store.stage("S", u, 1, chunk(u, "[2]"))
    # The second table's chunk cannot be read any more: everything before it is undone.
    with store._cursor() as cursor:
        (name,) = cursor.execute(
            "SELECT file FROM mstr_emulator.chunks WHERE table_name = 'u'"
        ).fetchone()
    file = store._files._directory / name
    whole = file.read_bytes()
    file.write_bytes(whole[:100])
    with pytest.raises((pa.ArrowInvalid, duckdb.Error)):
        store.publish("D", "S", {"t": REPLACE, "u": REPLACE})
    assert rows(store) == [(1, Decimal(1))]
    assert types(store) == ["INTEGER", "DECIMAL(38,0)"]
    file.write_bytes(whole)
    assert staged(store, "S") == [("t", 1, 1), ("u", 1, 1)]
    assert store.publish("D", "S", {"t": REPLACE, "u": REPLACE}) == {"t": 1, "u": 1}


def test_an_interrupted_publish_changes_nothing(store, monkeypatch):
    t = table("t", a="INTEGER")
    store.define("D", "s", [t])
    push(store, t, chunk(t, "[1]"))
    store.interrupt()  # nothing runs: nothing happens
    store.stage("S", t, 1, chunk(t, "[2]"))
    # The chunk never ends until the interrupt has come.
    read = store._files.read

    def endless(name):
        reader = read(name)
        batch = reader.read_next_batch()

        def batches():
            thread = threading.Thread(target=store.interrupt)
            thread.start()
            thread.join()
            for _ in range(1_000_000):
                yield batch

        return pa.RecordBatchReader.from_batches(reader.schema, batches())

    monkeypatch.setattr(store._files, "read", endless)
    with pytest.raises(duckdb.Error):
        store.publish("D", "S", {"t": REPLACE})
    monkeypatch.undo()
    assert rows(store) == [(1,)]
    assert store.publish("D", "S", {"t": Policy.ADD}) == {"t": 2}


@pytest.mark.parametrize(
    ("policies", "message"),
    [
        ({"t": REPLACE, "x": REPLACE}, "the dataset has no table 'x'"),
        ({}, "no update policy for table 't'"),
        ({"t": Policy.UPDATE}, "table 't' has no attribute"),
        ({"t": Policy.UPSERT}, "table 't' has no attribute"),
    ],
)
def test_refused_publishes(store, policies, message):
    t = table("t", a="INTEGER")
    store.define("D", "s", [t])
    store.stage("S", t, 1, chunk(t, "[2]"))
    with pytest.raises(PublishRefused, match=message):
        store.publish("D", "S", policies)
    assert staged(store, "S") == [("t", 1, 1)]
