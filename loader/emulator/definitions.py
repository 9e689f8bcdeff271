"""What the HTTP half and the storage half of the emulator both know: tables, columns, policies."""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["Column", "DataType", "Orientation", "Policy", "Table"]


class DataType(enum.StrEnum):
    """The data types of the Push Data API; their values are the API's upper-case spelling."""

    STRING = "STRING"
    INTEGER = "INTEGER"
    BIGINTEGER = "BIGINTEGER"
    BOOL = "BOOL"
    DOUBLE = "DOUBLE"
    BIGDECIMAL = "BIGDECIMAL"
    DATE = "DATE"
    TIME = "TIME"
    DATETIME = "DATETIME"


class Orientation(enum.StrEnum):
    """How the JSON of a chunk is laid out.

    ``ROW`` is an array of rows and ``COLUMN`` an array of columns (upload sessions); ``RECORDS`` is
    an array of objects, the form of ``POST /api/datasets`` and ``PATCH …/tables/{tableId}``.
    """

    ROW = "ROW"
    COLUMN = "COLUMN"
    RECORDS = "RECORDS"


class Policy(enum.StrEnum):
    """What a publish does with rows that are in the table already."""

    ADD = "ADD"
    UPDATE = "UPDATE"
    UPSERT = "UPSERT"
    REPLACE = "REPLACE"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        name: Unique within its table.
        data_type: What its values must fit.
        date_format: How its dates are written (one-request document,
            ``columnHeaders[].dateFormat``, such as ``dd/MM/yyyy``); None means ISO 8601.
    """

    name: str
    data_type: DataType
    date_format: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a dataset.

    Attributes:
        name: Unique within its dataset.
        id: The server's id of the table: 32 upper-case hexadecimal digits.
        columns: In the dataset's own order, or, for a chunk, in the order of its column headers.
        key: The names of the columns that hold attributes' ID forms in this table; the tuple of
            their values identifies a row for the policies. May be empty.
        description: Free text, may be empty.
    """

    name: str
    id: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    description: str = ""
