"""What add, update, upsert and replace make of a published table."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.emulator.decode import decode
from loader.emulator.definitions import Column, DataType, Orientation, Policy, Table
from loader.emulator.store import PublishRefused, Store

ADD, UPDATE, UPSERT, REPLACE = Policy

COLUMNS = (
    Column("k1", DataType.INTEGER),
    Column("k2", DataType.STRING),
    Column("m", DataType.BIGDECIMAL),
    Column("d", DataType.STRING),
)
KEYED = Table("t", "0" * 32, COLUMNS, ("k1", "k2"))
KEYLESS = Table("t", "0" * 32, COLUMNS, ())


def cell(value):
    return "null" if value is None else f'"{value}"' if isinstance(value, str) else str(value)


def chunk(rows, columns=COLUMNS):
    text = ",".join(f"[{','.join(map(cell, row))}]" for row in rows)
    return decode(f"[{text}]".encode(), columns, Orientation.ROW)


@pytest.fixture(scope="module")
def shared():
    with Store(None) as store:
        yield store


@pytest.fixture
def publish(shared):
    """Publishes chunks with a policy and returns all rows, in the order of the table."""

    def publish(policy, *chunks, table=KEYED):
        for index, rows in reversed(list(enumerate(chunks, 1))):
            shared.stage("S", table, index, chunk(rows))
        count = shared.publish("D", "S", {"t": policy})["t"]
        with shared._cursor() as cursor:
            rows = cursor.execute("SELECT k1, k2, CAST(m AS DOUBLE), d FROM s.t").fetchall()
        assert len(rows) == count == shared.row_count("D", "t")
        return rows

    shared.define("D", "s", [KEYED])
    yield publish
    shared.discard("S")


OLD = [(1, "a", 1, "one"), (2, None, 2, "two"), (None, None, 3, "three")]


def test_replace_keeps_duplicates_and_order(publish):
    publish(REPLACE, OLD)
    rows = [(9, "z", 1, "b"), (9, "z", 1, "b"), (1, "a", 0, "c")]
    assert publish(REPLACE, rows[:2], rows[2:]) == rows


def test_add_takes_new_keys_and_the_first_of_several(publish):
    publish(REPLACE, OLD)
    new = [(1, "b", 10, "x"), (1, "b", 11, "y"), (1, "a", 12, "known"), (None, None, 13, "known")]
    later = [(1, "b", 14, "z"), (None, "a", 15, "w"), (2, None, 16, "known")]
    assert publish(ADD, new, later) == [*OLD, (1, "b", 10, "x"), (None, "a", 15, "w")]


def test_update_changes_known_keys_and_the_last_of_several_counts(publish):
    publish(REPLACE, OLD)
    new = [(1, "a", 10, "x"), (1, "a", 11, None), (7, "a", 12, "unknown"), (None, None, 13.5, "n")]
    later = [(2, None, None, "w")]
    expected = [(1, "a", 11, None), (2, None, None, "w"), (None, None, 13.5, "n")]
    assert sorted(publish(UPDATE, new, later), key=repr) == sorted(expected, key=repr)


def test_upsert_does_both(publish):
    publish(REPLACE, OLD)
    new = [(1, "a", 10, "x"), (7, "a", 12, "new"), (None, "q", 13, "first")]
    later = [(7, "a", 14, "newer"), (None, "q", 15, "last"), (1, "a", 16.25, "y")]
    expected = [
        (1, "a", 16.25, "y"),
        (2, None, 2, "two"),
        (None, None, 3, "three"),
        (7, "a", 14, "newer"),
        (None, "q", 15, "last"),
    ]
    assert sorted(publish(UPSERT, new, later), key=repr) == sorted(expected, key=repr)


def test_add_and_upsert_into_an_empty_table(publish):
    assert publish(ADD, OLD, OLD) == OLD
    publish(REPLACE)
    assert sorted(publish(UPSERT, OLD, OLD), key=repr) == sorted(OLD, key=repr)


def test_update_of_several_rows_of_one_key(publish):
    publish(REPLACE, [OLD[0], OLD[0]])
    assert publish(UPDATE, [(1, "a", 5, "x")]) == [(1, "a", 5, "x")] * 2


def test_a_table_without_a_key(shared, publish):
    shared.define("D", "s", [KEYLESS])
    publish(REPLACE, OLD, table=KEYLESS)
    assert publish(ADD, OLD[:1], OLD[:1], table=KEYLESS) == [*OLD, OLD[0], OLD[0]]
    for policy in (UPDATE, UPSERT):
        with pytest.raises(PublishRefused, match=f"an {policy.lower()} means; use add or replace"):
            publish(policy, OLD, table=KEYLESS)


def test_a_table_of_nothing_but_keys(shared):
    table = Table("t", "0" * 32, COLUMNS[:2], ("k1", "k2"))
    shared.define("D", "s", [table])
    for policy, count in ((UPSERT, 2), (UPDATE, 2), (ADD, 2)):
        shared.stage("S", table, 1, chunk([(1, "a"), (None, "a"), (1, "a")], COLUMNS[:2]))
        assert shared.publish("D", "S", {"t": policy}) == {"t": count}


def test_a_chunk_without_its_key(shared):
    shared.define("D", "s", [KEYED])
    shared.stage("S", KEYED, 1, chunk([(1, "a")], (COLUMNS[0], COLUMNS[3])))
    with pytest.raises(PublishRefused, match="lacks the key column 'k2'"):
        shared.publish("D", "S", {"t": UPSERT})
    assert shared.publish("D", "S", {"t": REPLACE}) == {"t": 1}


def test_columns_that_an_update_leaves_out_keep_their_values(shared, publish):
    publish(REPLACE, OLD)
    shared.stage("S", KEYED, 1, chunk([(1, "a", 9)], COLUMNS[:3]))
    shared.publish("D", "S", {"t": UPDATE})
    with shared._cursor() as cursor:
        assert cursor.execute("SELECT m::INT, d FROM s.t WHERE k1 = 1").fetchall() == [(9, "one")]


@pytest.mark.parametrize("wide", ["", "0" * 40])
def test_decimal_keys_compare_by_value(shared, wide):
    table = Table("t", "0" * 32, (Column("k", DataType.BIGDECIMAL), COLUMNS[0]), ("k",))
    shared.define("D", "s", [table])
    shared.stage(
        "S", table, 1, decode(f"[[1.5,1{wide}],[1,2]]".encode(), table.columns, Orientation.COLUMN)
    )
    shared.publish("D", "S", {"t": UPSERT})
    shared.stage("S", table, 1, decode(b"[[1.50,0.125],[3,4]]", table.columns, Orientation.COLUMN))
    assert shared.publish("D", "S", {"t": UPSERT}) == {"t": 3}


def model(policy, rows, chunks):
    """The policies as the documentation of ``loader.emulator.policies`` words them."""
    incoming = [row for chunk_rows in chunks for row in chunk_rows]
    if policy is REPLACE:
        return incoming
    result = list(rows)
    for row in incoming:
        known = [i for i, old in enumerate(result) if old[:2] == row[:2]]
        if not known and policy in {ADD, UPSERT}:
            result.append(row)
        elif policy is not ADD:
            for i in known:
                result[i] = row
    return result


row = st.tuples(
    st.sampled_from([None, 1, 2]),
    st.sampled_from([None, "a", "b"]),
    st.none() | st.integers(0, 9),
    st.sampled_from([None, "x", "y", "z"]),
)
rows_of = st.lists(row, max_size=6)


@settings(max_examples=40, deadline=None)
@given(
    rows_of, st.lists(st.tuples(st.sampled_from(Policy), st.lists(rows_of, max_size=3)), max_size=3)
)
def test_any_sequence_of_publishes(shared, first, publishes):
    shared.define("D", "s", [KEYED])
    expected = []
    for policy, chunks in [(REPLACE, [first]), *publishes]:
        for index, rows in reversed(list(enumerate(chunks, 1))):
            shared.stage("S", KEYED, index, chunk(rows))
        shared.publish("D", "S", {"t": policy})
        expected = model(policy, expected, chunks)
    with shared._cursor() as cursor:
        found = cursor.execute("SELECT k1, k2, CAST(m AS INTEGER), d FROM s.t").fetchall()
    assert sorted(found, key=repr) == sorted(expected, key=repr)
