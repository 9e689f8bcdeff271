from __future__ import annotations

import pyarrow as pa
import pytest

from loader.errors import NameRefused
from loader.sources.base import plain_schema

INT = pa.int8()


@pytest.mark.parametrize(
    "field",
    [
        pa.field(b"\xff", INT),
        pa.field("a", pa.struct([pa.field("b", pa.list_(pa.field(b"\xff", INT)))])),
        pa.field("a", pa.dictionary(INT, pa.struct([pa.field(b"\xff", INT)]))),
        pa.field("a", pa.opaque(pa.struct([pa.field(b"\xff", INT)]), "t", "v")),
    ],
    ids=["column", "struct", "dictionary", "extension"],
)
def test_names_that_are_not_utf_8_are_refused(field):
    with pytest.raises(NameRefused, match="f has a column, or a field inside one"):
        plain_schema(pa.schema([field]), "f")
