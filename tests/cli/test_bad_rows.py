"""Bad rows from the file to the exit code: what is left out, told, written down, and when it fails.

DuckDB reads the same files and says which rows are good.
"""

from __future__ import annotations

import importlib
import json

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.ends import Left

CHUNKY = ("--chunk-size", "30kB", "--memory", "800MB")

# A number of 32 bits, written as one.
GOOD_NUMBER = "regexp_full_match(n, '-?[0-9]+') AND TRY_CAST(n AS INT) IS NOT NULL"


@pytest.fixture
def small_batches(monkeypatch):
    """Many batches, blocks and chunks out of little data."""
    # By its module: the package exports a function of that name.
    monkeypatch.setattr(importlib.import_module("loader.job.prepare"), "BATCH_BYTES", 20_000)


def csv(path, rows: int, bad, spoil=lambda row: f"x{row}", columns: str = "k,n"):
    path.write_text(
        f"{columns}\n"
        + "".join(f"key{row},{spoil(row) if bad(row) else row}\n" for row in range(rows))
    )
    return path


def oracle(path, condition: str = GOOD_NUMBER, what: str = "k, n::BIGINT") -> tuple[list, list]:
    """The good rows of a file, and the numbers of the bad ones, counted from 1."""
    numbered = (
        "SELECT *, row_number() OVER () AS row "
        f"FROM read_csv('{path}', all_varchar=true, header=true, parallel=false)"
    )
    good = duckdb.sql(f"SELECT {what} FROM ({numbered}) WHERE {condition} ORDER BY row").fetchall()
    bad = duckdb.sql(
        f"SELECT row FROM ({numbered}) WHERE NOT ({condition}) ORDER BY row"
    ).fetchall()
    return good, [row for (row,) in bad]


def lines(path) -> list[dict]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def rejected(outcome) -> list[int]:
    return [table["rejected"] for table in outcome.json["tables"]]


@pytest.mark.parametrize("orientation", ["column", "row"])
@pytest.mark.usefixtures("small_batches")
def test_skipped_rows_are_counted_and_the_others_stored(push, server, tmp_path, orientation):
    path = csv(tmp_path / "t.csv", 20_000, lambda row: row % 7 == 3 or 9000 <= row < 12_000)
    outcome = push(
        path, "--type", "n=INTEGER", "--on-bad-row", "skip", "--orientation", orientation, *CHUNKY
    )
    good, bad = oracle(path)
    assert outcome.code == 7, outcome
    assert outcome.json["status"] == "published"
    assert outcome.json["error"] is None
    assert rejected(outcome) == [len(bad)]
    assert outcome.json["rows"] + len(bad) == 20_000
    assert len(server.chunks) > 3
    assert server.sql("SELECT k, n::BIGINT FROM t.t ORDER BY n") == sorted(good, key=lambda r: r[1])
    (warning,) = [one for one in outcome.json["warnings"] if "left out" in one]
    assert f"{len(bad):,} of 20,000 rows" in warning
    assert "row 4, column 'n': 'x3' does not fit INTEGER" in warning
    server.left_nothing()


@pytest.mark.usefixtures("small_batches")
def test_quarantined_rows_are_all_the_others(push, server, tmp_path):
    path = csv(tmp_path / "t.csv", 5_000, lambda row: row % 3 == 0)
    file = tmp_path / "rejects.ndjson"
    outcome = push(
        *(path, "--type", "n=INTEGER", "--on-bad-row", "quarantine"),
        *("--rejects-file", file, *CHUNKY),
    )
    good, bad = oracle(path)
    assert outcome.code == 7, outcome
    assert [line["row"] for line in lines(file)] == bad
    first = lines(file)[0]
    assert first == {
        "table": "t",
        "source": str(path),
        "row": 1,
        "column": "n",
        "reason": "does not fit INTEGER",
        "value": "x0",
    }
    assert server.sql("SELECT count(*), sum(n) FROM t.t") == [
        (len(good), sum(number for _, number in good))
    ]
    assert any(str(file) in warning for warning in outcome.json["warnings"])
    assert file.stat().st_mode & 0o077 == 0


def test_without_a_name_the_file_is_in_the_state_directory(push, tmp_path):
    path = csv(tmp_path / "t.csv", 10, lambda row: row == 4)
    outcome = push(path, "--type", "n=INTEGER", "--on-bad-row", "quarantine")
    assert outcome.code == 7
    (file,) = (tmp_path / "state" / "rejects").iterdir()
    assert [line["row"] for line in lines(file)] == [5]
    assert any(str(file) in warning for warning in outcome.json["warnings"])


def test_without_a_bad_row_nothing_is_different(push, tmp_path):
    path = csv(tmp_path / "t.csv", 10, lambda row: False)
    file = tmp_path / "rejects.ndjson"
    outcome = push(
        path, "--type", "n=INTEGER", "--on-bad-row", "quarantine", "--rejects-file", file
    )
    outcome.succeeded()
    assert rejected(outcome) == [0]
    assert not file.exists()
    assert not (tmp_path / "state" / "rejects").exists()


def test_a_rejects_file_is_never_overwritten(push, server, tmp_path):
    path = csv(tmp_path / "t.csv", 10, lambda row: row == 4)
    file = tmp_path / "rejects.ndjson"
    file.write_text("precious")
    outcome = push(
        path, "--type", "n=INTEGER", "--on-bad-row", "quarantine", "--rejects-file", file
    )
    assert outcome.code == 2
    assert "exists already" in outcome.error["message"]
    assert outcome.error["hint"]
    assert file.read_text() == "precious"
    assert server.requests == []


@pytest.mark.parametrize(
    ("limit", "bad", "code"),
    [("30", 30, 7), ("30", 31, 3), ("1%", 30, 7), ("1%", 31, 3), ("0.5%", 15, 7), ("0", 1, 3)],
)
def test_limits(push, server, tmp_path, limit, bad, code):  # noqa: PLR0917 - fixtures and cases
    path = csv(tmp_path / "t.csv", 3_000, lambda row: row >= 3_000 - bad)
    outcome = push(path, "--type", "n=INTEGER", "--on-bad-row", "skip", "--max-bad-rows", limit)
    assert outcome.code == code, outcome
    if code == 7:
        assert server.sql("SELECT count(*) FROM t.t") == [(3_000 - bad,)]
        return
    error = outcome.error
    assert error["kind"] == "too_many_bad_rows"
    assert error["rejected"] == bad
    assert error["limit"] == limit
    assert error["first"]["row"] == 3_001 - bad
    assert error["first"]["value"] == f"x{3_000 - bad}"
    assert f"--max-bad-rows allows {limit}" in error["message"]
    assert error["hint"]
    assert server.called("POST", "/publish") == []
    assert server.datasets == {}
    server.left_nothing()


@pytest.mark.parametrize("limit", ["50", "1%"])
@pytest.mark.parametrize("policy", ["replace", "upsert"])
@pytest.mark.usefixtures("small_batches")
def test_past_the_limit_the_old_data_stays(push, server, tmp_path, limit, policy):
    """Chunks were accepted by then; the session is thrown away."""
    path = tmp_path / "t.csv"
    path.write_text("k,n\nold,1\n")
    push(path).succeeded()
    csv(path, 30_000, lambda row: row >= 29_500)
    file = tmp_path / "rejects.ndjson"
    outcome = push(
        *(path, "--type", "n=BIGINTEGER", "--on-bad-row", "quarantine", "--rejects-file", file),
        *("--max-bad-rows", limit, "--policy", policy, "--concurrency", "1", *CHUNKY),
    )
    assert outcome.code == 3, outcome
    assert outcome.json["status"] == "failed"
    assert outcome.error["kind"] == "too_many_bad_rows"
    assert outcome.error["rejects_file"] == str(file)
    assert str(file) in outcome.error["hint"]
    assert server.sql("SELECT * FROM t.t") == [("old", 1)]
    assert server.called("POST", "/publish") == [200]
    assert lines(file)[0]["row"] == 29_501
    server.left_nothing()


@pytest.mark.parametrize("allow", [(), ("--allow-empty",)])
@pytest.mark.parametrize("policy", ["skip", "quarantine"])
def test_a_file_of_bad_rows_does_not_empty_the_dataset(push, server, tmp_path, policy, allow):
    path = tmp_path / "t.csv"
    path.write_text("k,n\nold,1\n")
    push(path).succeeded()
    csv(path, 200, lambda row: True)
    outcome = push(path, "--type", "n=BIGINTEGER", "--on-bad-row", policy, *allow)
    assert outcome.code == 3
    assert outcome.error["kind"] == "empty_source"
    assert "all 200 rows were rejected" in outcome.error["message"]
    assert "row 1, column 'n': 'x0'" in outcome.error["message"]
    assert rejected(outcome) == [200]
    assert server.sql("SELECT * FROM t.t") == [("old", 1)]
    server.left_nothing()


@pytest.mark.parametrize("policy", ["skip", "quarantine"])
def test_uploaded_without_a_publish_says_so_too(push, command, server, tmp_path, policy):
    path = csv(tmp_path / "t.csv", 10, lambda row: row == 4)
    outcome = push(path, "--type", "n=INTEGER", "--on-bad-row", policy, "--no-publish")
    assert outcome.code == 7
    assert outcome.json["status"] == "uploaded"
    assert rejected(outcome) == [1]

    # The rejected rows are those of the whole job.
    resumed = command("resume", "--json")
    assert resumed.json["status"] == "published"
    assert server.sql("SELECT count(*) FROM t.t") == [(9,)]
    assert rejected(resumed) == [1]
    assert resumed.code == 7
    if policy == "quarantine":
        (file,) = (tmp_path / "state" / "rejects").iterdir()
        assert [line["row"] for line in lines(file)] == [5]


@pytest.mark.parametrize("policy", ["skip", "quarantine"])
@pytest.mark.usefixtures("small_batches")
def test_a_load_that_goes_on_tells_the_bad_rows_of_all_of_it(
    push, command, server, tmp_path, policy
):
    path = csv(tmp_path / "t.csv", 20_000, lambda row: row % 7 == 3)
    good, bad = oracle(path)
    file = tmp_path / "rejects.ndjson"
    named = ("--rejects-file", file) if policy == "quarantine" else ()
    server.emulator.inject("put:index=4:status=503")
    outcome = push(
        *(path, "--type", "n=INTEGER", "--on-bad-row", policy, *named, *CHUNKY),
        *("--concurrency", "1", "--retries", "0"),
    )
    left = Left.by(outcome, server)
    assert left.accepted == 3
    server.emulator.faults.clear()
    resumed = left.resumed(command, code=7)
    assert rejected(resumed) == [len(bad)]
    assert resumed.json["rows"] == len(good)
    assert server.sql("SELECT k, n::BIGINT FROM t.t ORDER BY n") == sorted(good, key=lambda r: r[1])
    if policy == "quarantine":
        assert [line["row"] for line in lines(file)] == bad


def test_ragged_rows_and_values_after_a_sample(push, server, tmp_path):
    """The reader's own bad rows, and the casts', in one file and in its order."""
    path = tmp_path / "t.csv"
    text = ["k,n,m"] + [f"{row:01000},{row},{row}" for row in range(3_000)]
    text[501] = "only,two"
    text[1001] = "key1000,1000,12x"
    text[2001] = "a,b,c,d"
    text[2901] = "key2900,x,2900"  # the sample is the first megabyte
    path.write_text("\n".join(text) + "\n")
    file = tmp_path / "rejects.ndjson"
    outcome = push(
        *(path, "--csv-types", "sample", "--type", "m=INTEGER", "--on-bad-row", "quarantine"),
        *("--rejects-file", file),
    )
    assert outcome.code == 7, outcome
    assert [(line["row"], line["column"], line["value"]) for line in lines(file)] == [
        (501, None, "only,two"),
        (1001, "m", "12x"),
        (2001, None, "a,b,c,d"),
        (2901, "n", "x"),
    ]
    bad = {500, 1000, 2000, 2900}
    assert server.sql("SELECT count(*), sum(n), sum(m) FROM t.t") == [
        (2_996, *(2 * [sum(set(range(3_000)) - bad)]))
    ]


@pytest.mark.parametrize("orientation", ["column", "row"])
@pytest.mark.usefixtures("small_batches")
def test_values_that_only_the_encoder_refuses(push, server, tmp_path, orientation):
    """Days after the year 9999, and texts that are no numbers; NaN is not one of them."""
    days = [2_932_896 + (row % 10 == 0) - row % 5 for row in range(20_000)]
    numbers = [f"n{row}" if row % 8 == 0 else f"{row}.5" for row in range(20_000)]
    lost = [float("nan") if row % 2 else 1.0 for row in range(20_000)]
    table = pa.table(
        {
            "row": range(20_000),
            "day": pa.array(days, pa.int32()).view(pa.date32()),
            "number": numbers,
            "lost": lost,
        }
    )
    path = tmp_path / "t.parquet"
    pq.write_table(table, path, row_group_size=3_000)
    file = tmp_path / "rejects.ndjson"
    outcome = push(
        *(path, "--type", "number=BIGDECIMAL", "--on-bad-row", "quarantine"),
        *("--rejects-file", file, "--orientation", orientation, *CHUNKY),
    )
    assert outcome.code == 7, outcome
    bad = [row for row in range(20_000) if row % 10 == 0 or row % 8 == 0]
    assert [line["row"] for line in lines(file)] == [row + 1 for row in bad]
    # Both are bad in row 40: the first column is told.
    by_row = {line["row"] - 1: line["column"] for line in lines(file)}
    assert (by_row[0], by_row[8], by_row[40]) == ("day", "number", "day")
    good = sorted(set(range(20_000)) - set(bad))
    stored = server.sql("SELECT row, number::VARCHAR FROM t.t ORDER BY row")
    assert [row for row, _ in stored] == good
    assert all(float(number) == row + 0.5 for row, number in stored)
    shown = sum(row % 2 for row in good)
    assert f"table 't', column 'lost': {shown} NaN" in str(outcome.json["warnings"])


@pytest.mark.usefixtures("small_batches")
def test_several_tables_and_files(push, server, tmp_path):
    one = csv(tmp_path / "one.csv", 2_000, lambda row: row % 2 == 0)
    two = csv(tmp_path / "two.csv", 1_000, lambda row: row == 999)
    fine = csv(tmp_path / "fine.csv", 100, lambda row: False, columns="f,g")
    file = tmp_path / "rejects.ndjson"
    outcome = push(
        *(f"t={one}", f"t={two}", fine, "--type", "t.n=INTEGER", "--dataset", "d"),
        *("--on-bad-row", "quarantine", "--rejects-file", file, *CHUNKY),
    )
    assert outcome.code == 7, outcome
    assert rejected(outcome) == [1_001, 0]
    written = lines(file)
    assert {line["table"] for line in written} == {"t"}
    first = [line["row"] for line in written if line["source"] == str(one)]
    assert first == oracle(one)[1]
    assert [line["row"] for line in written if line["source"] == str(two)] == [1_000]
    assert server.sql("SELECT count(*) FROM d.t") == [(1_999,)]
    assert server.sql("SELECT count(*) FROM d.fine") == [(100,)]


def test_fail_names_the_first_one_though_others_are_found_sooner(push, server, tmp_path):
    """The encoder's row comes before the reader's, in a file that is damaged further down."""
    text = pa.array(["1.5"] * 999 + ["nil"] + ["2"] * 99_000)
    data = pa.table({"number": text, "day": pa.array(range(100_000), pa.int32()).view(pa.date32())})
    path = tmp_path / "t.parquet"
    pq.write_table(data, path, row_group_size=10_000, compression="zstd", use_dictionary=False)
    content = bytearray(path.read_bytes())
    where = pq.ParquetFile(path).metadata.row_group(5).column(1).data_page_offset
    content[where : where + 400] = b"\xff" * 400
    path.write_bytes(content)
    outcome = push(path, "--type", "number=BIGDECIMAL")
    assert outcome.code == 3
    assert outcome.error["kind"] == "bad_value"
    assert outcome.error["row"] == 1_000
    assert "--on-bad-row" in outcome.error["hint"]
    skipping = push(path, "--type", "number=BIGDECIMAL", "--on-bad-row", "skip")
    assert skipping.code == 3
    assert skipping.error["kind"] == "source_unreadable"


@pytest.mark.parametrize("how", [(), ("--csv-types", "sample")])
def test_a_malformed_row_does_not_hide_an_earlier_misfit(push, server, tmp_path, how):
    path = tmp_path / "t.csv"
    path.write_text("a,b\nx,1\n2,2\n3\n")
    outcome = push(path, "--type", "a=INTEGER", *how)
    assert outcome.code == 3
    assert (outcome.error["row"], outcome.error["column"]) == (1, "a")
    outcome = push(path, "--type", "a=INTEGER", "--on-bad-row", "skip", *how)
    assert outcome.code == 7
    assert rejected(outcome) == [2]
    path.write_text("a,b\n1,1\n2,2\n3\n")
    assert push(path, "--type", "a=INTEGER", *how).error["row"] == 3
    assert push(path, "--dataset", "of its own types", *how).error["row"] == 3


def test_a_full_disk_publishes_nothing(push, command, server, tmp_path, monkeypatch):
    path = csv(tmp_path / "t.csv", 100, lambda row: row == 4)
    module = importlib.import_module("loader.job.rejects")

    class Full:
        """The system, but for a disk that has no room."""

        def __getattr__(self, name):
            return getattr(module_os, name)

        def write(self, descriptor, data):
            raise OSError(28, "No space left on device")

    module_os = module.os
    file = tmp_path / "rejects.ndjson"
    with monkeypatch.context() as patch:
        patch.setattr(module, "os", Full())
        outcome = push(
            path, "--type", "n=INTEGER", "--on-bad-row", "quarantine", "--rejects-file", file
        )
    left = Left.by(outcome, server, code=2)
    assert "No space left on device" in outcome.error["message"]
    assert server.called("POST", "/publish") == []
    # When there is room again.
    resumed = left.resumed(command, code=7)
    assert rejected(resumed) == [1]
    assert [line["row"] for line in lines(file)] == [5]
    assert server.sql("SELECT count(*) FROM t.t") == [(99,)]


def test_a_rejects_file_needs_a_directory(push, server, tmp_path):
    path = csv(tmp_path / "t.csv", 10, lambda row: row == 4)
    file = tmp_path / "absent" / "rejects.ndjson"
    outcome = push(
        path, "--type", "n=INTEGER", "--on-bad-row", "quarantine", "--rejects-file", file
    )
    assert outcome.code == 2
    assert "no directory" in outcome.error["message"]
    assert server.requests == []


def test_one_request_leaves_rows_out_too(push, server, tmp_path):
    path = csv(tmp_path / "t.csv", 100, lambda row: row % 10 == 0)
    options = ("--type", "n=INTEGER", "--on-bad-row", "skip", "--workflow", "one-request")
    outcome = push(path, *options)
    assert outcome.code == 7, outcome
    assert rejected(outcome) == [10]
    past = push(path, *options, "--max-bad-rows", "9%", "--dataset", "other")
    assert past.code == 3
    assert past.error["kind"] == "too_many_bad_rows"
    assert list(server.datasets) == ["t"]


def test_dates_in_a_format_of_their_own(push, server, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("k,day\na,29/02/2024\nb,30/02/2024\nc,\nd,2024-02-29\ne,1/2/2024\n")
    mapping = tmp_path / "map.yaml"
    mapping.write_text(
        "tables:\n  t:\n    columns:\n      day:\n        dateFormat: dd/MM/yyyy\n"
        "        name: Day\n"
    )
    file = tmp_path / "rejects.ndjson"
    outcome = push(path, "--mapping", mapping, "--on-bad-row", "quarantine", "--rejects-file", file)
    assert outcome.code == 7, outcome
    assert [(line["row"], line["column"], line["value"]) for line in lines(file)] == [
        (2, "day", "30/02/2024"),
        (4, "day", "2024-02-29"),
        (5, "day", "1/2/2024"),
    ]
    assert server.sql('SELECT k, "Day"::VARCHAR FROM t.t ORDER BY k') == [
        ("a", "2024-02-29"),
        ("c", None),
    ]
