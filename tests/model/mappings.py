"""Two tables, and the models that a mapping file makes of them."""

from __future__ import annotations

import pyarrow as pa
import pytest

from loader.errors import LoaderError
from loader.model import Wishes, build_model, parse_mapping

INT, TEXT = pa.int64(), pa.string()
ORDERS = pa.schema(
    [("o_key", INT), ("o_cust", INT), ("o_date", TEXT), ("o_price", pa.decimal128(12, 2))]
)
SCHEMAS = {
    "orders": ORDERS,
    "customers": pa.schema([("c_cust", INT), ("c_name", TEXT), ("o_date", TEXT)]),
}


def model(text: str, schemas=SCHEMAS, name=None, **wishes):
    return build_model(name, schemas, Wishes(mapping=parse_mapping(text, "m.yaml"), **wishes))


def columns(built, table=0):
    return {column.source: column for column in built.tables[table].columns}


def refused(text: str, schemas=SCHEMAS, **wishes) -> LoaderError:
    with pytest.raises(LoaderError) as caught:
        model(text, schemas, **wishes)
    return caught.value
