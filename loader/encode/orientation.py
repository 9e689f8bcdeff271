"""How a chunk arranges its values: an array of rows or an array of columns."""

from __future__ import annotations

import enum


class Orientation(enum.StrEnum):
    """The upload session's ``orientation`` (many-requests document, "Orientation")."""

    COLUMN = "COLUMN"
    ROW = "ROW"
