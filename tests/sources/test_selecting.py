from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loader.badrow import BadRow
from loader.errors import UsageError
from loader.sources import Batch, SourceOptions, open_tables
from loader.sources.selecting import FilteredSource, JoinedSource, LimitedSource
from loader.sources.where import Condition, parse

TABLE = pa.table({"n": range(100), "even": [n % 2 == 0 for n in range(100)]})


class Rejecting:
    """A source that gives ten rows at a time, of which it has rejected every tenth."""

    schema = TABLE.schema
    rows = 90
    rereadable = True
    origins = ("f",)
    notes = ("a note",)
    closed = False

    def batches(self, batch_bytes, columns=None, skip=0):
        try:
            for start in range(skip, 100, 10):
                data = TABLE.select(columns or TABLE.column_names).slice(start, 10)
                rows = range(start, start + data.num_rows)
                mask = pa.array([row % 10 != 3 for row in rows]).to_numpy(zero_copy_only=False)
                bad = [BadRow("f", n + 1, None, "?", "is bad", "!") for n in rows if n % 10 == 3]
                yield Batch(data.to_batches()[0], "f", start).keep(mask, bad)
        finally:
            self.closed = True


def positions(batches: list[Batch]) -> list[int]:
    return [batch.position(row) for batch in batches for row in range(batch.data.num_rows)]


def test_a_condition_keeps_positions_and_rejected_rows():
    source = Rejecting()
    condition = Condition.of(parse("even AND n > 20"), TABLE.schema, "t")
    filtered = FilteredSource(source, condition)
    assert filtered.rows is None
    assert filtered.notes == source.notes
    batches = list(filtered.batches(1 << 20, ["n"]))
    assert positions(batches) == list(range(22, 100, 2))
    assert [bad.row for batch in batches for bad in batch.rejected] == list(range(4, 100, 10))
    assert {name for batch in batches for name in batch.data.schema.names} == {"n"}


@pytest.mark.parametrize(("limit", "rows"), [(1, 1), (9, 9), (10, 10), (90, 90), (1000, 90)])
def test_a_limit_stops_reading(limit, rows):
    source = Rejecting()
    limited = LimitedSource(source, limit)
    assert limited.rows == rows
    batches = list(limited.batches(1 << 20))
    assert positions(batches) == [n for n in range(min(limit, 100)) if n % 10 != 3]
    assert source.closed
    assert len(batches) == min(-(-limit // 10), 10)


def test_a_closed_generator_closes_the_one_below():
    for wrap in (
        lambda source: LimitedSource(source, 50),
        lambda source: FilteredSource(source, Condition.of(parse("even"), TABLE.schema, "t")),
    ):
        source = Rejecting()
        batches = wrap(source).batches(1 << 20)
        next(batches)
        assert not source.closed
        batches.close()
        assert source.closed


@pytest.mark.parametrize("form", ["parquet", "csv", "arrow", "object"])
def test_every_source_is_filtered_and_limited(tmp_path, form):
    path = tmp_path / f"t.{form}"
    if form == "parquet":
        pq.write_table(TABLE, path, row_group_size=10)
    elif form == "csv":
        path.write_text("n,even\n" + "".join(f"{n},{n % 2 == 0}\n" for n in range(100)).lower())
    elif form == "arrow":
        with pa.ipc.new_file(path, TABLE.schema) as writer:
            writer.write_table(TABLE, max_chunksize=10)
    sources = {"t": TABLE if form == "object" else str(path)}
    source = open_tables(sources, SourceOptions(where="even AND n >= 31", limit=3))["t"]
    assert source.rows is None
    batches = list(source.batches(1 << 20, ["n"]))
    assert [n for batch in batches for n in batch.data["n"].to_pylist()] == [32, 34, 36]
    assert positions(batches) == [32, 34, 36]
    assert open_tables(sources, SourceOptions(limit=7))["t"].rows == 7
    nothing = open_tables(sources, SourceOptions(where="n > 1000"))["t"]
    assert list(nothing.batches(1 << 20)) == []


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_is_at_least_one(limit):
    with pytest.raises(UsageError, match="--limit"):
        open_tables(TABLE, SourceOptions(limit=limit))


@pytest.mark.parametrize(
    ("limit", "good", "bad"),
    [
        (3, [0, 1, 2], []),
        (4, [0, 1, 2], [4]),
        (5, [0, 1, 2, 4], [4]),
        (10, [*range(3), *range(4, 10)], [4]),
        (13, [*range(3), *range(4, 13)], [4]),
        (14, [*range(3), *range(4, 13)], [4, 14]),
    ],
)
@pytest.mark.parametrize("joined", [False, True])
def test_rejected_rows_count_as_rows_read(limit, good, bad, joined):
    source = LimitedSource(Rejecting(), limit)
    batches = list((JoinedSource(source) if joined else source).batches(1 << 20))
    assert positions(batches) == good
    assert [row.row for batch in batches for row in batch.rejected] == bad


def test_few_rows_of_many_batches_are_joined():
    rows = 200_000
    sources = {"t": pa.table({"n": range(rows)}).to_reader(max_chunksize=100)}
    batches = list(
        open_tables(sources, SourceOptions(where="n IN (7, 250, 251, 190000)"))["t"].batches(
            1 << 20
        )
    )
    assert len([batch for batch in batches if batch.data.num_rows]) == 1
    assert positions(batches) == [7, 250, 251, 190_000]
    some = open_tables(pa.table({"n": range(rows)}), SourceOptions(where="n > 9"))["table"]
    assert positions(list(some.batches(1 << 12))) == list(range(10, rows))
    assert all(batch.data.nbytes <= 1 << 12 for batch in some.batches(1 << 12))


def test_joined_rows_are_of_one_origin_and_keep_their_places(tmp_path):
    for name in "ab":
        rows = "".join("bad\n" if n % 10 == 3 else f"{n},x\n" for n in range(100))
        (tmp_path / f"{name}.csv").write_text(f"n,s\n{rows}")
    options = SourceOptions(where="n >= 50", keep_bad_rows=True)
    first, second = open_tables({"t": [str(tmp_path)]}, options)["t"].batches(1 << 20)
    assert (first.origin, second.origin) == (f"{tmp_path}/a.csv", f"{tmp_path}/b.csv")
    assert positions([first]) == positions([second]) == [n for n in range(50, 100) if n % 10 != 3]
    assert [bad.row for bad in first.rejected] == list(range(4, 100, 10))


def test_rows_before_an_error_come_before_it():
    def batches():
        for n in range(3):
            yield pa.record_batch({"n": [n]})
        raise OSError("gone")

    source = open_tables({"t": batches()}, SourceOptions(where="n >= 0"))["t"]
    read = source.batches(1 << 20)
    assert positions([next(read)]) == [0, 1, 2]
    with pytest.raises(Exception, match="gone"):
        next(read)


def test_a_limit_is_reached_without_reading_on():
    read = 0

    def batches():
        nonlocal read
        for n in range(1000):
            read = n
            yield pa.record_batch({"n": [n]})

    source = open_tables({"t": batches()}, SourceOptions(where="n >= 5", limit=3))["t"]
    assert positions(list(source.batches(1 << 20))) == [5, 6, 7]
    assert read < 10


def test_rows_kept_of_views_do_not_hold_on_to_the_others():
    texts = pa.array([f"{n} is a text that is not in the view itself" for n in range(1000)])
    data = pa.record_batch({"s": texts.cast(pa.string_view()), "b": texts.cast(pa.binary_view())})
    mask = pa.array([n == 500 for n in range(1000)]).to_numpy(zero_copy_only=False)
    kept = Batch(data, "f", 0).keep(mask)
    assert kept.data.schema == data.schema
    assert kept.data["s"].to_pylist() == [texts[500].as_py()]
    assert sum(b.size for column in kept.data.columns for b in column.buffers() if b) < 1000


def test_a_condition_that_leaves_nothing_lets_the_reader_stop(tmp_path):
    path = tmp_path / "t.parquet"
    rows = 8_192 * 200
    pq.write_table(pa.table({"s": pa.repeat("a", rows)}), path)
    # Statistics cannot rule it out.
    source = open_tables(str(path), SourceOptions(where="s LIKE '%z%'"))["t"]
    batches = source.batches(1 << 20)
    assert next(batches).data.num_rows == 0
    batches.close()
