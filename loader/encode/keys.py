"""One text for each row that says the same as its columns: rows are equal where it is."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from loader.encode.joins import constant
from loader.encode.texts import texts
from loader.model import Table

__all__ = ["row_keys"]


def row_keys(table: Table, data: pa.RecordBatch) -> pa.Array:
    """Returns the JSON of each row without its brackets: values as they are sent, by commas.

    Args:
        table: The columns.
        data: The rows, with exactly these columns.

    Raises:
        ValueRefused: A value that has no text under the rules of the type table.
    """
    columns = [
        texts(array, column.data_type, as_text=column.as_text)
        for column, array in zip(table.columns, data.columns, strict=True)
    ]
    if len(columns) == 1:
        return columns[0]
    return pc.binary_join_element_wise(*columns, constant(","))
