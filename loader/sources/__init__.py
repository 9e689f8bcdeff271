"""Sources: files, URIs, pipes and Arrow objects as bounded streams of Arrow record batches."""

from __future__ import annotations

from loader.sources.base import Batch, CsvOptions, CsvTypes, Format, Source, SourceOptions
from loader.sources.locate import rooted
from loader.sources.opening import open_tables
from loader.sources.remote import redacted

__all__ = [
    "Batch",
    "CsvOptions",
    "CsvTypes",
    "Format",
    "Source",
    "SourceOptions",
    "open_tables",
    "redacted",
    "rooted",
]
