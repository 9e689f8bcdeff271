"""What ``--type`` makes of single values, and that it never cuts or rounds one."""

from __future__ import annotations

import datetime as dt
import decimal

import pyarrow as pa
import pytest

from loader.errors import BadValue
from loader.job.cast import Caster
from loader.model import DataType, Roles, build_model
from loader.sources import Batch


def cast(array: pa.Array, wanted: str):
    schema = pa.schema([pa.field("c", array.type)])
    model = build_model("d", {"t": schema}, Roles(types={"c": DataType[wanted]}))
    data = pa.RecordBatch.from_arrays([array], schema=schema)
    return Caster(model.tables[0])(Batch(data=data, origin="f", row=100)).data.column(0)


MIDNIGHT = dt.datetime(2024, 2, 29)


@pytest.mark.parametrize(
    ("array", "wanted", "expected"),
    [
        (pa.array(["01:02:03", None, "23:59:59.123456"]), "TIME", None),
        (pa.array(["01:02:03"], pa.large_string()), "TIME", [dt.time(1, 2, 3)]),
        (pa.array(["01:02:03"], pa.string_view()), "TIME", [dt.time(1, 2, 3)]),
        (pa.array(["01:02:03"]).dictionary_encode(), "TIME", [dt.time(1, 2, 3)]),
        (pa.array(["2024-02-29", None]), "DATE", [MIDNIGHT.date(), None]),
        (pa.array([MIDNIGHT, None], pa.timestamp("ns")), "DATE", [MIDNIGHT.date(), None]),
        (pa.array([MIDNIGHT, None], pa.timestamp("s")), "DATE", [MIDNIGHT.date(), None]),
        (pa.array([MIDNIGHT], pa.timestamp("us", "Asia/Tokyo")), "DATE", [MIDNIGHT.date()]),
        (pa.array([MIDNIGHT.date()]), "DATETIME", [MIDNIGHT]),
        (pa.array([1, 0, None]), "BOOL", [True, False, None]),
        (pa.array([None, None], pa.int64()), "BOOL", [None, None]),
        (pa.RunEndEncodedArray.from_arrays([2, 3], ["5", "6"]), "INTEGER", [5, 5, 6]),
        (pa.array([3.0, None]), "INTEGER", [3, None]),
        (pa.array([decimal.Decimal("7.00")]), "BIGINTEGER", [7]),
        (pa.array(["-5", None]), "INTEGER", [-5, None]),
        (pa.array(["0.1", "1e300", None, "inf"]), "DOUBLE", [0.1, 1e300, None, float("inf")]),
        (pa.array([decimal.Decimal("0.10"), None]), "DOUBLE", [0.1, None]),
    ],
)
def test_what_fits(array, wanted, expected):
    texts = [dt.time(1, 2, 3), None, dt.time(23, 59, 59, 123456)]
    assert cast(array, wanted).to_pylist() == (expected or texts)


@pytest.mark.parametrize(
    ("bad", "arrow", "wanted"),
    [
        ("0x10", pa.string(), "INTEGER"),
        ("12345678901234567890.123", pa.string(), "DOUBLE"),
        (decimal.Decimal("12345678901234567.89"), pa.decimal128(38, 2), "DOUBLE"),
        ("24:00:00", pa.string(), "TIME"),
        ("", pa.string(), "TIME"),
        ("01:02:03Z", pa.string(), "TIME"),
        (dt.datetime(2024, 2, 29, 0, 0, 1), pa.timestamp("us"), "DATE"),
        (dt.datetime(2024, 2, 29, 15), pa.timestamp("us", "Asia/Tokyo"), "DATE"),
        (2, pa.int64(), "BOOL"),
        (2**31, pa.int64(), "INTEGER"),
        (2**53 + 1, pa.int64(), "DOUBLE"),
        (0.5, pa.float64(), "INTEGER"),
        (decimal.Decimal("0.5"), pa.decimal128(5, 1), "BIGINTEGER"),
        ("1.0", pa.string(), "INTEGER"),
    ],
)
def test_what_does_not_fit_is_named_with_its_row(bad, arrow, wanted):
    # Nulls and fitting values around it.
    fitting = {"TIME": "01:00:00"}.get(wanted)
    array = pa.array([None, fitting, bad, None, bad], arrow)
    with pytest.raises(BadValue) as caught:
        cast(array, wanted)
    assert caught.value.details["row"] == 103
    assert caught.value.details["column"] == "c"
    assert caught.value.details["file"] == "f"
    assert wanted in caught.value.message
    assert "--type c=STRING" in (caught.value.hint or "")
