"""How a chunk arranges its values: an array of rows, of columns or of objects."""

from __future__ import annotations

import enum


class Orientation(enum.StrEnum):
    """``COLUMN`` and ``ROW`` are an upload session's (many-requests document, "Orientation").

    ``RECORDS`` is the only form of a dataset of one request (one-request document, "Create a
    dataset"): every row is an object that repeats the columns' names.
    """

    COLUMN = "COLUMN"
    ROW = "ROW"
    RECORDS = "RECORDS"
